#ifndef NIGHTSHIFT_JOBS_VALUE_H
#define NIGHTSHIFT_JOBS_VALUE_H
/* The value of one option: from what a file says, by the kind and range of its row in the table. */
#include <stdbool.h>
#include <stdint.h>

#include "jobs/job.h"
#include "jobs/yaml.h"

typedef struct ns_value {
    char **items; /* [n_items] texts as given; paths absolute. A choice, flag or number keeps its text */
    int64_t n_items;
    double number;   /* NUMBER, SECONDS */
    int64_t integer; /* INTEGER, BYTES; TIME: seconds since 1970 UTC */
    bool flag;       /* FLAG */
} ns_value;

/* Whole numbers up to here are exact in the table's doubles; a range that ends here is printed "to 2^53". */
#define NS_VALUE_MOST 0x1p53

/*
 *   items    in  one for a single value, any number for a list; kind says which it was
 *   folder   in  absolute; relative paths count from here
 *   problem  out on NS_EINVAL: line and what is wrong, without file and key
 * NS_EINVAL: a list where one value belongs or the other way round, a value out of kind or range, an empty
 * text or list of paths, a time that is none, a where expression with a mistake, ${NAME} unset, empty or never closed. NS_ENOMEM.
 * *out is empty then.
 */
ns_status ns_value_read(ns_value *out, const ns_option *option, const ns_yaml_entry *entry,
                        const char *folder, ns_yaml_problem *problem);
void ns_value_clear(ns_value *value); /* frees what it holds; back to {0} */

/* "0 to 1", "columns, matrix", "a name": what the option takes, for messages and pages; "" where anything
 * goes. */
void ns_option_range(char out[256], const ns_option *option);
#endif
