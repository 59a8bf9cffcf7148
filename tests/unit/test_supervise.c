// The supervisor against children made of this same program: started under a child's name it plays that child, as its
// configuration text says.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervise/child.h"
#include "supervise/child_link.h"
#include "supervise/config_memfd.h"
#include "supervise/prepare.h"
#include "supervise/supervisor.h"

// --- a child ---

static void play_say(const char *who, const char *what)
{
	dprintf(STDERR_FILENO, "%s %s\n", who, what);
}

static void play_send_config(bool sealed)
{
	int fd = sealed ? config_memfd_read("/proc/self/comm") : memfd_create("open", MFD_CLOEXEC);

	child_link_send(CHILD_LINK_FD, CHILD_LINK_CONFIG, fd);
	close(fd);
}

static void play_record(
	const char *who, const char *script, const struct child_link_record *record, int fd)
{
	char text[64] = "config ";

	switch (record->kind) {
	case CHILD_LINK_STOP:
		play_say(who, "stops");
		_exit(0);
	case CHILD_LINK_RELOAD:
		play_say(who, "reloads");
		play_send_config(strstr(script, "unsealed") == NULL);
		break;
	case CHILD_LINK_CONFIG:
		if (read(fd, text + 7, sizeof(text) - 8) > 0)
			play_say(who, strtok(text, "\n"));
		break;
	case CHILD_LINK_CHANNEL:
		// Edge speaks, deliver listens.
		if (who[0] == 'E' && send(fd, "hello", 6, 0) == 6)
			return;
		if (poll(&(struct pollfd){fd, POLLIN, 0}, 1, 5000) == 1 &&
			read(fd, text, sizeof(text)) == 6)
			play_say(who, text);
		break;
	default:
		break;
	}
}

static int play(const char *who, char letter)
{
	char script[256] = "", want[16];
	struct child_link_record record;
	int fd, status;

	// The descriptor is at offset 0 for each child, or one of them would read nothing.
	if (read(CHILD_CONFIG_FD, script, sizeof(script) - 1) <= 0)
		return 99;
	snprintf(want, sizeof(want), "%c:exit", letter);
	if (strstr(script, want) != NULL)
		return 1;
	snprintf(want, sizeof(want), "%c:crash", letter);
	if (strstr(script, want) != NULL)
		raise(SIGUSR1); // leaves no core file, and no sanitizer catches it
	dprintf(STDERR_FILENO, "%s pid=%d env=%s\n", who, (int)getpid(),
		getenv("SECRET") ? "dirty" : "clean");
	child_link_send(CHILD_LINK_FD, CHILD_LINK_READY, -1);
	snprintf(want, sizeof(want), "%c:stop", letter);
	if (strstr(script, want) != NULL)
		child_link_send(CHILD_LINK_FD, CHILD_LINK_STOP, -1);
	for (;;) {
		poll(&(struct pollfd){CHILD_LINK_FD, POLLIN, 0}, 1, -1);
		status = child_link_receive(CHILD_LINK_FD, &record, &fd);
		if (status < 0)
			return 0;
		if (status == 1)
			play_record(who, script, &record, fd);
	}
}

// --- the test ---

struct stage {
	char directory[64], log[16384];
	size_t octets;
	int out; // what supervisor and children say
	pid_t pid;
};

static void stage_start(struct stage *stage, const char *script)
{
	char path[128];
	int pipes[2], text;

	memset(stage, 0, sizeof(*stage));
	snprintf(stage->directory, sizeof(stage->directory), "/tmp/test-supervise-XXXXXX");
	assert_non_null(mkdtemp(stage->directory));
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = {"edge", "deliver", "lookup"};
		char self[128];
		ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

		assert_true(n > 0);
		self[n] = '\0';
		snprintf(path, sizeof(path), "%s/postern-%s", stage->directory, names[i]);
		assert_int_equal(symlink(self, path), 0);
	}
	snprintf(path, sizeof(path), "%s/c", stage->directory);
	text = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(text, script, strlen(script)), strlen(script));
	close(text);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	setenv("SECRET", "1", 1);
	fflush(NULL);
	stage->pid = fork();
	if (stage->pid == 0) {
		struct supervisor_options options = {.directory = stage->directory,
			.config_path = path,
			.config_memfd = config_memfd_read(path),
			.files_memfd = -1,
			.control_socket = -1,
			.lock = -1};

		prctl(PR_SET_PDEATHSIG, SIGTERM); // a test that fails leaves nothing behind
		dup2(pipes[1], STDERR_FILENO);
		_exit(supervisor_run(&options));
	}
	close(pipes[1]);
	stage->out = pipes[0];
}

