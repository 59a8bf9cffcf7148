// admin_stage.h - the control socket with all that it speaks for, in one loop that the test turns.

#pragma once

#include "control_world.h"

#include <fcntl.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <uv.h>

#include "control/admin.h"
#include "control/deliver_link.h"
#include "control/log.h"
#include "supervise/child_link.h"

struct stage {
	struct control_world world;
	uv_loop_t loop;
	struct log *log;
	struct deliver_link *deliver;
	struct admin *admin;
	int supervisor[2]; // our end, edge's end
	int peer;          // the deliverer's end of the channel
	struct sockaddr_un address;
};

static uint64_t no_segment(void *user)
{
	(void)user;
	return 1;
}

static inline void begin(struct stage *s)
{
	const struct deliver_link_events events = {.segment = no_segment};
	struct admin_parts parts;
	int fd, pair[2];

	memset(s, 0, sizeof(*s));
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, s->supervisor), 0);
	control_world_make(&s->world, "ab", s->supervisor[1]);
	uv_loop_init(&s->loop);
	s->log = log_new(&s->world.edge, s->world.reload);
	s->deliver = deliver_link_new(&s->loop, &events);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	deliver_link_attach(s->deliver, pair[0]);
	s->peer = pair[1];
	s->address.sun_family = AF_UNIX;
	snprintf(s->address.sun_path, sizeof(s->address.sun_path), "%s/s", s->world.directory);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&s->address, sizeof(s->address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	parts = (struct admin_parts){.edge = &s->world.edge,
		.reload = s->world.reload,
		.log = s->log,
		.deliver = s->deliver,
		.supervisor_link = s->supervisor[1]};
	s->admin = admin_new(&s->loop, fd, &parts);
	assert_non_null(s->admin);
}

static inline void turn(struct stage *s)
{
	for (int i = 0; i < 5; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static inline void end(struct stage *s)
{
	admin_free(s->admin);
	deliver_link_free(s->deliver);
	turn(s);
	assert_int_equal(uv_loop_close(&s->loop), 0); // no handle was forgotten
	log_free(s->log);
	close(s->peer);
	close(s->supervisor[0]);
	close(s->supervisor[1]);
	control_world_free(&s->world);
}

static inline int dial(const struct stage *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)), 0);
	return fd;
}

static inline bool is_closed(int fd)
{
	char octet;

	return recv(fd, &octet, 1, MSG_PEEK) == 0;
}

static inline void answer_deliver(struct stage *s, const char *text)
{
	uint64_t room[CHANNEL_RECORD_MAX / 8];
	struct channel_record *record = (struct channel_record *)(void *)room;
	struct channel_record reply = {
		.kind = CHANNEL_QUEUE_ANSWER, .octets = (uint32_t)strlen(text)};

	while (channel_receive(s->peer, record) == ERR_OK) {
		if (record->kind != CHANNEL_QUEUE_ASK)
			continue;
		reply.token = record->token;
		assert_int_equal(channel_send(s->peer, &reply, text), ERR_OK);
	}
	turn(s);
}

// The response to what was sent on fd; the connection is closed after it.
static inline json_t *response(struct stage *s, int fd)
{
	static char text[1 << 20];
	size_t len = 0;
	json_t *root;

	for (int i = 0; i < 10000; i++) {
		ssize_t n;

		turn(s);
		n = recv(fd, text + len, sizeof(text) - len, 0);
		if (n == 0)
			break;
		if (n < 0)
			usleep(1000); // a reload compiles on another thread
		len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	assert_true(len > 0 && text[len - 1] == '\n');
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_true(json_is_boolean(json_object_get(root, "ok")));
	assert_true(json_is_string(json_object_get(root, "text")));
	assert_true(json_is_object(json_object_get(root, "data")));
	return root;
}

static inline json_t *ask(struct stage *s, const char *request)
{
	int fd = dial(s);

	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	assert_int_equal(send(fd, "\n", 1, 0), 1);
	return response(s, fd);
}

// Ask, expect this exit, and part in the text.
static inline void expect(struct stage *s, const char *request, int exit, const char *part)
{
	json_t *root = ask(s, request);
	const char *text = json_string_value(json_object_get(root, "text"));

	if (strstr(text, part) == NULL)
		print_error("%s -> %s\n", request, text);
	assert_non_null(strstr(text, part));
	assert_int_equal(json_integer_value(json_object_get(root, "exit")), exit);
	assert_int_equal(json_is_true(json_object_get(root, "ok")), exit == 0);
	json_decref(root);
}
