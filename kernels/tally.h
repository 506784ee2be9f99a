#ifndef NIGHTSHIFT_KERNELS_TALLY_H
#define NIGHTSHIFT_KERNELS_TALLY_H
/*
 * Exact order statistics of a column that is spread over ranks and read in slabs, by counting
 * order-preserving keys (ns_key_of) in three steps of 12, 10 and 10 bits. Tables of the lower bits exist only
 * where somebody asked:
 *
 *     ns_tally_add (all slabs), ns_tally_collect           the top 12 bits are known
 *     questions; a question that cannot be answered yet asks for the tables it lacks
 *     ns_tally_add (all slabs again), ns_tally_collect     … until no question is open: at most two passes
 * more per question
 *
 * Counts are sums over ranks, so answers depend on the multiset of values alone. NaN is left out, -0 counts
 * as +0.
 */
#include <stdbool.h>

#include "cluster/status.h"
#include "kernels/link.h"

typedef struct ns_tally ns_tally;

/* NS_ENOMEM. Local. */
ns_status ns_tally_create(ns_tally **out);
void ns_tally_destroy(ns_tally **tally);

/* Counts values for the tables that this pass is about. Local; several tallies may be added to at once. */
void ns_tally_add(ns_tally *tally, const float *values, int64_t n);

/* Ends a pass: counts become sums over ranks, the tables can be asked. Collective; every rank asked the same.
 */
void ns_tally_collect(ns_tally *tally, const ns_link *link);

/* Values counted, over all ranks; from the first collect on. */
int64_t ns_tally_total(const ns_tally *tally);

/* True where a table that was asked for has not been counted: another pass is due. */
bool ns_tally_is_waiting(const ns_tally *tally);

/*
 * Questions answer true, or false and ask for what they lack. Running out of memory for a table is
 * remembered: ns_tally_failed. Local, but every rank must ask the same questions.
 */

/* The rank-th smallest key, 1 <= rank <= total. */
bool ns_tally_at(ns_tally *tally, int64_t rank, uint32_t *key);

/* One run of equal keys. */
typedef struct ns_run {
    uint32_t key;
    int64_t below; /* values with smaller keys */
    int64_t count; /* values with this key, > 0 */
} ns_run;

/*
 * All keys with at least `least` values, ascending.
 *   runs  out  [room]; keys beyond room are not stored
 *   n     out  how many there are, or room + 1 when there are more than room (known without asking for
 * tables) With least = 1: are there at most `room` distinct values, and which.
 */
bool ns_tally_runs(ns_tally *tally, int64_t least, ns_run *runs, int64_t room, int64_t *n);

/*
 * What this pass is about, for one who counts by other means than ns_tally_add: tables of 1 << bits counters. A value that is
 * not NaN counts in the table whose prefix is key >> (shift + bits), where there is one, at the next `bits` bits of its key.
 */
typedef enum ns_tally_step { NS_TALLY_TOP, NS_TALLY_MIDDLE, NS_TALLY_LOW, NS_TALLY_STEPS } ns_tally_step;
static inline int ns_tally_shift(ns_tally_step step)
{
    return step == NS_TALLY_TOP ? 20 : step == NS_TALLY_MIDDLE ? 10 : 0;
}
static inline int ns_tally_bits(ns_tally_step step)
{
    return step == NS_TALLY_TOP ? 12 : 10;
}

/* How many tables of a step this pass counts. Local. */
int64_t ns_tally_n_wanted(const ns_tally *tally, ns_tally_step step);

/* prefix: [n_wanted] ascending; index: [n_wanted] the place of each one's table in what ns_tally_put takes. Local. */
void ns_tally_wanted(const ns_tally *tally, ns_tally_step step, uint32_t *prefix, uint32_t *index);

/* Adds counts: [n_wanted][1 << bits]. Local; several tallies may be added to at once. */
void ns_tally_put(ns_tally *tally, ns_tally_step step, const uint32_t *count);

/* NS_ENOMEM when a table could not be had. */
ns_status ns_tally_status(const ns_tally *tally);

/* Bytes of a tally with this many tables of middle and of low bits, at most. */
int64_t ns_tally_memory(int64_t n_middle, int64_t n_low);
#endif
