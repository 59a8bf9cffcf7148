#include "load_plan.h"

#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "load_message.h"

enum {
	SMTP_PORT = 25,
	GIVE_UP_S = 60,
	WEIGHT_MOST = 100,
};

static const char usage[] =
	"usage: postern-load --to ADDRESS[:PORT] [OPTION...]\n"
	"Load an SMTP server, and say what it did: over kernel sockets, or with --device over DPDK "
	"and a TCP of its own.\n"
	"\n"
	"What\n"
	"  --kind KIND            mails (default), sessions, refused, idle, syn-flood\n"
	"  --connections N        at once (20)\n"
	"  --mails-a-session N    then QUIT and a new session; 0: no end (0)\n"
	"  --size N[*W],...       octets of a mail, W of them each round (4096)\n"
	"  --messages DIR         send the files of DIR in turn instead\n"
	"  --pipelining           MAIL, RCPT and DATA in one flight\n"
	"  --from, --rcpt, --helo what is said (load@example.com, user@example.com, "
	"load.example.com)\n"
	"How long and how fast\n"
	"  --count N              mails or sessions; 0: until the time is over (0)\n"
	"  --seconds S            0: until the count is done (10 without --count)\n"
	"  --rate R               mails (or sessions, SYNs) a second by the clock, whatever the "
	"server does; 0: as fast as it goes (0)\n"
	"  --ramp S               open the connections evenly over S seconds (0)\n"
	"  --give-up S            a reply that takes longer is a failure (60)\n"
	"Where from\n"
	"  --sources A[/LEN] | A+N  client addresses: one, a prefix, or N from A on; with --device "
	"they need not exist elsewhere\n"
	"  --device DEVICE        DPDK device, for instance "
	"net_memif0,role=client,socket=/run/load.sock\n"
	"  --gateway ADDRESS      next hop, with --device and a target that is not on the link\n"
	"  --router ADDRESS       with --device: play the server's gateway as well\n"
	"  --lcore N              CPU of the loop, with --device (0)\n"
	"How it is told\n"
	"  --json                 the result as JSON on stdout\n"
	"  --html FILE            and as a page with plots\n"
	"  --quiet                no line each second\n"
	"Exit status: 0 all sessions did as meant, 1 some failed or nothing was done, 2 usage.\n";

static const char *const kind_texts[] = {
#define KIND(name, text, about) text,
	LOAD_KINDS(KIND)
#undef KIND
};

const char *load_plan_kind(enum load_kind kind)
{
	return kind_texts[kind];
}

struct ip_addr load_plan_source(const struct load_plan *plan, uint32_t n)
{
	struct ip_addr addr = plan->source;
	uint32_t carry = plan->sources == 0 ? 0 : n % plan->sources;

	for (int i = 15; i >= 0 && carry > 0; i--) {
		carry += addr.octets[i];
		addr.octets[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return addr;
}

static bool wrong(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "postern-load: --%s %s: expected %s\n", option, value, expected);
	return false;
}

static bool read_count(const char *option, const char *text, uint64_t most, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	if (end == text || *end != '\0' || *text == '-' || *out > most)
		return wrong(option, text, "a number in range");
	return true;
}

static bool read_real(const char *option, const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	if (end == text || *end != '\0' || !(*out >= 0 && *out < 1e12))
		return wrong(option, text, "a number, 0 or more");
	return true;
}

static bool read_kind(const char *text, enum load_kind *out)
{
	for (unsigned i = 0; i < LOAD_KIND_COUNT; i++) {
		if (strcmp(text, kind_texts[i]) == 0) {
			*out = (enum load_kind)i;
			return true;
		}
	}
	return wrong("kind", text, "mails, sessions, refused, idle or syn-flood");
}

// ADDRESS, V4:PORT or [V6]:PORT
static bool read_target(const char *text, struct load_plan *plan)
{
	char address[IP_ADDR_TEXT_MAX + 2];
	const char *colon = strrchr(text, ':');
	uint64_t port = SMTP_PORT;
	const bool v6 = strchr(text, ':') != colon;
	size_t len = strlen(text);

	if (colon != NULL && (!v6 || (text[0] == '[' && colon[-1] == ']'))) {
		if (!read_count("to", colon + 1, 65535, &port))
			return false;
		len = (size_t)(colon - text);
	}
	if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len >= sizeof(address))
		return wrong("to", text, "ADDRESS or ADDRESS:PORT");
	memcpy(address, text, len);
	address[len] = '\0';
	plan->port = (uint16_t)port;
	return ip_addr_parse(address, &plan->target) ||
	       wrong("to", text, "ADDRESS or ADDRESS:PORT");
}

