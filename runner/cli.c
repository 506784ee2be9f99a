#include "runner/cli.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/job.h"

enum {
    V_TRAIN = 1, V_SCORE = 2, V_EVALUATE = 4, V_CHECK = 8, V_VERIFY = 16, V_INSPECT = 32, V_SYNTH = 64, V_IMPORT = 128,
    V_RUN = 256, V_EXPORT = 512, V_SUBMIT = 1024, V_SWEEP = 2048,
    V_JOB = V_TRAIN | V_SCORE | V_EVALUATE | V_CHECK | V_SUBMIT | V_SWEEP
};

static const struct verb {
    const char *name, *words, *help;
    unsigned bit;
    int least, most; /* positional words */
} verbs[] = {
    {"synth", "OUT.h5 --rows N", "writes a synthetic cohort of hospital stays with known true risks", V_SYNTH, 1, 1},
    {"import", "IN.csv … OUT.h5", "CSV files (paths, packed with gzip or not, or - for standard input) to one cohort", V_IMPORT, 2, 100000},
    {"inspect", "PATH", "says what a cohort, checkpoint, bundle, run or score file holds", V_INSPECT, 1, 1},
    {"check", "JOB", "validates the job against its cohort without running: all problems, the plan", V_CHECK, 1, 1},
    {"train", "JOB", "trains; resumes by itself from the last good checkpoint", V_TRAIN, 1, 1},
    {"evaluate", "JOB", "a bundle on a labelled cohort: RUN/evaluations/NAME/metrics.json", V_EVALUATE, 1, 1},
    {"score", "JOB", "a bundle on a cohort: one line for every row", V_SCORE, 1, 1},
    {"verify", "BUNDLE", "hashes of a bundle; with --gold a re-score compared byte by byte", V_VERIFY, 1, 1},
    {"submit", "JOB [train|score|evaluate|all|sweep]", "the same as Slurm jobs, frozen in RUN/submissions; prints their ids", V_SUBMIT, 1, 2},
    {"sweep", "JOB", "trains members with the settings, seeds and folds of the job's sweep; RUN/sweep.json names the best", V_SWEEP, 1, 1},
    {"run", "-n N [--] VERB …", "starts N ranks of a verb on this machine", V_RUN, 0, 0},
};
enum { N_VERBS = sizeof verbs / sizeof verbs[0] };

static const struct option {
    const char *name, *value, *help;
    unsigned verbs;
} options[] = {
    {"--as-of", "DATE", "the date of this night, 2026-11-20 or 2026-11-20T06; also NIGHTSHIFT_AS_OF. submit: also yesterday, today", V_SCORE | V_CHECK | V_SUBMIT},
    {"--dry-run", NULL, "shows the batch scripts and queues nothing", V_SUBMIT},
    {"--after", NULL, "behind the jobs of this run that are in the queue, whatever becomes of them, instead of refusing", V_SUBMIT},
    {"--nightly", "\"M H D M W\"", "prints a crontab and a scrontab line that submit every night at this time", V_SUBMIT},
    {"--replace", NULL, "publishes over a night that differs; the old file is kept as OUT.1", V_SCORE},
    {"--restart", NULL, "moves the run folder to RUN.1 and begins anew; sweep: the members, to members.1", V_TRAIN | V_SWEEP},
    {"--member", "N", "trains member N alone, as a job array does", V_SWEEP},
    {"--gather", NULL, "trains nothing: the table of what the members left", V_SWEEP},
    {"--extend", NULL, "continues a finished run with more rounds", V_TRAIN},
    {"--schema", "FILE", "kinds, missing texts, formats and time zones of the CSV's columns (jobs/README.md)", V_IMPORT},
    {"--write-schema", "FILE", "writes the kinds as imported to a new schema file, ready to edit", V_IMPORT},
    {"--encoding", "NAME", "utf8 (default), or latin1: ISO 8859-1 and Windows-1252", V_IMPORT},
    {"--max-bad", "N or P%", "goes on past at most so many bad lines, which then stand in OUT.rejects.csv", V_IMPORT},
    {"--append", NULL, "writes a new file beside the cohort OUT.h5, with its columns and kinds: OUT_0002.h5, …", V_IMPORT},
    {"--gold", "COHORT", "a frozen cohort to score again", V_VERIFY},
    {"--expect", "SCORES.h5", "the scores it must give, byte by byte", V_VERIFY},
    {"--rows", "N", "rows to write", V_SYNTH},
    {"--patients", "N", "different patients (default: six for ten rows)", V_SYNTH},
    {"--seed", "N", "another seed, another cohort (default 1)", V_SYNTH},
    {"--numbers", "N", "number columns (default 20)", V_SYNTH},
    {"--categories", "N", "category columns (default 5)", V_SYNTH},
    {"--missing", "F", "fraction of missing cells (default 0.1)", V_SYNTH},
    {"--prevalence", "F", "fraction of rows with the outcome (default 0.12)", V_SYNTH},
    {"--duplicate-ids", "N", "rows that repeat the id of the row before", V_SYNTH},
    {"--missing-ids", "N", "rows without an id", V_SYNTH},
    {"--infinite", "N", "rows with an infinite value", V_SYNTH},
    {"--outcomes", NULL, "adds outcomes of several classes, a number and a count: next_care, cost, calls", V_SYNTH},
    {"--true-risk", NULL, "adds the column true_risk, with --outcomes also true_cost, true_calls, …", V_SYNTH},
    {"-n", "N", "ranks to start", V_RUN},
};
enum { N_OPTIONS = sizeof options / sizeof options[0] };

