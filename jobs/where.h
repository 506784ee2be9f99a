#ifndef NIGHTSHIFT_JOBS_WHERE_H
#define NIGHTSHIFT_JOBS_WHERE_H
/*
 * The `where` expression: who belongs to a cohort.
 *
 *   expression  = term { or term };  term = factor { and factor };  factor = [ not ] ( comparison | "(" expression ")" )
 *   comparison  = COLUMN ( == | = | != | < | <= | > | >= ) VALUE  |  COLUMN [not] in ( VALUE , … )
 *               | COLUMN is [not] missing
 *   VALUE       = number | 'text' | "text"        COLUMN = bare name or `name in backquotes`
 *
 * Two-valued: comparing a missing value is false; != and `not in` are negations, so true for a missing value. A category or
 * text id compares by its text (`in (11, 13)` means "11", "13"); < and > on it are NS_EFORMAT. A number is compared as
 * float32. A time compares with ISO 8601 text ('2024-03-01', '2024-03-01T08:30', with Z or +hh:mm; none means UTC), an
 * int64 id with whole numbers. A quoted text against a number or int64 id is NS_EFORMAT. Keywords are case-insensitive. A
 * bare name has letters, digits, _ . and anything beyond ASCII; a quote within its own kind is doubled ('it''s'); an empty
 * text is refused, since empty means missing. Brackets nest at most 30 deep.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_where ns_where;

typedef enum ns_where_kind { NS_WHERE_NUMBER, NS_WHERE_CATEGORY, NS_WHERE_TIME, NS_WHERE_ID_INT, NS_WHERE_ID_TEXT } ns_where_kind;

/* What a column is; levels as index -> text. Borrowed for the call of bind. */
typedef struct ns_where_column {
    ns_where_kind kind;
    int64_t n_levels;
    const char *(*level)(const void *context, int64_t index, int64_t *n_bytes);
    const void *context;
} ns_where_column;

/* Cells of one column for the rows of one eval; the member of its kind. */
typedef struct ns_where_cells {
    const float *number;
    const int32_t *code;                     /* -1 missing */
    const int64_t *integer;                  /* time or int64 id; INT64_MIN missing */
    const char *text; const int64_t *offset; /* text id i: text[offset[i] .. offset[i+1]); empty is missing */
} ns_where_cells;

/*
 *   place  in  "readmission.yaml:14: data.where", for messages
 * NS_EINVAL: syntax, with the character's position and what was expected. NS_ENOMEM. *out is NULL then.
 */
ns_status ns_where_parse(ns_where **out, const char *text, const char *place);
void ns_where_destroy(ns_where **where);

/* The different columns it names, in order of first use. */
int32_t ns_where_n_columns(const ns_where *where);
const char *ns_where_column_name(const ns_where *where, int32_t i);

/* Binds to the columns of a cohort, one per column in the order of ns_where_column_name; may be done again for another cohort.
   NS_EFORMAT: a value of the wrong kind for its column. NS_ENOMEM. */
ns_status ns_where_bind(ns_where *where, const ns_where_column *columns);

/* keep[i] = 1 where row i belongs. cells: one per column, in the order of ns_where_column_name. Local, after bind. */
void ns_where_eval(const ns_where *where, const ns_where_cells *cells, int64_t n_rows, uint8_t *keep);
#endif
