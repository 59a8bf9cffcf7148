#include "tcp/tcp_stack.h"

#include <assert.h>

#include "base/limits.h"
#include "tcp/tcp_conn.h"

enum { LINE_OCTETS = 64 };

static size_t round_up(size_t octets)
{
	return (octets + LINE_OCTETS - 1) / LINE_OCTETS * LINE_OCTETS;
}

static size_t slot_octets(const struct tcp_stack_config *config)
{
	return round_up(sizeof(struct tcp_conn) + config->app_octets);
}

static size_t dirty_octets(const struct tcp_stack_config *config)
{
	return round_up(sizeof(uint32_t) * config->conns);
}

size_t tcp_stack_octets(const struct tcp_stack_config *config)
{
	return round_up(sizeof(struct tcp_stack)) + round_up(tcp_table_octets(config->conns)) +
	       slot_octets(config) * config->conns + dirty_octets(config) + TCP_DATA_VIEW +
	       (size_t)config->blocks * LIMIT_BLOCK_OCTETS;
}

// The smallest shift that lets 16 bits show the whole window (RFC 7323 2.3).
static uint8_t scale_for(uint32_t window)
{
	uint8_t scale = 0;

	while (scale < 14 && window >> scale > UINT16_MAX)
		scale++;
	return scale;
}

struct tcp_stack *tcp_stack_init(
	void *memory, const struct tcp_stack_config *config, uint64_t now_us)
{
	struct tcp_stack *stack = memory;
	uint8_t *at = memory;

	assert((uintptr_t)memory % LINE_OCTETS == 0 && config->conns > 0);
	assert(config->mss >= LIMIT_TCP_MSS_MIN);
	stack->config = *config;
	if (config->send_buffer == 0)
		stack->config.send_buffer = TCP_SEND_BUFFER;
	if (config->receive_window == 0)
		stack->config.receive_window = TCP_RECEIVE_WINDOW;
	tcp_key_init(&stack->keys, &config->secret);
	stack->receive_scale = scale_for(stack->config.receive_window);
	stack->slot_octets = slot_octets(config);

	at += round_up(sizeof(*stack));
	tcp_table_init(&stack->table, at, config->conns);
	at += round_up(tcp_table_octets(config->conns));
	stack->slots = at;
	at += stack->slot_octets * config->conns;
	stack->dirty = (uint32_t *)(void *)at;
	at += dirty_octets(config);
	stack->scratch = at;
	at += TCP_DATA_VIEW;
	block_pool_init(&stack->blocks, at, config->blocks);
	timer_wheel_init(&stack->wheel, now_us);
	return stack;
}

struct tcp_conn *tcp_stack_slot(const struct tcp_stack *stack, uint32_t index)
{
	assert(index < stack->config.conns);
	return (struct tcp_conn *)(void *)(stack->slots + stack->slot_octets * index);
}

void tcp_stack_set_cookies(struct tcp_stack *stack, bool always)
{
	stack->cookies_always = always;
}

uint16_t tcp_stack_mss(const struct tcp_stack *stack, const struct ip_addr *local)
{
	uint16_t mss = stack->config.mss;

	return ip_addr_is_v4(local) ? mss : (uint16_t)(mss - 20);
}

const struct tcp_counters *tcp_stack_counters(const struct tcp_stack *stack)
{
	return &stack->counters;
}

struct block_pool *tcp_stack_blocks(struct tcp_stack *stack)
{
	return &stack->blocks;
}

void tcp_stack_link(struct tcp_stack *stack, struct tcp_stack_list *list, struct tcp_conn *conn)
{
	list->count++;
	conn->list_prev = list->last;
	conn->list_next = 0;
	if (list->last != 0)
		tcp_stack_slot(stack, list->last - 1)->list_next = conn->index + 1;
	else
		list->first = conn->index + 1;
	list->last = conn->index + 1;
}

void tcp_stack_unlink(struct tcp_stack *stack, struct tcp_stack_list *list, struct tcp_conn *conn)
{
	list->count--;
	if (conn->list_prev != 0)
		tcp_stack_slot(stack, conn->list_prev - 1)->list_next = conn->list_next;
	else
		list->first = conn->list_next;
	if (conn->list_next != 0)
		tcp_stack_slot(stack, conn->list_next - 1)->list_prev = conn->list_prev;
	else
		list->last = conn->list_prev;
}
