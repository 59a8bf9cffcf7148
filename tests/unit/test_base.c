// Small parts of base/: addresses, SipHash, sequence numbers, block pool.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/block_pool.h"
#include "base/drop.h"
#include "base/err.h"
#include "base/ip_addr.h"
#include "base/limits.h"
#include "base/seq.h"
#include "base/siphash.h"

static void test_ip_addr_text_round_trips(void **state)
{
	const char *const texts[] = {"10.12.170.5", "2001:db8:12::5", "0.0.0.0", "::"};
	char out[IP_ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip_addr a;

		assert_true(ip_addr_parse(texts[i], &a));
		assert_string_equal(ip_addr_print(&a, out), texts[i]);
	}
}

static void test_ip_addr_bad_text_is_refused(void **state)
{
	const char *const texts[] = {
		"", "10.1", "10.12.170.5/24", "010.0.0.1", "300.1.1.1", "g::1"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ip_addr a;

		assert_false(ip_addr_parse(texts[i], &a));
	}
}

static uint64_t openssl_siphash(const struct siphash_key *key, const void *data, size_t octets)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *state = EVP_MAC_CTX_new(mac);
	size_t size = 8, len = 0;
	uint64_t out = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_END};

	assert_int_equal(EVP_MAC_init(state, (const unsigned char *)key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(state, data, octets), 1);
	assert_int_equal(EVP_MAC_final(state, (unsigned char *)&out, &len, sizeof(out)), 1);
	assert_int_equal(len, 8);
	EVP_MAC_CTX_free(state);
	EVP_MAC_free(mac);
	return out;
}

static void test_siphash_every_length_equals_openssl(void **state)
{
	const struct siphash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	uint8_t data[70];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	for (size_t n = 0; n <= sizeof(data); n++)
		assert_int_equal(siphash(&key, data, n), openssl_siphash(&key, data, n));
}

static void test_seq_compares_modulo_2_32(void **state)
{
	(void)state;
	assert_true(seq_lt(0xfffffff0, 5));
	assert_false(seq_lt(5, 0xfffffff0));
	assert_true(seq_le(7, 7));
	assert_false(seq_lt(7, 7));
}

static void test_block_pool_empty_pool_gives_null_and_counts(void **state)
{
	void *memory = aligned_alloc(64, 3 * LIMIT_BLOCK_OCTETS);
	struct block_pool pool;
	void *a, *b, *c;

	(void)state;
	block_pool_init(&pool, memory, 3);
	a = block_pool_take(&pool);
	b = block_pool_take(&pool);
	c = block_pool_take(&pool);
	assert_true(a != NULL && b != NULL && c != NULL && a != b && b != c && a != c);
	assert_null(block_pool_take(&pool));
	assert_int_equal(pool.exhausted, 1);
	block_pool_give(&pool, b);
	assert_ptr_equal(block_pool_take(&pool), b);
	block_pool_give(&pool, a);
	block_pool_give(&pool, b);
	block_pool_give(&pool, c);
	assert_int_equal(pool.free_count, 3);
	free(memory);
}

static void test_names_every_row_has_text(void **state)
{
	(void)state;
	for (int i = 0; i < ERR_COUNT; i++)
		assert_true(strlen(err_text((enum err)i)) > 0);
	for (int i = 0; i < DROP_COUNT; i++) {
		const char *name = drop_name((enum drop)i);

		assert_true(strlen(drop_text((enum drop)i)) > 0);
		assert_int_equal(
			strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(name));
		assert_in_range(strlen(name), 1, 30);
	}
	assert_string_equal(drop_name(DROP_CONN_REFUSED), "conn_refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip_addr_text_round_trips),
		cmocka_unit_test(test_ip_addr_bad_text_is_refused),
		cmocka_unit_test(test_siphash_every_length_equals_openssl),
		cmocka_unit_test(test_seq_compares_modulo_2_32),
		cmocka_unit_test(test_block_pool_empty_pool_gives_null_and_counts),
		cmocka_unit_test(test_names_every_row_has_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
