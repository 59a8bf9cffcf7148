// suffix_rules.h - the public suffix list's rules of several labels, in A-labels: "co.uk", "*.ck", "s3.amazonaws.com".
//
// Made when Postern is built, of the list that Debian's publicsuffix installs.
//
// Thread: any; constant. Memory: none.

#pragma once

#include <stddef.h>

extern const char *const suffix_rules[];
extern const size_t suffix_rule_count;