static const struct verb *find_verb(const char *name)
{
    for (int i = 0; name != NULL && i < N_VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

bool ns_verb_takes_job(const char *name)
{
    const struct verb *verb = find_verb(name);
    return verb != NULL && (verb->bit & V_JOB) != 0;
}

/* How many single edits lead from a to b; both are short words. */
static int distance(const char *a, const char *b)
{
    enum { MOST = 40 };
    int n = (int)strlen(b), row[MOST + 1];
    if (n > MOST || strlen(a) > MOST) return MOST;
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int skip = (row[j - 1] < row[j] ? row[j - 1] : row[j]) + 1;
            row[j] = change < skip ? change : skip;
        }
    }
    return row[n];
}

static ns_status unknown_verb(const char *word)
{
    const char *nearest = verbs[0].name;
    for (int i = 1; i < N_VERBS; i++)
        if (distance(word, verbs[i].name) < distance(word, nearest)) nearest = verbs[i].name;
    return ns_fail(NS_EINVAL, "unknown verb '%.40s'; the nearest is '%s' (see nightshift --help)", word, nearest);
}

static ns_status unknown_option(const struct verb *verb, const char *word)
{
    const char *nearest = "--set";
    for (int i = 0; i < N_OPTIONS; i++)
        if ((options[i].verbs & verb->bit) != 0 && distance(word, options[i].name) < distance(word, nearest))
            nearest = options[i].name;
    return ns_fail(NS_EINVAL, "%s: unknown option '%.40s'; the nearest is '%s' (see nightshift %s --help)", verb->name, word,
                   nearest, verb->name);
}

/* Options that every verb takes. *used: words consumed; 0 where it is none of them. */
static ns_status common_option(ns_args *out, const char *word, const char *next, int *used)
{
    *used = 1;
    if (strcmp(word, "--json") == 0) out->json = true;
    else if (strcmp(word, "--quiet") == 0) out->quiet = true;
    else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) out->help = true;
    else if (strncmp(word, "--set=", 6) == 0) out->sets[out->n_sets++] = word + 6;
    else if (strcmp(word, "--set") == 0) {
        if (next == NULL) return ns_fail(NS_EINVAL, "--set needs section.key=value");
        out->sets[out->n_sets++] = next;
        *used = 2;
    } else *used = 0;
    return NS_OK;
}

static ns_status verb_option(ns_args *out, const struct verb *verb, const char *word, const char *next, int *used)
{
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    for (int i = 0; i < N_OPTIONS; i++) {
        if ((options[i].verbs & verb->bit) == 0) continue;
        if (strlen(options[i].name) != length || strncmp(options[i].name, word, length) != 0) continue;
        *used = 1;
        if (options[i].value == NULL) {
            if (equals != NULL) return ns_fail(NS_EINVAL, "%s %s takes no value", verb->name, options[i].name);
            out->values[i] = "";
        } else if (equals != NULL) {
            out->values[i] = equals + 1;
        } else {
            if (next == NULL) return ns_fail(NS_EINVAL, "%s %s needs %s", verb->name, options[i].name, options[i].value);
            out->values[i] = next;
            *used = 2;
        }
        return NS_OK;
    }
    return unknown_option(verb, word);
}

/* run stops reading at its first word that is no option of its own: the rest is the command to start. */
static ns_status parse_words(ns_args *out, const struct verb *verb, int argc, char **argv, int at)
{
    ns_status status = NS_OK;
    bool plain = false;
    while (at < argc && status == NS_OK) {
        const char *word = argv[at], *next = at + 1 < argc ? argv[at + 1] : NULL;
        int used = 0;
        if (!plain && strcmp(word, "--") == 0) {
            plain = true;
            used = 1;
        } else if (plain || word[0] != '-' || word[1] == '\0') {
            if (verb->bit == V_RUN) {
                out->rest = (const char **)(argv + at);
                return NS_OK;
            }
            if (out->n_positional == verb->most)
                return ns_fail(NS_EINVAL, "%s: '%.60s' is one word too many: nightshift %s %s", verb->name, word, verb->name,
                               verb->words);
            out->positional[out->n_positional++] = word;
            used = 1;
        } else {
            status = common_option(out, word, next, &used);
            if (status == NS_OK && used == 0) status = verb_option(out, verb, word, next, &used);
        }
        at += used;
    }
    if (status == NS_OK && !out->help && out->n_positional < verb->least)
        status = ns_fail(NS_EINVAL, "%s needs %s: nightshift %s %s", verb->name, verb->words, verb->name, verb->words);
    return status;
}

