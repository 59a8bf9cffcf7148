// Address to class and to verdict, with lists of the sizes that the budgets name.

#include <stdbool.h>
#include <stdlib.h>

#include "config/address_key.h"
#include "config/config.h"
#include "micro_tables.h"
#include "policy/class_table.h"
#include "policy/policy.h"

enum {
	ASKED = 1 << 16, // addresses, asked in turn
	MILLION = 1000000,
};

struct policy_bench {
	struct config config;
	struct config_vserver vserver;
	uint64_t random;
	struct snapshot *snapshot;
	struct class_table *table;
	struct ip_addr *asked;
	uint32_t next;
};

static struct config_prefix prefix(address_key key, unsigned len)
{
	return (struct config_prefix){
		.addr = address_key_addr(key & ~address_key_host_mask(len)), .len = (uint8_t)len};
}

// v4: 60 % single addresses, 30 % /24, 10 % shorter.
static struct config_prefix v4_prefix(uint64_t *random, uint32_t i)
{
	const unsigned len = i % 10 < 6 ? 32 : i % 10 < 9 ? 24 : 16 + i % 7;

	return prefix(ADDRESS_KEY_V4_FIRST | (uint32_t)micro_random(random), 96 + len);
}

// v6, within 2000::/3: half /64, half /48.
static struct config_prefix v6_prefix(uint64_t *random, uint32_t i)
{
	const address_key high = micro_random(random) >> 3 | UINT64_C(1) << 61;

	return prefix(high << 64, i % 2 == 0 ? 64 : 48);
}

static void fill(struct policy_bench *b, uint32_t v4, uint32_t v6)
{
	struct config_list *list = &b->vserver.relay;

	list->mode = CONFIG_LIST_ONLY;
	list->prefix_count = v4 + v6;
	list->prefixes = calloc(v4 + v6, sizeof(list->prefixes[0]));
	for (uint32_t i = 0; i < v4; i++)
		list->prefixes[i] = v4_prefix(&b->random, i);
	for (uint32_t i = 0; i < v6; i++)
		list->prefixes[v4 + i] = v6_prefix(&b->random, i);
}

static void policy_end(void *world)
{
	struct policy_bench *b = world;

	if (b->table != NULL)
		class_table_free(b->table);
	if (b->snapshot != NULL)
		snapshot_free(b->snapshot);
	free(b->vserver.relay.prefixes);
	free(b->asked);
	free(b);
}

static struct policy_bench *make(uint32_t v4, uint32_t v6, bool ask_v6)
{
	struct policy_bench *b = calloc(1, sizeof(*b));

	b->random = 88172645463325252;
	b->config.vservers = &b->vserver;
	b->config.vserver_count = 1;
	b->config.dataplane.worker_count = 1;
	b->vserver.name = "bench";
	fill(b, v4, v6);
	b->snapshot = snapshot_build(&b->config, 1);
	if (b->snapshot == NULL || class_table_build(b->snapshot, &b->table) != ERR_OK) {
		policy_end(b);
		return NULL;
	}
	b->asked = calloc(ASKED, sizeof(b->asked[0]));
	for (uint32_t i = 0; i < ASKED; i++)
		b->asked[i] = ask_v6 ? v6_prefix(&b->random, i).addr
				     : ip_addr_from_v4((uint32_t)micro_random(&b->random));
	return b;
}

static void *start_v4_200k(void)
{
	return make(200000, 0, false);
}

static void *start_1m(void)
{
	return make(MILLION, 200000, false);
}

static void *start_1m_v6(void)
{
	return make(MILLION, 200000, true);
}

static void lookup(void *world, uint64_t turns)
{
	struct policy_bench *b = world;
	uint64_t sum = 0;

	while (turns-- > 0)
		sum += class_table_lookup(b->table, &b->asked[b->next++ % ASKED]);
	micro_keep(sum);
}

static void decide(void *world, uint64_t turns)
{
	static const char foreign[] = "example.com";
	const struct slice domain = {(const uint8_t *)foreign, sizeof(foreign) - 1};
	struct policy_bench *b = world;
	uint64_t sum = 0;

	while (turns-- > 0) {
		struct policy_client client = {.vserver = 0,
			.class = class_table_lookup(b->table, &b->asked[b->next++ % ASKED])};

		sum += policy_rcpt(b->snapshot, client, domain).kind;
	}
	micro_keep(sum);
}

// The same few clients again and again: their part of the table is in the cache.
static void decide_warm(void *world, uint64_t turns)
{
	struct policy_bench *b = world;

	b->next %= 64;
	for (uint64_t done = 0; done < turns; done += 64) {
		b->next = 0;
		decide(world, turns - done < 64 ? turns - done : 64);
	}
}

const struct micro micro_policy[] = {
	{"class_lookup_v4_200k", "lookup", 1, start_v4_200k, lookup, policy_end},
	{"class_lookup_v4_1m", "lookup", 1, start_1m, lookup, policy_end},
	{"class_lookup_v6_200k", "lookup", 1, start_1m_v6, lookup, policy_end},
	{"decision_1m", "decision", 1, start_1m, decide_warm, policy_end},
	{"decision_1m_cold", "decision", 1, start_1m, decide, policy_end},
	{"decision_1m_v6", "decision", 1, start_1m_v6, decide_warm, policy_end},
	{.name = NULL},
};
