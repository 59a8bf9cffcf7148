// proof_world.h - random policies over a universe small enough to ask for every address, and answers of proofs read back.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>

#include "config/value.h"
#include "control/reach.h"
#include "tests/unit/policy_world.h"

enum {
	UNIVERSE = 1 << 16, // addresses below 10.0.0.0/16
};

#define UNIVERSE_FIRST (ADDRESS_KEY_V4_FIRST | 0x0a000000)

static inline void proof_world_fill(
	struct policy_world *world, struct config_list *list, uint32_t count)
{
	static const enum config_list_mode modes[] = {
		CONFIG_LIST_NONE, CONFIG_LIST_ONLY, CONFIG_LIST_ONLY, CONFIG_LIST_ALL_EXCEPT};

	list->mode = modes[policy_world_random(world) % 4];
	list->prefix_count = list->mode == CONFIG_LIST_NONE ? 0 : count;
	for (uint32_t i = 0; i < list->prefix_count; i++) {
		const unsigned len = (unsigned)(112 + policy_world_random(world) % 17);

		list->prefixes[i] = policy_world_prefix(
			UNIVERSE_FIRST | (policy_world_random(world) & 0xffff), len);
	}
	if (list->prefix_count > 0 && policy_world_random(world) % 4 == 0) // all of v4 as well
		list->prefixes[0] = policy_world_prefix(ADDRESS_KEY_V4_FIRST, ADDRESS_KEY_V4_LEN);
}

static inline bool proof_world_in_list(
	const struct config_list *list, address_key key, bool unwritten)
{
	switch (list->mode) {
	case CONFIG_LIST_NONE:
		return unwritten;
	case CONFIG_LIST_ONLY:
		return policy_world_listed(list, key);
	case CONFIG_LIST_ALL_EXCEPT:
		return !policy_world_listed(list, key);
	}
	return false;
}

static inline bool proof_world_expected(
	const struct config_vserver *v, address_key key, enum reach_right right)
{
	return proof_world_in_list(&v->connections, key, true) &&
	       (right == REACH_CONNECT || proof_world_in_list(&v->relay, key, false));
}

static inline struct config_prefix proof_world_prefix(const json_t *text)
{
	struct config_prefix p = {.text = json_string_value(text)};
	struct value_why why;

	assert_non_null(p.text);
	assert_null(value_prefix(p.text, &p.addr, &p.len, &why));
	return p;
}

static inline struct config_list proof_world_printed(const json_t *family)
{
	const json_t *prefixes = json_object_get(family, "prefixes"), *text;
	struct config_list list = {.mode = CONFIG_LIST_ONLY,
		.prefixes = calloc(json_array_size(prefixes) + 1, sizeof(list.prefixes[0]))};
	size_t i;

	assert_true(json_is_array(prefixes));
	json_array_foreach(prefixes, i, text) list.prefixes[list.prefix_count++] =
		proof_world_prefix(text);
	return list;
}

static inline void proof_world_name(struct policy_world *world)
{
	world->vservers[0].name = "a";
	world->vservers[1].name = "b";
	world->vservers[2].name = "c";
	world->config.path = "/etc/postern/t.yaml";
}

static inline void proof_world_init(struct policy_world *world, uint64_t seed, uint32_t count)
{
	policy_world_init(world, seed, count);
	proof_world_name(world);
	for (uint32_t v = 0; v < 3; v++) {
		proof_world_fill(world, &world->vservers[v].connections, count);
		proof_world_fill(world, &world->vservers[v].relay, count);
	}
}
