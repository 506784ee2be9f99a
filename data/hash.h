#ifndef NIGHTSHIFT_DATA_HASH_H
#define NIGHTSHIFT_DATA_HASH_H
/* Hashes of libsodium under the names that this project uses. All are local and, where nothing is said, cannot fail. */
#include <stddef.h>
#include <stdint.h>

typedef struct ns_hash128 { uint64_t hi, lo; } ns_hash128; /* both 0: missing */

/*
 * The first 8 (16) bytes of BLAKE2b-256 of a text, little-endian: lo is bytes 0 to 7, hi bytes 8 to 15. Never 0 (0, 0),
 * which means missing: such a digest gives 1 (lo 1).
 */
uint64_t ns_hash64(const char *text, size_t n_bytes);
ns_hash128 ns_hash128_of(const char *text, size_t n_bytes);

/* As above for an int64, hashed as its decimal text. */
uint64_t ns_hash64_of_int(int64_t value);
ns_hash128 ns_hash128_of_int(int64_t value);

void ns_blake2b(uint8_t digest[32], const void *bytes, size_t n_bytes);

/*
 * The same for n messages of n_bytes each that lie one after the other, many at once where the processor can.
 *   digests  out  [n][32]
 */
void ns_blake2b_each(uint8_t *digests, const void *bytes, size_t n_bytes, int64_t n);

/* out[i] = ns_hash64 of text i, bytes [offset[i], offset[i + 1]); 0 where it is empty. Many at once likewise. */
void ns_hash64_each(uint64_t *out, const char *bytes, const int64_t *offset, int64_t n);

/* The same with ns_hash128_of; {0, 0} where it is empty. */
void ns_hash128_each(ns_hash128 *out, const char *bytes, const int64_t *offset, int64_t n);

/* out[i] = ns_hash128_of_int(values[i]); {0, 0} for the smallest int64 where that is missing. Many at once likewise. */
typedef enum ns_smallest { NS_SMALLEST_IS_MISSING, NS_SMALLEST_IS_A_VALUE } ns_smallest;
void ns_hash128_of_ints(ns_hash128 *out, const int64_t *values, int64_t n, ns_smallest smallest);

/* The same over bytes that come one part after another: begin, add…, end. Freed by end and by abandon; NULL is passed over. */
typedef struct ns_blake2b_stream ns_blake2b_stream;
ns_blake2b_stream *ns_blake2b_begin(void); /* NULL: no memory */
void ns_blake2b_add(ns_blake2b_stream *stream, const void *bytes, size_t n_bytes);
void ns_blake2b_end(ns_blake2b_stream **stream, uint8_t digest[32]);
void ns_blake2b_abandon(ns_blake2b_stream **stream);

/* SHA-256 in the same way, by libcrypto, which uses the processor's instructions for it (1.8 GB/s beside libsodium's 0.3). */
typedef struct ns_sha256_stream ns_sha256_stream;
ns_sha256_stream *ns_sha256_begin(void); /* NULL: no memory */
void ns_sha256_add(ns_sha256_stream *stream, const void *bytes, size_t n_bytes);
void ns_sha256_end(ns_sha256_stream **stream, char hex[65]); /* lower-case, with its terminating 0 */
void ns_sha256_abandon(ns_sha256_stream **stream);

/* The same of bytes that are all there. */
void ns_sha256_hex(char hex[65], const void *bytes, size_t n_bytes);
void ns_hex(char *out, const uint8_t *bytes, size_t n_bytes); /* out: 2 * n_bytes + 1 */
#endif
