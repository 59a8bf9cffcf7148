#include "load_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "load_tell.h"

enum {
	READ_OCTETS = 65536,
	TICK_MS = 1,
	SPARE_FILES = 64,
};

struct wire {
	uv_poll_t poll;
	struct kernel *kernel;
	uint32_t slot;
	int fd; // -1: none
	bool connecting, blocked;
};

struct kernel {
	uv_loop_t loop;
	uv_timer_t tick;
	const struct load_plan *plan;
	struct load *load;
	struct load_tell *tell;
	struct wire **wires; // by slot
	uint32_t next_source;
	uint8_t buffer[READ_OCTETS];
};

static uint64_t now_ns(void)
{
	return uv_hrtime();
}

static struct sockaddr_storage socket_address(
	const struct ip_addr *addr, uint16_t port, socklen_t *len)
{
	struct sockaddr_storage out = {0};

	if (ip_addr_is_v4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)&out;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		in->sin_addr.s_addr = htonl(ip_addr_v4(addr));
		*len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)&out;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, addr, sizeof(in->sin6_addr));
		*len = sizeof(*in);
	}
	return out;
}

static uint32_t slot_of(const struct wire *w)
{
	return w->slot;
}

static void on_freed(uv_handle_t *handle)
{
	free(handle);
}

static void drop_wire(struct wire *w, bool abort)
{
	const struct linger at_once = {1, 0};

	w->kernel->wires[slot_of(w)] = NULL;
	if (abort)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	(void)uv_poll_stop(&w->poll);
	close(w->fd);
	uv_close((uv_handle_t *)&w->poll, on_freed);
}

static void listen_for(struct wire *w);

static void lost(struct wire *w, bool refused)
{
	struct load *load = w->kernel->load;
	const uint32_t slot = slot_of(w);

	drop_wire(w, false);
	load_closed(load, slot, refused, now_ns());
}

static void on_connected(struct wire *w)
{
	int error = 0;
	socklen_t len = sizeof(error);

	(void)getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		lost(w, error == ECONNREFUSED || error == ECONNRESET);
		return;
	}
	w->connecting = false;
	listen_for(w);
	load_connected(w->kernel->load, slot_of(w), now_ns());
}

static void on_octets(struct wire *w)
{
	struct kernel *k = w->kernel;
	const ssize_t n = read(w->fd, k->buffer, sizeof(k->buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		lost(w, n < 0 && errno == ECONNRESET);
		return;
	}
	load_input(k->load, slot_of(w), (struct slice){k->buffer, (size_t)n}, now_ns());
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct wire *w = (struct wire *)poll;
	struct kernel *k = w->kernel;
	const uint32_t slot = slot_of(w);

	if (w->connecting) {
		on_connected(w);
		return;
	}
	if (events & UV_WRITABLE) {
		w->blocked = false;
		listen_for(w);
		load_writable(k->load, slot, now_ns());
	}
	// The session may have ended by now.
	if (k->wires[slot] == w && (status < 0 || events & UV_READABLE))
		on_octets(w);
}

static void listen_for(struct wire *w)
{
	const int events =
		w->connecting ? UV_WRITABLE : UV_READABLE | (w->blocked ? UV_WRITABLE : 0);

	(void)uv_poll_start(&w->poll, events, on_ready);
}

// A socket on its way; -1: not now.
static int begin_connect(struct kernel *k)
{
	const struct load_plan *plan = k->plan;
	socklen_t len, source_len;
	const struct sockaddr_storage to = socket_address(&plan->target, plan->port, &len);
	const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (plan->sources > 0) {
		const struct ip_addr addr = load_plan_source(plan, k->next_source++);
		const struct sockaddr_storage from = socket_address(&addr, 0, &source_len);

		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(fd, (const struct sockaddr *)&from, source_len) != 0) {
			close(fd);
			return -1;
		}
	}
	if (connect(fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool wire_connect(void *backend, uint32_t slot)
{
	struct kernel *k = backend;
	struct wire *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return false;
	w->kernel = k;
	w->slot = slot;
	w->connecting = true;
	w->fd = begin_connect(k);
	if (w->fd < 0 || uv_poll_init(&k->loop, &w->poll, w->fd) != 0) {
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		return false;
	}
	k->wires[slot] = w;
	listen_for(w);
	return true;
}

static size_t wire_write(void *backend, uint32_t slot, struct slice octets)
{
	struct kernel *k = backend;
	struct wire *w = k->wires[slot];
	const ssize_t n = w == NULL ? -1 : send(w->fd, octets.at, octets.len, MSG_NOSIGNAL);

	if (w != NULL && (n < 0 || (size_t)n < octets.len)) {
		w->blocked = true;
		listen_for(w);
	}
	return n < 0 ? 0 : (size_t)n;
}

static void wire_close(void *backend, uint32_t slot, bool abort)
{
	struct kernel *k = backend;

	if (k->wires[slot] != NULL)
		drop_wire(k->wires[slot], abort);
}

static const struct load_wires wires = {wire_connect, wire_write, wire_close};

static void on_tick(uv_timer_t *timer)
{
	struct kernel *k = timer->data;
	const uint64_t now = now_ns();

	load_tell_progress(k->tell, load_result(k->load), now);
	if (k->tell->stop_wanted)
		load_stop(k->load, now);
	if (!load_tick(k->load, now))
		uv_stop(&k->loop);
}

static bool raise_file_limit(uint32_t connections)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return false;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0 &&
		limit.rlim_cur >= (rlim_t)connections + SPARE_FILES)
		return true;
	fprintf(stderr,
		"postern-load: %u connections need as many files; the limit is %llu (ulimit -n)\n",
		connections, (unsigned long long)limit.rlim_cur);
	return false;
}

static void close_left(struct kernel *k)
{
	for (uint32_t i = 0; i < k->plan->connections; i++) {
		if (k->wires[i] != NULL)
			drop_wire(k->wires[i], true);
	}
	uv_close((uv_handle_t *)&k->tick, NULL);
	(void)uv_run(&k->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&k->loop);
}

bool load_kernel_run(const struct load_plan *plan, struct load_tell *tell)
{
	struct kernel *k = calloc(1, sizeof(*k));

	if (k == NULL || !raise_file_limit(plan->connections)) {
		free(k);
		return false;
	}
	k->plan = plan;
	k->tell = tell;
	k->wires = calloc(plan->connections, sizeof(struct wire *));
	k->load = load_make(plan, &wires, k, now_ns());
	if (k->wires == NULL || k->load == NULL || uv_loop_init(&k->loop) != 0) {
		free(k->wires);
		free(k);
		return false;
	}
	(void)uv_timer_init(&k->loop, &k->tick);
	k->tick.data = k;
	(void)uv_timer_start(&k->tick, on_tick, 0, TICK_MS);
	(void)uv_run(&k->loop, UV_RUN_DEFAULT);
	load_tell_keep(tell, load_result(k->load));
	close_left(k);
	load_free(k->load);
	free(k->wires);
	free(k);
	return true;
}
