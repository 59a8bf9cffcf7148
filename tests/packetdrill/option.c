#include "option.h"

#include <errno.h>
#include <limits.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>

#include "inside.h"
#include "sock.h"
#include "user.h"
#include "world.h"

enum {
	RCVBUF_LEAST = 2304,
	SNDBUF_LEAST = 4608,
	BUF_MOST = 16 << 20, // as net.core.rmem_max bounds it
	MAXSEG_LEAST = 88,
	INFO_MOST = 512,
};

struct row {
	int level, name, least, most, start;
};

static const struct row rows[OPTION_COUNT] = {
#define OPTION(symbol, level, name, least, most, start) {level, name, least, most, start},
#include "option.def"
#undef OPTION
};

void option_init(struct sock *sock)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		sock->options[i] = rows[i].start;
	memcpy(sock->congestion, "cubic", sizeof("cubic"));
}

void option_inherit(struct sock *sock, const struct sock *listener)
{
	memcpy(sock->options, listener->options, sizeof(sock->options));
	memcpy(sock->congestion, listener->congestion, sizeof(sock->congestion));
	sock->linger = listener->linger;
	sock->receive_us = listener->receive_us;
	sock->send_us = listener->send_us;
	sock->rcvbuf_set = listener->rcvbuf_set;
	sock->sndbuf_set = listener->sndbuf_set;
}

static int row_of(struct option_name which)
{
	for (int i = 0; i < OPTION_COUNT; i++)
		if (rows[i].level == which.level && rows[i].name == which.name)
			return i;
	return -1;
}

static bool has_level(const struct sock *sock, int level)
{
	return level != IPPROTO_IPV6 || sock->domain == AF_INET6;
}

// As Linux does: the kernel keeps books of its own in the other half.
static uint32_t buffer(int value, int least)
{
	if (value > BUF_MOST / 2)
		value = BUF_MOST / 2;
	return value < least / 2 ? (uint32_t)least : 2 * (uint32_t)value;
}

uint32_t option_receive_octets(const struct sock *sock)
{
	uint32_t clamp = (uint32_t)sock->options[OPTION_WINDOW_CLAMP];
	uint32_t octets = sock->world->settings.rcvbuf;

	if (sock->rcvbuf_set)
		octets = (uint32_t)sock->options[OPTION_RCVBUF] / 2;
	return clamp != 0 && clamp < octets ? clamp : octets;
}

uint32_t option_send_octets(const struct sock *sock)
{
	return sock->sndbuf_set ? (uint32_t)sock->options[OPTION_SNDBUF] / 2
				: sock->world->settings.sndbuf;
}

uint32_t option_notsent(const struct sock *sock)
{
	int own = sock->options[OPTION_NOTSENT_LOWAT];

	return own != 0 ? (uint32_t)own : sock->world->settings.notsent;
}

// --- get ---

static int put(void *value, socklen_t *octets, const void *from, size_t count)
{
	if (*octets > count)
		*octets = (socklen_t)count;
	return user_put(value, from, *octets);
}

static int put_number(void *value, socklen_t *octets, int number)
{
	return put(value, octets, &number, sizeof(number));
}

static int put_time(void *value, socklen_t *octets, uint64_t us)
{
	struct timeval time = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

	return put(value, octets, &time, sizeof(time));
}

static int get_meminfo(const struct sock *sock, void *value, socklen_t *octets)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};

	info[SK_MEMINFO_RMEM_ALLOC] = (uint32_t)octets_count(&sock->received);
	info[SK_MEMINFO_RCVBUF] = option_receive_octets(sock);
	info[SK_MEMINFO_SNDBUF] = option_send_octets(sock);
	info[SK_MEMINFO_WMEM_QUEUED] = sock->conn != NULL ? inside_queued(sock->conn) : 0;
	return put(value, octets, info, sizeof(info));
}

