#include "tls/certificate.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tls/key_files.h"
#include "tls/ticket.h"

struct one {
	char name[LIMIT_NAME_OCTETS + 1]; // of the virtual server
	SSL_CTX *ctx;
	struct ticket_keys *tickets;
	int64_t expires_s;
};

struct certificate_set {
	struct key_files *files;
	uint32_t count;
	struct one ones[LIMIT_VSERVERS];
};

// What loading goes by.
struct load {
	const struct config *config;
	const struct certificate_set *before;
	const struct key_files *fresh;
	config_mistake_fn *mistake;
	void *user;
	struct certificate_set *set;
	unsigned mistakes;
};

enum { WHY_OCTETS = 256 };

static void complain(
	struct load *load, const struct config_file *file, const char *key, const char *why)
{
	char message[WHY_OCTETS + 4200];

	snprintf(message, sizeof(message), "%s: %s: %s", key, file->path, why);
	load->mistake(load->user, load->config->path, file->pos, message);
	load->mistakes++;
}

// OpenSSL's own words, for what ours do not cover.
static const char *openssl_why(char text[WHY_OCTETS])
{
	unsigned long e = ERR_peek_last_error();
	const char *reason = e != 0 ? ERR_reason_error_string(e) : NULL;

	snprintf(text, WHY_OCTETS, "OpenSSL: %s", reason != NULL ? reason : "unknown error");
	ERR_clear_error();
	return text;
}

// ---- Files

static int fetch(struct load *load, const char *path)
{
	struct key_files *files = load->set->files;
	int status = key_files_copy(files, load->fresh, path);

	if (status == 0)
		return 0;
	status = key_files_read(files, path);
	// It is root's, and we are not any more: the one that was read when we were.
	if (status == -EACCES && load->fresh == NULL && load->before != NULL &&
		key_files_copy(files, load->before->files, path) == 0)
		return 0;
	return status;
}

static BIO *open_file(struct load *load, const struct config_file *file, const char *key)
{
	int status = fetch(load, file->path);
	struct slice found;
	char why[WHY_OCTETS];
	BIO *bio;

	if (status != 0) {
		snprintf(why, sizeof(why), "cannot read: %s%s", strerror(-status),
			status == -EACCES ? " (SIGHUP to posternd reads it as root)" : "");
		complain(load, file, key, why);
		return NULL;
	}
	found = key_files_find(load->set->files, file->path);
	bio = BIO_new_mem_buf(found.at, (int)found.len);
	if (bio == NULL)
		complain(load, file, key, "no memory");
	return bio;
}

// ---- Certificate and key

