#include "net/reassembly.h"

#include <string.h>

#include "base/limits.h"

enum {
	WAYS = 4,
	SETS = LIMIT_REASSEMBLIES / WAYS,
	UNIT = 8, // octets that offsets count in
	ALIGN = 64,
	SOURCES = 4096, // counters of incomplete packets, by hash of their source; two of each
	SWEEP_PLACES = 4,
	FIRST_LEAST = 20, // octets a first fragment has at least: a TCP header
	TIME_V4_US = 30 * 1000000,
	TIME_V6_US = 60 * 1000000, // RFC 8200 4.5
	ECN_NOT = 0,
	ECN_CE = 3,
};

// One packet, and behind it in memory its payload and one bit for each unit that is here.
struct place {
	struct ip_addr src, dst;
	uint64_t begun_us;
	uint32_t id;
	uint32_t end;     // octets of the whole; 0: not known yet
	uint32_t highest; // end of what is here
	uint32_t units;   // that are here
	uint32_t fragments;
	uint32_t source;   // its counters
	uint8_t protocol;  // v4: of all; v6: of the first fragment
	uint8_t hop_limit; // the lowest seen
	bool used;
	bool dead;        // overlapped, or too large: the rest is dropped as it comes
	bool ce, not_ect; // ECN codepoints seen (RFC 3168 5.3)
	uint8_t ecn;      // of the first that came
};

struct reassembly {
	struct reassembly_config config;
	uint32_t count;
	uint32_t sweep_at;
	uint32_t stride; // octets from one place to the next
	uint16_t of_source[2][SOURCES];
	uint8_t *places;
};

static uint32_t round_up(uint32_t octets)
{
	return (octets + ALIGN - 1) / ALIGN * ALIGN;
}

static uint32_t data_octets(const struct reassembly_config *config)
{
	return (config->packet_octets + UNIT - 1) / UNIT * UNIT;
}

static uint32_t stride_of(const struct reassembly_config *config)
{
	return round_up((uint32_t)sizeof(struct place) + data_octets(config) +
			data_octets(config) / UNIT / 8 + 1);
}

size_t reassembly_octets(const struct reassembly_config *config)
{
	return round_up(sizeof(struct reassembly)) + (size_t)stride_of(config) * LIMIT_REASSEMBLIES;
}

struct reassembly *reassembly_init(void *memory, const struct reassembly_config *config)
{
	struct reassembly *r = memory;

	r->config = *config;
	r->stride = stride_of(config);
	r->places = (uint8_t *)memory + round_up(sizeof(*r));
	return r;
}

uint32_t reassembly_count(const struct reassembly *r)
{
	return r->count;
}

static struct place *place_at(const struct reassembly *r, uint32_t n)
{
	return (struct place *)(void *)(r->places + (size_t)n * r->stride);
}

static uint8_t *data_of(struct place *p)
{
	return (uint8_t *)(p + 1);
}

static uint8_t *bits_of(const struct reassembly *r, struct place *p)
{
	return data_of(p) + data_octets(&r->config);
}

static void account(const struct reassembly *r, enum drop why, uint32_t fragments)
{
	if (fragments != 0)
		r->config.account(r->config.user, why, fragments);
}

// ---- Places

// A look at all places would cost as many cache misses, for whoever sends a first fragment. The smaller of two counters is the source's,
// or nearly so: sharing both with somebody greedy is one chance in millions, and nobody can aim at it.
static uint32_t source_of(const struct reassembly *r, const struct ip_addr *src)
{
	return (uint32_t)siphash(&r->config.key, src, sizeof(*src));
}

static uint16_t *counter_of(struct reassembly *r, uint32_t source, unsigned which)
{
	return &r->of_source[which][(which == 0 ? source : source >> 16) % SOURCES];
}

static void count_source(struct reassembly *r, uint32_t source, bool more)
{
	for (unsigned which = 0; which < 2; which++) {
		uint16_t *counter = counter_of(r, source, which);

		*counter = (uint16_t)(more ? *counter + 1 : *counter - 1);
	}
}

static bool source_has_enough(struct reassembly *r, uint32_t source)
{
	return *counter_of(r, source, 0) >= LIMIT_REASSEMBLIES_PER_SOURCE &&
	       *counter_of(r, source, 1) >= LIMIT_REASSEMBLIES_PER_SOURCE;
}

