#include "config/schema.h"

#include <string.h>

#include "config/config.h"

const struct schema_row schema_rows[] = {
#define KEY(section_, key_, type_, struct_, field_, unit_, preset_, least_, most_, apply_, text_)  \
	{.key = (key_),                                                                            \
		.unit = (unit_),                                                                   \
		.preset = (preset_),                                                               \
		.sentence = (text_),                                                               \
		.least = (least_),                                                                 \
		.most = (most_),                                                                   \
		.offset = offsetof(struct struct_, field_),                                        \
		.section = SCHEMA_SECTION_##section_,                                              \
		.type = SCHEMA_##type_,                                                            \
		.apply = SCHEMA_##apply_},
#define MAP(section_, key_, child_, apply_, text_)                                                 \
	{.key = (key_),                                                                            \
		.unit = "keys",                                                                    \
		.sentence = (text_),                                                               \
		.section = SCHEMA_SECTION_##section_,                                              \
		.child = SCHEMA_SECTION_##child_,                                                  \
		.type = SCHEMA_MAP,                                                                \
		.apply = SCHEMA_##apply_},
#define MAPS(section_, key_, child_, struct_, field_, count_, preset_, most_, apply_, text_)       \
	{.key = (key_),                                                                            \
		.unit = "maps",                                                                    \
		.preset = (preset_),                                                               \
		.sentence = (text_),                                                               \
		.least = 1,                                                                        \
		.most = (most_),                                                                   \
		.offset = offsetof(struct struct_, field_),                                        \
		.count_offset = offsetof(struct struct_, count_),                                  \
		.element_octets = sizeof(*((struct struct_ *)0)->field_),                          \
		.section = SCHEMA_SECTION_##section_,                                              \
		.child = SCHEMA_SECTION_##child_,                                                  \
		.type = SCHEMA_MAPS,                                                               \
		.apply = SCHEMA_##apply_},
#define LATER(section_, key_, text_)                                                               \
	{.key = (key_),                                                                            \
		.unit = "",                                                                        \
		.sentence = (text_),                                                               \
		.section = SCHEMA_SECTION_##section_,                                              \
		.type = SCHEMA_LATER},
#include "config/schema.def"
#undef KEY
#undef MAP
#undef MAPS
#undef LATER
};

const size_t schema_row_count = sizeof(schema_rows) / sizeof(schema_rows[0]);

const char *schema_section_path(enum schema_section section)
{
	static const char *const paths[SCHEMA_SECTION_COUNT] = {
#define SECTION(name, path) [SCHEMA_SECTION_##name] = (path),
		SCHEMA_SECTIONS(SECTION)
#undef SECTION
	};

	return paths[section];
}

const char *schema_type_text(enum schema_type type)
{
	static const char *const texts[SCHEMA_TYPE_COUNT] = {
#define TYPE(name, text) [SCHEMA_##name] = (text),
		SCHEMA_TYPES(TYPE)
#undef TYPE
	};

	return texts[type];
}

bool schema_required(const struct schema_row *row)
{
	return row->preset != NULL && strcmp(row->preset, "required") == 0;
}

const struct schema_row *schema_find(enum schema_section section, const char *key)
{
	for (size_t i = 0; i < schema_row_count; i++) {
		if (schema_rows[i].section == section && strcmp(schema_rows[i].key, key) == 0)
			return &schema_rows[i];
	}
	return NULL;
}

enum {
	KEY_OCTETS = 32, // no key of ours is longer, so nothing longer is near one
};

static size_t least_of(size_t a, size_t b, size_t c)
{
	const size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

// Levenshtein: letters inserted, deleted or changed. Both are shorter than KEY_OCTETS.
static size_t distance(const char *a, const char *b)
{
	const size_t b_len = strlen(b);
	size_t row[KEY_OCTETS + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			const size_t changed = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least_of(row[j] + 1, row[j - 1] + 1, changed);
		}
	}
	return row[b_len];
}

const char *schema_nearest(enum schema_section section, const char *key)
{
	const size_t len = strlen(key);
	size_t nearest = len / 3 + 2; // further away is no slip of the hand
	const char *found = NULL;

	if (len == 0 || len > KEY_OCTETS)
		return NULL;
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (row->section != section || row->type == SCHEMA_LATER ||
			distance(key, row->key) >= nearest)
			continue;
		nearest = distance(key, row->key);
		found = row->key;
	}
	return found;
}

int schema_choice(const struct schema_row *row, const char *text)
{
	const size_t len = strlen(text);
	const char *at = row->unit;

	for (int number = 0;; number++) {
		const size_t choice = strcspn(at, "|");

		if (choice == len && memcmp(at, text, len) == 0)
			return number;
		if (at[choice] == '\0')
			return -1;
		at += choice + 1;
	}
}
