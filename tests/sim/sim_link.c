#include "sim/sim_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

uint64_t sim_link_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

void sim_link_init(struct sim_link *link, const struct sim_link_config *config)
{
	*link = (struct sim_link){
		.config = *config, .random = config->seed * 2 + 0x9e3779b97f4a7c15};
}

void sim_link_free(struct sim_link *link)
{
	for (uint32_t i = 0; i < link->count; i++)
		free(link->heap[i].octets);
	free(link->heap);
}

static bool is_earlier(const struct sim_packet *a, const struct sim_packet *b)
{
	return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void swap(struct sim_packet *a, struct sim_packet *b)
{
	struct sim_packet keep = *a;

	*a = *b;
	*b = keep;
}

static void push(struct sim_link *link, const struct sim_packet *p)
{
	if (link->count == link->room) {
		link->room = link->room * 2 + 64;
		link->heap = realloc(link->heap, link->room * sizeof(*link->heap));
		assert(link->heap != NULL);
	}
	link->heap[link->count] = *p;
	for (uint32_t i = link->count++; i > 0; i = (i - 1) / 2) {
		if (!is_earlier(&link->heap[i], &link->heap[(i - 1) / 2]))
			break;
		swap(&link->heap[i], &link->heap[(i - 1) / 2]);
	}
}

static bool chance(struct sim_link *link, uint32_t percent)
{
	return (sim_link_random(&link->random) >> 20) % 100 < percent;
}

static uint64_t below(struct sim_link *link, uint32_t limit)
{
	return limit == 0 ? 0 : (sim_link_random(&link->random) >> 20) % limit;
}

static void send_one(struct sim_link *link, const struct segment *s, int to, uint64_t now_us)
{
	struct sim_packet p = {.segment = *s, .to = to, .order = link->order++};
	size_t at = 0;

	p.octets = malloc(s->payload_octets + 1);
	assert(p.octets != NULL);
	for (uint8_t i = 0; i < s->part_count; i++) {
		memcpy(p.octets + at, s->parts[i].at, s->parts[i].len);
		at += s->parts[i].len;
	}
	assert(at == s->payload_octets);
	p.segment.part_count = at > 0;
	p.segment.parts[0] = (struct slice){p.octets, at};
	p.due_us = now_us + link->config.delay_us + below(link, link->config.jitter_us);
	if (chance(link, link->config.reorder_pct))
		p.due_us += link->config.reorder_us;
	push(link, &p);
}

void sim_link_send(struct sim_link *link, const struct segment *s, int to, uint64_t now_us)
{
	link->sent++;
	if (chance(link, link->config.loss_pct)) {
		link->lost++;
		return;
	}
	send_one(link, s, to, now_us);
	if (chance(link, link->config.duplicate_pct))
		send_one(link, s, to, now_us);
}

uint64_t sim_link_next_us(const struct sim_link *link)
{
	return link->count == 0 ? UINT64_MAX : link->heap[0].due_us;
}

bool sim_link_receive(struct sim_link *link, uint64_t now_us, struct sim_packet *out)
{
	if (link->count == 0 || link->heap[0].due_us > now_us)
		return false;
	*out = link->heap[0];
	link->heap[0] = link->heap[--link->count];
	for (uint32_t i = 0;;) {
		uint32_t least = i;

		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2 && k < link->count; k++)
			if (is_earlier(&link->heap[k], &link->heap[least]))
				least = k;
		if (least == i)
			return true;
		swap(&link->heap[i], &link->heap[least]);
		i = least;
	}
}
