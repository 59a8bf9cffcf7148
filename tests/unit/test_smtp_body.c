// End of data and dots, held against a machine of one octet at a time written down as plainly as possible.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/smtp_body.h"

enum {
	MOST = 700,
};

struct result {
	uint8_t kept[MOST];
	size_t kept_len, used;
	bool fault, ended;
};

// The reference: find CRLF.CRLF in a text that begins behind a CRLF, then take the stuffed dots out line by line.
static struct result reference(struct slice in)
{
	struct result r = {0};
	uint8_t text[MOST + 2] = "\r\n";
	bool line_start = true;

	memcpy(text + 2, in.at, in.len);
	r.used = in.len;
	for (size_t i = 0; i + 5 <= in.len + 2; i++) {
		if (memcmp(text + i, "\r\n.\r\n", 5) == 0) {
			r.ended = true;
			r.used = i + 3;
			break;
		}
	}
	for (size_t i = 0; i < (r.ended ? r.used - 3 : r.used); i++) {
		uint8_t c = in.at[i];
		bool cr_before = i > 0 && in.at[i - 1] == '\r';

		r.fault |= c == '\0' || (c == '\n') != cr_before;
		if (c != '.' || !line_start)
			r.kept[r.kept_len++] = c;
		line_start = c == '\n' && cr_before;
	}
	return r;
}

// In pieces of piece octets, with room for so many octets at a time.
static struct result take(struct slice in, size_t piece, uint32_t room)
{
	struct result r = {0};
	uint8_t state = SMTP_BODY_LINE_START;

	while (r.used < in.len && !r.ended && !r.fault) {
		size_t left = in.len - r.used;
		struct slice part = {in.at + r.used, left < piece ? left : piece};
		struct smtp_out out = {r.kept, (uint32_t)r.kept_len, (uint32_t)r.kept_len + room};
		const uint8_t *before = part.at;
		enum smtp_body_found found = smtp_body_take(&state, &part, &out);

		assert_true(out.len <= out.cap);
		r.used += (size_t)(part.at - before);
		r.kept_len = out.len;
		r.fault = found == SMTP_BODY_FOUND_FAULT;
		r.ended = found == SMTP_BODY_FOUND_END;
		assert_true(found != SMTP_BODY_FOUND_FULL || out.len == out.cap);
		assert_true(found != SMTP_BODY_FOUND_MORE || part.len == 0);
	}
	return r;
}

static struct result skip_all(struct slice in, size_t piece)
{
	struct result r = {0};
	uint8_t state = SMTP_BODY_LINE_START;

	while (r.used < in.len && !r.ended) {
		size_t left = in.len - r.used;
		struct slice part = {in.at + r.used, left < piece ? left : piece};
		const uint8_t *before = part.at;

		r.ended = smtp_body_skip(&state, &part, &r.fault) == SMTP_BODY_FOUND_END;
		r.used += (size_t)(part.at - before);
		assert_true(r.ended || part.len == 0);
	}
	return r;
}

// A body that stops before its end may stop within a line end or behind a held dot, so only whole bodies are compared.
static void expect_as_reference(struct slice in, size_t piece, uint32_t room)
{
	struct result want = reference(in), got = take(in, piece, room),
		      skipped = skip_all(in, piece);

	assert_int_equal(skipped.ended, want.ended);
	assert_int_equal(skipped.used, want.used);
	if (!want.ended)
		return;
	assert_int_equal(skipped.fault, want.fault);
	assert_int_equal(got.fault, want.fault);
	if (want.fault)
		return;
	assert_int_equal(got.used, want.used);
	assert_int_equal(got.kept_len, want.kept_len);
	assert_memory_equal(got.kept, want.kept, want.kept_len);
}

static void expect_every_way(struct slice in)
{
	static const size_t pieces[] = {1, 2, 3, 63, 64, 65, MOST};
	static const uint32_t rooms[] = {1, 2, 64, MOST};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		for (size_t k = 0; k < sizeof(rooms) / sizeof(rooms[0]); k++)
			expect_as_reference(in, pieces[i], rooms[k]);
}

