#include "config/yaml.h"

#include <assert.h>
#include <ctype.h>
#include <libfyaml.h>
#include <string.h>

#include "config/utf8.h"

// One run of libfyaml over the text or a part of it.
struct run {
	struct yaml_document *document;
	struct fy_parser *parser;
	struct yaml_node *open[YAML_DEPTH]; // containers not yet closed
	unsigned depth, skipped;            // skipped: levels below one that is refused
	const char *key;                    // of the next value; NULL: a key comes next (in a map)
	struct config_pos key_pos, last;
	uint32_t first_line; // lines before the part
	unsigned documents;
	bool refused; // the next value, for its key
	bool stopped;
};

static struct config_pos pos_of(const struct run *run, struct fy_token *token)
{
	const struct fy_mark *mark = token == NULL ? NULL : fy_token_start_mark(token);

	if (mark == NULL)
		return run->key != NULL ? run->key_pos : run->last;
	return (struct config_pos){
		run->first_line + (uint32_t)mark->line + 1, (uint32_t)mark->column + 1};
}

static bool in_map(const struct run *run)
{
	return run->depth > 0 && run->open[run->depth - 1]->kind == YAML_MAP;
}

static void stop_at(struct run *run, struct config_pos pos, const char *what, uint32_t most)
{
	if (!run->stopped)
		mistakes_add(run->document->mistakes, pos,
			"found more than %u %s: the rest of the file is not read", most, what);
	run->document->broken = true;
	run->stopped = true;
}

static struct yaml_node *add_node(struct run *run, enum yaml_kind kind, struct config_pos pos)
{
	struct yaml_node *node = arena_take(run->document->nodes, sizeof(*node));
	struct yaml_node *parent = run->depth == 0 ? NULL : run->open[run->depth - 1];

	*node = (struct yaml_node){.kind = (uint8_t)kind,
		.pos = pos,
		.text = "",
		.key = run->key,
		.key_pos = run->key_pos,
		.refused = run->refused};
	run->key = NULL;
	run->refused = false;
	if (++run->document->count > YAML_NODES)
		stop_at(run, pos, "values", YAML_NODES);
	if (parent == NULL) {
		run->document->root = node;
		return node;
	}
	if (parent->last == NULL)
		parent->first = node;
	else
		parent->last->next = node;
	parent->last = node;
	parent->count++;
	return node;
}

// libfyaml's mark of a quoted scalar is behind the opening quote.
static struct config_pos scalar_pos(const struct run *run, struct fy_token *token)
{
	struct config_pos pos = pos_of(run, token);
	const enum fy_scalar_style style = fy_scalar_token_get_style(token);

	if ((style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED) && pos.column > 1)
		pos.column--;
	return pos;
}

// A value that is not written at all has a token without a style.
static bool is_plain(struct fy_token *token)
{
	const enum fy_scalar_style style = fy_scalar_token_get_style(token);

	return style == FYSS_PLAIN || style == FYSS_ANY;
}

// libfyaml's marks of anchors and aliases are behind their sign.
static struct config_pos sign_pos(const struct run *run, struct fy_token *token)
{
	struct config_pos pos = pos_of(run, token);

	pos.column -= pos.column > 1;
	return pos;
}

static void on_scalar(struct run *run, struct fy_token *token)
{
	size_t len = 0;
	const char *text = fy_token_get_text(token, &len);
	const struct config_pos pos = scalar_pos(run, token);
	struct mistakes *mistakes = run->document->mistakes;

	run->last = pos;
	if (text == NULL)
		len = 0;
	if (len > 0 && memchr(text, '\0', len) != NULL)
		mistakes_add(mistakes, pos, "a NUL character: expected text");
	const char *copy = len == 0 ? "" : arena_take_text(run->document->texts, text, len);

	if (in_map(run) && run->key == NULL) {
		run->key = copy;
		run->key_pos = pos;
		return;
	}
	struct yaml_node *node = add_node(run, YAML_SCALAR, pos);
	node->text = copy;
	node->plain = is_plain(token);
}

static void on_open(struct run *run, enum yaml_kind kind, struct fy_token *token)
{
	const struct config_pos pos = pos_of(run, token);

	run->last = pos;
	if (run->skipped > 0) {
		run->skipped++;
		return;
	}
	if (in_map(run) && run->key == NULL) {
		mistakes_add(run->document->mistakes, pos, "found a %s as a key: expected a word",
			kind == YAML_MAP ? "map" : "list");
		run->key = "";
		run->key_pos = pos;
		run->refused = true;
		run->skipped = 1;
		return;
	}
	if (run->depth == YAML_DEPTH) {
		mistakes_add(
			run->document->mistakes, pos, "nested deeper than %d levels", YAML_DEPTH);
		add_node(run, YAML_SCALAR, pos)->refused = true;
		run->skipped = 1;
		return;
	}
	struct yaml_node *node = add_node(run, kind, pos);
	run->open[run->depth++] = node;
	if (++run->document->containers > YAML_CONTAINERS)
		stop_at(run, pos, "lists and maps", YAML_CONTAINERS);
}

