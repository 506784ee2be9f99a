#include "runner/sweep/sweep_gather.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/number.h"
#include "runner/json.h"
#include "runner/run_folder.h"

enum { SHOWN_SETTINGS = 20, SHOWN_FAILURES = 5, SHOWN_MESSAGE = 300 };

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory for the sweep");
}

/* --- settings --- */

static int64_t per_setting(const ns_sweep_plan *plan)
{
    return plan->n_members / plan->n_settings;
}

static ns_sweep_result result_of(const ns_member_record *records, int64_t n)
{
    ns_sweep_result r = {0};
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        if (records[i].state != NS_MEMBER_DONE) continue;
        double x = records[i].metric;
        r.least = r.n_done == 0 || x < r.least ? x : r.least;
        r.most = r.n_done == 0 || x > r.most ? x : r.most;
        r.n_done++;
        sum += x;
    }
    if (r.n_done == 0) return r;
    r.mean = sum / (double)r.n_done;
    for (int64_t i = 0; i < n; i++)
        if (records[i].state == NS_MEMBER_DONE) squares += (records[i].metric - r.mean) * (records[i].metric - r.mean);
    r.sd = r.n_done > 1 ? sqrt(squares / (double)(r.n_done - 1)) : 0;
    return r;
}

/* Whether setting a stands above setting b. A total order: by members done, by mean, by number. */
static bool is_above(const ns_sweep_gathered *g, int64_t a, int64_t b)
{
    const ns_sweep_result *x = &g->results[a], *y = &g->results[b];
    if (x->n_done != y->n_done) return x->n_done > y->n_done;
    if (x->mean != y->mean) return g->plan->larger_is_better ? x->mean > y->mean : x->mean < y->mean;
    return a < b;
}

void ns_sweep_compare(ns_sweep_gathered *gathered)
{
    int64_t n = per_setting(gathered->plan);
    gathered->best = -1;
    for (int64_t s = 0; s < gathered->plan->n_settings; s++) {
        gathered->results[s] = result_of(gathered->records + s * n, n);
        if (gathered->results[s].n_done > 0 && (gathered->best < 0 || is_above(gathered, s, gathered->best))) gathered->best = s;
    }
}

static ns_status check_alike(const ns_sweep_gathered *g)
{
    const ns_member_record *first = NULL;
    for (int64_t i = 0; i < g->plan->n_members; i++) {
        const ns_member_record *r = &g->records[i];
        if (r->state != NS_MEMBER_DONE) continue;
        if (first == NULL) first = r;
        const char *what = strcmp(r->fingerprint, first->fingerprint) != 0            ? "from other data"
                           : r->numerics_version != first->numerics_version ? "with another numerics version"
                                                                                  : NULL;
        if (what != NULL)
            return ns_fail(NS_EINVAL, "member %04" PRId64 " of the sweep was made %s than member %04" PRId64 "; begin anew with --restart", i + 1,
                           what, (int64_t)(first - g->records) + 1);
    }
    return NS_OK;
}

ns_status ns_sweep_gather(ns_sweep_gathered *out, const ns_sweep_plan *plan, const char *run_path)
{
    *out = (ns_sweep_gathered){.plan = plan, .best = -1};
    out->records = calloc((size_t)plan->n_members, sizeof *out->records);
    out->results = calloc((size_t)plan->n_settings, sizeof *out->results);
    if (out->records == NULL || out->results == NULL) return no_memory();
    for (int64_t i = 0; i < plan->n_members; i++) {
        char *path = ns_sweep_member_path(run_path, i + 1);
        ns_status status = path == NULL ? no_memory() : ns_member_look(&out->records[i], path, plan->metric);
        free(path);
        if (status != NS_OK) return status;
        out->n_in[out->records[i].state]++;
    }
    NS_TRY(check_alike(out));
    ns_sweep_compare(out);
    return NS_OK;
}

void ns_sweep_gathered_forget(ns_sweep_gathered *gathered)
{
    for (int64_t i = 0; gathered->records != NULL && i < gathered->plan->n_members; i++) ns_member_forget(&gathered->records[i]);
    free(gathered->records);
    free(gathered->results);
    memset(gathered, 0, sizeof *gathered);
}

/* --- sweep.json --- */

static json_t *word_json(const ns_option *option, const char *word)
{
    double number;
    int64_t integer;
    if (option->kind == NS_OPT_FLAG) return json_boolean(strcmp(word, "true") == 0);
    if (option->kind == NS_OPT_INTEGER && ns_integer_read(word, strlen(word), &integer)) return json_integer(integer);
    if (option->kind == NS_OPT_NUMBER && ns_number_read(word, strlen(word), &number)) return ns_json_real(number);
    return json_string(word);
}

static json_t *values_json(ns_status *status, const ns_sweep_plan *plan, int64_t setting)
{
    json_t *values = json_object();
    for (int32_t a = 0; a < plan->n_axes; a++) {
        const ns_option *option = &ns_options[plan->axes[a].option];
        ns_json_add(status, values, option->key, word_json(option, ns_sweep_word(plan, setting, a)));
    }
    return values;
}

