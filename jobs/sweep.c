/*
 * Axes of a sweep (jobs/sweep.h): each is checked as its option is, value by value, when it is read, so that no member can fail for a
 * value out of range after others have run for hours. What must hold between axes and other options is looked at in the end.
 */
#include "jobs/sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/job_parts.h"
#include "jobs/number.h"
#include "jobs/words.h"

static const char grid[] = "sweep.grid", drawn[] = "sweep.random";

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "out of memory for the job");
}

/* The option that "sweep.grid.KEY" or "sweep.random.KEY" speaks of: KEY, "" for the section itself; NULL: no such key. */
static const char *option_key(const char *key, bool *is_random)
{
    const char *const sections[2] = {grid, drawn};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(sections[i]);
        *is_random = i == 1;
        if (strncmp(key, sections[i], n) != 0) continue;
        if (key[n] == '\0') return key + n;
        if (key[n] == '.') return key + n + 1;
    }
    return NULL;
}

bool ns_sweep_is_axis(const char *key)
{
    bool is_random;
    const char *option = option_key(key, &is_random);
    return option != NULL && (*option != '\0' || !is_random) && ns_option_find(key) < 0;
}

static bool may_be_swept(const ns_option *option)
{
    static const char *const never[] = {"model.objective", "model.quantile", "train.seed"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        if (strcmp(option->key, never[i]) == 0) return false;
    bool has_kind = option->kind == NS_OPT_INTEGER || option->kind == NS_OPT_NUMBER || option->kind == NS_OPT_CHOICE || option->kind == NS_OPT_FLAG;
    return has_kind && (strncmp(option->key, "model.", 6) == 0 || strncmp(option->key, "train.", 6) == 0);
}

static ns_status refuse(ns_yaml_problem *problem, int32_t line, const char *what)
{
    problem->line = line;
    snprintf(problem->message, sizeof problem->message, "%s", what);
    return NS_EINVAL;
}

static ns_status refuse_unknown(ns_yaml_problem *problem, int32_t line, const char *key)
{
    const char *nearest = "";
    int32_t best = INT32_MAX;
    for (int32_t i = 0; i < ns_n_options; i++) {
        int32_t distance = ns_distance(key, ns_options[i].key);
        if (!may_be_swept(&ns_options[i]) || distance >= best) continue;
        best = distance;
        nearest = ns_options[i].key;
    }
    char what[200];
    snprintf(what, sizeof what, "names no option; the nearest is %s", nearest);
    return refuse(problem, line, what);
}

/* One value of the axis, checked as its option's: the text that --set will be given. */
static ns_status read_word(char **word, double *number, const ns_option *option, const ns_yaml_scalar *scalar, ns_yaml_problem *problem)
{
    const ns_yaml_entry entry = {.line = scalar->line, .kind = NS_YAML_SCALAR, .items = scalar, .n_items = 1};
    ns_value value;
    char text[NS_NUMBER_ROOM];
    NS_TRY(ns_value_read(&value, option, &entry, "", problem));
    *number = option->kind == NS_OPT_INTEGER ? (double)value.integer : value.number;
    if (option->kind == NS_OPT_INTEGER) snprintf(text, sizeof text, "%" PRId64, value.integer);
    else if (option->kind == NS_OPT_NUMBER) ns_number_write(text, value.number);
    *word = strdup(option->kind == NS_OPT_INTEGER || option->kind == NS_OPT_NUMBER ? text : value.items[0]);
    ns_value_clear(&value);
    return *word != NULL ? NS_OK : no_memory();
}

static ns_status read_words(ns_sweep_axis *axis, const ns_yaml_entry *entry, ns_yaml_problem *problem)
{
    double number;
    axis->words = calloc((size_t)entry->n_items + 1, sizeof *axis->words);
    if (axis->words == NULL) return no_memory();
    for (int64_t i = 0; i < entry->n_items; i++) {
        NS_TRY(read_word(&axis->words[i], &number, &ns_options[axis->option], &entry->items[i], problem));
        axis->n_words++;
        for (int64_t j = 0; j < i; j++)
            if (strcmp(axis->words[j], axis->words[i]) == 0) {
                char cut[NS_CUT_ROOM], what[100];
                snprintf(what, sizeof what, "%s stands twice", ns_cut(cut, axis->words[i], strlen(axis->words[i])));
                return refuse(problem, entry->items[i].line, what);
            }
    }
    return NS_OK;
}

static ns_status read_range(ns_sweep_axis *axis, const ns_yaml_entry *entry, ns_yaml_problem *problem)
{
    double *const ends[2] = {&axis->least, &axis->most};
    axis->is_range = true;
    axis->is_log = entry->n_items == 3 && strcmp(entry->items[2].text, "log") == 0;
    if (entry->n_items != 2 && !axis->is_log)
        return refuse(problem, entry->line, "takes the two ends of a range, such as [0.1, 10], or with log behind them, [0.1, 10, log]");
    for (int i = 0; i < 2; i++) {
        char *word = NULL;
        NS_TRY(read_word(&word, ends[i], &ns_options[axis->option], &entry->items[i], problem));
        free(word);
    }
    if (!(axis->least < axis->most)) return refuse(problem, entry->line, "takes a range that begins below its end");
    if (axis->is_log && !(axis->least > 0)) return refuse(problem, entry->line, "takes with log only a range above 0");
    return NS_OK;
}

ns_status ns_sweep_axis_read(ns_sweep_axis *out, const char *key, const ns_yaml_entry *entry, ns_yaml_problem *problem)
{
    *out = (ns_sweep_axis){0};
    const char *name = option_key(key, &out->is_random);
    bool is_nothing = entry->kind == NS_YAML_EMPTY_SECTION || (entry->kind == NS_YAML_SCALAR && entry->items[0].is_null);
    out->option = *name == '\0' ? -1 : ns_option_find(name);
    if (*name == '\0') {
        if (is_nothing) return NS_OK;
        return refuse(problem, entry->line, "is a section: options and their values go below it, such as model.max_leaves: [15, 31]");
    }
    if (out->option < 0) return refuse_unknown(problem, entry->line, name);
    const ns_option *option = &ns_options[out->option];
    if (!may_be_swept(option))
        return refuse(problem, entry->line, strcmp(name, "train.seed") == 0
                          ? "may not be swept: sweep.seeds says with how many seeds"
                          : "may not be swept: options of model and train that take one number, choice or flag are, "
                            "but model.objective and model.quantile are not");
    if (is_nothing) return NS_OK;
    if (entry->kind != NS_YAML_LIST) return refuse(problem, entry->line, "takes a list: [a, b]");
    if (entry->n_items == 0) return refuse(problem, entry->line, "is an empty list");
    bool is_number = option->kind == NS_OPT_INTEGER || option->kind == NS_OPT_NUMBER;
    ns_status status = out->is_random && is_number ? read_range(out, entry, problem) : read_words(out, entry, problem);
    if (status != NS_OK) ns_sweep_axis_clear(out);
    return status;
}

void ns_sweep_axis_clear(ns_sweep_axis *axis)
{
    for (int64_t i = 0; i < axis->n_words; i++) free(axis->words[i]);
    free(axis->words);
    free(axis->place);
    *axis = (ns_sweep_axis){0};
}

static bool is_before(const ns_sweep_axis *a, const ns_sweep_axis *b)
{
    if (a->is_random != b->is_random) return b->is_random;
    return a->option < b->option;
}

ns_status ns_sweep_put(ns_job *job, ns_sweep_axis *axis)
{
    int32_t at = 0;
    while (at < job->n_axes && is_before(&job->axes[at], axis)) at++;
    bool replaces = at < job->n_axes && !is_before(axis, &job->axes[at]);
    bool is_unset = axis->n_words == 0 && !axis->is_range;
    if (replaces) {
        ns_sweep_axis_clear(&job->axes[at]);
        memmove(&job->axes[at], &job->axes[at + 1], (size_t)(job->n_axes - at - 1) * sizeof *job->axes);
        job->n_axes--;
    }
    if (is_unset) {
        ns_sweep_axis_clear(axis);
        return NS_OK;
    }
    ns_sweep_axis *grown = realloc(job->axes, ((size_t)job->n_axes + 1) * sizeof *grown);
    if (grown == NULL) {
        ns_sweep_axis_clear(axis);
        return no_memory();
    }
    job->axes = grown;
    memmove(&grown[at + 1], &grown[at], (size_t)(job->n_axes - at) * sizeof *grown);
    grown[at] = *axis;
    job->n_axes++;
    return NS_OK;
}

/* --- the whole --- */

int32_t ns_job_sweep(const ns_job *job, const ns_sweep_axis **axes)
{
    *axes = job->axes;
    return job->n_axes;
}

static const job_slot *slot_of(const ns_job *job, const char *key)
{
    return &job->slots[ns_option_find(key)];
}

static int64_t times(int64_t a, int64_t b)
{
    return b > NS_SWEEP_MOST || a * b > NS_SWEEP_MOST ? NS_SWEEP_MOST + 1 : a * b;
}

int64_t ns_job_sweep_members(const ns_job *job)
{
    static const char *const counts[] = {"sweep.seeds", "sweep.folds", "sweep.random.members"};
    int64_t n = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (slot_of(job, counts[i])->given) n = times(n, slot_of(job, counts[i])->value.integer);
    for (int32_t i = 0; i < job->n_axes; i++)
        if (!job->axes[i].is_random) n = times(n, job->axes[i].n_words);
    return n;
}

static ns_status note(ns_problems *problems, const job_slot *slot, const char *key, const char *what)
{
    return ns_problems_add(problems, slot->source, slot->line, "%s: %s: %s", slot->place, key, what);
}

static ns_status note_axis(ns_problems *problems, const ns_sweep_axis *axis, const char *what)
{
    return ns_problems_add(problems, axis->source, axis->line, "%s: %s.%s: %s", axis->place, axis->is_random ? drawn : grid,
                           ns_options[axis->option].key, what);
}

static ns_status check_size(const ns_job *job, ns_problems *problems)
{
    static const char *const counts[] = {"sweep.random.members", "sweep.seeds", "sweep.folds"};
    char what[120];
    if (ns_job_sweep_members(job) <= NS_SWEEP_MOST) return NS_OK;
    snprintf(what, sizeof what, "settings times seeds times folds are more than %d members", NS_SWEEP_MOST);
    if (job->n_axes > 0) return note_axis(problems, &job->axes[0], what);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (slot_of(job, counts[i])->given) return note(problems, slot_of(job, counts[i]), counts[i], what);
    return NS_OK;
}

static ns_status check_axes(const ns_job *job, ns_problems *problems)
{
    const job_slot *members = slot_of(job, "sweep.random.members");
    int32_t n_random = 0;
    for (int32_t i = 0; i < job->n_axes; i++) {
        const ns_sweep_axis *axis = &job->axes[i];
        if (!axis->is_random) continue;
        if (n_random++ == 0 && !members->given && !members->broken)
            NS_TRY(note_axis(problems, axis, "needs sweep.random.members, how many settings to draw"));
        for (int32_t j = 0; j < i; j++)
            if (job->axes[j].option == axis->option) NS_TRY(note_axis(problems, axis, "stands in sweep.grid too"));
    }
    if (members->given && n_random == 0 && !job->axis_broken)
        NS_TRY(note(problems, members, "sweep.random.members", "needs options to draw below sweep.random, such as model.l2: [0.1, 10, log]"));
    return NS_OK;
}

static ns_status check_metric(const ns_job *job, ns_problems *problems)
{
    static const struct {
        const char *objective, *metrics;
    } table[] = {{"binary", " log_loss auroc auprc brier "},    {"multiclass", " log_loss accuracy auroc_macro brier "},
                 {"regression", " rmse mae r2 "},               {"poisson", " deviance mae "},
                 {"quantile", " pinball_loss mae "}};
    const job_slot *metric = slot_of(job, "sweep.metric"), *objective = slot_of(job, "model.objective");
    if (!metric->given || objective->broken) return NS_OK;
    const char *name = objective->set ? objective->value.items[0] : "binary";
    char word[64], what[160];
    snprintf(word, sizeof word, " %s ", metric->value.items[0]);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].objective, name) != 0 || strstr(table[i].metrics, word) != NULL) continue;
        snprintf(what, sizeof what, "with model.objective: %s it is one of%.*s", name, (int)strlen(table[i].metrics) - 1, table[i].metrics);
        return note(problems, metric, "sweep.metric", what);
    }
    return NS_OK;
}

static ns_status check_folds(const ns_job *job, ns_problems *problems)
{
    const job_slot *folds = slot_of(job, "sweep.folds"), *by = slot_of(job, "data.split.by");
    if (!folds->given || !by->set || by->broken || strcmp(by->value.items[0], "time") != 0) return NS_OK;
    return note(problems, folds, "sweep.folds", "is not used with data.split.by: time; folds would learn from later rows");
}

ns_status ns_job_check_sweep(const ns_job *job, ns_problems *problems)
{
    NS_TRY(check_axes(job, problems));
    NS_TRY(check_size(job, problems));
    NS_TRY(check_metric(job, problems));
    return check_folds(job, problems);
}
