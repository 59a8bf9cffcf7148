#include "config/snapshot_domains.h"

#include <stdbool.h>
#include <string.h>

struct slot {
	const struct config_domain *domain; // NULL: free
	uint32_t hash, len;
};

struct snapshot_domains {
	struct siphash_key key;
	const struct config_domain *any; // "*"
	uint64_t suffix_lens[LIMIT_DOMAIN_OCTETS / 64 +
			     1]; // bit n: a suffix of n octets, its dot included
	uint32_t mask;
	struct slot slots[];
};

// At most half full, and one slot always free, so that every probe ends.
static uint32_t slots_for(uint32_t count)
{
	uint32_t slots = 2;

	while (slots < 2 * (uint64_t)count)
		slots *= 2;
	return slots;
}

size_t snapshot_domains_octets(uint32_t count)
{
	return sizeof(struct snapshot_domains) + slots_for(count) * sizeof(struct slot) +
	       ARENA_ALIGNMENT;
}

static const struct config_domain *find(const struct snapshot_domains *set, struct slice name)
{
	const uint32_t hash = (uint32_t)siphash(&set->key, name.at, name.len);

	for (uint32_t at = hash & set->mask;; at = (at + 1) & set->mask) {
		const struct slot *slot = &set->slots[at];

		if (slot->domain == NULL)
			return NULL;
		if (slot->hash == hash && slot->len == name.len &&
			memcmp(slot->domain->name, name.at, name.len) == 0)
			return slot->domain;
	}
}

static void insert(struct snapshot_domains *set, const struct config_domain *domain)
{
	const struct slice name = {(const uint8_t *)domain->name, strlen(domain->name)};
	const uint32_t hash = (uint32_t)siphash(&set->key, name.at, name.len);
	uint32_t at = hash & set->mask;

	if (name.len > LIMIT_DOMAIN_OCTETS || find(set, name) != NULL)
		return;
	while (set->slots[at].domain != NULL)
		at = (at + 1) & set->mask;
	set->slots[at] = (struct slot){domain, hash, (uint32_t)name.len};
	if (domain->name[0] == '.')
		set->suffix_lens[name.len / 64] |= UINT64_C(1) << (name.len % 64);
}

const struct snapshot_domains *snapshot_domains_build(struct arena *arena,
	const struct config_domain *domains, uint32_t count, struct siphash_key key)
{
	const uint32_t slots = slots_for(count);
	struct snapshot_domains *set =
		arena_take(arena, sizeof(*set) + slots * sizeof(struct slot));

	set->key = key;
	set->mask = slots - 1;
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(domains[i].name, "*") == 0)
			set->any = &domains[i];
		else
			insert(set, &domains[i]);
	}
	return set;
}

static bool has_suffix_of(const struct snapshot_domains *set, size_t len)
{
	return set->suffix_lens[len / 64] >> (len % 64) & 1;
}

const struct config_domain *snapshot_domains_find(
	const struct snapshot_domains *set, struct slice domain)
{
	if (domain.len == 0 || domain.len > LIMIT_DOMAIN_OCTETS)
		return NULL;
	const struct config_domain *found = domain.at[0] == '.' ? NULL : find(set, domain);

	for (size_t i = 1; found == NULL && i + 1 < domain.len; i++) {
		if (domain.at[i] == '.' && has_suffix_of(set, domain.len - i))
			found = find(set, (struct slice){domain.at + i, domain.len - i});
	}
	return found != NULL ? found : set->any;
}
