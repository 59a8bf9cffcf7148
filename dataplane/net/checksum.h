// checksum.h - the Internet checksum (RFC 1071) in software, for ports that do not compute it.
//
// Thread: any. Memory: none. Cost: about a tenth of a cycle an octet for long runs.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip_addr.h"

// Running sum over octets at an even offset; start with 0. Sums of parts at even offsets may be added.
uint64_t checksum_add(uint64_t sum, const void *data, size_t octets);

// For tests: the same for a part that starts at an odd offset of the whole.
uint64_t checksum_add_odd(uint64_t sum, const void *data, size_t octets);

// Sum of the pseudo header, of v4 (RFC 9293 3.1) or v6 (RFC 8200 8.1). Both addresses of one family.
uint64_t checksum_pseudo(
	const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol, uint16_t octets);

// Fold to 16 bits, not complemented, as the octets lie in memory.
uint16_t checksum_fold(uint64_t sum);
