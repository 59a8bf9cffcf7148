// mail.h - one message on its way from the session to the spooler: Received line, body buffers, envelope, commit.
//
// Every body octet is copied once, from the packet into a buffer of LIMIT_SPOOL_BUF_OCTETS, which travels to the
// spooler and comes back in its answer. When buffers run short because slow senders hold them, they are sent on half-filled.
//
// Life: mail_begin -> (mail_room, mail_added)... -> mail_commit -> mail_end; or mail_abort at any time, and before its
// transaction ends.
//
// Thread:  the worker's lcore.
// Memory:  struct mail lies in the session's transaction. The worker's body buffers; none left: the message or its sender waits.
// Blocks:  never.

#pragma once

#include <stdbool.h>

#include "dataplane/conn.h"

// Both ways linked; a mail in one of these has its place in buf_prev, buf_next.
enum mail_place {
	MAIL_NOWHERE,
	MAIL_HOLDING, // in worker.holding: it has a buffer
	MAIL_STALLED, // in worker.stalled: it needs one
};

struct mail {
	struct conn *conn;
	struct mail *prev, *next; // in worker.coming while octets of it may come
	struct mail *buf_prev, *buf_next;
	struct spool_buf *body; // being filled; NULL when none is held
	uint64_t id;
	uint64_t stored_octets; // given to the spooler so far
	uint64_t deadline_us;   // for the body; 0 before it
	uint32_t offered;       // of worker.offered
	uint32_t earned;        // most octets that came in one round of measuring (conn_flow.c)
	uint32_t round_us;      // when the one that is under way began
	uint32_t round_octets;  // and how many had come by then
	uint8_t place;          // enum mail_place
	bool open;              // the spooler knows of id, or will
	bool coming;            // octets of it may come
};

// Of the transaction that is under way; there must be one.
static inline struct mail *mail_of(const struct conn *c)
{
	return (struct mail *)(void *)c->smtp.txn->owner;
}

static inline bool mail_is_open(const struct conn *c)
{
	return c->smtp.txn != NULL && mail_of(c)->open;
}

static inline bool mail_is_stalled(const struct conn *c)
{
	return c->smtp.txn != NULL && mail_of(c)->place == MAIL_STALLED;
}

// Requests of one worker that may be under way to the spooler and back at once.
uint32_t mail_requests_most(const struct worker_common *common);

// NEED_DATA: give the message its id and put the Received line in its first buffer. False: no buffer (452).
bool mail_begin(struct worker *w, struct conn *c);

// Have a buffer with room for body octets. False: none; the connection must stall.
bool mail_room(struct worker *w, struct conn *c);

// What room there is now, for one step of the session.
struct smtp_out mail_space(const struct conn *c);

// After that step: take what it added, and pass on a full buffer.
void mail_added(struct worker *w, struct conn *c, const struct smtp_out *body);

// NEED_COMMIT: rest of the body, envelope, commit. False: not enough buffers now, nothing was sent; stall, and try again.
bool mail_commit(struct worker *w, struct conn *c);

// Wait for a buffer; first come, first served. Unstall: it is not waiting any more.
void mail_stall(struct worker *w, struct conn *c);
void mail_unstall(struct worker *w, struct conn *c);

// The first of worker.coming becomes the last.
void mail_rotate(struct worker *w);

// The spooler has answered the commit.
void mail_end(struct worker *w, struct conn *c);

// Forget the open message, if any.
void mail_abort(struct worker *w, struct conn *c);

// Give back the buffers of an answer.
void mail_give_back(struct worker *w, struct spool_buf *chain);
