// Certificates and keys as a configuration names them: good ones make contexts, each broken one is a mistake at its line.

#include "tls_world.h"

#include "config/config.h"
#include "tls/certificate.h"
#include "tls/key_files.h"
#include "tls/ticket.h"

#include <errno.h>
#include <sys/mman.h>

static char directory[] = "/tmp/postern-cert-XXXXXX";

struct told {
	unsigned mistakes;
	struct config_pos pos;
	char text[5000];
};

static void tell(void *user, const char *path, struct config_pos pos, const char *message)
{
	struct told *told = user;

	(void)path;
	told->mistakes++;
	told->pos = pos;
	snprintf(told->text, sizeof(told->text), "%s", message);
}

static const char *in(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, 256, "%s/%s", directory, name);
	return path;
}

// Two virtual servers, the first without TLS.
struct world {
	struct config_vserver vservers[2];
	struct config config;
	struct told told;
};

static struct world *world_with(const char *certificate, const char *key)
{
	static struct world w;

	memset(&w, 0, sizeof(w));
	w.vservers[0].name = "plain";
	w.vservers[1].name = "relay";
	w.vservers[1].tls = (struct config_tls){.pos = {7, 5},
		.certificate = {strdup(in(certificate)), {8, 20}},
		.key = {strdup(in(key)), {9, 12}}};
	w.config.path = "c.yaml";
	w.config.vservers = w.vservers;
	w.config.vserver_count = 2;
	return &w;
}

static void world_free(struct world *w)
{
	free((void *)(uintptr_t)w->vservers[1].tls.certificate.path);
	free((void *)(uintptr_t)w->vservers[1].tls.key.path);
}

static struct certificate_set *load(struct world *w, const struct certificate_set *before)
{
	return certificate_set_load(&w->config, before, NULL, tell, &w->told);
}

