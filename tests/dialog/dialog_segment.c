#include "dialog/dialog_segment.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialog/dialog_word.h"
#include "net/frame.h"

static const char flag_letters[] = "SFRP.UEW";
static const uint8_t flag_bits[] = {SEGMENT_SYN, SEGMENT_FIN, SEGMENT_RST, SEGMENT_PSH, SEGMENT_ACK,
	SEGMENT_URG, SEGMENT_ECE, SEGMENT_CWR};

static uint8_t flags_of(const char *w)
{
	uint8_t flags = 0;

	for (; *w != '\0' && *w != '-'; w++) {
		const char *at = strchr(flag_letters, *w);

		if (at == NULL)
			dialog_fail("%c is no flag", *w);
		flags |= flag_bits[at - flag_letters];
	}
	return flags;
}

// --- keys ---

static void take_ack(struct dialog_segment *w, char **at)
{
	w->s.ack = dialog_word_number(at);
}

static void take_window(struct dialog_segment *w, char **at)
{
	w->s.window = (uint16_t)dialog_word_number(at);
}

static void take_mss(struct dialog_segment *w, char **at)
{
	w->s.options.has_mss = true;
	w->s.options.mss = (uint16_t)dialog_word_number(at);
}

static void take_scale(struct dialog_segment *w, char **at)
{
	w->s.options.has_scale = true;
	w->s.options.scale = (uint8_t)dialog_word_number(at);
}

static void take_timestamp(struct dialog_segment *w, char **at)
{
	w->s.options.has_timestamp = true;
	w->s.options.tsval = dialog_word_number(at);
}

static void take_echo(struct dialog_segment *w, char **at)
{
	w->s.options.tsecr = dialog_word_number(at);
}

static void take_sack_permitted(struct dialog_segment *w, char **at)
{
	(void)at;
	w->s.options.sack_permitted = true;
}

// LEFT-RIGHT, several with commas between.
static void take_sacks(struct dialog_segment *w, char **at)
{
	char *text = dialog_word_need(at);
	struct segment_options *o = &w->s.options;

	while (o->sack_count < SEGMENT_SACKS) {
		struct segment_sack *block = &o->sacks[o->sack_count++];

		block->left = (uint32_t)strtoul(text, &text, 10);
		if (*text != '-')
			dialog_fail("%s is no end of a block", text);
		block->right = (uint32_t)strtoul(text + 1, &text, 10);
		if (*text == '\0')
			return;
		if (*text++ != ',')
			dialog_fail("%s behind a block", text);
	}
	dialog_fail("more than %d blocks", SEGMENT_SACKS);
}

static void take_ecn(struct dialog_segment *w, char **at)
{
	static const char *const names[] = {"none", "ect1", "ect0", "ce"};
	const char *name = dialog_word_need(at);

	for (uint8_t i = 0; i < 4; i++) {
		if (strcmp(names[i], name) != 0)
			continue;
		w->s.ecn = i;
		return;
	}
	dialog_fail("%s: none, ect0, ect1 or ce", name);
}

static void take_accurate_ecn(struct dialog_segment *w, char **at)
{
	(void)at;
	w->s.accurate_ecn = true;
}

static void take_urgent(struct dialog_segment *w, char **at)
{
	w->s.urgent = (uint16_t)dialog_word_number(at);
}

static void take_raw(struct dialog_segment *w, char **at)
{
	const char *hex = dialog_word_need(at);
	unsigned octet;

	for (; *hex != '\0' && w->raw_octets < sizeof(w->raw); hex += 2) {
		if (sscanf(hex, "%2x", &octet) != 1 || hex[1] == '\0')
			dialog_fail("%s is not hexadecimal", hex);
		w->raw[w->raw_octets++] = (uint8_t)octet;
	}
	if (*hex != '\0' || w->raw_octets % 4 != 0)
		dialog_fail("options are at most 40 octets, in fours");
}

static void take_nothing(struct dialog_segment *w, char **at);

