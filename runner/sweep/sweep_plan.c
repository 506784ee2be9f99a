#include "runner/sweep/sweep_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/hash.h"
#include "jobs/number.h"
#include "jobs/value.h"
#include "kernels/philox.h"
#include "runner/objective.h"

enum { RANDOM_SWEEP = 83, MOST_EXTRA_SETS = 4, SET_ROOM = 256 };

/* --- draws --- */

static double draw(uint64_t seed, int64_t step, const char *key)
{
    ns_stream stream = ns_stream_of(seed, RANDOM_SWEEP, step, 0);
    ns_block block = ns_stream_block(&stream, ns_hash64(key, strlen(key)));
    return (double)(((uint64_t)block.word[0] << 32 | block.word[1]) >> 11) * 0x1p-53;
}

static void draw_number(char text[NS_NUMBER_ROOM], const ns_sweep_axis *axis, double u)
{
    bool is_whole = ns_options[axis->option].kind == NS_OPT_INTEGER;
    double hi = is_whole ? axis->most + 1 : axis->most, x, rounded;
    if (axis->is_log) x = ns_exp(ns_log(axis->least) + u * (ns_log(hi) - ns_log(axis->least)));
    else x = axis->least + u * (hi - axis->least);
    if (is_whole) {
        x = x < axis->least ? axis->least : x > axis->most ? axis->most : (double)(int64_t)x; /* within 2^53: the table's ranges are */
    } else {
        snprintf(text, NS_NUMBER_ROOM, "%.3e", x);
        if (ns_number_read(text, strlen(text), &rounded)) x = rounded;
        x = x < axis->least ? axis->least : x > axis->most ? axis->most : x;
    }
    ns_number_write(text, x);
}

static char *drawn_word(const ns_sweep_axis *axis, uint64_t seed, int64_t step)
{
    double u = draw(seed, step, ns_options[axis->option].key);
    if (!axis->is_range) return strdup(axis->words[(int64_t)(u * (double)axis->n_words)]); /* u < 1, and n_words < 2^53 */
    char text[NS_NUMBER_ROOM];
    draw_number(text, axis, u);
    return strdup(text);
}

/* --- the plan --- */

/* By objective the metric that stands first in the help of sweep.metric. */
static const char *metric_of(const ns_job *job)
{
    static const char *const metrics[] = {[NS_BINARY] = "log_loss", [NS_MULTICLASS] = "log_loss", [NS_REGRESSION] = "rmse",
                                          [NS_POISSON] = "deviance", [NS_QUANTILE] = "pinball_loss"};
    return ns_job_given(job, "sweep.metric") ? ns_job_text(job, "sweep.metric") : metrics[ns_objective_of(job)];
}

