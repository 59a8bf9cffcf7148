#include "wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inside.h"
#include "net/frame.h"
#include "sock.h"
#include "world.h"

enum {
	MOST = 65600, // octets of a frame
	ETHER_TYPE_V4 = 0x0800,
	ETHER_TYPE_V6 = 0x86dd,
	TOS_AT_V4 = 1,
	SUM_AT_V4 = 10,
};

struct wire_packet {
	struct wire_packet *next;
	uint64_t at_us;
	size_t octets;
	uint8_t ip[];
};

static void push(struct world *world, const uint8_t *ip, size_t octets)
{
	struct wire_packet *p = malloc(sizeof(*p) + octets);
	struct wire *wire = &world->wire;

	assert(p != NULL);
	p->next = NULL;
	p->at_us = world->now_us;
	p->octets = octets;
	memcpy(p->ip, ip, octets);
	if (wire->last != NULL)
		wire->last->next = p;
	else
		wire->first = p;
	wire->last = p;
	wire->sent++;
}

// What a SYN may offer, in either direction.
static void restrict_options(const struct settings *settings, struct segment_options *o)
{
	if (settings->timestamps == 0)
		o->has_timestamp = false;
	if (settings->sack == 0)
		o->sack_permitted = false;
	if (settings->scale == 0)
		o->has_scale = false;
}

static void cap_mss(struct segment_options *o, uint32_t most)
{
	if (most != 0 && o->has_mss && o->mss > most)
		o->mss = (uint16_t)most;
}

// IP_TOS and IPV6_TCLASS; the two bits of ECN are TCP's.
static void put_tos(uint8_t *ip, uint8_t tos)
{
	if (tos == 0)
		return;
	if (ip[0] >> 4 == 6) {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)((tos << 4 & 0xc0) | (ip[1] & 0x3f));
		return;
	}

	// RFC 1624, eqn. 3: the sum follows the field.
	uint32_t old = (uint32_t)ip[0] << 8 | ip[TOS_AT_V4];
	uint32_t sum = (uint32_t)ip[SUM_AT_V4] << 8 | ip[SUM_AT_V4 + 1];

	ip[TOS_AT_V4] = (uint8_t)((tos & 0xfc) | (ip[TOS_AT_V4] & 3));
	sum = (~sum & 0xffff) + (~old & 0xffff) + ((uint32_t)ip[0] << 8 | ip[TOS_AT_V4]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[SUM_AT_V4] = (uint8_t)(sum >> 8);
	ip[SUM_AT_V4 + 1] = (uint8_t)sum;
}

static void emit(void *user, const struct segment *segment)
{
	static const struct frame_route route = {.sums = FRAME_SUMS_SOFTWARE};
	static uint8_t frame[MOST];
	struct world *world = user;
	struct segment s = *segment;
	struct sock_wire sock = sock_on_wire(world, &s);

	if (s.flags & SEGMENT_SYN) {
		restrict_options(&world->settings, &s.options);
		cap_mss(&s.options, sock.mss);
		if (!sock_may_send_syn(world, &s))
			return;
	}

	uint32_t octets = frame_build(&s, &route, frame, sizeof(frame));

	assert(octets > FRAME_ETHER_OCTETS);
	put_tos(frame + FRAME_ETHER_OCTETS, sock.tos);
	push(world, frame + FRAME_ETHER_OCTETS, octets - FRAME_ETHER_OCTETS);
}

const struct tcp_env wire_env = {.emit = emit};

static enum drop take_segment(struct world *world, struct segment *s)
{
	enum drop drop;
	struct sock *listener = sock_listener(world, &s->dst, s->dst_port);

	if (s->flags & SEGMENT_SYN) {
		restrict_options(&world->settings, &s->options);
		cap_mss(&s->options, sock_on_wire_input(world, s).mss);
	}
	drop = tcp_input(world->stack, s, listener != NULL, world->now_us);
	if ((s->flags & SEGMENT_SYN) != 0 && listener != NULL)
		sock_bound_handshake(listener, inside_conn(world->stack, s));
	return drop;
}

bool wire_inject(struct world *world, const void *at, size_t octets)
{
	static uint8_t octets_of_frame[MOST];
	const uint8_t *ip = at;
	struct frame frame;
	enum drop drop;

	if (octets == 0 || octets > MOST - FRAME_ETHER_OCTETS)
		return false;

	unsigned type = ip[0] >> 4 == 6 ? ETHER_TYPE_V6 : ETHER_TYPE_V4;

	memset(octets_of_frame, 2, FRAME_ETHER_OCTETS - 2);
	octets_of_frame[FRAME_ETHER_OCTETS - 2] = (uint8_t)(type >> 8);
	octets_of_frame[FRAME_ETHER_OCTETS - 1] = (uint8_t)type;
	memcpy(octets_of_frame + FRAME_ETHER_OCTETS, ip, octets);
	drop = frame_parse((struct slice){octets_of_frame, octets + FRAME_ETHER_OCTETS}, 0, &frame);
	if (drop == DROP_NONE && frame.kind == FRAME_TCP)
		drop = take_segment(world, &frame.tcp);
	if (drop == DROP_NONE && frame.kind == FRAME_ECHO) {
		uint32_t reply = frame_echo_reply(&frame, octets_of_frame);

		push(world, octets_of_frame + FRAME_ETHER_OCTETS, reply - FRAME_ETHER_OCTETS);
	}
	if (drop != DROP_NONE && world->settings.trace != 0)
		fprintf(stderr, "%.6f dropped: %s\n", (double)world->now_us / 1e6, drop_name(drop));
	return true;
}

size_t wire_take(struct wire *wire, void *at, size_t room, uint64_t *at_us)
{
	struct wire_packet *p = wire->first;

	if (p == NULL)
		return 0;

	size_t octets = p->octets < room ? p->octets : room;

	memcpy(at, p->ip, octets);
	*at_us = p->at_us;
	wire->first = p->next;
	if (wire->first == NULL)
		wire->last = NULL;
	free(p);
	return octets;
}

void wire_free(struct wire *wire)
{
	while (wire->first != NULL) {
		struct wire_packet *next = wire->first->next;

		free(wire->first);
		wire->first = next;
	}
	wire->last = NULL;
}
