// mx_address.h - may mail that is routed by MX go to this address? A foreign zone must not borrow our trust: never to loopback, private,
// link-local or multicast addresses, and never to ourselves.
//
// Thread: any. Memory: none.

#pragma once

#include <stdbool.h>

#include "config/config.h"

bool mx_address_is_allowed(const struct config *config, const struct ip_addr *addr);