static void test_body_every_short_text_is_as_the_reference(void **state)
{
	static const uint8_t octets[] = {'A', '\r', '\n', '.', '\0'};

	(void)state;
	for (unsigned n = 0; n < 5 * 5 * 5 * 5 * 5 * 5; n++) {
		uint8_t text[11];

		for (unsigned i = 0, left = n; i < 6; i++, left /= 5)
			text[i] = octets[left % 5];
		memcpy(text + 6, "\r\n.\r\n", 5);
		expect_as_reference((struct slice){text, sizeof(text)}, 1, 1);
		expect_as_reference((struct slice){text, sizeof(text)}, 11, 11);
	}
}

// Every pair of odd octets at every place around the edges of two strides.
static void test_body_odd_octets_at_every_place_are_as_the_reference(void **state)
{
	static const char *const odds[] = {"\r\n", "\r", "\n", "\r\n.", "\r\n..", "\n.", "\r.", ".",
		"\r\r\n", "\r\n.\r\n", "\r\n.\r", "\r\n\r\n", "\r\n.x", "\n\r"};

	(void)state;
	for (size_t k = 0; k < sizeof(odds) / sizeof(odds[0]); k++) {
		for (size_t at = 0; at < 140; at++) {
			uint8_t text[160];

			memset(text, 'x', sizeof(text));
			memcpy(text + at, odds[k], strlen(odds[k]));
			memcpy(text + 155, "\r\n.\r\n", 5);
			expect_every_way((struct slice){text, sizeof(text)});
		}
	}
}

static void test_body_random_texts_are_as_the_reference(void **state)
{
	static const char alphabet[] = "aaaaaaaaaaaaaaaa\r\n..";

	(void)state;
	srandom(1);
	for (unsigned n = 0; n < 4000; n++) {
		uint8_t text[MOST];
		size_t len = 0;

		while (len < 600) {
			long r = random();

			if (r % 16 == 0) {
				memcpy(text + len, "\r\n..", 4);
				len += 2 + (size_t)(r / 16 % 3);
			} else if (r % (n % 2 == 0 ? 100000 : 400) == 1) {
				text[len++] = (uint8_t)alphabet[(size_t)random() % 20];
			} else {
				text[len++] = 'a';
			}
		}
		memcpy(text + len, "\r\n.\r\n", 5);
		expect_as_reference((struct slice){text, len + 5}, 1 + (size_t)random() % 200,
			1 + (uint32_t)random() % 200);
	}
}

static void test_body_octets_behind_the_end_stay(void **state)
{
	uint8_t body_state = SMTP_BODY_LINE_START, room[20];
	struct slice in = {(const uint8_t *)".\r\nQUIT\r\n", 9};
	struct smtp_out out = {room, 0, sizeof(room)};

	(void)state;
	assert_int_equal(smtp_body_take(&body_state, &in, &out), SMTP_BODY_FOUND_END);
	assert_int_equal(in.len, 6);
	assert_int_equal(out.len, 0);
	assert_int_equal(smtp_body_take(&body_state, &in, &out), SMTP_BODY_FOUND_END);
	assert_int_equal(in.len, 6);
}

static void test_body_end_needs_no_room(void **state)
{
	uint8_t body_state = SMTP_BODY_LINE_START, room[3];
	struct slice in = {(const uint8_t *)"a\r\n.\r\n", 6};
	struct smtp_out out = {room, 0, sizeof(room)};

	(void)state;
	assert_int_equal(smtp_body_take(&body_state, &in, &out), SMTP_BODY_FOUND_END);
	assert_int_equal(out.len, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_every_short_text_is_as_the_reference),
		cmocka_unit_test(test_body_odd_octets_at_every_place_are_as_the_reference),
		cmocka_unit_test(test_body_random_texts_are_as_the_reference),
		cmocka_unit_test(test_body_octets_behind_the_end_stay),
		cmocka_unit_test(test_body_end_needs_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
