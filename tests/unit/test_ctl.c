// posternctl's command line, and its answers against a server played here.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl/answer.h"
#include "ctl/command.h"
#include "ctl/offline.h"
#include "ctl/server.h"

enum {
	WORDS_MAX = 16,
};

// Words with one space between.
static bool read_words(const char *line, struct command *command, char *why)
{
	static char copy[512];
	char *argv[WORDS_MAX] = {(char[]){"posternctl"}};
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		argv[argc++] = word;
	return command_read(argc, argv, command, why);
}

static void good(const char *line, const char *verb, const char *args)
{
	struct command command;
	char why[COMMAND_WHY_MAX] = "", *text;

	if (!read_words(line, &command, why))
		print_error("%s: %s\n", line, why);
	assert_string_equal(why, "");
	assert_string_equal(command.verb, verb);
	text = json_dumps(command.args, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, args);
	free(text);
	command_free(&command);
}

static void bad(const char *line, const char *part)
{
	struct command command;
	char why[COMMAND_WHY_MAX] = "";

	assert_false(read_words(line, &command, why));
	assert_non_null(strstr(why, part));
	command_free(&command);
}

static void test_command_words_become_arguments(void **state)
{
	(void)state;
	good("status", "status", "{}");
	good("--socket /tmp/s queue list --limit 5 --sender a@b", "queue",
		"{\"command\":\"list\",\"limit\":5,\"sender\":\"a@b\"}");
	good("queue delete 00001 --json", "queue", "{\"command\":\"delete\",\"id\":\"00001\"}");
	good("explain --vserver v --client=10.1.1.1 --tls --recipient x@y --sender=", "explain",
		"{\"client\":\"10.1.1.1\",\"recipient\":\"x@y\",\"sender\":\"\",\"tls\":true,"
		"\"vserver\":\"v\"}");
	good("set log.level sessions", "set", "{\"name\":\"log.level\",\"value\":\"sessions\"}");
	good("who-can-relay --vserver v", "who-can-relay", "{\"vserver\":\"v\"}");
	good("diff /nonexistent", "diff", "{\"file\":\"/nonexistent\"}");
	good("who-can-connect", "who-can-connect", "{}");
	good("steering --nic ice", "steering", "{\"nic\":\"ice\"}");
	good("vserver drain relay", "vserver", "{\"command\":\"drain\",\"name\":\"relay\"}");
}

static void test_command_mistakes_are_named(void **state)
{
	(void)state;
	bad("", "no verb");
	bad("melt", "melt: unknown verb");
	bad("status now", "now: one argument too many");
	bad("diff", "something is missing");
	bad("who-can-relay v", "v: one argument too many");
	bad("set log.level", "something is missing");
	bad("queue list --client", "needs a value");
	bad("queue list --recipent x", "recipent: unknown option");
	bad("--sender x queue list", "options of a verb stand behind it");
	bad("queue list --limit many", "expected a number");
	bad("queue show 1 --id 2", "id: given twice");
}

static void test_offline_only_what_a_file_can_answer(void **state)
{
	struct command command = {.config_path = "/nonexistent", .verb = "status"};
	struct answer answer = offline_ask(&command);

	(void)state;
	assert_int_equal(answer.exit, 2);
	assert_non_null(strstr(answer.text, "needs the running server"));
	answer_free(&answer);
	command.verb = "check";
	answer = offline_ask(&command);
	assert_int_equal(answer.exit, 1);
	assert_int_equal(json_array_size(json_object_get(answer.data, "mistakes")), 1);
	answer_free(&answer);
}

// A server that answers one connection with text.
static struct answer ask_played(const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char directory[] = "/tmp/test-ctl-XXXXXX";
	struct command command = {
		.socket = address.sun_path, .verb = "status", .args = json_object()};
	struct answer answer;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pid_t server;

	assert_non_null(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	server = fork();
	if (server == 0) {
		char request[256];
		int conn = accept(fd, NULL, NULL);
		ssize_t n = read(conn, request, sizeof(request) - 1);

		request[n > 0 ? n : 0] = '\0';
		n = write(conn, text, strlen(text));
		_exit(strstr(request, "\"status\"") != NULL && n >= 0 ? 0 : 1);
	}
	close(fd);
	answer = server_ask(&command);
	assert_int_equal(waitpid(server, NULL, 0), server);
	unlink(address.sun_path);
	rmdir(directory);
	json_decref(command.args);
	return answer;
}

static void test_server_answer_is_taken_apart(void **state)
{
	struct answer answer = ask_played(
		"{\"ok\": false, \"exit\": 1, \"text\": \"no\", \"data\": {\"k\": 1}}\n");

	(void)state;
	assert_int_equal(answer.exit, 1);
	assert_string_equal(answer.text, "no");
	assert_int_equal(json_object_size(answer.data), 1);
	answer_free(&answer);
}

static void test_server_nonsense_or_silence_is_exit_2(void **state)
{
	const char *const texts[] = {"", "x", "[]", "{}", "{\"exit\": 0, \"text\": \"x\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct answer answer = ask_played(texts[i]);

		assert_int_equal(answer.exit, 2);
		answer_free(&answer);
	}
}

static void test_server_that_is_not_there_is_exit_2(void **state)
{
	struct command command = {
		.socket = "/nonexistent/socket", .verb = "status", .args = json_object()};
	struct answer answer = server_ask(&command);

	(void)state;
	assert_int_equal(answer.exit, 2);
	assert_non_null(strstr(answer.text, "/nonexistent/socket: No such file"));
	answer_free(&answer);
	json_decref(command.args);
}

// What a printed answer looks like, with stdout and stderr in one file.
static char *printed(const struct answer *answer, bool json)
{
	static char text[4096];
	FILE *file = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	size_t n;

	fflush(NULL);
	dup2(fileno(file), STDOUT_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	answer_print(answer, "queue", json);
	fflush(NULL);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	rewind(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void test_answer_control_characters_never_reach_the_terminal(void **state)
{
	struct answer answer = {.text = strdup("a\x1b]0;x\x07\xc2\x9b"
					       "31m\n"),
		.data = json_pack("{s:[{s:s, s:s, s:[]}]}", "messages", "id", "1", "sender",
			"\x1b[2Jevil@x", "recipients")};
	const char *text = printed(&answer, false);

	(void)state;
	assert_non_null(strstr(text, "?[2Jevil@x"));
	assert_non_null(strstr(text, "a?]0;x?"));
	for (const char *c = text; *c != '\0'; c++)
		assert_true(*c == '\n' || (unsigned char)*c >= ' ');
	assert_null(strstr(text, "\xc2\x9b"));
	assert_null(strchr(printed(&answer, true), '\x1b'));
	answer_free(&answer);
}

static void test_answer_json_error_without_data_is_said(void **state)
{
	struct answer answer = {.exit = 2, .text = strdup("no such thing"), .data = json_object()};

	(void)state;
	assert_non_null(strstr(printed(&answer, true), "\"error\": \"no such thing\""));
	answer_free(&answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_words_become_arguments),
		cmocka_unit_test(test_command_mistakes_are_named),
		cmocka_unit_test(test_offline_only_what_a_file_can_answer),
		cmocka_unit_test(test_server_answer_is_taken_apart),
		cmocka_unit_test(test_server_nonsense_or_silence_is_exit_2),
		cmocka_unit_test(test_server_that_is_not_there_is_exit_2),
		cmocka_unit_test(test_answer_control_characters_never_reach_the_terminal),
		cmocka_unit_test(test_answer_json_error_without_data_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
