// address_key.h - an address as one number of 128 bits: the order of tries and sets.
//
// v4 lives in its mapped block (::ffff:0:0/96), as in struct ip_addr. The two families are kept apart: a v6 prefix that is
// short enough to contain that block (::/0, say) means v6 addresses only, since no packet has both.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/ip_addr.h"

// The one typedef of a value here: C17 has no word for it, and every use would need __extension__.
__extension__ typedef unsigned __int128 address_key;

enum {
	ADDRESS_KEY_BITS = 128,
	ADDRESS_KEY_V4_LEN = 96, // length of the mapped block, and of 0.0.0.0/0
};

#define ADDRESS_KEY_MAX      (~(address_key)0)
#define ADDRESS_KEY_V4_FIRST ((address_key)0xffff << 32)
#define ADDRESS_KEY_V4_LAST  (ADDRESS_KEY_V4_FIRST | 0xffffffffU)

static inline address_key address_key_of(const struct ip_addr *a)
{
	uint64_t high, low;

	memcpy(&high, a->octets, 8);
	memcpy(&low, a->octets + 8, 8);
	return (address_key)__builtin_bswap64(high) << 64 | __builtin_bswap64(low);
}

static inline struct ip_addr address_key_addr(address_key key)
{
	const uint64_t high = __builtin_bswap64((uint64_t)(key >> 64));
	const uint64_t low = __builtin_bswap64((uint64_t)key);
	struct ip_addr a;

	memcpy(a.octets, &high, 8);
	memcpy(a.octets + 8, &low, 8);
	return a;
}

static inline bool address_key_is_v4(address_key key)
{
	return key >> 32 == 0xffff;
}

// Ones where a prefix of this length leaves the address free.
static inline address_key address_key_host_mask(unsigned len)
{
	return len == 0 ? ADDRESS_KEY_MAX : ((address_key)1 << (ADDRESS_KEY_BITS - len)) - 1;
}

static inline address_key address_key_last(address_key first, unsigned len)
{
	return first | address_key_host_mask(len);
}

static inline bool address_key_covers(address_key first, unsigned len, address_key key)
{
	return ((first ^ key) & ~address_key_host_mask(len)) == 0;
}

// Whether this is a v6 prefix around the whole mapped block.
static inline bool address_key_straddles(address_key first, unsigned len)
{
	return len < ADDRESS_KEY_V4_LEN && address_key_covers(first, len, ADDRESS_KEY_V4_FIRST);
}
