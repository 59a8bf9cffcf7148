// A session and the pool its names, senders and recipients come from: what happens when there is little or nothing left.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/smtp_owner.h"

static const char message[] = "MAIL FROM:<a@foreign.example>\r\nRCPT TO:<b@neulan.net>\r\nDATA\r\n";

// Pools of every small size: each command that finds no block says so, nothing leaks, and nothing is half done.
static void test_session_empty_pool_defers_and_leaks_nothing(void **state)
{
	unsigned completed = 0;

	(void)state;
	for (uint32_t blocks = 1; blocks <= 8; blocks++) {
		struct owner o;
		char hello[200] = "EHLO ";
		const char *said;

		memset(hello + 5, 'a', 150);
		memcpy(hello + 155, "\r\n", 3);
		owner_init(&o, 4096, blocks);
		for (uint32_t taken = blocks; taken > 0; taken--) {
			void *hold = block_pool_take(&o.pool);

			owner_feed_text(&o, hello);
			owner_feed_text(&o, "HELO x\r\n");
			owner_feed_text(&o, message);
			if (o.open)
				owner_feed_text(&o, "text\r\n.\r\n");
			owner_feed_text(&o, "RSET\r\n");
			block_pool_give(&o.pool, hold);
			o.s.errors = 0;
		}
		completed += o.committed;
		said = owner_said(&o);
		assert_int_equal(
			blocks < 3, strstr(said, "452 4.3.1 Not enough resources") != NULL);
		assert_int_equal(o.pool.free_count, o.pool.count);
		owner_free(&o);
	}
	assert_true(completed > 0);
}

// All blocks but so many.
static uint32_t hold_blocks(struct owner *o, void *held[OWNER_BLOCKS], uint32_t left)
{
	uint32_t count = 0;

	while (o->pool.free_count > left)
		held[count++] = block_pool_take(&o->pool);
	return count;
}

static void let_go(struct owner *o, void *held[OWNER_BLOCKS], uint32_t count)
{
	while (count > 0)
		block_pool_give(&o->pool, held[--count]);
}

static bool is_deferred(struct owner *o, const char *text)
{
	o->said.len = 0;
	owner_feed_text(o, text);
	return strncmp(owner_said(o), "452 4.3.1", 9) == 0;
}

// The last eighth of the blocks is for TCP: a name, a sender and recipients take none of it.
static void test_session_envelopes_leave_the_reserve(void **state)
{
	enum { RESERVE = OWNER_BLOCKS / LIMIT_ENVELOPE_RESERVE };
	struct owner o;
	void *held[OWNER_BLOCKS];
	char hello[200] = "EHLO ", rcpt[300] = "RCPT TO:<";
	uint32_t count;

	(void)state;
	owner_init(&o, 4096, OWNER_BLOCKS);
	o.service.limits.recipients = 1000;
	memset(hello + 5, 'a', 150);
	memcpy(hello + 155, "\r\n", 3);
	memset(rcpt + 9, 'b', 60);
	strcpy(rcpt + 69, "@neulan.net>\r\n");
	count = hold_blocks(&o, held, RESERVE);
	assert_true(is_deferred(&o, hello));
	assert_false(is_deferred(&o, "EHLO x\r\n"));
	assert_true(is_deferred(&o, "MAIL FROM:<a@foreign.example>\r\n"));
	let_go(&o, held, count);
	count = hold_blocks(&o, held, RESERVE + 2);
	assert_false(is_deferred(&o, "MAIL FROM:<a@foreign.example>\r\n"));
	assert_false(is_deferred(&o, rcpt));
	assert_int_equal(o.pool.free_count, RESERVE);
	for (int i = 0; i < 1000 && !is_deferred(&o, rcpt); i++)
		assert_int_equal(o.pool.free_count, RESERVE);
	assert_true(is_deferred(&o, rcpt)); // the block of the first ones is full
	let_go(&o, held, count);
	assert_false(is_deferred(&o, rcpt)); // the transaction goes on
	owner_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_empty_pool_defers_and_leaks_nothing),
		cmocka_unit_test(test_session_envelopes_leave_the_reserve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
