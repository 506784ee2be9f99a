/*
 * A cohort written again: the same rows in another shape, or with columns that are hard on sums.
 *
 *   e2e_recut IN.h5 OUT.h5 [--rows FIRST:END] [--chunk N] [--deflate N] [--levels SEED]
 *                          [--origin N] [--label steep|rare] [--weights]
 *
 *   --rows     only these rows, from 0, END left out: a part of a table of several files
 *   --levels   the level lists in another order, without levels that no row here has; the codes follow
 *   --origin   adds the category "origin" of N levels, which leans on the label
 *   --label    steep: the label follows from age and creatinine but for a tenth of those with three prior
 * stays or more, so that log-odds grow without end; rare: of every 10,000 rows the one with the highest
 * creatinine
 *   --weights  adds the number "weight" over six orders of magnitude, and 0 in one row of a hundred
 *
 * What is added is a pure function of the row and of cells, so that it is the same with any compiler.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/status.h"
#include "data/cohort.h"
#include "data/cohort_writer.h"
#include "kernels/philox.h"

enum { FOR_ORIGIN = 101, FOR_LABEL, FOR_WEIGHT };

typedef enum label_rule { LABEL_AS_IS, LABEL_STEEP, LABEL_RARE } label_rule;

typedef struct recut {
    const char *in, *out;
    int64_t first, end; /* end -1: all */
    ns_cohort_options options;
    int64_t level_seed; /* 0: the order of bytes */
    int64_t n_origins;
    label_rule label;
    int weights;
    ns_cohort *cohort;
    ns_cohort_writer *writer;
    int64_t n;
} recut;

static uint32_t word_of(uint32_t purpose, int64_t row)
{
    ns_stream stream = ns_stream_of(20261121, purpose, 0, 0);
    return ns_stream_word(&stream, (uint64_t)row);
}

/* One block for the cells of a column; one more than asked for, so that nothing is not an error. */
static ns_status cells(void **out, int64_t n, size_t size)
{
    *out = malloc(((size_t)n + 1) * size);
    return *out != NULL ? NS_OK : ns_fail(NS_ENOMEM, "no memory for %" PRId64 " cells", n);
}

/* --- level lists in another order
 * ------------------------------------------------------------------------------------- */

typedef struct ranked {
    uint64_t key;
    int32_t code;
} ranked;

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const ranked *)a)->key, y = ((const ranked *)b)->key;
    return (x > y) - (x < y);
}

/* Writes the levels as they stand, or those in use in an order of their hashes; then place[code] is the new
 * code. */
static ns_status choose_levels(ns_texts *chosen, int32_t *place, const ns_texts *levels, const int32_t *code,
                               int64_t n, int64_t seed)
{
    ranked *order;
    int32_t n_used = 0;
    NS_TRY(cells((void **)&order, levels->n, sizeof *order));
    for (int32_t l = 0; l < levels->n; l++) place[l] = seed == 0 ? 1 : -1;
    for (int64_t i = 0; i < n; i++)
        if (code[i] >= 0) place[code[i]] = 1;
    for (int32_t l = 0; l < levels->n; l++) {
        const char *text = levels->bytes + levels->offset[l];
        size_t n_bytes = (size_t)(levels->offset[l + 1] - levels->offset[l]);
        uint64_t key = seed == 0 ? (uint64_t)l : ns_hash64(text, n_bytes) * (2 * (uint64_t)seed + 1);
        if (place[l] >= 0) order[n_used++] = (ranked){.key = key, .code = l};
    }
    if (n_used > 0) qsort(order, (size_t)n_used, sizeof *order, by_key);
    ns_status status = NS_OK;
    for (int32_t i = 0; i < n_used && status == NS_OK; i++) {
        int32_t l = order[i].code;
        place[l] = i;
        status = ns_texts_append(chosen, levels->bytes + levels->offset[l],
                                 levels->offset[l + 1] - levels->offset[l]);
    }
    free(order);
    return status;
}

