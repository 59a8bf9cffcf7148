#include "tls/tls_session.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

// ---- The wire, as OpenSSL sees it

static int wire_read(BIO *bio, char *at, size_t cap, size_t *len)
{
	struct tls_session *session = BIO_get_data(bio);
	size_t n = session->in.len < cap ? session->in.len : cap;

	BIO_clear_retry_flags(bio);
	*len = n;
	if (n == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(at, session->in.at, n);
	session->in = (struct slice){session->in.at + n, session->in.len - n};
	return 1;
}

static int wire_write(BIO *bio, const char *at, size_t len, size_t *written)
{
	struct tls_session *session = BIO_get_data(bio);
	size_t room = session->out_cap - session->out_len, n = len < room ? len : room;

	BIO_clear_retry_flags(bio);
	*written = n;
	if (n == 0) {
		BIO_set_retry_write(bio);
		return 0;
	}
	memcpy(session->out + session->out_len, at, n);
	session->out_len += (uint32_t)n;
	return 1;
}

static long wire_control(BIO *bio, int command, long number, void *at)
{
	(void)bio;
	(void)number;
	(void)at;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int wire_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

// Made once, by the first who needs it; two who are first make two, and one is never freed.
static BIO_METHOD *wire_method(void)
{
	static _Atomic(BIO_METHOD *) made;
	BIO_METHOD *method = atomic_load(&made);

	if (method != NULL)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
	if (method == NULL)
		return NULL;
	BIO_meth_set_read_ex(method, wire_read);
	BIO_meth_set_write_ex(method, wire_write);
	BIO_meth_set_ctrl(method, wire_control);
	BIO_meth_set_create(method, wire_create);
	atomic_store(&made, method);
	return method;
}

// ---- What a peer may do after the handshake

// OpenSSL's signature. NOLINTNEXTLINE(readability-function-size)
static void on_message(
	int sent, int version, int type, const void *at, size_t len, SSL *ssl, void *user)
{
	struct tls_session *session = user;

	(void)version;
	(void)ssl;
	if (type == SSL3_RT_HANDSHAKE && !sent && session->done)
		session->after++;
	if (type == SSL3_RT_ALERT && len == 2 && ((const uint8_t *)at)[0] == SSL3_AL_FATAL)
		session->alerted = true;
}

// ---- Life

static bool attach(struct tls_session *session)
{
	BIO_METHOD *method = wire_method();
	BIO *bio = method != NULL ? BIO_new(method) : NULL;

	if (bio == NULL)
		return false;
	BIO_set_data(bio, session);
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_msg_callback(session->ssl, on_message);
	SSL_set_msg_callback_arg(session->ssl, session);
	SSL_set_accept_state(session->ssl);
	return true;
}

bool tls_session_open(struct tls_session *session, SSL_CTX *ctx)
{
	bool open;

	assert(session->ssl == NULL);
	tls_memory_open(&session->account, TLS_MEMORY_OCTETS);
	session->after = 0;
	session->done = session->alerted = false;
	tls_memory_charge(&session->account);
	session->ssl = SSL_new(ctx);
	open = session->ssl != NULL && attach(session);
	tls_memory_charge(NULL);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	if (!open)
		tls_session_close(session);
	return open;
}

void tls_session_close(struct tls_session *session)
{
	SSL_free(session->ssl);
	session->ssl = NULL;
}

// ---- Steps

static enum tls_step step_of(struct tls_session *session, int result)
{
	int why = SSL_get_error(session->ssl, result);

	ERR_clear_error();
	if (session->after > TLS_AFTER_MAX)
		return TLS_STEP_BAD;
	if (why == SSL_ERROR_NONE)
		return TLS_STEP_DONE;
	if (why == SSL_ERROR_ZERO_RETURN)
		return TLS_STEP_END;
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? TLS_STEP_MORE
									 : TLS_STEP_BAD;
}

enum tls_step tls_session_handshake(struct tls_session *session)
{
	enum tls_step step;

	ERR_clear_error();
	tls_memory_charge(&session->account);
	step = step_of(session, SSL_do_handshake(session->ssl));
	tls_memory_charge(NULL);
	session->done = step == TLS_STEP_DONE;
	return step;
}

struct tls_facts tls_session_facts(const struct tls_session *session)
{
	return (struct tls_facts){.version = SSL_get_version(session->ssl),
		.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(session->ssl)),
		.resumed = SSL_session_reused(session->ssl) != 0};
}

enum tls_step tls_session_read(
	struct tls_session *session, uint8_t *plain, uint32_t cap, uint32_t *len)
{
	enum tls_step step;
	size_t got = 0;

	ERR_clear_error();
	tls_memory_charge(&session->account);
	step = step_of(session, SSL_read_ex(session->ssl, plain, cap, &got));
	tls_memory_charge(NULL);
	*len = (uint32_t)got;
	return step;
}

bool tls_session_write(struct tls_session *session, struct slice text)
{
	size_t written = 0;
	int result;

	assert(session->out_cap - session->out_len >= text.len + TLS_RECORD_MORE);
	ERR_clear_error();
	tls_memory_charge(&session->account);
	result = SSL_write_ex(session->ssl, text.at, text.len, &written);
	tls_memory_charge(NULL);
	ERR_clear_error();
	return result == 1 && written == text.len;
}

void tls_session_end(struct tls_session *session)
{
	ERR_clear_error();
	tls_memory_charge(&session->account);
	(void)SSL_shutdown(session->ssl);
	tls_memory_charge(NULL);
	ERR_clear_error();
}
