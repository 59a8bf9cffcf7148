// The control socket over a real Unix socket: every verb, and peers that mean no good.

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

static void begin(struct stage *s)
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

static void turn(struct stage *s)
{
	for (int i = 0; i < 5; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void end(struct stage *s)
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

static int dial(const struct stage *s)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)), 0);
	return fd;
}

static bool is_closed(int fd)
{
	char octet;

	return recv(fd, &octet, 1, MSG_PEEK) == 0;
}

static void answer_deliver(struct stage *s, const char *text)
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
static json_t *response(struct stage *s, int fd)
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

static json_t *ask(struct stage *s, const char *request)
{
	int fd = dial(s);

	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	assert_int_equal(send(fd, "\n", 1, 0), 1);
	return response(s, fd);
}

// Ask, expect this exit, and part in the text.
static void expect(struct stage *s, const char *request, int exit, const char *part)
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

static void test_admin_status_counts_add_up(void **state)
{
	struct stage s;
	json_t *root, *data, *packets;

	(void)state;
	begin(&s);
	atomic_store(&s.world.workers[0]->rx_packets, 10);
	atomic_store(&s.world.workers[0]->handled, 4);
	atomic_store(&s.world.workers[1]->handled, 3); // steered over
	atomic_store(&s.world.workers[1]->drops[DROP_TCP_SEQ], 2);
	atomic_store(&s.world.workers[0]->drops[DROP_ARP_BAD], 1);
	atomic_store(&s.world.workers[0]->vservers[1].messages, 5);
	atomic_store(&s.world.workers[1]->vservers[1].messages, 6);
	root = ask(&s, "{\"verb\": \"status\"}");
	data = json_object_get(root, "data");
	packets = json_object_get(data, "packets");
	assert_int_equal(json_integer_value(json_object_get(packets, "received")), 10);
	assert_int_equal(json_integer_value(json_object_get(packets, "unaccounted")), 0);
	assert_int_equal(json_object_size(json_object_get(data, "drops")), 2);
	assert_string_equal(json_string_value(json_object_get(data, "steering")), "software");
	assert_int_equal(json_integer_value(json_object_get(data, "epoch")), 1);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(data, "vservers"), "b"), "messages")),
		11);
	assert_non_null(strstr(json_string_value(json_object_get(root, "text")), "policy epoch 1"));
	json_decref(root);
	end(&s);
}

static void test_admin_vserver_states(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"drain\", \"name\": \"b\"}}",
		0, "b is draining");
	assert_int_equal(s.world.edge.vservers[1].state, EDGE_DRAINING);
	assert_int_equal(s.world.edge.vservers[0].state, EDGE_RUNNING);
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"list\"}}", 0, "draining");
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"start\", \"name\": \"b\"}}",
		0, "b is running");
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"stop\", \"name\": \"x\"}}", 1,
		"there are: a b");
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"stop\"}}", 2,
		"needs the name");
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"melt\", \"name\": \"b\"}}", 2,
		"expected list");
	expect(&s, "{\"verb\": \"vserver\", \"args\": {\"command\": \"stop\", \"nam\": \"b\"}}", 2,
		"nam: unknown argument");
	end(&s);
}