static ns_status write_codes(const recut *r, const ns_column *column, int32_t *code)
{
    ns_texts chosen = {0};
    int32_t *place;
    NS_TRY(cells((void **)&place, column->levels->n, sizeof *place));
    ns_status status = choose_levels(&chosen, place, column->levels, code, r->n, r->level_seed);
    for (int64_t i = 0; i < r->n && status == NS_OK; i++)
        if (code[i] >= 0) code[i] = place[code[i]];
    if (status == NS_OK) status = ns_cohort_writer_codes(r->writer, code, r->n);
    if (status == NS_OK) status = ns_cohort_writer_levels(r->writer, &chosen);
    free(place);
    ns_texts_destroy(&chosen);
    return status;
}

/* --- columns that are made here
 * --------------------------------------------------------------------------------------- */

static ns_status read_number(const recut *r, const char *name, float *out)
{
    int32_t column = ns_cohort_find(r->cohort, name);
    if (column < 0) return ns_fail(NS_EINVAL, "'%s' has no column '%s'", r->in, name);
    return ns_cohort_read_number(r->cohort, column, r->first, r->n, out);
}

static void make_steep(const recut *r, const float *age, const float *creatinine, const float *stays,
                       int32_t *code)
{
    for (int64_t i = 0; i < r->n; i++) {
        bool yes = (age[i] > 65.0f) != (creatinine[i] > 1.2f);
        if (stays[i] >= 3.0f && word_of(FOR_LABEL, r->first + i) % 10 == 0) yes = !yes;
        code[i] = yes;
    }
}

static void make_rare(const recut *r, const float *creatinine, int32_t *code)
{
    enum { BLOCK = 10000 };
    for (int64_t begin = 0; begin < r->n; begin += BLOCK) {
        int64_t best = begin, end = begin + BLOCK < r->n ? begin + BLOCK : r->n;
        for (int64_t i = begin; i < end; i++) {
            code[i] = 0;
            if (creatinine[i] > creatinine[best] || isnan(creatinine[best])) best = i;
        }
        code[best] = 1;
    }
}

/* The label column's codes, among its sorted levels "no" and "yes". */
static ns_status make_label(const recut *r, int32_t *code)
{
    float *number;
    NS_TRY(cells((void **)&number, 3 * r->n, sizeof *number));
    ns_status status = read_number(r, "creatinine", number);
    if (status == NS_OK && r->label == LABEL_RARE) make_rare(r, number, code);
    if (status == NS_OK && r->label == LABEL_STEEP) {
        status = read_number(r, "age", number + r->n);
        if (status == NS_OK) status = read_number(r, "prior_stays", number + 2 * r->n);
        if (status == NS_OK) make_steep(r, number + r->n, number, number + 2 * r->n, code);
    }
    free(number);
    return status;
}

static ns_status add_origin(const recut *r)
{
    ns_texts levels = {0};
    int32_t *code, label = ns_cohort_find(r->cohort, "readmitted");
    if (label < 0) return ns_fail(NS_EINVAL, "'%s' has no column 'readmitted'", r->in);
    NS_TRY(cells((void **)&code, r->n, sizeof *code));
    ns_status status = ns_cohort_read_codes(r->cohort, label, r->first, r->n, code);
    for (int64_t i = 0; i < r->n && status == NS_OK; i++) {
        uint64_t u = word_of(
            FOR_ORIGIN, r->first + i); /* 32 bits; low numbers come often, and oftener with the outcome */
        if (code[i] == 1) u -= u / 5;
        uint64_t skewed = (u * u) >> 32;
        code[i] = u % 20 == 0 ? -1 : (int32_t)((skewed * (uint64_t)r->n_origins) >> 32);
    }
    for (int64_t l = 0; l < r->n_origins && status == NS_OK; l++) {
        char text[24];
        int n_bytes = snprintf(text, sizeof text, "o%05" PRId64, l);
        status = ns_texts_append(&levels, text, n_bytes);
    }
    ns_column column = {.name = "origin", .kind = NS_COL_CATEGORY, .levels = &levels};
    if (status == NS_OK)
        status = ns_cohort_writer_column(r->writer, column.name, column.kind, false, NULL, NULL);
    if (status == NS_OK) status = write_codes(r, &column, code);
    free(code);
    ns_texts_destroy(&levels);
    return status;
}

