#include "tcp/tcp_conn.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "tcp/tcp_recv.h"
#include "tcp/tcp_send.h"
#include "tcp/tcp_stack.h"
#include "tcp/tcp_time_wait.h"
#include "tcp/tcp_timer.h"

_Static_assert(
	sizeof(struct tcp_conn) == 256, "four cache lines: an idle session has to fit in 512");
_Static_assert(offsetof(struct tcp_conn, rcv_adv) == 64, "second line");
_Static_assert(offsetof(struct tcp_conn, timer) + offsetof(struct timer, due_us) + 8 == 128,
	"what a segment in order touches is two lines");
_Static_assert(offsetof(struct tcp_conn, due_us) + 8 == 192, "what we send is the third line");

static uint32_t take_index(struct tcp_stack *stack)
{
	if (stack->free.first == 0)
		return stack->unused++;

	struct tcp_conn *conn = tcp_stack_slot(stack, stack->free.first - 1);

	stack->free.first = conn->list_next;
	return conn->index;
}

bool tcp_conn_has_free(const struct tcp_stack *stack)
{
	return stack->free.first != 0 || stack->unused < stack->config.conns;
}

// A slot may die and be born again while it waits in the dirty queue: its place there outlives it.
static void clear(struct tcp_stack *stack, struct tcp_conn *conn, uint32_t index)
{
	uint32_t generation = conn->generation + 1;
	uint32_t dirty = conn->flags & TCP_F_DIRTY;

	memset(conn, 0, stack->slot_octets);
	conn->stack = stack;
	conn->index = index;
	conn->generation = generation;
	conn->flags = dirty;
	conn->rcv_most = UINT32_MAX;
}

struct tcp_conn *tcp_conn_take(
	struct tcp_stack *stack, const struct tcp_tuple *tuple, uint8_t nic_port)
{
	if (!tcp_conn_has_free(stack))
		return NULL;

	uint32_t index = take_index(stack);
	struct tcp_conn *conn = tcp_stack_slot(stack, index);

	clear(stack, conn, index);
	conn->tuple = *tuple;
	conn->nic_port = nic_port;
	tcp_table_add(stack, conn);
	stack->in_use++;
	return conn;
}

// A passive handshake holds a share of the table that is bounded (RFC 4987 1.2).
static bool is_embryonic(const struct tcp_conn *conn)
{
	return conn->state == TCP_ST_SYN_RECEIVED && !tcp_conn_has(conn, TCP_F_ACTIVE);
}

// The oldest gives way to the newest (tcp_handshake.c). The links lie where the slow start threshold will be.
static void embryonic_begin(struct tcp_conn *conn)
{
	tcp_stack_link(conn->stack, &conn->stack->half_open, conn);
}

static void embryonic_end(struct tcp_conn *conn)
{
	tcp_stack_unlink(conn->stack, &conn->stack->half_open, conn);
	conn->list_prev = conn->list_next = 0;
}

void tcp_conn_enter(struct tcp_conn *conn, enum tcp_state state)
{
	if (is_embryonic(conn))
		embryonic_end(conn);
	conn->state = (uint8_t)state;
	if (is_embryonic(conn))
		embryonic_begin(conn);
}

const char *tcp_conn_state_name(enum tcp_state state)
{
	static const char *const names[] = {
#define STATE(name) #name,
		TCP_STATES(STATE)
#undef STATE
	};

	return names[state];
}

void tcp_conn_retire(struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;
	bool opened = tcp_conn_has(conn, TCP_F_OPENED);

	tcp_send_discard(conn);
	tcp_recv_discard(conn);
	if (tcp_conn_has(conn, TCP_F_APP_DONE))
		return;
	conn->flags |= TCP_F_APP_DONE;
	stack->counters.closed += opened;
	if (opened || tcp_conn_has(conn, TCP_F_ACTIVE))
		stack->config.app->closed(stack->config.user, conn, why, now_us);
}