static void on_close(struct run *run)
{
	if (run->skipped > 0)
		run->skipped--;
	else if (run->depth > 0)
		run->depth--;
}

// What this program has no use for and a reader of the file would stumble over.
static void refuse_extras(struct run *run, struct fy_event *event)
{
	struct mistakes *mistakes = run->document->mistakes;
	struct fy_token *anchor = fy_event_get_anchor_token(event);
	struct fy_token *tag = fy_event_get_tag_token(event);

	if (event->type == FYET_ALIAS)
		mistakes_add(mistakes, sign_pos(run, event->alias.anchor),
			"found an alias (*): expected the value itself");
	else if (anchor != NULL)
		mistakes_add(mistakes, sign_pos(run, anchor),
			"found an anchor (&): expected a plain value");
	if (tag != NULL)
		mistakes_add(mistakes, pos_of(run, tag), "found a tag (!): expected a plain value");
}

static void on_alias(struct run *run, struct fy_token *token)
{
	const struct config_pos pos = pos_of(run, token);

	if (!in_map(run) || run->key != NULL) {
		add_node(run, YAML_SCALAR, pos)->refused = true;
		return;
	}
	run->key = "";
	run->key_pos = pos;
	run->refused = true;
}

static void on_document(struct run *run, struct fy_event *event)
{
	if (++run->documents < 2)
		return;
	run->key = NULL;
	mistakes_add(run->document->mistakes, pos_of(run, event->document_start.document_start),
		"found a second document: expected the end of the file");
	run->stopped = true;
}

static void on_event(struct run *run, struct fy_event *event)
{
	if (event->type == FYET_MAPPING_START || event->type == FYET_SEQUENCE_START ||
		event->type == FYET_SCALAR || event->type == FYET_ALIAS)
		refuse_extras(run, event);
	switch (event->type) {
	case FYET_DOCUMENT_START:
		on_document(run, event);
		break;
	case FYET_MAPPING_START:
		on_open(run, YAML_MAP, event->mapping_start.mapping_start);
		break;
	case FYET_SEQUENCE_START:
		on_open(run, YAML_LIST, event->sequence_start.sequence_start);
		break;
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		on_close(run);
		break;
	case FYET_SCALAR:
		if (run->skipped == 0)
			on_scalar(run, event->scalar.value);
		break;
	case FYET_ALIAS:
		if (run->skipped == 0)
			on_alias(run, event->alias.anchor);
		break;
	case FYET_NONE:
	case FYET_STREAM_START:
	case FYET_STREAM_END:
	case FYET_DOCUMENT_END:
		break;
	}
}

static void add_syntax_error(struct run *run, struct fy_diag *diag)
{
	void *at = NULL;
	const struct fy_diag_error *error = fy_diag_errors_iterate(diag, &at);

	if (error == NULL || error->line < 1) {
		mistakes_add(run->document->mistakes, run->last, "YAML syntax error");
		return;
	}
	const struct config_pos pos = {run->first_line + (uint32_t)error->line,
		error->column < 1 ? 1 : (uint32_t)error->column};

	mistakes_add(run->document->mistakes, pos, "YAML syntax error: %s", error->msg);
}

static void drop_output(struct fy_diag *diag, void *user, const char *text, size_t len)
{
	(void)diag;
	(void)user;
	(void)text;
	(void)len;
}

static struct fy_diag *create_diag(void)
{
	struct fy_diag_cfg config;

	fy_diag_cfg_default(&config);
	config.fp = NULL;
	config.output_fn = drop_output;
	struct fy_diag *diag = fy_diag_create(&config);
	if (diag != NULL)
		fy_diag_set_collect_errors(diag, true);
	return diag;
}

static bool parse_with(struct run *run, struct fy_diag *diag, const char *text, size_t len)
{
	const struct fy_parse_cfg config = {
		.flags = FYPCF_QUIET | FYPCF_COLLECT_DIAG, .diag = diag};
	struct fy_event *event;

	run->parser = fy_parser_create(&config);
	if (run->parser == NULL || fy_parser_set_string(run->parser, text, len) != 0) {
		fy_parser_destroy(run->parser);
		mistakes_add(run->document->mistakes, run->last, "no memory to parse this file");
		return false;
	}
	while (!run->stopped && (event = fy_parser_parse(run->parser)) != NULL) {
		on_event(run, event);
		fy_parser_event_free(run->parser, event);
	}
	const bool good = !fy_parser_get_stream_error(run->parser);
	fy_parser_destroy(run->parser);
	return good;
}

// False: a syntax error, which is added only when it has to be told.
static bool parse_part(struct yaml_document *document, const char *text, size_t len,
	uint32_t first_line, bool tell)
{
	struct run run = {
		.document = document, .first_line = first_line, .last = {first_line + 1, 1}};
	struct fy_diag *diag = create_diag();

	if (diag == NULL)
		return false;
	const bool good = parse_with(&run, diag, text, len);

	if (!good && tell)
		add_syntax_error(&run, diag);
	fy_diag_destroy(diag);
	return good;
}

