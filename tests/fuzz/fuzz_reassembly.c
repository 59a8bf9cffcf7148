// Target functions: reassembly_add, reassembly_sweep
//
// Fragments of four packets with any offsets, lengths, octets and times, against a model that keeps every octet apart: a packet comes out
// when, and only when, the model has all its octets, each from one fragment or from equal copies, and one end; it is octet for octet the
// model's. Every fragment is accounted for once.

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "net/reassembly.h"

enum {
	PACKETS = 4, // as many as fit in one set of places: none is pushed out
	MOST = 512,
	OP_OCTETS = 5,
	LIFE_US = 30000000,
};

struct model {
	bool used, dead, had_ce, had_not_ect;
	uint64_t begun_us;
	uint32_t end, fragments;
	bool here[MOST];
	uint8_t octets[MOST];
};

static struct model models[PACKETS];
static uint64_t accounted;
static struct reassembly *table;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
	if (!good)
		abort();
}

static void account(void *user, enum drop why, uint32_t fragments)
{
	(void)user;
	must(fragments != 0 && why != DROP_FRAGMENT_PUSHED_OUT);
	accounted += fragments;
}

static void make_table(void)
{
	struct reassembly_config config = {
		.packet_octets = MOST, .key = {3, 4}, .account = account};
	size_t octets = reassembly_octets(&config);

	if (table == NULL)
		table = aligned_alloc(64, octets);
	must(table != NULL);
	memset((void *)table, 0, octets);
	table = reassembly_init(table, &config);
}

// What the model makes of it; true: the packet is whole.
static bool model_add(struct model *m, const struct reassembly_fragment *f, uint64_t now_us)
{
	uint32_t end = f->offset + (uint32_t)f->data.len, high = 0, here = 0, same = 0, count = 0;
	bool wrong_end;

	if (m->used && now_us - m->begun_us >= LIFE_US)
		memset(m, 0, sizeof(*m));
	if (f->data.len == 0 || (f->more && f->data.len % 8 != 0) || end > MOST ||
		(f->offset == 0 && f->data.len < 20)) {
		m->dead = m->used;
		return false;
	}
	if (!m->used) {
		m->used = true;
		m->begun_us = now_us;
	}
	if (m->dead)
		return false;
	for (uint32_t i = 0; i < MOST; i++)
		high = m->here[i] ? i + 1 : high;
	for (uint32_t i = f->offset; i < end; i++) {
		here += m->here[i];
		same += m->here[i] && m->octets[i] == f->data.at[i - f->offset];
	}
	wrong_end = f->more ? m->end != 0 && end > m->end
			    : (m->end != 0 && end != m->end) || end < high;
	if (same == f->data.len && !wrong_end)
		return false;
	if (here != 0 || wrong_end || m->fragments >= LIMIT_FRAGMENTS) {
		m->dead = true;
		return false;
	}
	for (uint32_t i = f->offset; i < end; i++) {
		m->here[i] = true;
		m->octets[i] = f->data.at[i - f->offset];
	}
	m->end = f->more ? m->end : end;
	m->fragments++;
	m->had_ce = m->had_ce || f->ecn == 3;
	m->had_not_ect = m->had_not_ect || f->ecn == 0;
	for (uint32_t i = 0; i < m->end; i++)
		count += m->here[i];
	return m->end != 0 && count == m->end;
}

static void check_whole(struct model *m, bool got, const struct reassembly_packet *packet)
{
	bool good = !(m->had_ce && m->had_not_ect);

	must(got == good);
	if (got) {
		must(packet->data.len == m->end);
		must(memcmp(packet->data.at, m->octets, m->end) == 0);
	}
	memset(m, 0, sizeof(*m));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t octets[256];
	uint64_t now_us = 1, added = 0, made = 0, here = 0;

	make_table();
	memset(models, 0, sizeof(models));
	accounted = 0;
	for (; size >= OP_OCTETS; data += OP_OCTETS, size -= OP_OCTETS) {
		struct model *m = &models[data[0] & 3];
		struct reassembly_fragment f = {.src = ip_addr_from_v4(0x0a000001),
			.dst = ip_addr_from_v4(0x0a000002),
			.id = data[0] & 3,
			.offset = (uint32_t)data[1] * 8,
			.more = (data[0] & 4) != 0,
			.protocol = 6,
			.ecn = data[0] >> 3 & 3,
			.data = {octets, data[2]}};
		struct reassembly_packet packet;
		bool got;

		// Mostly the same octets at the same offsets, so that copies are equal.
		for (uint32_t i = 0; i < sizeof(octets); i++)
			octets[i] = (uint8_t)(f.offset + i + (data[3] == 1 ? 1u : 0u));
		now_us += (uint64_t)data[4] * data[4] * 1000;
		got = reassembly_add(table, &f, now_us, &packet);
		added++;
		made += got;
		if (model_add(m, &f, now_us))
			check_whole(m, got, &packet);
		else
			must(!got);
	}
	// Everything that waits is given up in the end.
	for (int i = 0; i < LIMIT_REASSEMBLIES; i++)
		reassembly_sweep(table, now_us + LIFE_US);
	here = reassembly_count(table);
	must(here == 0);
	must(added == accounted + made);
	return 0;
}