static void test_admin_get_and_set_are_checked(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	expect(&s,
		"{\"verb\": \"set\", \"args\": {\"name\": \"dataplane.poll\", \"value\": "
		"\"busy\"}}",
		0, "busy");
	assert_int_equal(s.world.edge.tunables.poll_busy, 1);
	expect(&s,
		"{\"verb\": \"set\", \"args\": {\"name\": \"dataplane.syn_cookies\", "
		"\"value\": \"always\"}}",
		0, "always");
	assert_int_equal(s.world.edge.tunables.syn_cookies, CONFIG_COOKIES_ALWAYS);
	expect(&s,
		"{\"verb\": \"set\", \"args\": {\"name\": \"dataplane.syn_cookies\", "
		"\"value\": \"never\"}}",
		2, "expected pressure or always");
	expect(&s,
		"{\"verb\": \"set\", \"args\": {\"name\": \"limits.command_timeout\", \"value\": "
		"\"60s\"}}",
		0, "60");
	assert_int_equal(s.world.edge.tunables.command_timeout_s, 60);
	expect(&s,
		"{\"verb\": \"set\", \"args\": {\"name\": \"limits.body_rate\", \"value\": "
		"\"0\"}}",
		0, "0");
	assert_int_equal(s.world.edge.tunables.body_rate, 0);
	expect(&s, "{\"verb\": \"set\", \"args\": {\"name\": \"limits.errors\", \"value\": \"7\"}}",
		0, "7");
	assert_int_equal(atomic_load(&s.world.edge.policy)->services[0].limits.errors, 7);
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": \"log.level\"}}", 0, "decisions");
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": \"log.levle\"}}", 2,
		"there are: dataplane.poll");
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": [\"log.level\"]}}", 2,
		"name: expected a text");
	for (size_t i = 0; i < 5; i++) {
		const char *const values[] = {"0", "3601", "-1", "60x", "99999999999999999999"};
		char request[128];

		snprintf(request, sizeof(request),
			"{\"verb\": \"set\", \"args\": {\"name\": \"limits.command_timeout\", "
			"\"value\": \"%s\"}}",
			values[i]);
		expect(&s, request, 2, "expected seconds, 1 to 3600");
	}
	assert_int_equal(s.world.edge.tunables.command_timeout_s, 60);
	end(&s);
}

static void test_admin_reload_reports_all_mistakes_and_changes_nothing(void **state)
{
	struct stage s;
	char request[256];

	(void)state;
	begin(&s);
	control_world_write(&s.world, "ab", "10.1.1.0/99");
	expect(&s, "{\"verb\": \"reload\"}", 1, ":13:");
	expect(&s, "{\"verb\": \"reload\"}", 1, ":19:");
	assert_int_equal(reload_policy(s.world.reload)->snapshot->epoch, 1);
	control_world_write(&s.world, "ab", "10.3.3.0/24");
	snprintf(request, sizeof(request), "{\"verb\": \"reload\", \"args\": {\"file\": \"%s\"}}",
		s.world.path);
	expect(&s, request, 0, "policy epoch 2");
	expect(&s, "{\"verb\": \"reload\", \"args\": {\"file\": \"/nonexistent\"}}", 1,
		"cannot read");
	end(&s);
}

static void on_hold(uv_work_t *work)
{
	uv_sem_wait(work->data);
}

static void on_held(uv_work_t *work, int status)
{
	(void)work;
	assert_int_equal(status, 0);
}

// libuv's one thread (see main) is held, so the reload is under way until it is let go.
static void hold_reload(struct stage *s, uv_work_t *work, uv_sem_t *sem)
{
	uv_sem_init(sem, 0);
	work->data = sem;
	assert_int_equal(uv_queue_work(&s->loop, work, on_hold, on_held), 0);
	turn(s);
}

static int begin_reload(struct stage *s)
{
	static const char request[] = "{\"verb\": \"reload\"}\n";
	int fd;

	control_world_write(&s->world, "ab", "10.3.3.0/24");
	fd = dial(s);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	turn(s);
	return fd;
}

static void test_admin_status_is_answered_while_a_reload_compiles(void **state)
{
	struct stage s;
	uv_work_t work;
	uv_sem_t sem;
	json_t *root;
	int fd;

	(void)state;
	begin(&s);
	hold_reload(&s, &work, &sem);
	fd = begin_reload(&s);
	expect(&s, "{\"verb\": \"status\"}", 0, "epoch 1");
	expect(&s, "{\"verb\": \"reload\"}", 1, "another reload is under way");
	assert_true(reload_is_under_way(s.world.reload));
	uv_sem_post(&sem);
	root = response(&s, fd);
	assert_string_equal(
		json_string_value(json_object_get(root, "text")), "policy epoch 2 is running");
	json_decref(root);
	assert_false(reload_is_under_way(s.world.reload));
	uv_sem_destroy(&sem);
	end(&s);
}

