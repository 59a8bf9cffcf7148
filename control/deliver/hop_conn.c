#include "deliver/hop_conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	BODY_BLOCK = 32768, // octets read from the spool at once
	BODY_BURST = 4,     // blocks sent before others have their turn
	READ_OCTETS = 16384,
};

// One thread, and nothing keeps them past a callback.
static uint8_t body_block[BODY_BLOCK];
static uint8_t body_stuffed[2 * BODY_BLOCK + DOT_STUFF_END_MAX];
static char read_octets[READ_OCTETS];

struct write {
	uv_write_t request;
	bool is_body, is_last;
	uint8_t octets[];
};

static void act(struct hop_conn *conn, unsigned effects);
static void body_go(struct hop_conn *conn);

// Closing

static void on_closed(uv_handle_t *handle)
{
	struct hop_conn *conn = handle->data;

	if (--conn->open_handles == 0)
		free(conn);
}

static void conn_close(struct hop_conn *conn, const char *why)
{
	if (conn->is_closing)
		return;
	conn->is_closing = true;
	uv_close((uv_handle_t *)&conn->tcp, on_closed);
	uv_close((uv_handle_t *)&conn->timer, on_closed);
	conn->owner->closed(conn->user, conn, why);
}

// Timer

static void on_timer(uv_timer_t *timer)
{
	struct hop_conn *conn = timer->data;

	if (conn->smtp.state == SMTP_CLIENT_ST_IDLE) {
		hop_conn_leave(conn);
		return;
	}
	act(conn, smtp_client_event(&conn->smtp, SMTP_CLIENT_EV_LATE));
}

static void timer_restart(struct hop_conn *conn)
{
	uv_timer_start(&conn->timer, on_timer,
		smtp_client_state_seconds(conn->smtp.state) * UINT64_C(1000), 0);
}

// Writing

static void on_written(uv_write_t *request, int status)
{
	struct write *w = (struct write *)request;
	struct hop_conn *conn = request->data;
	bool is_body = w->is_body, is_last = w->is_last;

	free(w);
	// A broken connection is told by the reading side, which may still hold the reason.
	if (status < 0 || conn->is_closing || !is_body)
		return;
	if (conn->smtp.state != SMTP_CLIENT_ST_BODY)
		return;
	timer_restart(conn);
	if (is_last)
		act(conn, smtp_client_event(&conn->smtp, SMTP_CLIENT_EV_SENT));
	else
		body_go(conn);
}

static struct write *write_new(const uint8_t *octets, size_t count)
{
	struct write *w = malloc(sizeof(*w) + count);

	assert(w != NULL);
	memset(w, 0, sizeof(*w));
	memcpy(w->octets, octets, count);
	return w;
}

static void write_start(struct hop_conn *conn, struct write *w, size_t count)
{
	uv_buf_t buf = uv_buf_init((char *)w->octets, (unsigned)count);

	w->request.data = conn;
	if (uv_write(&w->request, (uv_stream_t *)&conn->tcp, &buf, 1, on_written) < 0)
		free(w); // reading tells
}

// How many octets the socket took at once.
static size_t write_now(struct hop_conn *conn, uint8_t *octets, size_t count)
{
	uv_buf_t buf = uv_buf_init((char *)octets, (unsigned)count);
	int n = uv_try_write((uv_stream_t *)&conn->tcp, &buf, 1);

	return n > 0 ? (size_t)n : 0;
}

static void flush(struct hop_conn *conn)
{
	size_t count = conn->smtp.out_octets, taken;

	if (count == 0)
		return;
	conn->smtp.out_octets = 0;
	taken = write_now(conn, conn->smtp.out, count);
	if (taken < count)
		write_start(conn, write_new(conn->smtp.out + taken, count - taken), count - taken);
}

// Body

// Read and stuff the next block. Octets in body_stuffed, or -1; *is_last: the end of the message is among them.
static ssize_t body_fill(struct hop_conn *conn, bool *is_last)
{
	const struct transaction *t = conn->transaction;
	uint64_t left = t->mail.octets - conn->body_at;
	uint32_t n = left < BODY_BLOCK ? (uint32_t)left : BODY_BLOCK;
	size_t out;

	if (n > 0 && conn->owner->body(conn->user, t, conn->body_at, body_block, n) != ERR_OK)
		return -1;
	conn->body_at += n;
	out = dot_stuff(&conn->stuff, (struct slice){body_block, n}, body_stuffed);
	*is_last = conn->body_at == t->mail.octets;
	if (*is_last)
		out += dot_stuff_end(&conn->stuff, body_stuffed + out);
	return (ssize_t)out;
}

static void body_go(struct hop_conn *conn)
{
	for (int i = 0;; i++) {
		bool is_last = false;
		ssize_t n = body_fill(conn, &is_last);
		size_t taken;
		struct write *w;

		// The dot is not sent, so the server cannot take what came so far for a message.
		if (n < 0) {
			act(conn, smtp_client_give_up(&conn->smtp, "the spool cannot be read"));
			return;
		}
		taken = i < BODY_BURST ? write_now(conn, body_stuffed, (size_t)n) : 0;
		if (taken == (size_t)n && is_last) {
			act(conn, smtp_client_event(&conn->smtp, SMTP_CLIENT_EV_SENT));
			return;
		}
		if (taken == (size_t)n)
			continue;
		w = write_new(body_stuffed + taken, (size_t)n - taken);
		w->is_body = true;
		w->is_last = is_last;
		write_start(conn, w, (size_t)n - taken);
		return;
	}
}

