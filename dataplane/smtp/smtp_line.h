// smtp_line.h - octets to command lines (RFC 5321 section 2.3.8).
//
// Thread:  any. Memory: none; borrows the input.
// Blocks:  never. Cost: three passes of memchr() over at most LIMIT_COMMAND_READ_OCTETS; after ERR_MORE the line is looked
//          at from its start again.

#pragma once

#include "base/err.h"
#include "base/slice.h"

// Take one line off the front of *in.
//
//   in    in/out: advanced past the CRLF on ERR_OK, untouched on every error.
//   line  out: the line without its CRLF; points into in's memory.
//
// ERR_MORE           no end yet; call again with the same octets and more behind them.
// ERR_LINE_TOO_LONG  no end within LIMIT_COMMAND_READ_OCTETS: the peer may never send one; answer and close.
// ERR_LINE_BARE_LF, ERR_LINE_BARE_CR, ERR_LINE_NUL
//                    the peer and a later hop could disagree about where this line ends ("SMTP smuggling"); answer and
//                    close. The same octets give an error whether they come at once or one by one.
MUST_CHECK enum err smtp_line_take(struct slice *in, struct slice *line);