static json_t *setting_json(ns_status *status, const ns_sweep_gathered *g, int64_t setting)
{
    const ns_sweep_result *r = &g->results[setting];
    int64_t n = per_setting(g->plan);
    json_t *object = json_object(), *members = json_array();
    bool any = r->n_done > 0;
    for (int64_t i = 0; i < n; i++) ns_json_append(status, members, json_integer(setting * n + i + 1));
    ns_json_add(status, object, "setting", json_integer(setting + 1));
    ns_json_add(status, object, "values", values_json(status, g->plan, setting));
    ns_json_add(status, object, "done", json_integer(r->n_done));
    ns_json_add(status, object, "mean", any ? ns_json_real(r->mean) : json_null());
    ns_json_add(status, object, "sd", r->n_done > 1 ? ns_json_real(r->sd) : json_null());
    ns_json_add(status, object, "least", any ? ns_json_real(r->least) : json_null());
    ns_json_add(status, object, "most", any ? ns_json_real(r->most) : json_null());
    ns_json_add(status, object, "members", members);
    return object;
}

static json_t *member_json(ns_status *status, const ns_sweep_gathered *g, int64_t number)
{
    const ns_member_record *r = &g->records[number - 1];
    ns_sweep_member member = ns_sweep_member_of(g->plan, number);
    json_t *object = json_object();
    char folder[40];
    snprintf(folder, sizeof folder, "members/%04" PRId64, number);
    ns_json_add(status, object, "member", json_integer(number));
    ns_json_add(status, object, "folder", json_string(folder));
    ns_json_add(status, object, "setting", json_integer(member.setting + 1));
    ns_json_add(status, object, "seed", json_integer(member.seed));
    ns_json_add(status, object, "fold", member.fold > 0 ? json_integer(member.fold) : json_null());
    ns_json_add(status, object, "status", json_string(ns_member_state_name(r->state)));
    ns_json_add(status, object, "metric", r->state == NS_MEMBER_DONE ? ns_json_real(r->metric) : json_null());
    if (r->state == NS_MEMBER_DONE) {
        ns_json_add(status, object, "rounds", json_integer(r->rounds));
        ns_json_add(status, object, "best_round", json_integer(r->best_round));
        ns_json_add(status, object, "bundle_id", json_string(r->bundle_id));
    } else if (r->state == NS_MEMBER_FAILED) {
        ns_json_add(status, object, "exit", json_integer(r->exit));
        ns_json_add(status, object, "message", ns_json_path(r->message));
    }
    return object;
}

json_t *ns_sweep_best_json(ns_status *status, const ns_sweep_gathered *gathered)
{
    return gathered->best < 0 ? json_null() : setting_json(status, gathered, gathered->best);
}

json_t *ns_sweep_json(ns_status *status, const ns_sweep_gathered *gathered, const ns_job *job)
{
    const ns_sweep_plan *plan = gathered->plan;
    const ns_member_record *done = NULL;
    json_t *object = json_object(), *settings = json_array(), *members = json_array();
    for (int64_t i = 0; i < plan->n_members && done == NULL; i++)
        if (gathered->records[i].state == NS_MEMBER_DONE) done = &gathered->records[i];
    for (int64_t s = 0; s < plan->n_settings; s++) ns_json_append(status, settings, setting_json(status, gathered, s));
    for (int64_t i = 1; i <= plan->n_members; i++) ns_json_append(status, members, member_json(status, gathered, i));
    ns_json_add(status, object, "kind", json_string("sweep"));
    ns_json_add(status, object, "format", json_integer(1));
    ns_json_add(status, object, "name", json_string(ns_job_text(job, "name")));
    ns_json_add(status, object, "metric", json_string(plan->metric));
    ns_json_add(status, object, "better", json_string(plan->larger_is_better ? "larger" : "smaller"));
    ns_json_add(status, object, "part", json_string("valid"));
    ns_json_add(status, object, "seeds", json_integer(plan->n_seeds));
    ns_json_add(status, object, "folds", plan->n_folds > 0 ? json_integer(plan->n_folds) : json_null());
    ns_json_add(status, object, "numerics_version", done != NULL ? json_integer(done->numerics_version) : json_null());
    ns_json_add(status, object, "fingerprint", done != NULL ? json_string(done->fingerprint) : json_null());
    ns_json_add(status, object, "n_members", json_integer(plan->n_members));
    for (int state = NS_N_MEMBER_STATES - 1; state >= 0; state--)
        ns_json_add(status, object, ns_member_state_name((ns_member_state)state), json_integer(gathered->n_in[state]));
    ns_json_add(status, object, "best", ns_sweep_best_json(status, gathered));
    ns_json_add(status, object, "settings", settings);
    ns_json_add(status, object, "members", members);
    if (*status == NS_OK) return object;
    json_decref(object);
    return NULL;
}

/* --- the table --- */

typedef struct rank_key {
    const ns_sweep_gathered *gathered;
    int64_t setting;
} rank_key;

static int best_first(const void *a, const void *b)
{
    const rank_key *x = a, *y = b;
    if (x->setting == y->setting) return 0;
    return is_above(x->gathered, x->setting, y->setting) ? -1 : 1;
}

