// edge_rig.h - a whole edge without a NIC: a ring port, real workers, a real spooler on a temporary directory, and clients made of
// our own TCP on the other side of the rings. Needs no root and no huge pages.
//
// Thread: the test's; workers and spooler run on threads of their own.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/drop.h"
#include "dataplane/edge.h"
#include "net/frame.h"

struct rig;
struct rig_client;

// What the edge gets; 0: a small default.
struct rig_size {
	uint32_t conns, blocks; // of each worker
	uint32_t mbufs;
	uint32_t eal_mib; // of the first rig of the process
	uint32_t ring;    // frames on the way to the edge
	uint32_t spool_bufs;
};

struct rig *rig_start_sized(const char *yaml, const struct rig_size *size);

// For those who make and take frames faster than clients do: the link's two ends and where frames are made of. Not together with
// rig_connect() and what comes after it.
struct rig_link {
	struct rte_ring *to_edge, *from_edge;
	struct rte_mempool *mbufs;
	struct mac host, edge;
};

struct rig_link rig_link(const struct rig *rig);

// yaml: configuration text whose port device is net_ring_rig. Asserts on every failure.
struct rig *rig_start(const char *yaml);

// The same, with only the first of the workers at work: what the others own stays in their rings.
struct rig *rig_start_lame(const char *yaml);

// Another configuration for the same ports; every worker works by the policy it makes when this returns.
void rig_reload(struct rig *rig, const char *yaml);

// Wait until every worker has seen what other threads have changed.
void rig_settle(const struct rig *rig);

// What the edge sends is shown to fn as well.
typedef void rig_watch_fn(void *user, const struct frame *f);
void rig_watch(struct rig *rig, rig_watch_fn *fn, void *user);

// Do not answer questions for neighbours any more, or again.
void rig_be_silent(struct rig *rig, bool silent);

// The address of the port and of the host at the other end.
struct mac rig_port_mac(const struct rig *rig);
struct mac rig_host_mac(void);

struct edge *rig_edge(struct rig *rig);
const char *rig_spool(const struct rig *rig);

// Stop workers and spooler; the spool directory stays until rig_free().
void rig_stop(struct rig *rig);
void rig_free(struct rig *rig);

// A frame into the port, as it is.
void rig_inject(struct rig *rig, const void *octets, uint32_t len);

// An ARP reply or TCP segment of a host on the link; the frame is built with good checksums.
void rig_inject_segment(struct rig *rig, const struct segment *s);

// Open a connection from an address to another, port 25, and drive it until it is open, refused or 3 s have passed.
struct rig_client *rig_connect(struct rig *rig, const char *from, const char *to);

// What clients send together with the last segment of the handshake; NULL: they wait for 220, as they should.
void rig_talk_first(struct rig *rig, const char *text);

bool rig_client_is_open(const struct rig_client *c);
bool rig_client_was_reset(const struct rig_client *c);
bool rig_client_saw_fin(const struct rig_client *c);

// Send text, and wait until a line that starts with code has come, or 5 s have passed. Returns what came since the last call.
const char *rig_say(struct rig_client *c, const char *text, const char *code);

// Send text and wait for nothing.
void rig_send(struct rig_client *c, const char *text);
// What came since the last rig_say() or rig_send() that sent.
const char *rig_heard(const struct rig_client *c);
void rig_client_close(struct rig_client *c);

// Drive the clients' side for so long.
void rig_run_ms(struct rig *rig, unsigned ms);

// Sums over workers.
uint64_t rig_drops(const struct rig *rig, enum drop why);
uint64_t rig_received(const struct rig *rig);
uint64_t rig_accounted(const struct rig *rig); // handled + drops
