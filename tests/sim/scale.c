// postern-scale SESSIONS [LIMIT_MIB] - so many idle sessions on one worker of the whole edge, over DPDK's ring port: what one costs in memory,
// and what a new connection costs before and after. Prints JSON; exit 1 when the process grew beyond LIMIT_MIB or connections got more
// than 10 % slower (twice as slow with fewer than a million, which is no measurement but a test).
//
// The peer answers by arithmetic and remembers nothing of a connection, so what the process grows by is the edge's.
//
// Thread: main makes the peer, the worker runs on an lcore of its own. Memory: the edge's. Blocks: no.

#include <assert.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge_rig.h"
#include "net/arp.h"

enum {
	WINDOW = 128,  // connections on their way at once
	BATCH = 500,   // lives between two looks at the worker's clock
	BATCHES = 15,  // the cheapest counts
	PORTS = 60000, // connections of one client address
	SPARE = 2000,  // slots beside the idle ones
};

static struct rig *rig;
static struct rig_link link_;
static uint64_t idle, over; // sessions that got their 250; lives that ended

static const char yaml[] =
	"dataplane: {workers: [0], memory: 512MiB, huge_pages: no, poll: busy}\n"
	"ports: [{device: net_ring_rig, addresses: [10.12.170.5/24], gateway: [10.12.170.1]}]\n"
	"own_networks: [10.0.0.0/8]\n"
	"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
	"virtual_servers: [{name: default, listen: [10.12.170.5], fqdn: mail.neulan.net,\n"
	"  local_domains: [neulan.net], max_connections: 4000000,\n"
	"  max_connections_per_client: 65535}]\n";

// A name of 64 octets: the longest an idle session keeps without a block.
static const char ehlo[] =
	"EHLO abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqr.client.example.net\r\n";
static const char quit[] = "QUIT\r\n";

static void send(const struct segment *s)
{
	rig_inject_segment(rig, s);
}

static struct segment from_client(uint64_t n, uint8_t flags)
{
	struct segment s = {.src = ip_addr_from_v4(0x0a400000 + (uint32_t)(n / PORTS)),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = (uint16_t)(1024 + n % PORTS),
		.dst_port = 25,
		.window = 65535,
		.flags = flags};

	s.options.has_timestamp = true;
	s.options.tsval = 1;
	return s;
}

static void connect_client(uint64_t n)
{
	struct segment s = from_client(n, SEGMENT_SYN);

	s.seq = (uint32_t)n;
	s.options.has_mss = s.options.has_scale = s.options.sack_permitted = true;
	s.options.mss = 1460;
	send(&s);
}

static void say(struct segment *s, const char *text)
{
	s->payload_octets = (uint32_t)strlen(text);
	s->part_count = 1;
	s->parts[0] = (struct slice){(const uint8_t *)text, s->payload_octets};
}

// Clients of 10.64.0.0/11 stay; those above live: 220, QUIT and FIN, 221, over.
static bool is_idler(const struct segment *in)
{
	return ip_addr_v4(&in->dst) < 0x0a600000;
}

static bool starts(const struct segment *in, const char *code)
{
	return in->part_count > 0 && memcmp(in->parts[0].at, code, 3) == 0;
}

static void answer(const struct segment *in)
{
	struct segment out = {.src = in->dst,
		.dst = in->src,
		.src_port = in->dst_port,
		.dst_port = in->src_port,
		.window = 65535,
		.flags = SEGMENT_ACK,
		.seq = in->ack,
		.ack = in->seq + segment_len(in)};

	if (segment_len(in) == 0 || (in->flags & SEGMENT_RST))
		return;
	out.options.has_timestamp = true;
	out.options.tsval = 2;
	out.options.tsecr = in->options.tsval;
	if (starts(in, "220") && is_idler(in)) {
		say(&out, ehlo);
	} else if (starts(in, "220")) {
		say(&out, quit);
		out.flags |= SEGMENT_FIN;
	}
	idle += starts(in, "250");
	over += (in->flags & SEGMENT_FIN) != 0;
	send(&out);
}

