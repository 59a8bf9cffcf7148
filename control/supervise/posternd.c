// posternd - starts and keeps Postern running (posternd.8).

#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "supervise/config_memfd.h"
#include "supervise/prepare.h"
#include "supervise/privileges.h"
#include "supervise/supervisor.h"
#include "tls/certificate.h"

struct command {
	const char *config_path;
	const char *children; // --children
	bool check;
};

static const char usage[] = "usage: posternd --config FILE [--check]\n"
			    "\n"
			    "  --config FILE   the configuration\n"
			    "  --check         only check it: exit 0 and nothing, or 1 and one "
			    "FILE:LINE:COLUMN: message per mistake\n"
			    "  --help          this text\n"
			    "  --version       the version\n"
			    "\n"
			    "Runs in the foreground, logs to stderr, says \"posternd: ready\" when "
			    "packets are answered.\n"
			    "SIGTERM and SIGINT finish open transactions and stop, SIGHUP reloads "
			    "the configuration. See posternd(8).\n";

static void print_mistake(void *user, const char *path, struct config_pos pos, const char *message)
{
	FILE *out = user;

	fprintf(out, "%s:%u:%u: %s\n", path, pos.line, pos.column, message);
}

// -1: go on; else the exit status.
static int read_options(int argc, char **argv, struct command *command)
{
	static const struct option options[] = {{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'}, {"children", required_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			command->config_path = optarg;
			break;
		case 'k':
			command->check = true;
			break;
		case 'C':
			command->children = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'v':
			puts("posternd " POSTERN_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (command->config_path != NULL && optind == argc)
		return -1;
	fputs(usage, stderr);
	return 2;
}

// What cannot be read or does not fit is said here, at its line; what is read is what postern-edge gets.
static bool load_certificates(const struct config *config, FILE *out, int *files)
{
	struct certificate_set *set = certificate_set_load(config, NULL, NULL, print_mistake, out);

	if (set == NULL)
		return false;
	*files = certificate_set_to_memfd(set);
	certificate_set_free(set);
	if (*files < 0)
		fprintf(stderr, "posternd: cannot keep certificates: %s\n", strerror(-*files));
	return *files >= 0;
}

static struct config *load(const struct command *command, int *memfd, int *files)
{
	struct config *config;

	*memfd = config_memfd_read(command->config_path);
	if (*memfd < 0) {
		print_mistake(command->check ? stdout : stderr, command->config_path,
			(struct config_pos){1, 1}, strerror(-*memfd));
		return NULL;
	}
	config = config_load(
		command->config_path, *memfd, print_mistake, command->check ? stdout : stderr);
	if (config != NULL && !load_certificates(config, command->check ? stdout : stderr, files)) {
		config_free(config);
		config = NULL;
	}
	if (config == NULL)
		close(*memfd);
	return config;
}

static const char *children_directory(const struct command *command, char path[PATH_MAX])
{
	ssize_t n;

	if (command->children != NULL)
		return command->children;
	n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	if (n < 0) {
		fprintf(stderr, "posternd: /proc/self/exe: %s\n", strerror(errno));
		return NULL;
	}
	path[n] = '\0';
	return dirname(path);
}

static int find_user(const struct config *config, struct privileges_user *user)
{
	int status = privileges_find(config->control_user, user);

	if (status == 0)
		return 0;
	fprintf(stderr, "%s: control.user: %s: %s\n", config->path, config->control_user,
		status == -ENOENT ? "no such user on this machine" : strerror(-status));
	return -1;
}

static int run(const struct config *config, const struct privileges_user *user,
	struct supervisor_options *options)
{
	int status;

	options->control_socket = prepare_control_socket(config->control_socket, user);
	if (options->control_socket < 0)
		return 1;
	status = prepare_spool(config->spool, user) < 0 ? 1 : 0;
	if (status == 0) {
		prepare_logs(config, user);
		status = supervisor_run(options);
	}
	unlink(config->control_socket);
	return status;
}

// The lock first: with it, nobody but us touches the socket.
static int serve(const struct config *config, const struct command *command, int memfd, int files)
{
	struct privileges_user user;
	char path[PATH_MAX];
	struct supervisor_options options = {
		.config_path = command->config_path, .config_memfd = memfd, .files_memfd = files};

	options.directory = children_directory(command, path);
	if (options.directory == NULL)
		return 1;
	bool is_root = geteuid() == 0;

	if (is_root && find_user(config, &user) < 0)
		return 1;
	options.lock = prepare_lock(config->control_socket);
	if (options.lock < 0)
		return 1;
	return run(config, is_root ? &user : NULL, &options);
}

int main(int argc, char **argv)
{
	struct command command = {0};
	struct config *config;
	int memfd = -1, files = -1, status = read_options(argc, argv, &command);

	if (status >= 0)
		return status;
	supervisor_block_signals();
	config = load(&command, &memfd, &files);
	if (config == NULL)
		return 1;
	status = command.check ? 0 : serve(config, &command, memfd, files);
	config_free(config);
	return status;
}
