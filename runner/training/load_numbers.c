/* Number columns in batches: read, counted for cuts and quantiles, binned, dropped. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "runner/training/load.h"

/* Floats of one batch of number columns, and counters of a batch, stay below these. */
static const int64_t BATCH_BYTES = 128 << 20;
enum { BATCH_MOST = 64 };

static bool missing_infinite(const ns_table *table)
{
    return strcmp(ns_job_text(table->job, "data.infinite"), "missing") == 0;
}

static bool any_infinite(const float *cells, int64_t n)
{
    uint32_t found = 0;
    for (int64_t i = 0; i < n; i++) { /* on integers, so that compilers take many at once */
        uint32_t bits;
        memcpy(&bits, &cells[i], sizeof bits);
        found |= (bits & 0x7fffffffu) == 0x7f800000u;
    }
    return found != 0;
}

/* Infinite cells of the rows [first, first + n) become missing; of kept rows they are counted. */
static void drop_infinite(const ns_table *table, int64_t first, int64_t n, float *cells, int64_t *n_infinite, int64_t *first_infinite)
{
    for (int64_t k = ns_table_kept_from(table, first); k < table->n_kept && table->row[k] < first + n; k++) {
        if (!isinf(cells[table->row[k] - first])) continue;
        cells[table->row[k] - first] = NAN;
        ++*n_infinite;
        if (table->row[k] < *first_infinite) *first_infinite = table->row[k];
    }
}

/* Hashes a slab of a number column and puts the forest's rows into values. Returns the first row whose value is infinite
   though the job does not say what that means, or -1. */
static int64_t take_numbers(ns_load *l, int32_t index, int64_t at, int64_t n, float *values)
{
    ns_table *table = l->table;
    float *slab = l->slab;
    int64_t n_infinite = 0, first_infinite = INT64_MAX;
#pragma omp parallel for num_threads(l->out->device->n_threads) reduction(+ : n_infinite) reduction(min : first_infinite)
    for (int64_t from = 0; from < n; from += NS_LOAD_PIECE) {
        int64_t rows = n - from < NS_LOAD_PIECE ? n - from : NS_LOAD_PIECE;
        ns_fingerprint_numbers(table->fingerprint, index, at + from, rows, slab + from);
        if (any_infinite(slab + from, rows)) drop_infinite(table, at + from, rows, slab + from, &n_infinite, &first_infinite);
        ns_forest_rows_put(&l->rows, at + from, rows, slab + from, values);
    }
    if (n_infinite > 0 && !missing_infinite(table)) return first_infinite;
    l->out->n_infinite += n_infinite;
    return -1;
}

/* Reads a number column, hashes it, and puts the forest's rows into values. */
static ns_status read_numbers(ns_load *l, int32_t f, float *values)
{
    ns_table *table = l->table;
    int32_t column = table->features.list[f].column, index = ns_table_used_index(table, column);
    int64_t end = table->shard.first_row + table->shard.n_rows;
    for (int64_t at = table->shard.first_row; at < end; at += l->slab_rows) {
        int64_t n = ns_load_rows_at(l, at);
        NS_TRY(ns_cohort_read_number(table->cohort, column, at, n, l->slab));
        int64_t infinite = take_numbers(l, index, at, n, values);
        if (infinite >= 0)
            return ns_cohort_bad_row(table->cohort, column, infinite, "the value is infinite; correct it, or set data.infinite: missing");
    }
    return NS_OK;
}

static void describe_number(ns_load *l, int32_t f)
{
    ns_distribution *d = &l->out->distribution[f];
    const float *quantile;
    l->out->device->forest->quantiles(l->out->forest, f, &quantile, &d->n_values);
    memcpy(d->quantile, quantile, sizeof d->quantile);
    d->n_missing = l->table->n_part_global[NS_PART_TRAIN] - d->n_values;
}

/* One batch of number features: list[0..n) are feature indices, values[i] their floats. Collective. */
static ns_status learn_batch(ns_load *l, const int32_t *list, int32_t n, float *const *values)
{
    const ns_forest_ops *ops = l->out->device->forest;
    MPI_Comm comm = l->table->comm;
    ns_status status = NS_OK;
    for (int32_t i = 0; i < n && status == NS_OK; i++) {
        status = ns_stop_check();
        if (status == NS_OK) status = read_numbers(l, list[i], values[i]);
        ns_log_progress("read", list[i] + 1, l->table->features.n, "unit=columns");
    }
    NS_TRY(ns_agree(status, comm));
    /* count_done speaks of a range of features: a batch is the number features between its first and its last. */
    int32_t first = list[0], span = list[n - 1] - list[0] + 1;
    for (bool more = true; more;) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(l->out->device->n_threads)
        for (int32_t i = 0; i < n; i++) {
            ns_slab slab = {.feature = list[i], .first_row = 0, .n_rows = l->out->n_train, .number = values[i]};
            ns_status mine = ops->count_slab(l->out->forest, &slab);
            if (mine == NS_OK) continue;
#pragma omp critical
            status = mine;
        }
        NS_TRY(ns_agree(status, comm));
        NS_TRY(ops->count_done(l->out->forest, first, span, &more));
    }
    for (int32_t i = 0; i < n && status == NS_OK; i++) {
        ns_slab slab = {.feature = list[i], .first_row = 0, .n_rows = l->n_local, .number = values[i]};
        status = ops->bin_slab(l->out->forest, &slab);
    }
    NS_TRY(ns_agree(status, comm));
    for (int32_t i = 0; i < n; i++) describe_number(l, list[i]);
    return NS_OK;
}

int32_t ns_load_batch(int64_t most_rows)
{
    int64_t fits = BATCH_BYTES / (int64_t)sizeof(float) / (most_rows > 0 ? most_rows : 1);
    return fits < 1 ? 1 : fits > BATCH_MOST ? BATCH_MOST : (int32_t)fits;
}

ns_status ns_load_numbers(ns_load *l)
{
    ns_table *table = l->table;
    int64_t most_rows = l->n_local;
    ns_max_i64(&most_rows, 1, table->comm);
    int32_t batch = ns_load_batch(most_rows), list[BATCH_MOST], n = 0;
    l->out->batch = batch;
    float *values[BATCH_MOST] = {NULL};
    ns_status status = NS_OK;
    for (int32_t i = 0; i < batch && i < table->features.n && status == NS_OK; i++) {
        values[i] = malloc(((size_t)l->n_local + 1) * sizeof **values);
        if (values[i] == NULL) status = ns_fail(NS_ENOMEM, "no memory for %lld rows of a column", (long long)l->n_local);
    }
    status = ns_agree(status, table->comm);
    for (int32_t f = 0; f < table->features.n && status == NS_OK; f++) {
        if (table->features.list[f].kind == NS_NUMBER) list[n++] = f;
        bool last = f == table->features.n - 1;
        if (n == 0 || (n < batch && !last)) continue;
        status = learn_batch(l, list, n, values);
        n = 0;
    }
    for (int32_t i = 0; i < BATCH_MOST; i++) free(values[i]);
    return status;
}
