#include "smtp/smtp_address.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum {
	PATH_INSIDE_OCTETS = LIMIT_PATH_OCTETS - 2, // the limit counts '<' and '>'
	LABEL_OCTETS = 63,
};

// What stands outside of quotes in a path.
struct outline {
	size_t end; // offset of the '>'
	size_t at;  // offset of the last '@'; end: none
	unsigned ats;
	bool percent, bang, list;
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

// RFC 5322 atext and the dot.
static bool is_local_octet(uint8_t c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL);
}

// What may stand in quotes: nothing a later server could take for routing, a program or a file.
static bool is_quoted_octet(uint8_t c)
{
	return is_alnum(c) || (c != '\0' && strchr("#$&'*+-=?^_`{}~. ", c) != NULL);
}

static void note(struct outline *o, size_t i, uint8_t c)
{
	o->percent |= c == '%';
	o->bang |= c == '!';
	o->list |= c == ',' || c == ';';
	if (c != '@')
		return;
	o->ats++;
	o->at = i;
}

// Find the '>' that ends the path at in.at[0] == '<', and what stands outside of quotes before it.
static enum smtp_address_form outline_read(struct slice in, struct outline *o)
{
	bool quoted = false, escaped = false;

	for (size_t i = 1; i < in.len; i++) {
		uint8_t c = in.at[i];

		if (c < ' ' || c == 0x7f)
			return SMTP_ADDRESS_CONTROL;
		if (c > 0x7f)
			return SMTP_ADDRESS_NOT_ASCII;
		if (!quoted && c == '>') {
			o->end = i;
			return SMTP_ADDRESS_PLAIN;
		}
		if (!quoted)
			note(o, i, c);
		if (c == '"' && !escaped)
			quoted = !quoted;
		escaped = quoted && c == '\\' && !escaped;
	}
	return SMTP_ADDRESS_SYNTAX;
}

// RFC 5321 4.1.3 literals, and whatever a lenient resolver takes for an address: a last label that is a number in decimal,
// octal or hex (127.1, 0177.0.0.1, 0x7f.1, 2130706433) and colons (::1, fe80::1).
static bool is_numeric(struct slice domain)
{
	size_t start = domain.len, i;

	while (start > 0 && domain.at[start - 1] != '.')
		start--;
	if (start == domain.len)
		return false;
	i = start;
	if (domain.len - start >= 2 && domain.at[start] == '0' &&
		(domain.at[start + 1] | 0x20) == 'x') {
		for (i += 2; i < domain.len; i++)
			if (!is_digit(domain.at[i]) &&
				((domain.at[i] | 0x20) < 'a' || (domain.at[i] | 0x20) > 'f'))
				return false;
		return true;
	}
	while (i < domain.len && is_digit(domain.at[i]))
		i++;
	return i == domain.len;
}

static bool is_literal(struct slice domain)
{
	bool colon = false, other = false;

	for (size_t i = 0; i < domain.len; i++) {
		uint8_t c = domain.at[i];

		if (c == '[' || c == ']')
			return true;
		colon |= c == ':';
		other |= c != ':' && c != '.' && !is_digit(c) &&
			 ((c | 0x20) < 'a' || (c | 0x20) > 'f');
	}
	return (colon && !other) || is_numeric(domain);
}

static bool is_label(const uint8_t *at, size_t len)
{
	return len > 0 && len <= LABEL_OCTETS && at[0] != '-' && at[len - 1] != '-';
}

// Letters, digits, hyphens, and the underscore that some hosts do have.
static bool is_host_name(struct slice domain)
{
	size_t start = 0;

	for (size_t i = 0; i < domain.len; i++) {
		if (domain.at[i] == '.') {
			if (!is_label(domain.at + start, i - start))
				return false;
			start = i + 1;
		} else if (!is_alnum(domain.at[i]) && domain.at[i] != '-' && domain.at[i] != '_') {
			return false;
		}
	}
	return is_label(domain.at + start, domain.len - start);
}

static enum smtp_address_form domain_form(struct slice domain)
{
	if (domain.len == 0)
		return SMTP_ADDRESS_SYNTAX;
	if (domain.len > LIMIT_DOMAIN_OCTETS)
		return SMTP_ADDRESS_TOO_LONG;
	if (is_literal(domain))
		return SMTP_ADDRESS_LITERAL;
	if (domain.at[domain.len - 1] == '.')
		return SMTP_ADDRESS_TRAILING_DOT;
	return is_host_name(domain) ? SMTP_ADDRESS_PLAIN : SMTP_ADDRESS_DOMAIN;
}

static bool starts_with(struct slice s, const char *prefix)
{
	size_t len = strlen(prefix);

	return s.len >= len && strncasecmp((const char *)s.at, prefix, len) == 0;
}

// Local parts that hold another address which the server behind us may unpack: Exchange's IMCEA, SRS, X.400 and pipes.
static bool is_encapsulated(struct slice local)
{
	if (local.at[0] == '/' || local.at[0] == '|')
		return true;
	if (starts_with(local, "IMCEA"))
		return memchr(local.at, '-', local.len) != NULL;
	if (!starts_with(local, "SRS0") && !starts_with(local, "SRS1"))
		return false;
	return local.len > 4 && strchr("=+-", local.at[4]) != NULL;
}

