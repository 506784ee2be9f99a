#ifndef NIGHTSHIFT_DATA_SCORE_CONTENT_H
#define NIGHTSHIFT_DATA_SCORE_CONTENT_H
/* What a score file says, whatever its bytes: a hash and counts that grow with its rows. Local. Cannot fail. */
#include <sodium.h>

#include "data/scores.h"

enum { NS_REASONS_ROOM = 256 };

typedef struct ns_score_content {
    crypto_generichash_state state;
    int64_t n_rows, counts[NS_N_STATUS];
    int32_t n_values; /* numbers of a row */
} ns_score_content;

void ns_score_content_begin(ns_score_content *now, int32_t n_values);

/* Adds rows; words: the ids as in a fingerprint. Returns the first row with an unknown status, or -1. */
int64_t ns_score_content_add(ns_score_content *now, const uint64_t *words, const uint8_t *status, const float *risk, int64_t n);

/* The same with ids as they are: whichever of numbers and texts is not NULL. */
int64_t ns_score_content_add_ids(ns_score_content *now, const int64_t *ids, const ns_texts *texts, const uint8_t *status, const float *risk,
                                 int64_t n);

void ns_score_content_end(ns_score_content *now, char hex[65]);

/* The attribute `reasons`: counts by status, as JSON with fixed order of keys. */
void ns_score_reasons(char text[NS_REASONS_ROOM], const int64_t *counts);
#endif
