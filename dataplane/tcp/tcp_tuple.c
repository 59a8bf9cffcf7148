#include "tcp/tcp_tuple.h"

enum tag { TAG_TABLE, TAG_WIRE };

// One secret, two uses: the tag keeps a value seen on the wire from telling anything about the table.
static uint64_t keyed(const struct siphash_key *secret, const struct tcp_tuple *t, enum tag tag)
{
	struct {
		struct tcp_tuple tuple;
		uint32_t tag;
	} in = {*t, tag};

	_Static_assert(sizeof(in) == 40, "padding would be hashed");
	return siphash(secret, &in, sizeof(in));
}

struct tcp_tuple tcp_tuple_of_input(const struct segment *s)
{
	return (struct tcp_tuple){.local = s->dst,
		.peer = s->src,
		.local_port = s->dst_port,
		.peer_port = s->src_port};
}

struct tcp_tuple tcp_tuple_of_output(const struct segment *s)
{
	return (struct tcp_tuple){.local = s->src,
		.peer = s->dst,
		.local_port = s->src_port,
		.peer_port = s->dst_port};
}

uint32_t tcp_tuple_hash(const struct siphash_key *secret, const struct tcp_tuple *t)
{
	return (uint32_t)keyed(secret, t, TAG_TABLE);
}

// The halves of one result serve both: neither tells anything about the other.
struct tcp_tuple_wire tcp_tuple_wire(
	const struct siphash_key *secret, const struct tcp_tuple *t, uint64_t now_us)
{
	uint64_t both = keyed(secret, t, TAG_WIRE);

	return (struct tcp_tuple_wire){(uint32_t)(both + now_us / 4), (uint32_t)(both >> 32)};
}
