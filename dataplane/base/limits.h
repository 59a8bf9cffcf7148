// limits.h - every bound of the data plane in one place, with what happens there.
//
// Thread: any. Memory: none.

#pragma once

enum {
	// SMTP (RFC 5321 4.5.3.1, and what other servers use)
	LIMIT_COMMAND_LINE_OCTETS = 512,  // with CRLF; more: 500 5.5.2, counted as an error
	LIMIT_COMMAND_READ_OCTETS = 4096, // a line with no end by then: 500 5.5.2 and close
	LIMIT_PATH_OCTETS = 256,          // more: 501 5.1.7 or 5.1.3
	LIMIT_LOCAL_PART_OCTETS =
		128, // more: 501; RFC 5321 has 64, but VERP and SRS senders are longer
	LIMIT_DOMAIN_OCTETS = 255, // more: 501
	LIMIT_RECIPIENTS = 1000,   // more: 452 4.5.3 for each
	LIMIT_ERRORS = 20,         // then 421 4.7.0 and close
	LIMIT_REFUSALS =
		100, // senders and recipients refused in a session; each further one counts as an error
	LIMIT_RECEIVED_LINES = 30,       // more: 554 5.4.6
	LIMIT_MESSAGE_OCTETS = 52428800, // default of max_message; more: 552 5.3.4
	LIMIT_COMMAND_S = 300, // waiting for a whole command or a body octet: 421 4.4.2, close
	LIMIT_BODY_RATE =
		500, // octets/s of a body; one that is slower for LIMIT_COMMAND_S: the same
	LIMIT_CONNS_PER_CLIENT = 50, // default of max_connections_per_client; more: 421 4.7.0

	// TLS, of one worker
	LIMIT_TLS_SESSIONS = 8192,   // more: 454 to STARTTLS; on port 465 the connection is closed
	LIMIT_TLS_HANDSHAKES = 2048, // under way; more: the same
	LIMIT_TLS_HANDSHAKES_PER_CLIENT = 32, // likewise; a v6 client is its /64
	LIMIT_TLS_HANDSHAKE_S = 30,           // one that takes longer: close
	LIMIT_TLS_JOBS = 64,   // steps of handshakes with a handshake thread; more wait, unread
	LIMIT_TLS_THREADS = 2, // that do handshakes, for all workers

	// TCP: what a peer may cost
	LIMIT_TCP_SYN_RETRIES = 6,     // our SYN: 127 s, then closed(TIMEOUT)
	LIMIT_TCP_SYN_ACK_RETRIES = 5, // 63 s, then the slot goes back without a word
	LIMIT_TCP_RETRIES = 10,        // RTO expiries without progress, over 100 s: closed(TIMEOUT)
	LIMIT_TCP_PROBES = 20, // window probes, answered or not, some 17 minutes: closed(TIMEOUT)
	LIMIT_TCP_CLOSED_RETRIES = 8, // either of both once the application has closed
	LIMIT_TCP_RTO_MIN_US =
		200000, // RFC 6298 wants 1 s; as Linux, since mail is many short turns
	LIMIT_TCP_RTO_MAX_US = 60000000,
	LIMIT_TCP_DELAYED_ACK_US = 40000,
	LIMIT_TCP_PROBE_MIN_US = 2000, // a tail probe is no sooner than this and two round trips
	LIMIT_TCP_PROBE_ACK_US =
		60000, // added for a single segment, which the peer may acknowledge late
	LIMIT_TCP_TIME_WAIT_US = 60000000,  // slots come back earlier when SYNs need them
	LIMIT_TCP_FIN_WAIT_2_US = 60000000, // after tcp_close(): RST, closed(TIMEOUT)
	LIMIT_TCP_KEEP_IDLE_S =
		120, // sessions of clients that are silent for so long are probed, before a NAT forgets them
	LIMIT_TCP_KEEP_INTERVAL_S = 30, // and again
	LIMIT_TCP_KEEP_PROBES =
		4, // so many unanswered: closed(TIMEOUT), a minute before the command's time is over
	LIMIT_TCP_CHALLENGES = 5, // ACKs to suspect segments of one connection in a second
	LIMIT_TCP_RECEIVE_WINDOW =
		6 << 20, // octets on their way to us on one connection: 500 Mbit/s at 100 ms
	LIMIT_TCP_RANGES = 1024, // holes in what arrived out of order; more: dropped
	LIMIT_TCP_CRUMBS =
		32, // of them, when less than half a block lies between two; more: dropped
	LIMIT_TCP_FLIGHT = 1024, // notes on segments in flight; beyond it segments share one
	LIMIT_TCP_EMBRYONIC_SHARE =
		4, // 1/4 of the slots may wait for a handshake; more: SYN cookies
	LIMIT_TCP_OUT_OF_ORDER_RESERVE =
		4, // data out of order, and notes on more than one segment in flight, take no block of the last 1/4
	LIMIT_TCP_UNREAD_RESERVE =
		16, // unread data takes no block of the last 1/16: it is for replies
	LIMIT_ENVELOPE_RESERVE =
		8, // names, senders and recipients take no block of the last 1/8: 452 4.3.1
	LIMIT_REPLY_RESERVE =
		64, // replies to commands take no block of the last 1/64: it is for those to mails that are on disk
	LIMIT_TCP_WIRE_KEY_S = 3600, // then another key makes initial sequence numbers
	LIMIT_TCP_COOKIE_KEY_S = 64, // then another makes SYN cookies; they are read as long again
	LIMIT_TCP_MSS_MIN = 64,      // a peer that asks for less gets this (tiny MSS attack)

