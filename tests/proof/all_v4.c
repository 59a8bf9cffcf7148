// usage: all_v4 [FILE | SEED]
//
// Asks the lcores' lookup table for each of the 2^32 addresses of IPv4, and holds the verdicts of policy/ against the prefixes that
// who-can-relay and who-can-connect print. Of a configuration, or of a random policy (SEED, default 1). A minute or two.
//
// Thread: main. Memory: EAL without huge pages. Blocks: computes.

#include <inttypes.h>
#include <rte_eal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"
#include "control/who_can.h"
#include "policy/class_table.h"
#include "policy/policy.h"
#include "tests/unit/policy_world.h"

enum {
	ENTRIES = 400, // of each list of a random policy
	RIGHTS = 2,
	MASK_BITS = 64,
};

// At this address the printed sets change: those of mask begin or end.
struct cut {
	uint64_t at, mask;
};

struct run {
	struct snapshot *snapshot;
	struct class_table *table;
	uint64_t *masks; // of each class: bit RIGHTS * vserver + right
	struct cut *cuts;
	size_t cut_count, room;
};

static void fail(const char *what)
{
	(void)fprintf(stderr, "all_v4: %s\n", what);
	exit(2);
}

static void on_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	(void)fprintf(stderr, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

static bool is_given(const struct snapshot *snapshot, struct policy_client client, unsigned right)
{
	static const struct slice foreign = {(const uint8_t *)"a.b.c.example.org", 17};

	if (policy_connect(snapshot, client).kind != POLICY_ACCEPT)
		return false;
	return right == REACH_CONNECT ||
	       policy_rcpt(snapshot, client, foreign).kind == POLICY_ACCEPT;
}

static void fill_masks(struct run *run)
{
	const struct snapshot *snapshot = run->snapshot;

	run->masks = calloc(snapshot->class_count, sizeof(run->masks[0]));
	for (uint32_t class = 0; class < snapshot->class_count; class ++) {
		for (unsigned bit = 0; bit < RIGHTS * (unsigned)snapshot->vserver_count; bit++) {
			const struct policy_client client = {
				.vserver = (uint16_t)(bit / RIGHTS), .class = class};

			if (is_given(snapshot, client, bit % RIGHTS))
				run->masks[class] |= UINT64_C(1) << bit;
		}
	}
}

static void add_cut(struct run *run, uint64_t at, unsigned bit)
{
	if (run->cut_count == run->room) {
		run->room = run->room == 0 ? 1024 : 2 * run->room;
		run->cuts = realloc(run->cuts, run->room * sizeof(run->cuts[0]));
		if (run->cuts == NULL)
			fail("no memory");
	}
	run->cuts[run->cut_count++] = (struct cut){at, UINT64_C(1) << bit};
}

static void add_prefixes(struct run *run, const json_t *prefixes, unsigned bit)
{
	const json_t *text;
	size_t i;

	json_array_foreach(prefixes, i, text)
	{
		struct value_why why;
		struct ip_addr addr;
		uint8_t len;

		if (value_prefix(json_string_value(text), &addr, &len, &why) != NULL)
			fail("a printed prefix is none");
		const uint64_t first = ip_addr_v4(&addr);

		add_cut(run, first, bit);
		add_cut(run, first + (UINT64_C(1) << (ADDRESS_KEY_BITS - len)), bit);
	}
}

static void add_answer(struct run *run, enum reach_right right)
{
	char why[WHO_CAN_WHY_MAX];
	json_t *args = json_object();
	json_t *answer = who_can(run->snapshot, right, args, REACH_PREFIXES_OFFLINE, why);

	for (uint16_t v = 0; v < run->snapshot->vserver_count; v++) {
		const json_t *object =
			json_object_get(answer, run->snapshot->vservers[v].config->name);
		const json_t *prefixes =
			json_object_get(json_object_get(object, "ipv4"), "prefixes");

		if (!json_is_array(prefixes))
			fail("no prefixes are printed");
		add_prefixes(run, prefixes, RIGHTS * v + right);
	}
	json_decref(answer);
	json_decref(args);
}

static int compare_cuts(const void *left, const void *right)
{
	const struct cut *a = left, *b = right;

	return a->at < b->at ? -1 : a->at > b->at;
}

// Addresses first up to, and without, end: all have these rights.
static uint64_t check_stretch(const struct run *run, uint64_t first, uint64_t end, uint64_t mask)
{
	uint64_t wrong = 0;

	for (uint64_t at = first; at < end; at++) {
		const struct ip_addr addr = address_key_addr(ADDRESS_KEY_V4_FIRST | at);
		char text[IP_ADDR_TEXT_MAX];

		if (run->masks[class_table_lookup(run->table, &addr)] == mask)
			continue;
		if (wrong++ == 0)
			(void)printf("%s is told wrong\n", ip_addr_print(&addr, text));
	}
	return wrong;
}

static uint64_t check_all(struct run *run)
{
	uint64_t at = 0, mask = 0, wrong = 0;

	qsort(run->cuts, run->cut_count, sizeof(run->cuts[0]), compare_cuts);
	for (size_t i = 0; i < run->cut_count; i++) {
		wrong += check_stretch(run, at, run->cuts[i].at, mask);
		at = run->cuts[i].at;
		mask ^= run->cuts[i].mask;
	}
	return wrong + check_stretch(run, at, UINT64_C(1) << 32, mask);
}

static void start_eal(void)
{
	char *eal[] = {(char[]){"all_v4"}, (char[]){"--no-huge"}, (char[]){"--no-shconf"},
		(char[]){"--no-pci"}, (char[]){"-m"}, (char[]){"512"}, (char[]){"-l"},
		(char[]){"0"}, (char[]){"--no-telemetry"}, (char[]){"--log-level=*:error"}};

	if (rte_eal_init(sizeof(eal) / sizeof(eal[0]), eal) < 0)
		fail("no EAL here");
}

// Prefixes of all lengths all over the address space, and others that nest in each other.
static void fill_list(struct policy_world *world, struct config_list *list)
{
	for (uint32_t i = 0; i < list->prefix_count; i++)
		list->prefixes[i] =
			i % 2 == 0 ? policy_world_v4(world, 32, 9) : policy_world_v4(world, 10, 7);
}

static const struct config *random_config(uint64_t seed)
{
	static struct policy_world world;
	static const char *const names[] = {"a", "b", "c"};

	policy_world_init(&world, seed, ENTRIES);
	for (unsigned v = 0; v < 3; v++) {
		world.vservers[v].name = names[v];
		fill_list(&world, &world.vservers[v].connections);
		fill_list(&world, &world.vservers[v].relay);
	}
	world.config.path = "random";
	return &world.config;
}

int main(int argc, char **argv)
{
	const bool is_seed = argc < 2 || argv[1][strspn(argv[1], "0123456789")] == '\0';
	struct run run = {.cut_count = 0};
	const struct config *config;
	uint64_t wrong;

	start_eal();
	config = is_seed ? random_config(argc < 2 ? 1 : strtoull(argv[1], NULL, 10))
			 : config_load(argv[1], -1, on_mistake, NULL);
	if (config == NULL || config->vserver_count > MASK_BITS / RIGHTS)
		fail("no configuration, or more than 32 virtual servers");
	run.snapshot = snapshot_build(config, 1);
	if (run.snapshot == NULL || class_table_build(run.snapshot, &run.table) != ERR_OK)
		fail("no memory");
	fill_masks(&run);
	add_answer(&run, REACH_CONNECT);
	add_answer(&run, REACH_RELAY);
	wrong = check_all(&run);
	(void)printf("4294967296 addresses, %u virtual servers, %u classes, %zu prefixes printed: "
		     "%" PRIu64 " told wrong\n",
		run.snapshot->vserver_count, run.snapshot->class_count, run.cut_count / 2, wrong);
	return wrong == 0 ? 0 : 1;
}
