#include "runner/night.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "runner/ids.h"
#include "runner/table.h"

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

static ns_status create_fingerprint(ns_night *night)
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

static ns_status hash_piece(ns_night *night, ns_piece piece, bool features_too)
{
    NS_TRY(ns_stop_check());
    for (int32_t i = 0; i < night->n_used; i++) {
        bool is_feature = false;
        for (int32_t f = 0; f < night->bundle->model->n_features; f++) is_feature |= night->used_of_feature[f] == i;
        if (is_feature && !features_too) continue;
        NS_TRY(ns_hash_column(night->fingerprint, i, night->cohort, night->used[i], piece.first_row, piece.n_rows));
    }
    return NS_OK;
}

ns_status ns_night_fingerprint(ns_night *night)
{
    ns_status status = create_fingerprint(night);
    NS_TRY(ns_agree(status, night->comm));
    for (int64_t w = 0; w < ns_n_waves(&night->stripes); w++) {
        NS_TRY(ns_agree(hash_piece(night, ns_wave_piece(&night->stripes, w, night->stripes.rank), true), night->comm));
        ns_fingerprint_end_wave(night->fingerprint, night->comm);
    }
    return ns_fingerprint_finish(night->fingerprint, night->digests, night->digest, night->comm);
}

/* --- what must be known before the first row is scored --- */

static void keep_longest(const ns_texts *texts, int64_t *most)
{
    for (int64_t i = 0; i < texts->n; i++)
        if (texts->offset[i + 1] - texts->offset[i] > *most) *most = texts->offset[i + 1] - texts->offset[i];
}

/* The longest text of a kept text column among some rows. */
static ns_status longest_text(ns_night *night, int32_t column, ns_piece piece, ns_texts *texts, int64_t *most)
{
    if (!ns_cohort_column(night->cohort, column)->is_text) return NS_OK;
    ns_texts_clear(texts);
    NS_TRY(ns_cohort_read_id_text(night->cohort, column, piece.first_row, piece.n_rows, texts));
    keep_longest(texts, most);
    return NS_OK;
}

/* The ids of some rows; use: 1 where the row belongs. */
static ns_status read_ids(ns_night *night, ns_id_reader *ids, ns_piece piece)
{
    NS_TRY(ns_stop_check());
    if (piece.n_rows == 0) return NS_OK;
    NS_TRY(ns_filter_rows(night->filter, night->cohort, piece.first_row, piece.n_rows, ids->use));
    return ns_id_reader_read(ids, piece.first_row, piece.n_rows);
}

/* What may be a duplicate: rows outside of the cohort are nobody's. */
typedef struct id_waves {
    ns_night *night;
    ns_id_reader ids;
} id_waves;

static ns_status read_wave_ids(void *context, int64_t wave, ns_id_piece *out)
{
    id_waves *w = context;
    const ns_stripes *stripes = &w->night->stripes;
    ns_piece piece = ns_wave_piece(stripes, wave, stripes->rank);
    NS_TRY(read_ids(w->night, &w->ids, piece));
    *out = ns_id_reader_piece(&w->ids, wave * stripes->slab_rows, piece.n_rows);
    if (out->text != NULL && piece.n_rows > 0) keep_longest(&w->ids.text, &w->night->id_bytes);
    return NS_OK;
}

/* The longest texts of score.keep; those of ids are seen while duplicates are looked for. */
static ns_status measure_kept(ns_night *night)
{
    ns_texts texts = {0};
    ns_status status = NS_OK;
    for (int64_t w = 0; w < ns_n_waves(&night->stripes) && status == NS_OK; w++) {
        ns_piece piece = ns_wave_piece(&night->stripes, w, night->stripes.rank);
        status = ns_stop_check();
        for (int32_t i = 0; i < night->n_keep && status == NS_OK; i++)
            status = longest_text(night, night->keep[i], piece, &texts, &night->keep_bytes[i]);
    }
    ns_texts_destroy(&texts);
    NS_TRY(ns_agree(status, night->comm));
    ns_max_i64(night->keep_bytes, night->n_keep, night->comm);
    return NS_OK;
}

