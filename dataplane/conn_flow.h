// conn_flow.h - how fast a session may go: when its ACKs leave, and what window it is offered.
//
// In the command phase every segment is answered, so ACKs wait for the reply they ride on, and the window is that of a
// few commands. In the body phase the sender needs every second segment acknowledged, and its window is its share of the buffers that
// are free and not promised to others: a spooler that falls behind shrinks all windows while there still are some, and as they
// come back the windows open again, in steps and for all alike.
//
// Thread:  the worker that owns the connection.
// Memory:  none of its own.
// Blocks:  never. Cost: a few stores for each burst of a connection, one division a loop.

#pragma once

#include "dataplane/conn.h"

// The session may have entered another phase, or has taken octets: ACK policy and window of now.
void conn_flow_follow(struct worker *w, struct conn *c);

// Once a loop, after the answers of the spooler: what each open message may have now; some of those that may have more are told.
void conn_flow_share(struct worker *w);

// Whether no body may come in now because of us.
static inline bool conn_flow_is_shut(const struct worker *w)
{
	return w->share == 0;
}
