#include "runner/night/night.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/stop.h"
#include "runner/night/night_private.h"
#include "runner/training/table.h"

static int by_index(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

/* Every column that is read, in name order, each once; and where each feature stands among them. */
static ns_status list_used(ns_night *night)
{
    int32_t n_features = night->bundle->model->n_features, n_where = ns_filter_n_columns(night->filter), n = 0;
    int32_t *all = calloc((size_t)(n_features + n_where + night->n_keep) + 2, sizeof *all);
    night->used_of_feature = calloc((size_t)n_features + 1, sizeof *night->used_of_feature);
    night->used = all;
    if (all == NULL || night->used_of_feature == NULL) return ns_fail(NS_ENOMEM, "no memory for the list of columns");
    if (night->id >= 0) all[n++] = night->id;
    for (int32_t i = 0; i < n_where; i++) all[n++] = ns_filter_column(night->filter, i);
    for (int32_t i = 0; i < n_features; i++)
        if (night->features[i] >= 0) all[n++] = night->features[i];
    for (int32_t i = 0; i < night->n_keep; i++) all[n++] = night->keep[i];
    qsort(all, (size_t)n, sizeof *all, by_index);
    for (int32_t i = 0; i < n; i++)
        if (night->n_used == 0 || all[i] != all[night->n_used - 1]) all[night->n_used++] = all[i];
    for (int32_t f = 0; f < n_features; f++) {
        night->used_of_feature[f] = -1;
        for (int32_t i = 0; i < night->n_used; i++)
            if (all[i] == night->features[f]) night->used_of_feature[f] = i;
    }
    return NS_OK;
}

static ns_status find_columns(ns_night *night, const ns_night_plan *plan)
{
    night->id = -1;
    if (plan->id_name != NULL) {
        night->id = ns_cohort_find(night->cohort, plan->id_name);
        if (night->id < 0) return ns_fail(NS_EFORMAT, "%s: data.id: the cohort has no column '%s'", ns_job_place(plan->job, "data.id"), plan->id_name);
        if (ns_cohort_column(night->cohort, night->id)->kind != NS_COL_ID)
            return ns_fail(NS_EFORMAT, "%s: data.id: column '%s' is of kind %s, not id (import with a schema that says so, or set its attribute kind)", ns_job_place(plan->job, "data.id"), plan->id_name,
                           ns_column_kind_name(ns_cohort_column(night->cohort, night->id)->kind));
    }
    night->keep = calloc((size_t)plan->n_keep + 1, sizeof *night->keep);
    night->keep_bytes = calloc((size_t)plan->n_keep + 1, sizeof *night->keep_bytes);
    night->features = calloc((size_t)night->bundle->model->n_features + 1, sizeof *night->features);
    if (night->keep == NULL || night->keep_bytes == NULL || night->features == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the list of columns");
    for (int64_t i = 0; i < plan->n_keep; i++) {
        int32_t column = ns_cohort_find(night->cohort, plan->keep[i]);
        if (column < 0)
            return ns_fail(NS_EFORMAT, "%s: score.keep: the cohort has no column '%s'", ns_job_place(plan->job, "score.keep"), plan->keep[i]);
        night->keep[night->n_keep++] = column;
    }
    NS_TRY(ns_rater_columns(night->features, night->bundle->model, night->cohort, plan->absent));
    NS_TRY(ns_filter_open(&night->filter, plan->where_job, plan->where_key, night->cohort));
    return list_used(night);
}

ns_status ns_night_create_fingerprint(ns_night *night)
{
    ns_fingerprint_destroy(&night->fingerprint);
    const char **names = calloc((size_t)night->n_used + 1, sizeof *names);
    ns_column_kind *kinds = calloc((size_t)night->n_used + 1, sizeof *kinds);
    if (night->digests == NULL) night->digests = calloc((size_t)night->n_used + 1, sizeof *night->digests);
    ns_status status = names == NULL || kinds == NULL || night->digests == NULL ? ns_fail(NS_ENOMEM, "no memory for the fingerprint") : NS_OK;
    for (int32_t i = 0; i < night->n_used && status == NS_OK; i++) {
        names[i] = ns_cohort_column(night->cohort, night->used[i])->name;
        kinds[i] = ns_cohort_column(night->cohort, night->used[i])->kind;
    }
    if (status == NS_OK)
        status = ns_fingerprint_create_striped(&night->fingerprint, names, kinds, night->n_used, &night->stripes);
    free(names);
    free(kinds);
    return status;
}

ns_status ns_night_open(ns_night *night, const ns_texts *files, const ns_night_plan *plan, ns_device *device, MPI_Comm comm)
{
    night->comm = comm;
    night->bundle = plan->bundle;
    NS_TRY(ns_cohort_open(&night->cohort, files, plan->layout, comm));
    NS_TRY(ns_agree(find_columns(night, plan), comm));
    NS_TRY(ns_cohort_prepare(night->cohort, night->used, night->n_used, comm));
    bool infinite_ok = strcmp(ns_job_text(plan->bundle->job, "data.infinite"), "missing") == 0;
    ns_status status = ns_filter_bind(night->filter, night->cohort);
    if (status == NS_OK)
        status = ns_rater_create(&night->rater, plan->bundle->model, night->cohort, night->features, device, infinite_ok);
    if (status == NS_OK && plan->names_unknown) status = ns_rater_count_unknown(night->rater);
    NS_TRY(ns_agree(status, comm));
    night->stripes.n_rows = ns_cohort_n_rows(night->cohort);
    night->stripes.slab_rows = ns_rater_slab_rows(night->rater);
    MPI_Comm_rank(comm, &night->stripes.rank);
    MPI_Comm_size(comm, &night->stripes.n_ranks);
    return NS_OK;
}

static ns_status hash_piece(ns_night *night, ns_piece piece)
{
    NS_TRY(ns_stop_check());
    for (int32_t i = 0; i < night->n_used; i++)
        NS_TRY(ns_hash_column(night->fingerprint, i, night->cohort, night->used[i], piece.first_row, piece.n_rows));
    return NS_OK;
}

ns_status ns_night_fingerprint(ns_night *night)
{
    ns_status status = ns_night_create_fingerprint(night);
    NS_TRY(ns_agree(status, night->comm));
    for (int64_t w = 0; w < ns_n_waves(&night->stripes); w++) {
        NS_TRY(ns_agree(hash_piece(night, ns_wave_piece(&night->stripes, w, night->stripes.rank)), night->comm));
        ns_fingerprint_end_wave(night->fingerprint, night->comm);
    }
    return ns_fingerprint_finish(night->fingerprint, night->digests, night->digest, night->comm);
}

const int64_t *ns_night_unknown(const ns_night *night, int32_t feature)
{
    return ns_rater_unknown(night->rater, feature);
}

const char *ns_night_bound(const ns_night_seconds *seconds)
{
    const double took[] = {seconds->prepare, seconds->read, seconds->hash, seconds->score, seconds->write};
    static const char *const names[] = {"prepare", "read", "hash", "score", "write"};
    int most = 0;
    for (int i = 1; i < 5; i++)
        if (took[i] > took[most]) most = i;
    return names[most];
}

int64_t ns_night_memory(int64_t n_rows)
{
    return 2 * NS_RATER_SLAB_BYTES + 24 * n_rows;
}

void ns_night_close(ns_night *night)
{
    ns_rater_destroy(&night->rater);
    ns_filter_close(&night->filter);
    ns_fingerprint_destroy(&night->fingerprint);
    ns_cohort_close(&night->cohort);
    free(night->keep);
    free(night->keep_bytes);
    free(night->features);
    free(night->used);
    free(night->used_of_feature);
    free(night->digests);
    free(night->outside);
    free(night->duplicate);
    memset(night, 0, sizeof *night);
}