/* 2^e * m with e from -10 to 9 and m in [1, 2): about 0.001 to 1,000, put together from bits. */
static ns_status add_weights(const recut *r)
{
    float *weight;
    NS_TRY(cells((void **)&weight, r->n, sizeof *weight));
    for (int64_t i = 0; i < r->n; i++) {
        uint32_t word = word_of(FOR_WEIGHT, r->first + i);
        uint32_t bits = (117 + word % 20) << 23 | (word / 20 % (1u << 23));
        if (word_of(FOR_WEIGHT, r->first + i + (INT64_C(1) << 40)) % 100 == 0) bits = 0;
        memcpy(&weight[i], &bits, sizeof bits);
    }
    ns_status status = ns_cohort_writer_column(r->writer, "weight", NS_COL_NUMBER, false, NULL, NULL);
    if (status == NS_OK) status = ns_cohort_writer_numbers(r->writer, weight, r->n);
    free(weight);
    return status;
}

/* --- columns that are copied
 * ------------------------------------------------------------------------------------------ */

static ns_status copy_id(const recut *r, int32_t c, const ns_column *column)
{
    ns_texts texts = {0};
    int64_t *ids = NULL;
    ns_status status;
    if (column->is_text) {
        status = ns_cohort_read_id_text(r->cohort, c, r->first, r->n, &texts);
        if (status == NS_OK) status = ns_cohort_writer_id_texts(r->writer, &texts);
    } else {
        NS_TRY(cells((void **)&ids, r->n, sizeof *ids));
        status = ns_cohort_read_id_int(r->cohort, c, r->first, r->n, ids);
        if (status == NS_OK) status = ns_cohort_writer_id_ints(r->writer, ids, r->n);
    }
    ns_texts_destroy(&texts);
    free(ids);
    return status;
}

static ns_status copy_category(const recut *r, int32_t c, const ns_column *column)
{
    int32_t *code;
    NS_TRY(cells((void **)&code, r->n, sizeof *code));
    ns_status status;
    if (r->label != LABEL_AS_IS && strcmp(column->name, "readmitted") == 0)
        status = make_label(r, code);
    else
        status = ns_cohort_read_codes(r->cohort, c, r->first, r->n, code);
    if (status == NS_OK) status = write_codes(r, column, code);
    free(code);
    return status;
}

static ns_status copy_column(const recut *r, int32_t c)
{
    const ns_column *column = ns_cohort_column(r->cohort, c);
    ns_status status = NS_OK;
    void *block = NULL;
    NS_TRY(ns_cohort_writer_column(r->writer, column->name, column->kind, column->is_text, column->unit,
                                   column->description));
    switch (column->kind) {
    case NS_COL_NUMBER:
        NS_TRY(cells(&block, r->n, sizeof(float)));
        status = ns_cohort_read_number(r->cohort, c, r->first, r->n, block);
        if (status == NS_OK) status = ns_cohort_writer_numbers(r->writer, block, r->n);
        break;
    case NS_COL_CATEGORY:
        status = copy_category(r, c, column);
        break;
    case NS_COL_ID:
        status = copy_id(r, c, column);
        break;
    case NS_COL_TIME:
        NS_TRY(cells(&block, r->n, sizeof(int64_t)));
        status = ns_cohort_read_time(r->cohort, c, r->first, r->n, block);
        if (status == NS_OK) status = ns_cohort_writer_times(r->writer, block, r->n);
        break;
    }
    free(block);
    return status;
}