static void test_admin_reload_goes_on_when_its_peer_leaves(void **state)
{
	struct stage s;
	uv_work_t work;
	uv_sem_t sem;
	int fd;

	(void)state;
	begin(&s);
	hold_reload(&s, &work, &sem);
	fd = begin_reload(&s);
	shutdown(fd, SHUT_RDWR);
	close(fd);
	turn(&s);
	uv_sem_post(&sem);
	for (int i = 0; i < 10000 && reload_is_under_way(s.world.reload); i++) {
		usleep(1000);
		turn(&s);
	}
	assert_int_equal(reload_policy(s.world.reload)->snapshot->epoch, 2);
	uv_sem_destroy(&sem);
	end(&s);
}

static void test_admin_stop_is_passed_to_the_supervisor(void **state)
{
	struct stage s;
	struct child_link_record record;
	int fd;

	(void)state;
	begin(&s);
	expect(&s, "{\"verb\": \"stop\"}", 0, "stopping");
	assert_int_equal(child_link_receive(s.supervisor[0], &record, &fd), 1);
	assert_int_equal(record.kind, CHILD_LINK_STOP);
	end(&s);
}

static void test_admin_explain_answers_for_the_running_policy(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	expect(&s,
		"{\"verb\": \"explain\", \"args\": {\"vserver\": \"a\", \"client\": \"10.9.9.9\", "
		"\"recipient\": \"u@far.example\"}}",
		0, "Unable to relay for u@far.example");
	expect(&s,
		"{\"verb\": \"explain\", \"args\": {\"vserver\": \"z\", \"client\": \"10.9.9.9\"}}",
		2, "there are: a b");
	expect(&s, "{\"verb\": \"steering\"}", 0, "net_null0: other");
	expect(&s, "{\"verb\": \"steering\", \"args\": {\"nic\": \"mlx5\"}}", 0,
		"ipv4 dst is 10.12.170.1 / icmp");
	expect(&s, "{\"verb\": \"steering\", \"args\": {\"nic\": \"x\"}}", 2, "expected --nic");
	expect(&s, "{\"verb\": \"log\", \"args\": {\"command\": \"reopen\"}}", 0, "open anew");
	expect(&s, "{\"verb\": \"melt\"}", 2, "unknown verb");
	end(&s);
}

// By that verb: exit, and how many virtual servers or mistakes there are.
static void expect_proof(struct stage *s, const char *verb, int exit, size_t count)
{
	char request[256];

	(void)snprintf(request, sizeof(request), "{\"verb\": \"%s\", \"args\": {\"%s\": \"%s\"}}",
		verb, verb[0] == 'd' ? "file" : "vserver", verb[0] == 'd' ? s->world.path : "a");
	json_t *root = ask(s, request);
	const json_t *data = json_object_get(root, "data");

	assert_int_equal(json_integer_value(json_object_get(root, "exit")), exit);
	assert_int_equal(exit == 2 ? json_array_size(json_object_get(data, "mistakes"))
				   : json_object_size(data),
		count);
	json_decref(root);
}

static void test_admin_proofs_are_of_the_running_policy(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	expect_proof(&s, "who-can-relay", 0, 1);
	expect(&s, "{\"verb\": \"who-can-relay\", \"args\": {\"vserver\": \"z\"}}", 2, "are: a b");
	expect(&s, "{\"verb\": \"diff\"}", 2, "needs the path");
	expect_proof(&s, "diff", 0, 0);
	control_world_write(&s.world, "ab", "10.1.0.0/16");
	expect_proof(&s, "diff", 1, 2);
	control_world_write(&s.world, "ab", "10.1.0.1/16");
	expect_proof(&s, "diff", 2, 2);
	end(&s);
}

static void test_admin_queue_is_answered_by_the_deliverer(void **state)
{
	static const char request[] = "{\"verb\": \"queue\", \"args\": {\"command\": \"count\"}}\n";
	struct stage s;
	json_t *root;
	int fd;

	(void)state;
	begin(&s);
	fd = dial(&s);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	turn(&s);
	answer_deliver(&s, "{\"ok\": true, \"exit\": 0, \"text\": \"4 messages\", \"data\": "
			   "{\"messages\": 4}}");
	root = response(&s, fd);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(root, "data"), "messages")), 4);
	json_decref(root);
	expect(&s, "{\"verb\": \"queue\", \"args\": {\"command\": \"burn\"}}", 2,
		"queue: expected list");
	end(&s);
}

