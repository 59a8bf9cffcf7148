// load_port.h - the generator's NIC: EAL, one port with one queue, frames in and out, and the next hop's MAC by ARP.
//
// Thread: the loop. Memory: EAL's. Blocks: load_port_start() does.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "load_plan.h"
#include "net/frame.h"

struct load_port;

// A frame with TCP in it came.
typedef void load_port_fn(void *user, const struct frame *frame);

// NULL: why was printed.
struct load_port *load_port_start(const struct load_plan *plan);
void load_port_stop(struct load_port *port);

// One burst; ARP is answered here. Returns how many frames there were.
unsigned load_port_poll(struct load_port *port, uint64_t now_us, load_port_fn *fn, void *user);

// Whether the next hop is known, so that segments can leave.
bool load_port_is_ready(const struct load_port *port);
void load_port_send(struct load_port *port, const struct segment *s);
void load_port_flush(struct load_port *port);
uint16_t load_port_mss(const struct load_port *port);
uint64_t load_port_now_us(void);
