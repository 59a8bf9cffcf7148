#include "lookup/dns_name.h"

#include <stdint.h>
#include <stdio.h>

enum {
	LABEL_MOST = 63,
};

// Lower case; 0: not of a host name.
static char host_char(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
		return (char)c;
	return 0;
}

// One label to the end of text. Its octets in the wire form, with the length; 0: not good.
static size_t read_label(struct slice wire, char text[DNS_NAME_OCTETS], size_t *len)
{
	const size_t n = wire.at[0];

	if (n > LABEL_MOST || n + 1 > wire.len || *len + n + 2 > DNS_NAME_OCTETS)
		return 0;
	if (*len > 0)
		text[(*len)++] = '.';
	for (size_t i = 0; i < n; i++) {
		text[*len] = host_char(wire.at[1 + i]);
		if (text[(*len)++] == 0)
			return 0;
	}
	return n + 1;
}

bool dns_name_read(struct slice wire, char text[DNS_NAME_OCTETS])
{
	size_t len = 0;

	while (wire.len > 0 && wire.at[0] != 0) {
		const size_t used = read_label(wire, text, &len);

		if (used == 0)
			return false;
		wire.at += used;
		wire.len -= used;
	}
	text[len] = '\0';
	return wire.len > 0;
}

void dns_name_of_address(const struct ip_addr *addr, char text[DNS_NAME_OCTETS])
{
	const uint8_t *o = addr->octets;
	size_t len = 0;

	if (ip_addr_is_v4(addr)) {
		snprintf(text, DNS_NAME_OCTETS, "%u.%u.%u.%u.in-addr.arpa", o[15], o[14], o[13],
			o[12]);
		return;
	}
	for (int i = 15; i >= 0; i--)
		len += (size_t)snprintf(
			text + len, DNS_NAME_OCTETS - len, "%x.%x.", o[i] & 15, o[i] >> 4);
	snprintf(text + len, DNS_NAME_OCTETS - len, "ip6.arpa");
}