// Values of both processes in one answer; the deliverer's are left out while it is away.
static void test_admin_get_all_asks_the_deliverer_too(void **state)
{
	struct stage s;
	json_t *root;
	int fd;

	(void)state;
	begin(&s);
	fd = dial(&s);
	assert_int_equal(send(fd, "{\"verb\": \"get\"}\n", 16, 0), 16);
	turn(&s);
	answer_deliver(&s, "{\"ok\": true, \"exit\": 0, \"text\": \"\", \"data\": "
			   "{\"delivery.concurrency\": 20}}");
	root = response(&s, fd);
	assert_non_null(strstr(
		json_string_value(json_object_get(root, "text")), "delivery.concurrency     20\n"));
	assert_non_null(strstr(json_string_value(json_object_get(root, "text")),
		"limits.command_timeout   300\n"));
	json_decref(root);
	fd = dial(&s);
	assert_int_equal(send(fd, "{\"verb\": \"get\"}\n", 16, 0), 16);
	turn(&s);
	close(s.peer);
	s.peer = -1;
	root = response(&s, fd);
	assert_true(json_is_true(json_object_get(root, "ok")));
	assert_int_equal(json_object_size(json_object_get(root, "data")), 6);
	json_decref(root);
	expect(&s, "{\"verb\": \"get\"}", 0, "log.level");
	end(&s);
}

static void test_admin_queue_deliverer_dies_or_talks_nonsense(void **state)
{
	static const char request[] = "{\"verb\": \"queue\", \"args\": {\"command\": \"list\"}}\n";
	struct stage s;
	json_t *root;
	int fd, gone;

	(void)state;
	begin(&s);
	fd = dial(&s);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	turn(&s);
	answer_deliver(&s, "[1, 2");
	root = response(&s, fd);
	assert_int_equal(json_integer_value(json_object_get(root, "exit")), 1);
	json_decref(root);
	gone = dial(&s); // an operator who does not wait for the answer
	assert_int_equal(send(gone, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	fd = dial(&s);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	turn(&s);
	close(gone);
	close(s.peer);
	s.peer = -1;
	root = response(&s, fd);
	assert_non_null(strstr(json_string_value(json_object_get(root, "text")), "went away"));
	json_decref(root);
	expect(&s, "{\"verb\": \"queue\", \"args\": {\"command\": \"list\"}}", 1, "not running");
	end(&s);
}

static void test_admin_end_with_a_question_under_way(void **state)
{
	static const char request[] = "{\"verb\": \"queue\", \"args\": {\"command\": \"list\"}}\n";
	struct stage s;
	int fd;

	(void)state;
	begin(&s);
	fd = dial(&s);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	turn(&s);
	end(&s);
	assert_true(is_closed(fd));
	close(fd);
}

static void test_admin_request_in_single_octets_is_answered(void **state)
{
	static const char request[] = "{\"verb\": \"status\"}\n";
	struct stage s;
	json_t *root;
	int fd;

	(void)state;
	begin(&s);
	fd = dial(&s);
	for (size_t i = 0; i < sizeof(request) - 1; i++) {
		assert_int_equal(send(fd, request + i, 1, 0), 1);
		uv_run(&s.loop, UV_RUN_NOWAIT);
	}
	root = response(&s, fd);
	assert_true(json_is_true(json_object_get(root, "ok")));
	json_decref(root);
	// Without a newline, but the stream has ended.
	fd = dial(&s);
	assert_int_equal(send(fd, request, sizeof(request) - 2, 0), sizeof(request) - 2);
	shutdown(fd, SHUT_WR);
	root = response(&s, fd);
	assert_true(json_is_true(json_object_get(root, "ok")));
	json_decref(root);
	end(&s);
}

static void test_admin_huge_request_is_refused(void **state)
{
	struct stage s;
	static char part[16384];
	json_t *root;
	int fd;

	(void)state;
	begin(&s);
	memset(part, ' ', sizeof(part));
	fd = dial(&s);
	for (int i = 0; i < 6; i++) {
		(void)!send(fd, part, sizeof(part), MSG_NOSIGNAL);
		turn(&s);
	}
	root = response(&s, fd);
	assert_string_equal(
		json_string_value(json_object_get(root, "text")), "the request is too long");
	json_decref(root);
	end(&s);
}

static void test_admin_connections_are_bounded(void **state)
{
	struct stage s;
	int fds[ADMIN_CONNECTIONS + 4];
	unsigned closed = 0;

	(void)state;
	begin(&s);
	for (int i = 0; i < ADMIN_CONNECTIONS + 4; i++) {
		fds[i] = dial(&s);
		turn(&s);
	}
	for (int i = 0; i < ADMIN_CONNECTIONS + 4; i++)
		closed += is_closed(fds[i]) ? 1 : 0;
	assert_int_equal(closed, 4);
	for (int i = 0; i < ADMIN_CONNECTIONS + 4; i++)
		close(fds[i]);
	turn(&s);
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": \"dataplane.poll\"}}", 0,
		"dataplane.poll");
	end(&s);
}

static void test_admin_hostile_octets_never_end_it(void **state)
{
	static const char *const requests[] = {"\n", "}\n", "[[[[[[[[[[[[[[[\n", "{\"verb\": 1}\n",
		"{\"verb\":\"get\",\"args\":{\"name\":[]}}\n",
		"{\"verb\":\"set\",\"args\":{\"name\":\"log.level\"}}\n",
		"{\"verb\":\"explain\",\"args\":{\"client\":{}}}\n",
		"{\"verb\":\"queue\",\"args\":{\"command\":7}}\n", "\xff\xfe\n",
		"GET / HTTP/1.0\r\n", "{\"verb\":\"reload\",\"args\":{\"file\":\"/dev/zero\"}}\n"};
	struct stage s;

	(void)state;
	begin(&s);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		int fd = dial(&s);

		assert_int_equal(
			send(fd, requests[i], strlen(requests[i]), 0), strlen(requests[i]));
		json_decref(response(&s, fd));
	}
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": \"dataplane.poll\"}}", 0,
		"dataplane.poll");
	end(&s);
}

