#include "config/reader_value.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "config/reader_list.h"
#include "config/value.h"

// Fields that carry their position are laid out as these two, so that one reader serves them all.
struct located {
	const char *text;
	struct config_pos pos;
};

#define LOCATED(type, field, pos_field)                                                            \
	static_assert(offsetof(struct type, pos_field) ==                                          \
			      offsetof(struct type, field) + offsetof(struct located, pos),        \
		"the position must follow the text")
LOCATED(config_vserver, name, pos);
LOCATED(config_vserver, log_file, log_file_pos);
LOCATED(config_vserver, tls.certificate.path, tls.certificate.pos);
LOCATED(config_vserver, tls.key.path, tls.key.pos);
LOCATED(config_port, device, pos);
LOCATED(config_guarantee, vserver, pos);

static void *field_of(const struct schema_row *row, void *base)
{
	return (uint8_t *)base + row->offset;
}

static void print_amount(const struct schema_row *row, uint64_t amount, char out[24])
{
	const bool octets = row->type == SCHEMA_OCTETS32 || row->type == SCHEMA_OCTETS64;

	if (octets && amount % (1 << 20) == 0)
		(void)snprintf(out, 24, "%luMiB", amount >> 20);
	else if (octets && amount % (1 << 10) == 0)
		(void)snprintf(out, 24, "%luKiB", amount >> 10);
	else
		(void)snprintf(out, 24, "%lu%s", amount, row->type == SCHEMA_SECONDS ? "s" : "");
}

static void read_number(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	const char *wrong;
	uint64_t value = 0;

	if (row->type == SCHEMA_OCTETS32 || row->type == SCHEMA_OCTETS64)
		wrong = value_octets(node->text, &value);
	else if (row->type == SCHEMA_SECONDS)
		wrong = value_duration(node->text, &value);
	else
		wrong = value_number(node->text, &value);
	if (!reader_accept(reader, row, node, wrong))
		return;
	if (value < row->least || value > row->most) {
		char least[24], most[24], range[80];

		print_amount(row, row->least, least);
		print_amount(row, row->most, most);
		(void)snprintf(range, sizeof(range), "expected %s to %s", least, most);
		reader_refuse(reader, row, node, range);
		return;
	}
	const uint32_t value32 = (uint32_t)value;
	const uint16_t value16 = (uint16_t)value;

	if (row->type == SCHEMA_OCTETS64)
		memcpy(field_of(row, base), &value, sizeof(value));
	else if (row->type == SCHEMA_U16)
		memcpy(field_of(row, base), &value16, sizeof(value16));
	else
		memcpy(field_of(row, base), &value32, sizeof(value32));
}

static void read_choice(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	const int choice = schema_choice(row, node->text);
	char expected[80];

	(void)snprintf(expected, sizeof(expected), "expected one of %s", row->unit);
	if (reader_accept(reader, row, node, choice < 0 ? expected : NULL))
		memcpy(field_of(row, base), &choice, sizeof(choice));
}

static void store_located(
	const struct schema_row *row, void *base, const char *text, struct config_pos pos)
{
	const struct located both = {.text = text, .pos = pos};

	memcpy(field_of(row, base), &both, sizeof(both));
}

static void store_text(const struct schema_row *row, void *base, const char *text)
{
	memcpy(field_of(row, base), &text, sizeof(text));
}

static void read_name(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	if (reader_accept(reader, row, node, value_word(node->text)))
		store_located(row, base, node->text, node->pos);
}

static void read_word(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	if (reader_accept(reader, row, node, value_word(node->text)))
		store_text(row, base, node->text);
}

static void read_host(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	if (reader_accept(reader, row, node, value_host(node->text)))
		store_text(row, base, node->text);
}

static const char *absolute(struct reader *reader, const char *path)
{
	const size_t directory = strlen(reader->directory), len = strlen(path);

	if (*path == '/')
		return path;
	char *whole = arena_take(reader->arena, directory + 1 + len + 1);

	memcpy(whole, reader->directory, directory);
	whole[directory] = '/';
	memcpy(whole + directory + 1, path, len + 1);
	return whole;
}

