// Every dialogue of tests/golden/dialog, fed whole, octet by octet and cut at every place, with much and little room for
// the body: what is said and what is committed must not depend on it.
//
//   C: a line of the client      c: octets of the client without CRLF   (\r \n \0 \\ and \xHH are escapes)
//   S: a line of the server      M: a line of what was committed: "from ", "to ", then the body
//   L: size recipients errors received_lines      T: STARTTLS is offered; what follows 220 comes from inside TLS

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>

#include "tests/smtp_owner.h"

struct dialog {
	char name[512];
	struct owner_text client, said, mail;
	struct smtp_limits limits;
	bool tls;
};

static int hex(char c)
{
	return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static void add_escaped(struct owner_text *t, const char *line)
{
	for (; *line != '\0' && *line != '\n'; line++) {
		char c = *line;

		if (c == '\\') {
			c = *++line;
			if (c == 'x') {
				c = (char)(hex(line[1]) * 16 + hex(line[2]));
				line += 2;
			} else if (c != '\\') {
				c = (char)(c == 'r' ? '\r' : c == 'n' ? '\n' : '\0');
			}
		}
		owner_add(t, &c, 1);
	}
}

static void read_limits(struct dialog *d, const char *line)
{
	unsigned v[4];

	assert_int_equal(sscanf(line, "%u %u %u %u", &v[0], &v[1], &v[2], &v[3]), 4);
	d->limits = (struct smtp_limits){v[0], (uint16_t)v[1], (uint16_t)v[2], (uint16_t)v[3]};
}

static void read_line(struct dialog *d, const char *line)
{
	const char *text = line[1] == ':' && line[2] == ' ' ? line + 3 : line + 2;
	struct owner_text *t = line[0] == 'S' ? &d->said : line[0] == 'M' ? &d->mail : &d->client;

	if (line[0] == '#' || line[0] == '\n')
		return;
	assert_int_equal(line[1], ':');
	if (line[0] == 'T') {
		d->tls = true;
		return;
	}
	if (line[0] == 'L') {
		read_limits(d, text);
		return;
	}
	add_escaped(t, text);
	if (line[0] != 'c')
		owner_add(t, "\r\n", 2);
}

static void dialog_read(struct dialog *d, const char *directory, const char *file)
{
	char line[2000];
	FILE *f;

	*d = (struct dialog){.limits = {1000, 3, 4, 2}};
	(void)snprintf(d->name, sizeof(d->name), "%s/%s", directory, file);
	d->client.at = malloc(OWNER_TEXT);
	d->said.at = malloc(OWNER_TEXT);
	d->mail.at = malloc(OWNER_TEXT);
	f = fopen(d->name, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		read_line(d, line);
	(void)fclose(f);
}

static void dialog_free(struct dialog *d)
{
	free(d->client.at);
	free(d->said.at);
	free(d->mail.at);
}

static void expect_text(const struct dialog *d, const struct owner_text *got,
	const struct owner_text *want, size_t cut)
{
	if (got->len == want->len && memcmp(got->at, want->at, want->len) == 0)
		return;
	print_error("%s, cut at %zu\n--- got\n%.*s--- want\n%.*s---\n", d->name, cut, (int)got->len,
		(const char *)got->at, (int)want->len, (const char *)want->at);
	fail();
}

static void greet(struct owner *o)
{
	uint8_t room[SMTP_REPLY_MAX_OCTETS];
	struct smtp_io io = owner_io(o, room);

	smtp_session_greet(&o->s, SMTP_REPLY_GREETING, &io);
	owner_heard(o, &io);
}

// cut: octets of the first piece; 0: octet by octet.
static void run(const struct dialog *d, size_t cut, uint32_t room)
{
	struct owner o;

	owner_init(&o, room, OWNER_BLOCKS);
	o.service.limits = d->limits;
	o.service.tls = d->tls;
	greet(&o);
	if (cut == 0) {
		for (size_t i = 0; i < d->client.len; i++)
			owner_feed(&o, d->client.at + i, 1);
	} else {
		owner_feed(&o, d->client.at, cut);
		owner_feed(&o, d->client.at + cut, d->client.len - cut);
	}
	expect_text(d, &o.said, &d->said, cut);
	expect_text(d, &o.mail, &d->mail, cut);
	assert_int_equal(o.begun, o.committed + o.aborted + (o.open ? 1 : 0));
	owner_free(&o);
}

static void run_every_way(const struct dialog *d)
{
	static const uint32_t rooms[] = {1, 7, 64, 100, 16384};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		run(d, d->client.len, rooms[i]);
		run(d, 0, rooms[i]);
	}
	for (size_t cut = 1; cut < d->client.len; cut++)
		run(d, cut, cut % 3 == 0 ? 5 : 16384);
}

static void test_dialog_split_anywhere_gives_the_golden_text(void **state)
{
	const char *source = getenv("POSTERN_SOURCE");
	char directory[256];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	(void)state;
	(void)snprintf(directory, sizeof(directory), "%s/tests/golden/dialog",
		source != NULL ? source : ".");
	dir = opendir(directory);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct dialog d;

		if (strstr(entry->d_name, ".txt") == NULL)
			continue;
		dialog_read(&d, directory, entry->d_name);
		run_every_way(&d);
		dialog_free(&d);
		count++;
	}
	(void)closedir(dir);
	assert_true(count >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialog_split_anywhere_gives_the_golden_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
