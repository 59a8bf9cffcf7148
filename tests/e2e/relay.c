// relay.c - `relay IF IF [NAME=VALUE]...`: a wire between two interfaces of the kernel that can be told to be bad, in real time.
//
// What it does to frames is the simulator's link (sim/sim_link.h), whose settings are the NAMEs. Only TCP is numbered, lost, damaged
// and queued; everything else (ARP, neighbour discovery) is late and no more, so that one seed means one fate for a TCP connection,
// whatever else the hosts have to say. Both interfaces are up, and neither has an address. Says "relay: ready"; SIGTERM: prints its
// counters as JSON, and ends.

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "sim/sim_link.h"

enum {
	BURST = 64,
	FRAME_OCTETS = 2048,
	SOCKET_OCTETS = 32 << 20,
	ETHER_OCTETS = 14,
};

static volatile sig_atomic_t stop;

static void on_signal(int signal_number)
{
	(void)signal_number;
	stop = 1;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void set(int fd, int level, int option, int value, const char *what)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)) != 0)
		die(what);
}

static int open_interface(const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0 || at.sll_ifindex == 0)
		die(name);
	set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
	set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1, "PACKET_QDISC_BYPASS");
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_OCTETS, "SO_RCVBUFFORCE");
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_OCTETS, "SO_SNDBUFFORCE");
	// Promiscuous: the stations are behind it, not on it.
	struct packet_mreq all = {.mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC};

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) != 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0)
		die(name);
	return fd;
}

static bool is_tcp(const uint8_t *frame, uint32_t octets)
{
	uint32_t type = octets > ETHER_OCTETS + 20 ? (uint32_t)frame[12] << 8 | frame[13] : 0;

	return (type == ETHERTYPE_IP && frame[ETHER_OCTETS + 9] == IPPROTO_TCP) ||
	       (type == ETHERTYPE_IPV6 && frame[ETHER_OCTETS + 6] == IPPROTO_TCP);
}

// Everything that has arrived at fd leaves for the other side.
static void take(struct sim_link *link, int fd, int to)
{
	static uint8_t frames[BURST][FRAME_OCTETS];
	struct iovec parts[BURST];
	struct mmsghdr messages[BURST];
	int n = BURST;

	while (n == BURST && !stop) {
		for (int i = 0; i < BURST; i++) {
			parts[i] = (struct iovec){frames[i], FRAME_OCTETS};
			messages[i] = (struct mmsghdr){
				.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
		}
		n = recvmmsg(fd, messages, BURST, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			if (is_tcp(frames[i], messages[i].msg_len))
				sim_link_send(link, frames[i], messages[i].msg_len, to, now_us());
			else
				sim_link_pass(link, frames[i], messages[i].msg_len, to, now_us());
		}
	}
}

// Everything that is due arrives.
static void give(struct sim_link *link, const int fds[2])
{
	struct sim_link_packet p;

	while (sim_link_receive(link, now_us(), &p)) {
		// A frame that an interface does not take is lost, as on any wire.
		(void)!send(fds[p.to], p.frame, p.octets, 0);
		free(p.frame);
	}
}

static void relay(struct sim_link *link, const int fds[2])
{
	struct pollfd ready[2] = {
		{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};

	while (!stop) {
		uint64_t next = sim_link_next_us(link), now = now_us();
		uint64_t wait = next == UINT64_MAX ? 1000000 : next > now ? next - now : 0;
		struct timespec ts = {.tv_sec = (time_t)(wait / 1000000),
			.tv_nsec = (long)(wait % 1000000) * 1000};

		(void)ppoll(ready, 2, &ts, NULL);
		for (int i = 0; i < 2; i++)
			take(link, fds[i], !i);
		give(link, fds);
	}
}

// ---- What it was told, and what it tells

static bool set_one(struct sim_link_config *c, const char *name, uint32_t value)
{
	const struct {
		const char *name;
		uint32_t *at;
	} settings[] = {{"delay_us", &c->delay_us}, {"jitter_us", &c->jitter_us},
		{"loss_ppm", &c->loss_ppm}, {"duplicate_ppm", &c->duplicate_ppm},
		{"corrupt_ppm", &c->corrupt_ppm}, {"reorder_ppm", &c->reorder_ppm},
		{"reorder_us", &c->reorder_us}, {"kbit_s", &c->kbit_s},
		{"queue_octets", &c->queue_octets}, {"mark_octets", &c->mark_octets},
		{"mtu", &c->mtu}};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(name, settings[i].name) == 0) {
			*settings[i].at = value;
			return true;
		}
	}
	if (strcmp(name, "seed") == 0)
		c->seed = value;
	else if (strcmp(name, "mtu_is_told") == 0)
		c->mtu_is_told = value != 0;
	else
		return false;
	return true;
}

static bool read_setting(struct sim_link_config *config, char *word)
{
	char *equals = strchr(word, '='), *end;
	unsigned long value;

	if (equals == NULL)
		return false;
	*equals = '\0';
	errno = 0;
	value = strtoul(equals + 1, &end, 10);
	return end != equals + 1 && *end == '\0' && errno == 0 && value <= UINT32_MAX &&
	       set_one(config, word, (uint32_t)value);
}

static void tell(const struct sim_link_counters *c)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {{"sent", c->sent}, {"arrived", c->arrived}, {"lost", c->lost},
		{"overflowed", c->overflowed}, {"too_big", c->too_big}, {"told", c->told},
		{"corrupted", c->corrupted}, {"doubled", c->doubled}, {"marked", c->marked}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		printf("%s\"%s\": %llu", i == 0 ? "{" : ", ", rows[i].name,
			(unsigned long long)rows[i].value);
	printf("}\n");
}

int main(int argc, char **argv)
{
	struct sim_link_config config = {.seed = 1};
	struct sim_link link;
	struct sigaction action = {.sa_handler = on_signal};
	int fds[2];

	for (int i = 3; i < argc; i++) {
		if (!read_setting(&config, argv[i])) {
			fprintf(stderr, "relay: no such setting: %s\n", argv[i]);
			return 2;
		}
	}
	if (argc < 3) {
		fprintf(stderr, "usage: relay IF IF [NAME=VALUE]...\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	for (int i = 0; i < 2; i++)
		fds[i] = open_interface(argv[1 + i]);
	sim_link_init(&link, &config);
	printf("relay: ready\n");
	fflush(stdout);
	relay(&link, fds);
	tell(&link.counters);
	sim_link_free(&link);
	return 0;
}
