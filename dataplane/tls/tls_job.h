// tls_job.h - one step of a handshake, on its way from a worker to a handshake thread and back: the octets that came, the
// octets that are to go.
//
// Thread:  whoever's ring it came out of; the worker's pool else.
// Memory:  each worker has LIMIT_TLS_JOBS of them from its start.

#pragma once

#include <stdint.h>

#include "tls/tls_session.h"

enum {
	TLS_JOB_OCTETS = 16384, // each way; a longer flight goes in several
};

struct tls_job {
	struct tls_job *next; // in the worker's pool
	struct tls_session *session;
	struct ssl_ctx_st *ctx; // first step: a reference to make the session of; NULL else
	uint32_t conn, generation, slot;
	uint16_t step;    // answer: enum tls_step
	uint32_t in_len;  // of in
	uint32_t taken;   // answer: octets of in that the session took
	uint32_t out_len; // answer: octets of out
	struct tls_facts facts;
	uint8_t in[TLS_JOB_OCTETS], out[TLS_JOB_OCTETS];
};
