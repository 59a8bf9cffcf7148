// tcp_dialog SCRIPT - plays one side of a TCP conversation from a text, in virtual time, and holds what the
// stack sends and tells its application against the script. See README.md for the language.

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/tcp_check.h"
#include "tcp/tcp.h"

enum { QUEUE = 256, TEXT = 4096, LINE = 1024, CONNS = 8, BLOCKS = 64, TOLERANCE_US = 1000 };

struct sent {
	struct segment s;
	uint8_t octets[TEXT];
	uint64_t at_us;
};

static struct {
	const char *file;
	int line;
	uint64_t now_us;
	struct tcp_stack_config config;
	struct tcp_stack *stack;
	struct tcp_conn *conn;
	struct sent sent[QUEUE];
	uint32_t sent_first, sent_count;
	char events[QUEUE][TEXT + 32];
	uint32_t event_first, event_count;
	uint32_t isn, tsval_last;
	size_t consume; // at most so many octets of each data()
	bool listen;
	char on_data; // 'a' abort, 'c' close, from inside data()
	enum drop drop;
} d;

__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%d: ", d.file, d.line);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

__attribute__((format(printf, 1, 2))) static void event(const char *format, ...)
{
	va_list args;

	if (d.event_count == QUEUE)
		fail("too many events");
	va_start(args, format);
	vsnprintf(d.events[d.event_count++], sizeof(d.events[0]), format, args);
	va_end(args);
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	d.conn = conn;
	event("opened");
}

static bool is_text(struct slice in)
{
	for (size_t i = 0; i < in.len; i++)
		if (!isprint(in.at[i]))
			return false;
	return in.len < TEXT;
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	size_t used = in.len < d.consume ? in.len : d.consume;

	(void)user;
	if (is_text(in))
		event("data %.*s", (int)in.len, (const char *)in.at);
	else
		event("data %zu", in.len);
	if (d.on_data == 'a')
		tcp_abort(conn, now_us);
	if (d.on_data == 'c')
		tcp_close(conn, now_us);
	return used;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
	event("peer_closed");
}

static void on_deadline(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)conn;
	(void)now_us;
	event("deadline");
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	static const char *const names[] = {"orderly", "reset", "timeout", "aborted"};

	(void)user;
	(void)conn;
	(void)now_us;
	d.conn = NULL;
	event("closed %s", names[why]);
}

static void emit(void *user, const struct segment *s)
{
	struct sent *out = &d.sent[d.sent_count++ % QUEUE];
	size_t at = 0;

	(void)user;
	if (d.sent_count - d.sent_first > QUEUE)
		fail("too many segments");
	out->s = *s;
	out->at_us = d.now_us;
	for (uint8_t i = 0; i < s->part_count; at += s->parts[i].len, i++)
		memcpy(out->octets + at, s->parts[i].at, s->parts[i].len);
	if (s->flags & SEGMENT_SYN)
		d.isn = s->seq;
	if (s->options.has_timestamp)
		d.tsval_last = s->options.tsval;
}

static const struct tcp_app app = {.opened = on_opened,
	.data = on_data,
	.acked = on_acked,
	.peer_closed = on_peer_closed,
	.deadline = on_deadline,
	.closed = on_closed};
static const struct tcp_env env = {.emit = emit};

