// Target functions: config_load, snapshot_build, policy_connect, policy_rcpt
//
// Any text is either a configuration or a sorted list of mistakes, each with a place in the text and a message fit for a
// terminal. A configuration that is accepted compiles, and at the edges of all its prefixes nobody outside own_networks relays,
// unless it says that this is understood.

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/address_key.h"
#include "config/config.h"
#include "config/snapshot.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	uint32_t lines, count;
	struct config_pos last;
};

static void on_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct seen *seen = user;

	if (strcmp(path, "fuzz.yaml") != 0 || *message == '\0')
		abort();
	if (pos.line < 1 || pos.column < 1 || pos.line > seen->lines + 1)
		abort();
	if (pos.line < seen->last.line ||
		(pos.line == seen->last.line && pos.column < seen->last.column))
		abort();
	for (; *message != '\0'; message++) {
		if ((unsigned char)*message < 0x20 || *message == 0x7f)
			abort();
	}
	seen->last = pos;
	seen->count++;
}

static bool is_own(const struct config *config, address_key key)
{
	for (uint32_t i = 0; i < config->own_network_count; i++) {
		const struct config_prefix *own = &config->own_networks[i];

		if (address_key_covers(address_key_of(&own->addr), own->len, key))
			return true;
	}
	return false;
}

static void try_address(const struct snapshot *snapshot, uint16_t vserver, address_key key)
{
	static const struct slice foreign = {(const uint8_t *)"a.b.c.d.example.org", 19};
	const struct ip_addr addr = address_key_addr(key);
	const struct policy_client client = {
		.vserver = vserver, .class = snapshot_class_of(snapshot, &addr)};

	if (policy_connect(snapshot, client).kind != POLICY_ACCEPT)
		return;
	const struct policy_verdict verdict = policy_rcpt(snapshot, client, foreign);

	if (verdict.kind == POLICY_ACCEPT && verdict.rule == POLICY_RULE_RELAY_LIST &&
		!is_own(snapshot->config, key))
		abort();
}

static void try_edges(
	const struct snapshot *snapshot, uint16_t vserver, const struct config_list *list)
{
	for (uint32_t i = 0; i < list->prefix_count; i++) {
		const address_key first = address_key_of(&list->prefixes[i].addr);
		const address_key last = address_key_last(first, list->prefixes[i].len);

		try_address(snapshot, vserver, first);
		try_address(snapshot, vserver, first - 1);
		try_address(snapshot, vserver, last);
		try_address(snapshot, vserver, last + 1);
	}
}

static void check_accepted(const struct config *config)
{
	struct snapshot *snapshot = snapshot_build(config, 1);

	if (snapshot == NULL)
		abort();
	for (uint16_t v = 0; v < snapshot->vserver_count; v++) {
		const struct config_vserver *vserver = &config->vservers[v];

		if (snapshot->vservers[v].worker_mask == 0)
			abort();
		for (uint32_t i = 0; i < vserver->listen_count; i++) {
			if (!snapshot_listens(
				    snapshot, v, &vserver->listen[i].addr, vserver->listen[i].port))
				abort();
		}
		if (vserver->open_relay_understood)
			continue;
		try_edges(snapshot, v, &vserver->relay);
		try_edges(snapshot, v, &vserver->connections);
		try_address(snapshot, v, ADDRESS_KEY_V4_FIRST | 0xc0000201);
		try_address(snapshot, v, (address_key)0x20010db8 << 96);
	}
	snapshot_free(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct seen seen = {.lines = 1};

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	for (size_t i = 0; i < size; i++)
		seen.lines += data[i] == '\n';
	struct config *config = config_load("fuzz.yaml", fd, on_mistake, &seen);
	(void)close(fd);
	if ((config == NULL) != (seen.count > 0))
		abort();
	if (config != NULL)
		check_accepted(config);
	config_free(config);
	return 0;
}