static void answer_arp(const struct frame *f)
{
	uint8_t frame[ARP_FRAME_OCTETS];
	struct arp arp;

	if (arp_parse(f, &arp) == DROP_NONE && arp.request && arp.target != 0x0a0caa05)
		rig_inject(rig, frame, arp_build_reply(frame, link_.host, arp.target, &arp));
}

static void take(void)
{
	void *frames[64];
	unsigned n = rte_ring_sc_dequeue_burst(link_.from_edge, frames, 64, NULL);

	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *m = frames[i];
		struct frame f;
		enum drop why = frame_parse(
			(struct slice){rte_pktmbuf_mtod(m, const uint8_t *), m->data_len}, 0, &f);

		if (why == DROP_NONE && f.kind == FRAME_ARP)
			answer_arp(&f);
		if (why == DROP_NONE && f.kind == FRAME_TCP)
			answer(&f.tcp);
		rte_pktmbuf_free(m);
	}
	if (n == 0)
		usleep(20);
}

// Connections [from, to), at most WINDOW on their way; done counts those that have come where they should.
static void drive(uint64_t from, uint64_t to, const uint64_t *done)
{
	uint64_t base = *done, next = from;

	while (*done - base < to - from) {
		while (next < to && next - from < *done - base + WINDOW)
			connect_client(next++);
		take();
	}
}

static uint64_t resident_octets(void)
{
	unsigned long all, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	assert(f != NULL && fscanf(f, "%lu %lu", &all, &resident) == 2);
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

// Cycles the worker spends on one life, by the cheapest batch: others on the machine only add to a batch.
static double cycles_a_life(void)
{
	const struct edge_worker *w = rig_edge(rig)->workers[0];
	static uint64_t next = 0x200000ULL * PORTS;
	double least = 1e300;

	for (int i = 0; i < BATCHES; i++, next += BATCH) {
		uint64_t before = atomic_load(&w->busy_cycles);

		drive(next, next + BATCH, &over);
		rig_settle(rig);
		double cost = (double)(atomic_load(&w->busy_cycles) - before) / BATCH;

		least = cost < least ? cost : least;
	}
	return least;
}

int main(int argc, char **argv)
{
	uint64_t sessions = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	uint64_t limit = argc > 2 ? strtoull(argv[2], NULL, 10) << 20 : UINT64_MAX;
	struct rig_size size = {.conns = (uint32_t)sessions + SPARE,
		.blocks = 8192,
		.mbufs = 16383, // more than both ends of the link hold
		.eal_mib = (uint32_t)(256 + sessions * 700 / 1000000)};
	uint64_t before, after;
	double few, many;

	if (sessions == 0) {
		fprintf(stderr, "usage: postern-scale SESSIONS [LIMIT_MIB]\n");
		return 2;
	}
	rig = rig_start_sized(yaml, &size);
	link_ = rig_link(rig);
	few = cycles_a_life();
	few = cycles_a_life();
	before = resident_octets();
	drive(0, sessions, &idle);
	after = resident_octets();
	many = cycles_a_life();
	printf("[{\"name\": \"idle_session\", \"metric\": \"memory\", \"value\": %.1f, \"unit\": "
	       "\"octets\"},\n"
	       " {\"name\": \"idle_process\", \"metric\": \"memory\", \"value\": %.1f, \"unit\": "
	       "\"MiB\"},\n"
	       " {\"name\": \"life_with_none\", \"metric\": \"cycles\", \"value\": %.0f, \"unit\": "
	       "\"TSC cycles\"},\n"
	       " {\"name\": \"life_with_%llu\", \"metric\": \"cycles\", \"value\": %.0f, \"unit\": "
	       "\"TSC cycles\"}]\n",
		(double)(after - before) / (double)sessions, (double)after / (1 << 20), few,
		(unsigned long long)sessions, many);
	rig_free(rig);
	return after > limit || many > few * (sessions < 1000000 ? 2.0 : 1.1);
}
