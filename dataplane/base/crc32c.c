#include "base/crc32c.h"

#include <string.h>

#ifdef __SSE4_2__
#include <nmmintrin.h>
#endif

// One nibble at a time: 64 octets of table instead of 1 KiB, for a path that is never hot.
static const uint32_t nibbles[16] = {
	0x00000000,
	0x105ec76f,
	0x20bd8ede,
	0x30e349b1,
	0x417b1dbc,
	0x5125dad3,
	0x61c69362,
	0x7198540d,
	0x82f63b78,
	0x92a8fc17,
	0xa24bb5a6,
	0xb21572c9,
	0xc38d26c4,
	0xd3d3e1ab,
	0xe330a81a,
	0xf36e6f75,
};

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t octets)
{
	const uint8_t *at = data;

	crc = ~crc;
	for (size_t i = 0; i < octets; i++) {
		crc ^= at[i];
		crc = crc >> 4 ^ nibbles[crc & 15];
		crc = crc >> 4 ^ nibbles[crc & 15];
	}
	return ~crc;
}

#ifdef __SSE4_2__
uint32_t crc32c(uint32_t crc, const void *data, size_t octets)
{
	const uint8_t *at = data;
	uint64_t wide = (uint32_t)~crc;

	for (; octets >= sizeof(uint64_t); octets -= sizeof(uint64_t), at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		wide = _mm_crc32_u64(wide, word);
	}
	crc = (uint32_t)wide;
	for (; octets > 0; octets--)
		crc = _mm_crc32_u8(crc, *at++);
	return ~crc;
}
#else
uint32_t crc32c(uint32_t crc, const void *data, size_t octets)
{
	return crc32c_portable(crc, data, octets);
}
#endif
