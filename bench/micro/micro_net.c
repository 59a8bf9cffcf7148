// Frames to segments and back.

#include <stdlib.h>
#include <string.h>

#include "micro_tables.h"
#include "net/frame.h"

struct net_world {
	uint8_t frame[2048], out[2048], payload[1448];
	uint32_t octets;
	struct segment segment;
	struct frame_route route;
};

static struct net_world *make(uint8_t flags, uint32_t payload)
{
	struct net_world *w = calloc(1, sizeof(*w));

	memset(w->payload, 'x', sizeof(w->payload));
	w->segment = (struct segment){.src = ip_addr_from_v4(0x0a0caa14),
		.dst = ip_addr_from_v4(0x0a0caa4a),
		.src_port = 40000,
		.dst_port = 25,
		.seq = 1,
		.window = 65535,
		.flags = flags,
		.part_count = payload > 0,
		.payload_octets = payload,
		.parts = {{w->payload, payload}},
		.options = {.has_timestamp = true, .tsval = 1, .tsecr = 1}};
	if (flags == SEGMENT_SYN) {
		w->segment.options.has_mss = true;
		w->segment.options.mss = 1460;
	}
	w->octets = frame_build(&w->segment, &w->route, w->frame, sizeof(w->frame));
	return w;
}

static void *start_syn(void)
{
	return make(SEGMENT_SYN, 0);
}

static void *start_full(void)
{
	return make(SEGMENT_ACK, 1448);
}

static void parse(void *world, uint64_t turns)
{
	struct net_world *w = world;
	struct frame f;

	while (turns-- > 0) {
		micro_keep(frame_parse((struct slice){w->frame, w->octets}, 0, &f));
		micro_keep(f.tcp.seq);
	}
}

static void parse_offloaded(void *world, uint64_t turns)
{
	struct net_world *w = world;
	struct frame f;

	while (turns-- > 0) {
		micro_keep(frame_parse((struct slice){w->frame, w->octets},
			FRAME_IP_SUM_GOOD | FRAME_TCP_SUM_GOOD, &f));
		micro_keep(f.tcp.seq);
	}
}

static void build(void *world, uint64_t turns)
{
	struct net_world *w = world;

	while (turns-- > 0)
		micro_keep(frame_build(&w->segment, &w->route, w->out, sizeof(w->out)));
}

const struct micro micro_net[] = {
	{"frame_parse_syn", "frame", 1, start_syn, parse, free},
	{"frame_parse_full", "frame", 1, start_full, parse, free},
	{"frame_parse_full_offloaded", "frame", 1, start_full, parse_offloaded, free},
	{"frame_build_ack", "frame", 1, start_syn, build, free},
	{"frame_build_full", "frame", 1, start_full, build, free},
	{.name = NULL},
};
