#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"
#include "config/guard.h"
#include "config/name_match.h"
#include "config/reader.h"
#include "config/value.h"

enum {
	ARENA_OCTETS_PER_OCTET = 128, // a struct config for each octet of text at most, texts aside
	ARENA_OCTETS_BASE = 1 << 20,
	PATH_OCTETS = 4096,
};

static const struct config_pos start_of_file = {1, 1};

struct text {
	char *at; // malloc, with a final NUL
	size_t len;
};

// From offset 0, whatever the descriptor's own is. -1: errno says why.
static int read_all(int fd, struct text *text)
{
	struct stat status;

	if (fstat(fd, &status) != 0)
		return -1;
	if (!S_ISREG(status.st_mode) || status.st_size > YAML_FILE_OCTETS) {
		errno = S_ISREG(status.st_mode) ? EFBIG : EINVAL;
		return -1;
	}
	const size_t size = (size_t)status.st_size;

	text->at = malloc(size + 1);
	if (text->at == NULL)
		return -1;
	for (text->len = 0; text->len < size;) {
		const ssize_t got =
			pread(fd, text->at + text->len, size - text->len, (off_t)text->len);

		if (got < 0)
			return -1;
		if (got == 0) // it has become shorter
			break;
		text->len += (size_t)got;
	}
	text->at[text->len] = '\0';
	return 0;
}

static bool take_text(const char *path, int text_fd, struct text *text, struct mistakes *mistakes)
{
	const int fd = text_fd >= 0 ? text_fd : open(path, O_RDONLY | O_CLOEXEC);
	const int failed = fd < 0 ? -1 : read_all(fd, text);
	const int why = errno;

	if (fd >= 0 && text_fd < 0)
		(void)close(fd);
	if (failed == 0)
		return true;
	mistakes_add(mistakes, start_of_file, "cannot read this file: %s", strerror(why));
	return false;
}

// Absolute, of the file, without a final slash.
static const char *directory_of(struct arena *arena, const char *path)
{
	const char *slash = strrchr(path, '/');
	const size_t len = slash == NULL ? 0 : (size_t)(slash - path);
	char here[PATH_OCTETS] = "";

	if (*path == '/')
		return arena_take_text(arena, path, len);
	if (getcwd(here, sizeof(here)) == NULL)
		here[0] = '\0';
	char *directory = arena_take(arena, strlen(here) + 1 + len + 1);
	const size_t start = strlen(here);

	memcpy(directory, here, start);
	if (len > 0) {
		directory[start] = '/';
		memcpy(directory + start + 1, path, len);
	}
	return directory;
}

// The machine's name when it is a proper one.
static const char *machine_name(struct arena *arena)
{
	char name[LIMIT_DOMAIN_OCTETS + 1] = "";

	if (gethostname(name, sizeof(name) - 1) != 0 || value_host(name) != NULL)
		return "localhost";
	return arena_take_text(arena, name, strlen(name));
}

static void fill_names(struct config *config)
{
	for (uint32_t v = 0; v < config->vserver_count; v++) {
		if (config->vservers[v].fqdn == NULL)
			config->vservers[v].fqdn = machine_name(config->arena);
	}
	if (config->delivery.helo == NULL && config->vserver_count > 0)
		config->delivery.helo = config->vservers[0].fqdn;
}

static void keep_places(struct config *config, const struct reader *reader)
{
	struct config_pos *places = arena_take(config->arena, sizeof(reader->pos));

	memcpy(places, reader->pos, sizeof(reader->pos));
	config->places = places;
}

// The tree needs memory of its own, and only for this long.
static void read_tree(struct config *config, const struct text *text, struct mistakes *mistakes)
{
	struct arena *nodes = arena_create(text->len * YAML_NODE_OCTETS + ARENA_OCTETS_BASE);
	struct yaml_document document = {
		.nodes = nodes, .texts = config->arena, .mistakes = mistakes};
	struct reader reader = {.mistakes = mistakes,
		.arena = config->arena,
		.directory = directory_of(config->arena, config->path)};

	if (nodes == NULL) {
		mistakes_add(mistakes, start_of_file, "no memory to read this file");
		return;
	}
	yaml_parse(&document, text->at, text->len);
	reader.broken = document.broken;
	if (document.root != NULL && document.root->kind == YAML_MAP)
		reader_read_map(&reader, SCHEMA_SECTION_TOP, document.root, config);
	arena_free(nodes);
	keep_places(config, &reader);
	if (document.broken)
		return;
	check_config(config, &reader);
	guard_check(config, &reader);
	fill_names(config);
	if (mistakes->count == 0)
		config->names = name_match_compile(config, mistakes);
}

static struct config *create(const char *path, size_t text_octets)
{
	const size_t each = ARENA_OCTETS_PER_OCTET + YAML_TEXT_OCTETS;
	struct arena *arena = arena_create(text_octets * each + ARENA_OCTETS_BASE);

	if (arena == NULL)
		return NULL;
	struct config *config = arena_take(arena, sizeof(*config));

	config->arena = arena;
	config->path = arena_take_text(arena, path, strlen(path));
	return config;
}

struct config *config_load(const char *path, int text_fd, config_mistake_fn *mistake, void *user)
{
	struct mistakes mistakes;
	struct text text = {NULL, 0};
	struct config *config = NULL;

	if (!mistakes_init(&mistakes)) {
		mistake(user, path, start_of_file, "no memory to read this file");
		return NULL;
	}
	if (take_text(path, text_fd, &text, &mistakes)) {
		config = create(path, text.len);
		if (config == NULL)
			mistakes_add(&mistakes, start_of_file, "no memory to read this file");
		else
			read_tree(config, &text, &mistakes);
	}
	free(text.at);
	if (mistakes.count > 0) {
		mistakes_report(&mistakes, path, mistake, user);
		config_free(config);
		config = NULL;
	}
	mistakes_free(&mistakes);
	return config;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	name_match_free(config->names);
	arena_free(config->arena); // the configuration itself is in it
}
