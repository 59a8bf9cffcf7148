// postern-syn [REPEAT] - what a SYN costs the worker that gets it, from the port's burst to its end: dropped or reset by connection control
// with 200,000 prefixes, or answered by a cookie. Headers and checksums are verified in software, sources are uniform at random. Prints
// JSON as bench/run does: the median turn of a full burst, in TSC cycles a SYN; spread is that of the medians of REPEAT (5) rounds.
//
// Thread: one. Memory: a whole edge's. Blocks: no.

#include <assert.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/frame.h"
#include "turn_rig.h"

enum {
	PREFIXES = 200000,
	BURSTS = 4000, // of a round
	TEXT_OCTETS = PREFIXES * 20 + 4096,
	ROUNDS_MOST = 100,
};

static struct turn_rig *rig;
static struct turn_link link_;
static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t random_32(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

// Of somebody who can be answered.
static uint32_t random_source(void)
{
	uint32_t a;

	do
		a = random_32();
	while (a >> 24 == 0 || a >> 24 == 10 || a >> 24 == 127 || a >> 24 >= 224);
	return a;
}

// 60 % single addresses, 30 % of 24 bits, the rest shorter: one source in seventy is on the list, and gets a cookie.
static unsigned random_length(void)
{
	unsigned dice = random_32() % 10;

	return dice < 6 ? 32 : dice < 9 ? 24 : 20 + random_32() % 4;
}

static size_t put_list(char *text)
{
	size_t len = 0;

	for (int i = 0; i < PREFIXES; i++) {
		unsigned bits = random_length();
		uint32_t a = random_source() & (UINT32_MAX << (32 - bits));

		len += (size_t)sprintf(text + len, "%s\"%u.%u.%u.%u/%u\"", i > 0 ? "," : "",
			a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, bits);
	}
	return len;
}

static char *make_yaml(void)
{
	char *text = malloc(3 * TEXT_OCTETS), *at = text;

	assert(text != NULL);
	at += sprintf(at,
		"dataplane: {workers: [0], memory: 512MiB, huge_pages: no, syn_cookies: always}\n"
		"ports: [{device: net_ring_rig, addresses: [10.12.170.5/24, 10.12.170.6/24,"
		" 10.12.170.7/24]}]\n"
		"own_networks: [10.12.0.0/16]\n"
		"routes: [{domains: [\"*\"], to: [\"127.0.0.1:25\"]}]\n"
		"virtual_servers:\n");
	for (int i = 5; i <= 7; i++) {
		at += sprintf(at,
			"  - {name: v%d, listen: [10.12.170.%d], fqdn: mail.neulan.net,"
			" local_domains: [neulan.net]",
			i, i);
		if (i < 7) {
			at += sprintf(at, ", connections: {refuse: %s, only: [",
				i == 5 ? "drop" : "reset");
			at += put_list(at);
			at += sprintf(at, "]}");
		}
		at += sprintf(at, "}\n");
	}
	return text;
}

static struct rte_mbuf *make_syn(uint32_t to)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(link_.mbufs);
	struct frame_route route = {
		.src_mac = link_.host, .dst_mac = link_.edge, .sums = FRAME_SUMS_SOFTWARE};
	struct segment s = {.src = ip_addr_from_v4(random_source()),
		.dst = ip_addr_from_v4(to),
		.src_port = (uint16_t)(random_32() | 1024),
		.dst_port = 25,
		.seq = random_32(),
		.window = 65535,
		.flags = SEGMENT_SYN};
	uint32_t len;

	assert(m != NULL);
	s.options.has_mss = s.options.has_scale = s.options.sack_permitted =
		s.options.has_timestamp = true;
	s.options.mss = 1460;
	s.options.scale = 7;
	s.options.tsval = random_32();
	len = frame_build(&s, &route, rte_pktmbuf_mtod(m, uint8_t *), 256);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(values[0]), by_value);
	return values[n / 2];
}

// One burst in, one turn of the worker, and how many answers came out.
static double turn_cycles(uint32_t to, unsigned *answers)
{
	void *frames[PORT_BURST];
	uint64_t begin, end;
	unsigned n;

	for (unsigned i = 0; i < PORT_BURST; i++)
		frames[i] = make_syn(to);
	n = rte_ring_sp_enqueue_bulk(link_.to_edge, frames, PORT_BURST, NULL);
	assert(n == PORT_BURST);
	rig->now_us += 10;
	begin = rte_rdtsc();
	(void)worker_turn(rig->w, rig->now_us, (int64_t)rig->now_us);
	end = rte_rdtsc();
	n = rte_ring_sc_dequeue_burst(link_.from_edge, frames, PORT_BURST, NULL);
	*answers += n;
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(frames[i]);
	return (double)(end - begin) / PORT_BURST;
}

static void measure(const char *name, uint32_t to, bool answered, int rounds)
{
	static double turns[BURSTS];
	double medians[ROUNDS_MOST];

	for (int r = 0; r < rounds; r++) {
		unsigned answers = 0;

		for (int i = 0; i < BURSTS; i++)
			turns[i] = turn_cycles(to, &answers);
		if (answered)
			assert(answers == BURSTS * PORT_BURST);
		else
			assert(answers < BURSTS * PORT_BURST / 50);
		medians[r] = median(turns, BURSTS);
	}

	double middle = median(medians, rounds);

	printf("%s{\"name\": \"%s\", \"metric\": \"cycles\", \"value\": %.1f, \"unit\": \"TSC "
	       "cycles/SYN\", \"spread\": %.3f}",
		to == 0x0a0caa05 ? "[" : ",\n ", name, middle,
		(medians[rounds - 1] - medians[0]) / middle);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	char *yaml = make_yaml();

	if (rounds < 1 || rounds > ROUNDS_MOST) {
		fprintf(stderr, "usage: postern-syn [REPEAT]\n");
		return 2;
	}
	rig = turn_rig_start(yaml);
	free(yaml);
	link_ = turn_rig_link(rig);
	measure("syn_dropped_200k", 0x0a0caa05, false, rounds);
	measure("syn_reset_200k", 0x0a0caa06, true, rounds);
	measure("syn_cookie", 0x0a0caa07, true, rounds);
	printf("]\n");
	turn_rig_free(rig);
	return 0;
}
