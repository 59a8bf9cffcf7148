// snapshot_domains.h - a set of domains: exact names, suffixes (".example.net") and "*".
//
// Open addressing over the names, hashed with a random key: strangers choose what is looked up. Suffixes of a name are only
// tried at lengths that the set has.
//
// Thread:  built by one; read by any.
// Memory:  the arena it was built in; borrows the entries.
// Blocks:  never. Cost of a lookup: one hash, and one for each suffix length of the set that fits a dot of the name.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"
#include "base/slice.h"
#include "config/arena.h"
#include "config/config.h"

struct snapshot_domains;

size_t snapshot_domains_octets(uint32_t count);

const struct snapshot_domains *snapshot_domains_build(struct arena *arena,
	const struct config_domain *domains, uint32_t count, struct siphash_key key);

// The exact name first, then the longest suffix, then "*". NULL: not in the set.
const struct config_domain *snapshot_domains_find(
	const struct snapshot_domains *set, struct slice domain);
