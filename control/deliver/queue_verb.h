// queue_verb.h - the operator's questions about the queue, as channel.h has them.
//
// Bugs: a hold lasts until this process ends. Selecting by sender, recipient, client or vserver reads every message of the queue from disk.
//
// Thread: the event loop of postern-deliver. Memory: the answer. Blocks: on the disk.

#pragma once

#include "deliver/deliver.h"
#include "spool/channel.h"

enum {
	QUEUE_VERB_LIMIT = 100, // messages listed unless asked for more
	QUEUE_VERB_LIMIT_MAX = 10000,
	QUEUE_VERB_CONCURRENCY_MAX = 1000,
};

// Answer one CHANNEL_QUEUE_ASK on d->edge. Text that is no question gets an answer that says so.
void queue_verb(struct deliver *d, const struct channel_record *ask);