static void body_begin(struct hop_conn *conn)
{
	conn->body_at = 0;
	conn->stuff = (struct dot_stuff){0};
	body_go(conn);
}

// What the client wants

static struct transaction *next_mail(struct hop_conn *conn)
{
	if (conn->smtp.mails < HOP_CONN_MAILS_MAX)
		return conn->owner->next(conn->user, conn);
	hop_conn_leave(conn);
	return NULL;
}

static void mail_done(struct hop_conn *conn)
{
	struct transaction *t = conn->transaction;

	conn->transaction = NULL;
	conn->owner->done(conn->user, conn, t);
}

static void act(struct hop_conn *conn, unsigned effects)
{
	for (;;) {
		flush(conn);
		if ((effects & SMTP_CLIENT_DONE) != 0)
			mail_done(conn);
		if ((effects & SMTP_CLIENT_CLOSE) != 0) {
			conn_close(conn, conn->smtp.trouble);
			return;
		}
		timer_restart(conn);
		if ((effects & SMTP_CLIENT_BODY) != 0) {
			body_begin(conn);
			return;
		}
		if ((effects & SMTP_CLIENT_READY) == 0)
			return;
		conn->transaction = next_mail(conn);
		if (conn->transaction == NULL)
			return;
		effects = smtp_client_start(&conn->smtp, &conn->transaction->mail);
	}
}

// Reading

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(read_octets, sizeof(read_octets));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct hop_conn *conn = stream->data;
	struct slice in = {(const uint8_t *)buf->base, n > 0 ? (size_t)n : 0};
	unsigned effects;

	if (n == 0 || conn->is_closing)
		return;
	if (n > 0)
		effects = smtp_client_input(&conn->smtp, in);
	else
		effects = smtp_client_event(&conn->smtp, SMTP_CLIENT_EV_GONE);
	act(conn, effects);
}

// Opening

static void on_connected(uv_connect_t *request, int status)
{
	struct hop_conn *conn = request->data;
	char why[128];

	if (conn->is_closing)
		return;
	if (status == 0)
		status = uv_read_start((uv_stream_t *)&conn->tcp, on_room, on_read);
	if (status < 0) {
		snprintf(why, sizeof(why), "connect: %s", uv_strerror(status));
		conn_close(conn, why);
		return;
	}
	timer_restart(conn);
}

static void on_connect_timeout(uv_timer_t *timer)
{
	conn_close(timer->data, "connect: timed out");
}

static void sockaddr_fill(struct sockaddr_storage *ss, const struct ip_addr *a, uint16_t port)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (!ip_addr_is_v4(a)) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		memcpy(&v6->sin6_addr, a->octets, 16);
		return;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	v4->sin_addr.s_addr = htonl(ip_addr_v4(a));
}

static int connect_start(struct hop_conn *conn, const struct hop_conn_setup *setup)
{
	struct sockaddr_storage ss;
	int e = 0;

	if (!ip_addr_is_unspecified(&setup->source) &&
		ip_addr_is_v4(&setup->source) == ip_addr_is_v4(&setup->to)) {
		sockaddr_fill(&ss, &setup->source, 0);
		e = uv_tcp_bind(&conn->tcp, (struct sockaddr *)&ss, 0);
	}
	if (e < 0)
		return e;
	uv_tcp_nodelay(&conn->tcp, 1);
	sockaddr_fill(&ss, &setup->to, setup->port);
	conn->connect.data = conn;
	return uv_tcp_connect(&conn->connect, &conn->tcp, (struct sockaddr *)&ss, on_connected);
}

static void name_write(struct hop_conn *conn, const struct hop_conn_setup *setup)
{
	char text[IP_ADDR_TEXT_MAX];

	ip_addr_print(&setup->to, text);
	if (strcmp(text, setup->host) == 0)
		snprintf(conn->name, sizeof(conn->name), "[%s]:%u", text, setup->port);
	else
		snprintf(conn->name, sizeof(conn->name), "%s[%s]:%u", setup->host, text,
			setup->port);
}

struct hop_conn *hop_conn_open(
	const struct hop_conn_setup *setup, const struct hop_conn_owner *owner, void *user)
{
	struct hop_conn *conn = calloc(1, sizeof(*conn));
	char why[128];
	int e;

	assert(conn != NULL);
	conn->owner = owner;
	conn->user = user;
	name_write(conn, setup);
	snprintf(conn->helo, sizeof(conn->helo), "%s", setup->helo);
	smtp_client_init(&conn->smtp, conn->helo);
	uv_tcp_init(setup->loop, &conn->tcp);
	uv_timer_init(setup->loop, &conn->timer);
	conn->tcp.data = conn->timer.data = conn;
	conn->open_handles = 2;
	uv_timer_start(
		&conn->timer, on_connect_timeout, setup->connect_timeout_s * UINT64_C(1000), 0);
	e = connect_start(conn, setup);
	if (e == 0)
		return conn;
	snprintf(why, sizeof(why), "connect: %s", uv_strerror(e));
	conn_close(conn, why);
	return NULL;
}

void hop_conn_give(struct hop_conn *conn, const struct hop_conn_owner *owner, void *user)
{
	conn->owner = owner;
	conn->user = user;
}

void hop_conn_send(struct hop_conn *conn, struct transaction *t)
{
	assert(conn->transaction == NULL && !conn->is_closing);
	conn->transaction = t;
	act(conn, smtp_client_start(&conn->smtp, &t->mail));
}

void hop_conn_leave(struct hop_conn *conn)
{
	conn->owner->leaving(conn->user, conn);
	act(conn, smtp_client_event(&conn->smtp, SMTP_CLIENT_EV_LEAVE));
}
