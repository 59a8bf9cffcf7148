#include "config/name_tails.h"

#include <string.h>

struct parse {
	const char *at, *end;
	const char *wrong; // NULL: good so far
	unsigned depth;
};

static const char unknown[] = "expected letters, digits, \"-\", \"_\", \".\", [classes], \\. \\- "
			      "\\d \\w, (groups), | and "
			      "repeats only";

// ---- Sets of tails

static const struct name_tail any_name = {0, false, ""};
static const struct name_tail nothing = {0, true, ""};

static void set_one(struct name_tails *set, const struct name_tail *tail)
{
	set->count = 1;
	set->list[0] = *tail;
}

static bool is_same(const struct name_tail *a, const struct name_tail *b)
{
	return a->len == b->len && a->whole == b->whole && memcmp(a->text, b->text, a->len) == 0;
}

static void set_add(struct name_tails *set, const struct name_tail *tail)
{
	for (uint32_t i = 0; i < set->count; i++) {
		if (is_same(&set->list[i], tail))
			return;
	}
	if (set->count == NAME_TAILS_MOST)
		set_one(set, &any_name);
	else
		set->list[set->count++] = *tail;
}

static void set_unite(struct name_tails *set, const struct name_tails *other)
{
	for (uint32_t i = 0; i < other->count; i++)
		set_add(set, &other->list[i]);
}

// front and behind it tail, which is whole, cut to its end.
static struct name_tail joined(const struct name_tail *front, const struct name_tail *tail)
{
	struct name_tail out = {.whole = front->whole};
	size_t keep = front->len;

	if (keep + tail->len > NAME_TAILS_OCTETS) {
		keep = NAME_TAILS_OCTETS - tail->len;
		out.whole = false;
	}
	memcpy(out.text, front->text + front->len - keep, keep);
	memcpy(out.text + keep, tail->text, tail->len);
	out.len = (uint16_t)(keep + tail->len);
	return out;
}

// set becomes that of set and then next.
static void set_follow(struct name_tails *set, const struct name_tails *next)
{
	struct name_tails out = {.count = 0};

	for (uint32_t n = 0; n < next->count; n++) {
		if (!next->list[n].whole) {
			set_add(&out, &next->list[n]);
			continue;
		}
		for (uint32_t i = 0; i < set->count; i++) {
			const struct name_tail tail = joined(&set->list[i], &next->list[n]);

			set_add(&out, &tail);
		}
	}
	*set = out;
}

// set becomes that of set once or more, or not at all when least is 0.
static void set_repeat(struct name_tails *set, unsigned least)
{
	for (uint32_t i = 0; i < set->count; i++)
		set->list[i].whole = false;
	if (least == 0)
		set_add(set, &nothing);
}

// ---- The expression

static bool is_over(const struct parse *p)
{
	return p->at == p->end;
}

static bool take(struct parse *p, char c)
{
	if (is_over(p) || *p->at != c)
		return false;
	p->at++;
	return true;
}

static void fail(struct parse *p, const char *wrong)
{
	if (p->wrong == NULL)
		p->wrong = wrong;
	p->at = p->end;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static char lower(char c)
{
	if (c >= 'A' && c <= 'Z')
		c = (char)(c | 0x20);
	return c;
}

static void read_literal(struct parse *p, char c, struct name_tails *out)
{
	const struct name_tail tail = {1, true, {lower(c)}};

	if (!is_word(c) && c != '.')
		fail(p, unknown);
	else
		set_one(out, &tail);
}

// False: no member of a class.
static bool read_member(struct parse *p)
{
	if (take(p, '\\'))
		return !is_over(p) && strchr("dw.-", *p->at++) != NULL;
	p->at++;
	return is_word(p->at[-1]) || p->at[-1] == '.';
}

static void read_class(struct parse *p, struct name_tails *out)
{
	const bool others = take(p, '^');
	const char *first = p->at;

	while (!is_over(p) && *p->at != ']') {
		if (!read_member(p)) {
			fail(p, unknown);
			return;
		}
	}
	if (p->at == first || !take(p, ']'))
		fail(p, "has a class without members, or without its end");
	else if (!others && p->at - first == 2) // [.]
		read_literal(p, *first, out);
}

static void read_choices(struct parse *p, struct name_tails *out);

static void read_group(struct parse *p, struct name_tails *out)
{
	if (++p->depth > NAME_TAILS_DEPTH) {
		fail(p, "has more than 16 groups in each other");
		return;
	}
	if (take(p, '?') && !take(p, ':')) {
		fail(p, "has a (?...) that is no (?:...): expected groups only");
		return;
	}
	read_choices(p, out);
	if (!take(p, ')'))
		fail(p, "has a group without its end");
	p->depth--;
}

static void read_atom(struct parse *p, struct name_tails *out)
{
	const char c = *p->at++;

	set_one(out, &any_name);
	if (c == '(') {
		read_group(p, out);
	} else if (c == '[') {
		read_class(p, out);
	} else if (c == '\\') {
		if (is_over(p) || strchr("dw.-", *p->at) == NULL)
			fail(p, unknown);
		else if (*p->at == '.' || *p->at == '-')
			read_literal(p, *p->at++, out);
		else
			p->at++;
	} else if (c != '.') {
		read_literal(p, c, out);
	}
}

static bool read_count(struct parse *p, unsigned *out)
{
	const char *first = p->at;

	*out = 0;
	while (!is_over(p) && *p->at >= '0' && *p->at <= '9' && *out < 10000)
		*out = *out * 10 + (unsigned)(*p->at++ - '0');
	return p->at > first;
}

// {n}, {n,}, {n,m}
static void read_bounds(struct parse *p, unsigned *least, unsigned *most)
{
	bool good = read_count(p, least);

	*most = *least;
	if (good && take(p, ',') && !read_count(p, most))
		*most = 10000;
	if (!good || !take(p, '}') || *most < *least || *most == 0)
		fail(p, "has a repeat that is not {n}, {n,} or {n,m}");
}

static void read_repeat(struct parse *p, struct name_tails *out)
{
	unsigned least = 1, most = 1;

	if (take(p, '*'))
		least = 0, most = 10000;
	else if (take(p, '+'))
		most = 10000;
	else if (take(p, '?'))
		least = 0;
	else if (take(p, '{'))
		read_bounds(p, &least, &most);
	else
		return;
	(void)take(p, '?'); // the shortest match: the same names
	if (most > 1)
		set_repeat(out, least);
	else if (least == 0)
		set_add(out, &nothing);
	if (!is_over(p) && strchr("*+?{", *p->at) != NULL)
		fail(p, "has a repeat of a repeat");
}

static void read_sequence(struct parse *p, struct name_tails *out)
{
	struct name_tails next;

	set_one(out, &nothing);
	while (!is_over(p) && *p->at != '|' && *p->at != ')') {
		if (strchr("*+?{", *p->at) != NULL) {
			fail(p, "has a repeat of nothing");
			return;
		}
		read_atom(p, &next);
		read_repeat(p, &next);
		set_follow(out, &next);
	}
}

static void read_choices(struct parse *p, struct name_tails *out)
{
	struct name_tails choice;

	read_sequence(p, out);
	while (take(p, '|')) {
		read_sequence(p, &choice);
		set_unite(out, &choice);
	}
}

const char *name_tails_of(const char *regex, size_t len, struct name_tails *out)
{
	struct parse p = {.at = regex, .end = regex + len};

	read_choices(&p, out);
	if (!is_over(&p))
		fail(&p, "has the end of a group without its begin");
	return p.wrong;
}