// The fragments that are here are gone for this reason, and the place is free.
static void give_up(struct reassembly *r, struct place *p, enum drop why)
{
	account(r, why, p->fragments);
	p->used = false;
	count_source(r, p->source, false);
	r->count--;
}

// The packet will not be put together; the place stays, so that fragments to come are known as its.
static void kill(const struct reassembly *r, struct place *p, enum drop why)
{
	account(r, why, p->fragments);
	p->fragments = 0;
	p->dead = true;
}

static bool is_over(const struct place *p, uint64_t now_us)
{
	uint64_t most = ip_addr_is_v4(&p->dst) ? TIME_V4_US : TIME_V6_US;

	return now_us - p->begun_us >= most;
}

static uint32_t first_of_set(const struct reassembly *r, const struct reassembly_fragment *f)
{
	struct {
		struct ip_addr src, dst;
		uint32_t id, protocol;
	} key = {f->src, f->dst, f->id, ip_addr_is_v4(&f->dst) ? f->protocol : 0};

	return (uint32_t)(siphash(&r->config.key, &key, sizeof(key)) % SETS) * WAYS;
}

// For v4 the protocol is part of a packet's name (RFC 791 3.2); for v6 only the first fragment's counts (RFC 8200 4.5).
static bool is_of(const struct place *p, const struct reassembly_fragment *f)
{
	return p->used && p->id == f->id && ip_addr_eq(&p->src, &f->src) &&
	       ip_addr_eq(&p->dst, &f->dst) &&
	       (!ip_addr_is_v4(&f->dst) || p->protocol == f->protocol);
}

static struct place *find(const struct reassembly *r, const struct reassembly_fragment *f)
{
	uint32_t first = first_of_set(r, f);

	for (uint32_t i = 0; i < WAYS; i++) {
		struct place *p = place_at(r, first + i);

		if (is_of(p, f))
			return p;
	}
	return NULL;
}

// A free place of the set, or the oldest one's: whole packets come within milliseconds, what is old will hardly be one.
static struct place *make(
	struct reassembly *r, const struct reassembly_fragment *f, uint64_t now_us)
{
	uint32_t first = first_of_set(r, f);
	struct place *best = place_at(r, first);

	for (uint32_t i = 0; i < WAYS; i++) {
		struct place *p = place_at(r, first + i);

		if (!p->used || (best->used && p->begun_us < best->begun_us))
			best = p;
	}
	if (best->used)
		give_up(r, best, DROP_FRAGMENT_PUSHED_OUT);
	memset(best, 0, sizeof(*best));
	memset(bits_of(r, best), 0, r->stride - sizeof(*best) - data_octets(&r->config));
	best->used = true;
	best->source = source_of(r, &f->src);
	count_source(r, best->source, true);
	best->src = f->src;
	best->dst = f->dst;
	best->id = f->id;
	best->protocol = f->protocol;
	best->hop_limit = f->hop_limit;
	best->ecn = f->ecn;
	best->begun_us = now_us;
	r->count++;
	return best;
}

void reassembly_sweep(struct reassembly *r, uint64_t now_us)
{
	for (uint32_t i = 0; r->count != 0 && i < SWEEP_PLACES; i++) {
		struct place *p = place_at(r, r->sweep_at);

		r->sweep_at = (r->sweep_at + 1) % LIMIT_REASSEMBLIES;
		if (p->used && is_over(p, now_us))
			give_up(r, p, DROP_FRAGMENT_TIMEOUT);
	}
}

// ---- Fragments

// What is wrong with a fragment whatever else is here.
static enum drop check(const struct reassembly *r, const struct reassembly_fragment *f)
{
	uint64_t end = (uint64_t)f->offset + f->data.len;

	if (f->data.len == 0 || (f->more && f->data.len % UNIT != 0) || end > UINT16_MAX)
		return DROP_IP_BAD;
	// The header that is to be looked at must not be spread over fragments (RFC 1858, RFC 7112).
	if (f->offset == 0 && f->data.len < FIRST_LEAST)
		return DROP_FRAGMENT_TINY;
	return end > r->config.packet_octets ? DROP_FRAGMENT_TOO_BIG : DROP_NONE;
}

