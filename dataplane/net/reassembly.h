// reassembly.h - IP fragments put together again (RFC 791, RFC 8200 4.5, RFC 5722), within bounds (FragmentSmack).
//
// Fragments that overlap end their packet, for IPv4 as for IPv6: nobody sends such but who wants two readers to see two packets. What
// comes of it later is dropped as well, until its time is over. A copy of a fragment that is here already is dropped alone.
//
// Thread:  the lcore that owns the table.
// Memory:  given at init: a fixed number of packets, each of a fixed size. A full set of places gives up its oldest packet.
// Blocks:  never. Cost: a fragment is copied once; its place is one bit for each 8 octets, whatever the order. Packets of a source are
//          counted by its hash: no look at all places.
// Clock:   an argument.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/ip_addr.h"
#include "base/siphash.h"
#include "base/slice.h"

struct reassembly;

struct reassembly_config {
	uint32_t packet_octets; // longest payload put together, without IP headers
	struct siphash_key key; // so that nobody can aim at one set of places
	// A fragment is done with: dropped, or part of a packet that is whole. Called for all but the one that completes a packet, which
	// is the caller's to account for.
	void (*account)(void *user, enum drop why, uint32_t fragments);
	void *user;
};

struct reassembly_fragment {
	struct ip_addr src, dst;
	uint32_t id;
	uint32_t offset;  // octets
	bool more;        // others follow behind it
	uint8_t protocol; // v4: of the header; v6: next header of the fragment header
	uint8_t ecn;      // SEGMENT_ECN_*
	uint8_t hop_limit;
	struct slice data;
};

// A packet put together. data lives until the next call.
struct reassembly_packet {
	struct ip_addr src, dst;
	uint32_t id;
	uint8_t protocol, ecn, hop_limit;
	struct slice data;
};

size_t reassembly_octets(const struct reassembly_config *config);

// memory: reassembly_octets() octets, zeroed, aligned to 64.
struct reassembly *reassembly_init(void *memory, const struct reassembly_config *config);

// True: *out is whole. False: the fragment waits for others, or was dropped, which account() has heard.
bool reassembly_add(struct reassembly *r, const struct reassembly_fragment *f, uint64_t now_us,
	struct reassembly_packet *out);

// Give up packets whose time is over: looks at a few places a call.
void reassembly_sweep(struct reassembly *r, uint64_t now_us);

// Packets that wait for fragments.
uint32_t reassembly_count(const struct reassembly *r);
