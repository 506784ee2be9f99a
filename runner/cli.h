#ifndef NIGHTSHIFT_RUNNER_CLI_H
#define NIGHTSHIFT_RUNNER_CLI_H
/* The command line: one table of verbs, one of options; both make --help. */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_args {
    const char *verb;              /* NULL where none was given */
    const char **positional;       /* [n_positional] the verb's words; import may have many */
    int n_positional;
    const char **sets;             /* values of --set, in order */
    int n_sets;
    bool json, quiet, help, version;
    const char **values;           /* one per row of the option table; NULL where not given */
    const char **rest;             /* run: the words to start; borrowed from argv, NULL-terminated */
} ns_args;

/*
 * Reads argv. NS_EINVAL: unknown verb or option (with the nearest known one), a missing value, too few or too many words;
 * what was read so far is kept, so that --json is known. NS_ENOMEM. out is freed with ns_args_destroy in either case.
 */
ns_status ns_args_parse(ns_args *out, int argc, char **argv);
void ns_args_destroy(ns_args *args);

/* Whether a verb reads a job file. */
bool ns_verb_takes_job(const char *verb);

/* The value of an option such as "--as-of", or NULL; for an option without a value "" when given. */
const char *ns_args_value(const ns_args *args, const char *option);

/* An integer option: fallback where not given. NS_EINVAL where it is not a whole number from least to most. */
ns_status ns_args_integer(int64_t *out, const ns_args *args, const char *option, int64_t fallback, int64_t least, int64_t most);
ns_status ns_args_number(double *out, const ns_args *args, const char *option, double fallback, double least, double most);

/* What --help prints: of one verb, or of the program where verb is NULL. Freed by the caller; NULL without memory. */
char *ns_help_text(const char *verb);
#endif