static void test_certificate_good_pair_makes_a_context(void **state)
{
	struct world *w = world_with("a.pem", "a.key");
	struct certificate_set *set = load(w, NULL);

	(void)state;
	assert_non_null(set);
	assert_null(certificate_set_context(set, 0));
	assert_non_null(certificate_set_context(set, 1));
	assert_in_range(certificate_set_expires_s(set, 1), time(NULL) + 3000, time(NULL) + 3700);
	assert_int_equal(certificate_set_expires_s(set, 0), 0);
	certificate_set_free(set);
	world_free(w);
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(in(name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_certificate_broken_one_is_a_mistake_at_its_place(void **state)
{
	static const struct {
		const char *certificate, *key;
		uint32_t line;
		const char *text;
	} rows[] = {
		{"none.pem", "a.key", 8, "cannot read: No such file"},
		{"", "a.key", 8, "cannot read"}, // a directory
		{"text.pem", "a.key", 8, "expected a certificate in PEM"},
		{"a.key", "a.key", 8, "expected a certificate in PEM"},
		{"torn.pem", "a.key", 8, "OpenSSL"},
		{"a.pem", "none.key", 9, "cannot read: No such file"},
		{"a.pem", "a.pem", 9, "expected a private key in PEM"},
		{"a.pem", "b.key", 9, "is not the key of the certificate"},
		{"a.pem", "locked.key", 9, "has a passphrase"},
	};
	char text[4096] = "";
	FILE *f = fopen(in("a.pem"), "r");
	EVP_PKEY *key = EVP_EC_gen("P-256");

	(void)state;
	assert_true(fread(text, 1, sizeof(text) - 200, f) > 100);
	fclose(f);
	put("text.pem", "no certificate\n");
	strcat(text, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	put("torn.pem", text);
	tls_world_write_key(in("locked.key"), key, "secret");
	EVP_PKEY_free(key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_with(rows[i].certificate, rows[i].key);

		assert_null(load(w, NULL));
		assert_int_equal(w->told.mistakes, 1);
		assert_int_equal(w->told.pos.line, rows[i].line);
		if (strstr(w->told.text, rows[i].text) == NULL)
			fail_msg("row %zu: %s", i, w->told.text);
		world_free(w);
	}
}

// A handshake between a context and a client with this ticket: whether it was resumed; and the next ticket.
static bool shake(SSL_CTX *ctx, SSL_SESSION *ticket, SSL_SESSION **next)
{
	struct tls_client c;
	SSL *server = SSL_new(ctx);
	BIO *in_bio = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	uint8_t wire[16384];
	bool resumed, done = false;

	BIO_set_mem_eof_return(in_bio, -1);
	SSL_set_bio(server, in_bio, out);
	SSL_set_accept_state(server);
	tls_client_open(&c, TLS1_2_VERSION, ticket);
	for (int i = 0; i < 10 && !done; i++) {
		done = SSL_do_handshake(c.ssl) == 1;
		size_t n = tls_client_take(&c, wire, sizeof(wire));

		if (n > 0)
			BIO_write(in_bio, wire, (int)n);
		(void)SSL_do_handshake(server);
		int m = BIO_read(out, wire, sizeof(wire));

		if (m > 0)
			tls_client_give(&c, wire, (size_t)m);
	}
	assert_true(done);
	resumed = SSL_session_reused(c.ssl) == 1;
	if (next != NULL)
		*next = SSL_get1_session(c.ssl);
	(void)SSL_shutdown(c.ssl); // a session that breaks off is not resumed
	tls_client_close(&c);
	SSL_free(server);
	return resumed;
}

static void test_ticket_outlives_a_reload_and_two_hours_end_it(void **state)
{
	struct world *w = world_with("a.pem", "a.key");
	struct certificate_set *set = load(w, NULL), *next, *other;
	SSL_SESSION *ticket;
	struct ticket_keys *keys = ticket_keys_new();
	SSL_CTX *ctx = tls_world_context(directory, "a");

	(void)state;
	assert_false(shake(certificate_set_context(set, 1), NULL, &ticket));
	next = load(w, set);
	assert_true(shake(certificate_set_context(next, 1), ticket, NULL));
	w->vservers[1].name = "other";
	other = load(w, next);
	assert_false(shake(certificate_set_context(other, 1), ticket, NULL));
	SSL_SESSION_free(ticket);
	certificate_set_free(set);
	certificate_set_free(next);
	certificate_set_free(other);
	assert_true(ticket_keys_use(keys, ctx));
	assert_false(shake(ctx, NULL, &ticket));
	ticket_keys_age(keys);
	assert_true(shake(ctx, ticket, NULL));
	ticket_keys_age(keys);
	assert_false(shake(ctx, ticket, NULL));
	SSL_SESSION_free(ticket);
	SSL_CTX_free(ctx);
	ticket_keys_drop(keys);
	world_free(w);
}

static void test_key_files_cross_as_memory_and_nonsense_does_not(void **state)
{
	struct key_files *files = key_files_new(), *back;
	struct slice a, b;
	int memfd;

	(void)state;
	put("text.pem", "");
	assert_int_equal(key_files_read(files, in("a.pem")), 0);
	assert_int_equal(key_files_read(files, in("text.pem")), 0);
	assert_int_equal(key_files_read(files, in("none.pem")), -ENOENT);
	assert_int_equal(key_files_read(files, directory), -EMEDIUMTYPE);
	memfd = key_files_to_memfd(files);
	back = key_files_from_memfd(memfd);
	assert_non_null(back);
	a = key_files_find(files, in("a.pem"));
	b = key_files_find(back, in("a.pem"));
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.at, b.at, a.len);
	assert_non_null(key_files_find(back, in("text.pem")).at);
	assert_int_equal(key_files_find(back, in("text.pem")).len, 0);
	assert_null(key_files_find(back, in("none.pem")).at);
	key_files_free(back);
	close(memfd);
	for (uint32_t path = 0; path < 3; path++) {
		uint32_t head[3] = {path == 0 ? 5000 : 4, path == 1 ? UINT32_MAX : 100, 0};

		memfd = memfd_create("bad", 0);
		assert_int_equal(write(memfd, head, sizeof(head)), sizeof(head));
		assert_null(key_files_from_memfd(memfd));
		close(memfd);
	}
	assert_null(key_files_from_memfd(-1));
	key_files_free(files);
}

// A fresh set of files is all there is: what is not in it is not taken from before.
static void test_certificate_fresh_files_stand_for_the_disk(void **state)
{
	struct world *w = world_with("a.pem", "a.key");
	struct certificate_set *set = load(w, NULL), *next;
	int memfd = certificate_set_to_memfd(set);
	struct key_files *fresh = key_files_from_memfd(memfd);

	(void)state;
	assert_int_equal(rename(in("a.key"), in("gone.key")), 0);
	next = certificate_set_load(&w->config, NULL, fresh, tell, &w->told);
	assert_non_null(next);
	certificate_set_free(next);
	assert_null(load(w, set));
	assert_non_null(strstr(w->told.text, "No such file"));
	assert_int_equal(rename(in("gone.key"), in("a.key")), 0);
	key_files_free(fresh);
	close(memfd);
	certificate_set_free(set);
	world_free(w);
}

static void test_context_refuses_old_versions(void **state)
{
	struct world *w = world_with("a.pem", "a.key");
	struct certificate_set *set = load(w, NULL);
	SSL_CTX *ctx = certificate_set_context(set, 1);

	(void)state;
	assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_get_max_early_data(ctx), 0);
	assert_true(SSL_CTX_get_options(ctx) & SSL_OP_NO_RENEGOTIATION);
	certificate_set_free(set);
	world_free(w);
}

static int start(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(directory));
	tls_world_certify(directory, "a", 3600);
	tls_world_certify(directory, "b", 3600);
	return 0;
}

static int stop(void **state)
{
	static const char *const names[] = {
		"a.pem", "a.key", "b.pem", "b.key", "text.pem", "torn.pem", "locked.key"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in(names[i]));
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificate_good_pair_makes_a_context),
		cmocka_unit_test(test_certificate_broken_one_is_a_mistake_at_its_place),
		cmocka_unit_test(test_ticket_outlives_a_reload_and_two_hours_end_it),
		cmocka_unit_test(test_key_files_cross_as_memory_and_nonsense_does_not),
		cmocka_unit_test(test_certificate_fresh_files_stand_for_the_disk),
		cmocka_unit_test(test_context_refuses_old_versions),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