// Wait until text was said (after octet from); 0: it was not, within wait_ms.
static size_t stage_hears(struct stage *stage, const char *text, size_t from, int wait_ms)
{
	for (int waited_ms = 0;; waited_ms += 10) {
		const char *at = strstr(stage->log + from, text);
		ssize_t n = 0;

		if (at != NULL)
			return (size_t)(at - stage->log) + strlen(text);
		if (waited_ms > wait_ms)
			return 0;
		if (poll(&(struct pollfd){stage->out, POLLIN, 0}, 1, 10) == 1)
			n = read(stage->out, stage->log + stage->octets,
				sizeof(stage->log) - 1 - stage->octets);
		stage->octets += n > 0 ? (size_t)n : 0;
	}
}

static void stage_remove(const struct stage *stage)
{
	const char *const names[] = {
		"postern-edge", "postern-deliver", "postern-lookup", "c", "s", "s.lock"};
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", stage->directory, names[i]);
		unlink(path);
	}
	rmdir(stage->directory);
}

static int stage_end(struct stage *stage)
{
	int status;

	waitpid(stage->pid, &status, 0);
	stage_hears(stage, "never said", 0, 20); // the rest of what was said
	close(stage->out);
	stage_remove(stage);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t stage_pid_of(struct stage *stage, const char *who, size_t from)
{
	char text[32];
	size_t at;

	snprintf(text, sizeof(text), "%s pid=", who);
	at = stage_hears(stage, text, from, 5000);
	assert_true(at > 0);
	stage_hears(stage, " env=", at, 1000);
	return (pid_t)strtol(stage->log + at, NULL, 10);
}

static void test_supervisor_term_stops_edge_before_deliver(void **state)
{
	struct stage stage;
	size_t at;

	(void)state;
	stage_start(&stage, "-");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	kill(stage.pid, SIGTERM);
	at = stage_hears(&stage, "E stops", 0, 5000);
	assert_true(at > 0);
	assert_true(stage_hears(&stage, "D stops", at, 5000) > 0);
	assert_int_equal(stage_end(&stage), 0);
	assert_null(strstr(stage.log, "env=dirty"));
}

static void test_supervisor_killed_child_is_back_within_a_second(void **state)
{
	struct stage stage;
	size_t said[2] = {0, 0}; // where the child's newest process gave its number

	(void)state;
	stage_start(&stage, "-");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	// More often than the back-off would bear, were these deaths the child's own fault.
	for (int i = 0; i < 12; i++) {
		pid_t pid = stage_pid_of(&stage, i % 2 == 0 ? "E" : "D", said[i % 2]);
		size_t from = stage.octets;

		kill(pid, SIGKILL);
		assert_true(
			stage_hears(&stage, "died: killed by signal 9 (Killed)", from, 1000) > 0);
		assert_true(stage_hears(&stage, " is back (ready)", from, 1000) > 0);
		said[i % 2] = from;
	}
	kill(stage.pid, SIGINT);
	assert_int_equal(stage_end(&stage), 0);
}

static void test_supervisor_new_child_gets_a_new_channel(void **state)
{
	struct stage stage;
	size_t at;

	(void)state;
	stage_start(&stage, "-");
	at = stage_hears(&stage, "D hello", 0, 5000);
	assert_true(at > 0);
	kill(stage_pid_of(&stage, "E", 0), SIGKILL);
	at = stage_hears(&stage, "D hello", at, 5000);
	assert_true(at > 0);
	kill(stage_pid_of(&stage, "D", 0), SIGKILL);
	assert_true(stage_hears(&stage, "D hello", at, 5000) > 0);
	kill(stage.pid, SIGTERM);
	assert_int_equal(stage_end(&stage), 0);
}

static void test_supervisor_edge_that_cannot_start_ends_it(void **state)
{
	struct stage stage;

	(void)state;
	stage_start(&stage, "e:exit");
	assert_int_equal(stage_end(&stage), 1);
	assert_non_null(strstr(stage.log, "postern-edge cannot start: exit status 1"));
	assert_null(strstr(stage.log, "posternd: ready"));
}

static void test_supervisor_edge_that_crashes_at_start_ends_it_after_three(void **state)
{
	struct stage stage;
	size_t at;

	(void)state;
	stage_start(&stage, "e:crash");
	assert_int_equal(stage_end(&stage), 1);
	at = stage_hears(&stage, "postern-edge (pid", 0, 0);
	assert_true(at > 0);
	assert_true(stage_hears(&stage, "postern-edge (pid", at, 0) > 0);
	assert_non_null(strstr(stage.log, "postern-edge cannot start: "));
}

static void test_supervisor_reload_hands_the_sealed_text_to_deliver(void **state)
{
	struct stage stage;

	(void)state;
	stage_start(&stage, "-");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	kill(stage.pid, SIGHUP);
	assert_true(stage_hears(&stage, "D config postern-edge", 0, 5000) > 0);
	// A deliver started later gets the new text as its own, and plays on.
	kill(stage_pid_of(&stage, "D", 0), SIGKILL);
	assert_true(stage_hears(&stage, "postern-deliver is back (ready)", 0, 5000) > 0);
	kill(stage.pid, SIGTERM);
	assert_int_equal(stage_end(&stage), 0);
}

static void test_supervisor_text_that_can_change_is_not_taken(void **state)
{
	struct stage stage;

	(void)state;
	stage_start(&stage, "unsealed");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	kill(stage.pid, SIGHUP);
	assert_true(stage_hears(&stage, "sent a configuration that is not taken", 0, 5000) > 0);
	kill(stage.pid, SIGTERM);
	assert_int_equal(stage_end(&stage), 0);
	assert_null(strstr(stage.log, "D config"));
}

static void test_supervisor_only_edge_may_ask_for_the_stop(void **state)
{
	struct stage stage;

	(void)state;
	stage_start(&stage, "e:stop");
	assert_int_equal(stage_end(&stage), 0);
	assert_non_null(strstr(stage.log, "stopping: asked by posternctl"));
	stage_start(&stage, "d:stop");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	assert_int_equal(stage_hears(&stage, "stopping", 0, 100), 0);
	kill(stage.pid, SIGTERM);
	assert_int_equal(stage_end(&stage), 0);
}

static void test_supervisor_children_die_with_it(void **state)
{
	struct stage stage;
	pid_t edge;

	(void)state;
	stage_start(&stage, "-");
	assert_true(stage_hears(&stage, "posternd: ready\n", 0, 5000) > 0);
	edge = stage_pid_of(&stage, "E", 0);
	kill(stage.pid, SIGKILL);
	assert_int_equal(stage_end(&stage), 128 + SIGKILL);
	for (int i = 0; i < 200 && kill(edge, 0) == 0; i++) {
		char path[64], text[64] = "";
		int fd;

		// In a container nobody may reap orphans: a zombie is dead as well.
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)edge);
		fd = open(path, O_RDONLY);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 || strstr(text, ") Z ") != NULL)
			return;
		close(fd);
		usleep(10000);
	}
	assert_int_not_equal(kill(edge, 0), 0);
}

