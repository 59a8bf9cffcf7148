#include "load_tell.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_html.h"

enum {
	SECOND_NS = 1000000000,
	US_NS = 1000,
};

static void remember(struct load_tell *tell, struct load_second second)
{
	if (tell->second_count == tell->second_room) {
		const uint32_t room = tell->second_room * 2 + 64;
		struct load_second *more = realloc(tell->seconds, room * sizeof(*more));

		if (more == NULL)
			return;
		tell->seconds = more;
		tell->second_room = room;
	}
	tell->seconds[tell->second_count++] = second;
}

void load_tell_progress(struct load_tell *tell, const struct load_result *now, uint64_t now_ns)
{
	const struct load_counters *c = &now->count;
	struct load_second s = {c->mails - tell->mails, c->ready - tell->sessions,
		c->refused - tell->refused, now->open};

	if (tell->told_ns == 0)
		tell->told_ns = now_ns;
	if (now_ns - tell->told_ns < SECOND_NS)
		return;
	tell->told_ns += SECOND_NS;
	tell->mails = c->mails;
	tell->sessions = c->ready;
	tell->refused = c->refused;
	remember(tell, s);
	if (!tell->plan->quiet)
		fprintf(stderr,
			"%5us  mails/s %8llu  sessions/s %7llu  refused/s %7llu  open %7u  failed "
			"%llu  syn-answers %llu\n",
			tell->second_count, (unsigned long long)s.mails,
			(unsigned long long)s.sessions, (unsigned long long)s.refused, s.open,
			(unsigned long long)c->failed + c->timed_out,
			(unsigned long long)c->syn_answers);
}

void load_tell_keep(struct load_tell *tell, const struct load_result *end)
{
	tell->result = *end;
}

static double seconds_of(const struct load_result *r)
{
	return (double)(r->ended_ns - r->started_ns) / SECOND_NS;
}

static json_t *phase_json(const struct load_histogram *h)
{
	static const struct {
		const char *key;
		double part;
	} parts[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
	json_t *out = json_object();

	json_object_set_new(out, "count", json_integer((json_int_t)h->count));
	json_object_set_new(out, "least_us", json_real((double)h->least / US_NS));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		char key[16];

		snprintf(key, sizeof(key), "%s_us", parts[i].key);
		json_object_set_new(
			out, key, json_real((double)load_histogram_at(h, parts[i].part) / US_NS));
	}
	json_object_set_new(out, "most_us", json_real((double)h->most / US_NS));
	return out;
}

static json_t *replies_json(const struct load_counters *c)
{
	json_t *out = json_object();

	for (unsigned code = 0; code < 600; code++) {
		char key[8];

		snprintf(key, sizeof(key), "%u", code);
		if (c->codes[code] > 0)
			json_object_set_new(out, key, json_integer((json_int_t)c->codes[code]));
	}
	return out;
}

static json_t *result_json(const struct load_tell *tell)
{
	const struct load_result *r = &tell->result;
	const struct load_counters *c = &r->count;
	const double s = seconds_of(r);
	json_t *out = json_pack("{s:s, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"kind", load_plan_kind(tell->plan->kind), "seconds", s, "opened",
		(json_int_t)c->opened, "sessions", (json_int_t)c->ready, "open_most",
		(json_int_t)r->open_most, "mails", (json_int_t)c->mails, "octets",
		(json_int_t)c->octets, "refused", (json_int_t)c->refused, "failed",
		(json_int_t)c->failed, "timed_out", (json_int_t)c->timed_out, "late",
		(json_int_t)c->late, "syns", (json_int_t)c->syns, "syn_answers",
		(json_int_t)c->syn_answers);
	json_t *phases = json_object();

	json_object_set_new(out, "mails_per_s", json_real(s > 0 ? (double)c->mails / s : 0));
	json_object_set_new(out, "sessions_per_s", json_real(s > 0 ? (double)c->ready / s : 0));
	json_object_set_new(out, "refused_per_s", json_real(s > 0 ? (double)c->refused / s : 0));
	json_object_set_new(out, "replies", replies_json(c));
	for (unsigned i = 0; i < LOAD_PHASE_COUNT; i++)
		json_object_set_new(
			phases, load_session_phase((enum load_phase)i), phase_json(&r->phases[i]));
	json_object_set_new(out, "latency", phases);
	return out;
}

static void print_table(const struct load_tell *tell)
{
	const struct load_result *r = &tell->result;
	const struct load_counters *c = &r->count;
	const double s = seconds_of(r) > 0 ? seconds_of(r) : 1;

	printf("%s for %.2f s: %llu sessions (%.0f/s), %llu mails (%.0f/s, %.1f Mbit/s), %llu "
	       "refused (%.0f/s), %llu failed, %llu timed out, %llu late\n",
		load_plan_kind(tell->plan->kind), seconds_of(r), (unsigned long long)c->ready,
		(double)c->ready / s, (unsigned long long)c->mails, (double)c->mails / s,
		(double)c->octets * 8 / s / 1e6, (unsigned long long)c->refused,
		(double)c->refused / s, (unsigned long long)c->failed,
		(unsigned long long)c->timed_out, (unsigned long long)c->late);
	if (tell->plan->kind == LOAD_SYN_FLOOD)
		printf("%llu SYNs sent (%.0f/s), %llu answered\n", (unsigned long long)c->syns,
			(double)c->syns / s, (unsigned long long)c->syn_answers);
	for (unsigned code = 0; code < 600; code++) {
		if (c->codes[code] > 0)
			printf("  refused with %u: %llu\n", code,
				(unsigned long long)c->codes[code]);
	}
	printf("%-12s %10s %10s %10s %10s %10s\n", "us", "p50", "p90", "p99", "p99.9", "most");
	for (unsigned i = 0; i < LOAD_PHASE_COUNT; i++) {
		const struct load_histogram *h = &r->phases[i];

		if (h->count > 0)
			printf("%-12s %10.1f %10.1f %10.1f %10.1f %10.1f\n",
				load_session_phase((enum load_phase)i),
				(double)load_histogram_at(h, 0.5) / US_NS,
				(double)load_histogram_at(h, 0.9) / US_NS,
				(double)load_histogram_at(h, 0.99) / US_NS,
				(double)load_histogram_at(h, 0.999) / US_NS,
				(double)h->most / US_NS);
	}
}

static bool did_something(const struct load_tell *tell)
{
	const struct load_counters *c = &tell->result.count;

	switch (tell->plan->kind) {
	case LOAD_MAILS:
		return c->mails > 0;
	case LOAD_REFUSED:
		return c->refused > 0;
	case LOAD_SYN_FLOOD:
		return c->syns > 0;
	case LOAD_SESSIONS:
	case LOAD_IDLE:
	case LOAD_KIND_COUNT:
		break;
	}
	return c->ready > 0;
}

int load_tell_end(struct load_tell *tell)
{
	const struct load_counters *c = &tell->result.count;
	json_t *json = result_json(tell);
	bool good = did_something(tell) && c->failed + c->timed_out == 0;

	if (tell->plan->json) {
		json_dumpf(json, stdout, JSON_INDENT(1));
		putchar('\n');
	} else {
		print_table(tell);
	}
	if (tell->plan->html != NULL && !load_html_write(tell, json, tell->plan->html))
		good = false;
	json_decref(json);
	free(tell->seconds);
	return good ? 0 : 1;
}
