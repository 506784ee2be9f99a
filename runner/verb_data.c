/* The verbs about files: synth, inspect. One process is enough; other ranks wait. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "data/cohort.h"
#include "runner/context.h"
#include "runner/inspect.h"
#include "runner/json.h"
#include "runner/metrics/metrics.h"
#include "runner/synth.h"
#include "runner/writable.h"

/* AUROC of the true risks themselves on what then happened: the best that any model of this cohort could reach. */
static ns_status best_auroc(const char *path, double *auroc)
{
    ns_texts files = {0};
    ns_cohort *cohort = NULL;
    ns_risk_table risks = {0};
    float *risk = NULL;
    int32_t *code = NULL;
    uint8_t *label = NULL;
    int32_t columns[2];
    ns_status status = ns_texts_append(&files, path, (int64_t)strlen(path));
    if (status == NS_OK) status = ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF);
    if (status == NS_OK) {
        columns[0] = ns_cohort_find(cohort, "true_risk");
        columns[1] = ns_cohort_find(cohort, "readmitted");
        status = ns_cohort_prepare(cohort, columns, 2, MPI_COMM_SELF);
    }
    int64_t n = status == NS_OK ? ns_cohort_n_rows(cohort) : 0;
    if (status == NS_OK) {
        risk = malloc(((size_t)n + 1) * sizeof *risk);
        code = malloc(((size_t)n + 1) * sizeof *code);
        label = malloc((size_t)n + 1);
        if (risk == NULL || code == NULL || label == NULL) status = ns_fail(NS_ENOMEM, "no memory for the true risks");
    }
    if (status == NS_OK) status = ns_cohort_read_number(cohort, columns[0], 0, n, risk);
    if (status == NS_OK) status = ns_cohort_read_codes(cohort, columns[1], 0, n, code);
    if (status == NS_OK) {
        int64_t yes = ns_texts_find(ns_cohort_column(cohort, columns[1])->levels, "yes", 3);
        for (int64_t i = 0; i < n; i++) label[i] = code[i] == yes;
        status = ns_risk_table_build(&risks, risk, label, NULL, n);
    }
    ns_metrics metrics;
    if (status == NS_OK) status = ns_metrics_compute(&metrics, &risks);
    if (status == NS_OK) *auroc = metrics.auroc;
    ns_risk_table_destroy(&risks);
    ns_cohort_close(&cohort);
    ns_texts_destroy(&files);
    free(risk);
    free(code);
    free(label);
    return status;
}

static ns_status synth(ns_context *context)
{
    ns_synth_options o = ns_synth_defaults();
    const ns_args *args = context->args;
    int64_t seed, n_numbers, n_categories;
    const int64_t most = (int64_t)1 << 40;
    if (ns_args_value(args, "--rows") == NULL) return ns_fail(NS_EINVAL, "synth needs --rows N");
    NS_TRY(ns_args_integer(&o.n_rows, args, "--rows", 0, 0, most));
    NS_TRY(ns_args_integer(&o.n_patients, args, "--patients", o.n_patients, 0, most));
    NS_TRY(ns_args_integer(&seed, args, "--seed", (int64_t)o.seed, 0, (int64_t)1 << 53));
    NS_TRY(ns_args_integer(&n_numbers, args, "--numbers", o.n_numbers, 1, 10000));
    NS_TRY(ns_args_integer(&n_categories, args, "--categories", o.n_categories, 0, 10000));
    NS_TRY(ns_args_number(&o.missing, args, "--missing", o.missing, 0, 0.6));
    NS_TRY(ns_args_number(&o.prevalence, args, "--prevalence", o.prevalence, 0.001, 0.9));
    NS_TRY(ns_args_integer(&o.n_duplicate_ids, args, "--duplicate-ids", 0, 0, most));
    NS_TRY(ns_args_integer(&o.n_missing_ids, args, "--missing-ids", 0, 0, most));
    NS_TRY(ns_args_integer(&o.n_infinite, args, "--infinite", 0, 0, most));
    o.seed = (uint64_t)seed;
    o.n_numbers = (int32_t)n_numbers;
    o.n_categories = (int32_t)n_categories;
    o.true_risk = ns_args_value(args, "--true-risk") != NULL;
    o.outcomes = ns_args_value(args, "--outcomes") != NULL;
    NS_TRY(ns_writable_file_here(args->positional[0], "synth"));
    NS_TRY(ns_synth(args->positional[0], &o));
    json_object_set_new(context->summary, "rows", json_integer(o.n_rows));
    json_object_set_new(context->summary, "out", json_string(args->positional[0]));
    fprintf(context->text, "wrote %lld rows to %s\n", (long long)o.n_rows, args->positional[0]);
    if (o.true_risk) {
        double auroc = NAN;
        NS_TRY(best_auroc(args->positional[0], &auroc));
        json_object_set_new(context->summary, "best_auroc", ns_json_real(auroc));
        if (!isnan(auroc)) fprintf(context->text, "  AUROC of the true risks, which no model can beat for long: %.4f\n", auroc);
    }
    return NS_OK;
}

ns_status ns_verb_synth(ns_context *context)
{
    return ns_agree(context->rank == 0 ? synth(context) : NS_OK, context->comm);
}

/* --- inspect --- */

static ns_status inspect(ns_context *context)
{
    json_t *found = NULL;
    NS_TRY(ns_inspect(&found, context->args->positional[0]));
    ns_inspect_print(context->text, found);
    json_object_update(context->summary, found);
    json_decref(found);
    return NS_OK;
}

ns_status ns_verb_inspect(ns_context *context)
{
    return ns_agree(context->rank == 0 ? inspect(context) : NS_OK, context->comm);
}
