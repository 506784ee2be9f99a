#ifndef NIGHTSHIFT_TESTS_KERNELS_SLOW_OBJECTIVE_H
#define NIGHTSHIFT_TESTS_KERNELS_SLOW_OBJECTIVE_H
/* What each objective means, row by row, as the headers of kernels/ say it, in the plainest way. Shares with
 * the backend only numerics.h and the types. */
#include "tests/kernels/table.h"

typedef struct slow_objective {
    const test_table *t;
    const ns_forest_settings *s;
    int32_t n_outputs, k;
    int64_t base[8];
    double loss_unit;
    double *w; /* [n_rows] w' */
    bool wide;
} slow_objective;

void slow_objective_make(slow_objective *o, const test_table *t, const ns_forest_settings *s);
void slow_objective_free(slow_objective *o);

/* g and h of one row for one output, from the margins of all of its outputs. */
void slow_gradient(const slow_objective *o, int64_t row, const int64_t *margin, int32_t output, double *g,
                   double *h);

/* rne(2^40 / loss_unit * (w' * loss)) */
int64_t slow_loss(const slow_objective *o, int64_t row, const int64_t *margin);

/* The weighted quantile of the residuals of the training rows that has[] names; margin[row] is theirs. */
double slow_quantile(const slow_objective *o, const bool *has, const int64_t *margin);

int64_t slow_rounded(double x);
#endif
