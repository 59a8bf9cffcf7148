// mail.h - one message on its way from the session to the spooler: Received line, body buffers, envelope, commit.
//
// Every body octet is copied once, from the packet into a buffer of LIMIT_SPOOL_BUF_OCTETS, which travels to the
// spooler and comes back in its answer. When buffers run short, half-filled ones are sent on at once, so that slow senders
// hold none.
//
// Thread:  the worker's lcore.
// Memory:  the worker's body buffers; none left: the message or its sender waits.
// Blocks:  never.

#pragma once

#include <stdbool.h>

#include "dataplane/conn.h"

// NEED_DATA: give the message its id and put the Received line in its first buffer. False: no buffer (452).
bool mail_begin(struct worker *w, struct conn *c);

// Have a buffer with room for body octets. False: none; the connection must stall.
bool mail_room(struct worker *w, struct conn *c);

// After body octets were added: pass on a full buffer, or any when buffers are short.
void mail_added(struct worker *w, struct conn *c);

// NEED_COMMIT: rest of the body, envelope, commit. False: not enough buffers now, nothing was sent; try again.
bool mail_commit(struct worker *w, struct conn *c);

// Forget the open message, if any.
void mail_abort(struct worker *w, struct conn *c);

// Give back the buffers of an answer.
void mail_give_back(struct worker *w, struct spool_buf *chain);
