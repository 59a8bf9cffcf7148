#include "supervise/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "supervise/privileges.h"

enum {
	PATH_OCTETS = 4096,
	LOCK_STEP_MS = 20,
	LOCK_WAIT_MS = 10 * 1000,
	BACKLOG = 64,
};

static int complain(const char *path, const char *what)
{
	fprintf(stderr, "posternd: %s: %s: %s\n", path, what, strerror(errno));
	return -1;
}

// The directory a file is in, made when missing (one level: its parent is the operator's).
static int make_parent(const char *path)
{
	char copy[PATH_OCTETS];
	const char *parent;

	snprintf(copy, sizeof(copy), "%s", path);
	parent = dirname(copy);
	if (mkdir(parent, 0755) < 0 && errno != EEXIST)
		return complain(parent, "cannot make the directory");
	return 0;
}

// A record lock belongs to this process alone and so says that a supervisor lives; flock() is shared with the children that inherit
// the descriptor and says that any of them does. Linux keeps the two apart.
static int lock_as_supervisor(int lock, const char *path)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(lock, F_SETLK, &whole) == 0)
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return complain(path, "cannot lock");
	if (fcntl(lock, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK)
		fprintf(stderr,
			"posternd: another posternd (pid %d) is running with this control socket\n",
			(int)whole.l_pid);
	else
		fprintf(stderr,
			"posternd: another posternd is starting with this control socket\n");
	return -1;
}

static int lock_for_children(int lock, const char *path)
{
	for (int waited_ms = 0; flock(lock, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_STEP_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return complain(path, "cannot lock");
		if (waited_ms == 0)
			fprintf(stderr,
				"posternd: waiting for children of an earlier posternd to end\n");
		if (waited_ms >= LOCK_WAIT_MS) {
			fprintf(stderr,
				"posternd: %s: children of an earlier posternd are still running\n",
				path);
			return -1;
		}
		usleep(LOCK_STEP_MS * 1000);
	}
	return 0;
}

int prepare_lock(const char *socket_path)
{
	char path[PATH_OCTETS];
	int lock;

	snprintf(path, sizeof(path), "%s.lock", socket_path);
	if (make_parent(path) < 0)
		return -1;
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return complain(path, "cannot open");
	if (lock_as_supervisor(lock, path) == 0 && lock_for_children(lock, path) == 0)
		return lock;
	close(lock);
	return -1;
}

static bool is_answered(const struct sockaddr_un *address)
{
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered;

	if (probe < 0)
		return true;
	// EAGAIN is a full backlog: somebody is there.
	answered = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		   errno == EAGAIN;
	close(probe);
	return answered;
}

static int remove_stale(const struct sockaddr_un *address)
{
	struct stat found;

	if (lstat(address->sun_path, &found) < 0)
		return errno == ENOENT ? 0 : complain(address->sun_path, "cannot look");
	if (!S_ISSOCK(found.st_mode)) {
		fprintf(stderr, "posternd: %s is there and is not a socket\n", address->sun_path);
		return -1;
	}
	if (is_answered(address)) {
		fprintf(stderr, "posternd: another server answers on %s\n", address->sun_path);
		return -1;
	}
	if (unlink(address->sun_path) < 0)
		return complain(address->sun_path, "cannot remove the stale socket");
	return 0;
}

int prepare_control_socket(const char *path, const struct privileges_user *user)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, status;

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "posternd: control.socket: %s: longer than %zu octets\n", path,
			sizeof(address.sun_path) - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (make_parent(path) < 0 || remove_stale(&address) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return complain(path, "socket");
	mask = umask(0177); // nobody else may connect before the group is set
	status = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(mask);
	if (status == 0 && user != NULL)
		status = lchown(path, (uid_t)-1, user->gid);
	if (status == 0)
		status = chmod(path, 0660);
	if (status == 0)
		status = listen(fd, BACKLOG);
	if (status == 0)
		return fd;
	complain(path, "cannot listen");
	close(fd);
	return -1;
}

int prepare_spool(const char *directory, const struct privileges_user *user)
{
	int fd, status = 0;

	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return complain(directory, "cannot make the spool directory");
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return complain(directory, "cannot open the spool directory");
	if (user != NULL && geteuid() == 0 &&
		(fchown(fd, user->uid, user->gid) < 0 || fchmod(fd, 0700) < 0))
		status = complain(directory, "cannot give the spool directory to control.user");
	close(fd);
	return status;
}

// Only what this call itself makes is given away: a name that stands there already may be anybody's link to anything.
static void make_log(const char *path, const struct privileges_user *user)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);

	if (fd < 0)
		return;
	if (fchown(fd, user->uid, user->gid) < 0)
		complain(path, "cannot give the log file to control.user");
	close(fd);
}

void prepare_logs(const struct config *config, const struct privileges_user *user)
{
	char json[PATH_OCTETS];

	if (user == NULL || geteuid() != 0)
		return;
	for (uint32_t i = 0; i < config->vserver_count; i++) {
		const struct config_vserver *v = &config->vservers[i];

		if (v->log_file == NULL || v->log_file[0] != '/')
			continue; // in the spool directory, which is the user's
		make_log(v->log_file, user);
		snprintf(json, sizeof(json), "%s.json", v->log_file);
		if (v->log_format == CONFIG_LOG_BOTH)
			make_log(json, user);
	}
}
