// The control socket and peers that are slow, many, or mean no good.

#include "admin_stage.h"

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
