// sim_link.h - a wire between two TCP stacks in virtual time: delay, jitter, loss, reordering, duplication,
// all of one seed.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/segment.h"

struct sim_link_config {
	uint64_t seed;
	uint32_t delay_us, jitter_us; // each way
	uint32_t loss_pct, duplicate_pct;
	uint32_t reorder_pct, reorder_us; // so many are late by so much
};

struct sim_packet {
	struct segment segment;
	uint8_t *octets;
	uint64_t due_us, order;
	int to; // host 0 or 1
};

struct sim_link {
	struct sim_link_config config;
	uint64_t random, order;
	struct sim_packet *heap; // earliest first
	uint32_t count, room;
	uint64_t sent, lost;
};

// xorshift64*; one per purpose, so that a change in one does not shift the others.
uint64_t sim_link_random(uint64_t *state);

void sim_link_init(struct sim_link *link, const struct sim_link_config *config);
void sim_link_free(struct sim_link *link);

// A copy of s with its octets gathered leaves for host to.
void sim_link_send(struct sim_link *link, const struct segment *s, int to, uint64_t now_us);

// UINT64_MAX: nothing is on its way.
uint64_t sim_link_next_us(const struct sim_link *link);

// The earliest packet, if it is due. The caller frees out->octets.
bool sim_link_receive(struct sim_link *link, uint64_t now_us, struct sim_packet *out);
