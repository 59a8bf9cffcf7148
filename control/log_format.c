#include "control/log_format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "smtp/smtp_reply.h"
#include "spool/message_id.h"

// Text being put together; octets beyond the room are left out.
struct line {
	char *at;
	size_t len;
};

enum {
	ESCAPE_MAX = 6,                               // \u00XX
	ROOM = LOG_FORMAT_LINE_MAX - ESCAPE_MAX - 64, // 64: closing octets always fit
};

static struct line line_begin(char *out)
{
	struct line line = {0};

	line.at = out;
	return line;
}

// ASCII, whatever the locale.
static char lower(char c)
{
	if (c < 'A' || c > 'Z')
		return c;
	return (char)(c + ('a' - 'A'));
}

static void add_octets(struct line *line, const char *octets, size_t len)
{
	if (line->len + len > LOG_FORMAT_LINE_MAX - 1)
		return;
	memcpy(line->at + line->len, octets, len);
	line->len += len;
}

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	va_list arguments;
	char text[256];
	int n;

	va_start(arguments, format);
	n = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (n > 0)
		add_octets(line, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

// Hostile octets as hexadecimal after prefix: "%" or "\u00".
static void add_escaped(
	struct line *line, const char *special, const char *prefix, struct slice text)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < text.len && line->len < ROOM; i++) {
		char c = (char)text.at[i];

		if (text.at[i] >= ' ' && text.at[i] < 127 && strchr(special, c) == NULL) {
			line->at[line->len++] = c;
			continue;
		}
		add_octets(line, prefix, strlen(prefix));
		line->at[line->len++] = hex[text.at[i] >> 4];
		line->at[line->len++] = hex[text.at[i] & 15];
	}
}

static struct slice text_slice(const char *text)
{
	return (struct slice){(const uint8_t *)text, strlen(text)};
}

// One field and the space before it.
static void add_w3c(struct line *line, struct slice text)
{
	add_octets(line, " ", 1);
	if (text.len == 0)
		add_octets(line, "-", 1);
	else if (text.len == 1 && text.at[0] == '-')
		add_octets(line, "%2D", 3);
	else
		add_escaped(line, " %\"", "%", text);
}

static void add_json(struct line *line, const char *key, struct slice text)
{
	add(line, ",\"%s\":\"", key);
	add_escaped(line, "\\\"", "\\u00", text);
	add_octets(line, "\"", 1);
}

static void split_time(int64_t wall_us, struct tm *tm, unsigned *ms)
{
	time_t seconds = (time_t)(wall_us / 1000000);

	gmtime_r(&seconds, tm);
	*ms = (unsigned)(wall_us / 1000 % 1000);
}

static void add_stamp(struct line *line, int64_t wall_us, const char *between, const char *after)
{
	struct tm tm;
	unsigned ms;

	split_time(wall_us, &tm, &ms);
	add(line, "%04d-%02d-%02d%s%02d:%02d:%02d.%03u%s", tm.tm_year + 1900, tm.tm_mon + 1,
		tm.tm_mday, between, tm.tm_hour, tm.tm_min, tm.tm_sec, ms, after);
}

static const char *event_text(enum log_event event)
{
	static const char *const texts[LOG_EVENT_COUNT] = {
#define EVENT(name, text) [LOG_##name] = (text),
		LOG_EVENTS(EVENT)
#undef EVENT
	};

	return (unsigned)event < LOG_EVENT_COUNT ? texts[event] : "unknown";
}

static const char *verdict_text(enum policy_kind kind)
{
	switch (kind) {
	case POLICY_ACCEPT:
		return "accept";
	case POLICY_REFUSE:
		return "refuse";
	case POLICY_DEFER:
		return "defer";
	}
	return "unknown";
}

