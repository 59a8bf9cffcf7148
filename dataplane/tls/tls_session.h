// tls_session.h - one TLS session on the server's side, as octets in and octets out: no socket, no thread of its own, no clock but
// OpenSSL's.
//
// OpenSSL reads from session.in and writes to session.out, which the caller points at what he has before each call; nothing else
// holds octets of the wire but what OpenSSL keeps of a record that has not arrived whole.
//
// Life: tls_session_open -> tls_session_handshake... (on a handshake thread) -> tls_session_read, tls_session_write... (on the
// worker) -> tls_session_end -> tls_session_close.
//
// Thread:  whoever has it; one at a time.
// Memory:  OpenSSL's, in the session's account (tls_memory.h); none of it before tls_session_open() and after tls_session_close().
// Blocks:  never; a handshake step computes for a millisecond.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "tls/tls_memory.h"

struct ssl_ctx_st;
struct ssl_st;

enum tls_step {
	TLS_STEP_MORE, // wants more octets from the peer, or more room in out
	TLS_STEP_DONE, // handshake: complete. read: octets were decrypted
	TLS_STEP_END,  // the peer has said that nothing more comes (close_notify)
	TLS_STEP_BAD, // it broke the protocol, or memory or patience was at its end; an alert may be in out
};

// What came of the handshake; texts are constants of OpenSSL.
struct tls_facts {
	const char *version, *cipher; // "TLSv1.3", "TLS_AES_256_GCM_SHA384"
	bool resumed;
};

struct tls_session {
	struct ssl_st *ssl; // NULL: closed
	struct tls_account account;
	struct slice in; // not read yet
	uint8_t *out;
	uint32_t out_len, out_cap;
	uint32_t after; // handshake messages that came after the handshake (KeyUpdate)
	bool done;      // handshake
	bool alerted;   // a fatal alert went or came
};

// For the server's end. Takes ctx's reference over, also on failure (false: no memory).
bool tls_session_open(struct tls_session *session, struct ssl_ctx_st *ctx);

// One step; octets behind the end of the handshake stay in session.in.
enum tls_step tls_session_handshake(struct tls_session *session);
struct tls_facts tls_session_facts(const struct tls_session *session);

// Decrypt up to cap octets. MORE: nothing is there, and all of session.in was taken. out may get an answer to a KeyUpdate.
enum tls_step tls_session_read(
	struct tls_session *session, uint8_t *plain, uint32_t cap, uint32_t *len);

// Encrypt text of up to TLS_RECORD_OCTETS as one record. out needs room for TLS_RECORD_MORE beyond it. False: it is over.
bool tls_session_write(struct tls_session *session, struct slice text);

// Say that nothing more comes (close_notify).
void tls_session_end(struct tls_session *session);

void tls_session_close(struct tls_session *session);

enum {
	TLS_RECORD_OCTETS = 16384,
	TLS_RECORD_MORE = 512, // what records add, and an answer to a KeyUpdate beside
	TLS_MEMORY_OCTETS =
		256 *
		1024, // of one session; one in its handshake has some 60 KiB, one that idles 12
	TLS_AFTER_MAX = 64, // KeyUpdates of one session; one is due after 2^24 records
};