static const struct key {
	const char *name;
	unsigned bit;
	void (*take)(struct dialog_segment *w, char **at);
} keys[] = {
	{"ack", DIALOG_HAS_ACK, take_ack},
	{"win", DIALOG_HAS_WINDOW, take_window},
	{"mss", DIALOG_HAS_MSS, take_mss},
	{"scale", DIALOG_HAS_SCALE, take_scale},
	{"ts", DIALOG_HAS_TIMESTAMP, take_timestamp},
	{"ecr", DIALOG_HAS_ECR, take_echo},
	{"sackok", DIALOG_HAS_SACK_PERMITTED, take_sack_permitted},
	{"sack", DIALOG_HAS_SACKS, take_sacks},
	{"ecn", DIALOG_HAS_ECN, take_ecn},
	{"ae", 0, take_accurate_ecn},
	{"urg", DIALOG_HAS_URGENT, take_urgent},
	{"raw", DIALOG_HAS_RAW, take_raw},
	{"ago", DIALOG_HAS_AGO, take_echo},
	{"no", 0, take_nothing},
};

static const struct key *key_of(const char *name)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	dialog_fail("%s: not known", name);
}

// no KEY: it must be absent.
static void take_nothing(struct dialog_segment *w, char **at)
{
	w->no |= key_of(dialog_word_need(at))->bit;
}

static void take_text(struct dialog_segment *w, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof(w->octets))
		dialog_fail("text too long");
	w->has |= DIALOG_HAS_TEXT;
	w->s.payload_octets = (uint32_t)len;
	memcpy(w->octets, text, len);
}

void dialog_segment_parse(char **at, struct dialog_segment *out)
{
	const char *flags = dialog_word_need(at), *seq = dialog_word_need(at), *word;
	char *end;

	*out = (struct dialog_segment){.s = dialog_addressed()};
	out->s.flags = flags_of(flags);
	out->s.seq = (uint32_t)strtoul(seq, &end, 0);
	if (*end == '+')
		out->s.payload_octets = (uint32_t)strtoul(end + 1, &end, 0);
	if (*end != '\0' || out->s.payload_octets > DIALOG_TEXT)
		dialog_fail("%s is no sequence number", seq);
	memset(out->octets, 1, out->s.payload_octets);
	while ((word = dialog_word(at)) != NULL) {
		if (*word == '"') {
			take_text(out, word + 1);
			continue;
		}

		const struct key *key = key_of(word);

		out->has |= key->bit;
		key->take(out, at);
	}
}

// The least frame that carries the options; of what it becomes only they are wanted.
static enum drop parse_raw(struct dialog_segment *in)
{
	enum { ETHER = 14, IP = 20, TCP = 20 };
	uint8_t octets[ETHER + IP + TCP + sizeof(in->raw)] = {[12] = 8,
		[ETHER] = 0x45,
		[ETHER + 8] = 64,
		[ETHER + 9] = 6,
		[ETHER + 12] = 10,
		[ETHER + 15] = 30,
		[ETHER + 16] = 10,
		[ETHER + 19] = 5,
		[ETHER + IP + 1] = 1};
	uint8_t l4 = (uint8_t)(TCP + in->raw_octets);
	struct frame f = {0};

	octets[ETHER + 3] = (uint8_t)(IP + l4);
	octets[ETHER + IP + 12] = (uint8_t)(l4 / 4 << 4);
	memcpy(octets + ETHER + IP + TCP, in->raw, in->raw_octets);

	enum drop drop = frame_parse((struct slice){octets, (size_t)ETHER + IP + l4},
		FRAME_IP_SUM_GOOD | FRAME_TCP_SUM_GOOD, &f);

	in->s.options = f.tcp.options;
	return drop;
}

enum drop dialog_segment_complete(struct dialog_segment *in)
{
	const struct dialog_peer *peer = dialog_peer();
	struct segment_options *o = &in->s.options;
	enum drop drop = DROP_NONE;

	if (!(in->has & DIALOG_HAS_WINDOW))
		in->s.window = 65535;
	if (in->has & DIALOG_HAS_ACK)
		in->s.ack += peer->isn;
	if (o->has_timestamp && !(in->has & (DIALOG_HAS_ECR | DIALOG_HAS_AGO)))
		o->tsecr = peer->tsval_last;
	if (in->has & DIALOG_HAS_AGO)
		o->tsecr = peer->tsval_last - o->tsecr;
	if (in->has & DIALOG_HAS_RAW)
		drop = parse_raw(in);
	for (uint8_t i = 0; i < o->sack_count; i++) {
		o->sacks[i].left += peer->isn;
		o->sacks[i].right += peer->isn;
	}
	in->s.part_count = in->s.payload_octets > 0;
	in->s.parts[0] = (struct slice){in->octets, in->s.payload_octets};
	return drop;
}

