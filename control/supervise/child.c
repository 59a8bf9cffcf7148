#include "supervise/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervise/child_link.h"
#include "supervise/config_memfd.h"

enum {
	ENVIRONMENT_MAX = 8,
	HIGH_FD = 16,        // above every fixed number, so that dup2 never overwrites a source
	LINK_OCTETS = 65536, // records are 8 octets
	EXIT_NO_EXEC = 127,
};

// What a child may learn from the operator's environment: nothing but how its sanitizer and time zone are set.
static void environment_clean(char *environment[ENVIRONMENT_MAX])
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C",
		    home[] = "HOME=/";
	static const char *const kept[] = {"TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"};
	unsigned n = 0;

	environment[n++] = path;
	environment[n++] = lang;
	environment[n++] = home;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		const char *value = getenv(kept[i]);
		char *entry;

		if (value != NULL && asprintf(&entry, "%s=%s", kept[i], value) > 0)
			environment[n++] = entry;
	}
	environment[n] = NULL;
}

// Descriptor source (or /dev/null for -1) becomes number fd, and stays open over exec.
static void descriptor_place(int source, int fd)
{
	if (source < 0)
		source = open("/dev/null", O_RDWR);
	if (source < 0 || dup2(source, fd) != fd)
		_exit(EXIT_NO_EXEC);
}

static int descriptor_raise(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD, HIGH_FD);
}

static void signals_default(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		signal(signal_number, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_run(
	const struct child *child, const struct child_start *how, int link, pid_t parent)
{
	char *environment[ENVIRONMENT_MAX], path[4096], name[64], config_path[4096];
	char *const arguments[] = {name, config_path, NULL};
	int config = descriptor_raise(how->config_memfd);
	int control = descriptor_raise(how->control_socket);
	int lock = descriptor_raise(how->lock);
	int files = descriptor_raise(how->files_memfd);

	link = descriptor_raise(link);
	// The kernel kills it with the supervisor. Between fork and here the supervisor may have died already.
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_NO_EXEC);
	setsid(); // Ctrl-C at the terminal is the supervisor's to hear
	umask(027);
	signals_default();
	descriptor_place(-1, STDIN_FILENO);
	descriptor_place(link, CHILD_LINK_FD);
	descriptor_place(config, CHILD_CONFIG_FD);
	descriptor_place(control, CHILD_CONTROL_FD);
	descriptor_place(lock, CHILD_LOCK_FD);
	descriptor_place(files, CHILD_FILES_FD);
	close_range(CHILD_FILES_FD + 1, ~0U, 0);
	environment_clean(environment);
	snprintf(path, sizeof(path), "%s/%s", how->directory, child->name);
	snprintf(name, sizeof(name), "%s", child->name);
	snprintf(config_path, sizeof(config_path), "%s", how->config_path);
	execve(path, arguments, environment);
	fprintf(stderr, "posternd: cannot execute %s: %s\n", path, strerror(errno));
	_exit(EXIT_NO_EXEC);
}

int child_start(struct child *child, const struct child_start *how, int64_t now_ms)
{
	struct child_start own = *how;
	int pair[2], octets = LINK_OCTETS, error;
	pid_t parent = getpid(), pid;

	// An offset of its own: two children may read at once.
	own.config_memfd = config_memfd_reopen(how->config_memfd);
	if (own.config_memfd < 0)
		return own.config_memfd;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		error = -errno;
		close(own.config_memfd);
		return error;
	}
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &octets, sizeof(octets));
	pid = fork();
	if (pid == 0)
		child_run(child, &own, pair[1], parent);
	error = -errno;
	close(pair[1]);
	close(own.config_memfd);
	if (pid < 0) {
		close(pair[0]);
		return error;
	}
	child->pid = pid;
	child->link = pair[0];
	child->ready = false;
	child->started_ms = now_ms;
	return 0;
}

static bool child_is_at_fault(const struct child *child, int wait_status, int64_t now_ms)
{
	if (child->ready && WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL)
		return false;
	return now_ms - child->started_ms < CHILD_SHORT_LIFE_MS;
}

void child_ended(struct child *child, int wait_status, int64_t now_ms)
{
	if (child->link >= 0)
		close(child->link);
	if (!child->was_ready)
		child->early_deaths++;
	if (child->delay_ms == 0 || !child_is_at_fault(child, wait_status, now_ms))
		child->delay_ms = CHILD_RESTART_MS;
	else if (child->delay_ms < CHILD_RESTART_MAX_MS / 2)
		child->delay_ms *= 2;
	else
		child->delay_ms = CHILD_RESTART_MAX_MS;
	child->restart_ms = now_ms + child->delay_ms;
	child->pid = 0;
	child->link = -1;
	child->ready = false;
}

bool child_is_hopeless(const struct child *child, int wait_status)
{
	if (child->was_ready)
		return false;
	return WIFEXITED(wait_status) || child->early_deaths >= CHILD_FIRST_TRIES;
}

char *child_death_text(int wait_status, char text[CHILD_DEATH_TEXT_MAX])
{
	if (WIFEXITED(wait_status))
		snprintf(text, CHILD_DEATH_TEXT_MAX, "exit status %d", WEXITSTATUS(wait_status));
	else if (WIFSIGNALED(wait_status))
		snprintf(text, CHILD_DEATH_TEXT_MAX, "killed by signal %d (%s)%s",
			WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)),
			WCOREDUMP(wait_status) ? ", core dumped" : "");
	else
		snprintf(text, CHILD_DEATH_TEXT_MAX, "wait status %#x", (unsigned)wait_status);
	return text;
}