void tcp_conn_end(struct tcp_conn *conn, enum tcp_close_reason why, uint64_t now_us)
{
	struct tcp_stack *stack = conn->stack;

	assert(conn->state != TCP_ST_CLOSED);
	if (conn->state == TCP_ST_TIME_WAIT)
		tcp_time_wait_unlink(conn);
	tcp_table_remove(stack, conn);
	tcp_timer_stop_all(conn);
	tcp_conn_enter(conn, TCP_ST_CLOSED);
	tcp_conn_retire(conn, why, now_us);
	stack->in_use--;
	conn->list_next = stack->dead.first;
	stack->dead.first = conn->index + 1;
}

void tcp_conn_reap(struct tcp_stack *stack)
{
	while (stack->dead.first != 0) {
		struct tcp_conn *conn = tcp_stack_slot(stack, stack->dead.first - 1);

		stack->dead.first = conn->list_next;
		conn->list_next = stack->free.first;
		stack->free.first = conn->index + 1;
	}
}

// A ring of one place for each slot, beside the connections: a touch reads and writes no other connection.
static uint32_t dirty_place(const struct tcp_stack *stack, uint32_t n)
{
	uint32_t place = stack->dirty_first + n;

	return place < stack->config.conns ? place : place - stack->config.conns;
}

void tcp_conn_touch(struct tcp_conn *conn)
{
	struct tcp_stack *stack = conn->stack;

	if (tcp_conn_has(conn, TCP_F_DIRTY))
		return;
	conn->flags |= TCP_F_DIRTY;
	stack->dirty[dirty_place(stack, stack->dirty_count++)] = conn->index;
}

struct tcp_conn *tcp_conn_untouch(struct tcp_stack *stack)
{
	if (stack->dirty_count == 0)
		return NULL;

	struct tcp_conn *conn = tcp_stack_slot(stack, stack->dirty[stack->dirty_first]);

	stack->dirty_first = dirty_place(stack, 1);
	stack->dirty_count--;
	conn->flags &= ~(uint32_t)TCP_F_DIRTY;
	return conn;
}

void *tcp_conn_app(struct tcp_conn *conn)
{
	return conn + 1;
}

struct tcp_conn *tcp_conn_of_app(void *app)
{
	return (struct tcp_conn *)app - 1;
}

uint32_t tcp_conn_index(const struct tcp_conn *conn)
{
	return conn->index;
}

uint32_t tcp_conn_generation(const struct tcp_conn *conn)
{
	return conn->generation;
}

struct tcp_conn *tcp_conn_find(struct tcp_stack *stack, uint32_t index, uint32_t generation)
{
	if (index >= stack->unused)
		return NULL;

	struct tcp_conn *conn = tcp_stack_slot(stack, index);

	return conn->generation == generation && tcp_conn_has_app(conn) ? conn : NULL;
}

const struct ip_addr *tcp_conn_local(const struct tcp_conn *conn, uint16_t *port)
{
	*port = conn->tuple.local_port;
	return &conn->tuple.local;
}

const struct ip_addr *tcp_conn_peer(const struct tcp_conn *conn, uint16_t *port)
{
	*port = conn->tuple.peer_port;
	return &conn->tuple.peer;
}

uint32_t tcp_conn_slots(const struct tcp_stack *stack)
{
	return stack->unused;
}

struct tcp_conn *tcp_conn_at(struct tcp_stack *stack, uint32_t slot)
{
	struct tcp_conn *conn = tcp_stack_slot(stack, slot);

	return tcp_conn_has_app(conn) && tcp_conn_has(conn, TCP_F_OPENED) ? conn : NULL;
}

struct tcp_conn *tcp_conn_next(struct tcp_stack *stack, uint32_t *cursor)
{
	struct tcp_conn *conn = NULL;

	while (conn == NULL && *cursor < stack->unused)
		conn = tcp_conn_at(stack, (*cursor)++);
	return conn;
}

uint32_t tcp_conn_count(const struct tcp_stack *stack)
{
	return stack->in_use;
}

uint32_t tcp_conn_lasting(const struct tcp_stack *stack)
{
	return stack->in_use - stack->half_open.count - stack->time_wait.count;
}
