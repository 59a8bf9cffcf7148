// admit.h - may this peer have a connection? Asked at its SYN, before anything is remembered of it, and again when its SYN
// cookie comes back: policy and states may have changed between the two.
//
// Thread:  the worker.
// Memory:  none.
// Blocks:  never. Cost: one class lookup and a bit test.

#pragma once

#include "dataplane/worker.h"

// Connection control on a SYN to a virtual server that listens there. *why: for the packet's account when it is not welcome.
enum tcp_welcome admit_syn(
	struct worker *w, const struct segment *syn, uint16_t vserver, enum drop *why);

// struct tcp_app.accept: welcomes what admit_syn() has judged, and judges cookies that come back.
enum tcp_welcome admit_cookie(void *worker, const struct segment *s, uint64_t now_us);