// --- what was sent ---

// What got has of all that can be absent.
static unsigned present(const struct segment *s)
{
	const struct segment_options *o = &s->options;

	return (o->has_mss ? DIALOG_HAS_MSS : 0u) | (o->has_scale ? DIALOG_HAS_SCALE : 0u) |
	       (o->has_timestamp ? DIALOG_HAS_TIMESTAMP : 0u) |
	       (o->sack_permitted ? DIALOG_HAS_SACK_PERMITTED : 0u) |
	       (o->sack_count > 0 ? DIALOG_HAS_SACKS : 0u) | (s->ecn != 0 ? DIALOG_HAS_ECN : 0u);
}

static unsigned differing_options(
	const struct segment_options *want, const struct segment_options *got)
{
	size_t sacks = want->sack_count * sizeof(want->sacks[0]);
	bool sacks_fit =
		want->sack_count == got->sack_count && memcmp(want->sacks, got->sacks, sacks) == 0;

	return (got->has_mss && got->mss == want->mss ? 0u : DIALOG_HAS_MSS) |
	       (got->has_scale && got->scale == want->scale ? 0u : DIALOG_HAS_SCALE) |
	       (got->has_timestamp && got->tsecr == want->tsval ? 0u : DIALOG_HAS_TIMESTAMP) |
	       (got->sack_permitted ? 0u : DIALOG_HAS_SACK_PERMITTED) |
	       (sacks_fit ? 0u : DIALOG_HAS_SACKS);
}

static unsigned differing(const struct dialog_segment *want, const struct dialog_sent *got)
{
	const struct segment *w = &want->s, *s = &got->s;
	bool text_fits = memcmp(got->octets, want->octets, w->payload_octets) == 0;

	return (s->ack == w->ack ? 0u : DIALOG_HAS_ACK) |
	       (s->window == w->window ? 0u : DIALOG_HAS_WINDOW) |
	       (text_fits ? 0u : DIALOG_HAS_TEXT) | (s->ecn == w->ecn ? 0u : DIALOG_HAS_ECN) |
	       (s->urgent == w->urgent ? 0u : DIALOG_HAS_URGENT) |
	       differing_options(&w->options, &s->options);
}

const char *dialog_segment_differs(const struct dialog_segment *want, const struct dialog_sent *got)
{
	unsigned wrong = want->has & differing(want, got), extra = want->no & present(&got->s);

	if (got->s.flags != want->s.flags)
		return "flags";
	if (got->s.seq - dialog_peer()->isn != want->s.seq)
		return "number";
	if (got->s.payload_octets != want->s.payload_octets)
		return "length";
	if (wrong & DIALOG_HAS_TEXT)
		return "text";
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if ((wrong | extra) & keys[i].bit)
			return keys[i].name;
	return NULL;
}

__attribute__((format(printf, 2, 3))) static void append(
	char out[DIALOG_SEGMENT_TEXT], const char *format, ...)
{
	size_t at = strlen(out);
	va_list args;

	va_start(args, format);
	vsnprintf(out + at, DIALOG_SEGMENT_TEXT - at, format, args);
	va_end(args);
}

const char *dialog_segment_describe(const struct segment *s, char out[DIALOG_SEGMENT_TEXT])
{
	const struct segment_options *o = &s->options;
	size_t at = 0;

	for (size_t i = 0; i < sizeof(flag_bits); i++)
		if (s->flags & flag_bits[i])
			out[at++] = flag_letters[i];
	out[at] = '\0';
	append(out, " %u+%u", s->seq - dialog_peer()->isn, s->payload_octets);
	append(out, " ack %u win %u", s->ack, s->window);
	if (o->has_mss)
		append(out, " mss %u", o->mss);
	if (o->has_scale)
		append(out, " scale %u", o->scale);
	if (o->has_timestamp)
		append(out, " ts %u", o->tsecr);
	if (o->sack_permitted)
		append(out, " sackok");
	for (uint8_t i = 0; i < o->sack_count; i++)
		append(out, "%s%u-%u", i == 0 ? " sack " : ",", o->sacks[i].left,
			o->sacks[i].right);
	if (s->ecn != 0)
		append(out, " ecn %u", s->ecn);
	return out;
}
