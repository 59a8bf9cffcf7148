// route.h - which next hop list a recipient goes to: routes of the configuration, by domain.
//
// Thread:  the event loop of postern-deliver. Memory: none, borrows the configuration. Blocks: never.

#pragma once

#include "config/config.h"

// For tests. The route whose domains match best: an exact name before ".suffix" (the longest one) before "*"; among equals the first written. NULL: none.
// domain: in any case, with or without a final dot.
const struct config_route *route_find(const struct config *config, const char *domain);

// The same for a recipient. One without a domain (RFC 5321 4.5.1: postmaster) goes where the first local domain of the virtual
// server goes that took it.
const struct config_route *route_of_recipient(
	const struct config *config, const char *vserver, const char *address);

// The domain that decides for a recipient; borrowed from address or the configuration.
const char *route_domain(const struct config *config, const char *vserver, const char *address);