static bool read_sources(const char *text, struct load_plan *plan)
{
	char address[IP_ADDR_TEXT_MAX];
	const size_t len = strcspn(text, "/+");
	uint64_t n = 1;

	if (len >= sizeof(address))
		return wrong("sources", text, "ADDRESS, ADDRESS/LEN or ADDRESS+N");
	memcpy(address, text, len);
	address[len] = '\0';
	if (!ip_addr_parse(address, &plan->source))
		return wrong("sources", text, "ADDRESS, ADDRESS/LEN or ADDRESS+N");
	const uint64_t bits = ip_addr_is_v4(&plan->source) ? 32 : 128;

	plan->source_len = (uint8_t)bits;
	if (text[len] == '+' && !read_count("sources", text + len + 1, 1 << 24, &n))
		return false;
	if (text[len] == '/') {
		if (!read_count("sources", text + len + 1, bits, &n))
			return false;
		plan->source_len = (uint8_t)n;
		n = bits - n > 24 ? 1 << 24 : UINT64_C(1) << (bits - n);
	}
	plan->sources = n == 0 ? 1 : (uint32_t)n;
	return true;
}

static bool add_message(struct load_plan *plan, struct slice message)
{
	if (message.at == NULL)
		return false;
	plan->messages[plan->message_count++] = message;
	return true;
}

static bool add_sizes(struct load_plan *plan, const char *text)
{
	while (*text != '\0') {
		char *end;
		const unsigned long long octets = strtoull(text, &end, 10);
		unsigned long weight = 1;

		if (end != text && *end == '*')
			weight = strtoul(end + 1, &end, 10);
		if (end == text || (*end != ',' && *end != '\0') || octets < LOAD_MESSAGE_LEAST ||
			octets > LOAD_MESSAGE_MOST || weight == 0 || weight > WEIGHT_MOST ||
			plan->message_count + weight > LOAD_MESSAGES)
			return wrong("size", text, "OCTETS or OCTETS*WEIGHT, from 128 octets on");
		for (unsigned long i = 0; i < weight; i++) {
			if (!add_message(plan, load_message_made(octets)))
				return false;
		}
		text = *end == ',' ? end + 1 : end;
	}
	return true;
}

static bool add_files(struct load_plan *plan, const char *path)
{
	DIR *dir = opendir(path);
	bool good = dir != NULL;

	if (dir == NULL) {
		perror(path);
		return false;
	}
	for (const struct dirent *e = readdir(dir);
		good && e != NULL && plan->message_count < LOAD_MESSAGES; e = readdir(dir)) {
		char name[4096];
		struct stat st;

		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			good = add_message(plan, load_message_read(name));
	}
	closedir(dir);
	if (good && plan->message_count == 0)
		return wrong("messages", path, "a directory with files");
	return good;
}

