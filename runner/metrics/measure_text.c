#include "runner/metrics/measure_text.h"

#include <stdbool.h>

static const json_t *find(const json_t *metrics, const char *key)
{
    return json_object_get(metrics, key);
}

static bool has(const json_t *metrics, const char *key)
{
    return json_is_number(find(metrics, key));
}

static double real(const json_t *metrics, const char *key)
{
    return json_number_value(find(metrics, key));
}

static long long whole(const json_t *metrics, const char *key)
{
    return (long long)json_integer_value(find(metrics, key));
}

/* What each objective's metrics are called, the most telling first. digits < 0: as many significant ones. */
typedef struct entry {
    const char *key, *word;
    int digits;
} entry;

enum { MOST_ENTRIES = 6 };

static const entry entries[][MOST_ENTRIES] = {
    [NS_MULTICLASS] = {{"log_loss", "log loss", 5}, {"accuracy", "accuracy", 4}, {"auroc_macro", "AUROC (mean over classes)", 4}, {"brier", "Brier score", 5}},
    [NS_REGRESSION] = {{"rmse", "RMSE", -5}, {"mae", "MAE", -5}, {"r2", "R2", 4}, {"bias", "bias", -5}},
    [NS_POISSON] = {{"deviance", "deviance", 5}, {"observed_expected", "observed/expected", 3}, {"deviance_explained", "deviance explained", 4}, {"mae", "MAE", -5}},
    [NS_QUANTILE] = {{"pinball_loss", "pinball loss", -5}, {"coverage", "coverage", 4}, {"mae", "MAE", -5}},
};

static void print_value(FILE *to, const entry *e, const json_t *metrics)
{
    if (e->digits < 0) fprintf(to, "%.*g", -e->digits, real(metrics, e->key));
    else fprintf(to, "%.*f", e->digits, real(metrics, e->key));
}

static void print_binary_line(FILE *to, const json_t *m)
{
    fprintf(to, ", %lld events", whole(m, "events"));
    if (has(m, "auroc")) fprintf(to, ", AUROC %.4f", real(m, "auroc"));
    if (has(m, "auroc_low")) fprintf(to, " (%.4f to %.4f)", real(m, "auroc_low"), real(m, "auroc_high")); /* none with a single event */
    if (has(m, "log_loss")) fprintf(to, ", log loss %.5f, Brier score %.5f", real(m, "log_loss"), real(m, "brier"));
}

void ns_measure_print_line(FILE *to, const char *part, const json_t *metrics, ns_objective objective)
{
    if (metrics == NULL) return;
    fprintf(to, "  %-9s %lld rows", part, whole(metrics, "n"));
    if (objective == NS_BINARY) print_binary_line(to, metrics);
    else
        for (const entry *e = entries[objective]; e->key != NULL; e++) {
            if (!has(metrics, e->key)) continue;
            fprintf(to, ", %s ", e->word);
            print_value(to, e, metrics);
        }
    fprintf(to, "\n");
}

static void print_binary(FILE *to, const json_t *m)
{
    fprintf(to, ", %lld events\n", whole(m, "events"));
    if (has(m, "auroc")) fprintf(to, "  AUROC     %.4f", real(m, "auroc"));
    if (has(m, "auroc_low")) fprintf(to, " (%.4f to %.4f)", real(m, "auroc_low"), real(m, "auroc_high")); /* none with a single event */
    if (has(m, "auroc")) fprintf(to, "\n");
    fprintf(to, "  log loss  %.5f\n  Brier     %.5f\n", real(m, "log_loss"), real(m, "brier"));
    size_t i;
    json_t *c;
    json_array_foreach(find(m, "capacity"), i, c) {
        if (!has(c, "sensitivity")) continue; /* no events at all */
        fprintf(to, "  top %2lld %%  finds %.1f %% of the events; ", whole(c, "percent"), 100 * real(c, "sensitivity"));
        if (has(c, "nne")) fprintf(to, "1 in %.1f of those flagged has one\n", real(c, "nne"));
        else fprintf(to, "none of those flagged has one\n");
    }
}

void ns_measure_print(FILE *to, const json_t *metrics, ns_objective objective)
{
    fprintf(to, "  rows      %lld", whole(metrics, "n"));
    if (objective == NS_BINARY) {
        print_binary(to, metrics);
        return;
    }
    fprintf(to, "\n");
    for (const entry *e = entries[objective]; e->key != NULL; e++) {
        if (!has(metrics, e->key)) continue;
        fprintf(to, "  %s ", e->word);
        print_value(to, e, metrics);
        fprintf(to, "\n");
    }
    if (objective == NS_QUANTILE && has(metrics, "coverage_low"))
        fprintf(to, "  %.1f %% of outcomes lie at or below the prediction (%.1f to %.1f), %g %% were asked for\n", 100 * real(metrics, "coverage"),
                100 * real(metrics, "coverage_low"), 100 * real(metrics, "coverage_high"), 100 * real(metrics, "quantile"));
}
