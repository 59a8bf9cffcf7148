#include "net/arp.h"

#include <arpa/inet.h>
#include <string.h>

enum {
	ARP_OCTETS = 28,
	ARP_REQUEST = 1,
	ARP_REPLY = 2,
};

static const uint8_t arp_fixed[6] = {0, 1, 8, 0, 6, 4}; // Ethernet, IPv4, lengths 6 and 4
static const struct mac broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static uint32_t get_v4(const uint8_t *at)
{
	uint32_t v4;

	memcpy(&v4, at, 4);
	return ntohl(v4);
}

enum drop arp_parse(const struct frame *f, struct arp *out)
{
	const uint8_t *at = f->l3.at;

	if (f->l3.len < ARP_OCTETS || memcmp(at, arp_fixed, sizeof(arp_fixed)) != 0)
		return DROP_ARP_BAD;
	if (at[6] != 0 || (at[7] != ARP_REQUEST && at[7] != ARP_REPLY))
		return DROP_ARP_BAD;
	out->request = at[7] == ARP_REQUEST;
	memcpy(out->sender_mac.octets, at + 8, 6);
	out->sender = get_v4(at + 14);
	out->target = get_v4(at + 24);
	// A group address can own no IP address: an answer to it would go to everybody.
	return (out->sender_mac.octets[0] & 1) != 0 ? DROP_ARP_BAD : DROP_NONE;
}

struct arp_fields {
	uint8_t operation;
	struct mac ether_dst, sender_mac, target_mac;
	uint32_t sender, target;
};

static uint32_t build(uint8_t *out, const struct arp_fields *a)
{
	uint32_t sender = htonl(a->sender), target = htonl(a->target);

	memset(out, 0, ARP_FRAME_OCTETS);
	memcpy(out, a->ether_dst.octets, 6);
	memcpy(out + 6, a->sender_mac.octets, 6);
	out[12] = 0x08;
	out[13] = 0x06;
	memcpy(out + 14, arp_fixed, sizeof(arp_fixed));
	out[21] = a->operation;
	memcpy(out + 22, a->sender_mac.octets, 6);
	memcpy(out + 28, &sender, 4);
	memcpy(out + 32, a->target_mac.octets, 6);
	memcpy(out + 38, &target, 4);
	return ARP_FRAME_OCTETS;
}

uint32_t arp_build_request(uint8_t *out, const struct arp_ask *ask)
{
	return build(out, &(struct arp_fields){.operation = ARP_REQUEST,
				  .ether_dst = ask->dst_mac != NULL ? *ask->dst_mac : broadcast,
				  .sender_mac = ask->sender_mac,
				  .sender = ask->sender,
				  .target = ask->target});
}

uint32_t arp_build_reply(
	uint8_t *out, struct mac sender_mac, uint32_t sender, const struct arp *request)
{
	return build(out, &(struct arp_fields){.operation = ARP_REPLY,
				  .ether_dst = request->sender_mac,
				  .sender_mac = sender_mac,
				  .target_mac = request->sender_mac,
				  .sender = sender,
				  .target = request->sender});
}
