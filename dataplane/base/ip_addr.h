// ip_addr.h - one address, v4 or v6. A v4 address is held v4-mapped (::ffff:a.b.c.d, RFC 4291 2.5.5.2),
// so that keys, comparisons and logs have one shape for both families.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	uint8_t octets[16]; // network order
};

enum {
	IP_ADDR_TEXT_MAX = 46, // octets with the final NUL
};

// v4 in host byte order.
static inline struct ip_addr ip_addr_from_v4(uint32_t v4)
{
	return (struct ip_addr){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (uint8_t)(v4 >> 24),
		(uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4}};
}

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(a->octets, mapped, sizeof(mapped)) == 0;
}

// The v4 address in host byte order. Only for ip_addr_is_v4().
static inline uint32_t ip_addr_v4(const struct ip_addr *a)
{
	return (uint32_t)a->octets[12] << 24 | (uint32_t)a->octets[13] << 16 |
	       (uint32_t)a->octets[14] << 8 | a->octets[15];
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

// "::", which no packet but a probe of neighbour discovery comes from.
static inline bool ip_addr_is_unspecified(const struct ip_addr *a)
{
	static const struct ip_addr unspecified;

	return ip_addr_eq(a, &unspecified);
}

// "192.0.2.1" or "2001:db8::1" (RFC 5952). out has IP_ADDR_TEXT_MAX octets; returns out.
char *ip_addr_print(const struct ip_addr *a, char out[IP_ADDR_TEXT_MAX]);

// Read one address without a prefix length. False: not an address in its standard form.
bool ip_addr_parse(const char *text, struct ip_addr *out);
