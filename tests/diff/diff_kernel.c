#include "diff/diff_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/frame.h"

enum {
	PORT = 25,
	PEER_PORT_FIRST = 1024,
	PEER_PORTS = 60000, // then the next address
	PEER_HOST_FIRST = 30,
	PEER_HOSTS = 200,
	PACKET = 2048,
};

static struct {
	int tun, listener, conn; // -1: none
	bool v6, was_open, told_end;
	bool opening;             // a SYN of the kernel's is not answered yet
	uint32_t number;          // of this connection, since the start
	uint32_t isn, tsval_last; // the kernel's
	uint32_t next;            // what it last acknowledged
	struct segment address;   // from the peer to us
} k = {.tun = -1, .listener = -1, .conn = -1};

// Time is real here, so nothing may depend on it: no retransmission within a sequence, no limits of answers a second.
static const struct {
	const char *name, *value;
} settings[] = {
	{"tcp_rto_min_us", "10000000"},
	{"tcp_early_retrans", "0"},
	{"tcp_recovery", "0"},
	{"tcp_invalid_ratelimit", "0"},
	{"tcp_challenge_ack_limit", "1000000000"},
	{"tcp_comp_sack_nr", "0"},
	{"tcp_rfc1337", "1"},
	{"tcp_syncookies", "0"},
	{"tcp_ecn", "2"},
	{"tcp_no_metrics_save", "1"},
	{"tcp_max_tw_buckets", "300000"},
	{"tcp_orphan_retries", "1"},
	{"tcp_rmem", "4096 131072 131072"},
	{"tcp_min_snd_mss", "64"},
};

static bool set_all(void)
{
	char path[128];

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", settings[i].name);

		int fd = open(path, O_WRONLY | O_CLOEXEC);
		size_t len = strlen(settings[i].value);

		// An older kernel has not all of them; what differs then shows.
		if (fd < 0)
			continue;
		if (write(fd, settings[i].value, len) != (ssize_t)len) {
			perror(path);
			close(fd);
			return false;
		}
		close(fd);
	}
	return true;
}

static bool open_tun(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "peer0"};

	k.tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	return k.tun >= 0 && ioctl(k.tun, TUNSETIFF, &ifr) == 0;
}

bool diff_kernel_init(void)
{
	if (unshare(CLONE_NEWNET) != 0 || !open_tun() || !set_all()) {
		perror("network namespace with a TUN device");
		return false;
	}
	return system("ip addr add 10.12.170.5/24 dev peer0 && ip link set peer0 up && "
		      "ip -6 addr add 2001:db8::5/64 dev peer0 nodad") == 0;
}

// --- packets ---

// The AE bit of RFC 9768, which frame_build() never sets, and its share of the checksum (RFC 1624).
static void ask_accurate_ecn(uint8_t *tcp)
{
	uint32_t sum = (uint16_t) ~(tcp[16] << 8 | tcp[17]);

	sum += 0x0100;
	sum = ~(sum + (sum >> 16));
	tcp[12] |= 1;
	tcp[16] = (uint8_t)(sum >> 8);
	tcp[17] = (uint8_t)sum;
}

static void write_segment(struct segment s)
{
	static const struct frame_route route = {.sums = FRAME_SUMS_SOFTWARE};
	uint8_t octets[FRAME_HEADERS_MAX + DIALOG_TEXT];
	uint32_t n;

	s.src = k.address.src;
	s.dst = k.address.dst;
	s.src_port = k.address.src_port;
	s.dst_port = k.address.dst_port;
	n = frame_build(&s, &route, octets, sizeof(octets));
	if (s.accurate_ecn)
		ask_accurate_ecn(octets + FRAME_ETHER_OCTETS + ip_octets(&s.dst));
	if (n == 0 || write(k.tun, octets + FRAME_ETHER_OCTETS, n - FRAME_ETHER_OCTETS) < 0) {
		perror("write to TUN");
		exit(1);
	}
}

static bool parse(const uint8_t *packet, size_t len, struct frame *f)
{
	uint8_t octets[FRAME_ETHER_OCTETS + PACKET] = {[12] = 0x08};

	if (packet[0] >> 4 == 6) {
		octets[12] = 0x86;
		octets[13] = 0xdd;
	}
	memcpy(octets + FRAME_ETHER_OCTETS, packet, len);
	return frame_parse((struct slice){octets, FRAME_ETHER_OCTETS + len}, 0, f) == DROP_NONE &&
	       f->kind == FRAME_TCP;
}

// What has left for this peer; others are old connections and router solicitations.
static void read_replies(struct diff_outcome *out)
{
	uint8_t packet[PACKET];
	ssize_t n;

	while ((n = read(k.tun, packet, sizeof(packet))) > 0) {
		struct frame f = {0};

		if (!parse(packet, (size_t)n, &f) || f.tcp.dst_port != k.address.src_port ||
			!ip_addr_eq(&f.tcp.dst, &k.address.src))
			continue;
		if (f.tcp.flags & SEGMENT_SYN) {
			k.isn = f.tcp.seq;
			k.opening = true;
		}
		// Before the end of the handshake Linux takes no echo but that of the SYN-ACK.
		if (f.tcp.options.has_timestamp && (!k.opening || (f.tcp.flags & SEGMENT_SYN)))
			k.tsval_last = f.tcp.options.tsval;
		if (f.tcp.flags & SEGMENT_ACK)
			k.next = f.tcp.ack;
		diff_outcome_add(out, &f.tcp, k.isn);
	}
}

