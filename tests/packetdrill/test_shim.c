// test_shim LIBRARY - the shared object as packetdrill uses it, without packetdrill: loaded, its clock run, a server and a
// client played through sockets and raw packets, in v4 and v6.

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
// After what it needs.
#include <cmocka.h>

#include "net/frame.h"
#include "packetdrill/packetdrill.h"

enum { PORT = 8080, PEER_PORT = 40000, MOST = 2048, SEQ = 1000 };

static const char *library;

struct shim {
	struct packetdrill_interface i;
	void *handle;
	bool v6;
	struct ip_addr ours, peers;
	uint32_t isn; // of the last SYN we saw
};

static void load(struct shim *shim, bool v6)
{
	void (*init)(const char *, struct packetdrill_interface *);

	*shim = (struct shim){.v6 = v6, .handle = dlopen(library, RTLD_NOW | RTLD_LOCAL)};
	assert_non_null(shim->handle);
	*(void **)&init = dlsym(shim->handle, "packetdrill_interface_init");
	assert_non_null(init);
	init("mtu=1500,sysctl=0", &shim->i);
	assert_true(ip_addr_parse(v6 ? "2001:db8::1" : "192.0.2.1", &shim->peers));
	assert_true(ip_addr_parse(v6 ? "fd3d::1" : "192.168.0.1", &shim->ours));
}

static void unload(struct shim *shim)
{
	shim->i.free(shim->i.user);
	assert_int_equal(dlclose(shim->handle), 0);
}