static bool is_better_when_larger(const char *metric)
{
    static const char *const names[] = {"auroc", "auprc", "accuracy", "auroc_macro", "r2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(metric, names[i]) == 0) return true;
    return false;
}

static ns_status check_validation(const ns_job *job)
{
    const char *by = ns_job_text(job, "data.split.by"), *key = "data.split.valid";
    if (ns_job_given(job, "sweep.folds") || ns_job_given(job, "data.split.folds")) return NS_OK;
    bool by_time = by != NULL && strcmp(by, "time") == 0;
    if (by_time) key = "data.split.valid_from";
    else if (by != NULL && strcmp(by, "column") == 0) return NS_OK; /* only the cohort can tell */
    if (by_time ? ns_job_given(job, key) : ns_job_number(job, key) > 0) return NS_OK;
    return ns_fail(NS_EINVAL, "%s: %s: a sweep chooses by validation rows, and there are none%s", ns_job_place(job, key), key,
                   by_time ? "" : "; set it, or sweep.folds");
}

bool ns_sweep_is_asked(const ns_job *job)
{
    const ns_sweep_axis *axes;
    return ns_job_sweep(job, &axes) > 0 || ns_job_given(job, "sweep.seeds") || ns_job_given(job, "sweep.folds");
}

static ns_status check_job(const ns_job *job)
{
    if (!ns_sweep_is_asked(job))
        return ns_fail(NS_EINVAL, "sweep: is not set in the job; sweep needs sweep.grid, sweep.random, sweep.folds or sweep.seeds");
    NS_TRY(check_validation(job));
    const char *key = "data.split.folds";
    if (ns_job_given(job, "sweep.folds") && ns_job_given(job, key)) /* not wrong in a job: that of a member has both */
        return ns_fail(NS_EINVAL, "%s: %s: is what sweep.folds sets, member by member", ns_job_place(job, key), key);
    key = "sweep.seeds";
    if (ns_job_given(job, key) && ns_job_integer(job, "train.seed") + ns_job_integer(job, key) - 1 > (int64_t)NS_VALUE_MOST)
        return ns_fail(NS_EINVAL, "%s: %s: seeds counted up from train.seed would pass 2^53", ns_job_place(job, key), key);
    return NS_OK;
}

static ns_status fill(ns_sweep_plan *plan, int64_t n_drawn)
{
    plan->words = calloc((size_t)(plan->n_settings * plan->n_axes + 1), sizeof *plan->words);
    if (plan->words == NULL) return ns_fail(NS_ENOMEM, "no memory for the sweep");
    for (int64_t s = 0; s < plan->n_settings; s++) {
        int64_t digits = s / n_drawn;
        for (int32_t a = plan->n_axes - 1; a >= 0; a--) {
            const ns_sweep_axis *axis = &plan->axes[a];
            char **word = &plan->words[s * plan->n_axes + a];
            if (axis->is_random) {
                *word = drawn_word(axis, (uint64_t)plan->first_seed, s % n_drawn);
            } else {
                *word = strdup(axis->words[digits % axis->n_words]);
                digits /= axis->n_words;
            }
            if (*word == NULL) return ns_fail(NS_ENOMEM, "no memory for the sweep");
        }
    }
    return NS_OK;
}

ns_status ns_sweep_plan_make(ns_sweep_plan *plan, const ns_job *job)
{
    memset(plan, 0, sizeof *plan);
    NS_TRY(check_job(job));
    plan->n_axes = ns_job_sweep(job, &plan->axes);
    plan->first_seed = ns_job_integer(job, "train.seed");
    plan->n_seeds = ns_job_given(job, "sweep.seeds") ? ns_job_integer(job, "sweep.seeds") : 1;
    plan->n_folds = ns_job_given(job, "sweep.folds") ? ns_job_integer(job, "sweep.folds") : 0;
    plan->split_seed = plan->n_seeds == 1 ? -1 : ns_job_given(job, "data.split.seed") ? ns_job_integer(job, "data.split.seed") : plan->first_seed;
    plan->metric = metric_of(job);
    plan->larger_is_better = is_better_when_larger(plan->metric);
    plan->n_members = ns_job_sweep_members(job);
    plan->n_settings = plan->n_members / plan->n_seeds / (plan->n_folds > 0 ? plan->n_folds : 1);
    return fill(plan, ns_job_given(job, "sweep.random.members") ? ns_job_integer(job, "sweep.random.members") : 1);
}

void ns_sweep_plan_forget(ns_sweep_plan *plan)
{
    for (int64_t i = 0; plan->words != NULL && i < plan->n_settings * plan->n_axes; i++) free(plan->words[i]);
    free(plan->words);
    memset(plan, 0, sizeof *plan);
}

ns_sweep_member ns_sweep_member_of(const ns_sweep_plan *plan, int64_t number)
{
    int64_t n_folds = plan->n_folds > 0 ? plan->n_folds : 1, rest = (number - 1) / n_folds;
    return (ns_sweep_member){.number = number, .setting = rest / plan->n_seeds, .seed = plan->first_seed + rest % plan->n_seeds,
                             .fold = plan->n_folds > 0 ? (number - 1) % n_folds + 1 : 0};
}

const char *ns_sweep_word(const ns_sweep_plan *plan, int64_t setting, int32_t axis)
{
    return plan->words[setting * plan->n_axes + axis];
}

ns_status ns_sweep_member_sets(char ***sets, int32_t *n, const ns_sweep_plan *plan, const ns_sweep_member *member)
{
    size_t room = (size_t)plan->n_axes + MOST_EXTRA_SETS;
    char **out = malloc(room * (sizeof *out + SET_ROOM));
    *sets = out;
    *n = 0;
    if (out == NULL) return ns_fail(NS_ENOMEM, "no memory for the sweep");
    for (size_t i = 0; i < room; i++) out[i] = (char *)(out + room) + i * SET_ROOM;
    for (int32_t a = 0; a < plan->n_axes; a++)
        snprintf(out[(*n)++], SET_ROOM, "%s=%s", ns_options[plan->axes[a].option].key, ns_sweep_word(plan, member->setting, a));
    if (plan->split_seed >= 0) {
        snprintf(out[(*n)++], SET_ROOM, "train.seed=%" PRId64, member->seed);
        snprintf(out[(*n)++], SET_ROOM, "data.split.seed=%" PRId64, plan->split_seed);
    }
    if (member->fold > 0) {
        snprintf(out[(*n)++], SET_ROOM, "data.split.folds=%" PRId64, plan->n_folds);
        snprintf(out[(*n)++], SET_ROOM, "data.split.fold=%" PRId64, member->fold);
    }
    return NS_OK;
}
