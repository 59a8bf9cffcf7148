#include "config/value.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "config/address_key.h"

// Digits at the start of text; false: none, or more than fits.
static bool take_digits(const char **text, uint64_t *out)
{
	const char *at = *text;
	uint64_t value = 0;

	if (*at < '0' || *at > '9')
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return false;
	}
	*text = at;
	*out = value;
	return true;
}

const char *value_number(const char *text, uint64_t *out)
{
	if (!take_digits(&text, out) || *text != '\0')
		return "expected a whole number";
	return NULL;
}

struct unit {
	const char *text;
	uint64_t times;
};

static bool with_unit(const char *text, const struct unit *units, size_t count, uint64_t *out)
{
	uint64_t value;

	if (!take_digits(&text, &value))
		return false;
	while (*text == ' ')
		text++;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, units[i].text) == 0)
			return !__builtin_mul_overflow(value, units[i].times, out);
	}
	return false;
}

const char *value_octets(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};

	if (with_unit(text, units, sizeof(units) / sizeof(units[0]), out))
		return NULL;
	return "expected a size in octets such as 65536, 64KiB, 512MiB or 2GiB";
}

const char *value_duration(const char *text, uint64_t *out)
{
	static const struct unit units[] = {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};

	if (with_unit(text, units, sizeof(units) / sizeof(units[0]), out))
		return NULL;
	return "expected a time with its unit such as 300s, 5m, 12h or 2d";
}

const char *value_bool(const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0 ? NULL : "expected true or false";
}

static const char *port_number(const char *text, uint16_t *out)
{
	uint64_t port;

	if (value_number(text, &port) != NULL || port == 0 || port > UINT16_MAX)
		return "expected a port from 1 to 65535";
	*out = (uint16_t)port;
	return NULL;
}

bool value_looks_like_name(const char *text)
{
	bool letter = false;

	if (*text == '/') // a regular expression
		return true;
	for (; *text != '\0'; text++) {
		if (isalpha((unsigned char)*text))
			letter = true;
		else if (!isdigit((unsigned char)*text) && strchr(".-_", *text) == NULL)
			return false;
	}
	return letter;
}

static bool is_written_v6(const char *text)
{
	return strchr(text, ':') != NULL;
}

const char *value_address(const char *text, struct ip_addr *out)
{
	if (value_looks_like_name(text))
		return "is a name: expected an address";
	if (!ip_addr_parse(text, out))
		return "expected an address such as 10.12.170.5 or 2001:db8:12::5";
	return ip_addr_is_v4(out) && is_written_v6(text)
		       ? "is IPv4 written as IPv6: expected it as IPv4"
		       : NULL;
}

// ADDRESS/LEN split and read; *written: there was a length.
static const char *split_prefix(const char *text, struct ip_addr *addr, uint8_t *len, bool *written)
{
	static const char expected[] =
		"expected an address or subnet such as 10.12.8.7, 10.12.8.0/24 or 2001:db8:12::/48";
	const char *slash = strchr(text, '/');
	const size_t octets = slash == NULL ? strlen(text) : (size_t)(slash - text);
	char address[IP_ADDR_TEXT_MAX];
	uint64_t bits = 0;

	if (value_looks_like_name(text))
		return "is a name: expected an address or subnet";
	if (octets >= sizeof(address))
		return expected;
	memcpy(address, text, octets);
	address[octets] = '\0';
	if (!ip_addr_parse(address, addr))
		return expected;
	const bool v4 = !is_written_v6(address);

	*written = slash != NULL;
	*len = ADDRESS_KEY_BITS;
	if (slash == NULL)
		return NULL;
	if (value_number(slash + 1, &bits) != NULL || (slash[1] == '0' && slash[2] != '\0'))
		return "expected a prefix length behind the slash, a number without leading zeros";
	if (v4 && bits > ADDRESS_KEY_BITS - ADDRESS_KEY_V4_LEN)
		return "expected a prefix length of at most 32";
	if (bits > ADDRESS_KEY_BITS)
		return "expected a prefix length of at most 128";
	*len = (uint8_t)(v4 ? ADDRESS_KEY_V4_LEN + bits : bits);
	return NULL;
}

static const char *refuse_mapped(const struct ip_addr *addr, uint8_t len, struct value_why *why)
{
	char text[VALUE_PREFIX_TEXT_MAX];

	(void)snprintf(why->text, sizeof(why->text),
		"is IPv4 written as IPv6: expected it as IPv4, %s",
		value_prefix_print(addr, len, text));
	return why->text;
}

