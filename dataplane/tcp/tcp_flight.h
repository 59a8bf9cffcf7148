// tcp_flight.h - what is on its way to the peer: a note on each segment (RFC 6675's scoreboard with the times RFC 8985 wants), and
// everything else that a connection has to know only while something is on its way.
//
// Taken when a second segment leaves or the first one has to leave again, gone when all are acknowledged: most replies are one segment,
// and cost nothing here. Without a block one segment at a time is in flight.
//
// Thread:  the lcore that owns the stack.
// Memory:  blocks of the stack; at most LIMIT_TCP_FLIGHT notes, beyond which segments share one.
// Blocks:  never. Cost: O(segments acknowledged); with SACK O(notes in the ranges named).

#pragma once

#include <assert.h>
#include <stdbool.h>

#include "tcp/tcp_conn.h"
#include "tcp/tcp_cubic.h"
#include "tcp/tcp_spans.h"

// tcp_span.flags of a segment in flight; the bits from TCP_SENT_ONE on count the segments it stands for.
enum tcp_sent {
	TCP_SENT_SACKED = 1 << 0,
	TCP_SENT_LOST = 1 << 1,  // has to leave again
	TCP_SENT_AGAIN = 1 << 2, // has left more than once
	TCP_SENT_ONE = 1 << 8,
};

// What is done about a loss.
enum tcp_repair {
	TCP_REPAIR_NONE,
	TCP_REPAIR_ECN,     // nothing is lost, but a router was about to: only the window is cut
	TCP_REPAIR_FAST,    // seen by SACK, RACK or duplicates
	TCP_REPAIR_TIMEOUT, // seen by the RTO
};

// RFC 8985 names these.
struct tcp_rack {
	uint32_t sent_us,
		end; // RACK.xmit_ts, RACK.end_seq: what was sent last of all that was delivered
	uint32_t rtt_us, min_rtt_us; // 0: none yet
	uint32_t fack;               // highest number delivered
	uint32_t wait_us; // until the reordering window of something is over; 0: nothing waits
	uint32_t dsack_round, probe_end;
	uint32_t probe_ts; // our clock when the probe left
	uint8_t reorder_mult, reorder_persist;
	bool has_sent, in_dsack_round, probing, probed_again;
};

// What the last cut can be taken back with when it was for nothing (RFC 3522, 4015, 2883).
struct tcp_undo {
	uint32_t cwnd, ssthresh;
	uint32_t again_octets; // sent again and not reported as a duplicate
	uint32_t again_ts;     // our clock when the first of them left
	bool is_valid, has_again;
	struct tcp_cubic cubic;
};

struct tcp_flight {
	uint32_t sacked, lost; // octets of the notes that say so
	uint32_t sacked_segments;
	uint32_t lost_from;          // nothing in front of it is lost
	uint32_t dup_octets;         // without SACK: what the duplicates say has left
	uint32_t cursor;             // block that held the last octet sent
	uint32_t rtt_end;            // the next sample is taken when this is acknowledged
	uint32_t most_out, most_end; // most octets out at once since most_end was acknowledged
	uint32_t used_to;            // snd_max when the congestion window last held something back
	uint32_t recover;            // snd_max when the last loss was seen
	uint8_t dup_acks, repair;
	uint32_t prr_delivered, prr_out, prr_flight; // RFC 6937
	struct tcp_cubic cubic;
	struct tcp_rack rack;
	struct tcp_undo undo;
};

_Static_assert(sizeof(struct tcp_flight) <= TCP_SPANS_OWNER_OCTETS, "lent room");

// What one ACK says has arrived.
struct tcp_delivery {
	uint32_t octets;       // acknowledged or SACKed for the first time
	uint32_t acked;        // by how much the number moved
	uint32_t flight;       // octets that were out before
	uint32_t again_octets; // D-SACK: that came twice
	uint32_t rtt_us;       // of the oldest segment acknowledged that left once
	bool has_rtt, is_duplicate, has_sacks, was_again;
};

static inline bool tcp_flight_mends_loss(const struct tcp_flight *f)
{
	return f->repair == TCP_REPAIR_FAST || f->repair == TCP_REPAIR_TIMEOUT;
}

static inline struct tcp_flight *tcp_flight_of(const struct tcp_conn *conn)
{
	return tcp_spans_owner(conn->stack, conn->flight);
}

// What is in flight by now, one segment at most, gets its note. False: no block.
bool tcp_flight_open(struct tcp_conn *conn);

// Nothing is queued and nothing in flight.
void tcp_flight_close_if_done(struct tcp_conn *conn);
void tcp_flight_close(struct tcp_conn *conn);

// [seq, end) has left for the first time; snd_max is still what it was.
void tcp_flight_on_sent(struct tcp_conn *conn, uint32_t seq, uint32_t end, uint64_t now_us);

// The note at seq has left again, up to end.
void tcp_flight_on_sent_again(struct tcp_conn *conn, uint32_t seq, uint32_t end, uint64_t now_us);

// The ACK and SACK fields of s; snd_una is still what it was.
void tcp_flight_on_ack(
	struct tcp_conn *conn, const struct segment *s, struct tcp_delivery *d, uint64_t now_us);

// Until the RTO of the oldest segment, had it been set when that left last.
uint64_t tcp_flight_rto_left_us(const struct tcp_conn *conn, uint64_t now_us);

// Octets in the network as far as is known (RFC 6675 4, pipe).
uint32_t tcp_flight_pipe(const struct tcp_conn *conn);

// The next note to send again, joined with lost ones behind it up to a segment. False: none.
bool tcp_flight_next_lost(struct tcp_conn *conn, struct tcp_span *out);

void tcp_flight_mark_lost(struct tcp_conn *conn, struct tcp_span *span);

// After an RTO: the first and all that left before sent_us; SACKs are forgotten when the peer seems to have forgotten what it
// reported (RFC 2018 8).
void tcp_flight_mark_lost_before(struct tcp_conn *conn, uint32_t sent_us);

// The cut was for nothing: nothing is lost.
void tcp_flight_mark_none_lost(struct tcp_conn *conn);

// A note that reaches beyond at becomes two, when there is a block for it.
void tcp_flight_split(struct tcp_conn *conn, uint32_t at);