ns_status ns_args_parse(ns_args *out, int argc, char **argv)
{
    memset(out, 0, sizeof *out);
    out->sets = calloc((size_t)argc + 1, sizeof *out->sets);
    out->values = calloc(N_OPTIONS, sizeof *out->values);
    out->positional = calloc((size_t)argc + 2, sizeof *out->positional);
    if (out->sets == NULL || out->values == NULL || out->positional == NULL) return ns_fail(NS_ENOMEM, "no memory for the command line");
    for (int i = 1; i < argc; i++) /* known even where the rest is wrong */
        if (strcmp(argv[i], "--json") == 0) out->json = true;
    if (argc < 2) {
        out->help = true;
        return ns_fail(NS_EINVAL, "no verb given (see nightshift --help)");
    }
    if (strcmp(argv[1], "--version") == 0) {
        out->version = true;
        return NS_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        out->help = true;
        return NS_OK;
    }
    const struct verb *verb = find_verb(argv[1]);
    if (verb == NULL) return unknown_verb(argv[1]);
    out->verb = verb->name;
    return parse_words(out, verb, argc, argv, 2);
}

void ns_args_destroy(ns_args *args)
{
    free(args->sets);
    free(args->values);
    free(args->positional);
    memset(args, 0, sizeof *args);
}

const char *ns_args_value(const ns_args *args, const char *option)
{
    for (int i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].name, option) == 0) return args->values[i];
    return NULL;
}

ns_status ns_args_integer(int64_t *out, const ns_args *args, const char *option, int64_t fallback, int64_t least, int64_t most)
{
    *out = fallback;
    const char *text = ns_args_value(args, option);
    if (text == NULL) return NS_OK;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        return ns_fail(NS_EINVAL, "%s: '%.40s' is not a whole number from %lld to %lld", option, text, (long long)least,
                       (long long)most);
    *out = value;
    return NS_OK;
}

ns_status ns_args_number(double *out, const ns_args *args, const char *option, double fallback, double least, double most)
{
    *out = fallback;
    const char *text = ns_args_value(args, option);
    if (text == NULL) return NS_OK;
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most))
        return ns_fail(NS_EINVAL, "%s: '%.40s' is not from %g to %g", option, text, least, most);
    *out = value;
    return NS_OK;
}

static void print_verb(FILE *to, const struct verb *verb)
{
    fprintf(to, "nightshift %s %s\n    %s\n\n", verb->name, verb->words, verb->help);
    for (int i = 0; i < N_OPTIONS; i++) {
        if ((options[i].verbs & verb->bit) == 0) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", options[i].name, options[i].value != NULL ? " " : "",
                 options[i].value != NULL ? options[i].value : "");
        fprintf(to, "  %-24s %s\n", left, options[i].help);
    }
    if (verb->bit != V_RUN)
        fprintf(to, "  %-24s %s\n  %-24s %s\n  %-24s %s\n", "--set section.key=value", "an option of the job; repeatable, the last wins",
                "--json", "one JSON object on stdout instead of the summary", "--quiet", "no log lines but warnings");
    fprintf(to, "  %-24s %s\n", "--help", "this text");
    if ((verb->bit & V_JOB) != 0) {
        char *help = NULL;
        if (ns_job_help(&help) == NS_OK) fprintf(to, "\nOptions of the job file:\n\n%s", help);
        free(help);
    }
}

char *ns_help_text(const char *verb_name)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return NULL;
    const struct verb *verb = find_verb(verb_name);
    if (verb != NULL) {
        print_verb(to, verb);
    } else {
        fprintf(to, "Nightshift trains risk models on cohorts of patients and scores whole cohorts every night.\n\n");
        for (int i = 0; i < N_VERBS; i++) {
            char left[64];
            snprintf(left, sizeof left, "%s %s", verbs[i].name, verbs[i].words);
            fprintf(to, "  %-28s %s\n", left, verbs[i].help);
        }
        fprintf(to, "\nnightshift VERB --help explains a verb; nightshift --version says what was built in.\n"
                    "Exit codes: 0 done, 1 the machine failed, 2 the job or command line is wrong, 3 the data are wrong,\n"
                    "4 held by a gate, 5 verification failed, 75 stopped on request, 76 a rank was lost: run it again.\n");
    }
    fclose(to);
    return text;
}
