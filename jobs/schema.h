#ifndef NIGHTSHIFT_JOBS_SCHEMA_H
#define NIGHTSHIFT_JOBS_SCHEMA_H
/*
 * The schema file of `import`: what a CSV cannot say about its columns.
 *
 *   missing: ["", "NA", "?"]
 *   columns:
 *     admitted_at: {kind: time, format: "%d.%m.%Y %H:%M", zone: Europe/Vienna}
 *     diagnosis: {kind: category, prefix: 3}
 */
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_schema_kind {
    NS_SCHEMA_INFERRED = 0, NS_SCHEMA_NUMBER, NS_SCHEMA_CATEGORY, NS_SCHEMA_ID, NS_SCHEMA_TIME, NS_SCHEMA_SKIP
} ns_schema_kind;

typedef struct ns_schema_column {
    const char *name;
    ns_schema_kind kind;
    const char *format, *zone; /* of times; NULL where not given */
    int32_t prefix;            /* of levels: so many first characters count; 0: all */
    const char *unit, *description; /* NULL where not given */
    int32_t line;              /* of its name in the file */
} ns_schema_column;

typedef struct ns_schema {
    const char **missing; /* [n_missing] texts of cells that are missing; NULL and 0 where the file does not say */
    int64_t n_missing;
    ns_schema_column *columns; /* [n_columns] in the order of the file */
    int64_t n_columns;
    struct ns_yaml *texts; /* owns every text */
} ns_schema;

/*
 *   path  in  for messages, as the user wrote it
 * NS_EINVAL, one line "PATH:LINE: KEY: …": YAML (as in a job file), unknown key (with the nearest), unknown kind, prefix out of
 * range, format or zone without kind time, prefix without kind category, unit with another kind than number. NS_ENOMEM.
 * *out is NULL on failure.
 */
ns_status ns_schema_parse(ns_schema **out, const char *text, const char *path);
void ns_schema_destroy(ns_schema **schema);

/*
 * A schema as the text of a schema file, which ns_schema_parse reads back to the same.
 *   out       out  freed by the caller; NULL on failure
 *   comments  in   [n_columns] lines to stand above each column, each ending with a newline; NULL: none
 * NS_ENOMEM.
 */
ns_status ns_schema_print(char **out, const ns_schema *schema, const char *const *comments);

/* The column of this name, NULL where the schema does not speak of it. */
const ns_schema_column *ns_schema_find(const ns_schema *schema, const char *name);
#endif