static uint64_t clock_us(struct shim *shim)
{
	struct timeval now;

	assert_int_equal(shim->i.gettimeofday(shim->i.user, &now, NULL), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_usec;
}

static socklen_t address(const struct shim *shim, struct sockaddr_storage *out,
	const struct ip_addr *at, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (shim->v6) {
		if (at != NULL)
			memcpy(v6.sin6_addr.s6_addr, at->octets, 16);
		memcpy(out, &v6, sizeof(v6));
		return sizeof(v6);
	}
	if (at != NULL)
		v4.sin_addr.s_addr = htonl(ip_addr_v4(at));
	memcpy(out, &v4, sizeof(v4));
	return sizeof(v4);
}

static void arrive(struct shim *shim, struct segment s, const char *text)
{
	static const struct frame_route route = {.sums = FRAME_SUMS_SOFTWARE};
	uint8_t octets[MOST];
	uint32_t count;

	s.src = shim->peers;
	s.dst = shim->ours;
	if (s.window == 0)
		s.window = 65535;
	if (text != NULL) {
		s.payload_octets = (uint32_t)strlen(text);
		s.part_count = 1;
		s.parts[0] = (struct slice){(const uint8_t *)text, strlen(text)};
	}
	count = frame_build(&s, &route, octets, sizeof(octets));
	assert_true(count > FRAME_ETHER_OCTETS);
	assert_int_equal(shim->i.netdev_send(shim->i.user, octets + FRAME_ETHER_OCTETS,
				 count - FRAME_ETHER_OCTETS),
		0);
}

// The next packet that leaves; its payload stays until the next call.
static struct segment sent(struct shim *shim)
{
	static uint8_t octets[MOST];
	size_t count = sizeof(octets) - FRAME_ETHER_OCTETS;
	struct frame frame;
	long long at_us;

	memset(octets, 0, FRAME_ETHER_OCTETS);
	memcpy(octets + 12, shim->v6 ? "\x86\xdd" : "\x08\x00", 2);
	assert_int_equal(
		shim->i.netdev_receive(shim->i.user, octets + FRAME_ETHER_OCTETS, &count, &at_us),
		0);
	assert_true(count > 0);
	assert_int_equal(frame_parse((struct slice){octets, FRAME_ETHER_OCTETS + count}, 0, &frame),
		DROP_NONE);
	assert_int_equal(frame.kind, FRAME_TCP);
	if (frame.tcp.flags & SEGMENT_SYN)
		shim->isn = frame.tcp.seq;
	return frame.tcp;
}

static int listening(struct shim *shim)
{
	struct sockaddr_storage to;
	socklen_t octets = address(shim, &to, NULL, PORT);
	void *user = shim->i.user;
	int fd = shim->i.socket(user, shim->v6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(shim->i.bind(user, fd, (struct sockaddr *)&to, octets), 0);
	assert_int_equal(shim->i.listen(user, fd, 5), 0);
	return fd;
}

static struct segment from_peer(uint8_t flags, uint32_t seq, uint32_t ack)
{
	return (struct segment){
		.src_port = PEER_PORT, .dst_port = PORT, .flags = flags, .seq = seq, .ack = ack};
}

static int accepted(struct shim *shim, int listener)
{
	struct sockaddr_storage peer;
	socklen_t octets = sizeof(peer);
	struct segment syn = from_peer(SEGMENT_SYN, SEQ, 0), s;
	int fd;

	syn.options.has_mss = true;
	syn.options.mss = 1000;
	arrive(shim, syn, NULL);
	s = sent(shim);
	assert_int_equal(s.flags, SEGMENT_SYN | SEGMENT_ACK);
	assert_int_equal(s.options.mss, shim->v6 ? 1440 : 1460);
	arrive(shim, from_peer(SEGMENT_ACK, SEQ + 1, shim->isn + 1), NULL);
	fd = shim->i.accept(shim->i.user, listener, (struct sockaddr *)&peer, &octets);
	assert_true(fd >= 0);
	assert_int_equal(
		octets, shim->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
	return fd;
}

static void serve(bool v6)
{
	struct shim shim;
	char text[16] = "";
	uint64_t before_us;
	struct segment s;
	int listener, fd;
	void *user;

	load(&shim, v6);
	user = shim.i.user;
	listener = listening(&shim);
	fd = accepted(&shim, listener);
	arrive(&shim, from_peer(SEGMENT_ACK | SEGMENT_PSH, SEQ + 1, shim.isn + 1), "question");
	assert_int_equal(shim.i.read(user, fd, text, sizeof(text)), 8);
	assert_string_equal(text, "question");
	assert_int_equal(shim.i.write(user, fd, "answer", 6), 6);
	do
		s = sent(&shim);
	while (s.payload_octets == 0);
	assert_int_equal(s.payload_octets, 6);
	assert_memory_equal(s.parts[0].at, "answer", 6);
	// Nobody acknowledges it: virtual time goes on to the retransmission.
	before_us = clock_us(&shim);
	s = sent(&shim);
	assert_int_equal(s.payload_octets, 6);
	assert_in_range(clock_us(&shim) - before_us, 190000, 1100000);
	arrive(&shim, from_peer(SEGMENT_FIN | SEGMENT_ACK, SEQ + 9, shim.isn + 7), NULL);
	assert_int_equal(shim.i.read(user, fd, text, sizeof(text)), 0);
	assert_int_equal(shim.i.close(user, fd), 0);
	assert_int_equal(shim.i.close(user, fd), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(shim.i.close(user, listener), 0);
	unload(&shim);
}

static void test_shim_serves_v4(void **state)
{
	(void)state;
	serve(false);
}

// connect() of the only thread makes time pass by itself until nobody has answered for long enough.
static void test_shim_serves_v6(void **state)
{
	(void)state;
	serve(true);
}

static void test_shim_connect_to_nobody_times_out(void **state)
{
	struct sockaddr_storage to;
	struct shim shim;
	socklen_t octets;
	uint64_t before_us;
	int fd;

	(void)state;
	load(&shim, false);
	octets = address(&shim, &to, &shim.peers, PORT);
	fd = shim.i.socket(shim.i.user, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	before_us = clock_us(&shim);
	assert_int_equal(shim.i.connect(shim.i.user, fd, (struct sockaddr *)&to, octets), -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_in_range(clock_us(&shim) - before_us, 60000000, 200000000);
	assert_int_equal(sent(&shim).flags, SEGMENT_SYN);
	unload(&shim);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shim_serves_v4),
		cmocka_unit_test(test_shim_serves_v6),
		cmocka_unit_test(test_shim_connect_to_nobody_times_out),
	};

	if (argc != 2)
		return 2;
	library = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
