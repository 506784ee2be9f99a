#ifndef NIGHTSHIFT_JOBS_YAML_H
#define NIGHTSHIFT_JOBS_YAML_H
/*
 * The part of YAML that job, site and schema files use: sections of keys whose values are single values or
 * lists of single values, each with its line. Every value is text; what it means is decided by who asks for
 * it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_yaml_scalar {
    const char *text;
    int32_t line;
    bool is_null; /* nothing, or a bare ~ */
} ns_yaml_scalar;

typedef enum ns_yaml_kind { NS_YAML_SCALAR, NS_YAML_LIST, NS_YAML_EMPTY_SECTION } ns_yaml_kind;

/* One value with the keys that lead to it, outermost first. n_keys 0: the text is one value, not a section.
 */
typedef struct ns_yaml_entry {
    const char *const *keys; /* [n_keys] */
    int32_t n_keys;
    int32_t line; /* of its last key */
    ns_yaml_kind kind;
    const ns_yaml_scalar *items; /* [n_items]; 1 for a scalar, 0 for an empty section */
    int64_t n_items;
} ns_yaml_entry;

typedef struct ns_yaml {
    ns_yaml_entry *entries; /* [n_entries] in the order of the text */
    int64_t n_entries;
    int64_t room;
    struct ns_yaml_block *blocks; /* owns every text and array above but entries */
} ns_yaml;

typedef struct ns_yaml_problem {
    int32_t line;
    char message[400]; /* one line, without file and line */
} ns_yaml_problem;

/*
 * Reads a text. An empty one has no entries.
 * NS_EINVAL, with *problem set (nothing is put on record by ns_fail): not UTF-8, YAML syntax, a duplicate or
 * empty key, a key that is not a single value, anchors, aliases, tags, a list in a list, a zero byte in a
 * value, more than 8 levels, a second document. NS_ENOMEM. *out is NULL on failure.
 */
ns_status ns_yaml_read(ns_yaml **out, const char *text, ns_yaml_problem *problem);
void ns_yaml_destroy(ns_yaml **yaml);
#endif