static uint32_t units_of(const struct reassembly_fragment *f)
{
	return (uint32_t)(f->data.len + UNIT - 1) / UNIT;
}

// How many of the fragment's units are here already.
static uint32_t count_here(
	const struct reassembly *r, struct place *p, const struct reassembly_fragment *f)
{
	const uint8_t *bits = bits_of(r, p);
	uint32_t first = f->offset / UNIT, here = 0;

	for (uint32_t u = first; u < first + units_of(f); u++)
		here += bits[u / 8] >> (u % 8) & 1;
	return here;
}

// The end of the whole as this fragment has it contradicts what others said.
static bool end_is_wrong(const struct place *p, const struct reassembly_fragment *f)
{
	uint32_t end = f->offset + (uint32_t)f->data.len;

	if (f->more)
		return p->end != 0 && end > p->end;
	return (p->end != 0 && end != p->end) || end < p->highest;
}

// DROP_NONE: it has a place of its own in the packet.
static enum drop fits(
	const struct reassembly *r, struct place *p, const struct reassembly_fragment *f)
{
	uint32_t here = count_here(r, p, f);

	if (here == units_of(f) && !end_is_wrong(p, f) &&
		memcmp(data_of(p) + f->offset, f->data.at, f->data.len) == 0)
		return DROP_FRAGMENT_DUPLICATE;
	if (here != 0 || end_is_wrong(p, f))
		return DROP_FRAGMENT_OVERLAP;
	return p->fragments >= LIMIT_FRAGMENTS ? DROP_FRAGMENT_TINY : DROP_NONE;
}

static void put(const struct reassembly *r, struct place *p, const struct reassembly_fragment *f)
{
	uint8_t *bits = bits_of(r, p);
	uint32_t first = f->offset / UNIT, end = f->offset + (uint32_t)f->data.len;

	memcpy(data_of(p) + f->offset, f->data.at, f->data.len);
	for (uint32_t u = first; u < first + units_of(f); u++)
		bits[u / 8] |= (uint8_t)(1u << (u % 8));
	p->units += units_of(f);
	p->highest = end > p->highest ? end : p->highest;
	if (!f->more)
		p->end = end;
	if (f->offset == 0)
		p->protocol = f->protocol;
	p->hop_limit = f->hop_limit < p->hop_limit ? f->hop_limit : p->hop_limit;
	p->ce = p->ce || f->ecn == ECN_CE;
	p->not_ect = p->not_ect || f->ecn == ECN_NOT;
	p->fragments++;
}

static bool is_whole(const struct place *p)
{
	return p->end != 0 && p->units == (p->end + UNIT - 1) / UNIT;
}

// The last fragment has come: all others are accounted for, and the place is free, though its octets stay for now.
static bool finish(struct reassembly *r, struct place *p, struct reassembly_packet *out)
{
	if (p->ce && p->not_ect) {
		give_up(r, p, DROP_FRAGMENT_ECN);
		return false;
	}
	p->fragments--;
	give_up(r, p, DROP_NONE);
	*out = (struct reassembly_packet){.src = p->src,
		.dst = p->dst,
		.id = p->id,
		.protocol = p->protocol,
		.ecn = p->ce ? ECN_CE : p->ecn,
		.hop_limit = p->hop_limit,
		.data = {data_of(p), p->end}};
	return true;
}

bool reassembly_add(struct reassembly *r, const struct reassembly_fragment *f, uint64_t now_us,
	struct reassembly_packet *out)
{
	struct place *p = find(r, f);
	enum drop why = check(r, f);

	if (p != NULL && is_over(p, now_us)) {
		give_up(r, p, DROP_FRAGMENT_TIMEOUT);
		p = NULL;
	}
	if (why == DROP_NONE && p != NULL)
		why = p->dead ? DROP_FRAGMENT_OVERLAP : fits(r, p, f);
	if (why == DROP_NONE && p == NULL && source_has_enough(r, source_of(r, &f->src)))
		why = DROP_FRAGMENT_SOURCE;
	if (why != DROP_NONE) {
		account(r, why, 1);
		if (p != NULL && why != DROP_FRAGMENT_DUPLICATE)
			kill(r, p, why);
		return false;
	}
	if (p == NULL)
		p = make(r, f, now_us);
	put(r, p, f);
	return is_whole(p) && finish(r, p, out);
}
