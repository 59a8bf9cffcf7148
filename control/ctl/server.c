#include "ctl/server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	WAIT_S = 120,                  // a reload of millions of entries takes its time
	ANSWER_MAX_OCTETS = 256 << 20, // a proof lists millions of prefixes
};

__attribute__((format(printf, 1, 2))) static struct answer complaint(const char *format, ...)
{
	struct answer answer = {.exit = 2, .data = json_object()};
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&answer.text, format, arguments) < 0)
		answer.text = NULL;
	va_end(arguments);
	return answer;
}

static int dial(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval wait = {.tv_sec = WAIT_S};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool send_all(int fd, const char *text, size_t octets)
{
	while (octets > 0) {
		ssize_t n = send(fd, text, octets, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		octets -= (size_t)n;
	}
	return true;
}

// All there is until the server closes; NULL: an error, in errno.
static char *receive_all(int fd, size_t *octets)
{
	size_t room = 65536;
	char *text = malloc(room);

	*octets = 0;
	while (text != NULL) {
		ssize_t n = recv(fd, text + *octets, room - *octets, 0);
		char *longer;

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return text;
		if (n < 0 || room > ANSWER_MAX_OCTETS)
			break;
		*octets += (size_t)n;
		if (*octets < room)
			continue;
		room *= 2;
		longer = realloc(text, room);
		if (longer == NULL)
			break;
		text = longer;
	}
	free(text);
	return NULL;
}

static struct answer read_answer(const char *text, size_t octets)
{
	json_t *root = json_loadb(text, octets, 0, NULL);
	json_t *data = json_object_get(root, "data");
	const char *said = json_string_value(json_object_get(root, "text"));
	struct answer answer;

	if (!json_is_object(root) || !json_is_object(data) || said == NULL) {
		json_decref(root);
		return complaint("the server ended the connection without an answer");
	}
	answer = (struct answer){.exit = (int)json_integer_value(json_object_get(root, "exit")),
		.text = strdup(said),
		.data = json_incref(data)};
	json_decref(root);
	return answer;
}

// One line; NULL: no memory.
static char *request_line(const struct command *command)
{
	json_t *request = json_pack("{s:s, s:O}", "verb", command->verb, "args", command->args);
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;

	if (text != NULL && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	json_decref(request);
	return line;
}

struct answer server_ask(const struct command *command)
{
	char *request = request_line(command), *text;
	struct answer answer;
	size_t octets;
	int fd = dial(command->socket);

	if (fd < 0 || request == NULL) {
		free(request);
		return complaint("%s: %s", command->socket, strerror(errno));
	}
	text = send_all(fd, request, strlen(request)) ? receive_all(fd, &octets) : NULL;
	free(request);
	answer = text != NULL ? read_answer(text, octets)
			      : complaint("%s: %s", command->socket, strerror(errno));
	free(text);
	close(fd);
	return answer;
}
