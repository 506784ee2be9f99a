#include "data/score_content.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "data/hash.h"

enum { CELLS_BYTES = 4096 };

const char *ns_score_status_name(ns_score_status status)
{
    switch (status) {
    case NS_SCORED:
        return "scored";
    case NS_OUTSIDE_COHORT:
        return "outside_cohort";
    case NS_ID_MISSING:
        return "id_missing";
    case NS_ID_DUPLICATE:
        return "id_duplicate";
    case NS_VALUE_INFINITE:
        return "value_infinite";
    default:
        return "unknown";
    }
}

void ns_score_content_begin(ns_score_content *now, int32_t n_values)
{
    now->n_values = n_values;
    crypto_generichash_init(&now->state, NULL, 0, 32);
    now->n_rows = 0;
    memset(now->counts, 0, sizeof now->counts);
}

/* Little-endian; written out, because compilers make one store of this but not of a loop. */
static inline void put32(unsigned char *at, uint32_t value)
{
    at[0] = (unsigned char)value;
    at[1] = (unsigned char)(value >> 8);
    at[2] = (unsigned char)(value >> 16);
    at[3] = (unsigned char)(value >> 24);
}

static inline void put64(unsigned char *at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

/* Bytes on their way into the hash, many at once. */
typedef struct cell_buffer {
    ns_score_content *now;
    size_t n;
    unsigned char bytes[CELLS_BYTES];
} cell_buffer;

static inline unsigned char *cell_room(cell_buffer *c, size_t n_bytes)
{
    if (c->n + n_bytes > CELLS_BYTES) {
        crypto_generichash_update(&c->now->state, c->bytes, (unsigned long long)c->n);
        c->n = 0;
    }
    c->n += n_bytes;
    return c->bytes + c->n - n_bytes;
}

int64_t ns_score_content_add(ns_score_content *now, const uint64_t *words, const uint8_t *status, const float *risk, int64_t n)
{
    cell_buffer c;
    int64_t bad = -1;
    c.now = now;
    c.n = 0;
    for (int64_t i = 0; i < n; i++) {
        unsigned char *at = cell_room(&c, 9);
        put64(at, words[i]);
        at[8] = status[i];
        for (int32_t v = 0; v < now->n_values; v++) put32(cell_room(&c, 4), ns_score_bits(risk[i * now->n_values + v]));
        if (status[i] < NS_N_STATUS)
            now->counts[status[i]]++;
        else if (bad < 0)
            bad = now->n_rows + i;
    }
    crypto_generichash_update(&now->state, c.bytes, (unsigned long long)c.n);
    now->n_rows += n;
    return bad;
}

int64_t ns_score_content_add_ids(ns_score_content *now, const int64_t *ids, const ns_texts *texts, const uint8_t *status, const float *risk, int64_t n)
{
    if (ids != NULL) return ns_score_content_add(now, (const uint64_t *)ids, status, risk, n); /* signed and unsigned share a place */
    int64_t bad = -1;
    for (int64_t at = 0, here; at < n && bad < 0; at += here) {
        uint64_t words[CELLS_BYTES / 8];
        here = n - at < CELLS_BYTES / 8 ? n - at : CELLS_BYTES / 8;
        ns_hash64_each(words, texts->bytes, texts->offset + at, here);
        bad = ns_score_content_add(now, words, status + at, risk + at * now->n_values, here);
    }
    return bad;
}

void ns_score_content_end(ns_score_content *now, char hex[65])
{
    uint8_t digest[32];
    crypto_generichash_final(&now->state, digest, sizeof digest);
    ns_hex(hex, digest, sizeof digest);
}

void ns_score_reasons(char text[NS_REASONS_ROOM], const int64_t *counts)
{
    int n = 0;
    for (int i = 0; i < NS_N_STATUS; i++)
        n += snprintf(text + n, (size_t)(NS_REASONS_ROOM - n), "%s\"%s\":%" PRId64, i == 0 ? "{" : ",",
                      ns_score_status_name((ns_score_status)i), counts[i]);
    snprintf(text + n, (size_t)(NS_REASONS_ROOM - n), "}");
}
