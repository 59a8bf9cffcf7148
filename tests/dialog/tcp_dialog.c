// tcp_dialog SCRIPT - plays one side of a TCP conversation from a text, in virtual time, and holds what the
// stack sends and tells its application against the script; once over v4, once over v6. See README.md for the language.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dialog/dialog.h"
#include "dialog/dialog_segment.h"
#include "dialog/dialog_word.h"
#include "sim/tcp_check.h"
#include "tcp/tcp_conn.h"

enum { LINE = 1024, PATH = 4096 };

struct verb {
	const char *name;
	void (*act)(char **at);
};

static const struct verb *verb_of(const struct verb *verbs, const char *name)
{
	for (; verbs->name != NULL; verbs++)
		if (strcmp(verbs->name, name) == 0)
			return verbs;
	dialog_fail("%s: not known", name);
}

// --- segments ---

static void inject(char **at, bool flush)
{
	struct dialog_segment in;

	dialog_segment_parse(at, &in);
	dialog_must_be_silent("before a segment arrives");
	dialog.drop = dialog_segment_complete(&in);
	if (dialog.drop == DROP_NONE)
		dialog.drop = tcp_input(dialog.stack, &in.s, dialog.listen, dialog.now_us);
	tcp_check(dialog.stack);
	if (flush)
		tcp_flush(dialog.stack, dialog.now_us);
}

static void arrive(char **at)
{
	inject(at, true);
}

static void arrive_in_burst(char **at)
{
	inject(at, false);
}

static void expect(char **at)
{
	struct dialog_segment want;
	char text[DIALOG_SEGMENT_TEXT];

	dialog_segment_parse(at, &want);

	const struct dialog_sent *got = dialog_next_sent();
	const char *wrong = dialog_segment_differs(&want, got);

	if (wrong != NULL)
		dialog_fail("%s differs, sent: %s", wrong, dialog_segment_describe(&got->s, text));
	if (got->at_us + DIALOG_TOLERANCE_US < dialog.now_us)
		dialog_fail("sent at %.6f s, now it is %.6f s", (double)got->at_us / 1e6,
			(double)dialog.now_us / 1e6);
}

// icmp too_big|hard|soft SEQ [mtu N] [len N]: about a segment of ours with that number.
static void icmp(char **at)
{
	static const char *const kinds[] = {"soft", "hard", "too_big"};
	struct segment s = dialog_addressed();
	struct icmp_error e = {.local = s.dst,
		.peer = s.src,
		.local_port = s.dst_port,
		.peer_port = s.src_port,
		.quoted_octets = 1500};
	const char *word = dialog_word_need(at);

	while (e.kind < 3 && strcmp(word, kinds[e.kind]) != 0)
		e.kind++;
	if (e.kind == 3)
		dialog_fail("%s: not known", word);
	e.seq = dialog_peer()->isn + dialog_word_number(at);
	while ((word = dialog_word(at)) != NULL) {
		if (strcmp(word, "mtu") == 0)
			e.mtu = dialog_word_number(at);
		else if (strcmp(word, "len") == 0)
			e.quoted_octets = dialog_word_number(at);
		else
			dialog_fail("%s: not known", word);
	}
	dialog_must_be_silent("before an error arrives");
	dialog.drop = tcp_icmp(dialog.stack, &e, dialog.now_us);
	tcp_flush(dialog.stack, dialog.now_us);
}

// --- the application ---

static struct tcp_conn *need_conn(void)
{
	if (dialog_peer()->conn == NULL)
		dialog_fail("no connection");
	return dialog_peer()->conn;
}

static struct slice payload(char **at)
{
	static uint8_t octets[100000];
	const char *w = dialog_word_need(at);
	size_t len = *w == '"' ? strlen(w + 1) : strtoul(w, NULL, 0);

	if (len > sizeof(octets))
		dialog_fail("too much");
	memset(octets, 1, len);
	if (*w == '"')
		memcpy(octets, w + 1, len);
	return (struct slice){octets, len};
}

static void app_send(char **at)
{
	if (!tcp_send(need_conn(), payload(at), dialog.now_us))
		dialog_fail("tcp_send() refused");
}

static void app_cannot_send(char **at)
{
	if (tcp_send(need_conn(), payload(at), dialog.now_us))
		dialog_fail("tcp_send() took it");
}

static struct tcp_conn *connect_peer(void)
{
	struct segment t = dialog_addressed();
	struct segment out = {
		.src = t.dst, .dst = t.src, .src_port = t.dst_port, .dst_port = t.src_port};

	return tcp_connect(dialog.stack, &out, dialog.now_us);
}

