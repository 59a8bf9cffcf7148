// port_multicast.h - let a device hear the groups that carry neighbour discovery for the addresses of its ports.
//
// Thread: the control thread, at start. Memory: none. Blocks: as long as the driver takes.

#pragma once

#include "dataplane/port.h"

// By the narrowest means the driver has: the groups themselves, all groups, everything. A driver that has none filters nothing (the
// virtual ones) or hears no questions; which it was is the answer, a static text for status. Ports without IPv6: "none needed".
const char *port_multicast(const struct port_set *set, uint16_t device_port);
