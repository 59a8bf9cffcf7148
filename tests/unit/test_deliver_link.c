// Edge's end of the channel against a deliverer played here, on a real seqpacket pair and loop.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "control/deliver_link.h"

struct stage {
	uv_loop_t loop;
	struct deliver_link *link;
	int peer;
	uint64_t segment;    // written now
	uint64_t done, seen; // last SEGMENT_DONE
	unsigned injects, answers;
	char answer[256], why[128];
	uint64_t room[CHANNEL_RECORD_MAX / 8];
};

static uint64_t segment_now(void *user)
{
	return ((struct stage *)user)->segment;
}

static void on_done(void *user, uint64_t segment, uint64_t seen)
{
	struct stage *s = user;

	s->done = segment;
	s->seen = seen;
}

static void on_inject(void *user, const struct channel_record *record)
{
	struct stage *s = user;

	s->injects++;
	assert_memory_equal(record->data, "dsn", record->octets);
}

static void on_answer(void *user, const char *text, size_t octets, const char *why)
{
	struct stage *s = user;

	s->answers++;
	snprintf(s->answer, sizeof(s->answer), "%.*s", (int)octets, text == NULL ? "" : text);
	snprintf(s->why, sizeof(s->why), "%s", why == NULL ? "" : why);
}

static void turn(struct stage *s)
{
	for (int i = 0; i < 5; i++)
		uv_run(&s->loop, UV_RUN_NOWAIT);
}

static void attach(struct stage *s)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	if (s->peer >= 0)
		close(s->peer);
	s->peer = pair[1];
	deliver_link_attach(s->link, pair[0]);
}

static void begin(struct stage *s)
{
	const struct deliver_link_events events = {
		.segment_done = on_done, .segment = segment_now, .inject = on_inject, .user = s};

	memset(s, 0, sizeof(*s));
	s->peer = -1;
	s->segment = 3;
	uv_loop_init(&s->loop);
	s->link = deliver_link_new(&s->loop, &events);
	assert_non_null(s->link);
	attach(s);
}

static void end(struct stage *s)
{
	deliver_link_free(s->link);
	turn(s);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	close(s->peer);
}

// The next record the deliverer gets; kind 0: none.
static const struct channel_record *heard(struct stage *s)
{
	static const struct channel_record none;
	struct channel_record *record = (struct channel_record *)(void *)s->room;

	return channel_receive(s->peer, record) == ERR_OK ? record : &none;
}

static void say(struct stage *s, const struct channel_record *record, const char *data)
{
	assert_int_equal(channel_send(s->peer, record, data), ERR_OK);
	turn(s);
}

static void test_deliver_link_new_channel_starts_with_sync(void **state)
{
	struct stage s;
	const struct channel_record *r;

	(void)state;
	begin(&s);
	deliver_link_committed(s.link, 7, 3, 4096);
	r = heard(&s);
	assert_int_equal(r->kind, CHANNEL_SYNC);
	assert_int_equal(r->segment, 3);
	r = heard(&s);
	assert_true(r->kind == CHANNEL_COMMITTED && r->message_id == 7 && r->offset == 4096);
	s.segment = 4;
	attach(&s); // the deliverer was restarted
	r = heard(&s);
	assert_true(r->kind == CHANNEL_SYNC && r->segment == 4);
	assert_int_equal(heard(&s)->kind, 0);
	end(&s);
}

static void test_deliver_link_events_reach_their_owner(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	say(&s, &(struct channel_record){.kind = CHANNEL_SEGMENT_DONE, .segment = 2, .token = 3},
		NULL);
	assert_true(s.done == 2 && s.seen == 3);
	say(&s, &(struct channel_record){.kind = CHANNEL_INJECT, .octets = 3}, "dsn");
	assert_int_equal(s.injects, 1);
	// Edge's own kinds mean nothing from that side.
	say(&s, &(struct channel_record){.kind = CHANNEL_COMMITTED}, NULL);
	assert_true(deliver_link_is_up(s.link));
	end(&s);
}

