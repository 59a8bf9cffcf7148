// A server's TLS session against OpenSSL's client in memory: handshakes cut anywhere, records, ends, and what a peer may not do.

#include "tls_world.h"

#include "tls/tls_memory.h"
#include "tls/tls_session.h"

enum { WIRE = 65536, PLAIN = 16384 };

static char directory[] = "/tmp/postern-tls-XXXXXX";

struct pair {
	struct tls_session server;
	struct tls_client client;
	SSL_CTX *ctx;
	uint8_t wire[WIRE], out[WIRE];
	size_t wire_len; // from the client, not given to the server
};

static void lend(struct pair *p, size_t in_len)
{
	p->server.in = (struct slice){p->wire, in_len};
	p->server.out = p->out;
	p->server.out_len = 0;
	p->server.out_cap = WIRE;
}

// After the server has looked at the first in_len octets of wire.
static void settle(struct pair *p, size_t in_len)
{
	size_t taken = in_len - p->server.in.len;

	memmove(p->wire, p->wire + taken, p->wire_len - taken);
	p->wire_len -= taken;
	tls_client_give(&p->client, p->out, p->server.out_len);
}

static void hear_client(struct pair *p)
{
	p->wire_len += tls_client_take(&p->client, p->wire + p->wire_len, WIRE - p->wire_len);
}