static const char *reply_symbol(unsigned reply)
{
	static const char *const symbols[SMTP_REPLY_COUNT] = {
#define REPLY(symbol, code, enhanced, text) #symbol,
#include "smtp/smtp_reply.def"
#undef REPLY
	};

	return reply < SMTP_REPLY_COUNT ? symbols[reply] : "UNKNOWN";
}

struct parts {
	struct slice sender, recipient, helo, name;
};

// Lengths come from a worker of ours, but the text's bound is checked all the same.
static struct parts parts_of(const struct log_record *r)
{
	size_t all = (size_t)r->sender_len + r->recipient_len + r->helo_len + r->name_len;
	struct parts none = {{r->text, 0}, {r->text, 0}, {r->text, 0}, {r->text, 0}};
	const uint8_t *helo = r->text + r->sender_len + r->recipient_len;

	if (all > LOG_TEXT_OCTETS)
		return none;
	return (struct parts){{r->text, r->sender_len}, {r->text + r->sender_len, r->recipient_len},
		{helo, r->helo_len}, {helo + r->helo_len, r->name_len}};
}

// Whether a transaction was open, so that an empty sender is the null sender.
static bool has_sender(const struct log_record *r)
{
	return r->event == LOG_RCPT || r->event == LOG_QUEUED || r->event == LOG_MESSAGE_REFUSED;
}

static struct config_pos domain_pos(
	const struct snapshot_domains *set, const struct log_record *record)
{
	struct slice recipient = parts_of(record).recipient;
	uint8_t domain[LIMIT_DOMAIN_OCTETS];
	const struct config_domain *found;
	size_t len = 0, at = recipient.len;

	while (at > 0 && recipient.at[at - 1] != '@')
		at--;
	for (; at < recipient.len && len < sizeof(domain); at++)
		domain[len++] = (uint8_t)lower((char)recipient.at[at]);
	found = snapshot_domain_find(set, (struct slice){domain, len});
	return found != NULL ? found->pos : (struct config_pos){0, 0};
}

// Whether the policy's rules decided, and not a limit or the form of an address.
static bool is_by_policy(const struct log_record *r)
{
	if (r->rule != POLICY_RULE_NONE)
		return true;
	return r->event == LOG_RCPT && r->reply == SMTP_REPLY_RELAY_DENIED;
}

static struct config_pos pos_of(const struct snapshot *snapshot, const struct log_record *r)
{
	const struct snapshot_vserver *vserver = &snapshot->vservers[r->vserver];
	const struct policy_client client = {.vserver = r->vserver, .class = r->class};
	const struct policy_verdict verdict = {
		(enum policy_kind)r->verdict, (enum policy_rule)r->rule, NULL};
	struct config_pos pos;

	if (r->rule == POLICY_RULE_LOCAL_DOMAIN)
		return domain_pos(vserver->local_domains, r);
	if (r->rule == POLICY_RULE_RELAY_DOMAIN)
		return domain_pos(vserver->relay_domains, r);
	pos = policy_rule_pos(snapshot, client, &r->client, parts_of(r).name, verdict);
	// A refusal by a list nobody wrote stands where the virtual server does.
	if (pos.line == 0 && r->verdict == POLICY_REFUSE)
		return vserver->config->pos;
	return pos;
}

// Rules that are not the policy's are named by the reply: "rcpt_form", "too_many_rcpts".
static const char *name_of_rule(const struct log_record *r)
{
	if (is_by_policy(r))
		return policy_rule_text((enum policy_rule)r->rule);
	return r->verdict == POLICY_ACCEPT ? "" : reply_symbol(r->reply);
}