static const struct option options[] = {
	{"to", required_argument, NULL, 't'},
	{"kind", required_argument, NULL, 'k'},
	{"connections", required_argument, NULL, 'c'},
	{"mails-a-session", required_argument, NULL, 'm'},
	{"size", required_argument, NULL, 's'},
	{"messages", required_argument, NULL, 'M'},
	{"pipelining", no_argument, NULL, 'p'},
	{"from", required_argument, NULL, 'f'},
	{"rcpt", required_argument, NULL, 'r'},
	{"helo", required_argument, NULL, 'e'},
	{"count", required_argument, NULL, 'n'},
	{"seconds", required_argument, NULL, 'S'},
	{"rate", required_argument, NULL, 'R'},
	{"ramp", required_argument, NULL, 'a'},
	{"give-up", required_argument, NULL, 'g'},
	{"sources", required_argument, NULL, 'i'},
	{"device", required_argument, NULL, 'd'},
	{"gateway", required_argument, NULL, 'G'},
	{"router", required_argument, NULL, 'o'},
	{"lcore", required_argument, NULL, 'l'},
	{"json", no_argument, NULL, 'j'},
	{"html", required_argument, NULL, 'H'},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static bool read_number(struct load_plan *plan, int option, const char *text)
{
	uint64_t n = 0;

	switch (option) {
	case 'c':
		if (!read_count("connections", text, LOAD_CONNECTIONS, &n))
			return false;
		plan->connections = (uint32_t)n;
		return n > 0 || wrong("connections", text, "at least 1");
	case 'm':
		if (!read_count("mails-a-session", text, UINT32_MAX, &n))
			return false;
		plan->mails_a_session = (uint32_t)n;
		return true;
	case 'n':
		return read_count("count", text, UINT64_MAX, &plan->count);
	case 'l':
		if (!read_count("lcore", text, 127, &n))
			return false;
		plan->lcore = (unsigned)n;
		return true;
	case 'S':
		return read_real("seconds", text, &plan->seconds);
	case 'R':
		return read_real("rate", text, &plan->rate);
	case 'a':
		return read_real("ramp", text, &plan->ramp_s);
	default:
		return read_real("give-up", text, &plan->give_up_s);
	}
}

static bool read_text(struct load_plan *plan, int option, const char *text)
{
	switch (option) {
	case 't':
		return read_target(text, plan);
	case 'k':
		return read_kind(text, &plan->kind);
	case 's':
		return add_sizes(plan, text);
	case 'M':
		return add_files(plan, text);
	case 'i':
		return read_sources(text, plan);
	case 'G':
		return ip_addr_parse(text, &plan->gateway) || wrong("gateway", text, "an address");
	case 'o':
		return ip_addr_parse(text, &plan->router) || wrong("router", text, "an address");
	case 'f':
		plan->sender = text;
		return strlen(text) < 256 || wrong("from", text, "at most 255 octets");
	case 'r':
		plan->recipient = text;
		return strlen(text) < 256 || wrong("rcpt", text, "at most 255 octets");
	case 'e':
		plan->helo = text;
		return strlen(text) < 256 || wrong("helo", text, "at most 255 octets");
	case 'd':
		plan->device = text;
		return true;
	case 'H':
		plan->html = text;
		return true;
	default:
		return read_number(plan, option, text);
	}
}

static bool read_flag(struct load_plan *plan, int option)
{
	plan->pipelining = plan->pipelining || option == 'p';
	plan->json = plan->json || option == 'j';
	plan->quiet = plan->quiet || option == 'q';
	return option == 'p' || option == 'j' || option == 'q';
}

static bool complete(struct load_plan *plan)
{
	if (plan->port == 0) {
		fputs("postern-load: --to says which server; --help shows the rest\n", stderr);
		return false;
	}
	if (plan->count == 0 && plan->seconds <= 0)
		plan->seconds = 10;
	if (plan->kind == LOAD_SYN_FLOOD && plan->device == NULL)
		return wrong("kind", "syn-flood",
			"--device with it: the kernel does not send what it did not connect");
	if (plan->device != NULL && plan->sources == 0)
		return wrong(
			"device", plan->device, "--sources with it: the addresses of the clients");
	if (plan->sources > 0 && ip_addr_is_v4(&plan->source) != ip_addr_is_v4(&plan->target))
		return wrong("sources", "", "the family of --to");
	return plan->message_count > 0 || add_sizes(plan, "4096");
}

bool load_plan_read(struct load_plan *plan, int argc, char **argv, int *exit_status)
{
	*plan = (struct load_plan){.kind = LOAD_MAILS,
		.connections = 20,
		.helo = "load.example.com",
		.sender = "load@example.com",
		.recipient = "user@example.com",
		.give_up_s = GIVE_UP_S};
	*exit_status = 2;
	for (;;) {
		const int option = getopt_long(argc, argv, "h", options, NULL);

		if (option == -1)
			break;
		if (option == 'h') {
			fputs(usage, stdout);
			*exit_status = 0;
			return false;
		}
		if (option == '?' || (!read_flag(plan, option) && !read_text(plan, option, optarg)))
			return false;
	}
	if (optind < argc)
		return wrong("", argv[optind], "options only");
	return complete(plan);
}

void load_plan_free(struct load_plan *plan)
{
	for (uint32_t i = 0; i < plan->message_count; i++)
		load_message_free(plan->messages[i]);
}
