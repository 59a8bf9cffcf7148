#include "deliver/mx_address.h"

#include <stddef.h>

// RFC 6890 and its successors: what is not of the Internet, and what stands for a v4 address behind a translator.
static const struct {
	uint8_t octets[16];
	uint8_t len;
} special[] = {
	{{[10] = 0xff, [11] = 0xff, [12] = 0}, 104},                       // 0.0.0.0/8
	{{[10] = 0xff, [11] = 0xff, [12] = 10}, 104},                      // 10.0.0.0/8
	{{[10] = 0xff, [11] = 0xff, [12] = 100, [13] = 64}, 106},          // 100.64.0.0/10, shared
	{{[10] = 0xff, [11] = 0xff, [12] = 127}, 104},                     // loopback
	{{[10] = 0xff, [11] = 0xff, [12] = 169, [13] = 254}, 112},         // link-local
	{{[10] = 0xff, [11] = 0xff, [12] = 172, [13] = 16}, 108},          // 172.16.0.0/12
	{{[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 0}, 120}, // protocol assignments
	{{[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 168}, 112},         // 192.168.0.0/16
	{{[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 18}, 111},          // benchmarks
	{{[10] = 0xff, [11] = 0xff, [12] = 224}, 99}, // multicast, reserved, broadcast
	{{0}, 96},                                    // ::, ::1, v4-compatible
	{{0x00, 0x64, 0xff, 0x9b}, 96},               // NAT64
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48},   // local NAT64
	{{0x01, 0x00}, 64},                           // discard
	{{0x20, 0x02}, 16},                           // 6to4
	{{0x20, 0x01, 0x00, 0x00}, 32},               // Teredo
	{{0xfc}, 7},                                  // unique local
	{{0xfe, 0x80}, 10},                           // link-local
	{{0xfe, 0xc0}, 10},                           // site-local
	{{0xff}, 8},                                  // multicast
};

static bool covers(const uint8_t *prefix, uint8_t len, const struct ip_addr *addr)
{
	const uint8_t whole = len / 8, rest = len % 8;

	if (memcmp(prefix, addr->octets, whole) != 0)
		return false;
	return rest == 0 ||
	       ((prefix[whole] ^ addr->octets[whole]) & (0xff << (8 - rest) & 0xff)) == 0;
}

static bool is_ours(const struct config *config, const struct ip_addr *addr)
{
	for (uint32_t p = 0; p < config->port_count; p++) {
		for (uint32_t i = 0; i < config->ports[p].address_count; i++) {
			if (ip_addr_eq(&config->ports[p].addresses[i].addr, addr))
				return true;
		}
	}
	return ip_addr_eq(&config->delivery.source, addr);
}

bool mx_address_is_allowed(const struct config *config, const struct ip_addr *addr)
{
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
		if (covers(special[i].octets, special[i].len, addr))
			return false;
	}
	return !is_ours(config, addr);
}
