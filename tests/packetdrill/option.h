// option.h - socket options: those that are numbers stand in option.def, the others in option.c.
//
// An option that nothing here could act on, and that a caller may not take for acted on, is ENOPROTOOPT.
//
// Thread: any, with the lock of the world. Memory: part of the socket. Blocks: never.

#pragma once

#include <stdint.h>
#include <sys/socket.h>

struct sock;

void option_init(struct sock *sock);

// What a connection takes from its listener.
void option_inherit(struct sock *sock, const struct sock *listener);

struct option_name {
	int level, name;
};

// 0, or -errno. *octets is the room at value, then what was put there.
int option_get(struct sock *sock, struct option_name which, void *value, socklen_t *octets);
int option_set(struct sock *sock, struct option_name which, const void *value, socklen_t octets);

// Octets that may lie unread, that may be unacknowledged, and that may be unsent before it counts as full.
uint32_t option_receive_octets(const struct sock *sock);
uint32_t option_send_octets(const struct sock *sock);
uint32_t option_notsent(const struct sock *sock);
