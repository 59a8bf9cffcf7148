// reference.c - prints config/reference.md from the schema table. With a path: exit 1 when that file says something else.
//
// Thread: main. Memory: the page. Blocks: reads a file.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"

static void print_amount(FILE *out, const struct schema_row *row, uint64_t amount)
{
	const bool octets = row->type == SCHEMA_OCTETS32 || row->type == SCHEMA_OCTETS64;

	if (octets && amount % (1 << 20) == 0)
		(void)fprintf(out, "%luMiB", amount >> 20);
	else if (octets)
		(void)fprintf(out, "%luKiB", amount >> 10);
	else
		(void)fprintf(out, "%lu%s", amount, row->type == SCHEMA_SECONDS ? "s" : "");
}

// A path has a length and a list has a number of entries; both are bounds, not ranges of values.
static void print_range(FILE *out, const struct schema_row *row)
{
	switch (row->type) {
	case SCHEMA_U16:
	case SCHEMA_U32:
	case SCHEMA_OCTETS32:
	case SCHEMA_OCTETS64:
	case SCHEMA_SECONDS:
		print_amount(out, row, row->least);
		(void)fputs(" to ", out);
		print_amount(out, row, row->most);
		return;
	case SCHEMA_PATH:
	case SCHEMA_LOCATED_PATH:
	case SCHEMA_LOG_FILE:
		(void)fprintf(out, "at most %lu characters", row->most);
		return;
	case SCHEMA_VLANS:
	case SCHEMA_LCORES:
	case SCHEMA_PREFIXES:
	case SCHEMA_ONLY:
	case SCHEMA_ALL_EXCEPT:
	case SCHEMA_NAMES:
	case SCHEMA_DOMAINS:
	case SCHEMA_ROUTE_DOMAINS:
	case SCHEMA_LISTEN:
	case SCHEMA_INTERFACES:
	case SCHEMA_HOPS:
	case SCHEMA_DNS_SERVERS:
	case SCHEMA_MAPS:
		(void)fprintf(out, "%lu to %lu entries", row->least, row->most);
		return;
	case SCHEMA_CHOICE:
	case SCHEMA_WORD:
	case SCHEMA_NAME:
	case SCHEMA_HOST:
	case SCHEMA_DEVICE:
	case SCHEMA_SOURCE:
	case SCHEMA_UNDERSTOOD:
	case SCHEMA_AUTHENTICATED:
	case SCHEMA_CONFIRM:
	case SCHEMA_GATEWAYS:
	case SCHEMA_GUARANTEED:
	case SCHEMA_MAP:
	case SCHEMA_LATER:
	case SCHEMA_TYPE_COUNT:
		return;
	}
}

static void print_unit(FILE *out, const struct schema_row *row)
{
	for (const char *at = row->unit; *at != '\0'; at++) {
		if (*at == '|')
			(void)fputs(" or ", out);
		else
			(void)fputc(*at, out);
	}
}

static const char *preset(const struct schema_row *row)
{
	if (row->preset == NULL)
		return "";
	return schema_required(row) ? "**required**" : row->preset;
}

static void print_key(FILE *out, const struct schema_row *row)
{
	const char *path = schema_section_path(row->section);

	(void)fprintf(out, "`%s%s%s`", path, *path == '\0' ? "" : ".", row->key);
}

// A map's keys say it each for itself.
static const char *applies(const struct schema_row *row)
{
	if (row->type == SCHEMA_MAP)
		return "";
	return row->apply == SCHEMA_RELOAD ? "reload" : "restart";
}

static void print_row(FILE *out, const struct schema_row *row)
{
	if (row->type == SCHEMA_LATER)
		return;
	(void)fputs("| ", out);
	print_key(out, row);
	(void)fputs(" | ", out);
	print_unit(out, row);
	(void)fprintf(out, " | %s | ", preset(row));
	print_range(out, row);
	(void)fprintf(out, " | %s | %s |\n", applies(row), row->sentence);
}

// Rows of one section stay together, in the order of the file.
static void print_table(FILE *out)
{
	(void)fputs("\n| key | value | default | range | takes effect | what it is |\n"
		    "|---|---|---|---|---|---|\n",
		out);
	for (unsigned section = 0; section < SCHEMA_SECTION_COUNT; section++) {
		for (size_t i = 0; i < schema_row_count; i++) {
			if ((unsigned)schema_rows[i].section == section)
				print_row(out, &schema_rows[i]);
		}
	}
}

static void print_later(FILE *out)
{
	(void)fputs("\n## Not yet\n\nThese keys are planned; this version refuses them with "
		    "their position.\n\n",
		out);
	for (size_t i = 0; i < schema_row_count; i++) {
		const struct schema_row *row = &schema_rows[i];

		if (row->type != SCHEMA_LATER)
			continue;
		(void)fputs("- ", out);
		print_key(out, row);
		(void)fprintf(out, ": %s\n", row->sentence);
	}
}

static void print_page(FILE *out)
{
	(void)fputs("# Keys of the configuration\n\n"
		    "Made from schema.def by `ninja reference`; do not edit. example.yaml shows "
		    "the keys in "
		    "use.\n\n"
		    "Sizes are octets or carry KiB, MiB or GiB; times carry s, m, h or d. Relative "
		    "paths "
		    "begin at the file that names\n"
		    "them. A list of one entry may be written as that entry alone. A prefix is an "
		    "address "
		    "or a subnet without host bits\n"
		    "(10.12.8.7, 10.12.8.0/24, 2001:db8:12::/48); ::/0 is every IPv6 client and no "
		    "IPv4 "
		    "client.\n",
		out);
	print_table(out);
	print_later(out);
}

static bool same_as_file(const char *page, size_t len, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = malloc(len + 2);
	bool same = false;

	if (file != NULL && text != NULL)
		same = fread(text, 1, len + 1, file) == len && memcmp(text, page, len) == 0;
	if (file != NULL)
		(void)fclose(file);
	free(text);
	return same;
}

int main(int argc, char **argv)
{
	char *page = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&page, &len);

	if (out == NULL)
		return 2;
	print_page(out);
	(void)fclose(out);
	bool good = true;

	if (argc > 1)
		good = same_as_file(page, len, argv[1]);
	else
		(void)fwrite(page, 1, len, stdout);
	if (!good)
		(void)fprintf(
			stderr, "%s is not what schema.def makes: run ninja reference\n", argv[1]);
	free(page);
	return good ? 0 : 1;
}
