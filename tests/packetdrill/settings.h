// settings.h - what the sockets assume of the machine around them: link, addresses, and the knobs of the kernel that the
// TCP core has a counterpart for.
//
// Later wins: what stands here; the sysctls of this network namespace at the first socket (scripts set them before);
// packetdrill's own --mtu and --local_ip (the shared object is told neither); KEY=VALUE,... of --so_flags.
//
//   key          sysctl                            meaning
//   mtu                                            octets of an IP packet
//   local_ip                                       source of connect() without bind(), of its family
//   timestamps   tcp_timestamps                    0: not offered, not accepted
//   sack         tcp_sack                          likewise
//   scale        tcp_window_scaling                likewise
//   rcvbuf       tcp_rmem, second                  octets a socket may leave unread
//   rcvbuf_most  tcp_rmem, third                   the same at most; sets the scale that is offered
//   sndbuf       tcp_wmem, second                  octets a socket may have unacknowledged
//   syn_retries  tcp_syn_retries                   of connect()
//   notsent      tcp_notsent_lowat                 octets not sent from which a socket is not writable
//   syncookies   tcp_syncookies                    2: every SYN is answered by one
//   ecn          tcp_ecn                           0: never; 1: connect() asks for it; others: agreed to when a peer asks
//   sysctl                                         0: the sysctls are not read
//   trace                                          1: every packet that is dropped and every end goes to stderr
//
// Thread: any, with the lock of the world. Memory: a plain struct.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip_addr.h"

struct settings {
	uint32_t mtu;
	uint32_t timestamps, sack, scale;
	uint32_t rcvbuf, rcvbuf_most, sndbuf;
	uint32_t syn_retries, notsent, syncookies;
	uint32_t ecn, sysctl, trace;
	struct ip_addr local_v4, local_v6;
};

// What stands here, packetdrill's options and flags, which may be NULL. A key that is not known, or a value that is none, ends
// the process with a message.
void settings_init(struct settings *s, const char *flags);

// The sysctls, where neither options nor flags said otherwise.
void settings_read_sysctls(struct settings *s, const char *flags);
