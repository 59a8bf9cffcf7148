// conn_say.h - what a session says, and the last thing it says.
//
// Thread:  the worker that owns the connection.
// Memory:  the worker's scratch for the text, TCP's send queue behind it. No block for a reply aborts the connection: the
//          peer would wait for ever.
// Blocks:  never.

#pragma once

#include "dataplane/conn.h"

// Room for one step of the session.
struct smtp_io conn_say_io(struct worker *w, struct conn *c);

// Queue what a step said; it leaves with everything else of this burst. False: the connection was aborted, and c is gone.
bool conn_say(struct worker *w, struct conn *c, const struct smtp_io *io);

// The same outside of TLS: the 220 of STARTTLS, after which there is no way back.
bool conn_say_plain(struct worker *w, struct conn *c, const struct smtp_io *io);

// A last reply out of turn (421, 554), and close. Nothing when the session is closing already.
void conn_say_end(struct worker *w, struct conn *c, enum smtp_reply reply);

// No more replies: FIN rides on the last one.
void conn_say_close(struct worker *w, struct conn *c);
