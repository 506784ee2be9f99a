#ifndef NIGHTSHIFT_RUNNER_SYNTH_OUTCOMES_H
#define NIGHTSHIFT_RUNNER_SYNTH_OUTCOMES_H
/*
 * Outcomes of made-up stays beyond readmission, for models of several classes, of a number and of a count; each is drawn from a
 * distribution that is known. With z the log-odds of readmission of a stay (runner/synth_world.h) and age in decades from 62:
 *
 *   next_care  the highest kind of care within 30 days: classes none, outpatient, emergency, inpatient, of probabilities softmax(0.9,
 *              0.6 + 0.25 age, 0.2 + 0.45 z - 0.3 age, 1.1 + 0.9 z)
 *   cost       of the stay: mean m = 1500 + 850 * length of stay + 2200 * log(1 + e^(z + 1)), times a noise that is even on
 *              (0.4, 1.6): so its quantile q is m * (0.4 + 1.2 q), and its spread grows with it
 *   calls      to the ward within 30 days: Poisson of rate e^(0.1 + 0.5 z + 0.1 age), at most 8
 */
#include "runner/synth_world.h"

enum { NS_N_CARE = 4, NS_MOST_CALLS = 60 };

/* "none", "outpatient", "emergency", "inpatient" */
const char *ns_world_care_name(int32_t level);

/* The truth of a row. Pure. */
typedef struct ns_world_outcomes {
    double care[NS_N_CARE]; /* probabilities */
    double mean_cost;
    double call_rate;
} ns_world_outcomes;
ns_world_outcomes ns_world_outcomes_of(const ns_world *world, int64_t row);

/* What then happened. Pure. */
int32_t ns_world_care(const ns_world *world, int64_t row, const ns_world_outcomes *truth);
double ns_world_cost(const ns_world *world, int64_t row, const ns_world_outcomes *truth);
int32_t ns_world_calls(const ns_world *world, int64_t row, const ns_world_outcomes *truth);
#endif
