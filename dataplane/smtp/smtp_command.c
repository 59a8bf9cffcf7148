#include "smtp/smtp_command.h"

#include <string.h>
#include <strings.h>

struct verb {
	const char *name;
	enum smtp_event event;
	enum smtp_reply refusal;
};

#define OURS(name)                                                                                 \
	{                                                                                          \
#name, SMTP_EV_##name, SMTP_REPLY_NONE                                             \
	}
#define NOT_OURS(name, reply)                                                                      \
	{                                                                                          \
		name, SMTP_EV_COUNT, SMTP_REPLY_##reply                                            \
	}

static const struct verb verbs[] = {
	OURS(EHLO),
	OURS(HELO),
	OURS(STARTTLS),
	OURS(MAIL),
	OURS(RCPT),
	OURS(DATA),
	OURS(RSET),
	OURS(NOOP),
	OURS(VRFY),
	OURS(HELP),
	OURS(QUIT),
	NOT_OURS("EXPN", NOT_IMPLEMENTED),
	NOT_OURS("AUTH", NOT_IMPLEMENTED),
	NOT_OURS("BDAT", NOT_IMPLEMENTED),
	NOT_OURS("TURN", NOT_IMPLEMENTED),
	NOT_OURS("ETRN", NOT_IMPLEMENTED),
	NOT_OURS("ATRN", NOT_IMPLEMENTED),
	NOT_OURS("SEND", NOT_IMPLEMENTED),
	NOT_OURS("SOML", NOT_IMPLEMENTED),
	NOT_OURS("SAML", NOT_IMPLEMENTED),
	NOT_OURS("XCLIENT", NOT_IMPLEMENTED),
	NOT_OURS("XFORWARD", NOT_IMPLEMENTED),
	// A web client that was pointed at us must not go on to talk SMTP in its body.
	NOT_OURS("GET", HTTP),
	NOT_OURS("POST", HTTP),
	NOT_OURS("HEAD", HTTP),
	NOT_OURS("PUT", HTTP),
	NOT_OURS("OPTIONS", HTTP),
	NOT_OURS("CONNECT", HTTP),
	NOT_OURS("Host:", HTTP),
};

static bool equals(struct slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp((const char *)s.at, word, s.len) == 0;
}

static struct slice skip(struct slice s, size_t octets)
{
	return (struct slice){s.at + octets, s.len - octets};
}

// Octets before the first c, or all.
static size_t length_before(struct slice s, char c)
{
	const uint8_t *at = s.len > 0 ? memchr(s.at, c, s.len) : NULL;

	return at != NULL ? (size_t)(at - s.at) : s.len;
}

// RFC 5321 4.1.1: blanks at the end of a line are tolerated.
static struct slice trim_end(struct slice s)
{
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

struct smtp_command smtp_command_parse(struct slice line)
{
	struct slice trimmed = trim_end(line);
	struct slice word = {trimmed.at, length_before(trimmed, ' ')};
	struct slice arg = skip(trimmed, word.len < trimmed.len ? word.len + 1 : word.len);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (equals(word, verbs[i].name))
			return (struct smtp_command){verbs[i].event, verbs[i].refusal, arg};
	return (struct smtp_command){SMTP_EV_COUNT, SMTP_REPLY_UNKNOWN_COMMAND, arg};
}

static bool is_alnum(uint8_t c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

bool smtp_command_is_name_octet(uint8_t c)
{
	return is_alnum(c) || (c != '\0' && strchr("-._:[]", c) != NULL);
}

static bool is_name(struct slice name)
{
	if (name.len == 0 || name.len > LIMIT_DOMAIN_OCTETS)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!smtp_command_is_name_octet(name.at[i]))
			return false;
	return true;
}

bool smtp_command_has_arg_for(enum smtp_event ev, struct slice arg)
{
	if (ev == SMTP_EV_EHLO || ev == SMTP_EV_HELO)
		return is_name(arg);
	if (ev == SMTP_EV_STARTTLS || ev == SMTP_EV_RSET || ev == SMTP_EV_DATA ||
		ev == SMTP_EV_QUIT)
		return arg.len == 0;
	return ev != SMTP_EV_VRFY || arg.len > 0;
}

// "FROM:" or "TO:", and the one space behind it that clients type.
static bool take_keyword(struct slice *arg, const char *keyword)
{
	size_t len = strlen(keyword);

	if (arg->len < len || strncasecmp((const char *)arg->at, keyword, len) != 0)
		return false;
	*arg = skip(*arg, len);
	if (arg->len > 0 && arg->at[0] == ' ')
		*arg = skip(*arg, 1);
	return true;
}

// esmtp-param = keyword ["=" value], RFC 5321 4.1.2.
static bool is_param(struct slice keyword, struct slice value, bool has_value)
{
	if (keyword.len == 0 || keyword.at[0] == '-' || (has_value && value.len == 0))
		return false;
	for (size_t i = 0; i < keyword.len; i++)
		if (!is_alnum(keyword.at[i]) && keyword.at[i] != '-')
			return false;
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] <= ' ' || value.at[i] > '~' || value.at[i] == '=')
			return false;
	return true;
}

