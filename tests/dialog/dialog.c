#include "dialog/dialog.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialog/dialog_segment.h"
#include "tcp/tcp_table.h"
#include "tcp/tcp_tuple.h"

enum { CONNS = 8, BLOCKS = 64, MSS = 1460, OUR_PORT = 25, PEER_PORT = 40000 };

struct dialog dialog;

void dialog_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "%s:%d (%s): ", dialog.file, dialog.line, dialog.v6 ? "v6" : "v4");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static int peer_of_port(uint16_t port)
{
	return port == OUR_PORT ? DIALOG_SELF : (port - PEER_PORT) % DIALOG_PEERS;
}

static int peer_of_conn(const struct tcp_conn *conn)
{
	uint16_t port;

	tcp_conn_peer(conn, &port);
	return peer_of_port(port);
}

__attribute__((format(printf, 2, 3))) static void event(
	const struct tcp_conn *conn, const char *format, ...)
{
	struct dialog_event *e = &dialog.events[dialog.event_count++ % DIALOG_QUEUE];
	va_list args;

	if (dialog.event_count - dialog.event_first > DIALOG_QUEUE)
		dialog_fail("too many events");
	e->peer = peer_of_conn(conn);
	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
}

// --- the application ---

static enum tcp_welcome on_accept(void *user, const struct segment *syn, uint64_t now_us)
{
	(void)user;
	(void)syn;
	(void)now_us;
	return dialog.refuse ? TCP_REFUSE : TCP_WELCOME;
}

static void on_opened(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	dialog.peers[peer_of_conn(conn)].conn = conn;
	event(conn, "opened");
}

static bool is_text(struct slice in)
{
	for (size_t i = 0; i < in.len; i++)
		if (!isprint(in.at[i]))
			return false;
	return in.len < DIALOG_TEXT;
}

static size_t on_data(void *user, struct tcp_conn *conn, struct slice in, uint64_t now_us)
{
	size_t used = in.len < dialog.consume ? in.len : dialog.consume;

	(void)user;
	if (dialog.on_data == 'h')
		return TCP_DATA_HELD;
	if (is_text(in))
		event(conn, "data %.*s", (int)in.len, (const char *)in.at);
	else
		event(conn, "data %zu", in.len);
	if (dialog.on_data == 'a')
		tcp_abort(conn, now_us);
	if (dialog.on_data == 'c')
		tcp_close(conn, now_us);
	return used;
}

static void on_acked(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	if (dialog.tell_acked)
		event(conn, "acked");
}

static void on_peer_closed(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	event(conn, "peer_closed");
}

static void on_deadline(void *user, struct tcp_conn *conn, uint64_t now_us)
{
	(void)user;
	(void)now_us;
	event(conn, "deadline");
}

static void on_closed(void *user, struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	static const char *const names[] = {
		"orderly", "reset", "timeout", "aborted", "unreachable"};

	(void)user;
	(void)now_us;
	dialog.peers[peer_of_conn(conn)].conn = NULL;
	event(conn, "closed %s", names[why]);
}

// --- the wire ---

static void emit(void *user, const struct segment *s)
{
	struct dialog_sent *out = &dialog.sent[dialog.sent_count++ % DIALOG_QUEUE];
	struct dialog_peer *peer = &dialog.peers[peer_of_port(s->dst_port)];
	size_t at = 0;

	(void)user;
	if (dialog.sent_count - dialog.sent_first > DIALOG_QUEUE)
		dialog_fail("too many segments");
	out->s = *s;
	out->at_us = dialog.now_us;
	for (uint8_t i = 0; i < s->part_count; at += s->parts[i].len, i++)
		memcpy(out->octets + at, s->parts[i].at, s->parts[i].len);
	if (s->flags & SEGMENT_SYN)
		peer->isn = s->seq;
	if (s->options.has_timestamp)
		peer->tsval_last = s->options.tsval;
}

static const struct tcp_app app = {.accept = on_accept,
	.opened = on_opened,
	.data = on_data,
	.acked = on_acked,
	.peer_closed = on_peer_closed,
	.deadline = on_deadline,
	.closed = on_closed};
