// bounce.h - failures on their way back to the sender: gathered for each message, made into a DSN, given to the spooler, and recorded
// when that is on disk.
//
// A mail with a null sender is never answered: its recipients are recorded as removed, with the reason. Our own DSNs have a null sender, so there
// is no bounce of a bounce.
//
// Bugs: killed between "on disk" and the record of it, the DSN is sent twice. Delay warnings are not sent.
//
// Thread:  the event loop of postern-deliver.
// Memory:  the failures that wait; the text of a DSN only while it is handed over.
// Blocks:  bounce_go() reads the disk.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "deliver/queue.h"
#include "spool/channel.h"

enum {
	BOUNCE_IN_FLIGHT_MAX = 16, // DSNs handed over and not yet answered
	BOUNCE_RETRY_MS = 10000,   // the spooler could not take it, or the message cannot be read
	BOUNCE_TEXT_MAX = 512,
};

struct deliver;
struct bounce;

struct bounces {
	struct deliver *d;
	struct bounce *waiting, *last; // in order
	struct bounce *in_flight;
	uint32_t in_flight_count;
	uint64_t token;
};

struct bounce_rcpt {
	uint32_t rcpt;
	const char *hop; // who said it; "": we did
	const char *text;
};

// For a recipient that is WAITING or SENDING: it is BOUNCING or REMOVED afterwards. Those of one message that follow each other share a DSN.
void bounce_add(struct bounces *b, struct queue_message *m, const struct bounce_rcpt *rcpt);

// Hand over what waits, if there is a channel.
void bounce_go(struct bounces *b);

// CHANNEL_INJECTED.
void bounce_injected(struct bounces *b, const struct channel_record *record);

// The channel is gone: what was not answered is handed over again.
void bounce_channel_lost(struct bounces *b);