	// IPv6
	LIMIT_IP6_EXTENSIONS = 8, // extension headers of a packet (RFC 8504 5.3); more: dropped
	LIMIT_IP6_EXTENSION_OCTETS = 512, // of all of them

	// Path MTU
	LIMIT_TCP_MTU_MIN_V4 = 552, // smaller claims are dropped: no honest path is that narrow
	LIMIT_TCP_MTU_MIN_V6 = 1280,
	LIMIT_TCP_PMTU = 256, // connections with a narrow path; more: one keeps what it has
	LIMIT_TCP_PMTU_RAISE_US = 600000000, // then the full size is tried again (RFC 1191 6.3)

	// IP fragments, per worker
	LIMIT_REASSEMBLIES =
		256, // packets that wait for fragments; more: the oldest of a set gives way
	LIMIT_REASSEMBLIES_PER_SOURCE = 16, // more of one address: the newest is dropped
	LIMIT_FRAGMENTS = 32,               // of one packet; more: the packet is dropped
	LIMIT_REASSEMBLY_OCTETS = 8192,     // payload of one packet; more: it is dropped

	// Memory
	LIMIT_PRESSURE_REFUSE_S =
		1, // that nobody new is let in (pressure.h); then those idle longest are reset
	LIMIT_PRESSURE_SHRINK_S = 5,    // that windows are shut: the same
	LIMIT_PRESSURE_IDLE_S = 10,     // and none that was idle for less
	LIMIT_PRESSURE_STEP = 64,       // slots looked at in a loop meanwhile
	LIMIT_BLOCK_OCTETS = 1024,      // one block of the small pool (envelopes, TCP queues)
	LIMIT_SPOOL_BUF_OCTETS = 16384, // one body buffer on its way to the spooler

	// Spool
	LIMIT_SPOOL_BATCH = 2048, // requests between two syncs; the spooler takes no more then
	LIMIT_SPOOL_OPEN =
		16384, // messages begun and not committed; more: 452 at DATA when they are one worker's, else at their end
	LIMIT_SPOOL_EXTENTS = 16384, // chunks of one message; more: 452 at its end
	LIMIT_SPOOL_EXTENTS_OPEN =
		1 << 20, // chunks of all open messages together; more: 452 for the newest
	LIMIT_SPOOL_ENVELOPE_OCTETS = 524288, // strings of one envelope; more: 452
	LIMIT_SPOOL_SEGMENTS = 16384,         // files; more: as if the disk were full
	LIMIT_OUTCOME_TEXT_OCTETS = 1024,     // of a remote server's reply; cut off there

	// Configuration
	LIMIT_VSERVERS = 64,
	LIMIT_WORKERS = 32,
	LIMIT_PORTS = 16, // each VLAN of a device is one
	LIMIT_PORT_ADDRESSES = 256,
	LIMIT_LISTEN = 64, // listen entries of one virtual server
	LIMIT_STEERING_RULES =
		1024, // rules given to one NIC; addresses beyond them are steered in software
	LIMIT_NAME_OCTETS = 63,
	LIMIT_NAME_ENTRIES =
		2048, // clients of one worker whose names are known; the oldest is forgotten
	LIMIT_NAME_WAITERS =
		16384, // sessions of one worker that wait for a name; more: unknown, 451 or 421
	LIMIT_NAME_QUESTIONS =
		1024, // open at once, of all workers, half for one virtual server; more: likewise
	LIMIT_NAMES = 5000, // names in all lists together, some 4 s to compile; more is a mistake
};
