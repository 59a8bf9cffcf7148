#include "control/admin.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "control/admin_request.h"
#include "control/admin_verb.h"

enum {
	BACKLOG = 64,
};

// What a connection waits for.
enum admin_state {
	ADMIN_READING, // the end of the request
	ADMIN_ASKING,  // the deliverer, or the end of a reload
	ADMIN_WRITING, // the peer to take the response
	ADMIN_CLOSING, // libuv to let go of the handles
};

struct admin_conn {
	struct admin *admin; // NULL: the server is gone
	enum admin_state state;
	uv_pipe_t pipe;
	uv_timer_t timer;
	uv_write_t write;
	int open_handles;
	json_t *values;                   // ASKING: to be put together with the answer; or NULL
	struct admin_verb_reload *reload; // ASKING: what is waited for; or NULL: the deliverer
	char *response;
	size_t used;
	char request[ADMIN_REQUEST_OCTETS];
};

struct admin {
	uv_pipe_t server;
	struct admin_parts parts;
	uint64_t refused; // connections beyond ADMIN_CONNECTIONS
	struct admin_conn *conns[ADMIN_CONNECTIONS];
};

static void on_handle_closed(uv_handle_t *handle)
{
	struct admin_conn *conn = handle->data;

	if (--conn->open_handles > 0)
		return;
	json_decref(conn->values);
	free(conn->response);
	free(conn);
}

// Out of the table at once; the memory waits for both handles.
static void conn_close(struct admin_conn *conn)
{
	if (conn->state == ADMIN_CLOSING)
		return;
	if (conn->state == ADMIN_ASKING && conn->reload != NULL)
		admin_verb_forget(conn->reload);
	else if (conn->state == ADMIN_ASKING)
		deliver_link_forget(conn->admin->parts.deliver, conn);
	conn->state = ADMIN_CLOSING;
	for (int i = 0; i < ADMIN_CONNECTIONS; i++)
		if (conn->admin->conns[i] == conn)
			conn->admin->conns[i] = NULL;
	uv_close((uv_handle_t *)&conn->pipe, on_handle_closed);
	uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
}

static void on_timeout(uv_timer_t *timer)
{
	conn_close(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
	(void)status;
	conn_close(write->data);
}

static void respond(struct admin_conn *conn, char *response)
{
	uv_buf_t buf;

	if (response == NULL) {
		conn_close(conn);
		return;
	}
	conn->state = ADMIN_WRITING;
	conn->response = response;
	conn->write.data = conn;
	buf = uv_buf_init(response, (unsigned)strlen(response));
	uv_timer_start(&conn->timer, on_timeout, ADMIN_IDLE_MS, 0);
	if (uv_write(&conn->write, (uv_stream_t *)&conn->pipe, &buf, 1, on_written) < 0)
		conn_close(conn);
}

static void respond_merged(struct admin_conn *conn, json_t *data)
{
	char *text = admin_verb_merge(conn->values, data);

	respond(conn, admin_request_response(0, text, json_incref(conn->values)));
	free(text);
}

static void on_deliver_answer(void *user, const char *text, size_t octets, const char *why)
{
	static const char nonsense[] = "postern-deliver answered what is no answer";
	struct admin_conn *conn = user;
	json_t *root = text == NULL ? NULL : json_loadb(text, octets, 0, NULL);
	json_t *data = json_object_get(root, "data");
	const char *said = json_string_value(json_object_get(root, "text"));
	int exit = (int)json_integer_value(json_object_get(root, "exit"));

	conn->state = ADMIN_WRITING;
	if (conn->values != NULL)
		respond_merged(conn, data);
	else if (json_is_object(root))
		respond(conn, admin_request_response(
				      exit >= 0 && exit <= 2 ? exit : 2, said, json_incref(data)));
	else
		respond(conn, admin_request_response(1, text != NULL ? nonsense : why, NULL));
	json_decref(root);
}

static void on_reloaded(void *user, struct admin_answer *answer)
{
	struct admin_conn *conn = user;

	conn->state = ADMIN_WRITING;
	conn->reload = NULL;
	respond(conn, admin_request_response(answer->exit, answer->text, answer->data));
	free(answer->text);
}

static void serve(struct admin_conn *conn, struct slice line)
{
	struct admin_call call = {.parts = &conn->admin->parts,
		.later = on_deliver_answer,
		.reloaded = on_reloaded,
		.later_user = conn};
	struct admin_request request;
	char why[ADMIN_REQUEST_WHY_MAX];
	bool answered;

	if (!admin_request_parse(line, &request, why)) {
		respond(conn, admin_request_response(2, why, NULL));
		return;
	}
	call.args = request.args;
	answered = admin_verb_run(&call, request.verb);
	admin_request_free(&request);
	if (!answered) {
		conn->state = ADMIN_ASKING;
		conn->values = call.answer.data;
		conn->reload = call.reload;
		uv_timer_stop(&conn->timer); // the question has a time-out of its own
		return;
	}
	respond(conn, admin_request_response(call.answer.exit, call.answer.text, call.answer.data));
	free(call.answer.text);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct admin_conn *conn = handle->data;

	(void)suggested;
	*buf = uv_buf_init(
		conn->request + conn->used, (unsigned)(sizeof(conn->request) - conn->used));
}

// A request ends with its newline, or with the stream when the peer only sends.
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct admin_conn *conn = stream->data;
	const char *newline;
	bool ended = n == UV_EOF;

	(void)buf;
	if (n == 0)
		return;
	if (n < 0 && (!ended || conn->used == 0)) {
		conn_close(conn);
		return;
	}
	conn->used += n > 0 ? (size_t)n : 0;
	newline = memchr(conn->request, '\n', conn->used);
	if (newline == NULL && !ended && conn->used < sizeof(conn->request))
		return;
	uv_read_stop(stream);
	if (newline == NULL && !ended) {
		respond(conn, admin_request_response(2, "the request is too long", NULL));
		return;
	}
	serve(conn, (struct slice){(const uint8_t *)conn->request,
			    newline != NULL ? (size_t)(newline - conn->request) : conn->used});
}

