#ifndef NIGHTSHIFT_RUNNER_METRICS_RISK_TABLE_H
#define NIGHTSHIFT_RUNNER_METRICS_RISK_TABLE_H
/*
 * All that metrics need of a table's rows: each distinct risk with its number of events and of other rows.
 * Made on each rank from its own rows, then added up on rank 0 (metrics_gather.h); neither the order of rows
 * nor their place matters.
 */
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_risk_table {
    int64_t n;         /* distinct risks */
    float *risk;       /* [n] ascending, each above 0 and below 1 */
    int64_t *negative; /* [n] rows with label 0 */
    int64_t *positive; /* [n] rows with label 1: events */
} ns_risk_table;

/*
 *   out    out  freed with ns_risk_table_destroy; {0} on failure
 *   risk   in   [n] as published: float32
 *   label  in   [n] 0 or 1
 *   use    in   [n] 0: the row is left out; NULL: all are used
 *   n      in   rows, >= 0
 * Local. Fails with NS_ENUMERIC (a used risk is NaN, or not above 0 and below 1: every published risk is) or
 * NS_ENOMEM.
 */
ns_status ns_risk_table_build(ns_risk_table *out, const float *risk, const uint8_t *label, const uint8_t *use,
                              int64_t n);

/* into += from, risk by risk. NS_ENOMEM: into is as before. */
ns_status ns_risk_table_add(ns_risk_table *into, const ns_risk_table *from);

/* Memory for n distinct risks, contents undefined. NS_ENOMEM: {0}. */
ns_status ns_risk_table_alloc(ns_risk_table *out, int64_t n);

void ns_risk_table_destroy(ns_risk_table *table); /* back to {0} */
#endif
