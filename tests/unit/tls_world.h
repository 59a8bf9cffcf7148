// tls_world.h - certificates made on the spot, a configuration that names them, and a TLS client in memory.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void tls_world_write_key(const char *path, EVP_PKEY *key, const char *passphrase)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_PrivateKey(f, key, passphrase != NULL ? EVP_aes_256_cbc() : NULL,
				 (const unsigned char *)passphrase,
				 passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL),
		1);
	fclose(f);
}

// NAME.pem, valid for so many seconds from now, and NAME.key in directory.
static inline void tls_world_certify(const char *directory, const char *name, long seconds)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509_NAME *subject = X509_NAME_new();
	char path[256];
	FILE *f;

	assert_true(key != NULL && cert != NULL && subject != NULL);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_set_subject_name(cert, subject);
	X509_set_issuer_name(cert, subject);
	X509_set_pubkey(cert, key);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), seconds);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	snprintf(path, sizeof(path), "%s/%s.pem", directory, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s.key", directory, name);
	tls_world_write_key(path, key, NULL);
	X509_NAME_free(subject);
	X509_free(cert);
	EVP_PKEY_free(key);
}

// A context for a server with one of these.
static inline SSL_CTX *tls_world_context(const char *directory, const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.pem", directory, name);
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, path), 1);
	snprintf(path, sizeof(path), "%s/%s.key", directory, name);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM), 1);
	return ctx;
}

struct tls_client {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out; // to it, from it
};

static inline void tls_client_open(struct tls_client *c, int version, SSL_SESSION *ticket)
{
	c->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(c->ctx, version);
	SSL_CTX_set_min_proto_version(c->ctx, version);
	c->ssl = SSL_new(c->ctx);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(c->in, -1);
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	if (ticket != NULL)
		assert_int_equal(SSL_set_session(c->ssl, ticket), 1);
}

static inline void tls_client_close(struct tls_client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
}

// What it wants to send; how much.
static inline size_t tls_client_take(struct tls_client *c, uint8_t *at, size_t cap)
{
	int n = BIO_read(c->out, at, (int)cap);

	return n > 0 ? (size_t)n : 0;
}

static inline void tls_client_give(struct tls_client *c, const uint8_t *at, size_t len)
{
	if (len > 0)
		assert_int_equal(BIO_write(c->in, at, (int)len), (int)len);
}
