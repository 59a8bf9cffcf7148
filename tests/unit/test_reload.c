// A policy's life: published by one store, kept for whoever may still look at it, freed after.

#include "control_world.h"

#include <sys/socket.h>

#include "supervise/child_link.h"
#include "supervise/config_memfd.h"

static uint64_t again(struct control_world *w, const char *names, const char *relay)
{
	control_world_write(w, names, relay);
	return reload_from_path(w->reload, NULL, control_world_mistake, w);
}

static const struct edge_policy *running(const struct control_world *w)
{
	return atomic_load(&w->edge.policy);
}

static void test_reload_publishes_the_next_epoch(void **state)
{
	struct control_world w;

	(void)state;
	control_world_make(&w, "ab", -1);
	assert_int_equal(running(&w)->snapshot->epoch, 1);
	assert_string_equal(running(&w)->services[1].fqdn, "b.example.net");
	assert_int_equal(again(&w, "ab", "10.2.2.0/24"), 2);
	assert_int_equal(running(&w)->snapshot->epoch, 2);
	assert_non_null(running(&w)->snapshot->class_table);
	assert_string_equal(
		running(&w)->snapshot->config->vservers[0].relay.prefixes[0].text, "10.2.2.0/24");
	control_world_free(&w);
}

static void test_reload_certificate_that_is_not_there_is_told_and_changes_nothing(void **state)
{
	struct control_world w;
	struct reload *other;
	char text[4096], *at;
	const char tls[] = "    tls: {certificate: none.pem, key: none.key}\n";

	(void)state;
	control_world_make(&w, "a", -1);
	control_world_text(&w, "a", "10.1.1.0/24", text, sizeof(text) - sizeof(tls));
	at = strstr(text, "    fqdn: ");
	memmove(at + sizeof(tls) - 1, at, strlen(at) + 1);
	memcpy(at, tls, sizeof(tls) - 1);
	assert_int_equal(reload_from_memfd(w.reload, w.path, config_from_text_fd(text),
				 control_world_mistake, &w),
		0);
	assert_int_equal(w.mistakes, 2);
	assert_non_null(strstr(w.last_mistake, "cannot read: No such file"));
	assert_int_equal(running(&w)->snapshot->epoch, 1);
	assert_int_equal(
		reload_init(&w.edge, config_load(w.path, config_from_text_fd(text), NULL, NULL), -1,
			NULL, &other),
		ERR_CERTIFICATE);
	control_world_free(&w);
}

static void test_reload_bad_text_changes_nothing(void **state)
{
	struct control_world w;
	const struct edge_policy *before;

	(void)state;
	control_world_make(&w, "a", -1);
	before = running(&w);
	assert_int_equal(again(&w, "a", "10.2.2.0/99"), 0);
	assert_true(w.mistakes >= 1);
	assert_int_equal(w.last_pos.line, 13);
	unlink(w.path);
	w.mistakes = 0;
	assert_int_equal(reload_from_path(w.reload, NULL, control_world_mistake, &w), 0);
	assert_int_equal(w.mistakes, 1);
	assert_non_null(strstr(w.last_mistake, "cannot read: No such file"));
	assert_ptr_equal(running(&w), before);
	assert_int_equal(reload_held(w.reload), 0);
	control_world_free(&w);
}

static void test_reload_what_needs_a_restart_is_named_with_its_line(void **state)
{
	struct control_world w;
	char text[4096], *at;

	(void)state;
	control_world_make(&w, "a", -1);
	control_world_text(&w, "a", "10.1.1.0/24", text, sizeof(text));
	at = strstr(text, "[1, 2]");
	at[4] = '3';
	assert_int_equal(reload_from_memfd(w.reload, w.path, config_from_text_fd(text),
				 control_world_mistake, &w),
		0);
	assert_non_null(strstr(w.last_mistake, "dataplane.workers cannot change while running"));
	assert_int_equal(w.last_pos.line, 4);
	control_world_text(&w, "a", "10.1.1.0/24", text, sizeof(text));
	at = strstr(text, "170.3/24");
	at[4] = '4';
	w.mistakes = 0;
	assert_int_equal(reload_from_memfd(w.reload, w.path, config_from_text_fd(text),
				 control_world_mistake, &w),
		0);
	assert_int_equal(w.mistakes, 1);
	assert_non_null(strstr(w.last_mistake, "ports[].addresses cannot change while running"));
	assert_int_equal(w.last_pos.line, 6);
	assert_int_equal(running(&w)->snapshot->epoch, 1);
	control_world_free(&w);
}

// A worker that has not passed a quiescent state may still read the old policy, and a record in a ring may still name it.
static void test_reload_old_policy_waits_for_workers_and_log(void **state)
{
	struct control_world w;
	const struct snapshot *old;

	(void)state;
	control_world_make(&w, "a", -1);
	rte_rcu_qsbr_thread_register(w.edge.qsbr, 0);
	rte_rcu_qsbr_thread_online(w.edge.qsbr, 0);
	assert_int_equal(again(&w, "a", "10.2.2.0/24"), 2);
	for (uint64_t pass = 0; pass < 5; pass++)
		reload_collect(w.reload, pass);
	assert_int_equal(reload_held(w.reload), 1);
	old = control_world_snapshot(w.reload, 1);
	assert_true(old != NULL && old->config->vservers[0].relay.prefix_count == 1);
	if (old != NULL)
		assert_string_equal(old->config->vservers[0].relay.prefixes[0].text, "10.1.1.0/24");
	rte_rcu_qsbr_quiescent(w.edge.qsbr, 0);
	reload_collect(w.reload, 5);
	reload_collect(w.reload, 5);
	assert_non_null(control_world_snapshot(w.reload, 1)); // the rings were not read since
	reload_collect(w.reload, 6);
	assert_int_equal(reload_held(w.reload), 0);
	assert_null(control_world_snapshot(w.reload, 1));
	assert_non_null(control_world_snapshot(w.reload, 2));
	rte_rcu_qsbr_thread_offline(w.edge.qsbr, 0);
	control_world_free(&w);
}

