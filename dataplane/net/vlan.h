// vlan.h - VLAN tags (IEEE 802.1Q) and two of them (802.1ad, "QinQ"): read, taken off and put on in front of everything else, so that
// nothing between receive and transmit knows of them.
//
// Thread: any lcore. Memory: none. Blocks: never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "base/slice.h"

enum {
	VLAN_TAGS = 2, // most in one frame
	VLAN_TAG_OCTETS = 4,
	VLAN_ID_MOST = 4094,
};

// count 0: untagged.
struct vlan {
	uint8_t count;
	uint16_t ids[VLAN_TAGS]; // outer first
};

// Tags at the start of a frame, of either type in either place, since devices that take one off put it back with the other. Tags
// that carry only a priority (id 0) name no VLAN. *octets: how much all tags take.
// DROP_NONE; DROP_ETH_SHORT; DROP_ETH_VLAN: more than VLAN_TAGS.
enum drop vlan_read(struct slice frame, struct vlan *out, uint32_t *octets);

static inline bool vlan_eq(const struct vlan *a, const struct vlan *b)
{
	return a->count == b->count && (a->count < 1 || a->ids[0] == b->ids[0]) &&
	       (a->count < 2 || a->ids[1] == b->ids[1]);
}

// Move the addresses over octets of tags; the frame starts there then.
void vlan_strip(uint8_t *frame, uint32_t octets);

// Put tags into a frame that starts at frame + count * VLAN_TAG_OCTETS; afterwards it starts at frame.
void vlan_push(uint8_t *frame, const struct vlan *vlan);
