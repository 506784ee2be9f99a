#include "data/hash.h"

/* libsodium chooses its fastest BLAKE2b in sodium_init; the digests are the same with and without it, so a
 * failure of it (no random source) is of no concern here. pthread_once, because rows are hashed by many
 * threads. */

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_sodium(void)
{
    if (sodium_init() < 0) return;
}

static uint64_t little_endian(const uint8_t *bytes)
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--) word = word << 8 | bytes[i];
    return word;
}

void ns_blake2b(uint8_t digest[32], const void *bytes, size_t n_bytes)
{
    pthread_once(&once, start_sodium);
    crypto_generichash(digest, 32, bytes, n_bytes, NULL, 0);
}

struct ns_blake2b_stream {
    crypto_generichash_state state; /* aligned to 64 bytes */
};

ns_blake2b_stream *ns_blake2b_begin(void)
{
    pthread_once(&once, start_sodium);
    ns_blake2b_stream *stream = aligned_alloc(64, (sizeof *stream + 63) / 64 * 64);
    if (stream != NULL) crypto_generichash_init(&stream->state, NULL, 0, 32);
    return stream;
}

void ns_blake2b_add(ns_blake2b_stream *stream, const void *bytes, size_t n_bytes)
{
    crypto_generichash_update(&stream->state, bytes, n_bytes);
}

void ns_blake2b_end(ns_blake2b_stream **stream, uint8_t digest[32])
{
    crypto_generichash_final(&(*stream)->state, digest, 32);
    ns_blake2b_abandon(stream);
}

void ns_blake2b_abandon(ns_blake2b_stream **stream)
{
    free(*stream);
    *stream = NULL;
}

uint64_t ns_hash64(const char *text, size_t n_bytes)
{
    uint8_t digest[32];
    ns_blake2b(digest, text, n_bytes);
    uint64_t word = little_endian(digest);
    return word == 0 ? 1 : word;
}

ns_hash128 ns_hash128_of(const char *text, size_t n_bytes)
{
    uint8_t digest[32];
    ns_blake2b(digest, text, n_bytes);
    ns_hash128 hash = {.hi = little_endian(digest + 8), .lo = little_endian(digest)};
    if (hash.hi == 0 && hash.lo == 0) hash.lo = 1;
    return hash;
}

/* The decimal text at the end of text[20], its length returned: 19 digits and a sign at most. */
static size_t decimal(char text[20], int64_t value)
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t n = 0;
    do {
        text[19 - n] = (char)('0' + rest % 10);
        rest /= 10;
        n++;
    } while (rest != 0);
    if (value < 0) {
        text[19 - n] = '-';
        n++;
    }
    return n;
}

uint64_t ns_hash64_of_int(int64_t value)
{
    char text[20];
    size_t n = decimal(text, value);
    return ns_hash64(text + 20 - n, n);
}

ns_hash128 ns_hash128_of_int(int64_t value)
{
    char text[20];
    size_t n = decimal(text, value);
    return ns_hash128_of(text + 20 - n, n);
}

void ns_sha256_hex(char hex[65], const void *bytes, size_t n_bytes)
{
    pthread_once(&once, start_sodium);
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, bytes, n_bytes);
    ns_hex(hex, digest, sizeof digest);
}

void ns_hex(char *out, const uint8_t *bytes, size_t n_bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n_bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n_bytes] = '\0';
}
