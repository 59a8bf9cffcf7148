#include "deliver/edge_link.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

enum {
	READ_BURST = 256, // records before others have their turn
};

struct out {
	struct out *next;
	_Alignas(struct channel_record) uint8_t octets[]; // a record and its data
};

static struct channel_record *out_record(struct out *o)
{
	return (struct channel_record *)(void *)o->octets;
}

struct edge_link {
	uv_poll_t poll;
	int fd;
	bool is_closing;
	const struct edge_link_user *user;
	struct out *first, *last;
	size_t out_octets;
	_Alignas(struct channel_record) uint8_t in[CHANNEL_RECORD_MAX];
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void on_closed(uv_handle_t *handle)
{
	struct edge_link *link = handle->data;

	close(link->fd);
	while (link->first != NULL) {
		struct out *o = link->first;

		link->first = o->next;
		free(o);
	}
	free(link);
}

void edge_link_close(struct edge_link *link)
{
	if (link->is_closing)
		return;
	link->is_closing = true;
	uv_poll_stop(&link->poll);
	uv_close((uv_handle_t *)&link->poll, on_closed);
}

static void lost(struct edge_link *link)
{
	if (link->is_closing)
		return;
	edge_link_close(link);
	link->user->gone(link->user->user);
}

static void listen_for(struct edge_link *link)
{
	uv_poll_start(&link->poll, UV_READABLE | (link->first != NULL ? UV_WRITABLE : 0), on_poll);
}

static void flush(struct edge_link *link)
{
	while (link->first != NULL) {
		struct out *o = link->first;
		const struct channel_record *record = out_record(o);
		enum err e = channel_send(link->fd, record, record->data);

		if (e == ERR_MORE)
			break;
		if (e != ERR_OK) {
			lost(link);
			return;
		}
		link->first = o->next;
		if (link->first == NULL)
			link->last = NULL;
		link->out_octets -= sizeof(*o) + sizeof(*record) + record->octets;
		free(o);
	}
	listen_for(link);
}

static void receive(struct edge_link *link)
{
	struct channel_record *record = (struct channel_record *)(void *)link->in;

	for (int i = 0; i < READ_BURST && !link->is_closing; i++) {
		enum err e = channel_receive(link->fd, record);

		if (e == ERR_MORE)
			return;
		if (e != ERR_OK) {
			lost(link);
			return;
		}
		link->user->record(link->user->user, record);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct edge_link *link = poll->data;

	if (status < 0) {
		lost(link);
		return;
	}
	if ((events & UV_WRITABLE) != 0)
		flush(link);
	if ((events & UV_READABLE) != 0 && !link->is_closing)
		receive(link);
}

struct edge_link *edge_link_open(uv_loop_t *loop, int fd, const struct edge_link_user *user)
{
	struct edge_link *link = calloc(1, sizeof(*link));

	assert(link != NULL);
	link->fd = fd;
	link->user = user;
	link->poll.data = link;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || uv_poll_init(loop, &link->poll, fd) < 0) {
		close(fd);
		free(link);
		return NULL;
	}
	listen_for(link);
	return link;
}

bool edge_link_has_room(const struct edge_link *link)
{
	return link->out_octets < EDGE_LINK_OUT_MAX;
}

void edge_link_send(struct edge_link *link, const struct channel_record *record, const void *data)
{
	struct out *o;

	assert(record->octets <= CHANNEL_DATA_MAX);
	if (link->is_closing)
		return;
	o = malloc(sizeof(*o) + sizeof(*record) + record->octets);
	assert(o != NULL);
	o->next = NULL;
	memcpy(o->octets, record, sizeof(*record));
	if (record->octets > 0)
		memcpy(out_record(o)->data, data, record->octets);
	*(link->last != NULL ? &link->last->next : &link->first) = o;
	link->last = o;
	link->out_octets += sizeof(*o) + sizeof(*record) + record->octets;
	// What is refused now goes when the descriptor is writable.
	listen_for(link);
}

void edge_link_send_parts(struct edge_link *link, const struct channel_record *record,
	const void *data, size_t octets)
{
	struct channel_record part = *record;
	const uint8_t *at = data;

	do {
		part.octets = octets < CHANNEL_DATA_MAX ? (uint32_t)octets : CHANNEL_DATA_MAX;
		octets -= part.octets;
		part.flags = octets > 0 ? CHANNEL_MORE : 0;
		edge_link_send(link, &part, at);
		at += part.octets;
	} while (octets > 0);
}
