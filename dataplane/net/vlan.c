#include "net/vlan.h"

#include <string.h>

#include "net/octets.h"

enum {
	ADDRESSES_OCTETS = 12,
	TYPE_INNER = 0x8100,
	TYPE_OUTER = 0x88a8,
	ID_BITS = 0x0fff,
};

enum drop vlan_read(struct slice frame, struct vlan *out, uint32_t *octets)
{
	size_t at = ADDRESSES_OCTETS;

	*out = (struct vlan){.count = 0};
	for (unsigned tags = 0;; tags++, at += VLAN_TAG_OCTETS) {
		uint16_t type, id;

		if (at + 2 > frame.len)
			return DROP_ETH_SHORT;
		type = octets_get16(frame.at + at);
		*octets = (uint32_t)(at - ADDRESSES_OCTETS);
		if (type != TYPE_INNER && type != TYPE_OUTER)
			return DROP_NONE;
		if (tags == VLAN_TAGS)
			return DROP_ETH_VLAN;
		if (at + VLAN_TAG_OCTETS > frame.len)
			return DROP_ETH_SHORT;
		id = octets_get16(frame.at + at + 2) & ID_BITS;
		if (id != 0)
			out->ids[out->count++] = id;
	}
}

void vlan_strip(uint8_t *frame, uint32_t octets)
{
	memmove(frame + octets, frame, ADDRESSES_OCTETS);
}

void vlan_push(uint8_t *frame, const struct vlan *vlan)
{
	uint8_t *tag = frame + ADDRESSES_OCTETS;

	memmove(frame, frame + (size_t)vlan->count * VLAN_TAG_OCTETS, ADDRESSES_OCTETS);
	for (uint8_t i = 0; i < vlan->count; i++, tag += VLAN_TAG_OCTETS) {
		octets_put16(tag, i + 1 < vlan->count ? TYPE_OUTER : TYPE_INNER);
		octets_put16(tag + 2, vlan->ids[i]);
	}
}
