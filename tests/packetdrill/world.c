#include "world.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sock.h"

enum {
	CONNS = 256,
	BLOCKS = 16384,
	SEND_BUFFER = 8 << 20, // what a socket may have is bounded by SO_SNDBUF
	TIMERS = 100000,
	HEADERS_V4 = 40,
};
#define BEGIN_US 1000000000000ULL // some time after 1970, so that no time is 0

struct world *world_make(const char *flags)
{
	struct world *world = calloc(1, sizeof(*world));

	assert(world != NULL);
	pthread_mutex_init(&world->lock, NULL);
	world->owner = pthread_self();
	world->owner_tid = gettid();
	world->flags = flags != NULL ? strdup(flags) : NULL;
	world->now_us = BEGIN_US;
	world->next_port = 32768;
	settings_init(&world->settings, world->flags);
	return world;
}

static uint8_t ecn_of(const struct settings *settings)
{
	if (settings->ecn == 0)
		return TCP_ECN_NEVER;
	return settings->ecn == 1 ? TCP_ECN_ASKED : TCP_ECN_ANSWERED;
}

void world_begin(struct world *world)
{
	const struct settings *settings = &world->settings;

	if (world->stack != NULL)
		return;
	settings_read_sysctls(&world->settings, world->flags);

	struct tcp_stack_config config = {.app = &sock_app,
		.env = &wire_env,
		.user = world,
		.conns = CONNS,
		.blocks = BLOCKS,
		.mss = (uint16_t)(settings->mtu - HEADERS_V4),
		.send_buffer = SEND_BUFFER,
		.receive_window = settings->rcvbuf_most,
		.app_octets = sizeof(struct sock *),
		.ecn = ecn_of(settings),
		.reset_late_data = true,
		.secret = {0x706f737465726e21, 0x7061636b64726c6c}};
	size_t octets = (tcp_stack_octets(&config) + 63) / 64 * 64;

	world->memory = aligned_alloc(64, octets);
	assert(world->memory != NULL);
	memset(world->memory, 0, octets);
	world->stack = tcp_stack_init(world->memory, &config, world->now_us);
	tcp_stack_set_cookies(world->stack, settings->syncookies == 2);
}

void world_free(struct world *world)
{
	sock_free_all(world);
	wire_free(&world->wire);
	free(world->memory);
	free((char *)(uintptr_t)world->flags);
	pthread_mutex_destroy(&world->lock);
	free(world);
}

void world_flush(struct world *world)
{
	if (world->stack == NULL)
		return;
	tcp_flush(world->stack, world->now_us);
	sock_give_up(world);
}

void world_settle(struct world *world)
{
	uint64_t sent;

	do {
		sent = world->wire.sent;
		world_flush(world);
		call_settle(world);
	} while (world->wire.sent != sent);
}

// When something happens next; until_us: nothing before that.
static uint64_t next_event_us(const struct world *world, uint64_t until_us)
{
	uint64_t next_us = until_us, due_us = call_next_us(world);

	if (world->stack != NULL)
		next_us = tcp_next_timer_us(world->stack, world->now_us, until_us - world->now_us);
	return due_us != 0 && due_us < next_us ? due_us : next_us;
}

bool world_step_if_any(struct world *world)
{
	uint64_t until_us = world->now_us + WORLD_FOR_EVER_US;

	return next_event_us(world, until_us) < until_us && world_step(world, until_us);
}

bool world_step(struct world *world, uint64_t until_us)
{
	uint64_t next_us = next_event_us(world, until_us), due_us = call_next_us(world);

	if (next_us <= world->now_us)
		next_us = world->now_us + 1;
	world->now_us = next_us;
	if (world->stack != NULL)
		tcp_timers(world->stack, world->now_us, TIMERS);
	world_settle(world);
	return next_us < until_us || due_us == until_us;
}

void world_run(struct world *world, uint64_t until_us)
{
	while (world->now_us < until_us)
		world_step(world, until_us);
}
