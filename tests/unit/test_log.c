// From the workers' rings to the files of the virtual servers.

#include "control_world.h"

#include "control/log.h"
#include "policy/policy.h"
#include "smtp/smtp_reply.h"

static void put(const struct control_world *w, unsigned worker, struct log_record r)
{
	r.wall_us = 1790000000000000;
	r.epoch = r.epoch == 0 ? 1 : r.epoch;
	assert_true(ip_addr_parse("10.1.1.2", &r.client) && ip_addr_parse("10.12.170.1", &r.local));
	r.class = snapshot_class_of(control_world_snapshot(w->reload, r.epoch), &r.client);
	assert_int_equal(rte_ring_sp_enqueue_elem(w->workers[worker]->log, &r, sizeof(r)), 0);
}

static struct log_record rcpt(uint16_t vserver, enum policy_kind verdict)
{
	return (struct log_record){.vserver = vserver,
		.event = LOG_RCPT,
		.verdict = (uint8_t)verdict,
		.rule = verdict == POLICY_ACCEPT ? POLICY_RULE_RELAY_LIST : POLICY_RULE_NONE,
		.reply = verdict == POLICY_ACCEPT ? SMTP_REPLY_RCPT_OK : SMTP_REPLY_RELAY_DENIED,
		.reply_code = verdict == POLICY_ACCEPT ? 250 : 550};
}

