#include "config/snapshot.h"

#include <sys/random.h>

#include "config/address_key.h"
#include "config/arena.h"
#include "config/name_match.h"
#include "config/prefix_trie.h"
#include "config/snapshot_bindings.h"
#include "config/snapshot_classes.h"
#include "config/snapshot_domains.h"

enum {
	WORD_BITS = 64,
};

static uint32_t prefixes_in(const struct config *config)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->vserver_count; i++)
		count += config->vservers[i].connections.prefix_count +
			 config->vservers[i].relay.prefix_count;
	return count;
}

// Addresses that can have a virtual server: those listened on and those of our ports.
static uint32_t addresses_in(const struct config *config)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < config->vserver_count; i++)
		count += config->vservers[i].listen_count;
	for (uint32_t i = 0; i < config->port_count; i++)
		count += config->ports[i].address_count;
	return count;
}

static uint32_t words_for(const struct config *config)
{
	return (config->vserver_count * CONFIG_LISTS + WORD_BITS - 1) / WORD_BITS;
}

// A class is at most one for each node, and there are two roots besides those listed.
static uint32_t classes_for(const struct config *config)
{
	return prefixes_in(config) + 3;
}

static size_t octets_for(const struct config *config)
{
	size_t octets = 4096 + prefix_trie_octets(prefixes_in(config)) +
			snapshot_classes_octets(classes_for(config), words_for(config)) +
			snapshot_bindings_octets(addresses_in(config));

	for (uint32_t i = 0; i < config->vserver_count; i++)
		octets += sizeof(struct snapshot_vserver) +
			  snapshot_domains_octets(config->vservers[i].local_domain_count) +
			  snapshot_domains_octets(config->vservers[i].relay_domain_count);
	return octets;
}

static uint64_t worker_mask_of(
	const struct config_dataplane *dataplane, const struct config_vserver *vserver)
{
	const uint64_t all = (UINT64_C(1) << dataplane->worker_count) - 1;
	uint64_t mask = 0;

	for (uint32_t i = 0; i < dataplane->worker_count; i++) {
		for (uint32_t k = 0; k < vserver->worker_count; k++) {
			if (vserver->workers[k] == dataplane->workers[i])
				mask |= UINT64_C(1) << i;
		}
	}
	return mask != 0 ? mask : all;
}

static void fill_vserver(struct snapshot *snapshot, uint16_t index, struct siphash_key key)
{
	const struct config_vserver *from = &snapshot->config->vservers[index];

	snapshot->vservers[index] = (struct snapshot_vserver){
		.config = from,
		.index = index,
		.connect_list = (uint16_t)(index * CONFIG_LISTS + CONFIG_LIST_CONNECTIONS),
		.relay_list = (uint16_t)(index * CONFIG_LISTS + CONFIG_LIST_RELAY),
		.connect_names = from->connections.name_count > 0,
		.relay_names = from->relay.name_count > 0,
		.connect_mode = from->connections.mode,
		.relay_mode = from->relay.mode,
		.refuse = from->refuse,
		.local_domains = snapshot_domains_build(
			snapshot->arena, from->local_domains, from->local_domain_count, key),
		.relay_domains = snapshot_domains_build(
			snapshot->arena, from->relay_domains, from->relay_domain_count, key),
		.worker_mask = worker_mask_of(&snapshot->config->dataplane, from),
	};
	if (from->all_unassigned)
		snapshot->unassigned_vserver = index;
}

static void fill_bindings(struct snapshot *snapshot, struct siphash_key key)
{
	const struct config *config = snapshot->config;
	struct snapshot_bindings *bindings =
		snapshot_bindings_create(snapshot->arena, addresses_in(config), key);

	for (uint16_t v = 0; v < snapshot->vserver_count; v++) {
		for (uint32_t i = 0; i < config->vservers[v].listen_count; i++)
			snapshot_bindings_add(
				bindings, (struct snapshot_binding){
						  .addr = config->vservers[v].listen[i].addr,
						  .vserver = v,
						  .specific = true});
	}
	for (uint32_t p = 0; p < config->port_count; p++) {
		for (uint32_t i = 0; i < config->ports[p].address_count; i++)
			snapshot_bindings_add(
				bindings, (struct snapshot_binding){
						  .addr = config->ports[p].addresses[i].addr,
						  .vserver = snapshot->unassigned_vserver});
	}
	snapshot->bindings = bindings;
}

static void add_list(struct prefix_trie *trie, const struct config_list *list, uint16_t number)
{
	for (uint32_t i = 0; i < list->prefix_count; i++)
		prefix_trie_add(trie, &list->prefixes[i], number);
}

// The class of a node: what its parent is in, and its own lists. A parent comes before its children.
static uint32_t class_of_node(
	const struct prefix_trie *trie, uint32_t index, struct snapshot_classes *classes)
{
	const struct prefix_trie_node *node = &trie->nodes[index];
	uint64_t *set = snapshot_classes_next(classes);

	if (!prefix_trie_is_root(node)) {
		const size_t parent = trie->nodes[node->parent].class;

		for (uint32_t w = 0; w < classes->words; w++)
			set[w] = classes->sets[parent * classes->words + w];
	}
	for (uint32_t e = node->entry; e < trie->nodes[index + 1].entry; e++) {
		const uint16_t list = trie->entries[e].list;

		if (list != PREFIX_TRIE_NO_LIST)
			set[list / WORD_BITS] |= UINT64_C(1) << (list % WORD_BITS);
	}
	return snapshot_classes_keep(classes);
}

