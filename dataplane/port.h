// port.h - the NIC: start, queues, offloads, bursts. The only user of rte_eth_*.
//
// Every worker polls one receive queue of each port while there are as many; with fewer queues the workers that have one
// pass packets on (receive.h). Offloads are asked of the device, never assumed.
//
// Thread:  start and stop on the control thread; port_rx and port_tx by the one worker that owns the queue.
// Memory:  struct port_set is fixed after start; packet buffers come from the mempool given.
// Blocks:  start does. Bursts never.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "dataplane/rss.h"
#include "dataplane/steering.h"
#include "net/iface.h"
#include "net/vlan.h"

struct rte_mbuf;
struct rte_mempool;

enum {
	PORT_DEVICE_OCTETS = 256,
};

struct port {
	uint16_t id;          // DPDK port
	uint16_t device_port; // the first port of its device, which is polled for all VLANs of it
	struct vlan vlan;     // tags of its frames
	uint16_t rx_queues, tx_queues;
	uint16_t device_mtu;
	bool sums_by_port; // transmit checksums
	struct iface iface;
	char device[PORT_DEVICE_OCTETS]; // a copy: the configuration goes with the next reload
	char driver[32];
	const struct steering_nic *nic;
	const char *groups; // which multicast it hears; static text for status
	// As port_set_watch() saw it last; control thread.
	bool link_up;
	uint32_t link_changes;
	uint32_t link_mbit_s; // 0: not known
	uint64_t missed;      // packets the device lost: no buffer, ring full
};

struct port_set {
	uint16_t count;
	struct port ports[LIMIT_PORTS];
	struct rss rss; // its key is in every port that has RSS
};

enum {
	PORT_BURST = 64,
	PORT_RX_DESCRIPTORS = 1024,
	PORT_TX_DESCRIPTORS = 1024,
	PORT_WHY_OCTETS = PORT_DEVICE_OCTETS + 256,
	PORT_TAGS_OCTETS = VLAN_TAGS * VLAN_TAG_OCTETS, // not part of the MTU
};

// Bring up every port of the configuration with at most workers queues each. False: why says what failed and what to
// do; nothing is left running.
bool port_set_start(struct port_set *set, const struct config *config, unsigned workers,
	struct rte_mempool *mbufs, char why[PORT_WHY_OCTETS]);
void port_set_stop(struct port_set *set);

// Octets that a packet buffer needs for the largest MTU of the configuration: one packet is one buffer.
uint16_t port_buffer_octets(const struct config *config);

// Look at links and losses; once a second. Bit n of the answer: the link of port n went up or down since the last time.
uint32_t port_set_watch(struct port_set *set);

// The port of the same device that has these tags; -1: none.
int port_of_vlan(const struct port_set *set, uint16_t device_port, const struct vlan *vlan);

unsigned port_rx(const struct port *port, uint16_t queue, struct rte_mbuf **mbufs, unsigned count);

// FRAME_*_SUM_GOOD bits that the device (or an earlier port_vouch) vouches for.
unsigned port_rx_sums(const struct rte_mbuf *m);
void port_vouch(struct rte_mbuf *m);

// Put the tags of its port into a frame that is complete otherwise. False: no room in front of it.
bool port_tx_tags(struct rte_mbuf *m, const struct vlan *vlan);

// Prepare a TCP frame made with FRAME_SUMS_PORT for the device to finish; ip_octets: of its IP header, which says the family.
void port_tx_sums(struct rte_mbuf *m, uint32_t ip_octets);

// Takes all count buffers: what the device has no room for after a few tries is freed. Returns how many it took.
unsigned port_tx(const struct port *port, uint16_t queue, struct rte_mbuf **mbufs, unsigned count);
