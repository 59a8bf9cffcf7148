// endpoint.h - where a socket stands: bind, listen, accept, connect, shutdown, close.
//
// Thread: any, with the lock of the world. Memory: see sock.h.
// Errors: 0 or a descriptor, or -errno as Linux has it.
// Blocks: accept, connect and a lingering close (call.h).

#pragma once

#include <stdbool.h>
#include <sys/socket.h>

struct sock;
struct world;

int endpoint_bind(struct sock *sock, const struct sockaddr *to, socklen_t octets);
int endpoint_listen(struct sock *sock, int backlog);

// A descriptor.
int endpoint_accept(struct sock *sock, struct sockaddr *peer, socklen_t *octets);
int endpoint_connect(struct sock *sock, const struct sockaddr *to, socklen_t octets);

// The other end, or this one, as the family of the socket writes it.
int endpoint_name(const struct sock *sock, bool peer, struct sockaddr *to, socklen_t *octets);

int endpoint_shutdown(struct sock *sock, int how);
// The caller holds sock pinned, and lets it go afterwards.
int endpoint_close(struct sock *sock);