static ns_status find_duplicates(ns_night *night)
{
    int64_t n_waves = ns_n_waves(&night->stripes), n_rows = n_waves * night->stripes.slab_rows, n_found;
    id_waves waves = {.night = night};
    night->duplicate = calloc((size_t)(n_rows + 7) / 8 + 1, 1);
    ns_status status = ns_id_reader_open(&waves.ids, night->cohort, night->id, night->stripes.slab_rows);
    if (night->duplicate == NULL) status = ns_fail(NS_ENOMEM, "no memory for the duplicates among %lld rows", (long long)n_rows);
    status = ns_agree(status, night->comm);
    ns_id_source source = {.n_pieces = n_waves, .n_rows = n_rows, .is_text = waves.ids.number == NULL, .read = read_wave_ids, .context = &waves};
    if (status == NS_OK) status = ns_duplicates_find(&source, &ns_duplicates_default, night->duplicate, &n_found, night->comm);
    ns_id_reader_close(&waves.ids);
    if (status == NS_OK) ns_max_i64(&night->id_bytes, 1, night->comm);
    return status;
}

ns_status ns_night_prepare(ns_night *night)
{
    double start = ns_seconds();
    NS_TRY(measure_kept(night));
    if (night->id >= 0) NS_TRY(find_duplicates(night));
    night->seconds.prepare = ns_seconds() - start;
    return NS_OK;
}

/* --- scoring --- */

/* A slab on its way. */
typedef struct slab {
    ns_id_reader ids;
    uint8_t *status, *infinite;
    float *risk;
} slab;

static ns_score_status status_of_row(const ns_night *night, const ns_id_reader *ids, int64_t first_bit, int64_t row)
{
    if (!ids->use[row]) return NS_OUTSIDE_COHORT;
    if (night->id < 0) return NS_SCORED;
    if (!ns_id_reader_has(ids, row)) return NS_ID_MISSING;
    int64_t bit = first_bit + row;
    return (night->duplicate[bit >> 3] >> (bit & 7) & 1) != 0 ? NS_ID_DUPLICATE : NS_SCORED;
}

static ns_status status_of_piece(ns_night *night, ns_piece piece, int64_t wave, slab *s)
{
    NS_TRY(read_ids(night, &s->ids, piece));
    for (int64_t i = 0; i < piece.n_rows; i++) s->status[i] = (uint8_t)status_of_row(night, &s->ids, wave * night->stripes.slab_rows, i);
    return NS_OK;
}

/* Scores this rank's piece of a wave; statuses of infinite rows are set, risks of unscored rows become NaN. */
static ns_status score_piece(ns_night *night, int64_t wave, slab *s)
{
    int32_t n_outputs = night->bundle->model->n_outputs;
    ns_piece piece = ns_wave_piece(&night->stripes, wave, night->stripes.rank);
    uint8_t *status = s->status, *infinite = s->infinite;
    float *risk = s->risk;
    if (piece.n_rows == 0) return ns_stop_check();
    double start = ns_seconds();
    NS_TRY(status_of_piece(night, piece, wave, s));
    NS_TRY(hash_piece(night, piece, false));
    night->seconds.read += ns_seconds() - start;
    NS_TRY(ns_rater_score(night->rater, piece.first_row, piece.n_rows, status, night->fingerprint, night->used_of_feature, risk, infinite));
    for (int64_t i = 0; i < piece.n_rows; i++) {
        if (status[i] == NS_SCORED && infinite[i]) status[i] = NS_VALUE_INFINITE;
        for (int32_t o = 0; status[i] != NS_SCORED && o < n_outputs; o++) risk[i * n_outputs + o] = NAN;
        night->counts[status[i]]++;
    }
    return NS_OK;
}

