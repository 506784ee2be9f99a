#ifndef NIGHTSHIFT_RUNNER_SWEEP_SWEEP_PLAN_H
#define NIGHTSHIFT_RUNNER_SWEEP_SWEEP_PLAN_H
/*
 * The members of a sweep: a pure function of its job. Member 1 + ((s * n_seeds + i) * max(1, n_folds) + f) has setting s, the seed
 * train.seed + i and fold f + 1; the members of setting s lie side by side.
 *
 *   setting s = g * n_drawn + d   combination g of the grid, its first axis slowest; drawn setting d
 *   drawn value of option KEY     u = 53 bits of Philox (kernels/philox.h), key train.seed, purpose 83, step d, words 0 and 1 of block
 *                                 BLAKE2b(KEY), over 2^53; hi is `most`, with whole numbers `most + 1`
 *     range                       least + u (hi - least); with log exp(ln least + u (ln hi - ln least)); whole numbers rounded down,
 *                                 others to 4 significant digits; kept within least and most
 *     choice                      word floor(u * n_words)
 */
#include <stdbool.h>
#include <stdint.h>

#include "jobs/job.h"
#include "jobs/sweep.h"

typedef struct ns_sweep_plan {
    const ns_sweep_axis *axes; /* [n_axes] borrowed from the job */
    int32_t n_axes;
    int64_t n_settings, n_members;
    int64_t first_seed, n_seeds;
    int64_t n_folds;           /* 0: none */
    int64_t split_seed;        /* -1: not fixed, there is one seed */
    const char *metric;        /* of the validation part, as metrics.json names it */
    bool larger_is_better;
    char **words;              /* [n_settings][n_axes] the values */
} ns_sweep_plan;

typedef struct ns_sweep_member {
    int64_t number;  /* 1 to n_members */
    int64_t setting; /* from 0 */
    int64_t seed;
    int64_t fold;    /* 1 to n_folds; 0: none */
} ns_sweep_member;

/* Whether the job says anything of what a sweep tries. Local. */
bool ns_sweep_is_asked(const ns_job *job);

/*
 *   job  in  borrowed for the life of the plan
 * Local. NS_EINVAL with the option's place: the job says nothing of a sweep, there are no validation rows to choose by, seeds that are
 * too large. NS_ENOMEM. Forget in either case.
 */
ns_status ns_sweep_plan_make(ns_sweep_plan *plan, const ns_job *job);
void ns_sweep_plan_forget(ns_sweep_plan *plan);

/* Local. Cannot fail. */
ns_sweep_member ns_sweep_member_of(const ns_sweep_plan *plan, int64_t number);

/* The value of one axis in one setting; borrowed. */
const char *ns_sweep_word(const ns_sweep_plan *plan, int64_t setting, int32_t axis);

/*
 * What --set says to `train` for a member: its setting, seed and fold, as "section.key=value".
 *   sets  out  [*n] in one block, texts included: freed by the caller with one free; NULL on failure
 * Local. NS_ENOMEM.
 */
ns_status ns_sweep_member_sets(char ***sets, int32_t *n, const ns_sweep_plan *plan, const ns_sweep_member *member);
#endif