static int64_t seconds_of(const ASN1_TIME *when)
{
	struct tm tm;

	return ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

// Those behind the first sign it, in any number; OpenSSL takes them as they are.
static bool add_chain(SSL_CTX *ctx, BIO *bio)
{
	X509 *next;
	bool added = true;

	while (added && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		added = SSL_CTX_add0_chain_cert(ctx, next) == 1;
		if (!added)
			X509_free(next);
	}
	// The end of the file is an error to OpenSSL; anything else is one to us as well.
	if (added && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ERR_clear_error();
	return added && ERR_peek_error() == 0;
}

static bool use_certificate(struct load *load, struct one *one, const struct config_tls *tls)
{
	BIO *bio = open_file(load, &tls->certificate, "certificate");
	X509 *leaf = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	char why[WHY_OCTETS];
	bool used;

	if (bio == NULL)
		return false;
	if (leaf == NULL) {
		BIO_free(bio);
		ERR_clear_error();
		complain(load, &tls->certificate, "certificate",
			"expected a certificate in PEM (-----BEGIN CERTIFICATE-----)");
		return false;
	}
	one->expires_s = seconds_of(X509_get0_notAfter(leaf));
	used = SSL_CTX_use_certificate(one->ctx, leaf) == 1 && add_chain(one->ctx, bio);
	if (!used)
		complain(load, &tls->certificate, "certificate", openssl_why(why));
	X509_free(leaf);
	BIO_free(bio);
	return used;
}

// A key with a passphrase: nobody is there to be asked.
// OpenSSL's signature. NOLINTNEXTLINE(readability-non-const-parameter)
static int no_passphrase(char *room, int octets, int writing, void *user)
{
	(void)room;
	(void)octets;
	(void)writing;
	*(bool *)user = true;
	return 0;
}

static bool use_key(struct load *load, struct one *one, const struct config_tls *tls)
{
	BIO *bio = open_file(load, &tls->key, "key");
	bool encrypted = false, used;
	char why[WHY_OCTETS];
	EVP_PKEY *key;

	if (bio == NULL)
		return false;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	if (key == NULL) {
		ERR_clear_error();
		complain(load, &tls->key, "key",
			encrypted ? "has a passphrase: expected a key without one"
				  : "expected a private key in PEM");
		return false;
	}
	if (SSL_CTX_get0_certificate(one->ctx) != NULL &&
		X509_check_private_key(SSL_CTX_get0_certificate(one->ctx), key) != 1) {
		ERR_clear_error();
		complain(load, &tls->key, "key", "is not the key of the certificate beside it");
		EVP_PKEY_free(key);
		return false;
	}
	used = SSL_CTX_use_PrivateKey(one->ctx, key) == 1;
	if (!used)
		complain(load, &tls->key, "key", openssl_why(why));
	EVP_PKEY_free(key);
	return used;
}

// ---- Contexts

// RFC 9325: 1.2 with forward secrecy and AEAD only, and 1.3. What a client of 2013 can do; older ones go on in the clear.
static SSL_CTX *make_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	bool good = ctx != NULL && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") == 1 &&
		    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") == 1;

	if (!good) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_recv_max_early_data(ctx, 0);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_read_ahead(ctx, 0);
	return ctx;
}

static struct ticket_keys *tickets_of(const struct certificate_set *before, const char *name)
{
	for (uint32_t i = 0; before != NULL && i < before->count; i++) {
		const struct one *one = &before->ones[i];

		if (one->tickets != NULL && strcmp(one->name, name) == 0)
			return ticket_keys_hold(one->tickets);
	}
	return ticket_keys_new();
}

static void load_one(struct load *load, uint32_t index)
{
	const struct config_vserver *v = &load->config->vservers[index];
	struct one *one = &load->set->ones[index];

	snprintf(one->name, sizeof(one->name), "%s", v->name);
	if (v->tls.certificate.path == NULL)
		return;
	one->ctx = make_context();
	one->tickets = tickets_of(load->before, v->name);
	if (one->ctx == NULL || one->tickets == NULL || !ticket_keys_use(one->tickets, one->ctx) ||
		SSL_CTX_set_session_id_context(one->ctx, (const unsigned char *)one->name,
			(unsigned)strnlen(one->name, SSL_MAX_SID_CTX_LENGTH)) != 1) {
		complain(load, &v->tls.certificate, "certificate", "no memory");
		return;
	}
	(void)use_certificate(load, one, &v->tls);
	(void)use_key(load, one, &v->tls);
}

struct certificate_set *certificate_set_load(const struct config *config,
	const struct certificate_set *before, const struct key_files *fresh,
	config_mistake_fn *mistake, void *user)
{
	struct load load = {config, before, fresh, mistake, user, NULL, 0};

	load.set = calloc(1, sizeof(*load.set));
	if (load.set != NULL)
		load.set->files = key_files_new();
	if (load.set == NULL || load.set->files == NULL) {
		certificate_set_free(load.set);
		mistake(user, config->path, (struct config_pos){1, 1},
			"no memory for certificates");
		return NULL;
	}
	load.set->count = config->vserver_count;
	for (uint32_t i = 0; i < config->vserver_count; i++)
		load_one(&load, i);
	if (load.mistakes == 0)
		return load.set;
	certificate_set_free(load.set);
	return NULL;
}

int certificate_set_to_memfd(const struct certificate_set *set)
{
	return key_files_to_memfd(set->files);
}

static void say_nothing(void *user, const char *path, struct config_pos pos, const char *message)
{
	(void)user;
	(void)path;
	(void)pos;
	(void)message;
}

int certificate_files_read(const char *config_path, int config_memfd)
{
	struct config *config = config_load(config_path, config_memfd, say_nothing, NULL);
	struct key_files *files = key_files_new();
	int fd = -1;

	for (uint32_t i = 0; config != NULL && files != NULL && i < config->vserver_count; i++) {
		const struct config_tls *tls = &config->vservers[i].tls;

		if (tls->certificate.path == NULL)
			continue;
		(void)key_files_read(files, tls->certificate.path);
		(void)key_files_read(files, tls->key.path);
	}
	if (config != NULL && files != NULL)
		fd = key_files_to_memfd(files);
	key_files_free(files);
	config_free(config);
	return fd < 0 ? -1 : fd;
}

void certificate_set_free(struct certificate_set *set)
{
	if (set == NULL)
		return;
	for (uint32_t i = 0; i < set->count; i++) {
		SSL_CTX_free(set->ones[i].ctx);
		ticket_keys_drop(set->ones[i].tickets);
	}
	key_files_free(set->files);
	free(set);
}

struct ssl_ctx_st *certificate_set_context(const struct certificate_set *set, uint32_t vserver)
{
	return set->ones[vserver].ctx;
}

int64_t certificate_set_expires_s(const struct certificate_set *set, uint32_t vserver)
{
	return set->ones[vserver].expires_s;
}
