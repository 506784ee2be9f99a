#include "data/encoding.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct candidate {
    int64_t level, rows;
} candidate;

static int most_rows_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->rows != y->rows) return x->rows > y->rows ? -1 : 1;
    return x->level < y->level ? -1 : x->level > y->level;
}

static int by_level(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->level < y->level ? -1 : x->level > y->level;
}

ns_status ns_encoding_learn(ns_encoding *out, const ns_texts *levels, const int64_t *rows,
                            const int64_t *patients, int64_t min_rows, int64_t min_patients,
                            int64_t *n_dropped)
{
    *out = (ns_encoding){0};
    if (n_dropped != NULL) *n_dropped = 0;
    candidate *kept = malloc(((size_t)levels->n + 1) * sizeof *kept);
    if (kept == NULL) return ns_fail(NS_ENOMEM, "no memory to encode %" PRId64 " levels", levels->n);
    int64_t n = 0;
    for (int64_t i = 0; i < levels->n; i++) {
        if (rows[i] <= 0 || rows[i] < min_rows || (patients != NULL && patients[i] < min_patients)) continue;
        kept[n++] = (candidate){.level = i, .rows = rows[i]};
    }
    if (n > NS_MAX_LEVELS) {
        if (n_dropped != NULL) *n_dropped = n - NS_MAX_LEVELS;
        qsort(kept, (size_t)n, sizeof *kept, most_rows_first);
        n = NS_MAX_LEVELS;
        qsort(kept, (size_t)n, sizeof *kept, by_level);
    }
    ns_status status = NS_OK;
    for (int64_t i = 0; i < n && status == NS_OK; i++) {
        int64_t at = levels->offset[kept[i].level], end = levels->offset[kept[i].level + 1];
        status = ns_texts_append(&out->levels, levels->bytes + at, end - at);
    }
    free(kept);
    if (status != NS_OK) ns_encoding_destroy(out);
    return status;
}

void ns_encoding_destroy(ns_encoding *encoding)
{
    ns_texts_destroy(&encoding->levels);
}

/* Both lists are sorted, so one walk over the two finds every match. */
void ns_encoding_map(const ns_encoding *encoding, const ns_texts *cohort_levels, int32_t *bin_of)
{
    const ns_texts *known = &encoding->levels;
    int64_t at = 0;
    for (int64_t i = 0; i < cohort_levels->n; i++) {
        int order = 1;
        while (at < known->n) {
            order = ns_texts_compare(known, at, cohort_levels, i);
            if (order >= 0) break;
            at++;
        }
        bin_of[i] = at < known->n && order == 0 ? NS_BIN_FIRST_LEVEL + (int32_t)at : NS_BIN_OTHER;
    }
}

void ns_encoding_apply(const int32_t *bin_of, const int32_t *codes, int64_t n, int32_t *bins)
{
    for (int64_t i = 0; i < n; i++) bins[i] = codes[i] < 0 ? NS_BIN_MISSING : bin_of[codes[i]];
}