static const struct tcp_env env = {.emit = emit};

// --- its life ---

void dialog_reset(const char *file, bool v6)
{
	dialog = (struct dialog){.file = file,
		.v6 = v6,
		.now_us = 1000000,
		.consume = SIZE_MAX,
		.listen = true,
		.config = {.app = &app,
			.env = &env,
			.conns = CONNS,
			.blocks = BLOCKS,
			.mss = MSS,
			.secret = {1, 2}}};
}

void dialog_begin(void)
{
	if (dialog.stack != NULL)
		return;
	// config.mss is that of v4; the scripts name the one that is offered.
	if (dialog.v6)
		dialog.config.mss = (uint16_t)(dialog.config.mss + 20);

	size_t octets = (tcp_stack_octets(&dialog.config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	if (memory == NULL)
		dialog_fail("no memory");
	memset(memory, 0, octets);
	dialog.stack = tcp_stack_init(memory, &dialog.config, dialog.now_us);
	tcp_stack_set_cookies(dialog.stack, dialog.cookies);
}

void dialog_end(void)
{
	dialog_must_be_silent("at the end");
	if (dialog.event_first < dialog.event_count)
		dialog_fail("not told by the script: %s", dialog_next_event()->text);
	free(dialog.stack);
}

struct dialog_peer *dialog_peer(void)
{
	return &dialog.peers[dialog.peer];
}

// 10.12.170.host, or 2001:db8::host.
static struct ip_addr address(uint8_t host)
{
	if (!dialog.v6)
		return ip_addr_from_v4(0x0a0caa00u + host);
	return (struct ip_addr){{0x20, 0x01, 0x0d, 0xb8, [15] = host}};
}

struct segment dialog_addressed(void)
{
	bool self = dialog.peer == DIALOG_SELF;

	return (struct segment){.src = address(self ? 5 : 30),
		.dst = address(5),
		.src_port = (uint16_t)(self ? OUR_PORT : PEER_PORT + dialog.peer),
		.dst_port = OUR_PORT};
}

struct tcp_conn *dialog_conn(void)
{
	struct segment s = dialog_addressed();
	struct tcp_tuple tuple = tcp_tuple_of_input(&s);

	return tcp_table_find(dialog.stack, &tuple);
}

void dialog_must_be_silent(const char *when)
{
	char text[DIALOG_SEGMENT_TEXT];

	if (dialog.sent_first == dialog.sent_count)
		return;

	const struct dialog_sent *sent = &dialog.sent[dialog.sent_first % DIALOG_QUEUE];

	dialog_fail("%s: not expected, at %.6f s: %s", when, (double)sent->at_us / 1e6,
		dialog_segment_describe(&sent->s, text));
}

void dialog_advance(uint64_t by_us)
{
	uint64_t end_us = dialog.now_us + by_us;

	if (by_us == 0)
		return;
	dialog_must_be_silent("before time goes on");
	while (dialog.now_us < end_us) {
		uint64_t next_us =
			tcp_next_timer_us(dialog.stack, dialog.now_us, end_us - dialog.now_us);

		dialog.now_us = next_us > dialog.now_us ? next_us : dialog.now_us + 1;
		tcp_timers(dialog.stack, dialog.now_us, 1000);
		tcp_flush(dialog.stack, dialog.now_us);
	}
}

const struct dialog_sent *dialog_next_sent(void)
{
	if (dialog.sent_first == dialog.sent_count)
		dialog_fail("nothing was sent");

	const struct dialog_sent *sent = &dialog.sent[dialog.sent_first++ % DIALOG_QUEUE];
	int peer = peer_of_port(sent->s.dst_port);

	if (peer != dialog.peer)
		dialog_fail("sent to peer %d", peer);
	return sent;
}

const struct dialog_event *dialog_next_event(void)
{
	if (dialog.event_first == dialog.event_count)
		dialog_fail("nothing happened");

	const struct dialog_event *e = &dialog.events[dialog.event_first++ % DIALOG_QUEUE];

	if (e->peer != dialog.peer)
		dialog_fail("happened to peer %d: %s", e->peer, e->text);
	return e;
}