static void test_deliver_link_answer_in_parts_is_put_together(void **state)
{
	struct stage s;
	const struct channel_record *r;
	uint64_t token;

	(void)state;
	begin(&s);
	heard(&s); // SYNC
	assert_true(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	r = heard(&s);
	assert_true(r->kind == CHANNEL_QUEUE_ASK && r->octets == 2);
	token = r->token;
	say(&s,
		&(struct channel_record){.kind = CHANNEL_QUEUE_ANSWER,
			.token = token,
			.flags = CHANNEL_MORE,
			.octets = 3},
		"one");
	assert_int_equal(s.answers, 0);
	say(&s,
		&(struct channel_record){
			.kind = CHANNEL_QUEUE_ANSWER, .token = token + 1, .octets = 2},
		"no"); // of a question nobody asked
	say(&s, &(struct channel_record){.kind = CHANNEL_QUEUE_ANSWER, .token = token, .octets = 3},
		"two");
	assert_int_equal(s.answers, 1);
	assert_string_equal(s.answer, "onetwo");
	end(&s);
	assert_int_equal(s.answers, 1);
}

static void test_deliver_link_lost_channel_answers_with_a_reason(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	assert_true(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	close(s.peer);
	s.peer = -1;
	turn(&s);
	assert_int_equal(s.answers, 1);
	assert_string_equal(s.why, "postern-deliver went away");
	assert_false(deliver_link_is_up(s.link));
	assert_false(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	deliver_link_committed(s.link, 1, 1, 1); // goes nowhere, and is found by the scan
	attach(&s);
	assert_int_equal(heard(&s)->kind, CHANNEL_SYNC);
	end(&s);
}

static void test_deliver_link_questions_are_bounded(void **state)
{
	struct stage s;
	static char longer[CHANNEL_DATA_MAX + 1];

	(void)state;
	begin(&s);
	assert_false(deliver_link_ask(s.link, longer, sizeof(longer), on_answer, &s));
	for (int i = 0; i < DELIVER_LINK_ASKS; i++)
		assert_true(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	assert_false(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	deliver_link_forget(s.link, &s);
	assert_true(deliver_link_ask(s.link, "{}", 2, on_answer, &s));
	end(&s);
	assert_int_equal(s.answers, 1); // the forgotten ones stay silent
}

// A deliverer that reads nothing: memory is bounded, answers to its own questions are kept, and a scan replaces the rest.
static void test_deliver_link_overflow_ends_in_a_scan(void **state)
{
	struct stage s;
	unsigned syncs = 0, injected = 0, total = 0;
	bool scans = false; // after the last COMMITTED
	uint64_t last = 0;

	(void)state;
	begin(&s);
	deliver_link_injected(s.link, 5, 55, 0);
	for (uint64_t id = 1; id <= 3 * DELIVER_LINK_QUEUE; id++) {
		deliver_link_committed(s.link, id, 3, id);
		if (id == DELIVER_LINK_QUEUE / 2)
			deliver_link_injected(s.link, 7, 77, 0);
	}
	deliver_link_injected(s.link, 6, 66, 0);
	for (;;) {
		const struct channel_record *r = heard(&s);

		if (r->kind == 0) {
			turn(&s);
			r = heard(&s);
		}
		if (r->kind == 0)
			break;
		total++;
		syncs += r->kind == CHANNEL_SYNC ? 1 : 0;
		scans = scans || r->kind == CHANNEL_SYNC;
		injected += r->kind == CHANNEL_INJECTED ? 1 : 0;
		if (r->kind != CHANNEL_COMMITTED)
			continue;
		// What is missing between two commits is covered by a SYNC read before the later one.
		if (r->message_id != last + 1)
			assert_true(syncs >= 2);
		scans = false;
		last = r->message_id;
	}
	assert_true(syncs >= 2);
	assert_int_equal(injected, 3);
	assert_true(total < 3 * DELIVER_LINK_QUEUE);
	assert_true(last == 3 * DELIVER_LINK_QUEUE || scans);
	end(&s);
}

static void test_deliver_link_resync_asks_for_a_scan(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	assert_int_equal(heard(&s)->kind, CHANNEL_SYNC);
	deliver_link_resync(s.link);
	assert_int_equal(heard(&s)->kind, CHANNEL_SYNC);
	end(&s);
}

static void test_deliver_link_nonsense_closes_the_channel(void **state)
{
	struct stage s;

	(void)state;
	begin(&s);
	assert_int_equal(send(s.peer, "x", 1, 0), 1);
	turn(&s);
	assert_false(deliver_link_is_up(s.link));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deliver_link_new_channel_starts_with_sync),
		cmocka_unit_test(test_deliver_link_events_reach_their_owner),
		cmocka_unit_test(test_deliver_link_answer_in_parts_is_put_together),
		cmocka_unit_test(test_deliver_link_lost_channel_answers_with_a_reason),
		cmocka_unit_test(test_deliver_link_questions_are_bounded),
		cmocka_unit_test(test_deliver_link_overflow_ends_in_a_scan),
		cmocka_unit_test(test_deliver_link_resync_asks_for_a_scan),
		cmocka_unit_test(test_deliver_link_nonsense_closes_the_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
