#include "net/dad.h"

struct plan {
	uint8_t probes, announcements;
	uint64_t probe_us, announce_us; // after each
};

// IPv6: RFC 4862 5.1 and RFC 4861 7.2.6. IPv4: the counts of RFC 5227 1.1; its pauses are for hosts that wait with the use of
// the address, and an announcement six seconds late would leave a taken-over address at the old machine as long.
static const struct plan plans[] = {
	[false] = {3, 2, 200000, 2000000},
	[true] = {1, 2, 1000000, 1000000},
};

void dad_start(struct dad *dad, bool v6, uint64_t now_us)
{
	*dad = (struct dad){.state = DAD_PROBING, .v6 = v6, .due_us = now_us};
}

static enum dad_effect announce(struct dad *dad, uint64_t now_us)
{
	const struct plan *plan = &plans[dad->v6];

	dad->step++;
	dad->due_us = dad->step < plan->announcements ? now_us + plan->announce_us : UINT64_MAX;
	return DAD_ANNOUNCE;
}

enum dad_effect dad_tick(struct dad *dad, uint64_t now_us)
{
	const struct plan *plan = &plans[dad->v6];

	if (now_us < dad->due_us)
		return DAD_NOTHING;
	if (dad->state != DAD_OWNED && dad->step < plan->probes) {
		dad->step++;
		dad->due_us = now_us + plan->probe_us;
		return DAD_PROBE;
	}
	if (dad->state != DAD_OWNED) {
		dad->state = DAD_OWNED;
		dad->step = 0;
	}
	return announce(dad, now_us);
}

enum dad_effect dad_conflict(struct dad *dad, uint64_t now_us)
{
	if (dad->state == DAD_OWNED) {
		if (dad->defended_us != 0 && now_us - dad->defended_us < DAD_DEFEND_US)
			return DAD_NOTHING;
		dad->defended_us = now_us;
		return DAD_ANNOUNCE;
	}
	dad->state = DAD_TAKEN;
	dad->step = 0;
	dad->due_us = now_us + DAD_RETRY_US;
	return DAD_NOTHING;
}
