#include "config/name_match.h"

#include <assert.h>
#include <hs/hs.h>
#include <stdlib.h>
#include <string.h>

#include "config/name_pattern.h"

enum {
	WORD_BITS = 64,
	FLAGS = HS_FLAG_CASELESS | HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY,
};

// What a pattern number of the database stands for.
struct entry {
	const struct config_name *name;
	uint16_t list;
};

struct name_match {
	hs_database_t *database;
	uint32_t count;
	struct entry entries[];
};

struct name_match_scratch {
	hs_scratch_t *hs;
};

// ---- Compiling

static const struct config_list *list_of(const struct config *config, uint32_t number)
{
	const struct config_vserver *v = &config->vservers[number / CONFIG_LISTS];

	return number % CONFIG_LISTS == CONFIG_LIST_CONNECTIONS ? &v->connections : &v->relay;
}

static uint32_t count_names(const struct config *config)
{
	uint32_t count = 0;

	for (uint32_t l = 0; l < config->vserver_count * CONFIG_LISTS; l++)
		count += list_of(config, l)->name_count;
	return count;
}

static void fill_entries(struct name_match *match, const struct config *config)
{
	for (uint32_t l = 0; l < config->vserver_count * CONFIG_LISTS; l++) {
		const struct config_list *list = list_of(config, l);

		for (uint32_t i = 0; i < list->name_count; i++)
			match->entries[match->count++] =
				(struct entry){&list->names[i], (uint16_t)l};
	}
}

// As hs_compile_multi() takes them.
struct patterns {
	char (*texts)[NAME_PATTERN_EXPRESSION_MAX];
	const char **at;
	unsigned *flags, *ids;
};

static void patterns_free(struct patterns *p)
{
	free(p->texts);
	free(p->at);
	free(p->flags);
	free(p->ids);
}

static bool patterns_make(struct patterns *p, const struct name_match *match)
{
	assert(match->count > 0); // without names there is no database
	*p = (struct patterns){.texts = calloc(match->count, sizeof(p->texts[0])),
		.at = calloc(match->count, sizeof(p->at[0])),
		.flags = calloc(match->count, sizeof(p->flags[0])),
		.ids = calloc(match->count, sizeof(p->ids[0]))};
	if (p->texts == NULL || p->at == NULL || p->flags == NULL || p->ids == NULL)
		return false;
	for (uint32_t i = 0; i < match->count; i++) {
		name_pattern_expression(match->entries[i].name->text, p->texts[i]);
		p->at[i] = p->texts[i];
		p->flags[i] = FLAGS;
		p->ids[i] = i;
	}
	return true;
}

static void report(
	const struct name_match *match, struct mistakes *mistakes, const hs_compile_error_t *error)
{
	const bool of_one = error != NULL && error->expression >= 0 &&
			    (uint32_t)error->expression < match->count;
	const struct config_name *name = match->entries[of_one ? error->expression : 0].name;

	mistakes_add(mistakes, name->pos, "%s: %s",
		of_one ? mistakes_quote(name->text).text : "names of all lists together",
		error != NULL ? error->message : "no memory");
}

static bool compile(struct name_match *match, struct mistakes *mistakes)
{
	hs_compile_error_t *error = NULL;
	struct patterns p;
	bool good = patterns_make(&p, match);

	good = good && hs_compile_multi(p.at, p.flags, p.ids, match->count, HS_MODE_BLOCK, NULL,
			       &match->database, &error) == HS_SUCCESS;
	if (!good)
		report(match, mistakes, error);
	(void)hs_free_compile_error(error);
	patterns_free(&p);
	return good;
}

struct name_match *name_match_compile(const struct config *config, struct mistakes *mistakes)
{
	const uint32_t count = count_names(config);
	struct name_match *match;

	if (count == 0)
		return NULL;
	match = calloc(1, sizeof(*match) + count * sizeof(match->entries[0]));
	if (match == NULL || count > LIMIT_NAMES) {
		mistakes_add(mistakes, (struct config_pos){1, 1},
			match == NULL ? "no memory for the names"
				      : "found %u names in all lists: expected at most %u",
			count, LIMIT_NAMES);
		free(match);
		return NULL;
	}
	fill_entries(match, config);
	if (compile(match, mistakes))
		return match;
	name_match_free(match);
	return NULL;
}

void name_match_free(struct name_match *match)
{
	if (match == NULL)
		return;
	(void)hs_free_database(match->database);
	free(match);
}

uint64_t name_match_octets(const struct name_match *match)
{
	size_t octets = 0;

	(void)hs_database_size(match->database, &octets);
	return octets;
}

// ---- Matching

struct name_match_scratch *name_match_scratch_make(const struct name_match *match)
{
	struct name_match_scratch *scratch = calloc(1, sizeof(*scratch));

	if (scratch != NULL && hs_alloc_scratch(match->database, &scratch->hs) == HS_SUCCESS)
		return scratch;
	free(scratch);
	return NULL;
}

void name_match_scratch_free(struct name_match_scratch *scratch)
{
	if (scratch != NULL)
		(void)hs_free_scratch(scratch->hs);
	free(scratch);
}

struct scan {
	const struct name_match *match;
	uint64_t *sets;
	uint32_t list, first, count; // of name_match_entries(): the number wanted, what was found
};

static int on_list(
	unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *user)
{
	const struct scan *scan = user;
	const uint16_t list = scan->match->entries[id].list;

	(void)from;
	(void)to;
	(void)flags;
	scan->sets[list / WORD_BITS] |= UINT64_C(1) << (list % WORD_BITS);
	return 0;
}

static int on_entry(
	unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *user)
{
	struct scan *scan = user;

	(void)from;
	(void)to;
	(void)flags;
	if (scan->match->entries[id].list != scan->list)
		return 0;
	scan->count++;
	if (id < scan->first)
		scan->first = id;
	return 0;
}

static void scan_name(const struct name_match *match, struct name_match_scratch *scratch,
	struct slice name, match_event_handler on_match, struct scan *scan)
{
	const hs_error_t e = hs_scan(match->database, (const char *)name.at, (unsigned)name.len, 0,
		scratch->hs, on_match, scan);

	assert(e == HS_SUCCESS); // a scan that fails would let names escape a list of exceptions
	(void)e;
}

void name_match_scan(const struct name_match *match, struct name_match_scratch *scratch,
	struct slice name, uint64_t *sets)
{
	struct scan scan = {.match = match};

	scan.sets = sets;
	scan_name(match, scratch, name, on_list, &scan);
}

uint32_t name_match_entries(const struct name_match *match, struct name_match_scratch *scratch,
	uint16_t list, struct slice name, const struct config_name **first)
{
	struct scan scan = {.match = match, .list = list, .first = UINT32_MAX};

	scan_name(match, scratch, name, on_entry, &scan);
	*first = scan.count == 0 ? NULL : match->entries[scan.first].name;
	return scan.count;
}
