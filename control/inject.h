// inject.h - messages the deliverer makes (DSNs), on their way to the spooler: parts from the channel become body buffers and a
// commit, as a worker would send them, and the spooler's word goes back.
//
// Thread:  the control thread.
// Memory:  at most INJECT_OPEN messages under way; buffers from the allocator, freed with the spooler's answers.
// Blocks:  never.

#pragma once

#include "control/spooler.h"
#include "spool/channel.h"

enum {
	INJECT_OPEN =
		64, // messages under way at once; more: refused, and the deliverer tries again later
};

struct inject;

// done: called once for each token, with ERR_OK when durable.
typedef void inject_done_fn(void *user, uint64_t token, uint64_t message_id, enum err status);
struct inject *inject_new(struct spooler *spooler, inject_done_fn *done, void *user);

// One CHANNEL_INJECT record with its data.
void inject_part(struct inject *inject, const struct channel_record *record, uint64_t epoch);

// Take the spooler's answers.
void inject_poll(struct inject *inject);

// The channel is gone: messages not complete are forgotten; those that are stay and are committed.
void inject_reset(struct inject *inject);