const char *value_prefix(
	const char *text, struct ip_addr *addr, uint8_t *len, struct value_why *why)
{
	char net[VALUE_PREFIX_TEXT_MAX], host[IP_ADDR_TEXT_MAX];
	bool written = false;
	const char *wrong = split_prefix(text, addr, len, &written);

	if (wrong != NULL)
		return wrong;
	const address_key key = address_key_of(addr);
	const struct ip_addr first = address_key_addr(key & ~address_key_host_mask(*len));

	if (is_written_v6(text) && address_key_is_v4(key) && *len >= ADDRESS_KEY_V4_LEN) {
		*addr = first;
		return refuse_mapped(addr, *len, why);
	}
	if (ip_addr_eq(&first, addr))
		return NULL;
	(void)snprintf(why->text, sizeof(why->text),
		"has bits set behind its length: expected %s for the subnet or %s for the one "
		"address",
		value_prefix_print(&first, *len, net), ip_addr_print(addr, host));
	*addr = first;
	return why->text;
}

const char *value_interface(
	const char *text, struct ip_addr *addr, uint8_t *len, struct value_why *why)
{
	bool written = false;
	const char *wrong = split_prefix(text, addr, len, &written);

	if (wrong != NULL)
		return strchr(text, '/') == text || value_looks_like_name(text)
			       ? "expected an address with its prefix length such as "
				 "10.12.170.5/24 or 2001:db8:12::5/64"
			       : wrong;
	if (is_written_v6(text) && ip_addr_is_v4(addr))
		return "is IPv4 written as IPv6: expected it as IPv4";
	if (written)
		return NULL;
	(void)snprintf(why->text, sizeof(why->text),
		"has no prefix length: expected the subnet's as well, such as %s/%s", text,
		is_written_v6(text) ? "64" : "24");
	return why->text;
}

char *value_prefix_print(const struct ip_addr *addr, uint8_t len, char out[VALUE_PREFIX_TEXT_MAX])
{
	// ::/0 and the like begin with zeros and are never v4; a v4 prefix has at least 96 bits.
	const unsigned shown = ip_addr_is_v4(addr) ? (unsigned)len - ADDRESS_KEY_V4_LEN : len;

	(void)ip_addr_print(addr, out);
	if (len != ADDRESS_KEY_BITS)
		(void)snprintf(
			out + strlen(out), VALUE_PREFIX_TEXT_MAX - strlen(out), "/%u", shown);
	return out;
}

const char *value_endpoint(const char *text, const char **host, size_t *host_len, uint16_t *port)
{
	const char *colon = strrchr(text, ':');

	*host = text;
	*host_len = strlen(text);
	if (*text == '[') {
		const char *bracket = strchr(text, ']');

		if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
			return "expected [ADDRESS] or [ADDRESS]:PORT";
		*host = text + 1;
		*host_len = (size_t)(bracket - text) - 1;
		return bracket[1] == ':' ? port_number(bracket + 2, port) : NULL;
	}
	if (colon == NULL || strchr(text, ':') != colon) // several colons: a bare v6 address
		return NULL;
	*host_len = (size_t)(colon - text);
	return port_number(colon + 1, port);
}

static const char *label(const char **text)
{
	const char *start = *text, *at = start;

	while (isalnum((unsigned char)*at) || *at == '-')
		at++;
	*text = at;
	if (at == start)
		return *at == '\0' || *at == '.'
			       ? "has an empty label: expected names between the dots"
			       : "expected letters, digits, hyphens and dots "
				 "(international names as xn--...)";
	if (at - start > 63)
		return "has a label longer than 63 characters";
	if (*start == '-' || at[-1] == '-')
		return "has a hyphen at the edge of a label";
	return NULL;
}

static bool all_digits(const char *text)
{
	return text[strspn(text, "0123456789")] == '\0';
}

const char *value_host(const char *text)
{
	const char *at = text, *last = text;

	if (*text == '\0')
		return "is empty: expected a host name";
	if (strlen(text) > 253)
		return "is longer than 253 characters";
	for (;;) {
		last = at;
		const char *wrong = label(&at);

		if (wrong != NULL)
			return wrong;
		if (*at == '\0')
			break;
		if (*at != '.')
			return "expected letters, digits, hyphens and dots (international names as "
			       "xn--...)";
		at++;
		if (*at == '\0')
			return "ends with a dot: expected the name without it";
	}
	return all_digits(last) ? "is an address or ends with a number: expected a name" : NULL;
}

const char *value_domain(const char *text)
{
	if (strcmp(text, "*") == 0)
		return NULL;
	if (*text == '\0')
		return "is empty: expected a domain such as example.net";
	return value_host(*text == '.' ? text + 1 : text);
}

const char *value_word(const char *text)
{
	if (!isalnum((unsigned char)*text))
		return "expected a word that begins with a letter or digit";
	if (strlen(text) > LIMIT_NAME_OCTETS)
		return "is longer than 63 characters";
	for (; *text != '\0'; text++) {
		if (!isalnum((unsigned char)*text) && strchr(".-_", *text) == NULL)
			return "expected letters, digits, \".\", \"-\" and \"_\" only";
	}
	return NULL;
}
