#ifndef NIGHTSHIFT_TESTS_RUNNER_METRICS_ROWS_H
#define NIGHTSHIFT_TESTS_RUNNER_METRICS_ROWS_H
/* Rows that tests/peers/metrics_peers.py makes too: risks on a grid of n_levels values, labels drawn with
 * risk^power. */
#include <stdint.h>

typedef struct golden_capacity {
    int64_t k;
    double threshold;
    int64_t n_flagged, n_true;
} golden_capacity;

typedef struct golden_case {
    uint64_t seed;
    int64_t n_rows, n_levels;
    int power;
    int64_t n_events;
    double value[10]; /* in the order of the enumeration below */
    golden_capacity capacity[3];
} golden_case;

enum {
    AUROC,
    VARIANCE,
    AUPRC,
    LOG_LOSS,
    BRIER,
    INTERCEPT,
    SLOPE,
    CITL,
    OBSERVED_EXPECTED,
    ECE,
    N_GOLDEN_VALUES
};

static inline uint64_t splitmix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Row i of a case. */
static inline void make_row(const golden_case *c, int64_t i, float *risk, uint8_t *label)
{
    uint64_t at = c->seed * 1000003 + 2 * (uint64_t)i;
    double r = (double)(1 + splitmix(at) % (uint64_t)c->n_levels) / (double)(c->n_levels + 2), limit = 1.0;
    for (int p = 0; p < c->power; p++) limit *= r;
    *risk = (float)r;
    *label = splitmix(at + 1) % 1048576 < (uint64_t)(limit * 1048576.0);
}
#endif