static int free_place(const struct admin *admin)
{
	for (int i = 0; i < ADMIN_CONNECTIONS; i++)
		if (admin->conns[i] == NULL)
			return i;
	return -1;
}

static struct admin_conn *conn_new(struct admin *admin)
{
	struct admin_conn *conn = malloc(sizeof(*conn));

	if (conn == NULL)
		return NULL;
	memset(conn, 0, offsetof(struct admin_conn, request));
	conn->admin = admin;
	uv_pipe_init(admin->server.loop, &conn->pipe, 0);
	uv_timer_init(admin->server.loop, &conn->timer);
	conn->pipe.data = conn;
	conn->timer.data = conn;
	conn->open_handles = 2;
	return conn;
}

static void on_connection(uv_stream_t *server, int status)
{
	struct admin *admin = server->data;
	struct admin_conn *conn;
	int place = free_place(admin);

	if (status < 0)
		return;
	conn = conn_new(admin);
	if (conn == NULL)
		return;
	// Taken off the kernel's queue also when there is no place, or it would keep the loop busy.
	if (uv_accept(server, (uv_stream_t *)&conn->pipe) < 0 || place < 0) {
		admin->refused += place < 0 ? 1 : 0;
		conn_close(conn);
		return;
	}
	admin->conns[place] = conn;
	uv_timer_start(&conn->timer, on_timeout, ADMIN_IDLE_MS, 0);
	if (uv_read_start((uv_stream_t *)&conn->pipe, on_room, on_read) < 0)
		conn_close(conn);
}

static void on_server_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct admin *admin_new(uv_loop_t *loop, int listen_fd, const struct admin_parts *parts)
{
	struct admin *admin = calloc(1, sizeof(*admin));

	signal(SIGPIPE, SIG_IGN); // libuv writes to peers that have left
	if (admin == NULL || uv_pipe_init(loop, &admin->server, 0) < 0) {
		free(admin);
		return NULL;
	}
	admin->parts = *parts;
	admin->parts.loop = loop;
	admin->server.data = admin;
	if (uv_pipe_open(&admin->server, listen_fd) == 0 &&
		uv_listen((uv_stream_t *)&admin->server, BACKLOG, on_connection) == 0)
		return admin;
	uv_close((uv_handle_t *)&admin->server, on_server_closed);
	return NULL;
}

void admin_free(struct admin *admin)
{
	for (int i = 0; i < ADMIN_CONNECTIONS; i++)
		if (admin->conns[i] != NULL)
			conn_close(admin->conns[i]);
	uv_close((uv_handle_t *)&admin->server, on_server_closed);
}