static ns_status copy(recut *r)
{
    ns_texts files = {0};
    int32_t *columns, n_columns;
    ns_status status = ns_texts_append(&files, r->in, (int64_t)strlen(r->in));
    if (status == NS_OK) status = ns_cohort_open(&r->cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF);
    ns_texts_destroy(&files);
    NS_TRY(status);
    n_columns = ns_cohort_n_columns(r->cohort);
    NS_TRY(cells((void **)&columns, n_columns, sizeof *columns));
    for (int32_t c = 0; c < n_columns; c++) columns[c] = c;
    status = ns_cohort_prepare(r->cohort, columns, n_columns, MPI_COMM_SELF);
    free(columns);
    NS_TRY(status);
    int64_t n_rows = ns_cohort_n_rows(r->cohort);
    if (r->end < 0) r->end = n_rows;
    if (r->first > r->end || r->end > n_rows)
        return ns_fail(NS_EINVAL, "rows %" PRId64 ":%" PRId64 " are not within 0:%" PRId64, r->first, r->end,
                       n_rows);
    r->n = r->end - r->first;
    NS_TRY(ns_cohort_writer_open(&r->writer, r->out, &r->options));
    for (int32_t c = 0; c < n_columns; c++) NS_TRY(copy_column(r, c));
    if (r->n_origins > 0) NS_TRY(add_origin(r));
    if (r->weights) NS_TRY(add_weights(r));
    return ns_cohort_writer_finish(r->writer);
}

/* --- the command line
 * ------------------------------------------------------------------------------------------------- */

static int read_words(recut *r, int argc, char **argv)
{
    if (argc < 3) return 1;
    *r = (recut){.in = argv[1], .out = argv[2], .end = -1, .options = {.deflate = -1}};
    for (int i = 3; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        int64_t number = strtoll(value, &end, 10);
        bool whole = end != value && *end == '\0' && number >= 0;
        if (strcmp(word, "--weights") == 0) {
            r->weights = 1;
            continue;
        }
        i++;
        if (strcmp(word, "--rows") == 0 && end != value && *end == ':') {
            r->first = number;
            r->end = strtoll(end + 1, &end, 10);
            if (*end != '\0' || r->first < 0 || r->end < 0) return 1;
        } else if (strcmp(word, "--label") == 0 && strcmp(value, "steep") == 0)
            r->label = LABEL_STEEP;
        else if (strcmp(word, "--label") == 0 && strcmp(value, "rare") == 0)
            r->label = LABEL_RARE;
        else if (strcmp(word, "--chunk") == 0 && whole)
            r->options.chunk_rows = number;
        else if (strcmp(word, "--deflate") == 0 && whole && number <= 9)
            r->options.deflate = (int32_t)number;
        else if (strcmp(word, "--levels") == 0 && whole)
            r->level_seed = number;
        else if (strcmp(word, "--origin") == 0 && whole && number <= 99999)
            r->n_origins = number;
        else
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    recut r;
    if (read_words(&r, argc, argv) != 0) {
        fprintf(stderr, "e2e_recut: IN.h5 OUT.h5 [--rows FIRST:END] [--chunk N] [--deflate N] [--levels "
                        "SEED] [--origin N] "
                        "[--label steep|rare] [--weights]\n");
        return 2;
    }
    /* As main does for a single process: Open MPI would start a daemon and look for networks. */
    setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    setenv("OMPI_MCA_pml", "ob1", 0);
    MPI_Init(&argc, &argv);
    ns_status status = copy(&r);
    ns_cohort_writer_close(&r.writer);
    ns_cohort_close(&r.cohort);
    if (status != NS_OK) fprintf(stderr, "e2e_recut: %s\n", ns_last_error()->message);
    MPI_Finalize();
    return status == NS_OK ? 0 : 1;
}
