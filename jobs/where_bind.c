/* The second half of jobs/where.h: an expression on the columns of a cohort, and on their rows. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/instant.h"
#include "jobs/number.h"
#include "jobs/where_parts.h"

/*
 * eval walks rows in blocks that fit the first cache, each step of the program a plain loop over the block,
 * so that an expression costs about as much as reading its columns. Nothing is allocated.
 */
enum { BLOCK = 256 };

static const char *const kind_names[] = {[NS_WHERE_NUMBER] = "a number",
                                         [NS_WHERE_CATEGORY] = "a category",
                                         [NS_WHERE_TIME] = "a time",
                                         [NS_WHERE_ID_INT] = "an id of whole numbers",
                                         [NS_WHERE_ID_TEXT] = "an id of texts"};

static ns_status refuse(const ns_where *where, const where_test *test, int32_t position, const char *what)
{
    return ns_fail(NS_EFORMAT, "%s: character %d: column '%s' is %s: %s", where->place, (int)position,
                   where->columns[test->column], kind_names[where->kinds[test->column]], what);
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int by_integer(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int compare_bytes(const char *a, int64_t n_a, const char *b, int64_t n_b)
{
    size_t n = (size_t)(n_a < n_b ? n_a : n_b);
    int order = n == 0 ? 0 : memcmp(a, b, n);
    return order != 0 ? order : (n_a > n_b) - (n_a < n_b);
}

static int by_text(const void *a, const void *b)
{
    const where_value *x = a, *y = b;
    return compare_bytes(x->text, x->n_bytes, y->text, y->n_bytes);
}

static bool is_among_texts(const ns_where *where, const where_test *test, const char *text, int64_t n_bytes)
{
    where_value wanted = {.text = text, .n_bytes = n_bytes};
    return bsearch(&wanted, where->values + test->first, (size_t)test->n, sizeof wanted, by_text) != NULL;
}

static ns_status bind_numbers(ns_where *where, const where_test *test)
{
    for (int32_t i = test->first; i < test->first + test->n; i++) {
        const where_value *value = &where->values[i];
        double number;
        if (value->quoted)
            return refuse(where, test, value->position, "it compares with a number without quotes");
        if (!ns_number_read(value->text, (size_t)value->n_bytes, &number))
            return refuse(where, test, value->position, "this number is too long or too large");
        /* Cells are float32, so 0.1 means the float32 nearest to it; what no float32 reaches stays as it is.
         */
        where->numbers[i] = fabs(number) <= (double)FLT_MAX ? (double)(float)number : number;
    }
    qsort(where->numbers + test->first, (size_t)test->n, sizeof(double), by_number);
    return NS_OK;
}

static ns_status bind_times(ns_where *where, const where_test *test)
{
    for (int32_t i = test->first; i < test->first + test->n; i++) {
        const where_value *value = &where->values[i];
        if (!value->quoted || !ns_instant_read(value->text, (size_t)value->n_bytes, &where->integers[i]))
            return refuse(where, test, value->position,
                          "it compares with a time such as '2024-03-01' or '2024-03-01T08:30+01:00'");
    }
    qsort(where->integers + test->first, (size_t)test->n, sizeof(int64_t), by_integer);
    return NS_OK;
}

static ns_status bind_integers(ns_where *where, const where_test *test)
{
    for (int32_t i = test->first; i < test->first + test->n; i++) {
        const where_value *value = &where->values[i];
        if (value->quoted || !ns_integer_read(value->text, (size_t)value->n_bytes, &where->integers[i]))
            return refuse(where, test, value->position, "it compares with a whole number without quotes");
    }
    qsort(where->integers + test->first, (size_t)test->n, sizeof(int64_t), by_integer);
    return NS_OK;
}

static ns_status bind_texts(ns_where *where, where_test *test, const ns_where_column *column)
{
    if (test->op != WHERE_EQUAL && test->op != WHERE_IN)
        return refuse(where, test, test->position,
                      "it has no order; it takes ==, !=, in, not in and is missing");
    qsort(where->values + test->first, (size_t)test->n, sizeof *where->values, by_text);
    if (column->kind != NS_WHERE_CATEGORY) return NS_OK;
    test->level_in = calloc((size_t)column->n_levels + 1, 1); /* + 1: never zero bytes */
    if (test->level_in == NULL) return ns_fail(NS_ENOMEM, "out of memory for %s", where->place);
    for (int64_t i = 0; i < column->n_levels; i++) {
        int64_t n_bytes = 0;
        const char *text = column->level(column->context, i, &n_bytes);
        test->level_in[i] = is_among_texts(where, test, text, n_bytes);
    }
    return NS_OK;
}

ns_status ns_where_bind(ns_where *where, const ns_where_column *columns)
{
    for (int32_t i = 0; i < where->n_columns; i++) where->kinds[i] = columns[i].kind;
    for (int32_t i = 0; i < where->n_tests; i++) {
        where_test *test = &where->tests[i];
        free(test->level_in); /* of an earlier bind */
        test->level_in = NULL;
        if (test->op == WHERE_MISSING) continue;
        switch (columns[test->column].kind) {
        case NS_WHERE_NUMBER:
            NS_TRY(bind_numbers(where, test));
            break;
        case NS_WHERE_TIME:
            NS_TRY(bind_times(where, test));
            break;
        case NS_WHERE_ID_INT:
            NS_TRY(bind_integers(where, test));
            break;
        case NS_WHERE_CATEGORY:
        case NS_WHERE_ID_TEXT:
            NS_TRY(bind_texts(where, test, &columns[test->column]));
            break;
        }
    }
    return NS_OK;
}

/* Comparisons with NaN are false, as they should be for a missing number. */
static void eval_numbers(const ns_where *where, const where_test *test, const float *x, int64_t n,
                         uint8_t *keep)
{
    const double *wanted = where->numbers + test->first;
    double value = test->n > 0 ? wanted[0] : 0;
    switch (test->op) {
    case WHERE_EQUAL:
        for (int64_t i = 0; i < n; i++) keep[i] = (double)x[i] == value;
        break;
    case WHERE_LESS:
        for (int64_t i = 0; i < n; i++) keep[i] = (double)x[i] < value;
        break;
    case WHERE_AT_MOST:
        for (int64_t i = 0; i < n; i++) keep[i] = (double)x[i] <= value;
        break;
    case WHERE_GREATER:
        for (int64_t i = 0; i < n; i++) keep[i] = (double)x[i] > value;
        break;
    case WHERE_AT_LEAST:
        for (int64_t i = 0; i < n; i++) keep[i] = (double)x[i] >= value;
        break;
    case WHERE_MISSING:
        for (int64_t i = 0; i < n; i++) keep[i] = (uint8_t)(isnan(x[i]) ? 1 : 0);
        break;
    case WHERE_IN:
        for (int64_t i = 0; i < n; i++) {
            double cell = (double)x[i]; /* NaN would be equal to everything in by_number */
            keep[i] = !isnan(cell) && bsearch(&cell, wanted, (size_t)test->n, sizeof cell, by_number) != NULL;
        }
        break;
    }
}

static void eval_integers(const ns_where *where, const where_test *test, const int64_t *x, int64_t n,
                          uint8_t *keep)
{
    const int64_t *wanted = where->integers + test->first;
    int64_t value = test->n > 0 ? wanted[0] : 0;
    const int64_t none = INT64_MIN;
    switch (test->op) {
    case WHERE_EQUAL:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] != none && x[i] == value;
        break;
    case WHERE_LESS:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] != none && x[i] < value;
        break;
    case WHERE_AT_MOST:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] != none && x[i] <= value;
        break;
    case WHERE_GREATER:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] != none && x[i] > value;
        break;
    case WHERE_AT_LEAST:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] != none && x[i] >= value;
        break;
    case WHERE_MISSING:
        for (int64_t i = 0; i < n; i++) keep[i] = x[i] == none;
        break;
    case WHERE_IN:
        for (int64_t i = 0; i < n; i++)
            keep[i] = x[i] != none && bsearch(&x[i], wanted, (size_t)test->n, sizeof *x, by_integer) != NULL;
        break;
    }
}