// NULL: refused.
static const char *path_of(
	struct reader *reader, const struct schema_row *row, const struct yaml_node *node)
{
	char too_long[64];

	if (!reader_accept(
		    reader, row, node, *node->text == '\0' ? "is empty: expected a path" : NULL))
		return NULL;
	const char *path = absolute(reader, node->text);

	(void)snprintf(too_long, sizeof(too_long), "expected at most %lu characters, from / on",
		row->most);
	return reader_accept(reader, row, node, strlen(path) > row->most ? too_long : NULL) ? path
											    : NULL;
}

static void read_path(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	const char *path = path_of(reader, row, node);

	if (path != NULL)
		store_text(row, base, path);
}

static void read_located_path(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	const char *path = path_of(reader, row, node);

	if (path != NULL)
		store_located(row, base, path, node->pos);
}

static const char *device_wrong(const char *text)
{
	if (*text == '\0' || *text == '-' || strlen(text) > 255)
		return "expected a PCI address or a device such as net_af_packet0,iface=edge0";
	for (; *text != '\0'; text++) {
		if (!isgraph((unsigned char)*text))
			return "expected a DPDK device without spaces";
	}
	return NULL;
}

static void read_device(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	if (reader_accept(reader, row, node, device_wrong(node->text)))
		store_located(row, base, node->text, node->pos);
}

static void read_source(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct ip_addr addr;

	if (reader_accept(reader, row, node, value_address(node->text, &addr)))
		memcpy(field_of(row, base), &addr, sizeof(addr));
}

static void read_understood(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_vserver *vserver = base;
	const bool understood = strcmp(node->text, "i-understand") == 0;

	if (!reader_accept(
		    reader, row, node, understood ? NULL : "expected i-understand, or no such key"))
		return;
	vserver->open_relay_understood = true;
	vserver->open_relay_pos = node->pos;
}

static void read_confirm(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	struct config_vserver *vserver = base;
	bool confirm = true;

	if (!reader_accept(reader, row, node, value_bool(node->text, &confirm)))
		return;
	vserver->forward_confirm = confirm;
	vserver->forward_confirm_pos = node->pos;
}

static void read_authenticated(struct reader *reader, const struct schema_row *row,
	const struct yaml_node *node, void *base)
{
	bool granted = false;

	(void)base;
	if (reader_accept(reader, row, node, value_bool(node->text, &granted)) && granted)
		reader_refuse(reader, row, node, "logins are " VALUE_LATER);
}

static reader_fn *const readers[SCHEMA_TYPE_COUNT] = {
	[SCHEMA_U16] = read_number,
	[SCHEMA_U32] = read_number,
	[SCHEMA_OCTETS32] = read_number,
	[SCHEMA_OCTETS64] = read_number,
	[SCHEMA_SECONDS] = read_number,
	[SCHEMA_CHOICE] = read_choice,
	[SCHEMA_WORD] = read_word,
	[SCHEMA_NAME] = read_name,
	[SCHEMA_HOST] = read_host,
	[SCHEMA_PATH] = read_path,
	[SCHEMA_LOCATED_PATH] = read_located_path,
	[SCHEMA_LOG_FILE] = read_located_path,
	[SCHEMA_DEVICE] = read_device,
	[SCHEMA_SOURCE] = read_source,
	[SCHEMA_UNDERSTOOD] = read_understood,
	[SCHEMA_CONFIRM] = read_confirm,
	[SCHEMA_AUTHENTICATED] = read_authenticated,
};

void reader_value(struct reader *reader, const struct schema_row *row, const struct yaml_node *node,
	void *base)
{
	if (readers[row->type] == NULL)
		reader_list(reader, row, node, base);
	else if (node->kind == YAML_SCALAR)
		readers[row->type](reader, row, node, base);
	else
		reader_refuse_kind(reader, row, node);
}
