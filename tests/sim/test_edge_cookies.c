// SYN cookies on the whole edge: sessions without state for their handshake, answers in the frame that asked, and policy judged again
// when a cookie comes back.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <string.h>
#include <unistd.h>

#include "edge_rig.h"

static struct rig *rig;
static const char neighbour[] =
	"10.12.170.20"; // whose station the edge knows from the first test on

#define YAML(quiet)                                                                                \
	"dataplane: {workers: [0], memory: 512MiB, huge_pages: no, syn_cookies: always}\n"         \
	"ports:\n"                                                                                 \
	"  - device: net_ring_rig\n"                                                               \
	"    addresses: [10.12.170.5/24, 10.12.170.75/24]\n"                                       \
	"    gateway: [10.12.170.1]\n"                                                             \
	"own_networks: [10.12.0.0/16]\n"                                                           \
	"routes:\n"                                                                                \
	"  - {domains: [\"*\"], to: [\"127.0.0.1:25\"]}\n"                                         \
	"virtual_servers:\n"                                                                       \
	"  - {name: default, listen: [10.12.170.5], fqdn: mail.neulan.net, local_domains: "        \
	"[neulan.net]}\n"                                                                          \
	"  - {name: quiet, listen: [10.12.170.75], fqdn: q.neulan.net, local_domains: "            \
	"[neulan.net],\n"                                                                          \
	"     connections: {" quiet "}}\n"

static uint64_t count(const _Atomic uint64_t *counter)
{
	return atomic_load(counter);
}

static struct edge_worker *worker(void)
{
	return rig_edge(rig)->workers[0];
}

static void send_mail(void)
{
	struct rig_client *c = rig_connect(rig, neighbour, "10.12.170.5");

	assert_true(rig_client_is_open(c));
	assert_non_null(strstr(rig_say(c, "", "220"), "220 "));
	assert_non_null(strstr(rig_say(c, "EHLO a.example\r\n", "250"), "250 "));
	assert_non_null(strstr(rig_say(c, "MAIL FROM:<a@example.org>\r\n", "250"), "250 "));
	assert_non_null(strstr(rig_say(c, "RCPT TO:<b@neulan.net>\r\n", "250"), "250 "));
	assert_non_null(strstr(rig_say(c, "DATA\r\n", "354"), "354"));
	assert_non_null(strstr(rig_say(c, "x\r\n.\r\n", "250"), "250 2.6.0"));
	rig_client_close(c);
	rig_run_ms(rig, 20);
}

static void test_cookie_session_sends_mail(void **state)
{
	(void)state;
	send_mail();
	assert_int_equal(count(&worker()->cookies_taken), 1);
	assert_int_equal(count(&worker()->cookies_sent), 1);
}

static struct segment syn_from(const char *src, const char *dst, uint16_t port)
{
	struct segment s = {.src_port = port,
		.dst_port = 25,
		.seq = 1000,
		.window = 1000,
		.flags = SEGMENT_SYN,
		.options = {.has_mss = true, .mss = 1400}};

	assert_true(ip_addr_parse(src, &s.src) && ip_addr_parse(dst, &s.dst));
	return s;
}

static struct frame parse(const struct rte_mbuf *m)
{
	struct slice in = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};
	struct frame f;

	assert_int_equal(frame_parse(in, 0, &f), DROP_NONE);
	return f;
}

// What comes back over the link to that port within so long, if anything; what is for others is passed over.
static struct rte_mbuf *answer(uint16_t port, unsigned ms)
{
	struct rig_link link = rig_link(rig);
	unsigned tries = 20 * ms;
	struct frame f;
	void *m;

	while (tries > 0) {
		if (rte_ring_sc_dequeue(link.from_edge, &m) != 0) {
			tries--;
			usleep(50);
			continue;
		}
		f = parse(m);
		if (f.kind == FRAME_TCP && f.tcp.dst_port == port)
			return m;
		rte_pktmbuf_free(m);
	}
	return NULL;
}

// With not one buffer left, and to somebody nobody has asked for by ARP: to the station the SYN came from.
static void test_cookie_is_written_into_the_frame_that_asked(void **state)
{
	struct rig_link link = rig_link(rig);
	struct segment syn = syn_from("198.51.100.77", "10.12.170.5", 4000);
	unsigned taken = rte_mempool_avail_count(link.mbufs) - 1;
	struct rte_mbuf *m, *all[8192];
	struct frame f;

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(link.mbufs, all, taken), 0);
	rig_inject_segment(rig, &syn);
	assert_int_equal(rte_mempool_avail_count(link.mbufs), 0);
	m = answer(4000, 1000);
	assert_non_null(m);
	f = parse(m);
	assert_memory_equal(f.dst_mac.octets, link.host.octets, 6);
	assert_memory_equal(f.src_mac.octets, link.edge.octets, 6);
	assert_int_equal(f.tcp.flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_int_equal(f.tcp.ack, 1001);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free_bulk(all, taken);
	assert_int_equal(count(&worker()->connections), 0);
}