// A peer that leaves before its answer, or does not take it, costs nothing but its place.
static void test_admin_peer_that_leaves_early_is_forgotten(void **state)
{
	static const char request[] = "{\"verb\": \"status\"}\n";
	struct stage s;

	(void)state;
	begin(&s);
	for (int i = 0; i < 2 * ADMIN_CONNECTIONS; i++) {
		int fd = dial(&s);

		if (i % 2 == 0)
			assert_int_equal(
				send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
		close(fd);
		turn(&s);
	}
	expect(&s, "{\"verb\": \"get\", \"args\": {\"name\": \"dataplane.poll\"}}", 0,
		"dataplane.poll");
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_admin_status_counts_add_up),
		cmocka_unit_test(test_admin_vserver_states),
		cmocka_unit_test(test_admin_get_and_set_are_checked),
		cmocka_unit_test(test_admin_reload_reports_all_mistakes_and_changes_nothing),
		cmocka_unit_test(test_admin_status_is_answered_while_a_reload_compiles),
		cmocka_unit_test(test_admin_reload_goes_on_when_its_peer_leaves),
		cmocka_unit_test(test_admin_stop_is_passed_to_the_supervisor),
		cmocka_unit_test(test_admin_explain_answers_for_the_running_policy),
		cmocka_unit_test(test_admin_proofs_are_of_the_running_policy),
		cmocka_unit_test(test_admin_queue_is_answered_by_the_deliverer),
		cmocka_unit_test(test_admin_get_all_asks_the_deliverer_too),
		cmocka_unit_test(test_admin_queue_deliverer_dies_or_talks_nonsense),
		cmocka_unit_test(test_admin_end_with_a_question_under_way),
		cmocka_unit_test(test_admin_request_in_single_octets_is_answered),
		cmocka_unit_test(test_admin_huge_request_is_refused),
		cmocka_unit_test(test_admin_connections_are_bounded),
		cmocka_unit_test(test_admin_hostile_octets_never_end_it),
		cmocka_unit_test(test_admin_peer_that_leaves_early_is_forgotten),
	};

	setenv("UV_THREADPOOL_SIZE", "1", 1);
	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