struct log_format_names log_format_lookup(
	const struct snapshot *snapshot, const struct log_record *r, char rule_text[64])
{
	struct log_format_names names = {.vserver = "-", .rule = rule_text};
	const char *rule = name_of_rule(r);
	size_t i;

	for (i = 0; i < 63 && rule[i] != '\0'; i++) {
		rule_text[i] = lower(rule[i]);
		if (rule[i] == ' ')
			rule_text[i] = '_';
	}
	rule_text[i] = '\0';
	if (snapshot == NULL || r->vserver >= snapshot->vserver_count ||
		r->class >= snapshot->class_count)
		return names;
	names.vserver = snapshot->vservers[r->vserver].config->name;
	if (is_by_policy(r))
		names.pos = pos_of(snapshot, r);
	if (names.pos.line != 0)
		names.file = snapshot->config->path;
	return names;
}

static void add_w3c_rule_at(struct line *line, const struct log_format_names *names)
{
	if (names->file == NULL) {
		add_octets(line, " -", 2);
		return;
	}
	add_w3c(line, text_slice(names->file));
	add(line, ":%" PRIu32, names->pos.line);
}

static void add_w3c_number(struct line *line, uint64_t number)
{
	if (number == 0)
		add_octets(line, " -", 2);
	else
		add(line, " %" PRIu64, number);
}

static const char w3c_fields[] =
	"#Fields: date time x-epoch x-session c-ip c-port s-ip s-port x-vserver x-event x-verdict "
	"x-rule x-rule-at sc-status x-message-id x-sender x-recipient x-rcpt-count x-helo "
	"cs-bytes x-client-name x-tls-version x-tls-cipher\n";

size_t log_format_w3c(const struct log_record *r, const struct log_format_names *names, char *out)
{
	struct line line = line_begin(out);
	struct parts parts = parts_of(r);
	char client[IP_ADDR_TEXT_MAX], local[IP_ADDR_TEXT_MAX], id[MESSAGE_ID_TEXT_MAX] = "";

	if (r->message_id != 0)
		message_id_print(r->message_id, id);
	add_stamp(&line, r->wall_us, " ", "");
	add(&line, " %" PRIu64 " %" PRIx64 " %s %u %s %u", r->epoch, r->session,
		ip_addr_print(&r->client, client), r->client_port, ip_addr_print(&r->local, local),
		r->local_port);
	add_w3c(&line, text_slice(names->vserver));
	add(&line, " %s %s", event_text((enum log_event)r->event),
		verdict_text((enum policy_kind)r->verdict));
	add_w3c(&line, text_slice(names->rule));
	add_w3c_rule_at(&line, names);
	add_w3c_number(&line, r->reply_code);
	add_w3c(&line, text_slice(id));
	if (parts.sender.len == 0 && has_sender(r))
		add_octets(&line, " <>", 3);
	else
		add_w3c(&line, parts.sender);
	add_w3c(&line, parts.recipient);
	add_w3c_number(&line, r->rcpt_count);
	add_w3c(&line, parts.helo);
	add_w3c_number(&line, r->octets);
	add_w3c(&line, parts.name);
	add_w3c(&line, text_slice(r->tls_version != NULL ? r->tls_version : ""));
	add_w3c(&line, text_slice(r->tls_cipher != NULL ? r->tls_cipher : ""));
	add_octets(&line, "\n", 1);
	return line.len;
}

static void add_json_reply(struct line *line, const struct log_record *r, struct slice recipient)
{
	char text[512];

	if (r->reply_code == 0)
		return;
	add(line, ",\"reply\":%u", r->reply_code);
	smtp_reply_print(text, sizeof(text), (enum smtp_reply)r->reply, recipient);
	add_json(line, "reply_text", text_slice(text));
}

static void add_json_rule(struct line *line, const struct log_format_names *names)
{
	if (names->rule[0] != '\0')
		add_json(line, "rule", text_slice(names->rule));
	if (names->file == NULL)
		return;
	add_json(line, "rule_file", text_slice(names->file));
	add(line, ",\"rule_line\":%" PRIu32, names->pos.line);
}

