#include "supervise/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

int privileges_find(const char *user, struct privileges_user *found)
{
	struct passwd entry, *known = NULL;
	char room[16384];
	int status = getpwnam_r(user, &entry, room, sizeof(room), &known);

	if (known == NULL)
		return status == 0 ? -ENOENT : -status;
	found->uid = entry.pw_uid;
	found->gid = entry.pw_gid;
	return 0;
}

int privileges_drop(const struct privileges_user *found)
{
	pid_t parent = getppid();

	if (geteuid() != 0)
		return 0;
	if (setgroups(1, &found->gid) < 0 || setresgid(found->gid, found->gid, found->gid) < 0 ||
		setresuid(found->uid, found->uid, found->uid) < 0)
		return -errno;
	if (found->uid != 0 && setuid(0) == 0)
		return -EPERM;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int privileges_settle(const char *name)
{
	struct privileges_user user = {.uid = (uid_t)-1, .gid = (gid_t)-1}; // refused by the drop
	int status = 0;

	if (geteuid() == 0) {
		status = privileges_find(name, &user);
		if (status == 0)
			status = privileges_drop(&user);
	}
	if (status != 0)
		return status;
	// setuid() took the death signal back. Between fork and here the link tells the same.
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN); // a terminal's goes to the supervisor as well, and that says STOP
	return 0;
}