static int get_socket(struct sock *sock, int name, void *value, socklen_t *octets)
{
	switch (name) {
	case SO_ERROR:
		return put_number(value, octets, sock_take_error(sock));
	case SO_TYPE:
		return put_number(value, octets, SOCK_STREAM);
	case SO_DOMAIN:
		return put_number(value, octets, sock->domain);
	case SO_PROTOCOL:
		return put_number(value, octets, IPPROTO_TCP);
	case SO_ACCEPTCONN:
		return put_number(value, octets, sock->state == SOCK_LISTENING);
	case SO_SNDLOWAT:
		return put_number(value, octets, 1);
	case SO_MEMINFO:
		return get_meminfo(sock, value, octets);
	case SO_LINGER:
		return put(value, octets, &sock->linger, sizeof(sock->linger));
	case SO_RCVTIMEO:
		return put_time(value, octets, sock->receive_us);
	case SO_SNDTIMEO:
		return put_time(value, octets, sock->send_us);
	default:
		return -ENOPROTOOPT;
	}
}

static int get_info(const struct sock *sock, void *value, socklen_t *octets)
{
	// Whoever asks with a newer header finds zeros where ours ends.
	union {
		struct tcp_info info;
		uint8_t octets[INFO_MOST];
	} u;

	memset(&u, 0, sizeof(u));
	if (sock->conn != NULL) {
		inside_info(sock->conn, &u.info);
		u.info.tcpi_last_data_recv =
			(uint32_t)((sock->world->now_us - sock->asked_us) / 1000);
		u.info.tcpi_last_data_sent =
			(uint32_t)((sock->world->now_us - sock->answered_us) / 1000);
		if (sock->options[OPTION_MAXSEG] != 0 &&
			u.info.tcpi_advmss > (uint32_t)sock->options[OPTION_MAXSEG])
			u.info.tcpi_advmss = (uint32_t)sock->options[OPTION_MAXSEG];
	} else
		u.info.tcpi_state = sock->state == SOCK_LISTENING ? 10 : 7;
	return put(value, octets, &u, sizeof(u));
}

// What connections will have; once there is one, what it has.
static int maxseg(const struct sock *sock)
{
	if (sock->state == SOCK_CONNECTED && sock->conn != NULL)
		return (int)inside_mss(sock->conn);
	return sock->options[OPTION_MAXSEG] != 0 ? sock->options[OPTION_MAXSEG] : 536;
}

