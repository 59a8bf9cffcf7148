// pressure.h - the order of retreat: what a worker gives up when its memory runs short, one thing after the other, so that the sessions it
// has, ping, ARP, ND and the control socket go on being answered (they take nothing of what runs short).
//
//   level    when                                       what is given up
//   PRUNE    1/4 of the blocks is left                  octets out of order are thrown away; their senders repeat them
//   SHRINK   1/8 of the blocks                          windows are small, and a peer that does not read gets no further reply
//   COOKIES  1/16 of the blocks or of the slots         a SYN takes no memory
//   REFUSE   1/32 of the blocks, 1/64 of the slots      new connections: a SYN is not answered, a cookie by RST
//   RESET    that for LIMIT_PRESSURE_REFUSE_S           sessions that have been idle longest are reset, until SHRINK is over
//
// SHRINK for LIMIT_PRESSURE_SHRINK_S resets as well, and goes on letting others in: peers that never read hold their blocks there for
// as long as TCP is patient, while MAIL gets 452. Who goes first holds blocks; while slots are short, anybody idle.
//
// Blocks are those of the TCP stack (queues, envelopes). Slots in TIME-WAIT or waiting for a handshake count as free: they give way by
// themselves. Body buffers shrink the windows of bodies long before they are gone (conn_flow.h).
//
// Thread:  the worker that owns the TCP stack.
// Memory:  in struct worker.
// Blocks:  never. Cost: a few loads a loop; at a level LIMIT_PRESSURE_STEP slots are looked at in each.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct worker;

// In the order of retreat; each does what those before it do as well.
#define PRESSURE_LEVELS(LEVEL)                                                                     \
	LEVEL(NONE, "none")                                                                        \
	LEVEL(PRUNE, "prune")                                                                      \
	LEVEL(SHRINK, "shrink")                                                                    \
	LEVEL(COOKIES, "cookies")                                                                  \
	LEVEL(REFUSE, "refuse")                                                                    \
	LEVEL(RESET, "reset")

enum pressure_level {
#define LEVEL(name, text) PRESSURE_##name,
	PRESSURE_LEVELS(LEVEL)
#undef LEVEL
		PRESSURE_COUNT
};

struct pressure {
	uint8_t level; // enum pressure_level
	bool resets, lacks_slots;
	bool walking;            // some slots of this round are still to be looked at
	uint32_t cursor;         // the next of them
	uint32_t idle_s;         // sessions that were idle for longer go in this round of resets
	uint64_t short_since_us; // 0: no more than PRUNE
};

// Once a loop: the level of now, and a step of what it asks for.
void pressure_follow(struct worker *w);

// Whether a reply can be queued for a peer that has so many octets of replies unread.
bool pressure_lets_reply(const struct worker *w, uint32_t unread_octets);