static void begin(void)
{
	if (d.stack != NULL)
		return;

	size_t octets = (tcp_stack_octets(&d.config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	memset(memory, 0, octets);
	d.stack = tcp_stack_init(memory, &d.config, d.now_us);
}

static struct segment addressed(void)
{
	return (struct segment){.src = ip_addr_from_v4(0x0a0caa1e),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = 40000,
		.dst_port = 25};
}

static void describe(const struct segment *s, char *out, size_t room)
{
	snprintf(out, room, "%s%s%s%s%s %u+%u ack %u win %u", s->flags & SEGMENT_SYN ? "S" : "",
		s->flags & SEGMENT_FIN ? "F" : "", s->flags & SEGMENT_RST ? "R" : "",
		s->flags & SEGMENT_PSH ? "P" : "", s->flags & SEGMENT_ACK ? "." : "",
		s->seq - d.isn, s->payload_octets, s->ack, s->window);
}

static void must_be_silent(const char *when)
{
	char text[128];

	if (d.sent_first == d.sent_count)
		return;
	describe(&d.sent[d.sent_first % QUEUE].s, text, sizeof(text));
	fail("%s: not expected, at %.6f s: %s", when,
		(double)d.sent[d.sent_first % QUEUE].at_us / 1e6, text);
}

static void advance(uint64_t by_us)
{
	uint64_t end_us = d.now_us + by_us;

	if (by_us == 0)
		return;
	must_be_silent("before time goes on");
	while (d.now_us < end_us) {
		uint64_t next_us = tcp_next_timer_us(d.stack, d.now_us, end_us - d.now_us);

		d.now_us = next_us > d.now_us ? next_us : d.now_us + 1;
		tcp_timers(d.stack, d.now_us, 1000);
		tcp_flush(d.stack, d.now_us);
	}
}

// A word of the line, or NULL at its end. "quoted text" is one word, kept with its first quote.
static char *word(char **at)
{
	char *w = *at;

	while (*w == ' ' || *w == '\t')
		w++;
	if (*w == '\0')
		return NULL;

	char *end = *w == '"' ? strchr(w + 1, '"') : w + strcspn(w, " \t");

	if (end == NULL)
		fail("text without an end");
	*at = end + (*end != '\0');
	*end = '\0';
	return w;
}

static const char *need(char **at)
{
	const char *w = word(at);

	if (w == NULL)
		fail("line ends too early");
	return w;
}

static uint32_t number(char **at)
{
	const char *w = need(at);
	char *end;
	unsigned long long n = strtoull(w, &end, 0);

	if (*end != '\0')
		fail("%s is no number", w);
	return (uint32_t)n;
}

struct wanted {
	struct segment s;
	bool ack, window;
	uint8_t octets[TEXT];
	bool text;
};

static uint8_t flags_of(const char *w)
{
	static const char letters[] = "SFRP.U";
	static const uint8_t bits[] = {
		SEGMENT_SYN, SEGMENT_FIN, SEGMENT_RST, SEGMENT_PSH, SEGMENT_ACK, SEGMENT_URG};
	uint8_t flags = 0;

	for (; *w != '\0' && *w != '-'; w++) {
		const char *at = strchr(letters, *w);

		if (at == NULL)
			fail("%c is no flag", *w);
		flags |= bits[at - letters];
	}
	return flags;
}

static void parse_option(struct wanted *w, const char *key, char **at)
{
	struct segment_options *o = &w->s.options;

	if (strcmp(key, "ack") == 0) {
		w->ack = true;
		w->s.ack = number(at);
	} else if (strcmp(key, "win") == 0) {
		w->window = true;
		w->s.window = (uint16_t)number(at);
	} else if (strcmp(key, "mss") == 0) {
		o->has_mss = true;
		o->mss = (uint16_t)number(at);
	} else if (strcmp(key, "scale") == 0) {
		o->has_scale = true;
		o->scale = (uint8_t)number(at);
	} else if (strcmp(key, "ts") == 0) {
		o->has_timestamp = true;
		o->tsval = number(at);
		o->tsecr = d.tsval_last;
	} else if (*key == '"') {
		w->text = true;
		w->s.payload_octets = (uint32_t)strlen(key + 1);
		memcpy(w->octets, key + 1, w->s.payload_octets);
	} else {
		fail("%s: not known", key);
	}
}

// FLAGS SEQ[+LEN] ["text"] [ack N] [win N] [mss N] [scale N] [ts N]
static struct wanted parse_segment(char **at)
{
	struct wanted w = {.s = addressed()};
	const char *flags = need(at), *seq = need(at), *key;
	char *end;

	w.s.flags = flags_of(flags);
	w.s.seq = (uint32_t)strtoul(seq, &end, 0);
	if (*end == '+')
		w.s.payload_octets = (uint32_t)strtoul(end + 1, &end, 0);
	if (*end != '\0' || w.s.payload_octets > TEXT)
		fail("%s is no sequence number", seq);
	memset(w.octets, 1, w.s.payload_octets);
	while ((key = word(at)) != NULL)
		parse_option(&w, key, at);
	return w;
}

static void inject(char **at, bool flush)
{
	struct wanted w = parse_segment(at);

	must_be_silent("before a segment arrives");
	if (!w.window)
		w.s.window = 65535;
	w.s.ack = w.ack ? w.s.ack + d.isn : 0;
	w.s.part_count = w.s.payload_octets > 0;
	w.s.parts[0] = (struct slice){w.octets, w.s.payload_octets};
	d.drop = tcp_input(d.stack, &w.s, d.listen, d.now_us);
	tcp_check(d.stack);
	if (flush)
		tcp_flush(d.stack, d.now_us);
}

static bool options_fit(const struct segment_options *want, const struct segment_options *got)
{
	return (!want->has_mss || (got->has_mss && got->mss == want->mss)) &&
	       (!want->has_scale || (got->has_scale && got->scale == want->scale)) &&
	       (!want->has_timestamp || (got->has_timestamp && got->tsecr == want->tsval));
}

static void expect(char **at)
{
	struct wanted w = parse_segment(at);
	char text[128];

	if (d.sent_first == d.sent_count)
		fail("nothing was sent");

	const struct sent *got = &d.sent[d.sent_first++ % QUEUE];
	bool fits = got->s.flags == w.s.flags && got->s.seq - d.isn == w.s.seq &&
		    got->s.payload_octets == w.s.payload_octets &&
		    (!w.ack || got->s.ack == w.s.ack) &&
		    (!w.window || got->s.window == w.s.window) &&
		    (!w.text || memcmp(got->octets, w.octets, w.s.payload_octets) == 0) &&
		    options_fit(&w.s.options, &got->s.options);

	describe(&got->s, text, sizeof(text));
	if (!fits)
		fail("sent instead: %s (ts echo %u)", text, got->s.options.tsecr);
	if (got->at_us + TOLERANCE_US < d.now_us)
		fail("sent at %.6f s, now it is %.6f s", (double)got->at_us / 1e6,
			(double)d.now_us / 1e6);
}

static void app_send(char **at)
{
	static uint8_t octets[100000];
	const char *w = need(at);
	struct slice in = {octets, 0};

	if (*w == '"')
		in = (struct slice){(const uint8_t *)w + 1, strlen(w + 1)};
	else
		in.len = strtoul(w, NULL, 0);
	if (!tcp_send(d.conn, in, d.now_us))
		fail("tcp_send() refused");
}

static void app_line(char **at)
{
	const char *what = need(at);

	if (strcmp(what, "consume") == 0) {
		d.consume = number(at);
		return;
	}
	if (strcmp(what, "in_data") == 0) {
		d.on_data = *need(at);
		return;
	}
	if (strcmp(what, "connect") == 0) {
		struct segment t = addressed();
		struct segment out = {
			.src = t.dst, .dst = t.src, .src_port = t.dst_port, .dst_port = t.src_port};

		d.conn = tcp_connect(d.stack, &out, d.now_us);
		tcp_flush(d.stack, d.now_us);
		return;
	}
	if (d.conn == NULL)
		fail("no connection");
	if (strcmp(what, "send") == 0)
		app_send(at);
	else if (strcmp(what, "close") == 0)
		tcp_close(d.conn, d.now_us);
	else if (strcmp(what, "abort") == 0)
		tcp_abort(d.conn, d.now_us);
	else if (strcmp(what, "resume") == 0)
		tcp_resume(d.conn, d.now_us);
	else if (strcmp(what, "deadline") == 0)
		tcp_set_deadline(d.conn, d.now_us + number(at));
	else
		fail("%s: not known", what);
}

static void expect_event(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	if (d.event_first == d.event_count)
		fail("nothing happened");
	if (strcmp(d.events[d.event_first], text) != 0)
		fail("happened instead: %s", d.events[d.event_first]);
	d.event_first++;
}

static void configure(char **at)
{
	const char *key = need(at);

	if (d.stack != NULL)
		fail("too late");
	if (strcmp(key, "window") == 0)
		d.config.receive_window = number(at);
	else if (strcmp(key, "mss") == 0)
		d.config.mss = (uint16_t)number(at);
	else if (strcmp(key, "conns") == 0)
		d.config.conns = number(at);
	else
		fail("%s: not known", key);
}

static void expect_drop(char **at)
{
	const char *name = need(at);

	if (strcasecmp(drop_name(d.drop), name) != 0)
		fail("dropped instead: %s", drop_name(d.drop));
}

// [+SECONDS] VERB ...
static void play(char *line)
{
	char *at = line;
	char *verb = word(&at);

	if (verb == NULL || *verb == '#')
		return;
	if (strcmp(verb, "config") == 0) {
		configure(&at);
		return;
	}
	begin();
	if (*verb == '+') {
		advance((uint64_t)(strtod(verb + 1, NULL) * 1e6 + 0.5));
		verb = word(&at);
	}
	if (verb == NULL)
		must_be_silent("in this time");
	else if (strcmp(verb, "<") == 0)
		inject(&at, true);
	else if (strcmp(verb, "<<") == 0)
		inject(&at, false);
	else if (strcmp(verb, ">") == 0)
		expect(&at);
	else if (strcmp(verb, "app") == 0)
		app_line(&at);
	else if (strcmp(verb, "flush") == 0)
		tcp_flush(d.stack, d.now_us);
	else if (strcmp(verb, "event") == 0)
		expect_event(at);
	else if (strcmp(verb, "drop") == 0)
		expect_drop(&at);
	else if (strcmp(verb, "count") == 0) {
		uint32_t want = number(&at);

		if (tcp_conn_count(d.stack) != want)
			fail("%u connections", tcp_conn_count(d.stack));
	} else if (strcmp(verb, "listen") == 0)
		d.listen = number(&at) != 0;
	else
		fail("%s: not known", verb);
	tcp_check(d.stack);
}

static void finish(void)
{
	must_be_silent("at the end");
	if (d.event_first < d.event_count)
		fail("not told by the script: %s", d.events[d.event_first]);
	free(d.stack);
}

int main(int argc, char **argv)
{
	char line[LINE];
	FILE *in = argc == 2 ? fopen(argv[1], "r") : NULL;

	if (in == NULL) {
		fprintf(stderr, "usage: tcp_dialog SCRIPT\n");
		return 2;
	}
	d.file = argv[1];
	d.now_us = 1000000;
	d.consume = SIZE_MAX;
	d.listen = true;
	d.config = (struct tcp_stack_config){.app = &app,
		.env = &env,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = 1460,
		.secret = {1, 2}};
	while (fgets(line, sizeof(line), in) != NULL) {
		d.line++;
		line[strcspn(line, "\n")] = '\0';
		play(line);
	}
	fclose(in);
	finish();
	return 0;
}
