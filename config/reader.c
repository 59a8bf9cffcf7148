#include "config/reader.h"

#include <assert.h>
#include <string.h>

#include "config/reader_value.h"
#include "config/value.h"

static void read_value(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base);

void reader_remark(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong)
{
	if (node->kind == YAML_SCALAR)
		mistakes_add(reader->mistakes, node->pos, "%s: found %s: %s", row->key,
			mistakes_quote(node->text).text, wrong);
	else
		mistakes_add(reader->mistakes, node->pos, "%s: found %s: %s", row->key,
			yaml_kind_text(node), wrong);
}

void reader_refuse(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong)
{
	reader_remark(reader, row, node, wrong);
	if (strstr(wrong, VALUE_LATER) == NULL)
		reader->lost++;
}

void reader_refuse_kind(
	struct reader *reader, const struct schema_row *row, const struct yaml_node *node)
{
	reader->lost++;
	mistakes_add(reader->mistakes, node->pos, "%s: found %s: expected %s%s%s", row->key,
		yaml_kind_text(node), schema_type_text(row->type),
		row->type == SCHEMA_CHOICE ? " " : "", row->type == SCHEMA_CHOICE ? row->unit : "");
}

bool reader_accept(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, const char *wrong)
{
	if (wrong != NULL)
		reader_refuse(reader, row, node, wrong);
	return wrong == NULL;
}

// Messages about an element name its own place, not that of its first key.
static void note_start(enum schema_section section, void *base, struct config_pos pos)
{
	switch (section) {
	case SCHEMA_SECTION_VSERVER:
		((struct config_vserver *)base)->pos = pos;
		break;
	case SCHEMA_SECTION_PORT:
		((struct config_port *)base)->pos = pos;
		break;
	case SCHEMA_SECTION_ROUTE:
		((struct config_route *)base)->pos = pos;
		break;
	case SCHEMA_SECTION_GUARANTEE:
		((struct config_guarantee *)base)->pos = pos;
		break;
	case SCHEMA_SECTION_DATAPLANE:
	case SCHEMA_SECTION_TOP:
	case SCHEMA_SECTION_CONTROL:
	case SCHEMA_SECTION_DELIVERY:
	case SCHEMA_SECTION_DNS:
	case SCHEMA_SECTION_CONNECTIONS:
	case SCHEMA_SECTION_RELAY:
	case SCHEMA_SECTION_TLS:
	case SCHEMA_SECTION_LOG:
	case SCHEMA_SECTION_GUARANTEED:
	case SCHEMA_SECTION_GUARANTEED_CONNECT:
	case SCHEMA_SECTION_COUNT:
		break;
	}
}

static void read_maps(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *list, void *base)
{
	uint8_t *elements, *field = (uint8_t *)base + row->offset;
	uint32_t count = 0;

	if (list->kind != YAML_LIST) {
		reader_refuse_kind(reader, row, list);
		return;
	}
	if (list->count < row->least || list->count > row->most) {
		reader->lost++;
		mistakes_add(reader->mistakes, list->pos,
			"%s: found %u: expected %lu to %lu of them", row->key, list->count,
			row->least, row->most);
		return;
	}
	elements = arena_take_array(reader->arena, list->count, row->element_octets);
	for (const struct yaml_node *node = list->first; node != NULL; node = node->next) {
		if (node->refused) {
			reader->lost++;
			continue;
		}
		if (node->kind != YAML_MAP) {
			reader->lost++;
			mistakes_add(reader->mistakes, node->pos, "%s: found %s: expected keys",
				row->key, yaml_kind_text(node));
			continue;
		}
		uint8_t *element = elements + count++ * row->element_octets;

		note_start(row->child, element, node->pos);
		reader_read_map(reader, row->child, node, element);
	}
	memcpy(field, &elements, sizeof(elements));
	memcpy((uint8_t *)base + row->count_offset, &count, sizeof(count));
}

