#ifndef NIGHTSHIFT_RUNNER_SYNTH_H
#define NIGHTSHIFT_RUNNER_SYNTH_H
/*
 * A synthetic cohort of hospital stays whose true risks are known (runner/synth_world.h says how they come
 * about).
 *
 *   encounter_id  id (int64)        patient_id  id (text)         admitted_at  time, over two years, growing
 * with the row readmitted    category yes, no: drawn with the true risk      true_risk    number, on request:
 * never a feature age, length_of_stay, prior_stays, creatinine, … then lab_17, lab_18, …   the number columns
 *   next_care, cost, calls  on request: other outcomes, with true_none, true_outpatient, true_emergency, true_inpatient
 *   (probabilities), true_cost (mean) and true_calls (rate) where true_risk is asked for too; never features
 *   sex, diagnosis (300 levels), unit, disposition, insurance, then code_06, … the category columns
 *
 * Values depend on the options alone, not on compiler, library or machine; the same file is written again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_synth_options {
    int64_t n_rows;     /* >= 0 */
    int64_t n_patients; /* 1 to n_rows, or 0: six for ten rows */
    uint64_t seed;
    int32_t n_numbers;       /* 1 to 10000 number columns, true_risk not counted */
    int32_t n_categories;    /* 0 to 10000 category columns, readmitted not counted */
    double prevalence;       /* [0.001, 0.9] mean of the true risks */
    double missing;          /* [0, 0.6] about this part of the cells of columns that can be missing */
    bool true_risk;          /* with the column true_risk, and those of the truth of the outcomes */
    bool outcomes;           /* with next_care (category), cost and calls (numbers): runner/synth_outcomes.h */
    int64_t n_duplicate_ids; /* rows that carry the id of the row before: each makes two rows share one */
    int64_t n_missing_ids;   /* rows without an id */
    int64_t n_infinite;      /* rows with an infinite number. The three together at most half of the rows, all
                                different */
} ns_synth_options;

/* 0 rows, seed 1, 20 numbers, 5 categories, prevalence 0.12, missing 0.1, and nothing of the rest. */
ns_synth_options ns_synth_defaults(void);

/*
 * Writes the cohort, column by column in blocks of rows.
 *   path  in  the file appears whole or not at all (data/cohort_writer.h)
 * Local. NS_EINVAL: an option out of its range, named by its command line word. NS_EIO. NS_ENOMEM.
 */
ns_status ns_synth(const char *path, const ns_synth_options *options);
#endif
