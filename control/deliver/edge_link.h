// edge_link.h - our end of the channel to postern-edge: records in to one callback, records out through a list.
//
// Thread:  the event loop of postern-deliver.
// Memory:  one buffer for input; output waits in a list of at most EDGE_LINK_OUT_MAX octets.
// Blocks:  never.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "spool/channel.h"

enum {
	EDGE_LINK_OUT_MAX = 16 << 20,
};

struct edge_link;

struct edge_link_user {
	void (*record)(void *user, const struct channel_record *record); // data is octets long
	void (*gone)(void *user);                                        // the link frees itself
	void *user;
};

// Takes fd.
struct edge_link *edge_link_open(uv_loop_t *loop, int fd, const struct edge_link_user *user);

// Another link has come: gone() is not called any more.
void edge_link_close(struct edge_link *link);

// Room for another question or answer; when not, ask again later.
bool edge_link_has_room(const struct edge_link *link);

// One record with record->octets of data.
void edge_link_send(struct edge_link *link, const struct channel_record *record, const void *data);

// Any length, in parts with CHANNEL_MORE; kind, token and so on from record.
void edge_link_send_parts(struct edge_link *link, const struct channel_record *record,
	const void *data, size_t octets);