static void read_value(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	if (node->refused) {
		reader->lost++;
		return;
	}
	if (row->type == SCHEMA_LATER) {
		mistakes_add(reader->mistakes, node->key_pos, "%s is " VALUE_LATER, row->key);
		return;
	}
	if (yaml_is_nothing(node)) {
		reader_refuse_kind(reader, row, node);
		return;
	}
	if (row->type == SCHEMA_MAPS) {
		read_maps(reader, row, node, base);
		return;
	}
	if (row->type != SCHEMA_MAP) {
		reader_value(reader, row, node, base);
		return;
	}
	if (row->child == SCHEMA_SECTION_TLS)
		((struct config_vserver *)base)->tls.pos = node->key_pos;
	if (node->kind == YAML_MAP)
		reader_read_map(reader, row->child, node, (uint8_t *)base + row->offset);
	else
		reader_refuse_kind(reader, row, node);
}

static void read_preset(struct reader *reader, const struct schema_row *row, void *base)
{
	const struct yaml_node node = {.kind = YAML_SCALAR, .text = row->preset, .plain = true};

	reader_value(reader, row, &node, base);
}

// A key that was meant and misspelt is not absent: what depends on it is not judged.
static void refuse_unknown(
	struct reader *reader, enum schema_section section, const struct yaml_node *node)
{
	// Those that are only counted need no suggestion, which costs the length of both keys.
	const bool told = reader->mistakes->count < MISTAKES_KEPT;
	const char *nearest = told ? schema_nearest(section, node->key) : NULL;
	const bool top = section == SCHEMA_SECTION_TOP;

	mistakes_add(reader->mistakes, node->key_pos, "unknown key %s%s%s: %s%s%s",
		mistakes_quote(node->key).text, top ? "" : " in ", schema_section_path(section),
		nearest == NULL ? "expected one of those in the reference" : "did you mean ",
		nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
	if (nearest == NULL)
		return;
	reader->lost++;
	if (top)
		reader->bad[schema_find(section, nearest) - schema_rows] = true;
}

static void read_key(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	const uint32_t before = reader->lost;

	reader->pos[row - schema_rows] = node->pos;
	read_value(reader, row, node, base);
	if (row->section == SCHEMA_SECTION_TOP && reader->lost != before)
		reader->bad[row - schema_rows] = true;
}

// Keys that were not written. A map that is not there still has the defaults of its own keys.
static void read_rest(
	struct reader *reader, const struct schema_row *row, struct config_pos pos, void *base)
{
	static const struct yaml_node empty = {.kind = YAML_MAP, .text = ""};

	if (row->type == SCHEMA_MAP) {
		reader_read_map(reader, row->child, &empty, (uint8_t *)base + row->offset);
		return;
	}
	if (!schema_required(row)) {
		if (row->preset != NULL)
			read_preset(reader, row, base);
		return;
	}
	if (row->section == SCHEMA_SECTION_TOP)
		reader->bad[row - schema_rows] = true;
	reader->lost++;
	if (!reader->broken)
		mistakes_add(reader->mistakes, pos, "%s is missing%s%s: expected %s", row->key,
			row->section == SCHEMA_SECTION_TOP ? "" : " in ",
			schema_section_path(row->section), schema_type_text(row->type));
}

void reader_read_map(
	struct reader *reader, enum schema_section section, const struct yaml_node *map, void *base)
{
	const struct yaml_node *seen[SCHEMA_ROWS_MOST] = {NULL};

	assert(schema_row_count <= SCHEMA_ROWS_MOST);
	for (const struct yaml_node *node = map->first; node != NULL; node = node->next) {
		const struct schema_row *row = schema_find(section, node->key);

		if (row == NULL) {
			if (!node->refused)
				refuse_unknown(reader, section, node);
			continue;
		}
		const struct yaml_node **first = &seen[row - schema_rows];

		if (*first != NULL) {
			mistakes_add(reader->mistakes, node->key_pos,
				"key %s is there twice: the first is on line %u", row->key,
				(*first)->key_pos.line);
			continue;
		}
		*first = node;
		read_key(reader, row, node, base);
	}
	for (size_t i = 0; i < schema_row_count; i++) {
		if (schema_rows[i].section == section && seen[i] == NULL)
			read_rest(reader, &schema_rows[i], map->pos, base);
	}
}

bool reader_is_good(const struct reader *reader, const char *top_key)
{
	const struct schema_row *row = schema_find(SCHEMA_SECTION_TOP, top_key);

	return !reader->bad[row - schema_rows];
}

struct config_pos reader_pos(
	const struct reader *reader, enum schema_section section, const char *key)
{
	return reader->pos[schema_find(section, key) - schema_rows];
}