static void fill_trie(struct snapshot *snapshot, struct siphash_key key)
{
	const struct config *config = snapshot->config;
	struct prefix_trie *trie = prefix_trie_prepare(snapshot->arena, prefixes_in(config));
	struct snapshot_classes classes;

	for (uint16_t v = 0; v < snapshot->vserver_count; v++) {
		add_list(
			trie, &config->vservers[v].connections, snapshot->vservers[v].connect_list);
		add_list(trie, &config->vservers[v].relay, snapshot->vservers[v].relay_list);
	}
	prefix_trie_build(trie);
	snapshot_classes_init(
		&classes, snapshot->arena, classes_for(config), words_for(config), key);
	for (uint32_t n = 0; n < trie->node_count; n++)
		trie->nodes[n].class = class_of_node(trie, n, &classes);
	snapshot->trie = trie;
	snapshot->class_sets = classes.sets;
	snapshot->class_count = classes.count;
	snapshot->class_words = classes.words;
}

struct snapshot *snapshot_build(const struct config *config, uint64_t epoch)
{
	struct arena *arena = arena_create(octets_for(config));
	struct siphash_key key;

	if (arena == NULL)
		return NULL;
	if (getrandom(&key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		arena_free(arena);
		return NULL;
	}
	struct snapshot *snapshot = arena_take(arena, sizeof(*snapshot));
	*snapshot = (struct snapshot){
		.epoch = epoch,
		.config = config,
		.vserver_count = (uint16_t)config->vserver_count,
		.unassigned_vserver = SNAPSHOT_NO_VSERVER,
		.list_count = (uint16_t)(config->vserver_count * CONFIG_LISTS),
		.names = config->names != NULL,
		.arena = arena,
	};
	snapshot->vservers =
		arena_take_array(arena, config->vserver_count, sizeof(snapshot->vservers[0]));
	for (uint16_t v = 0; v < snapshot->vserver_count; v++)
		fill_vserver(snapshot, v, key);
	fill_bindings(snapshot, key);
	fill_trie(snapshot, key);
	return snapshot;
}

void snapshot_free(struct snapshot *snapshot)
{
	if (snapshot != NULL)
		arena_free(snapshot->arena); // the snapshot itself is in it
}

uint16_t snapshot_vserver_at(const struct snapshot *snapshot, const struct ip_addr *local)
{
	const struct snapshot_binding *binding = snapshot_bindings_find(snapshot->bindings, local);

	return binding == NULL ? SNAPSHOT_NO_VSERVER : binding->vserver;
}

bool snapshot_listens(const struct snapshot *snapshot, uint16_t vserver,
	const struct ip_addr *local, uint16_t port)
{
	const struct snapshot_binding *binding = snapshot_bindings_find(snapshot->bindings, local);

	if (binding == NULL || binding->vserver != vserver || vserver >= snapshot->vserver_count)
		return false;
	const struct config_vserver *config = snapshot->vservers[vserver].config;

	if (!binding->specific)
		return port == config->all_unassigned_port;
	for (uint32_t i = 0; i < config->listen_count; i++) {
		if (config->listen[i].port == port && ip_addr_eq(&config->listen[i].addr, local))
			return true;
	}
	return false;
}

uint32_t snapshot_class_of(const struct snapshot *snapshot, const struct ip_addr *client)
{
	const uint32_t node = prefix_trie_find(snapshot->trie, address_key_of(client));

	return snapshot->trie->nodes[node].class;
}

const struct config_prefix *snapshot_entry_of(
	const struct snapshot *snapshot, uint16_t list, const struct ip_addr *client)
{
	const struct prefix_trie *trie = snapshot->trie;
	uint32_t at = prefix_trie_find(trie, address_key_of(client));

	for (;;) {
		const struct prefix_trie_node *node = &trie->nodes[at];

		for (uint32_t e = node->entry; e < trie->nodes[at + 1].entry; e++) {
			if (trie->entries[e].list == list && trie->entries[e].prefix != NULL)
				return trie->entries[e].prefix;
		}
		if (prefix_trie_is_root(node))
			return NULL;
		at = node->parent;
	}
}

const struct config_list *snapshot_list_of(const struct snapshot *snapshot, uint16_t list)
{
	const struct config_vserver *v = &snapshot->config->vservers[list / CONFIG_LISTS];

	return list % CONFIG_LISTS == CONFIG_LIST_CONNECTIONS ? &v->connections : &v->relay;
}

void snapshot_name_lists(const struct snapshot *snapshot, struct name_match_scratch *scratch,
	struct slice name, uint64_t *sets)
{
	name_match_scan(snapshot->config->names, scratch, name, sets);
}

uint32_t snapshot_name_entries(const struct snapshot *snapshot, uint16_t list, struct slice name,
	const struct config_name **first)
{
	struct name_match_scratch *scratch =
		snapshot->names ? name_match_scratch_make(snapshot->config->names) : NULL;
	uint32_t count = 0;

	*first = NULL;
	if (scratch != NULL)
		count = name_match_entries(snapshot->config->names, scratch, list, name, first);
	name_match_scratch_free(scratch);
	return count;
}

void snapshot_each_prefix(const struct snapshot *snapshot, snapshot_prefix_fn *fn, void *user)
{
	const struct prefix_trie *trie = snapshot->trie;

	for (uint32_t n = 0; n < trie->node_count; n++) {
		const struct ip_addr addr = address_key_addr(trie->nodes[n].first);

		if (!fn(user, &addr, trie->nodes[n].len, trie->nodes[n].class))
			return;
	}
}

const struct config_domain *snapshot_domain_find(
	const struct snapshot_domains *set, struct slice domain)
{
	return snapshot_domains_find(set, domain);
}
