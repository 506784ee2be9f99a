#ifndef NIGHTSHIFT_JOBS_PROBLEMS_H
#define NIGHTSHIFT_JOBS_PROBLEMS_H
/* Everything that is wrong with a job, put in the order in which its author will mend it. */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_problem {
    int32_t source, line, order; /* sorted by these */
    char *message;
} ns_problem;

typedef struct ns_problems {
    ns_problem *items; /* [n] */
    int32_t n, room;
} ns_problems;

/* NS_ENOMEM alone: a problem that is noted is no failure. {0} is an empty list. */
ns_status ns_problems_add(ns_problems *problems, int32_t source, int32_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ns_problems_sort(ns_problems *problems); /* by source, line and the order they came in */
void ns_problems_clear(ns_problems *problems);
#endif