static int width_of(const ns_sweep_plan *plan, int32_t axis)
{
    size_t width = strlen(ns_options[plan->axes[axis].option].key);
    for (int64_t s = 0; s < plan->n_settings; s++) {
        size_t n = strlen(ns_sweep_word(plan, s, axis));
        width = n > width ? n : width;
    }
    return (int)width;
}

static void print_row(FILE *to, const ns_sweep_gathered *g, int64_t setting, const int *widths)
{
    const ns_sweep_result *r = &g->results[setting];
    char mean[32] = "-", sd[32] = "-", done[64];
    if (r->n_done > 0) snprintf(mean, sizeof mean, "%.6g", r->mean);
    if (r->n_done > 1) snprintf(sd, sizeof sd, "%.3g", r->sd);
    snprintf(done, sizeof done, "%" PRId64 " of %" PRId64, r->n_done, per_setting(g->plan));
    fprintf(to, "  %7" PRId64 "  %12s  %9s  %9s", setting + 1, mean, sd, done);
    for (int32_t a = 0; a < g->plan->n_axes; a++) fprintf(to, "  %*s", widths[a], ns_sweep_word(g->plan, setting, a));
    fprintf(to, "\n");
}

static ns_status print_settings(FILE *to, const ns_sweep_gathered *g)
{
    const ns_sweep_plan *plan = g->plan;
    int *widths = malloc(((size_t)plan->n_axes + 1) * sizeof *widths);
    rank_key *order = malloc((size_t)plan->n_settings * sizeof *order);
    if (widths != NULL && order != NULL) {
        fprintf(to, "  %7s  %12s  %9s  %9s", "setting", plan->metric, "sd", "members");
        for (int32_t a = 0; a < plan->n_axes; a++) {
            widths[a] = width_of(plan, a);
            fprintf(to, "  %*s", widths[a], ns_options[plan->axes[a].option].key);
        }
        fprintf(to, "\n");
        for (int64_t s = 0; s < plan->n_settings; s++) order[s] = (rank_key){g, s};
        qsort(order, (size_t)plan->n_settings, sizeof *order, best_first);
        int64_t shown = plan->n_settings < SHOWN_SETTINGS ? plan->n_settings : SHOWN_SETTINGS;
        for (int64_t i = 0; i < shown; i++) print_row(to, g, order[i].setting, widths);
        if (shown < plan->n_settings) fprintf(to, "  and %" PRId64 " settings more in sweep.json\n", plan->n_settings - shown);
    }
    bool failed = widths == NULL || order == NULL;
    free(widths);
    free(order);
    return failed ? no_memory() : NS_OK;
}

static void print_failures(FILE *to, const ns_sweep_gathered *g)
{
    int64_t shown = 0;
    for (int64_t i = 0; i < g->plan->n_members && shown < SHOWN_FAILURES; i++) {
        const ns_member_record *r = &g->records[i];
        if (r->state != NS_MEMBER_FAILED) continue;
        fprintf(to, "  failed    %04" PRId64 " (setting %" PRId64 "), exit %d: %.*s\n", i + 1, ns_sweep_member_of(g->plan, i + 1).setting + 1, r->exit,
                SHOWN_MESSAGE, r->message);
        shown++;
    }
    if (g->n_in[NS_MEMBER_FAILED] > shown) fprintf(to, "  and %" PRId64 " failures more in sweep.json\n", g->n_in[NS_MEMBER_FAILED] - shown);
}

static void print_best(FILE *to, const ns_sweep_gathered *g, const char *run_path, const char *job_path)
{
    if (g->best < 0) return;
    fprintf(to, "  best      setting %" PRId64, g->best + 1);
    if (per_setting(g->plan) == 1) {
        fprintf(to, "\n  bundle    %s/members/%04" PRId64 "/bundle\n", run_path, g->best + 1);
        return;
    }
    fprintf(to, ": nightshift train %s", job_path);
    for (int32_t a = 0; a < g->plan->n_axes; a++)
        fprintf(to, " --set %s=%s", ns_options[g->plan->axes[a].option].key, ns_sweep_word(g->plan, g->best, a));
    fprintf(to, "\n");
}

ns_status ns_sweep_print(FILE *to, const ns_sweep_gathered *gathered, const char *run_path, const char *job_path)
{
    const ns_sweep_plan *plan = gathered->plan;
    int64_t open = gathered->n_in[NS_MEMBER_MISSING] + gathered->n_in[NS_MEMBER_UNFINISHED];
    fprintf(to, "%" PRId64 " members: %" PRId64 " done, %" PRId64 " failed", plan->n_members, gathered->n_in[NS_MEMBER_DONE], gathered->n_in[NS_MEMBER_FAILED]);
    if (open > 0) fprintf(to, ", %" PRId64 " still to do", open);
    fprintf(to, "; mean %s of the validation part\n", plan->metric);
    NS_TRY(print_settings(to, gathered));
    print_failures(to, gathered);
    print_best(to, gathered, run_path, job_path);
    fprintf(to, "  table     %s/sweep.json\n", run_path);
    return NS_OK;
}
