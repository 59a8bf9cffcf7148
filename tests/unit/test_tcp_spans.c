// The list of runs against a plain array that does the same.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tcp/tcp_spans.h"
#include "tcp/tcp_stack.h"

enum { BLOCKS = 40, MOST = 600 };

#define BASE 0xfffff000U // the numbers wrap in the middle

static struct {
	struct tcp_stack *stack;
	uint32_t spans;
	struct tcp_span model[MOST];
	uint32_t count;
	uint64_t random;
} b;

static uint32_t below(uint32_t limit)
{
	b.random = b.random * 6364136223846793005U + 1442695040888963407U;
	return (uint32_t)(b.random >> 33) % limit;
}

static int setup(void **state)
{
	static const struct tcp_app app;
	static const struct tcp_env env;
	struct tcp_stack_config config = {
		.app = &app, .env = &env, .conns = 4, .blocks = BLOCKS, .mss = 1460};
	size_t octets = (tcp_stack_octets(&config) + 63) / 64 * 64;
	void *memory = aligned_alloc(64, octets);

	(void)state;
	memset(&b, 0, sizeof(b));
	memset(memory, 0, octets);
	b.stack = tcp_stack_init(memory, &config, 0);
	b.spans = tcp_spans_open(b.stack, TCP_BLOCK_REPLY);
	assert_int_not_equal(b.spans, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tcp_spans_close(b.stack, b.spans);
	assert_int_equal(tcp_stack_blocks(b.stack)->free_count, BLOCKS);
	free(b.stack);
	return 0;
}

static void must_be_as_the_model(void)
{
	struct tcp_spans_at at = tcp_spans_first(b.stack, b.spans);

	assert_int_equal(tcp_spans_count(b.stack, b.spans), b.count);
	assert_int_equal(
		tcp_spans_blocks(b.stack, b.spans) + tcp_stack_blocks(b.stack)->free_count, BLOCKS);
	for (uint32_t i = 0; i < b.count; i++) {
		assert_int_not_equal(at.block, 0);
		assert_memory_equal(tcp_spans_get(b.stack, at), &b.model[i], sizeof(b.model[0]));
		if (i == b.count - 1) {
			struct tcp_spans_at last = tcp_spans_last(b.stack, b.spans);

			assert_true(last.block == at.block && last.i == at.i);
		}
		at = tcp_spans_next(b.stack, at);
	}
	assert_int_equal(at.block, 0);
	if (b.count == 0)
		assert_int_equal(tcp_spans_last(b.stack, b.spans).block, 0);
}

// The place in the model of the last span that begins at or before seq, counted from 1; 0: none.
static uint32_t model_find(uint32_t seq)
{
	uint32_t i = 0;

	while (i < b.count && (int32_t)(b.model[i].seq - seq) <= 0)
		i++;
	return i;
}

static bool add(uint32_t seq)
{
	struct tcp_span span = {.seq = seq, .end = seq + 1 + below(3), .flags = below(1000)};
	uint32_t at = model_find(seq);

	if (!tcp_spans_add(b.stack, b.spans, &span, TCP_BLOCK_REPLY))
		return false;
	memmove(b.model + at + 1, b.model + at, (b.count - at) * sizeof(span));
	b.model[at] = span;
	b.count++;
	return true;
}

static void remove_at(uint32_t i)
{
	tcp_spans_remove(b.stack, b.spans, tcp_spans_find(b.stack, b.spans, b.model[i].seq));
	b.count--;
	memmove(b.model + i, b.model + i + 1, (b.count - i) * sizeof(b.model[0]));
}

static void test_tcp_spans_queue_holds_no_more_blocks_than_it_needs(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 300; i++)
		assert_true(add(BASE + i * 100));
	assert_int_equal(tcp_spans_blocks(b.stack, b.spans),
		(300 + TCP_SPANS_IN_BLOCK - 1) / TCP_SPANS_IN_BLOCK);
	for (uint32_t i = 300; i < 3000; i++) {
		remove_at(0);
		assert_true(add(BASE + i * 100));
		assert_true(tcp_spans_blocks(b.stack, b.spans) <= 300 / TCP_SPANS_IN_BLOCK + 3);
	}
	must_be_as_the_model();
	while (b.count > 0)
		remove_at(0);
	must_be_as_the_model();
	assert_int_equal(tcp_spans_blocks(b.stack, b.spans), 1);
}

static void one_step(uint32_t keep)
{
	uint32_t seq = BASE + below(20000) * 4, found = model_find(seq);
	struct tcp_spans_at at = tcp_spans_find(b.stack, b.spans, seq);

	assert_int_equal(at.block == 0, found == 0);
	if (found > 0)
		assert_memory_equal(
			tcp_spans_get(b.stack, at), &b.model[found - 1], sizeof(b.model[0]));
	if (b.count > 0 && below(b.count + keep) > keep)
		remove_at(below(b.count));
	else if (b.count < MOST && (found == 0 || b.model[found - 1].seq != seq))
		add(seq);
}

static void test_tcp_spans_random_steps_do_what_an_array_does(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 30000; i++) {
		one_step(i / 3000 % 2 == 0 ? 500 : 20);
		if (i % 50 == 0)
			must_be_as_the_model();
	}
	while (b.count > 0)
		remove_at(below(b.count));
	must_be_as_the_model();
}

static void test_tcp_spans_without_blocks_nothing_changes(void **state)
{
	uint32_t i = 0;

	(void)state;
	while (tcp_stack_blocks(b.stack)->free_count > 0)
		block_pool_take(tcp_stack_blocks(b.stack));
	while (add(BASE + 8 * i))
		i++;
	assert_int_equal(i, TCP_SPANS_IN_BLOCK);
	assert_false(add(BASE + 4));
	for (uint32_t k = 0; k < i; k++)
		assert_memory_equal(
			tcp_spans_get(b.stack, tcp_spans_find(b.stack, b.spans, BASE + 8 * k + 3)),
			&b.model[k], sizeof(b.model[0]));
	// What was taken without a way back.
	free(b.stack);
	setup(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_tcp_spans_queue_holds_no_more_blocks_than_it_needs),
		T(test_tcp_spans_random_steps_do_what_an_array_does),
		T(test_tcp_spans_without_blocks_nothing_changes),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
