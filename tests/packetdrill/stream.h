// stream.h - octets out of a socket and into it.
//
// Thread: any, with the lock of the world. Memory: the caller's parts may lie anywhere; EFAULT when they do not.
// Errors: octets, or -errno as Linux has it.
// Blocks: call.h.

#pragma once

#include <stdbool.h>
#include <sys/socket.h>

struct sock;

// MSG_PEEK, MSG_WAITALL, MSG_DONTWAIT, MSG_TRUNC. MSG_OOB is EINVAL: urgent octets are octets (RFC 6093). Control data
// (TCP_INQ) goes into message, if it has room.
ssize_t stream_receive(struct sock *sock, struct msghdr *message, int flags);

// MSG_DONTWAIT, MSG_MORE; MSG_EOR, MSG_NOSIGNAL and MSG_ZEROCOPY alter nothing. MSG_OOB and MSG_FASTOPEN are EOPNOTSUPP.
ssize_t stream_send(struct sock *sock, const struct msghdr *message, int flags);

// FIONREAD and FIONBIO, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK.
int stream_ioctl(struct sock *sock, unsigned long request, int *value);