static int get_tcp(const struct sock *sock, int name, void *value, socklen_t *octets)
{
	switch (name) {
	case TCP_INFO:
		return get_info(sock, value, octets);
	case TCP_MAXSEG:
		return put_number(value, octets, maxseg(sock));
	case TCP_CONGESTION:
		return put(value, octets, sock->congestion, sizeof(sock->congestion));
	// CUBIC tells nothing of itself, in Linux neither.
	case TCP_CC_INFO:
		*octets = 0;
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

static int get_mtu(const struct sock *sock, void *value, socklen_t *octets)
{
	if (sock->conn == NULL)
		return -ENOTCONN;
	return put_number(value, octets, (int)sock->world->settings.mtu);
}

static int get_special(struct sock *sock, struct option_name which, void *value, socklen_t *octets)
{
	switch (which.level) {
	case SOL_SOCKET:
		return get_socket(sock, which.name, value, octets);
	case IPPROTO_TCP:
		return get_tcp(sock, which.name, value, octets);
	case IPPROTO_IP:
		return which.name == IP_MTU ? get_mtu(sock, value, octets) : -ENOPROTOOPT;
	case IPPROTO_IPV6:
		return which.name == IPV6_MTU ? get_mtu(sock, value, octets) : -ENOPROTOOPT;
	default:
		return -EOPNOTSUPP;
	}
}

// What stands in the table and is more than what was set.
static int number_of(const struct sock *sock, int row)
{
	switch (row) {
	case OPTION_RCVBUF:
		return sock->rcvbuf_set ? sock->options[row] : (int)sock->world->settings.rcvbuf;
	case OPTION_SNDBUF:
		return sock->sndbuf_set ? sock->options[row] : (int)sock->world->settings.sndbuf;
	case OPTION_SYNCNT:
		return sock->options[row] != 0 ? sock->options[row]
					       : (int)sock->world->settings.syn_retries;
	default:
		return sock->options[row];
	}
}

int option_get(struct sock *sock, struct option_name which, void *value, socklen_t *octets)
{
	int row = row_of(which);

	if ((int)*octets < 0)
		return -EINVAL;
	if (!has_level(sock, which.level))
		return -ENOPROTOOPT;
	if (row < 0 || row == OPTION_MAXSEG)
		return get_special(sock, which, value, octets);
	return put_number(value, octets, number_of(sock, row));
}

// --- set ---

static int set_linger(struct sock *sock, const void *value, socklen_t octets)
{
	if (octets < sizeof(sock->linger))
		return -EINVAL;
	return user_get(&sock->linger, value, sizeof(sock->linger));
}

static int set_time(uint64_t *us, const void *value, socklen_t octets)
{
	struct timeval time;

	if (octets < sizeof(time))
		return -EINVAL;
	if (user_get(&time, value, sizeof(time)) < 0)
		return -EFAULT;
	if (time.tv_usec < 0 || time.tv_usec >= 1000000)
		return -EDOM;
	*us = time.tv_sec < 0 ? 1 : (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
	return 0;
}

// There is one congestion control; its elder is what Linux has under this name too.
static int set_congestion(struct sock *sock, const void *value, socklen_t octets)
{
	char name[sizeof(sock->congestion)] = "";

	if (octets == 0)
		return -EINVAL;
	if (octets >= sizeof(name))
		octets = sizeof(name) - 1;
	if (user_get(name, value, octets) < 0)
		return -EFAULT;
	if (strcmp(name, "cubic") != 0)
		return -ENOENT;
	memcpy(sock->congestion, name, sizeof(name));
	return 0;
}

static int set_special(
	struct sock *sock, struct option_name which, const void *value, socklen_t octets)
{
	if (which.level == SOL_SOCKET && which.name == SO_LINGER)
		return set_linger(sock, value, octets);
	if (which.level == SOL_SOCKET && which.name == SO_RCVTIMEO)
		return set_time(&sock->receive_us, value, octets);
	if (which.level == SOL_SOCKET && which.name == SO_SNDTIMEO)
		return set_time(&sock->send_us, value, octets);
	if (which.level == IPPROTO_TCP && which.name == TCP_CONGESTION)
		return set_congestion(sock, value, octets);
	return -ENOPROTOOPT;
}

// A number that is kept in another way than it was given. 0, or -errno.
static int check_number(struct sock *sock, int row, int *number)
{
	const struct row *r = &rows[row];

	if (r->least == 0 && r->most == 1 && row != OPTION_INQ)
		*number = *number != 0;
	if (*number < r->least || *number > r->most)
		return -EINVAL;
	switch (row) {
	case OPTION_MAXSEG:
		return *number != 0 && *number < MAXSEG_LEAST ? -EINVAL : 0;
	case OPTION_RCVLOWAT:
		*number = *number < 0 ? INT_MAX : *number == 0 ? 1 : *number;
		return 0;
	case OPTION_RCVBUF:
		*number = (int)buffer(*number, RCVBUF_LEAST);
		sock->rcvbuf_set = true;
		return 0;
	case OPTION_SNDBUF:
		*number = (int)buffer(*number, SNDBUF_LEAST);
		sock->sndbuf_set = true;
		return 0;
	case OPTION_V6ONLY:
		return sock->bound ? -EINVAL : 0;
	case OPTION_TCLASS:
		*number = *number < 0 ? 0 : *number;
		return 0;
	default:
		return 0;
	}
}

int option_set(struct sock *sock, struct option_name which, const void *value, socklen_t octets)
{
	int row = row_of(which), number = 0, error;

	if (!has_level(sock, which.level))
		return -ENOPROTOOPT;
	if (row < 0)
		return set_special(sock, which, value, octets);
	// As Linux does: the options of IPv4 may come as one octet.
	if (octets < sizeof(number) && (which.level != IPPROTO_IP || octets == 0))
		return -EINVAL;
	if (user_get(&number, value, octets < sizeof(number) ? 1 : sizeof(number)) < 0)
		return -EFAULT;
	error = check_number(sock, row, &number);
	if (error < 0)
		return error;
	sock->options[row] = number;
	if (row == OPTION_NODELAY && number != 0)
		sock_push(sock);
	sock_apply_options(sock);
	return 0;
}
