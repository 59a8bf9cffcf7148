// Target functions: frame_parse, arp_parse
//
// Checked, not only crashes: everything a parsed frame points at lies inside the input; options hold their bounds.

#include <stdlib.h>

#include "net/arp.h"
#include "net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct slice part, const uint8_t *data, size_t size)
{
	if (part.len != 0 && (part.at < data || part.at + part.len > data + size))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	// First octet: which sums the port vouches for, so that the parser behind them is reached.
	unsigned sums = size != 0 ? data[0] & 3 : 0;
	struct slice in = {data + (size != 0), size - (size != 0)};
	struct frame f;
	struct arp arp;

	if (frame_parse(in, sums, &f) != DROP_NONE)
		return 0;
	inside(f.l3, data, size);
	if (f.kind == FRAME_ARP)
		(void)arp_parse(&f, &arp);
	if (f.kind != FRAME_TCP)
		return 0;
	if (f.tcp.part_count > 1 || f.tcp.options.sack_count > SEGMENT_SACKS ||
		f.tcp.options.scale > 14)
		abort();
	inside(f.tcp.parts[0], data, size);
	if (f.tcp.payload_octets != f.tcp.parts[0].len)
		abort();
	return 0;
}
