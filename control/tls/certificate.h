// certificate.h - the certificates and keys that a configuration names, read and checked: one OpenSSL context for each virtual server
// that has any.
//
// Private keys are root's to read, so posternd reads all files of a configuration, at its start and for SIGHUP, and hands their octets to
// postern-edge in sealed memory (key_files.h). On `posternctl reload` postern-edge reads them itself; one it may not read is the one it
// has.
//
// Thread:  control; contexts are then used on handshake threads, and reference counted by OpenSSL: sessions keep theirs over a reload.
// Memory:  the set's; certificate_set_free() gives it back.
// Blocks:  reads files.

#pragma once

#include <stdint.h>

#include "config/config.h"

struct certificate_set;
struct key_files;
struct ssl_ctx_st;

// Contexts for all virtual servers of config. before: whose ticket keys live on, and whose files stand in for those that may not be read;
// NULL: none. fresh: all files there are to be, read by somebody else; NULL: none, read them. NULL: there were mistakes, each was reported at its place
// in the configuration.
struct certificate_set *certificate_set_load(const struct config *config,
	const struct certificate_set *before, const struct key_files *fresh,
	config_mistake_fn *mistake, void *user);

// Its files as sealed memory, for the next postern-edge; a descriptor or -errno.
int certificate_set_to_memfd(const struct certificate_set *set);

// The files that this configuration text names, read now, as sealed memory; those that cannot be read are left out. A descriptor,
// or -1: the configuration has mistakes, which whoever loads it is told.
int certificate_files_read(const char *config_path, int config_memfd);

void certificate_set_free(struct certificate_set *set);

// By index of virtual server; NULL: it has no certificate.
struct ssl_ctx_st *certificate_set_context(const struct certificate_set *set, uint32_t vserver);

// When it expires, seconds since 1970; 0: there is none.
int64_t certificate_set_expires_s(const struct certificate_set *set, uint32_t vserver);