static void test_child_delay_doubles_only_for_its_own_fault(void **state)
{
	struct child child = {.name = "x", .link = -1};
	const int killed = SIGKILL, failed = 1 << 8;

	(void)state;
	child_ended(&child, failed, 0);
	assert_int_equal(child.restart_ms, CHILD_RESTART_MS);
	child.started_ms = 1000;
	child_ended(&child, failed, 1100);
	assert_int_equal(child.restart_ms, 1100 + 2 * CHILD_RESTART_MS);
	for (int i = 0; i < 20; i++)
		child_ended(&child, failed, 1100);
	assert_int_equal(child.delay_ms, CHILD_RESTART_MAX_MS);
	child.ready = true;
	child_ended(&child, killed, 1100);
	assert_int_equal(child.delay_ms, CHILD_RESTART_MS);
	child_ended(&child, failed, 1100);
	child_ended(&child, failed, 1000 + CHILD_SHORT_LIFE_MS);
	assert_int_equal(child.delay_ms, CHILD_RESTART_MS);
}

static void test_child_death_text_names_signal_and_core(void **state)
{
	char text[CHILD_DEATH_TEXT_MAX];

	(void)state;
	assert_string_equal(child_death_text(3 << 8, text), "exit status 3");
	assert_string_equal(child_death_text(SIGKILL, text), "killed by signal 9 (Killed)");
	assert_string_equal(child_death_text(SIGABRT | 0x80, text),
		"killed by signal 6 (Aborted), core dumped");
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_prepare_control_socket_only_a_stale_one_is_replaced(void **state)
{
	struct stage stage = {.directory = "/tmp/test-supervise-XXXXXX"};
	struct stat found;
	char path[128];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(stage.directory));
	snprintf(path, sizeof(path), "%s/s", stage.directory);
	fd = listen_at(path);
	assert_int_equal(prepare_control_socket(path, NULL), -1); // somebody answers
	close(fd);
	fd = prepare_control_socket(path, NULL);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &found), 0);
	assert_int_equal(found.st_mode & 07777, 0660);
	close(fd);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(prepare_control_socket(path, NULL), -1); // no socket
	stage_remove(&stage);
}

