#include "diff/diff_opening.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialog/dialog_word.h"

enum { LINE = 1024, PATH = 4096 };

struct reader {
	struct diff_step *steps;
	uint32_t count;
	bool v6, over;
};

static void read_file(struct reader *r, const char *path);

static void read_state(struct reader *r, const char *script, const char *name)
{
	const char *slash = strrchr(script, '/');
	char path[PATH];

	snprintf(path, sizeof(path), "%.*s/../from/%s.part",
		slash != NULL ? (int)(slash - script) : 0, script, name);
	read_file(r, path);
}

static void read_segment(struct reader *r, char **at)
{
	struct diff_step *step = &r->steps[r->count];

	*step = (struct diff_step){.verb = DIFF_SEGMENT};
	dialog_segment_parse(at, &step->in);
	// Option octets as such cannot be built, and what the text says is not compared.
	if (step->in.has & DIALOG_HAS_RAW)
		r->over = true;
	else
		r->count++;
	memset(step->in.octets, 1, step->in.s.payload_octets);
}

static void read_call(struct reader *r, char **at)
{
	static const struct {
		const char *name;
		enum diff_verb verb;
	} calls[] = {{"connect", DIFF_CONNECT}, {"send", DIFF_SEND}, {"shutdown", DIFF_SHUTDOWN},
		// A socket that is closed is a stub in FIN-WAIT-2 there; this one goes through the states.
		{"close", DIFF_SHUTDOWN}, {"abort", DIFF_ABORT}};
	const char *name = dialog_word_need(at);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		struct diff_step *step = &r->steps[r->count];

		if (strcmp(calls[i].name, name) != 0)
			continue;
		*step = (struct diff_step){.verb = calls[i].verb};
		if (step->verb == DIFF_SEND) {
			const char *what = dialog_word_need(at);

			step->octets = *what == '"' ? (uint32_t)strlen(what + 1)
						    : (uint32_t)strtoul(what, NULL, 0);
		}
		r->count++;
		return;
	}
	r->over = true;
}

// Lines that say what must be are not needed: the two sides are held against each other.
static void read_line(struct reader *r, const char *script, char *line)
{
	static const char *const told[] = {">", "event", "drop", "count", "state", "flush", "only"};
	char *at = line, *verb = dialog_word(&at);

	if (verb == NULL || *verb == '#')
		return;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (strcmp(verb, told[i]) == 0)
			return;
	if (strcmp(verb, "<") == 0 || strcmp(verb, "<<") == 0)
		read_segment(r, &at);
	else if (strcmp(verb, "app") == 0)
		read_call(r, &at);
	else if (strcmp(verb, "from") == 0)
		read_state(r, script, dialog_word_need(&at));
	else
		r->over = true;
}

static void read_file(struct reader *r, const char *path)
{
	char line[LINE];
	FILE *in = fopen(path, "r");

	if (in == NULL) {
		perror(path);
		exit(1);
	}
	while (!r->over && r->count < DIFF_OPENING_STEPS && fgets(line, sizeof(line), in) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "only v", 6) == 0 && line[6] != (r->v6 ? '6' : '4'))
			r->over = true;
		else
			read_line(r, path, line);
	}
	fclose(in);
}

uint32_t diff_opening_read(const char *path, bool v6, struct diff_step steps[DIFF_OPENING_STEPS])
{
	struct reader r = {.steps = steps, .v6 = v6};

	dialog_reset(path, v6);
	read_file(&r, path);
	return r.count;
}
