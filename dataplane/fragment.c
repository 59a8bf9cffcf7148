#include "dataplane/fragment.h"

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/transmit.h"
#include "net/cut.h"
#include "net/reassembly.h"

enum {
	V6_LEAST_MTU = 1280, // nobody knows the path to who pings us (RFC 8200 5)
};

struct fragments {
	struct reassembly *table;
	uint8_t whole[FRAME_ETHER_OCTETS + IP_V6_OCTETS + LIMIT_REASSEMBLY_OCTETS];
};

static void account(void *worker, enum drop why, uint32_t fragments)
{
	struct worker *w = worker;

	edge_count(why == DROP_NONE ? &w->shared->handled : &w->shared->drops[why], fragments);
}

struct fragments *fragment_make(struct worker *w, const struct siphash_key *key)
{
	struct reassembly_config config = {.packet_octets = LIMIT_REASSEMBLY_OCTETS,
		.key = *key,
		.account = account,
		.user = w};
	struct fragments *fragments = rte_zmalloc("fragments", sizeof(*fragments), 64);
	void *table = rte_zmalloc("reassembly", reassembly_octets(&config), 64);

	if (fragments == NULL || table == NULL)
		return NULL;
	fragments->table = reassembly_init(table, &config);
	return fragments;
}

// ---- Larger than a frame

// The fragment of an answer that starts at offset, as a frame. NULL: no buffer.
static struct rte_mbuf *put_part(struct worker *w, const struct frame *request,
	const struct cut *cut, struct slice payload, uint32_t *offset)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->common->mbufs);
	uint8_t *out;

	if (m == NULL)
		return NULL;
	out = rte_pktmbuf_mtod(m, uint8_t *);
	frame_put_ether(out, &request->dst_mac, &request->src_mac, &cut->ip.dst);
	m->data_len = (uint16_t)(FRAME_ETHER_OCTETS +
				 cut_put(cut, payload, *offset, out + FRAME_ETHER_OCTETS, offset));
	m->pkt_len = m->data_len;
	return m;
}

// The answer is in w->fragments->whole, and leaves in pieces by the port it came from. The id is that of the request: as good as who
// pings us made it.
static void send_cut(struct worker *w, unsigned port, const struct frame *request, uint32_t id)
{
	bool v4 = ip_addr_is_v4(&request->ip.dst);
	const uint8_t *l4 = w->fragments->whole + FRAME_ETHER_OCTETS + ip_octets(&request->ip.dst);
	const struct slice payload = {l4, request->ip.l4.len};
	const struct cut cut = {.ip = {.src = request->ip.dst,
					.dst = request->ip.src,
					.protocol = request->ip.protocol,
					.hop_limit = IP_HOP_LIMIT,
					.may_be_cut = true,
					.fragment.id = id},
		.mtu = v4 ? w->common->ports->ports[port].iface.mtu : V6_LEAST_MTU};

	for (uint32_t offset = 0; offset < payload.len;) {
		struct rte_mbuf *m = put_part(w, request, &cut, payload, &offset);

		if (m == NULL) {
			edge_count(&w->shared->tx_dropped, 1);
			return;
		}
		transmit_frame(w, port, m);
	}
}

// ---- Whole packets

// Ethernet and IP header and what was put together. Returns the octets of the frame.
static uint32_t write_whole(
	uint8_t *out, const struct frame *f, const struct reassembly_packet *packet)
{
	const struct ip_fields ip = {.src = packet->src,
		.dst = packet->dst,
		.protocol = packet->protocol,
		.hop_limit = packet->hop_limit,
		.ecn = packet->ecn,
		.fragment.id = packet->id,
		.may_be_cut = true,
		.l4_octets = (uint16_t)packet->data.len};
	uint32_t headers = FRAME_ETHER_OCTETS + ip_octets(&packet->dst);

	frame_put_ether(out, &f->src_mac, &f->dst_mac, &packet->dst);
	(void)ip_put(out + FRAME_ETHER_OCTETS, &ip);
	memcpy(out + headers, packet->data.at, packet->data.len);
	return headers + (uint32_t)packet->data.len;
}

// Takes m, whose octets are in the table.
static struct rte_mbuf *in_one_frame(
	struct rte_mbuf *m, const struct frame *f, const struct reassembly_packet *packet)
{
	uint16_t port = m->port;

	rte_pktmbuf_reset(m);
	m->port = port;
	m->data_len = (uint16_t)write_whole(rte_pktmbuf_mtod(m, uint8_t *), f, packet);
	m->pkt_len = m->data_len;
	return m;
}

static enum drop answer_large(struct worker *w, unsigned port, const struct frame *f,
	const struct reassembly_packet *packet)
{
	struct frame whole;
	struct slice octets = {w->fragments->whole, write_whole(w->fragments->whole, f, packet)};
	enum drop why = frame_parse(octets, FRAME_IP_SUM_GOOD, &whole);

	if (why != DROP_NONE)
		return why;
	if (whole.kind != FRAME_ECHO)
		return DROP_FRAGMENT_TOO_BIG;
	(void)frame_echo_reply(&whole, w->fragments->whole);
	send_cut(w, port, &whole, packet->id);
	return DROP_NONE;
}

// As large as what may leave again in one frame; of what is never sent back, as large as may come.
static uint32_t most_in_one(
	const struct worker *w, unsigned port, const struct reassembly_packet *packet)
{
	return packet->protocol == IP_PROTOCOL_ICMP6 ? V6_LEAST_MTU
						     : w->common->ports->ports[port].iface.mtu;
}

struct rte_mbuf *fragment_join(struct worker *w, struct rte_mbuf *m, const struct frame *f)
{
	const struct reassembly_fragment part = {.src = f->ip.src,
		.dst = f->ip.dst,
		.id = f->ip.fragment.id,
		.offset = f->ip.fragment.offset,
		.more = f->ip.fragment.more,
		.protocol = f->ip.protocol,
		.ecn = f->ip.ecn,
		.hop_limit = f->ip.hop_limit,
		.data = f->ip.l4};
	struct reassembly_packet packet;

	if (!reassembly_add(w->fragments->table, &part, w->now_us, &packet)) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	edge_count(&w->shared->reassembled, 1);
	if (ip_octets(&packet.dst) + packet.data.len <= most_in_one(w, m->port, &packet))
		return in_one_frame(m, f, &packet);
	edge_account(w->shared, answer_large(w, m->port, f, &packet));
	rte_pktmbuf_free(m);
	return NULL;
}

void fragment_poll(struct worker *w)
{
	reassembly_sweep(w->fragments->table, w->now_us);
	atomic_store_explicit(&w->shared->reassembling, reassembly_count(w->fragments->table),
		memory_order_relaxed);
}
