// load_html.h - the report as one page: figures, rates over time, latencies by phase; no script, no other file.
//
// Thread: main. Blocks: on the file.

#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "load_tell.h"

bool load_html_write(const struct load_tell *tell, const json_t *result, const char *path);