static void pair_open(struct pair *p, int version)
{
	memset(p, 0, sizeof(*p));
	p->ctx = tls_world_context(directory, "a");
	SSL_CTX_set_options(p->ctx, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(p->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_up_ref(p->ctx);
	assert_true(tls_session_open(&p->server, p->ctx));
	tls_client_open(&p->client, version, NULL);
}

static void pair_close(struct pair *p)
{
	tls_session_close(&p->server);
	tls_client_close(&p->client);
	SSL_CTX_free(p->ctx);
}

// piece: octets shown to the server at once.
static enum tls_step shake(struct pair *p, size_t piece)
{
	enum tls_step step = TLS_STEP_MORE;
	bool client_done = false;

	for (int turn = 0; turn < 20000 && !(step == TLS_STEP_DONE && client_done); turn++) {
		client_done = SSL_do_handshake(p->client.ssl) == 1;
		hear_client(p);
		if (step != TLS_STEP_MORE || p->wire_len == 0)
			continue;
		size_t n = p->wire_len < piece ? p->wire_len : piece;

		lend(p, n);
		step = tls_session_handshake(&p->server);
		settle(p, n);
		if (step == TLS_STEP_BAD)
			return step;
	}
	return step;
}

static uint32_t read_all(struct pair *p, uint8_t *plain, enum tls_step *step)
{
	uint32_t all = 0, got;

	hear_client(p);
	lend(p, p->wire_len);
	size_t in_len = p->wire_len;

	do {
		*step = tls_session_read(&p->server, plain + all, PLAIN, &got);
		all += got;
	} while (*step == TLS_STEP_DONE);
	settle(p, in_len);
	return all;
}

static void test_session_handshake_in_pieces_of_any_size_succeeds(void **state)
{
	static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
	static const size_t pieces[] = {1, 2, 5, 6, 63, 1000, WIRE};

	(void)state;
	for (size_t v = 0; v < 2; v++)
		for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
			struct pair p;
			struct tls_facts facts;

			pair_open(&p, versions[v]);
			assert_int_equal(shake(&p, pieces[i]), TLS_STEP_DONE);
			facts = tls_session_facts(&p.server);
			assert_string_equal(facts.version, v == 0 ? "TLSv1.2" : "TLSv1.3");
			assert_non_null(facts.cipher);
			assert_false(facts.resumed);
			pair_close(&p);
		}
}

// The client's last flight and its first words come together: the handshake leaves the latter.
static void test_session_octets_behind_the_handshake_are_left(void **state)
{
	static uint8_t plain[WIRE];
	struct pair p;
	enum tls_step step;

	(void)state;
	pair_open(&p, TLS1_3_VERSION);
	(void)SSL_do_handshake(p.client.ssl);
	hear_client(&p);
	lend(&p, p.wire_len);
	assert_int_equal(tls_session_handshake(&p.server), TLS_STEP_MORE);
	settle(&p, p.wire_len);
	assert_int_equal(SSL_do_handshake(p.client.ssl), 1);
	assert_int_equal(SSL_write(p.client.ssl, "EHLO x\r\n", 8), 8);
	hear_client(&p);
	lend(&p, p.wire_len);
	assert_int_equal(tls_session_handshake(&p.server), TLS_STEP_DONE);
	settle(&p, p.wire_len);
	assert_true(p.wire_len > 8);
	assert_int_equal(read_all(&p, plain, &step), 8);
	assert_memory_equal(plain, "EHLO x\r\n", 8);
	pair_close(&p);
}

static void test_session_records_go_both_ways_whole(void **state)
{
	static uint8_t plain[WIRE], text[TLS_RECORD_OCTETS], back[WIRE];
	struct pair p;
	enum tls_step step;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	pair_open(&p, TLS1_3_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	assert_int_equal(SSL_write(p.client.ssl, text, sizeof(text)), sizeof(text));
	assert_int_equal(read_all(&p, plain, &step), sizeof(text));
	assert_int_equal(step, TLS_STEP_MORE);
	assert_memory_equal(plain, text, sizeof(text));
	lend(&p, 0);
	assert_true(tls_session_write(&p.server, (struct slice){text, sizeof(text)}));
	assert_true(p.server.out_len < sizeof(text) + TLS_RECORD_MORE);
	settle(&p, 0);
	assert_int_equal(SSL_read(p.client.ssl, back, WIRE), sizeof(text));
	assert_memory_equal(back, text, sizeof(text));
	pair_close(&p);
}

static void test_session_close_notify_is_an_end_and_is_said(void **state)
{
	static uint8_t plain[WIRE];
	struct pair p;
	enum tls_step step;

	(void)state;
	pair_open(&p, TLS1_2_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	assert_int_equal(SSL_write(p.client.ssl, "QUIT\r\n", 6), 6);
	(void)SSL_shutdown(p.client.ssl);
	assert_int_equal(read_all(&p, plain, &step), 6);
	assert_int_equal(step, TLS_STEP_END);
	lend(&p, 0);
	tls_session_end(&p.server);
	assert_true(p.server.out_len > 0);
	settle(&p, 0);
	assert_int_equal(SSL_read(p.client.ssl, plain, WIRE), 0);
	assert_int_equal(
		SSL_get_shutdown(p.client.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	pair_close(&p);
}

static void test_session_key_updates_are_followed_up_to_a_limit(void **state)
{
	static uint8_t plain[WIRE];
	struct pair p;
	enum tls_step step = TLS_STEP_MORE;
	unsigned updates = 0;

	(void)state;
	pair_open(&p, TLS1_3_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	while (step != TLS_STEP_BAD && updates < 1000) {
		assert_int_equal(SSL_key_update(p.client.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
		assert_int_equal(SSL_write(p.client.ssl, "x", 1), 1);
		(void)read_all(&p, plain, &step);
		updates++;
		(void)SSL_read(p.client.ssl, plain, 1); // the answer
	}
	assert_int_equal(updates, TLS_AFTER_MAX + 1);
	pair_close(&p);
}

static void test_session_renegotiation_is_not_done(void **state)
{
	static uint8_t plain[WIRE];
	struct pair p;
	enum tls_step step;

	(void)state;
	pair_open(&p, TLS1_2_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	assert_int_equal(SSL_renegotiate(p.client.ssl), 1);
	(void)SSL_do_handshake(p.client.ssl);
	(void)read_all(&p, plain, &step);
	(void)SSL_do_handshake(p.client.ssl);
	assert_int_not_equal(SSL_do_handshake(p.client.ssl), 1);
	assert_false(SSL_session_reused(p.client.ssl));
	pair_close(&p);
}

static void test_session_garbage_is_bad_and_says_so(void **state)
{
	static const char *const junk[] = {"EHLO x\r\nMAIL FROM:<a@b>\r\n",
		"\x16\x03\x01\x50\x01junk", "\x80\x2e\x01\x00\x02", "GET / HTTP/1.0\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		struct pair p;

		pair_open(&p, TLS1_3_VERSION);
		memcpy(p.wire, junk[i], strlen(junk[i]));
		p.wire_len = i == 0 ? strlen(junk[i]) : 600;
		lend(&p, p.wire_len);
		assert_int_equal(tls_session_handshake(&p.server), TLS_STEP_BAD);
		pair_close(&p);
	}
}

static void test_session_altered_record_is_bad(void **state)
{
	static uint8_t plain[WIRE];
	struct pair p;
	enum tls_step step;

	(void)state;
	pair_open(&p, TLS1_3_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	assert_int_equal(SSL_write(p.client.ssl, "NOOP\r\n", 6), 6);
	hear_client(&p);
	p.wire[p.wire_len - 1] ^= 1;
	assert_int_equal(read_all(&p, plain, &step), 0);
	assert_int_equal(step, TLS_STEP_BAD);
	assert_true(p.server.alerted);
	assert_true(p.server.out_len > 0); // the alert
	pair_close(&p);
}

static void test_memory_of_a_session_is_counted_bounded_and_given_back(void **state)
{
	struct pair p;
	uint32_t shaken;

	(void)state;
	pair_open(&p, TLS1_3_VERSION);
	assert_int_equal(shake(&p, WIRE), TLS_STEP_DONE);
	shaken = atomic_load(&p.server.account.used);
	assert_true(shaken > 1000 && shaken < 64 * 1024);
	print_message("a TLS session that idles has %u octets of OpenSSL's\n", shaken);
	tls_session_close(&p.server);
	assert_true(atomic_load(&p.server.account.used) < 4096);
	tls_memory_open(&p.server.account, 1000);
	tls_memory_charge(&p.server.account);
	assert_null(OPENSSL_malloc(1001));
	void *piece = OPENSSL_malloc(600);

	assert_non_null(piece);
	assert_null(OPENSSL_realloc(piece, 700)); // both are there for a moment
	tls_memory_open(&p.server.account, 1000);
	OPENSSL_free(piece); // of the one before
	assert_int_equal(atomic_load(&p.server.account.used), 0);
	tls_memory_charge(NULL);
	assert_true(tls_memory_refusals() >= 2);
	pair_close(&p);
}

static int start(void **state)
{
	(void)state;
	assert_true(tls_memory_start());
	assert_non_null(mkdtemp(directory));
	tls_world_certify(directory, "a", 3600);
	return 0;
}

static int stop(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/a.pem", directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s/a.key", directory);
	unlink(path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_handshake_in_pieces_of_any_size_succeeds),
		cmocka_unit_test(test_session_octets_behind_the_handshake_are_left),
		cmocka_unit_test(test_session_records_go_both_ways_whole),
		cmocka_unit_test(test_session_close_notify_is_an_end_and_is_said),
		cmocka_unit_test(test_session_key_updates_are_followed_up_to_a_limit),
		cmocka_unit_test(test_session_renegotiation_is_not_done),
		cmocka_unit_test(test_session_garbage_is_bad_and_says_so),
		cmocka_unit_test(test_session_altered_record_is_bad),
		cmocka_unit_test(test_memory_of_a_session_is_counted_bounded_and_given_back),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