/* Hands a wave to rank 0, in rank order. */
static ns_status collect_wave(ns_night *night, int64_t wave, uint8_t *status, float *risk, ns_night_take take, void *context)
{
    enum { TAG_STATUS = 1, TAG_RISK };
    const ns_stripes *s = &night->stripes;
    int64_t n_outputs = night->bundle->model->n_outputs; /* a slab's rows times these stay far below 2^31 (runner/rater.c) */
    ns_piece mine = ns_wave_piece(s, wave, s->rank);
    if (s->rank != 0) {
        MPI_Send(status, (int)mine.n_rows, MPI_UINT8_T, 0, TAG_STATUS, night->comm);
        MPI_Send(risk, (int)(mine.n_rows * n_outputs), MPI_FLOAT, 0, TAG_RISK, night->comm);
        return NS_OK;
    }
    ns_status result = mine.n_rows > 0 ? take(context, mine.first_row, mine.n_rows, status, risk) : NS_OK;
    uint8_t *other_status = malloc((size_t)s->slab_rows);
    float *other_risk = malloc((size_t)(s->slab_rows * n_outputs) * sizeof *other_risk);
    if (other_status == NULL || other_risk == NULL) result = ns_fail(NS_ENOMEM, "no memory for a slab of risks");
    for (int r = 1; r < s->n_ranks; r++) {
        ns_piece piece = ns_wave_piece(s, wave, r);
        if (other_status == NULL || other_risk == NULL) {
            other_status = status; /* drain the messages into memory that is there */
            other_risk = risk;
        }
        MPI_Recv(other_status, (int)piece.n_rows, MPI_UINT8_T, r, TAG_STATUS, night->comm, MPI_STATUS_IGNORE);
        MPI_Recv(other_risk, (int)(piece.n_rows * n_outputs), MPI_FLOAT, r, TAG_RISK, night->comm, MPI_STATUS_IGNORE);
        if (result == NS_OK && piece.n_rows > 0) result = take(context, piece.first_row, piece.n_rows, other_status, other_risk);
    }
    if (other_status != status) free(other_status);
    if (other_risk != risk) free(other_risk);
    return result;
}

static ns_status score_waves(ns_night *night, slab *s, ns_night_take take, void *context)
{
    int64_t n_waves = ns_n_waves(&night->stripes);
    for (int64_t w = 0; w < n_waves; w++) {
        NS_TRY(ns_agree(score_piece(night, w, s), night->comm));
        ns_fingerprint_end_wave(night->fingerprint, night->comm);
        double start = ns_seconds();
        NS_TRY(ns_agree(collect_wave(night, w, s->status, s->risk, take, context), night->comm));
        night->seconds.write += ns_seconds() - start;
        ns_log_progress("score", w + 1, n_waves, "unit=waves");
    }
    return NS_OK;
}

ns_status ns_night_score(ns_night *night, ns_night_take take, void *context)
{
    size_t rows = (size_t)night->stripes.slab_rows;
    slab s = {.status = malloc(rows),
              .infinite = malloc(rows),
              .risk = malloc(rows * (size_t)night->bundle->model->n_outputs * sizeof *s.risk)};
    ns_status status = ns_id_reader_open(&s.ids, night->cohort, night->id, night->stripes.slab_rows);
    if (s.status == NULL || s.infinite == NULL || s.risk == NULL) status = ns_fail(NS_ENOMEM, "no memory for a slab of risks");
    if (status == NS_OK) status = create_fingerprint(night);
    memset(night->counts, 0, sizeof night->counts);
    status = ns_agree(status, night->comm);
    if (status == NS_OK) status = score_waves(night, &s, take, context);
    ns_id_reader_close(&s.ids);
    free(s.status);
    free(s.infinite);
    free(s.risk);
    if (status != NS_OK) return status;
    ns_rater_seconds took = ns_rater_took(night->rater);
    night->seconds.read += took.read;
    night->seconds.hash += took.hash;
    night->seconds.score += took.score;
    ns_sum_i64(night->counts, NS_N_STATUS, night->comm);
    for (int32_t f = 0; f < night->bundle->model->n_features; f++) {
        int64_t *unknown = ns_rater_unknown(night->rater, f);
        if (unknown != NULL) ns_sum_i64(unknown, ns_cohort_column(night->cohort, night->features[f])->levels->n, night->comm);
    }
    NS_TRY(ns_cohort_check_exact(night->cohort, night->comm));
    NS_TRY(ns_fingerprint_finish(night->fingerprint, night->digests, night->digest, night->comm));
    return ns_cohort_unchanged(night->cohort, night->comm);
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
    free(night->duplicate);
    memset(night, 0, sizeof *night);
}
