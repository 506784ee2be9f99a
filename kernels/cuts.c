#include "kernels/cuts.h"

#include <assert.h>
#include <string.h>

#include "kernels/numerics.h"

/* Everything is said in ranks: a run of light rows is (rows before it in the whole column, rows in it). */
enum { MAX_BINS = 255 };

typedef struct span {
    int64_t before, rows;
} span;

typedef struct plan {
    ns_run heavy[MAX_BINS]; /* ascending keys */
    int64_t n_heavy;
    span runs[MAX_BINS + 1];
    int64_t n_runs;
} plan;

/* The runs of light rows between the heavies of p. */
static void part(plan *p, int64_t n)
{
    int64_t at = 0;
    p->n_runs = 0;
    for (int64_t i = 0; i <= p->n_heavy; i++) {
        int64_t end = i < p->n_heavy ? p->heavy[i].below : n;
        if (end > at) p->runs[p->n_runs++] = (span){at, end - at};
        if (i < p->n_heavy) at = end + p->heavy[i].count;
    }
}

/* Drops the heavy with fewest rows; of equals the one with the highest value. */
static void demote(plan *p)
{
    int64_t least = 0;
    for (int64_t i = 1; i < p->n_heavy; i++)
        if (p->heavy[i].count <= p->heavy[least].count) least = i;
    p->n_heavy--;
    memmove(&p->heavy[least], &p->heavy[least + 1], (size_t)(p->n_heavy - least) * sizeof p->heavy[0]);
}

/* Keeps the cuts ascending and each once. */
static void insert(uint32_t *keys, int32_t *n, uint32_t key)
{
    int32_t at = *n;
    while (at > 0 && keys[at - 1] > key) at--;
    if (at > 0 && keys[at - 1] == key) return;
    memmove(&keys[at + 1], &keys[at], (size_t)(*n - at) * sizeof *keys);
    keys[at] = key;
    ++*n;
}

/* Asks for every cut of a plan; true when all are known. Rows times bins stay below 2^63: rows < 2^54. */
static bool cut(ns_tally *tally, const plan *p, int32_t max_bins, uint32_t *keys, int32_t *n)
{
    int64_t light = 0, seen = 0, given = 0;
    bool known = true;
    for (int64_t g = 0; g < p->n_runs; g++) light += p->runs[g].rows;
    int64_t spare = max_bins - p->n_heavy - p->n_runs;
    for (int64_t g = 0; g < p->n_runs; g++) {
        span run = p->runs[g];
        seen += run.rows;
        int64_t share = (int64_t)((ns_i128)seen * spare / light);
        int64_t bins = 1 + share - given;
        given = share;
        for (int64_t j = 1; j <= bins; j++) { /* the last is the end of the run */
            int64_t rank = (int64_t)((ns_i128)run.rows * j / bins);
            uint32_t key;
            if (rank == 0) continue;
            if (ns_tally_at(tally, run.before + rank, &key))
                insert(keys, n, key);
            else
                known = false;
        }
    }
    for (int64_t i = 0; i < p->n_heavy; i++) insert(keys, n, p->heavy[i].key);
    return known;
}

static void publish(const uint32_t *keys, int32_t n, float *cuts, int32_t *n_cuts)
{
    assert(n - 1 <= NS_MAX_CUTS);
    *n_cuts = n - 1; /* the largest value is the last bin's and no cut */
    for (int32_t i = 0; i < n - 1; i++) cuts[i] = ns_value_of_key(keys[i]);
}

bool ns_cuts_find(ns_tally *tally, int32_t max_bins, float *cuts, int32_t *n_cuts)
{
    int64_t n = ns_tally_total(tally);
    *n_cuts = 0;
    if (n == 0) return true;
    plan p = {.n_heavy = 0};
    uint32_t keys[2 * MAX_BINS + 2];
    int32_t n_keys = 0;

    int64_t n_distinct;
    bool few_known = ns_tally_runs(tally, 1, p.heavy, max_bins, &n_distinct);
    if (few_known && n_distinct <= max_bins) {
        for (int64_t i = 0; i < n_distinct; i++) keys[n_keys++] = p.heavy[i].key;
        publish(keys, n_keys, cuts, n_cuts);
        return true;
    }
    int64_t least = (n + max_bins - 1) / max_bins; /* count * max_bins >= n */
    if (least > 1 && !ns_tally_runs(tally, least, p.heavy, max_bins, &p.n_heavy)) few_known = false;
    if (!few_known)
        p.n_heavy = 0; /* ask ahead for what will be needed if no value is heavy: it saves passes */
    part(&p, n);
    while (p.n_heavy + p.n_runs > max_bins) {
        demote(&p);
        part(&p, n);
    }
    if (!cut(tally, &p, max_bins, keys, &n_keys) || !few_known) return false;
    publish(keys, n_keys, cuts, n_cuts);
    return true;
}

int64_t ns_cuts_memory(int32_t max_bins, int32_t n_quantiles)
{
    /* Tables of a step: at most B prefixes where there are no more, else those of the B - 1 ranks floor(j n /
       B), among which are all heavy prefixes (each spans n / B ranks) but the last; later those of the final
       ranks, B - 1 again. */
    int64_t n_tables = 2 * (int64_t)max_bins + n_quantiles;
    return ns_tally_memory(n_tables, n_tables);
}