// --- the application ---

static socklen_t sockaddr_of(const struct ip_addr *a, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (ip_addr_is_v4(a)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(ip_addr_v4(a));
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	memcpy(&v6->sin6_addr, a->octets, 16);
	return sizeof(*v6);
}

static int bound_socket(void)
{
	struct sockaddr_storage at;
	socklen_t len = sockaddr_of(&k.address.dst, PORT, &at);
	int one = 1, fd = socket(k.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0) {
		perror("bind");
		exit(1);
	}
	return fd;
}

static void drop_conn(bool reset)
{
	struct linger now = {.l_onoff = 1};

	if (k.conn < 0)
		return;
	if (reset)
		setsockopt(k.conn, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(k.conn);
	k.conn = -1;
}

static void call_peer(void)
{
	struct sockaddr_storage peer;
	socklen_t len = sockaddr_of(&k.address.src, k.address.src_port, &peer);

	// Who calls does not listen, or the SYN that crosses would find the listener.
	close(k.listener);
	k.listener = -1;
	k.conn = bound_socket();
	if (connect(k.conn, (struct sockaddr *)&peer, len) != 0 && errno != EINPROGRESS) {
		perror("connect");
		exit(1);
	}
}

// Accepted, or the call was answered.
static void look_for_open(struct diff_outcome *out)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	int fd = k.listener < 0 ? -1 : accept4(k.listener, NULL, NULL, SOCK_NONBLOCK);

	// A second one when the first is over.
	if (fd >= 0) {
		drop_conn(false);
		k.conn = fd;
		k.was_open = k.told_end = false;
	}
	if (k.conn < 0 || k.was_open || getsockopt(k.conn, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
		return;
	if (info.tcpi_state == TCP_SYN_SENT || info.tcpi_state == TCP_SYN_RECV)
		return;
	if (k.listener < 0 && info.tcpi_state == TCP_CLOSE)
		return;
	out->opened = k.was_open = true;
	k.opening = false;
}

static void read_all(struct diff_outcome *out)
{
	static uint8_t octets[1 << 17];
	int quick = 1, error = 0;
	socklen_t len = sizeof(error);

	while (k.conn >= 0) {
		ssize_t n = recv(k.conn, octets, sizeof(octets), 0);

		if (n > 0) {
			out->data_octets += (uint32_t)n;
			continue;
		}
		if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
			break;
		if (n == 0) {
			out->peer_closed = !k.told_end;
			k.told_end = true;
			break;
		}
		out->broken = true;
		drop_conn(false);
	}
	if (k.conn < 0)
		return;
	// Behind the peer's FIN nothing is read any more, but a RST can come.
	if (getsockopt(k.conn, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error != 0) {
		out->broken = true;
		drop_conn(false);
		return;
	}
	// An ACK that waits for company leaves now.
	setsockopt(k.conn, IPPROTO_TCP, TCP_QUICKACK, &quick, sizeof(quick));
}

static void act(const struct diff_step *step)
{
	static const uint8_t octets[1 << 16];

	if (step->verb == DIFF_SEGMENT)
		write_segment(diff_step_segment(step, k.isn, k.tsval_last));
	else if (step->verb == DIFF_CONNECT)
		call_peer();
	// Linux may hand out a socket that is still in SYN-RECEIVED.
	else if (k.listener >= 0 && !k.was_open)
		return;
	else if (step->verb == DIFF_SEND && k.conn >= 0)
		(void)!send(k.conn, octets, step->octets, MSG_NOSIGNAL);
	else if (step->verb == DIFF_SHUTDOWN && k.conn >= 0)
		shutdown(k.conn, SHUT_WR);
	else if (step->verb == DIFF_CLOSE || step->verb == DIFF_ABORT)
		drop_conn(step->verb == DIFF_ABORT);
}

void diff_kernel_play(const struct diff_step *step, struct diff_outcome *out)
{
	*out = (struct diff_outcome){0};
	act(step);
	look_for_open(out);
	read_all(out);
	read_replies(out);
}

void diff_kernel_begin(bool v6)
{
	uint32_t n = k.number++;
	uint8_t host = (uint8_t)(PEER_HOST_FIRST + n / PEER_PORTS % PEER_HOSTS);

	k.v6 = v6;
	k.was_open = k.told_end = k.opening = false;
	k.isn = k.tsval_last = k.next = 0;
	k.address = (struct segment){.src = ip_addr_from_v4(0x0a0caa00u + host),
		.dst = ip_addr_from_v4(0x0a0caa05),
		.src_port = (uint16_t)(PEER_PORT_FIRST + n % PEER_PORTS),
		.dst_port = PORT};
	if (v6) {
		k.address.src = (struct ip_addr){{0x20, 1, 0x0d, 0xb8, [15] = host}};
		k.address.dst = (struct ip_addr){{0x20, 1, 0x0d, 0xb8, [15] = 5}};
	}
	k.listener = bound_socket();
	if (listen(k.listener, 16) != 0) {
		perror("listen");
		exit(1);
	}
}

void diff_kernel_end(void)
{
	struct diff_outcome ignored = {0};

	drop_conn(true);
	if (k.listener >= 0)
		close(k.listener);
	k.listener = -1;
	// What was closed in order and waits for the peer.
	write_segment((struct segment){.flags = SEGMENT_RST, .seq = k.next});
	read_replies(&ignored);
}