static void test_prepare_lock_second_supervisor_is_refused_at_once(void **state)
{
	struct stage stage = {.directory = "/tmp/test-supervise-XXXXXX"};
	char path[128];
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(stage.directory));
	snprintf(path, sizeof(path), "%s/s", stage.directory);
	assert_true(prepare_lock(path) >= 0);
	pid = fork();
	if (pid == 0)
		_exit(prepare_lock(path) < 0 ? 7 : 0);
	waitpid(pid, &status, 0);
	assert_int_equal(WEXITSTATUS(status), 7);
	stage_remove(&stage);
}

static void test_prepare_lock_waits_for_children_of_a_dead_supervisor(void **state)
{
	struct stage stage = {.directory = "/tmp/test-supervise-XXXXXX"};
	char path[128], lock_path[160];
	pid_t orphan;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(stage.directory));
	snprintf(path, sizeof(path), "%s/s", stage.directory);
	snprintf(lock_path, sizeof(lock_path), "%s.lock", path);
	fd = open(lock_path, O_RDWR | O_CREAT, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	orphan = fork(); // inherits the lock, ends in a moment
	if (orphan == 0) {
		usleep(200000);
		_exit(0);
	}
	close(fd);
	assert_true(prepare_lock(path) >= 0);
	assert_int_equal(waitpid(orphan, NULL, WNOHANG), orphan);
	stage_remove(&stage);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_supervisor_term_stops_edge_before_deliver),
		cmocka_unit_test(test_supervisor_killed_child_is_back_within_a_second),
		cmocka_unit_test(test_supervisor_new_child_gets_a_new_channel),
		cmocka_unit_test(test_supervisor_edge_that_cannot_start_ends_it),
		cmocka_unit_test(test_supervisor_edge_that_crashes_at_start_ends_it_after_three),
		cmocka_unit_test(test_supervisor_reload_hands_the_sealed_text_to_deliver),
		cmocka_unit_test(test_supervisor_text_that_can_change_is_not_taken),
		cmocka_unit_test(test_supervisor_only_edge_may_ask_for_the_stop),
		cmocka_unit_test(test_supervisor_children_die_with_it),
		cmocka_unit_test(test_child_delay_doubles_only_for_its_own_fault),
		cmocka_unit_test(test_child_death_text_names_signal_and_core),
		cmocka_unit_test(test_prepare_control_socket_only_a_stale_one_is_replaced),
		cmocka_unit_test(test_prepare_lock_second_supervisor_is_refused_at_once),
		cmocka_unit_test(test_prepare_lock_waits_for_children_of_a_dead_supervisor),
	};

	if (argc > 1 && strcmp(argv[0], "postern-edge") == 0)
		return play("E", 'e');
	if (argc > 1 && strcmp(argv[0], "postern-deliver") == 0)
		return play("D", 'd');
	if (argc > 1 && strcmp(argv[0], "postern-lookup") == 0)
		return play("L", 'l');
	return cmocka_run_group_tests(tests, NULL, NULL);
}
