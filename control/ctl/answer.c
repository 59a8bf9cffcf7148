#include "ctl/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void answer_free(struct answer *answer)
{
	free(answer->text);
	json_decref(answer->data);
}

// Controls (C0, DEL, and C1 in UTF-8) could move the cursor or worse.
static void print_safe(FILE *out, const char *text)
{
	const unsigned char *c = (const unsigned char *)text;

	for (; *c != '\0'; c++) {
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

		putc((*c < ' ' && *c != '\n') || *c == 127 || c1 ? '?' : *c, out);
	}
}

static const char *get(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text == NULL ? "-" : text;
}

static void print_message(FILE *out, const json_t *message)
{
	const char *sender = get(message, "sender");
	const json_t *rcpt;
	size_t i;

	fprintf(out, "%-14s %-20s %10lld  %-10s %s\n", get(message, "id"), get(message, "arrived"),
		(long long)json_integer_value(json_object_get(message, "octets")),
		get(message, "vserver"), sender[0] == '\0' ? "<>" : sender);
	json_array_foreach(json_object_get(message, "recipients"), i, rcpt)
	{
		fprintf(out, "%15s%-10s %lld tries, next in %lld s: %s\n", "", get(rcpt, "state"),
			(long long)json_integer_value(json_object_get(rcpt, "attempts")),
			(long long)json_integer_value(json_object_get(rcpt, "next_s")),
			get(rcpt, "address"));
		if (get(rcpt, "last")[0] != '\0' && get(rcpt, "last")[0] != '-')
			fprintf(out, "%15s  %s\n", "", get(rcpt, "last"));
	}
}

// The deliverer's answer has the messages as data and only their number as text.
static void print_messages(const json_t *messages)
{
	char *text = NULL;
	size_t octets, i;
	const json_t *message;
	FILE *out = open_memstream(&text, &octets);

	if (out == NULL)
		return;
	fprintf(out, "%-14s %-20s %10s  %-10s %s\n", "ID", "ARRIVED", "OCTETS", "VSERVER",
		"SENDER");
	json_array_foreach(messages, i, message) print_message(out, message);
	fclose(out);
	print_safe(stdout, text);
	free(text);
}

static void print_json(const struct answer *answer)
{
	json_t *error = NULL;
	const json_t *data = answer->data;

	if (answer->exit != 0 && json_object_size(answer->data) == 0) {
		error = json_pack("{s:s}", "error", answer->text != NULL ? answer->text : "");
		data = error;
	}
	json_dumpf(data, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(error);
}

// Text of an explain is its answer, whatever the verdict, and a difference is what diff was asked for; other text with an
// exit other than 0 is a complaint.
int answer_print(const struct answer *answer, const char *verb, bool json)
{
	const json_t *messages = json_object_get(answer->data, "messages");
	bool is_result = answer->exit == 0 ||
			 json_is_string(json_object_get(answer->data, "verdict")) ||
			 (answer->exit == 1 && strcmp(verb, "diff") == 0);
	FILE *out = is_result ? stdout : stderr;
	size_t len = answer->text == NULL ? 0 : strlen(answer->text);

	if (json) {
		print_json(answer);
		return answer->exit;
	}
	if (strcmp(verb, "queue") == 0 && json_array_size(messages) > 0)
		print_messages(messages);
	if (len > 0) {
		print_safe(out, answer->text);
		if (answer->text[len - 1] != '\n')
			putc('\n', out);
	}
	return answer->exit;
}
