#include "tls/ticket.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	NAME_OCTETS = 16,
	SECRET_OCTETS = 32,
	LIFE_S = 3600, // then the next key makes tickets; this one reads them as long again
};

struct key {
	uint8_t name[NAME_OCTETS], cipher[SECRET_OCTETS], mac[SECRET_OCTETS];
	int64_t born_s;
	bool good;
};

struct ticket_keys {
	_Atomic unsigned references;
	pthread_mutex_t lock;
	struct key now, before;
};

static bool key_make(struct key *key)
{
	key->born_s = (int64_t)time(NULL);
	key->good = RAND_bytes(key->name, NAME_OCTETS) == 1 &&
		    RAND_priv_bytes(key->cipher, SECRET_OCTETS) == 1 &&
		    RAND_priv_bytes(key->mac, SECRET_OCTETS) == 1;
	return key->good;
}

struct ticket_keys *ticket_keys_new(void)
{
	struct ticket_keys *keys = calloc(1, sizeof(*keys));

	if (keys == NULL)
		return NULL;
	atomic_init(&keys->references, 1);
	if (key_make(&keys->now) && pthread_mutex_init(&keys->lock, NULL) == 0)
		return keys;
	free(keys);
	return NULL;
}

struct ticket_keys *ticket_keys_hold(struct ticket_keys *keys)
{
	atomic_fetch_add(&keys->references, 1);
	return keys;
}

void ticket_keys_drop(struct ticket_keys *keys)
{
	if (keys == NULL || atomic_fetch_sub(&keys->references, 1) != 1)
		return;
	pthread_mutex_destroy(&keys->lock);
	OPENSSL_cleanse(keys, sizeof(*keys));
	free(keys);
}

// Keys that are too old are never used, whenever somebody last looked.
static void turn(struct ticket_keys *keys)
{
	int64_t now_s = (int64_t)time(NULL);

	if (now_s - keys->now.born_s >= LIFE_S || keys->now.born_s > now_s) {
		keys->before = keys->now;
		(void)key_make(&keys->now);
	}
	if (now_s - keys->before.born_s >= INT64_C(2) * LIFE_S)
		keys->before.good = false;
}

void ticket_keys_age(struct ticket_keys *keys)
{
	pthread_mutex_lock(&keys->lock);
	keys->now.born_s -= LIFE_S;
	keys->before.born_s -= LIFE_S;
	pthread_mutex_unlock(&keys->lock);
}

// A copy, so that the lock is not held while OpenSSL works. name NULL: the key to make tickets with.
static bool key_find(struct ticket_keys *keys, const uint8_t *name, struct key *found)
{
	pthread_mutex_lock(&keys->lock);
	turn(keys);
	*found = keys->now;
	if (name != NULL && CRYPTO_memcmp(name, keys->now.name, NAME_OCTETS) != 0) {
		*found = keys->before;
		found->good = keys->before.good &&
			      CRYPTO_memcmp(name, keys->before.name, NAME_OCTETS) == 0;
	}
	pthread_mutex_unlock(&keys->lock);
	return found->good;
}

static bool mac_begin(EVP_MAC_CTX *mac, struct key *key)
{
	static char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end()};

	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int keys_index(void);

// 1: use it; 0: no such key, so a full handshake; below 0: an error. OpenSSL's signature. NOLINTNEXTLINE(readability-function-size)
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int making)
{
	struct ticket_keys *keys = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), keys_index());
	const EVP_CIPHER *aes = EVP_aes_256_cbc();
	struct key key;
	bool good;

	if (!key_find(keys, making ? NULL : name, &key))
		return making ? -1 : 0;
	if (making) {
		memcpy(name, key.name, NAME_OCTETS);
		good = RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
		       EVP_EncryptInit_ex2(cipher, aes, key.cipher, iv, NULL) == 1;
	} else {
		good = EVP_DecryptInit_ex2(cipher, aes, key.cipher, iv, NULL) == 1;
	}
	good = good && mac_begin(mac, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	return good ? 1 : -1;
}

// OpenSSL's signature. NOLINTNEXTLINE(readability-function-size)
static void on_context_free(
	void *context, void *keys, CRYPTO_EX_DATA *all, int index, long number, void *user)
{
	(void)context;
	(void)all;
	(void)index;
	(void)number;
	(void)user;
	ticket_keys_drop(keys);
}

static int index_made;

static void make_index(void)
{
	index_made = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_context_free);
}

static int keys_index(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_index);
	return index_made;
}

bool ticket_keys_use(struct ticket_keys *keys, SSL_CTX *ctx)
{
	if (keys_index() < 0 ||
		SSL_CTX_set_ex_data(ctx, keys_index(), ticket_keys_hold(keys)) != 1) {
		ticket_keys_drop(keys);
		return false;
	}
	return SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1;
}