static void test_reload_stuck_worker_bounds_what_is_held(void **state)
{
	struct control_world w;
	uint64_t epoch = 1;

	(void)state;
	control_world_make(&w, "a", -1);
	rte_rcu_qsbr_thread_register(w.edge.qsbr, 0);
	rte_rcu_qsbr_thread_online(w.edge.qsbr, 0);
	for (int i = 0; i < RELOAD_HELD_MAX + 1 && epoch != 0; i++)
		epoch = again(&w, "a", "10.2.2.0/24");
	assert_int_equal(epoch, 0);
	assert_non_null(strstr(w.last_mistake, "still in use"));
	rte_rcu_qsbr_quiescent(w.edge.qsbr, 0);
	reload_collect(w.reload, 1);
	reload_collect(w.reload, 2);
	assert_int_equal(reload_held(w.reload), 0);
	assert_true(again(&w, "a", "10.2.2.0/24") > 0);
	rte_rcu_qsbr_thread_offline(w.edge.qsbr, 0);
	control_world_free(&w);
}

static void test_reload_slots_follow_names(void **state)
{
	struct control_world w;

	(void)state;
	control_world_make(&w, "ab", -1);
	assert_int_equal(running(&w)->slot[1], 1);
	assert_int_equal(again(&w, "cb", "10.1.1.0/24"), 2);
	assert_int_equal(running(&w)->slot[0], 2); // a new name
	assert_int_equal(running(&w)->slot[1], 1);
	assert_int_equal(again(&w, "ba", "10.1.1.0/24"), 3);
	assert_int_equal(running(&w)->slot[0], 1);
	assert_int_equal(running(&w)->slot[1], 0); // came back to its place
	control_world_free(&w);
}

static void test_reload_tells_the_supervisor_with_the_sealed_text(void **state)
{
	struct control_world w;
	struct child_link_record record;
	char text[256] = "";
	int pair[2], fd;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	control_world_make(&w, "a", pair[0]);
	assert_int_equal(child_link_receive(pair[1], &record, &fd), 0); // nothing new at the start
	assert_int_equal(again(&w, "a", "10.2.2.0/24"), 2);
	assert_int_equal(child_link_receive(pair[1], &record, &fd), 1);
	assert_int_equal(record.kind, CHILD_LINK_FILES);
	assert_true(config_memfd_is_sealed(fd));
	close(fd);
	assert_int_equal(child_link_receive(pair[1], &record, &fd), 1);
	assert_int_equal(record.kind, CHILD_LINK_CONFIG);
	assert_true(config_memfd_is_sealed(fd));
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "own_networks"));
	close(fd);
	close(pair[0]);
	close(pair[1]);
	control_world_free(&w);
}

static void test_reload_errors_set_by_hand_stay(void **state)
{
	struct control_world w;

	(void)state;
	control_world_make(&w, "a", -1);
	reload_set_errors(w.reload, 3);
	assert_int_equal(running(&w)->services[0].limits.errors, 3);
	assert_int_equal(again(&w, "a", "10.2.2.0/24"), 2);
	assert_int_equal(running(&w)->services[0].limits.errors, 3);
	control_world_free(&w);
}

// What was set by hand stays over a reload, until the file says another than it did.
static void test_reload_cookies_follow_the_file_when_it_changes(void **state)
{
	struct control_world w;
	char text[4096], *at;

	(void)state;
	control_world_make(&w, "a", -1);
	assert_int_equal(w.edge.tunables.syn_cookies, CONFIG_COOKIES_PRESSURE);
	atomic_store(&w.edge.tunables.syn_cookies, CONFIG_COOKIES_ALWAYS);
	assert_int_equal(again(&w, "a", "10.2.2.0/24"), 2);
	assert_int_equal(w.edge.tunables.syn_cookies, CONFIG_COOKIES_ALWAYS);
	atomic_store(&w.edge.tunables.syn_cookies, CONFIG_COOKIES_PRESSURE);
	control_world_text(&w, "a", "10.1.1.0/24", text, sizeof(text));
	at = strstr(text, "[1, 2]");
	memmove(at + 27, at + 6, strlen(at + 6) + 1);
	memcpy(at, "[1, 2], syn_cookies: always", 27);
	w.mistakes = 0;
	assert_int_equal(reload_from_memfd(w.reload, w.path, config_from_text_fd(text),
				 control_world_mistake, &w),
		3);
	assert_int_equal(w.edge.tunables.syn_cookies, CONFIG_COOKIES_ALWAYS);
	control_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reload_publishes_the_next_epoch),
		cmocka_unit_test(test_reload_bad_text_changes_nothing),
		cmocka_unit_test(
			test_reload_certificate_that_is_not_there_is_told_and_changes_nothing),
		cmocka_unit_test(test_reload_what_needs_a_restart_is_named_with_its_line),
		cmocka_unit_test(test_reload_old_policy_waits_for_workers_and_log),
		cmocka_unit_test(test_reload_stuck_worker_bounds_what_is_held),
		cmocka_unit_test(test_reload_slots_follow_names),
		cmocka_unit_test(test_reload_tells_the_supervisor_with_the_sealed_text),
		cmocka_unit_test(test_reload_errors_set_by_hand_stay),
		cmocka_unit_test(test_reload_cookies_follow_the_file_when_it_changes),
	};

	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
