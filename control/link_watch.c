#include "control/link_watch.h"

#include <inttypes.h>

#include "dataplane/port.h"
#include "net/dad.h"

enum {
	MAC_TEXT = 18,
	QUIET_S = 60,
};

static const char *mac_text(uint64_t mac, char out[MAC_TEXT])
{
	snprintf(out, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 0xff),
		(unsigned)(mac >> 32 & 0xff), (unsigned)(mac >> 24 & 0xff),
		(unsigned)(mac >> 16 & 0xff), (unsigned)(mac >> 8 & 0xff), (unsigned)(mac & 0xff));
	return out;
}

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static uint8_t state_of(const _Atomic uint8_t *state)
{
	return atomic_load_explicit(state, memory_order_relaxed);
}

static const char *address_state(uint8_t state)
{
	if (state == DAD_OWNED)
		return "ours";
	return state == DAD_TAKEN ? "taken" : "probed";
}

static const char *gateway_state(uint8_t state)
{
	switch ((enum edge_gateway_state)state) {
	case EDGE_GATEWAY_ASKED:
		return "asked";
	case EDGE_GATEWAY_REACHABLE:
		return "reachable";
	case EDGE_GATEWAY_CHECKED:
		return "being checked";
	case EDGE_GATEWAY_UNREACHABLE:
		return "unreachable";
	}
	return "-";
}

// ---- stderr

void link_watch_init(struct link_watch *watch, const struct edge *edge)
{
	*watch = (struct link_watch){.edge = edge};
}

// Over IPv4 a taken address is used on (net/dad.h).
static void say_address(
	FILE *out, const struct port *port, uint16_t i, const struct edge_address *seen)
{
	const struct ip_addr *addr = &port->iface.addresses[i].addr;
	char text[IP_ADDR_TEXT_MAX], mac[MAC_TEXT];

	(void)ip_addr_print(addr, text);
	(void)mac_text(load(&seen->other_mac), mac);
	if (state_of(&seen->state) == DAD_TAKEN)
		fprintf(out, "postern-edge: port %s: address %s is taken by %s: %s\n", port->device,
			text, mac,
			ip_addr_is_v4(addr) ? "used all the same" : "not used until it is free");
	else
		fprintf(out, "postern-edge: port %s: address %s is claimed by %s as well\n",
			port->device, text, mac);
}

// A conflict that goes on is said once a minute.
static bool is_worth_a_line(struct link_watch *watch, uint16_t p, uint16_t i)
{
	const struct edge_address *seen = &watch->edge->links[p].addresses[i];
	uint64_t conflicts = load(&seen->conflicts);
	bool more = conflicts != watch->conflicts[p][i];

	if (watch->quiet_s[p][i] > 0) {
		watch->quiet_s[p][i]--;
		return false;
	}
	watch->conflicts[p][i] = conflicts;
	if (more)
		watch->quiet_s[p][i] = QUIET_S;
	return more;
}

static void poll_addresses(struct link_watch *watch, uint16_t p, FILE *out)
{
	const struct port *port = &watch->edge->ports->ports[p];

	for (uint16_t i = 0; i < port->iface.address_count; i++) {
		const struct edge_address *seen = &watch->edge->links[p].addresses[i];
		uint8_t state = state_of(&seen->state), before = watch->states[p][i];
		char text[IP_ADDR_TEXT_MAX];

		watch->states[p][i] = state;
		if (before == DAD_TAKEN && state == DAD_OWNED)
			fprintf(out, "postern-edge: port %s: address %s is free, and ours again\n",
				port->device, ip_addr_print(&port->iface.addresses[i].addr, text));
		if (is_worth_a_line(watch, p, i))
			say_address(out, port, i, seen);
	}
}

static void poll_gateways(struct link_watch *watch, uint16_t p, FILE *out)
{
	const struct port *port = &watch->edge->ports->ports[p];

	for (uint8_t i = 0; i < port->iface.gateway_count; i++) {
		const struct edge_gateway *seen = &watch->edge->links[p].gateways[i];
		uint8_t state = state_of(&seen->state);
		bool dead = state == EDGE_GATEWAY_UNREACHABLE;
		char text[IP_ADDR_TEXT_MAX];

		if (state != EDGE_GATEWAY_REACHABLE && !dead)
			continue; // on its way to one of the two
		if (dead != (watch->gateways[p][i] == EDGE_GATEWAY_UNREACHABLE))
			fprintf(out, "postern-edge: port %s: gateway %s is %s\n", port->device,
				ip_addr_print(&port->iface.gateways[i], text),
				dead ? "unreachable" : "reachable again");
		watch->gateways[p][i] = state;
	}
}

void link_watch_poll(struct link_watch *watch, FILE *out)
{
	for (uint16_t p = 0; p < watch->edge->ports->count; p++) {
		poll_addresses(watch, p, out);
		poll_gateways(watch, p, out);
	}
}

// ---- Status

static void put_text(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, json_string(text));
}

static json_t *address_json(const struct ip_addr *addr, const struct edge_address *seen)
{
	json_t *object = json_object();
	char text[IP_ADDR_TEXT_MAX], mac[MAC_TEXT];

	put_text(object, "address", ip_addr_print(addr, text));
	put_text(object, "state", address_state(state_of(&seen->state)));
	json_object_set_new(object, "conflicts", json_integer((json_int_t)load(&seen->conflicts)));
	if (load(&seen->other_mac) != 0)
		put_text(object, "other", mac_text(load(&seen->other_mac), mac));
	return object;
}

static json_t *gateway_json(const struct ip_addr *addr, const struct edge_gateway *seen)
{
	json_t *object = json_object();
	char text[IP_ADDR_TEXT_MAX], mac[MAC_TEXT];

	put_text(object, "address", ip_addr_print(addr, text));
	put_text(object, "state", gateway_state(state_of(&seen->state)));
	if (load(&seen->mac) != 0)
		put_text(object, "mac", mac_text(load(&seen->mac), mac));
	return object;
}

void link_watch_status(json_t *port, const struct edge *edge, uint16_t index)
{
	const struct iface *iface = &edge->ports->ports[index].iface;
	json_t *addresses = json_array(), *gateways = json_array();
	char mac[MAC_TEXT];

	for (uint16_t i = 0; i < iface->address_count; i++)
		json_array_append_new(addresses,
			address_json(&iface->addresses[i].addr, &edge->links[index].addresses[i]));
	for (uint8_t i = 0; i < iface->gateway_count; i++)
		json_array_append_new(gateways,
			gateway_json(&iface->gateways[i], &edge->links[index].gateways[i]));
	put_text(port, "mac", mac_text(edge_mac(iface->mac.octets), mac));
	json_object_set_new(port, "addresses", addresses);
	json_object_set_new(port, "gateways", gateways);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "-";
}

void link_watch_print(FILE *out, const json_t *port)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(json_object_get(port, "addresses"), i, entry)
	{
		fprintf(out, "  address %s %s", text_of(entry, "address"), text_of(entry, "state"));
		if (json_object_get(entry, "other") != NULL)
			fprintf(out, ", %lld conflicts, last with %s",
				json_integer_value(json_object_get(entry, "conflicts")),
				text_of(entry, "other"));
		fprintf(out, "\n");
	}
	json_array_foreach(json_object_get(port, "gateways"), i, entry)
	{
		fprintf(out, "  gateway %s %s", text_of(entry, "address"), text_of(entry, "state"));
		if (json_object_get(entry, "mac") != NULL)
			fprintf(out, ", %s", text_of(entry, "mac"));
		fprintf(out, "\n");
	}
}
