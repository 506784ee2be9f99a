#include "data/hash.h"

/* libsodium chooses its fastest BLAKE2b in sodium_init; the digests are the same with and without it, so a
 * failure of it (no random source) is of no concern here. pthread_once, because rows are hashed by many
 * threads. */

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "data/blake2b_lanes.h"

enum { SHA256_BYTES = crypto_hash_sha256_BYTES };

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

void ns_blake2b_each(uint8_t *digests, const void *bytes, size_t n_bytes, int64_t n)
{
    const ns_blake2b_lanes *lanes = n_bytes > 0 && n_bytes % NS_BLAKE2B_BLOCK == 0 ? ns_blake2b_lanes_here() : NULL;
    const uint8_t *message = bytes;
    int64_t i = 0;
    for (; lanes != NULL && n - i >= lanes->n; i += lanes->n) lanes->whole(digests + 32 * i, message + (size_t)i * n_bytes, n_bytes);
    for (; i < n; i++) ns_blake2b(digests + 32 * i, message + (size_t)i * n_bytes, n_bytes);
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

/* Texts of one block that wait for the lanes to be full. hi: NULL where only 8 bytes are asked for. */
typedef struct brief_texts {
    const ns_blake2b_lanes *lanes; /* NULL: none here */
    int n;
    uint64_t n_bytes[NS_BLAKE2B_MOST_LANES], *lo[NS_BLAKE2B_MOST_LANES], *hi[NS_BLAKE2B_MOST_LANES];
    uint8_t block[NS_BLAKE2B_MOST_LANES][NS_BLAKE2B_BLOCK];
} brief_texts;

static void hash_waiting(brief_texts *texts)
{
    uint64_t first[NS_BLAKE2B_MOST_LANES], second[NS_BLAKE2B_MOST_LANES];
    if (texts->n == 0) return;
    for (int i = texts->n; i < texts->lanes->n; i++) texts->n_bytes[i] = 0; /* whatever lies there is nobody's */
    texts->lanes->brief(first, second, texts->block[0], texts->n_bytes);
    for (int i = 0; i < texts->n; i++) {
        uint64_t rest = texts->hi[i] != NULL ? second[i] : 0;
        *texts->lo[i] = (first[i] | rest) == 0 ? 1 : first[i];
        if (texts->hi[i] != NULL) *texts->hi[i] = rest;
    }
    texts->n = 0;
}

/* Hashes a text of 1 to NS_BLAKE2B_BLOCK bytes, at the latest with hash_waiting; there are lanes. */
static inline void hash_brief(brief_texts *texts, const char *text, size_t n_bytes, uint64_t *lo, uint64_t *hi)
{
    uint8_t *block = texts->block[texts->n];
    memcpy(block, text, n_bytes);
    memset(block + n_bytes, 0, NS_BLAKE2B_BLOCK - n_bytes);
    texts->n_bytes[texts->n] = n_bytes;
    texts->lo[texts->n] = lo;
    texts->hi[texts->n++] = hi;
    if (texts->n == texts->lanes->n) hash_waiting(texts);
}

void ns_hash64_each(uint64_t *out, const char *bytes, const int64_t *offset, int64_t n)
{
    brief_texts texts = {.lanes = ns_blake2b_lanes_here()};
    for (int64_t i = 0; i < n; i++) {
        size_t length = (size_t)(offset[i + 1] - offset[i]);
        if (length == 0) out[i] = 0;
        else if (texts.lanes == NULL || length > NS_BLAKE2B_BLOCK) out[i] = ns_hash64(bytes + offset[i], length);
        else hash_brief(&texts, bytes + offset[i], length, &out[i], NULL);
    }
    hash_waiting(&texts);
}

void ns_hash128_each(ns_hash128 *out, const char *bytes, const int64_t *offset, int64_t n)
{
    brief_texts texts = {.lanes = ns_blake2b_lanes_here()};
    for (int64_t i = 0; i < n; i++) {
        size_t length = (size_t)(offset[i + 1] - offset[i]);
        if (length == 0) out[i] = (ns_hash128){0, 0};
        else if (texts.lanes == NULL || length > NS_BLAKE2B_BLOCK) out[i] = ns_hash128_of(bytes + offset[i], length);
        else hash_brief(&texts, bytes + offset[i], length, &out[i].lo, &out[i].hi);
    }
    hash_waiting(&texts);
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

void ns_hash128_of_ints(ns_hash128 *out, const int64_t *values, int64_t n, ns_smallest smallest)
{
    brief_texts texts = {.lanes = ns_blake2b_lanes_here()};
    for (int64_t i = 0; i < n; i++) {
        char text[20];
        size_t length = decimal(text, values[i]);
        if (values[i] == INT64_MIN && smallest == NS_SMALLEST_IS_MISSING) out[i] = (ns_hash128){0, 0};
        else if (texts.lanes == NULL) out[i] = ns_hash128_of(text + 20 - length, length);
        else hash_brief(&texts, text + 20 - length, length, &out[i].lo, &out[i].hi);
    }
    hash_waiting(&texts);
}

struct ns_sha256_stream {
    EVP_MD_CTX *context;
};

ns_sha256_stream *ns_sha256_begin(void)
{
    ns_sha256_stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) stream->context = EVP_MD_CTX_new();
    if (stream != NULL && (stream->context == NULL || EVP_DigestInit_ex(stream->context, EVP_sha256(), NULL) != 1)) ns_sha256_abandon(&stream);
    return stream;
}

/* Beyond its beginning libcrypto's SHA-256 cannot fail. */
void ns_sha256_add(ns_sha256_stream *stream, const void *bytes, size_t n_bytes)
{
    if (stream != NULL) (void)EVP_DigestUpdate(stream->context, bytes, n_bytes);
}

void ns_sha256_end(ns_sha256_stream **stream, char hex[65])
{
    uint8_t digest[SHA256_BYTES] = {0};
    if (*stream != NULL) (void)EVP_DigestFinal_ex((*stream)->context, digest, NULL);
    ns_hex(hex, digest, sizeof digest);
    ns_sha256_abandon(stream);
}

void ns_sha256_abandon(ns_sha256_stream **stream)
{
    if (*stream != NULL) EVP_MD_CTX_free((*stream)->context);
    free(*stream);
    *stream = NULL;
}

void ns_sha256_hex(char hex[65], const void *bytes, size_t n_bytes)
{
    uint8_t digest[SHA256_BYTES];
    pthread_once(&once, start_sodium);
    if (EVP_Digest(bytes, n_bytes, digest, NULL, EVP_sha256(), NULL) != 1) /* no memory: libsodium needs none */
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