static void app_connect(char **at)
{
	(void)at;
	dialog_peer()->conn = connect_peer();
	if (dialog_peer()->conn == NULL)
		dialog_fail("tcp_connect() refused");
	tcp_flush(dialog.stack, dialog.now_us);
}

static void app_cannot_connect(char **at)
{
	(void)at;
	if (connect_peer() != NULL)
		dialog_fail("tcp_connect() took it");
}

static void app_close(char **at)
{
	(void)at;
	tcp_close(need_conn(), dialog.now_us);
}

static void app_shutdown(char **at)
{
	(void)at;
	tcp_shutdown(need_conn(), dialog.now_us);
}

static void app_small(char **at)
{
	static const char *const names[] = {"at_once", "alone", "never"};
	const char *name = dialog_word_need(at);

	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0) {
			tcp_set_small(need_conn(), (enum tcp_small)i);
			return;
		}
	dialog_fail("%s: not known", name);
}

static void app_abort(char **at)
{
	(void)at;
	tcp_abort(need_conn(), dialog.now_us);
}

static void app_resume(char **at)
{
	(void)at;
	tcp_resume(need_conn(), dialog.now_us);
}

static void app_deadline(char **at)
{
	tcp_set_deadline(need_conn(), dialog.now_us + dialog_word_number(at));
}

// IDLE INTERVAL PROBES, seconds; 0 0 0: no more.
static void app_keepalive(char **at)
{
	uint16_t idle = (uint16_t)dialog_word_number(at);
	uint16_t interval = (uint16_t)dialog_word_number(at);
	uint8_t probes = (uint8_t)dialog_word_number(at);
	struct tcp_keepalive keepalive = {idle, interval, probes};

	tcp_set_keepalive(need_conn(), &keepalive, dialog.now_us);
}

static void app_user_timeout(char **at)
{
	tcp_set_user_timeout(need_conn(), dialog_word_number(at), dialog.now_us);
}

static void app_window(char **at)
{
	tcp_set_receive_window(need_conn(), dialog_word_number(at));
}

static void app_acks(char **at)
{
	static const char *const names[] = {"data", "each", "reply"};
	const char *name = dialog_word_need(at);

	for (size_t i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0) {
			tcp_set_ack_policy(need_conn(), (enum tcp_ack_policy)i);
			return;
		}
	dialog_fail("%s: not known", name);
}

static void app_consume(char **at)
{
	dialog.consume = dialog_word_number(at);
}

static void app_in_data(char **at)
{
	dialog.on_data = *dialog_word_need(at);
}

static void app_refuse(char **at)
{
	dialog.refuse = dialog_word_number(at) != 0;
}

static void app_space(char **at)
{
	size_t space = tcp_send_space(need_conn());

	if (space != dialog_word_number(at))
		dialog_fail("space for %zu octets", space);
}

static void app_line(char **at)
{
	static const struct verb verbs[] = {
		{"connect", app_connect},
		{"cannot_connect", app_cannot_connect},
		{"send", app_send},
		{"cannot_send", app_cannot_send},
		{"space", app_space},
		{"close", app_close},
		{"shutdown", app_shutdown},
		{"small", app_small},
		{"abort", app_abort},
		{"resume", app_resume},
		{"deadline", app_deadline},
		{"window", app_window},
		{"keepalive", app_keepalive},
		{"user_timeout", app_user_timeout},
		{"acks", app_acks},
		{"consume", app_consume},
		{"in_data", app_in_data},
		{"refuse", app_refuse},
		{NULL, NULL},
	};

	verb_of(verbs, dialog_word_need(at))->act(at);
}

// --- what must be so ---

static void expect_event(char **at)
{
	const char *want = *at + strspn(*at, " \t");
	const struct dialog_event *got = dialog_next_event();

	if (strcmp(got->text, want) != 0)
		dialog_fail("happened instead: %s", got->text);
}

static void expect_drop(char **at)
{
	if (strcmp(drop_name(dialog.drop), dialog_word_need(at)) != 0)
		dialog_fail("dropped instead: %s", drop_name(dialog.drop));
}

static void expect_count(char **at)
{
	if (tcp_conn_count(dialog.stack) != dialog_word_number(at))
		dialog_fail("%u connections", tcp_conn_count(dialog.stack));
}

static void expect_marked(char **at)
{
	if (tcp_stack_counters(dialog.stack)->ecn_marked != dialog_word_number(at))
		dialog_fail("other than so many marked");
}

static void expect_state(char **at)
{
	const struct tcp_conn *conn = dialog_conn();
	const char *name = conn != NULL ? tcp_conn_state_name(conn->state) : "CLOSED";

	if (strcasecmp(name, dialog_word_need(at)) != 0)
		dialog_fail("state is %s", name);
}

