#ifndef NIGHTSHIFT_JOBS_JOB_H
#define NIGHTSHIFT_JOBS_JOB_H
/*
 * A job: the values of all options of jobs/options.c, from site file, job file and --set (later wins), each checked and
 * with the place it came from. Options are asked for by key; asking for a key that the table has not, or as another kind,
 * is a bug and asserts.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef enum ns_option_kind {
    NS_OPT_TEXT, NS_OPT_CHOICE, NS_OPT_FLAG, NS_OPT_INTEGER, NS_OPT_NUMBER, NS_OPT_SECONDS, NS_OPT_BYTES, NS_OPT_PATH,
    NS_OPT_TEXTS, NS_OPT_PATHS, NS_OPT_WHERE, NS_OPT_TIME
} ns_option_kind;

enum {
    NS_OPT_BUNDLE = 1,   /* decides the model: stands in bundle/job.yaml and in a resume's identity */
    NS_OPT_SITE = 2,     /* may stand in a site file */
    NS_OPT_SCALAR_TOO = 4, /* a list that may be given as one scalar */
    NS_OPT_NAME = 8 /* a text of 1 to 100 letters, digits and . _ -, beginning with a letter or digit: it names a folder */
};

/* One row of the option table. */
typedef struct ns_option {
    const char *key;
    ns_option_kind kind;
    const char *fallback;  /* as it would stand in a job file; NULL: unset */
    double least, most;    /* INTEGER, NUMBER, SECONDS, BYTES; both 0: any */
    const char *choices;   /* CHOICE: "a|b|c" */
    unsigned flags;
    const char *unit;      /* "" */
    const char *help;      /* one sentence or two */
} ns_option;
extern const ns_option ns_options[];
extern const int32_t ns_n_options;

typedef struct ns_job ns_job;

/* Texts of the files, read by rank 0 and given to all ranks, so that all parse the same. */
typedef struct ns_job_sources {
    const char *job_path, *job_text;   /* path as the user wrote it; text NULL: no job file */
    const char *job_folder;            /* absolute folder of the job file: its relative paths count from here */
    const char *site_path, *site_text; /* NULL: none */
    const char *site_folder;
    const char *working_folder;        /* absolute; relative paths of --set count from here */
    const char *const *sets;           /* "section.key=value" */
    int32_t n_sets;
} ns_job_sources;

/*
 * NS_EINVAL with one line "PATH:LINE: KEY: …": YAML syntax (anchors, second document, duplicate key included), unknown key
 * (with the nearest known one), a value out of range or kind, a section given as a scalar, an unset ${NAME} in a path,
 * fractions that do not sum to 1, keys that exclude one another. NS_ENOMEM. Local and pure but for getenv.
 */
ns_status ns_job_parse(ns_job **out, const ns_job_sources *sources);
void ns_job_destroy(ns_job **job);

/* As parse, but hands every message to `problem` (for `check`), site file first, then job file, each by line, then --set;
   NS_EINVAL when there was one, with nothing put on record by ns_fail. NS_ENOMEM. */
ns_status ns_job_check(const ns_job_sources *sources, void (*problem)(void *context, const char *message), void *context);

bool ns_job_has(const ns_job *job, const char *key);              /* given or with a fallback */
bool ns_job_given(const ns_job *job, const char *key);            /* given by a file or --set */
const char *ns_job_text(const ns_job *job, const char *key);      /* TEXT, CHOICE, PATH, WHERE; NULL where unset. PATH: absolute, ${NAME} expanded, {as_of} left */
int64_t ns_job_integer(const ns_job *job, const char *key);       /* INTEGER, BYTES */
double ns_job_number(const ns_job *job, const char *key);         /* NUMBER, SECONDS */
bool ns_job_flag(const ns_job *job, const char *key);
int64_t ns_job_time(const ns_job *job, const char *key);           /* TIME: seconds since 1970 UTC; 0 where unset */
int64_t ns_job_list(const ns_job *job, const char *key, const char *const **items); /* TEXTS, PATHS; 0 where unset */
const char *ns_job_place(const ns_job *job, const char *key);     /* "readmission.yaml:14", "--set", "site.yaml:3", "default" */

/* The job file's folder, absolute. */
const char *ns_job_folder(const ns_job *job);

/* A path of the job with {as_of} replaced; freed by the caller. NS_EINVAL: {as_of} stands there and as_of is NULL. */
ns_status ns_job_dated_path(char **out, const ns_job *job, const char *key, const char *path, const char *as_of);

typedef enum ns_echo { NS_ECHO_ALL, NS_ECHO_BUNDLE } ns_echo;

/* The job as YAML, sections and keys in table order, every scalar quoted where YAML could read it as something else; unset options left out. ALL: with
   defaults; parsing it gives the same job. BUNDLE: only options with NS_OPT_BUNDLE, defaults included: bytes depend on their values alone (numbers as
   shortest text that reads back). Freed by the caller. NS_ENOMEM. */
ns_status ns_job_echo(char **out, const ns_job *job, ns_echo what);

/* The first key in which two BUNDLE echoes differ, into key[128]; false where none does. Echoes may come from an older program. */
bool ns_job_differs(const char *bundle_echo_a, const char *bundle_echo_b, char key[128]);

/* The reference page jobs/README.md, generated from the table. Freed by the caller. NS_ENOMEM. */
ns_status ns_job_reference(char **out);

/* Options as --help prints them. Freed by the caller. */
ns_status ns_job_help(char **out);
#endif