// The whole text of DIRECTORY/NAME.
static char *text_of(const struct control_world *w, const char *name)
{
	static char text[65536];
	char path[128];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", w->directory, name);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

static void test_log_each_virtual_server_has_its_file(void **state)
{
	struct control_world w;
	struct log *log;

	(void)state;
	control_world_make(&w, "ao", -1);
	log = log_new(&w.edge, w.reload);
	put(&w, 0, rcpt(0, POLICY_REFUSE));
	put(&w, 1, rcpt(1, POLICY_ACCEPT));
	put(&w, 1, rcpt(1, POLICY_ACCEPT));
	assert_int_equal(log_drain(log, 1790000000), 3);
	assert_int_equal(count(text_of(&w, "a.log"), " a rcpt refuse "), 1);
	assert_int_equal(count(text_of(&w, "a.log"), "open_relay"), 0);
	assert_int_equal(count(text_of(&w, "o.log"), " o rcpt accept "), 2);
	assert_int_equal(count(text_of(&w, "o.log"), "open_relay: i-understand"), 1);
	assert_int_equal(log_totals(log).written, 3);
	log_free(log);
	control_world_free(&w);
}

static void test_log_record_of_an_older_epoch_names_the_older_line(void **state)
{
	struct control_world w;
	struct log *log;
	struct log_record r = rcpt(0, POLICY_ACCEPT);

	(void)state;
	control_world_make(&w, "ab", -1);
	log = log_new(&w.edge, w.reload);
	// After the change a stands behind b: index and lines are others.
	control_world_write(&w, "ba", "10.1.1.0/24");
	assert_int_equal(reload_from_path(w.reload, NULL, control_world_mistake, &w), 2);
	r.epoch = 1;
	put(&w, 0, r);
	r.epoch = 2;
	put(&w, 0, r);
	log_drain(log, 1790000000);
	assert_int_equal(count(text_of(&w, "a.log"), "#Fields:"), 1); // the same file goes on
	assert_int_equal(count(text_of(&w, "a.log"), "postern.yaml:13 250"), 1);
	assert_int_equal(count(text_of(&w, "b.log"), "postern.yaml:13 250"), 1);
	log_free(log);
	control_world_free(&w);
}

static void test_log_level_is_kept(void **state)
{
	struct control_world w;
	struct log *log;
	struct log_record connect = {.event = LOG_CONNECT, .verdict = POLICY_ACCEPT};
	const unsigned expected[] = {1, 2, 3};

	(void)state;
	control_world_make(&w, "a", -1);
	log = log_new(&w.edge, w.reload);
	for (uint32_t level = 0; level < 3; level++) {
		uint64_t before = log_totals(log).written;

		atomic_store(&w.edge.tunables.log_level, level);
		put(&w, 0, connect);
		put(&w, 0, rcpt(0, POLICY_ACCEPT));
		put(&w, 0, rcpt(0, POLICY_REFUSE));
		log_drain(log, 1790000000);
		assert_int_equal(log_totals(log).written - before, expected[level]);
	}
	log_free(log);
	control_world_free(&w);
}

static void test_log_lost_records_are_said(void **state)
{
	struct control_world w;
	struct log *log;

	(void)state;
	control_world_make(&w, "a", -1);
	log = log_new(&w.edge, w.reload);
	atomic_store(&w.workers[1]->log_lost, 17);
	log_drain(log, 1790000000);
	log_drain(log, 1790000000);
	assert_int_equal(count(text_of(&w, "a.log"), " 17 records were lost"), 1);
	assert_int_equal(log_totals(log).lost_in_rings, 17);
	log_free(log);
	control_world_free(&w);
}

static void test_log_reopen_follows_the_name(void **state)
{
	struct control_world w;
	struct log *log;
	char from[128], to[128];

	(void)state;
	control_world_make(&w, "a", -1);
	log = log_new(&w.edge, w.reload);
	snprintf(from, sizeof(from), "%s/a.log", w.directory);
	snprintf(to, sizeof(to), "%s/a.log.1", w.directory);
	assert_int_equal(rename(from, to), 0);
	put(&w, 0, rcpt(0, POLICY_REFUSE));
	log_drain(log, 1790000000);
	log_reopen(log);
	put(&w, 0, rcpt(0, POLICY_ACCEPT));
	log_drain(log, 1790000000);
	assert_int_equal(count(text_of(&w, "a.log.1"), " rcpt refuse "), 1);
	assert_int_equal(count(text_of(&w, "a.log"), " rcpt accept "), 1);
	assert_int_equal(count(text_of(&w, "a.log"), "#Fields:"), 1);
	log_free(log);
	control_world_free(&w);
}

// A worker that fills its ring as fast as it is read must not keep the control thread in the log.
static void test_log_one_pass_takes_what_was_there(void **state)
{
	struct control_world w;
	struct log *log;

	(void)state;
	control_world_make(&w, "a", -1);
	log = log_new(&w.edge, w.reload);
	for (int i = 0; i < WORLD_RING - 1; i++)
		put(&w, 0, rcpt(0, POLICY_REFUSE));
	assert_int_equal(log_drain(log, 1790000000), WORLD_RING - 1);
	assert_int_equal(log_passes(log), 1);
	assert_int_equal(count(text_of(&w, "a.log"), " refuse "), WORLD_RING - 1);
	log_free(log);
	control_world_free(&w);
}

static void test_log_file_that_cannot_be_opened_loses_lines_and_counts_them(void **state)
{
	struct control_world w;
	struct log *log;
	char path[128];

	(void)state;
	control_world_make(&w, "a", -1);
	snprintf(path, sizeof(path), "%s/a.log", w.directory);
	assert_int_equal(symlink("/tmp/elsewhere", path), 0); // never followed
	log = log_new(&w.edge, w.reload);
	put(&w, 0, rcpt(0, POLICY_REFUSE));
	log_drain(log, 1790000000);
	assert_true(log_totals(log).lost_in_files >= 1);
	assert_int_not_equal(access("/tmp/elsewhere", F_OK), 0);
	unlink(path);
	log_reopen(log);
	put(&w, 0, rcpt(0, POLICY_REFUSE));
	log_drain(log, 1790000000);
	assert_int_equal(count(text_of(&w, "a.log"), " refuse "), 1);
	log_free(log);
	control_world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_log_each_virtual_server_has_its_file),
		cmocka_unit_test(test_log_record_of_an_older_epoch_names_the_older_line),
		cmocka_unit_test(test_log_level_is_kept),
		cmocka_unit_test(test_log_lost_records_are_said),
		cmocka_unit_test(test_log_reopen_follows_the_name),
		cmocka_unit_test(test_log_one_pass_takes_what_was_there),
		cmocka_unit_test(test_log_file_that_cannot_be_opened_loses_lines_and_counts_them),
	};

	if (control_world_eal() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
