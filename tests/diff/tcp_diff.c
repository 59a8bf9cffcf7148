// tcp_diff - the same segments and calls to the Linux kernel and to our stack, and what both answer, held against each other.
// See README.md.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "diff/diff_kernel.h"
#include "diff/diff_opening.h"
#include "diff/diff_ours.h"
#include "diff/diff_random.h"
#include "diff/diff_rule.h"

enum {
	STEPS = 40,
	SKIPPED = 77,
	DIFFERING_MOST = 20,
	SLOW_MS = 300, // a sequence that took longer has met the kernel's timers
};

static struct {
	struct diff_step steps[DIFF_OPENING_STEPS];
	struct diff_outcome kernel, ours;
	uint64_t sequences, compared, differing, slow;
	int64_t begun_ms;
	uint64_t explained[DIFF_RULE_MAX];
} t;

static void show(const char *name, bool v6, uint32_t count)
{
	char text[DIALOG_SEGMENT_TEXT], line[DIFF_TEXT];

	printf("%s (%s) differs at its last step:\n", name, v6 ? "v6" : "v4");
	for (uint32_t i = 0; i < count; i++)
		printf("  %s\n", diff_step_print(&t.steps[i], text));
	printf("  kernel: %s\n", diff_outcome_print(&t.kernel, line));
	printf("  ours:   %s\n", diff_outcome_print(&t.ours, line));
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// True: go on. The last of count steps has been played on both sides.
static bool compare(const char *name, bool v6, uint32_t count)
{
	t.compared++;
	if (diff_outcome_eq(&t.kernel, &t.ours))
		return true;

	if (now_ms() - t.begun_ms > SLOW_MS) {
		t.slow++;
		return false;
	}

	int rule = diff_rule_of(t.steps, count, &t.kernel, &t.ours);

	if (rule >= 0) {
		t.explained[rule]++;
		return false;
	}
	t.differing++;
	show(name, v6, count);
	return false;
}

static void play(const struct diff_step *step)
{
	diff_kernel_play(step, &t.kernel);
	diff_ours_play(step, &t.ours);
}

static void begin(const char *name, bool v6)
{
	t.sequences++;
	t.begun_ms = now_ms();
	diff_kernel_begin(v6);
	diff_ours_begin(name, v6);
}

static void end(void)
{
	diff_kernel_end();
	diff_ours_end();
}

static void run_opening(const char *path, bool v6)
{
	uint32_t count = diff_opening_read(path, v6, t.steps);

	if (count == 0)
		return;
	begin(path, v6);
	for (uint32_t i = 0; i < count; i++) {
		play(&t.steps[i]);
		if (!compare(path, v6, i + 1))
			break;
	}
	end();
}

static void run_random(uint64_t seed)
{
	struct diff_random r;
	char name[32];
	bool v6 = (seed & 1) != 0;

	snprintf(name, sizeof(name), "seed %llu", (unsigned long long)seed);
	diff_random_begin(&r, seed);
	begin(name, v6);
	for (uint32_t i = 0; i < STEPS; i++) {
		diff_random_step(&r, &t.steps[i]);
		play(&t.steps[i]);
		if (!compare(name, v6, i + 1))
			break;
		diff_random_hear(&r, &t.kernel);
	}
	end();
}

static int usage(void)
{
	fprintf(stderr, "usage: tcp_diff [--seconds N] [--seed N] [DIALOGUE...]\n"
			"--seconds: random sequences for so long (2); --seed: the first of them, "
			"and the only one with "
			"--seconds 0.\n");
	return 2;
}

static int report(void)
{
	for (int i = 0; i < diff_rule_count(); i++)
		if (t.explained[i] > 0)
			printf("explained %8llu  %s\n", (unsigned long long)t.explained[i],
				diff_rule_text(i));
	printf("%llu sequences (%llu too slow to count), %llu steps compared, %llu differ\n",
		(unsigned long long)t.sequences, (unsigned long long)t.slow,
		(unsigned long long)t.compared, (unsigned long long)t.differing);
	return t.differing != 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	long seconds = 2;
	int arg = 1;

	for (; arg + 1 < argc && strncmp(argv[arg], "--", 2) == 0; arg += 2) {
		if (strcmp(argv[arg], "--seconds") == 0)
			seconds = strtol(argv[arg + 1], NULL, 10);
		else if (strcmp(argv[arg], "--seed") == 0)
			seed = strtoull(argv[arg + 1], NULL, 10);
		else
			return usage();
	}
	if (arg < argc && argv[arg][0] == '-')
		return usage();
	if (!diff_kernel_init())
		return SKIPPED;
	for (; arg < argc; arg++) {
		run_opening(argv[arg], false);
		run_opening(argv[arg], true);
	}

	int64_t end_ms = now_ms() + seconds * 1000;

	do
		run_random(seed++);
	while (now_ms() < end_ms && t.differing < DIFFERING_MOST);
	return report();
}