// A top-level key begins where a line begins with something that can begin a word.
static bool begins_key(const char *line)
{
	return isalnum((unsigned char)*line) != 0 || *line == '"' || *line == '\'';
}

static size_t line_len(const char *text, const char *end)
{
	const char *newline = memchr(text, '\n', (size_t)(end - text));

	return newline == NULL ? (size_t)(end - text) : (size_t)(newline - text) + 1;
}

static void append_members(struct yaml_node *to, const struct yaml_node *from)
{
	if (from == NULL || from->kind != YAML_MAP || from->first == NULL)
		return;
	if (to->last == NULL)
		to->first = from->first;
	else
		to->last->next = from->first;
	to->last = from->last;
	to->count += from->count;
}

// Parse each top-level key by itself into one map. How many were broken.
static unsigned parse_keys(struct yaml_document *document, const char *text, const char *end)
{
	struct yaml_node *all = arena_take(document->nodes, sizeof(*all));
	uint32_t line = 0;
	unsigned broken = 0, parts = 0;

	*all = (struct yaml_node){.kind = YAML_MAP, .pos = {1, 1}, .text = ""};
	document->containers = document->count = 0;
	while (text < end && parts++ < YAML_PARTS && document->containers <= YAML_CONTAINERS &&
		document->count <= YAML_NODES) {
		const uint32_t first_line = line;
		size_t len = 0;

		do {
			len += line_len(text + len, end);
			line++;
		} while (text + len < end && !begins_key(text + len));
		document->root = NULL;
		if (!parse_part(document, text, len, first_line, true))
			broken++;
		append_members(all, document->root);
		text += len;
	}
	document->root = all;
	if (parts > YAML_PARTS)
		mistakes_add(document->mistakes, (struct config_pos){line + 1, 1},
			"found more than %d keys after a syntax error: the rest of the file is not "
			"read",
			YAML_PARTS);
	return broken;
}

// What a line can hold; libfyaml may read all of it before it tells of the first value.
struct line_counts {
	uint32_t opens, commas;
};

static bool check_line(struct yaml_document *document, struct line_counts *counts, char octet,
	struct config_pos pos)
{
	if (octet == '\n')
		*counts = (struct line_counts){0, 0};
	counts->opens += octet == '{' || octet == '[';
	counts->commas += octet == ',';
	if (counts->opens <= YAML_CONTAINERS && counts->commas <= YAML_LINE_VALUES)
		return true;
	mistakes_add(document->mistakes, pos,
		"found more than %d %s on this line: expected fewer, or line ends between them",
		counts->commas > YAML_LINE_VALUES ? YAML_LINE_VALUES : YAML_CONTAINERS,
		counts->commas > YAML_LINE_VALUES ? "values" : "lists and maps");
	return false;
}

// Octets that libfyaml would pass over in silence or stop at, and lines that it would choke on.
static bool check_octets(struct yaml_document *document, const char *text, size_t len)
{
	struct line_counts counts = {0, 0};
	struct config_pos pos = {1, 1};
	const char *end = text + len;

	while (text < end) {
		const unsigned octets = utf8_take(text, (size_t)(end - text));

		if (octets == 0) {
			mistakes_add(document->mistakes, pos,
				"found an octet that is neither UTF-8 nor printable: expected "
				"text");
			return false;
		}
		if (*text == '%' && pos.column == 1) {
			mistakes_add(document->mistakes, pos,
				"found a YAML directive (%%): expected a key");
			return false;
		}
		if (!check_line(document, &counts, *text, pos))
			return false;
		pos = *text == '\n' ? (struct config_pos){pos.line + 1, 1}
				    : (struct config_pos){pos.line, pos.column + 1};
		text += octets;
	}
	return true;
}

void yaml_parse(struct yaml_document *document, const char *text, size_t len)
{
	const uint32_t before = document->mistakes->count;

	document->root = NULL;
	document->containers = document->count = 0;
	document->broken = !check_octets(document, text, len);
	if (document->broken)
		return;
	if (!parse_part(document, text, len, 0, false)) {
		document->broken = true;
		document->mistakes->count = before;
		if (parse_keys(document, text, text + len) == 0)
			(void)parse_part(document, text, len, 0, true);
		return;
	}
	if (document->root == NULL || yaml_is_nothing(document->root))
		mistakes_add(document->mistakes, (struct config_pos){1, 1},
			"the file is empty: expected keys such as virtual_servers");
	else if (document->root->kind != YAML_MAP)
		mistakes_add(document->mistakes, document->root->pos, "found %s: expected keys",
			yaml_kind_text(document->root));
}

bool yaml_is_nothing(const struct yaml_node *node)
{
	return node->kind == YAML_SCALAR && node->plain &&
	       (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
		       strcmp(node->text, "null") == 0);
}

const char *yaml_kind_text(const struct yaml_node *node)
{
	if (yaml_is_nothing(node))
		return "nothing";
	switch ((enum yaml_kind)node->kind) {
	case YAML_LIST:
		return "a list";
	case YAML_MAP:
		return "a map";
	case YAML_SCALAR:
		break;
	}
	return "a single value";
}