size_t log_format_json(const struct log_record *r, const struct log_format_names *names, char *out)
{
	struct line line = line_begin(out);
	struct parts parts = parts_of(r);
	char client[IP_ADDR_TEXT_MAX], local[IP_ADDR_TEXT_MAX], id[MESSAGE_ID_TEXT_MAX];

	add_octets(&line, "{\"time\":\"", 9);
	add_stamp(&line, r->wall_us, "T", "Z\"");
	add(&line, ",\"epoch\":%" PRIu64 ",\"session\":\"%" PRIx64 "\"", r->epoch, r->session);
	add(&line, ",\"client\":\"%s\",\"client_port\":%u", ip_addr_print(&r->client, client),
		r->client_port);
	add(&line, ",\"server\":\"%s\",\"server_port\":%u", ip_addr_print(&r->local, local),
		r->local_port);
	add_json(&line, "vserver", text_slice(names->vserver));
	add(&line, ",\"event\":\"%s\",\"verdict\":\"%s\"", event_text((enum log_event)r->event),
		verdict_text((enum policy_kind)r->verdict));
	add_json_rule(&line, names);
	add_json_reply(&line, r, parts.recipient);
	if (r->message_id != 0)
		add(&line, ",\"message_id\":\"%s\"", message_id_print(r->message_id, id));
	if (parts.sender.len > 0 || has_sender(r))
		add_json(&line, "sender", parts.sender);
	if (parts.recipient.len > 0)
		add_json(&line, "recipient", parts.recipient);
	if (r->rcpt_count > 0)
		add(&line, ",\"recipients\":%u", r->rcpt_count);
	if (parts.helo.len > 0)
		add_json(&line, "helo", parts.helo);
	if (parts.name.len > 0)
		add_json(&line, "client_name", parts.name);
	if (r->octets > 0)
		add(&line, ",\"octets\":%" PRIu32, r->octets);
	if (r->tls_version != NULL) {
		add_json(&line, "tls_version", text_slice(r->tls_version));
		add_json(&line, "tls_cipher", text_slice(r->tls_cipher));
	}
	add_octets(&line, "}\n", 2);
	return line.len;
}

size_t log_format_w3c_header(const char *vserver, bool open_relay, int64_t now_s, char *out)
{
	struct line line = line_begin(out);

	add(&line, "#Software: Postern " POSTERN_VERSION "\n#Version: 1.0\n#Date: ");
	add_stamp(&line, now_s * 1000000, " ", "\n");
	add(&line, "#Remark: virtual server");
	add_w3c(&line, text_slice(vserver));
	add(&line, "\n%s", open_relay ? "#Remark: open_relay: i-understand\n" : "");
	add_octets(&line, w3c_fields, sizeof(w3c_fields) - 1);
	return line.len;
}

size_t log_format_json_header(const char *vserver, bool open_relay, int64_t now_s, char *out)
{
	struct line line = line_begin(out);

	add_octets(&line, "{\"time\":\"", 9);
	add_stamp(&line, now_s * 1000000, "T", "Z\",\"event\":\"log\"");
	add(&line, ",\"software\":\"Postern " POSTERN_VERSION "\"");
	add_json(&line, "vserver", text_slice(vserver));
	if (open_relay)
		add(&line, ",\"open_relay\":\"i-understand\"");
	add_octets(&line, "}\n", 2);
	return line.len;
}

size_t log_format_w3c_lost(uint64_t lost, int64_t now_s, char *out)
{
	struct line line = line_begin(out);

	add(&line, "#Remark: ");
	add_stamp(&line, now_s * 1000000, " ", "");
	add(&line, " %" PRIu64 " records were lost, of any virtual server\n", lost);
	return line.len;
}

size_t log_format_json_lost(uint64_t lost, int64_t now_s, char *out)
{
	struct line line = line_begin(out);

	add_octets(&line, "{\"time\":\"", 9);
	add_stamp(&line, now_s * 1000000, "T", "Z\",\"event\":\"lost\"");
	add(&line, ",\"records\":%" PRIu64 "}\n", lost);
	return line.len;
}
