#include "net/checksum.h"

#include <arpa/inet.h>
#include <string.h>

uint64_t checksum_add(uint64_t sum, const void *data, size_t octets)
{
	const uint8_t *at = data;

	// Words of 64 bits, the carry of each addition back at the bottom (RFC 1071 2): half the steps of 32 bit ones.
	for (; octets >= 8; octets -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, 8);
		sum += word;
		sum += sum < word;
	}
	sum = (sum >> 32) + (sum & 0xffffffff);
	if (octets >= 4) {
		uint32_t word;

		memcpy(&word, at, 4);
		sum += word;
		octets -= 4;
		at += 4;
	}
	if (octets >= 2) {
		uint16_t half;

		memcpy(&half, at, 2);
		sum += half;
		octets -= 2;
		at += 2;
	}
	return octets != 0 ? sum + *at : sum;
}

uint64_t checksum_add_odd(uint64_t sum, const void *data, size_t octets)
{
	uint16_t part = checksum_fold(checksum_add(0, data, octets));

	return sum + (uint16_t)(part << 8 | part >> 8);
}

uint64_t checksum_pseudo(
	const struct ip_addr *src, const struct ip_addr *dst, uint8_t protocol, uint16_t octets)
{
	uint16_t tail[2] = {htons(protocol), htons(octets)};
	// The ffff of a v4-mapped address is zero in this arithmetic, so one sum serves both families.
	uint64_t sum = checksum_add(0, src->octets, sizeof(src->octets));

	sum = checksum_add(sum, dst->octets, sizeof(dst->octets));
	return checksum_add(sum, tail, sizeof(tail));
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}
