// The control socket over a real Unix socket: every verb.

#include "admin_stage.h"

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
	};

	setenv("UV_THREADPOOL_SIZE", "1", 1);
	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
