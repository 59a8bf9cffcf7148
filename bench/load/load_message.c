#include "load_message.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char end_of_data[] = "\r\n.\r\n";
static const char header[] = "From: postern-load\r\nSubject: load\r\nX-Size: made\r\n\r\n";

enum {
	LINE = 78, // octets with CRLF
};

struct slice load_message_made(size_t octets)
{
	uint8_t *at = malloc(octets + sizeof(end_of_data));
	size_t len = sizeof(header) - 1;

	if (at == NULL)
		return (struct slice){0};
	memcpy(at, header, len);
	// The end of data begins with the CRLF of the last line.
	for (size_t column = 0; len + 2 < octets; column++) {
		const bool turn = column % LINE >= LINE - 2 && octets - len > LINE;

		at[len] = !turn                       ? (uint8_t)('a' + column % 26)
			  : column % LINE == LINE - 2 ? '\r'
						      : '\n';
		len++;
	}
	memcpy(at + len, end_of_data, sizeof(end_of_data) - 1);
	return (struct slice){at, len + sizeof(end_of_data) - 1};
}

// Room for twice the octets is enough for the worst file.
static size_t stuff(uint8_t *to, const uint8_t *from, size_t count)
{
	size_t len = 0;
	bool line_start = true;

	for (size_t i = 0; i < count; i++) {
		if (line_start && from[i] == '.')
			to[len++] = '.';
		if (from[i] == '\n' && (i == 0 || from[i - 1] != '\r'))
			to[len++] = '\r';
		to[len++] = from[i];
		line_start = from[i] == '\n';
	}
	return len;
}

static uint8_t *read_file(const char *path, size_t *count)
{
	FILE *f = fopen(path, "rbe");
	uint8_t *octets = NULL;
	long size;

	*count = 0;
	if (f == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0) {
		rewind(f);
		octets = malloc((size_t)size + 1);
		*count = octets == NULL ? 0 : fread(octets, 1, (size_t)size, f);
	}
	fclose(f);
	return octets;
}

struct slice load_message_read(const char *path)
{
	size_t count;
	uint8_t *octets = read_file(path, &count);
	uint8_t *at = octets == NULL ? NULL : malloc(2 * count + sizeof(end_of_data));
	size_t len;

	if (at == NULL) {
		perror(path);
		free(octets);
		return (struct slice){0};
	}
	len = stuff(at, octets, count);
	free(octets);
	if (len >= 2 && memcmp(at + len - 2, "\r\n", 2) == 0)
		len -= 2;
	memcpy(at + len, end_of_data, sizeof(end_of_data) - 1);
	return (struct slice){at, len + sizeof(end_of_data) - 1};
}

void load_message_free(struct slice message)
{
	void *at;

	memcpy(&at, &message.at, sizeof(at)); // slices are read-only, but this one is ours
	free(at);
}
