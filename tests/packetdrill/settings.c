#include "settings.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT = 4096 };

struct row {
	const char *key;
	size_t at;
	const char *sysctl; // below /proc/sys/net/ipv4
	int field;          // of the sysctl's numbers
};

#define AT(member) offsetof(struct settings, member)
static const struct row rows[] = {
	{"mtu", AT(mtu), NULL, 0},
	{"timestamps", AT(timestamps), "tcp_timestamps", 0},
	{"sack", AT(sack), "tcp_sack", 0},
	{"scale", AT(scale), "tcp_window_scaling", 0},
	{"rcvbuf", AT(rcvbuf), "tcp_rmem", 1},
	{"rcvbuf_most", AT(rcvbuf_most), "tcp_rmem", 2},
	{"sndbuf", AT(sndbuf), "tcp_wmem", 1},
	{"syn_retries", AT(syn_retries), "tcp_syn_retries", 0},
	{"notsent", AT(notsent), "tcp_notsent_lowat", 0},
	{"syncookies", AT(syncookies), "tcp_syncookies", 0},
	{"ecn", AT(ecn), "tcp_ecn", 0},
	{"sysctl", AT(sysctl), NULL, 0},
	{"trace", AT(trace), NULL, 0},
};

static uint32_t *value_of(struct settings *s, const struct row *row)
{
	return (uint32_t *)(void *)((char *)s + row->at);
}

static _Noreturn void refuse(const char *what, const char *text)
{
	fprintf(stderr, "libpostern_packetdrill: %s: %s\n", what, text);
	exit(2);
}

static uint32_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 0);

	if (end == text || *end != '\0' || n > UINT32_MAX)
		refuse("not a number", text);
	return (uint32_t)n;
}

static void set_local(struct settings *s, const char *text)
{
	struct ip_addr addr;

	// Not our own parser: it insists on the one standard form.
	if (inet_pton(AF_INET6, text, addr.octets) == 1) {
		s->local_v6 = addr;
		return;
	}

	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) != 1)
		refuse("not an address", text);
	s->local_v4 = ip_addr_from_v4(ntohl(v4));
}

static void set(struct settings *s, const char *key, const char *text)
{
	if (strcmp(key, "local_ip") == 0) {
		set_local(s, text);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(key, rows[i].key) == 0) {
			*value_of(s, &rows[i]) = number(text);
			return;
		}
	refuse("no such setting", key);
}

static void set_flags(struct settings *s, const char *flags)
{
	char text[TEXT], *rest = text, *pair;

	if (flags == NULL)
		return;
	snprintf(text, sizeof(text), "%s", flags);
	while ((pair = strsep(&rest, ",")) != NULL) {
		char *value = strchr(pair, '=');

		if (*pair == '\0')
			continue;
		if (value == NULL)
			refuse("not KEY=VALUE", pair);
		*value = '\0';
		set(s, pair, value + 1);
	}
}

// --mtu=N and --local_ip=ADDRESS of the process we are loaded into.
static void set_options(struct settings *s)
{
	char text[TEXT];
	FILE *in = fopen("/proc/self/cmdline", "r");
	size_t octets = in != NULL ? fread(text, 1, sizeof(text) - 1, in) : 0;

	if (in != NULL)
		fclose(in);
	text[octets] = '\0';
	for (char *at = text; at < text + octets; at += strlen(at) + 1) {
		if (strncmp(at, "--mtu=", 6) == 0)
			set(s, "mtu", at + 6);
		if (strncmp(at, "--local_ip=", 11) == 0)
			set(s, "local_ip", at + 11);
	}
}

static void read_sysctl(struct settings *s, const struct row *row)
{
	char path[128], text[128] = "", *at = text, *end;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", row->sysctl);
	in = fopen(path, "r");
	if (in == NULL)
		return;
	if (fgets(text, sizeof(text), in) == NULL)
		text[0] = '\0';
	fclose(in);
	for (int field = 0;; field++, at = end) {
		unsigned long long n = strtoull(at, &end, 10);

		if (end == at)
			return;
		if (field == row->field) {
			*value_of(s, row) = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
			return;
		}
	}
}

void settings_read_sysctls(struct settings *s, const char *flags)
{
	for (size_t i = 0; s->sysctl != 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].sysctl != NULL)
			read_sysctl(s, &rows[i]);
	set_flags(s, flags);
}

void settings_init(struct settings *s, const char *flags)
{
	*s = (struct settings){.mtu = 1500,
		.timestamps = 1,
		.sack = 1,
		.scale = 1,
		.rcvbuf = 131072,
		.rcvbuf_most = 6291456,
		.sndbuf = 87380,
		.syn_retries = 6,
		.notsent = UINT32_MAX,
		.ecn = 2,
		.sysctl = 1};
	set_local(s, "192.168.0.1");
	set_local(s, "fd3d:fa7b:d17d::1");
	set_options(s);
	set_flags(s, flags);
}