static void eval_codes(const where_test *test, const int32_t *code, int64_t n, uint8_t *keep)
{
    if (test->op == WHERE_MISSING)
        for (int64_t i = 0; i < n; i++) keep[i] = code[i] < 0;
    else
        for (int64_t i = 0; i < n; i++) keep[i] = code[i] >= 0 && test->level_in[code[i]];
}

static void eval_texts(const ns_where *where, const where_test *test, const char *text, const int64_t *offset,
                       int64_t n, uint8_t *keep)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t n_bytes = offset[i + 1] - offset[i];
        if (test->op == WHERE_MISSING)
            keep[i] = n_bytes == 0;
        else
            keep[i] = n_bytes > 0 && is_among_texts(where, test, text + offset[i], n_bytes);
    }
}

static void eval_test(const ns_where *where, const where_test *test, const ns_where_cells *cells,
                      int64_t first, int64_t n, uint8_t *keep)
{
    const ns_where_cells *c = &cells[test->column];
    switch (where->kinds[test->column]) {
    case NS_WHERE_NUMBER:
        eval_numbers(where, test, c->number + first, n, keep);
        break;
    case NS_WHERE_CATEGORY:
        eval_codes(test, c->code + first, n, keep);
        break;
    case NS_WHERE_TIME:
    case NS_WHERE_ID_INT:
        eval_integers(where, test, c->integer + first, n, keep);
        break;
    case NS_WHERE_ID_TEXT:
        eval_texts(where, test, c->text, c->offset + first, n, keep);
        break;
    }
    if (!test->negate) return;
    for (int64_t i = 0; i < n; i++) keep[i] = !keep[i];
}

static void eval_block(const ns_where *where, const ns_where_cells *cells, int64_t first, int64_t n,
                       uint8_t *keep)
{
    uint8_t stack[NS_WHERE_STACK][BLOCK];
    int top = -1; /* the last result; the parser bounds its depth */
    for (int32_t s = 0; s < where->n_steps; s++) {
        const where_step *step = &where->steps[s];
        switch (step->kind) {
        case WHERE_TEST:
            eval_test(where, &where->tests[step->test], cells, first, n, stack[++top]);
            break;
        case WHERE_NOT:
            for (int64_t i = 0; i < n; i++) stack[top][i] = !stack[top][i];
            break;
        case WHERE_AND:
            top--;
            for (int64_t i = 0; i < n; i++) stack[top][i] &= stack[top + 1][i];
            break;
        case WHERE_OR:
            top--;
            for (int64_t i = 0; i < n; i++) stack[top][i] |= stack[top + 1][i];
            break;
        }
    }
    memcpy(keep, stack[0], (size_t)n);
}

void ns_where_eval(const ns_where *where, const ns_where_cells *cells, int64_t n_rows, uint8_t *keep)
{
    for (int64_t first = 0; first < n_rows; first += BLOCK) {
        int64_t n = n_rows - first < BLOCK ? n_rows - first : BLOCK;
        eval_block(where, cells, first, n, keep + first);
    }
}