// Answers the SYN's answer after the world has changed in between; what comes of it.
static uint8_t come_back(const char *src, const char *dst, uint16_t port, void (*change)(void))
{
	struct segment syn = syn_from(src, dst, port), ack = syn;
	struct rte_mbuf *m;
	uint8_t flags;

	rig_inject_segment(rig, &syn);
	m = answer(port, 1000);
	assert_non_null(m);
	ack.flags = SEGMENT_ACK;
	ack.seq++;
	ack.ack = parse(m).tcp.seq + 1;
	rte_pktmbuf_free(m);
	if (change != NULL)
		change();
	rig_inject_segment(rig, &ack);
	m = answer(port, 500);
	if (m == NULL)
		return 0;
	flags = parse(m).tcp.flags;
	rte_pktmbuf_free(m);
	return flags;
}

static void set_state(enum edge_vserver_state to)
{
	for (int i = 0; i < 2; i++)
		atomic_store(&rig_edge(rig)->vservers[i].state, to);
	rig_settle(rig);
}

static void drain(void)
{
	set_state(EDGE_DRAINING);
}

static void pause_all(void)
{
	set_state(EDGE_PAUSED);
}

static void test_cookie_comes_back_to_a_draining_server(void **state)
{
	(void)state;
	assert_int_equal(come_back(neighbour, "10.12.170.5", 5000, drain), SEGMENT_RST);
	// A pause is for new ones; this one has begun.
	set_state(EDGE_RUNNING);
	assert_int_equal(
		come_back(neighbour, "10.12.170.5", 5001, pause_all), SEGMENT_ACK | SEGMENT_PSH);
	set_state(EDGE_RUNNING);
}

static void refuse_by_reset(void)
{
	rig_reload(rig, YAML("only: [192.0.2.1], refuse: reset"));
}

static void refuse_by_drop(void)
{
	rig_reload(rig, YAML("only: [192.0.2.1], refuse: drop"));
}

static void refuse_by_reply(void)
{
	rig_reload(rig, YAML("only: [192.0.2.1], refuse: reply"));
}

static void test_cookie_comes_back_under_another_policy(void **state)
{
	uint64_t refused = rig_drops(rig, DROP_CONN_REFUSED);

	(void)state;
	rig_reload(rig, YAML("all_except: [192.0.2.1]"));
	assert_int_equal(come_back(neighbour, "10.12.170.75", 6000, refuse_by_reset), SEGMENT_RST);
	rig_reload(rig, YAML("all_except: [192.0.2.1]"));
	assert_int_equal(come_back(neighbour, "10.12.170.75", 6001, refuse_by_drop), 0);
	assert_int_equal(rig_drops(rig, DROP_CONN_REFUSED), refused + 2);
	// The session is opened to say 554.
	rig_reload(rig, YAML("all_except: [192.0.2.1]"));
	assert_int_equal(come_back(neighbour, "10.12.170.75", 6002, refuse_by_reply),
		SEGMENT_ACK | SEGMENT_PSH | SEGMENT_FIN);
}

// A hundred thousand SYNs from everywhere: no slot, no buffer, every one answered, and somebody else's mail goes on.
static void test_cookie_flood_costs_no_memory(void **state)
{
	enum { SYNS = 100000, AT_ONCE = 64 };
	struct rig_link link = rig_link(rig);
	unsigned before = rte_mempool_avail_count(link.mbufs);
	uint64_t sent = count(&worker()->cookies_sent), blocks = count(&worker()->blocks_free);
	uint32_t answered = 0;
	struct rte_mbuf *m;

	(void)state;
	for (uint32_t i = 0; i < SYNS; i++) {
		struct segment syn = syn_from("198.18.0.0", "10.12.170.5", 7000);

		syn.src = ip_addr_from_v4(0xc6120000 + i);
		rig_inject_segment(rig, &syn);
		if (i % AT_ONCE != 0 && i + 1 < SYNS)
			continue;
		while (answered <= i && (m = answer(7000, 1000)) != NULL) {
			answered++;
			rte_pktmbuf_free(m);
		}
	}
	assert_int_equal(answered, SYNS);
	assert_int_equal(count(&worker()->cookies_sent) - sent, SYNS);
	assert_int_equal(rte_mempool_avail_count(link.mbufs), before);
	assert_int_equal(count(&worker()->blocks_free), blocks);
	assert_int_equal(count(&worker()->handshakes_pushed_out), 0);
	send_mail();
}

static int start(void **state)
{
	(void)state;
	rig = rig_start(YAML("only: [10.12.0.0/16], refuse: drop"));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	rig_free(rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie_session_sends_mail),
		cmocka_unit_test(test_cookie_is_written_into_the_frame_that_asked),
		cmocka_unit_test(test_cookie_flood_costs_no_memory),
		cmocka_unit_test(test_cookie_comes_back_to_a_draining_server),
		cmocka_unit_test(test_cookie_comes_back_under_another_policy),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
