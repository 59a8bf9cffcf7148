// err.h - the one list of errors and the one way to hand them upwards.
//
// Thread: any. Memory: none.

#pragma once

enum err {
#define ERR(symbol, text) ERR_##symbol,
#include "base/err.def"
#undef ERR
	ERR_COUNT
};

// Text for logs; never NULL. Not for SMTP peers: see smtp/smtp_reply.h.
const char *err_text(enum err e);

#define MUST_CHECK __attribute__((warn_unused_result))

// Hand an error to the caller. The only macro in the tree that hides a return.
// Not to be used while the function owns something it must give back.
#define TRY(call)                                                                                  \
	do {                                                                                       \
		enum err try_err_ = (call);                                                        \
		if (try_err_ != ERR_OK)                                                            \
			return try_err_;                                                           \
	} while (0)