// The next parameter off the front of *rest (" KEY=VALUE KEY ..."). False: none, or not one by its grammar.
static bool take_param(struct slice *rest, struct slice *keyword, struct slice *value)
{
	struct slice word;

	while (rest->len > 0 && rest->at[0] == ' ')
		*rest = skip(*rest, 1);
	word = (struct slice){rest->at, length_before(*rest, ' ')};
	*rest = skip(*rest, word.len);
	*keyword = (struct slice){word.at, length_before(word, '=')};
	*value = skip(word, keyword->len < word.len ? keyword->len + 1 : word.len);
	return is_param(*keyword, *value, keyword->len < word.len);
}

// RFC 1870: up to 20 digits, so a number may be larger than any type. SIZE=0: not known.
static enum smtp_reply read_size(struct slice value, uint32_t size_max, uint32_t *size)
{
	uint64_t n = 0;

	if (value.len == 0 || value.len > 20)
		return SMTP_REPLY_SYNTAX;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return SMTP_REPLY_SYNTAX;
		n = n > UINT32_MAX ? n : n * 10 + (uint64_t)(value.at[i] - '0');
	}
	if (n > size_max)
		return SMTP_REPLY_TOO_BIG;
	*size = (uint32_t)n;
	return SMTP_REPLY_NONE;
}

static enum smtp_reply read_body(struct slice value, bool *is_8bit)
{
	*is_8bit = equals(value, "8BITMIME");
	return *is_8bit || equals(value, "7BIT") ? SMTP_REPLY_NONE : SMTP_REPLY_SYNTAX;
}

static enum smtp_reply read_mail_params(
	struct slice rest, uint32_t size_max, struct smtp_transaction *txn)
{
	bool seen_size = false, seen_body = false;
	enum smtp_reply reply = SMTP_REPLY_NONE;

	while (reply == SMTP_REPLY_NONE && rest.len > 0) {
		struct slice keyword, value;
		bool size, body;

		if (!take_param(&rest, &keyword, &value))
			return SMTP_REPLY_SYNTAX;
		size = equals(keyword, "SIZE");
		body = equals(keyword, "BODY");
		if (!size && !body)
			return SMTP_REPLY_BAD_PARAMETER;
		if ((size && seen_size) || (body && seen_body))
			return SMTP_REPLY_SYNTAX;
		seen_size |= size;
		seen_body |= body;
		reply = size ? read_size(value, size_max, &txn->size_declared)
			     : read_body(value, &txn->body_8bit);
	}
	return reply;
}

enum smtp_reply smtp_command_read_mail(
	struct slice arg, uint32_t size_max, struct smtp_transaction *txn)
{
	enum smtp_address_form form;
	struct slice rest;

	if (!take_keyword(&arg, "FROM:"))
		return SMTP_REPLY_SYNTAX;
	form = smtp_address_parse(arg, &txn->sender, &rest);
	if (form != SMTP_ADDRESS_PLAIN && form != SMTP_ADDRESS_NULL_PATH &&
		form != SMTP_ADDRESS_ENCAPSULATED)
		return SMTP_REPLY_BAD_SENDER;
	return read_mail_params(rest, size_max, txn);
}

// Forms that are well enough formed to be meant: these get a 550 that names them, the others 501.
static bool is_routing_form(enum smtp_address_form form)
{
	switch (form) {
	case SMTP_ADDRESS_PERCENT:
	case SMTP_ADDRESS_BANG:
	case SMTP_ADDRESS_SOURCE_ROUTE:
	case SMTP_ADDRESS_QUOTED_AT:
	case SMTP_ADDRESS_DOUBLE_AT:
	case SMTP_ADDRESS_ENCAPSULATED:
	case SMTP_ADDRESS_LITERAL:
	case SMTP_ADDRESS_TRAILING_DOT:
	case SMTP_ADDRESS_CONTROL:
	case SMTP_ADDRESS_NOT_ASCII:
	case SMTP_ADDRESS_SEVERAL:
		return true;
	case SMTP_ADDRESS_PLAIN:
	case SMTP_ADDRESS_NULL_PATH:
	case SMTP_ADDRESS_POSTMASTER:
	case SMTP_ADDRESS_SYNTAX:
	case SMTP_ADDRESS_TOO_LONG:
	case SMTP_ADDRESS_UNQUALIFIED:
	case SMTP_ADDRESS_DOMAIN:
	case SMTP_ADDRESS_FORM_COUNT:
		return false;
	}
	return false;
}

enum smtp_reply smtp_command_read_rcpt(
	struct slice arg, struct smtp_path *rcpt, enum smtp_address_form *form)
{
	struct slice rest, keyword, value;

	*form = SMTP_ADDRESS_SYNTAX;
	if (!take_keyword(&arg, "TO:"))
		return SMTP_REPLY_SYNTAX;
	*form = smtp_address_parse(arg, rcpt, &rest);
	if (is_routing_form(*form))
		return SMTP_REPLY_RCPT_FORM;
	if (*form != SMTP_ADDRESS_PLAIN && *form != SMTP_ADDRESS_POSTMASTER)
		return SMTP_REPLY_BAD_RCPT;
	if (rest.len == 0)
		return SMTP_REPLY_NONE;
	return take_param(&rest, &keyword, &value) ? SMTP_REPLY_BAD_PARAMETER : SMTP_REPLY_SYNTAX;
}
