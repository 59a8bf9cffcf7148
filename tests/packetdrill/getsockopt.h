// getsockopt.h - the one call that packetdrill makes past its own interface: for the assertions on TCP_INFO in a script it asks
// the C library. Preloaded (LD_PRELOAD), this object answers it for its own sockets and passes on the others.
//
// Thread: any. Memory: none. Blocks: never.

#pragma once

struct packetdrill_interface;

// From now on, until stopped, interface answers.
void getsockopt_serve(const struct packetdrill_interface *interface);
void getsockopt_stop(void);