static enum smtp_address_form dot_string_form(struct slice local)
{
	if (local.at[0] == '.' || local.at[local.len - 1] == '.')
		return SMTP_ADDRESS_SYNTAX;
	for (size_t i = 0; i < local.len; i++) {
		if (!is_local_octet(local.at[i]))
			return SMTP_ADDRESS_SYNTAX;
		if (local.at[i] == '.' && local.at[i + 1] == '.')
			return SMTP_ADDRESS_SYNTAX;
	}
	return is_encapsulated(local) ? SMTP_ADDRESS_ENCAPSULATED : SMTP_ADDRESS_PLAIN;
}

// The content is judged as the next server will see it, with quoting taken off.
static enum smtp_address_form quoted_form(struct slice local)
{
	uint8_t content[LIMIT_LOCAL_PART_OCTETS];
	size_t len = 0;

	for (size_t i = 1; i + 1 < local.len; i++) {
		if (local.at[i] == '"')
			return SMTP_ADDRESS_SYNTAX; // the string ended before the local part did
		if (local.at[i] == '\\' && ++i + 1 == local.len)
			return SMTP_ADDRESS_SYNTAX;
		if (!is_quoted_octet(local.at[i]))
			return SMTP_ADDRESS_QUOTED_AT;
		content[len++] = local.at[i];
	}
	if (len == 0)
		return SMTP_ADDRESS_SYNTAX;
	return is_encapsulated((struct slice){content, len}) ? SMTP_ADDRESS_ENCAPSULATED
							     : SMTP_ADDRESS_PLAIN;
}

static enum smtp_address_form local_form(struct slice local)
{
	if (local.len == 0)
		return SMTP_ADDRESS_SYNTAX;
	if (local.len > LIMIT_LOCAL_PART_OCTETS)
		return SMTP_ADDRESS_TOO_LONG;
	if (local.at[0] != '"')
		return dot_string_form(local);
	if (local.len < 3 || local.at[local.len - 1] != '"')
		return SMTP_ADDRESS_SYNTAX;
	return quoted_form(local);
}

// What can be told from the octets outside of quotes: the ways to put more than one address or host into a path.
static enum smtp_address_form outline_form(const struct outline *o, struct slice inside)
{
	if (inside.len == 0)
		return SMTP_ADDRESS_NULL_PATH;
	if (inside.len > PATH_INSIDE_OCTETS)
		return SMTP_ADDRESS_TOO_LONG;
	if (inside.at[0] == '@')
		return SMTP_ADDRESS_SOURCE_ROUTE;
	if (o->list)
		return SMTP_ADDRESS_SEVERAL;
	if (o->ats > 1)
		return SMTP_ADDRESS_DOUBLE_AT;
	if (o->percent)
		return SMTP_ADDRESS_PERCENT;
	if (o->bang)
		return SMTP_ADDRESS_BANG;
	if (o->ats == 0)
		return starts_with(inside, "postmaster") && inside.len == strlen("postmaster")
			       ? SMTP_ADDRESS_POSTMASTER
			       : SMTP_ADDRESS_UNQUALIFIED;
	return SMTP_ADDRESS_PLAIN;
}

static enum smtp_address_form mailbox_form(struct slice local, struct slice domain)
{
	enum smtp_address_form form = local_form(local), host;

	if (form != SMTP_ADDRESS_PLAIN && form != SMTP_ADDRESS_ENCAPSULATED)
		return form;
	host = domain_form(domain);
	return host == SMTP_ADDRESS_PLAIN ? form : host;
}

static void path_fill(struct smtp_path *path, struct slice inside, size_t local_len)
{
	*path = (struct smtp_path){.len = (uint16_t)inside.len, .local_len = (uint16_t)local_len};
	memcpy(path->text, inside.at, inside.len);
	path->domain_at = (uint16_t)(local_len < inside.len ? local_len + 1 : inside.len);
	path->domain_len = (uint16_t)(path->len - path->domain_at);
	for (size_t i = path->domain_at; i < path->len; i++)
		if (path->text[i] >= 'A' && path->text[i] <= 'Z')
			path->text[i] |= 0x20;
}

enum smtp_address_form smtp_address_parse(
	struct slice in, struct smtp_path *path, struct slice *rest)
{
	struct outline o = {0};
	enum smtp_address_form form;
	struct slice inside, after;
	size_t local_len;

	if (in.len == 0 || in.at[0] != '<')
		return SMTP_ADDRESS_SYNTAX;
	form = outline_read(in, &o);
	if (form != SMTP_ADDRESS_PLAIN)
		return form;
	inside = (struct slice){in.at + 1, o.end - 1};
	after = (struct slice){in.at + o.end + 1, in.len - o.end - 1};
	if (after.len > 0 && after.at[0] != ' ')
		return after.at[0] == '>' ? SMTP_ADDRESS_SYNTAX : SMTP_ADDRESS_SEVERAL;
	form = outline_form(&o, inside);
	local_len = o.ats == 0 ? inside.len : o.at - 1;
	if (form == SMTP_ADDRESS_PLAIN)
		form = mailbox_form((struct slice){inside.at, local_len},
			(struct slice){inside.at + local_len + 1, inside.len - local_len - 1});
	if (form != SMTP_ADDRESS_PLAIN && form != SMTP_ADDRESS_NULL_PATH &&
		form != SMTP_ADDRESS_POSTMASTER && form != SMTP_ADDRESS_ENCAPSULATED)
		return form;
	path_fill(path, inside, local_len);
	*rest = after;
	return form;
}

const char *smtp_address_form_text(enum smtp_address_form form)
{
	static const char *const texts[] = {
#define FORM(name, text) text,
		SMTP_ADDRESS_FORMS(FORM)
#undef FORM
	};

	return form < SMTP_ADDRESS_FORM_COUNT ? texts[form] : "form out of range";
}
