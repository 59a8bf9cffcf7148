// log_record.h - one decision as a worker reports it: fixed size, in a ring to the control thread, which adds names, rule
// positions and text form (control/log.h). A full ring loses the newest record and counts it.
//
// Thread: written by the worker that owns the ring, read by the control thread. Memory: by value.

#pragma once

#include <stdint.h>

#include "base/ip_addr.h"

#define LOG_EVENTS(EVENT)                                                                          \
	EVENT(CONNECT, "connect") /* session begun */                                              \
	EVENT(CONNECT_REFUSED,                                                                     \
		"refused")      /* by connection control, or a limit; sampled at the SYN */        \
	EVENT(RCPT, "rcpt")     /* verdict on one recipient */                                     \
	EVENT(MAIL, "mail")     /* sender refused (accepted senders are in RCPT and QUEUED) */     \
	EVENT(QUEUED, "queued") /* 250 after the last dot: message_id, octets */                   \
	EVENT(MESSAGE_REFUSED, "message") /* refused or deferred at or after the last dot */       \
	EVENT(DISCONNECT, "disconnect")   /* session over; reply: last code */

enum log_event {
#define EVENT(name, text) LOG_##name,
	LOG_EVENTS(EVENT)
#undef EVENT
		LOG_EVENT_COUNT
};

enum {
	LOG_TEXT_OCTETS =
		896, // sender, recipient, HELO name and the client's name together; cut when longer
};

struct log_record {
	int64_t wall_us;     // UTC
	uint64_t epoch;      // policy epoch the decision was made in
	uint64_t session;    // worker << 48 | counter: ties the lines of one session together
	uint64_t message_id; // QUEUED; else 0
	struct ip_addr client, local;
	const char *tls_version, *tls_cipher; // constants of OpenSSL; NULL: in the clear
	uint32_t class;                       // of the client in that epoch
	uint32_t octets;                      // QUEUED: body
	uint16_t client_port, local_port;
	uint16_t vserver;    // index in the snapshot of that epoch
	uint16_t reply_code; // 0: none was sent (drop, reset)
	uint16_t rcpt_count;
	uint8_t event;   // enum log_event
	uint8_t verdict; // enum policy_kind
	uint8_t rule;    // enum policy_rule
	uint8_t reply;   // enum smtp_reply
	uint16_t sender_len, recipient_len,
		helo_len;  // in text, one behind the other; hostile octets, not escaped yet
	uint16_t name_len; // the client's, behind them; one that decided, when a name did
	uint8_t text[LOG_TEXT_OCTETS];
};
