// child_link.h - the socket between the supervisor and each child (descriptor CHILD_LINK_FD in the child): fixed records, some
// with a descriptor riding along (SCM_RIGHTS).
//
// Supervisor -> child: CHANNEL (new seqpacket end towards the other child; replaces the one before; to postern-lookup: one more asker),
// LOOKUP (new seqpacket end towards postern-lookup; replaces the one before), CONFIG (to deliver and lookup: a new running
// configuration, a memfd), RELOAD (to edge, with the configuration file as
// the supervisor, who may read it, has just read it: a sealed memfd), FILES (to edge, before RELOAD: the certificates and keys that it names,
// read likewise, tls/key_files.h), STOP (drain and exit 0).
// Child -> supervisor: READY, CONFIG (from edge: this memfd is the running configuration now; the supervisor keeps it for children it starts
// later and hands it to the others; it never reads it, and takes it only sealed, config_memfd.h), FILES (before it, those that
// go with it, kept for the next edge alone), STOP (the operator said
// `posternctl stop`: as if the supervisor had got SIGTERM).
//
// End of file at a child means that the supervisor is gone: the child exits at once (nothing acknowledged is lost by that).
//
// Arguments of a child: ARGV[1] = configuration path (for names and relative paths), with descriptors
// CHILD_LINK_FD the link, CHILD_CONFIG_FD a memfd with the configuration text, and for edge CHILD_CONTROL_FD the listening control socket.
// CHILD_LOCK_FD stays open and untouched: the lock on it tells the next supervisor that this child is still there.
//
// Thread: one at each end. Memory: none. Blocks: non-blocking descriptors in the children.

#pragma once

#include <stdint.h>

enum {
	CHILD_LINK_FD = 3,
	CHILD_CONFIG_FD = 4,
	CHILD_CONTROL_FD = 5, // edge only; /dev/null in the others
	CHILD_LOCK_FD = 6,
	CHILD_FILES_FD = 7, // edge only: certificates and keys; /dev/null in the others
};

enum child_link_kind {
	CHILD_LINK_CHANNEL = 1,
	CHILD_LINK_CONFIG,
	CHILD_LINK_RELOAD,
	CHILD_LINK_STOP,
	CHILD_LINK_READY,
	CHILD_LINK_LOOKUP,
	CHILD_LINK_FILES,
};

struct child_link_record {
	uint32_t kind;
	uint32_t value;
};

// fd: -1 none. 0 or -errno.
int child_link_send(int link, enum child_link_kind kind, int fd);

// 1: a record (and *fd, -1 if none; the caller owns it); 0: nothing now; -1: the other end is gone or broken.
int child_link_receive(int link, struct child_link_record *record, int *fd);
