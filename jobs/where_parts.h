#ifndef NIGHTSHIFT_JOBS_WHERE_PARTS_H
#define NIGHTSHIFT_JOBS_WHERE_PARTS_H
/*
 * What where.c (text to parts) and where_bind.c (parts to rows) share. An expression is a list of tests and a
 * program in postfix order over them; a test is one comparison of one column.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jobs/where.h"

/* Brackets nest at most this deep: each level holds the left side of an or and of an and, the innermost one
 * result more. */
enum { NS_WHERE_DEPTH = 30, NS_WHERE_STACK = 2 * (NS_WHERE_DEPTH + 1) + 1 };

typedef enum where_op {
    WHERE_EQUAL,
    WHERE_LESS,
    WHERE_AT_MOST,
    WHERE_GREATER,
    WHERE_AT_LEAST,
    WHERE_IN,
    WHERE_MISSING
} where_op;

typedef struct where_value {
    const char *text; /* a number as it is written, a quoted text without its quotes */
    int64_t n_bytes;
    bool quoted;
    int32_t position; /* of its first character, from 1 */
} where_value;

/* A row passes when (column op values) is not `negate`; a missing cell fails every op but WHERE_MISSING. */
typedef struct where_test {
    int32_t column;
    where_op op;
    bool negate;
    int32_t first, n;  /* its values */
    int32_t position;  /* of its column's name */
    uint8_t *level_in; /* category, after bind: [n_levels] 1 where the level is among the values */
} where_test;

typedef enum where_step_kind { WHERE_TEST, WHERE_AND, WHERE_OR, WHERE_NOT } where_step_kind;

typedef struct where_step {
    where_step_kind kind;
    int32_t test; /* of WHERE_TEST */
} where_step;

struct ns_where {
    char *place;
    char *pool;           /* texts of values and names */
    const char **columns; /* [n_columns] */
    where_test *tests;    /* [n_tests] */
    where_value
        *values;       /* [n_values] by test, as written; after bind, in a test on texts, in bytewise order */
    where_step *steps; /* [n_steps] */
    int32_t n_columns, n_tests, n_values, n_steps;
    ns_where_kind *kinds; /* [n_columns] after bind */
    double *numbers;      /* [n_values] after bind: of tests on numbers, in rising order */
    int64_t *integers;    /* [n_values] after bind: of tests on times and int64 ids, in rising order */
};

/* As ns_where_parse, with the message of NS_EINVAL in message[] rather than on record, and without a place.
 */
ns_status ns_where_read(ns_where **out, const char *text, char *message, size_t room);
#endif