// --- the world ---

static void flush(char **at)
{
	(void)at;
	tcp_flush(dialog.stack, dialog.now_us);
}

static void set_listen(char **at)
{
	dialog.listen = dialog_word_number(at) != 0;
}

static void set_peer(char **at)
{
	const char *name = dialog_word_need(at);
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	if (strcmp(name, "self") == 0)
		n = DIALOG_SELF;
	else if (*end != '\0' || n >= DIALOG_SELF)
		dialog_fail("%s is no peer", name);
	dialog.peer = (int)n;
}

static void configure(char **at)
{
	const char *key = dialog_word_need(at);
	uint32_t value = dialog_word_number(at);
	struct tcp_stack_config *c = &dialog.config;

	if (dialog.stack != NULL)
		dialog_fail("too late");
	if (strcmp(key, "window") == 0)
		c->receive_window = value;
	else if (strcmp(key, "send_buffer") == 0)
		c->send_buffer = value;
	else if (strcmp(key, "mss") == 0)
		c->mss = (uint16_t)value;
	else if (strcmp(key, "conns") == 0)
		c->conns = value;
	else if (strcmp(key, "cookies") == 0)
		dialog.cookies = value != 0;
	else if (strcmp(key, "blocks") == 0)
		c->blocks = value;
	else if (strcmp(key, "reset_late_data") == 0)
		c->reset_late_data = value != 0;
	else if (strcmp(key, "ecn") == 0)
		c->ecn = (uint8_t)value;
	else if (strcmp(key, "acked") == 0)
		dialog.tell_acked = value != 0;
	else
		dialog_fail("%s: not known", key);
}

static void play_state(char **at);

static const struct verb verbs[] = {
	{"<", arrive},
	{"<<", arrive_in_burst},
	{">", expect},
	{"icmp", icmp},
	{"app", app_line},
	{"event", expect_event},
	{"drop", expect_drop},
	{"count", expect_count},
	{"marked", expect_marked},
	{"state", expect_state},
	{"flush", flush},
	{"listen", set_listen},
	{"peer", set_peer},
	{"from", play_state},
	{NULL, NULL},
};

// [+SECONDS] VERB ...
static void play(char *line)
{
	char *at = line;
	char *verb = dialog_word(&at);

	if (verb == NULL || *verb == '#' || strcmp(verb, "only") == 0)
		return;
	if (strcmp(verb, "config") == 0) {
		configure(&at);
		return;
	}
	dialog_begin();
	if (*verb == '+') {
		dialog_advance((uint64_t)(strtod(verb + 1, NULL) * 1e6 + 0.5));
		verb = dialog_word(&at);
	}
	if (verb == NULL)
		dialog_must_be_silent("in this time");
	else
		verb_of(verbs, verb)->act(&at);
	tcp_check(dialog.stack);
}

static void play_file(const char *path)
{
	char line[LINE];
	FILE *in = fopen(path, "r");

	if (in == NULL)
		dialog_fail("%s: cannot be read", path);
	dialog.file = path;
	dialog.line = 0;
	while (fgets(line, sizeof(line), in) != NULL) {
		dialog.line++;
		line[strcspn(line, "\n")] = '\0';
		play(line);
	}
	fclose(in);
}

// from NAME: ../from/NAME.part leads to a state first.
static void play_state(char **at)
{
	const char *script = dialog.file, *name = dialog_word_need(at);
	const char *slash = strrchr(script, '/');
	int line = dialog.line, folder = slash != NULL ? (int)(slash - script) : 0;
	char path[PATH];

	snprintf(path, sizeof(path), "%.*s/../from/%s.part", folder, script, name);
	play_file(path);
	dialog.file = script;
	dialog.line = line;
}

// "only v4", "only v6": a line of its own near the top.
static bool is_meant_for(const char *path, bool v6)
{
	char line[LINE];
	FILE *in = fopen(path, "r");
	bool meant = true;

	while (in != NULL && fgets(line, sizeof(line), in) != NULL)
		if (strncmp(line, "only v", 6) == 0 && line[6] != (v6 ? '6' : '4'))
			meant = false;
	if (in != NULL)
		fclose(in);
	return meant;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: tcp_dialog SCRIPT\n");
		return 2;
	}
	for (int v6 = 0; v6 <= 1; v6++) {
		if (!is_meant_for(argv[1], v6 != 0))
			continue;
		dialog_reset(argv[1], v6 != 0);
		play_file(argv[1]);
		dialog_end();
	}
	return 0;
}
