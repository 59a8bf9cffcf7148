#include "sim/sim_link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sim/sim_router.h"

enum { PPM = 1000000 };

// What is decided about a frame; each for itself, so that one setting does not shift what another does.
enum purpose { LOSS, DUPLICATE, CORRUPT, CORRUPT_WHERE, REORDER, JITTER };

uint64_t sim_link_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1d;
}

void sim_link_init(struct sim_link *link, const struct sim_link_config *config)
{
	*link = (struct sim_link){.config = *config};
}

void sim_link_free(struct sim_link *link)
{
	for (uint32_t i = 0; i < link->count; i++)
		free(link->heap[i].frame);
	free(link->heap);
	link->heap = NULL;
	link->count = 0;
}

// ---- Chance

// Of the seed, the direction, the frame's number and the purpose (splitmix64).
static uint64_t dice(const struct sim_link *link, int to, enum purpose purpose, uint64_t salt)
{
	uint64_t x = link->config.seed * 0x9e3779b97f4a7c15U +
		     link->ways[to].number * 0xd1342543de82ef95U +
		     ((uint64_t)purpose * 2 + (uint64_t)to + salt * 64 + 1) * 0xbf58476d1ce4e5b9U;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
	x = (x ^ x >> 27) * 0x94d049bb133111ebU;
	return x ^ x >> 31;
}

static bool happens(const struct sim_link *link, int to, enum purpose purpose, uint32_t ppm)
{
	return dice(link, to, purpose, 0) % PPM < ppm;
}

// ---- The heap

static bool is_earlier(const struct sim_link_packet *a, const struct sim_link_packet *b)
{
	return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void swap(struct sim_link_packet *a, struct sim_link_packet *b)
{
	struct sim_link_packet keep = *a;

	*a = *b;
	*b = keep;
}

static void push(struct sim_link *link, const struct sim_link_packet *p)
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

uint64_t sim_link_next_us(const struct sim_link *link)
{
	return link->count == 0 ? UINT64_MAX : link->heap[0].due_us;
}

bool sim_link_receive(struct sim_link *link, uint64_t now_us, struct sim_link_packet *out)
{
	if (link->count == 0 || link->heap[0].due_us > now_us)
		return false;
	*out = link->heap[0];
	link->counters.arrived++;
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

// ---- What befalls a frame

static void corrupt(struct sim_link *link, int to, uint8_t *frame, uint32_t octets)
{
	uint64_t where = dice(link, to, CORRUPT_WHERE, 0);

	if (octets <= SIM_ROUTER_ETHER_OCTETS ||
		!happens(link, to, CORRUPT, link->config.corrupt_ppm))
		return;
	frame[SIM_ROUTER_ETHER_OCTETS + where % (octets - SIM_ROUTER_ETHER_OCTETS)] ^=
		(uint8_t)(1 + (where >> 40) % UINT8_MAX);
	link->counters.corrupted++;
}

// Octets that wait in the queue to `to`.
static uint64_t backlog(const struct sim_link *link, int to, uint64_t now_us)
{
	uint64_t free_us = link->ways[to].free_us;

	return free_us > now_us ? (free_us - now_us) * link->config.kbit_s / 8000 : 0;
}

// When the last bit of so many octets has left the queue.
static uint64_t leave_us(struct sim_link *link, int to, uint32_t octets, uint64_t now_us)
{
	struct sim_link_way *way = &link->ways[to];
	uint64_t
		thousandths; // bits * 1000 / kbit_s is microseconds; what is left over waits for the next frame

	if (link->config.kbit_s == 0)
		return now_us;
	if (way->free_us < now_us) {
		way->free_us = now_us;
		way->credit_bits = 0;
	}
	thousandths = (uint64_t)octets * 8000 + way->credit_bits;
	way->free_us += thousandths / link->config.kbit_s;
	way->credit_bits = thousandths % link->config.kbit_s;
	return way->free_us;
}

static void carry(struct sim_link *link, struct sim_link_packet p, uint64_t now_us)
{
	const struct sim_link_config *config = &link->config;
	uint64_t waiting = backlog(link, p.to, now_us);

	if (config->queue_octets != 0 && waiting + p.octets > config->queue_octets) {
		link->counters.overflowed++;
		free(p.frame);
		return;
	}
	if (config->mark_octets != 0 && waiting >= config->mark_octets &&
		sim_router_mark(p.frame, p.octets))
		link->counters.marked++;
	p.due_us = leave_us(link, p.to, p.octets, now_us) + config->delay_us;
	if (config->jitter_us > 0)
		p.due_us += dice(link, p.to, JITTER, p.order) % config->jitter_us;
	if (happens(link, p.to, REORDER, config->reorder_ppm))
		p.due_us += config->reorder_us;
	push(link, &p);
}

static struct sim_link_packet copy_of(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to)
{
	struct sim_link_packet p = {
		.frame = malloc(octets), .octets = octets, .to = to, .order = link->order++};

	assert(p.frame != NULL);
	memcpy(p.frame, frame, octets);
	return p;
}

// A router says so, half way.
static void tell(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to, uint64_t now_us)
{
	uint8_t said[SIM_ROUTER_TOLD_MAX];
	uint32_t said_octets = sim_router_too_big(frame, octets, link->config.mtu, said);

	if (said_octets == 0)
		return;
	struct sim_link_packet p = copy_of(link, said, said_octets, !to);

	p.due_us = now_us + link->config.delay_us;
	link->counters.told++;
	push(link, &p);
}

void sim_link_pass(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to, uint64_t now_us)
{
	struct sim_link_packet p = copy_of(link, frame, octets, to);

	p.due_us = now_us + link->config.delay_us;
	link->counters.sent++;
	push(link, &p);
}

void sim_link_send(
	struct sim_link *link, const uint8_t *frame, uint32_t octets, int to, uint64_t now_us)
{
	const struct sim_link_config *config = &link->config;
	struct sim_link_packet p;

	link->counters.sent++;
	link->ways[to].number++;
	if (happens(link, to, LOSS, config->loss_ppm)) {
		link->counters.lost++;
		return;
	}
	if (config->mtu != 0 && octets > config->mtu + SIM_ROUTER_ETHER_OCTETS) {
		link->counters.too_big++;
		if (config->mtu_is_told)
			tell(link, frame, octets, to, now_us);
		return;
	}
	p = copy_of(link, frame, octets, to);
	corrupt(link, to, p.frame, octets);
	carry(link, p, now_us);
	if (!happens(link, to, DUPLICATE, config->duplicate_ppm))
		return;
	link->counters.doubled++;
	carry(link, copy_of(link, frame, octets, to), now_us);
}
