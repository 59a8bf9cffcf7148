// Target functions: smtp_address_parse
//
// Checked here, not only crashes: what is accepted reads the same when it is read again, is printable, has its parts where they
// are said to be and holds none of the octets that route; what is refused leaves its results untouched.

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/smtp_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_accepted(enum smtp_address_form form)
{
	return form == SMTP_ADDRESS_PLAIN || form == SMTP_ADDRESS_NULL_PATH ||
	       form == SMTP_ADDRESS_POSTMASTER || form == SMTP_ADDRESS_ENCAPSULATED;
}

static void check_refused(const struct smtp_path *path, const struct slice *rest)
{
	for (size_t i = 0; i < sizeof(*path); i++)
		if (((const uint8_t *)path)[i] != 0x5a)
			abort();
	if (rest->at != NULL || rest->len != 77)
		abort();
}

static void check_text(const struct smtp_path *path, const uint8_t *given)
{
	for (size_t i = 0; i < path->len; i++) {
		uint8_t c = path->text[i];

		if (c < ' ' || c > '~' || strchr("%!:;,<>()[]", c) != NULL)
			abort();
		if (c == '@' && i != path->local_len)
			abort();
		if (c != given[i] && (i <= path->local_len || c != (given[i] | 0x20)))
			abort();
	}
}

// Letters, digits, hyphen, underscore, dot; no empty label; the last label is no number.
static void check_domain(const uint8_t *at, size_t len)
{
	const uint8_t *label = at;

	if (len == 0 || at[0] == '.' || at[len - 1] == '.')
		abort();
	for (size_t i = 0; i < len; i++) {
		uint8_t c = at[i];
		bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			  c == '_' || c == '.';

		if (!ok || (c == '.' && at[i + 1] == '.'))
			abort();
		if (c == '.')
			label = at + i + 1;
	}
	for (const uint8_t *p = label; *p >= '0' && *p <= '9'; p++)
		if (p + 1 == at + len)
			abort();
}

static void check_accepted(enum smtp_address_form form, const struct smtp_path *path,
	struct slice rest, const uint8_t *data)
{
	uint8_t again_text[LIMIT_PATH_OCTETS + 2];
	struct smtp_path again;
	struct slice none;

	check_text(path, data + 1);
	if (data[path->len + 1] != '>' || rest.at != data + path->len + 2)
		abort();
	if (rest.len > 0 && rest.at[0] != ' ')
		abort();
	if (form == SMTP_ADDRESS_PLAIN || form == SMTP_ADDRESS_ENCAPSULATED)
		check_domain(path->text + path->domain_at, path->domain_len);
	if (path->domain_len > 0 && path->domain_at + path->domain_len != path->len)
		abort();
	again_text[0] = '<';
	memcpy(again_text + 1, path->text, path->len);
	again_text[path->len + 1] = '>';
	if (smtp_address_parse((struct slice){again_text, (size_t)path->len + 2}, &again, &none) !=
		form)
		abort();
	if (memcmp(&again, path, sizeof(again)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct smtp_path path;
	struct slice rest = {NULL, 77};
	enum smtp_address_form form;

	memset(&path, 0x5a, sizeof(path));
	form = smtp_address_parse((struct slice){data, size}, &path, &rest);
	if (is_accepted(form))
		check_accepted(form, &path, rest, data);
	else
		check_refused(&path, &rest);
	return 0;
}
