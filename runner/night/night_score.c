/*
 * Wave after wave: a rank's slab is read, hashed, binned and scored by all its threads; rank 0 gathers what others have and hands all
 * on. What it hands on is written (runner/night/score_output.h) while the next wave is read, so there are two slabs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/hash.h"
#include "runner/ids.h"
#include "runner/night/night_private.h"
#include "runner/training/table.h"

/* A slab on its way. */
typedef struct slab {
    ns_id_reader ids;
    uint64_t *id_word; /* NULL: ids are no texts */
    uint8_t *status, *infinite;
    float *risk;
    uint8_t *other_status; /* rank 0, by turns: what the others send */
    float *other_risk;
} slab;

static ns_score_status status_of_row(const ns_night *night, const ns_id_reader *ids, int64_t first_bit, int64_t row)
{
    if (!ids->use[row]) return NS_OUTSIDE_COHORT;
    if (night->id < 0) return NS_SCORED;
    if (!ns_id_reader_has(ids, row)) return NS_ID_MISSING;
    int64_t bit = first_bit + row;
    return (night->duplicate[bit >> 3] >> (bit & 7) & 1) != 0 ? NS_ID_DUPLICATE : NS_SCORED;
}

/* The cells of a piece, and which of its rows belong; ids that are numbers are decoded beside the features. */
static ns_status read_slab(ns_night *night, ns_piece piece, int64_t wave, slab *s)
{
    double start = ns_seconds();
    NS_TRY(ns_stop_check());
    NS_TRY(ns_night_which_belong(night, wave, piece, s->ids.use));
    ns_column_read number = {.column = night->id, .as = NS_READ_ID_INT, .out = s->ids.number};
    bool is_number = night->id >= 0 && s->ids.number != NULL;
    if (!is_number) NS_TRY(ns_id_reader_read(&s->ids, piece.first_row, piece.n_rows));
    night->seconds.read += ns_seconds() - start;
    return ns_rater_read(night->rater, piece.first_row, piece.n_rows, &number, is_number ? 1 : 0);
}

/* The ids that were read, as column i of the fingerprint. */
static void hash_ids(ns_night *night, int32_t i, ns_piece piece, const slab *s)
{
    enum { ROWS = 8 * NS_BLOCK_ROWS }; /* as many blocks as are hashed at once */
    const uint64_t *word = s->id_word != NULL ? s->id_word : (const uint64_t *)s->ids.number; /* signed and unsigned share a place */
#pragma omp parallel for schedule(static)
    for (int64_t at = 0; at < piece.n_rows; at += ROWS) {
        int64_t n = piece.n_rows - at < ROWS ? piece.n_rows - at : ROWS;
        if (s->id_word != NULL) ns_hash64_each(s->id_word + at, s->ids.text.bytes, s->ids.text.offset + at, n);
        ns_fingerprint_words(night->fingerprint, i, piece.first_row + at, n, word + at);
    }
}

/* The columns that the rater does not read. */
static ns_status hash_others(ns_night *night, ns_piece piece, const slab *s)
{
    for (int32_t i = 0; i < night->n_used; i++) {
        bool is_feature = false;
        for (int32_t f = 0; f < night->bundle->model->n_features; f++) is_feature |= night->used_of_feature[f] == i;
        if (is_feature) continue;
        if (night->used[i] == night->id)
            hash_ids(night, i, piece, s);
        else
            NS_TRY(ns_hash_column(night->fingerprint, i, night->cohort, night->used[i], piece.first_row, piece.n_rows));
    }
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
    NS_TRY(read_slab(night, piece, wave, s));
    double start = ns_seconds();
    for (int64_t i = 0; i < piece.n_rows; i++) status[i] = (uint8_t)status_of_row(night, &s->ids, wave * night->stripes.slab_rows, i);
    NS_TRY(hash_others(night, piece, s));
    night->seconds.hash += ns_seconds() - start;
    NS_TRY(ns_rater_rate(night->rater, piece.first_row, piece.n_rows, status, night->fingerprint, night->used_of_feature, risk, infinite));
    for (int64_t i = 0; i < piece.n_rows; i++) {
        if (status[i] == NS_SCORED && infinite[i]) status[i] = NS_VALUE_INFINITE;
        for (int32_t o = 0; status[i] != NS_SCORED && o < n_outputs; o++) risk[i * n_outputs + o] = NAN;
        night->counts[status[i]]++;
    }
    return NS_OK;
}

/* Hands a wave to rank 0, in rank order. */
static ns_status collect_wave(ns_night *night, int64_t wave, const slab pair[2], ns_night_take take, void *context)
{
    enum { TAG_STATUS = 1, TAG_RISK };
    const ns_stripes *s = &night->stripes;
    int64_t n_outputs = night->bundle->model->n_outputs; /* a slab's rows times these stay far below 2^31 (runner/rater.c) */
    ns_piece mine = ns_wave_piece(s, wave, s->rank);
    const slab *own = &pair[wave & 1];
    if (s->rank != 0) {
        MPI_Send(own->status, (int)mine.n_rows, MPI_UINT8_T, 0, TAG_STATUS, night->comm);
        MPI_Send(own->risk, (int)(mine.n_rows * n_outputs), MPI_FLOAT, 0, TAG_RISK, night->comm);
        return NS_OK;
    }
    ns_night_rows rows = {.first = mine.first_row, .n = mine.n_rows, .status = own->status, .risk = own->risk, .id_word = own->id_word};
    if (night->id >= 0 && own->id_word == NULL) rows.id_int = own->ids.number;
    if (own->id_word != NULL) rows.id_text = &own->ids.text;
    ns_status result = mine.n_rows > 0 ? take(context, &rows) : NS_OK;
    for (int r = 1; r < s->n_ranks; r++) {
        ns_piece piece = ns_wave_piece(s, wave, r);
        uint8_t *other_status = pair[r & 1].other_status; /* take may still have those of rank r - 1 */
        float *other_risk = pair[r & 1].other_risk;
        MPI_Recv(other_status, (int)piece.n_rows, MPI_UINT8_T, r, TAG_STATUS, night->comm, MPI_STATUS_IGNORE);
        MPI_Recv(other_risk, (int)(piece.n_rows * n_outputs), MPI_FLOAT, r, TAG_RISK, night->comm, MPI_STATUS_IGNORE);
        rows = (ns_night_rows){.first = piece.first_row, .n = piece.n_rows, .status = other_status, .risk = other_risk};
        if (result == NS_OK && piece.n_rows > 0) result = take(context, &rows);
    }
    return result;
}

static ns_status score_waves(ns_night *night, slab pair[2], ns_night_take take, void *context)
{
    int64_t n_waves = ns_n_waves(&night->stripes);
    for (int64_t w = 0; w < n_waves; w++) {
        NS_TRY(ns_agree(score_piece(night, w, &pair[w & 1]), night->comm));
        ns_fingerprint_end_wave(night->fingerprint, night->comm);
        double start = ns_seconds();
        NS_TRY(ns_agree(collect_wave(night, w, pair, take, context), night->comm));
        night->seconds.write += ns_seconds() - start;
        ns_log_progress("score", w + 1, n_waves, "unit=waves");
    }
    return NS_OK;
}

static ns_status open_slab(slab *s, ns_night *night)
{
    size_t rows = (size_t)night->stripes.slab_rows, n_risks = rows * (size_t)night->bundle->model->n_outputs;
    bool lacking = false, gathers = night->stripes.rank == 0 && night->stripes.n_ranks > 1;
    NS_TRY(ns_id_reader_open(&s->ids, night->cohort, night->id, night->stripes.slab_rows));
    s->status = malloc(rows);
    s->infinite = malloc(rows);
    s->risk = malloc(n_risks * sizeof *s->risk);
    bool are_texts = night->id >= 0 && s->ids.number == NULL;
    if (are_texts) s->id_word = malloc(rows * sizeof *s->id_word);
    if (gathers) {
        s->other_status = malloc(rows);
        s->other_risk = malloc(n_risks * sizeof *s->other_risk);
        lacking = s->other_status == NULL || s->other_risk == NULL;
    }
    lacking = lacking || s->status == NULL || s->infinite == NULL || s->risk == NULL || (are_texts && s->id_word == NULL);
    return lacking ? ns_fail(NS_ENOMEM, "no memory for a slab of risks") : NS_OK;
}

static void close_slab(slab *s)
{
    ns_id_reader_close(&s->ids);
    free(s->other_status);
    free(s->other_risk);
    free(s->id_word);
    free(s->status);
    free(s->infinite);
    free(s->risk);
}

/* All rows, on their way to take; nothing of them is in use after. Collective. */
static ns_status score_rows(ns_night *night, ns_night_take take, void *context)
{
    slab pair[2] = {{.ids = {0}}}; /* one is scored while take still has the other */
    ns_status status = open_slab(&pair[0], night);
    if (status == NS_OK) status = open_slab(&pair[1], night);
    if (status == NS_OK) status = ns_night_create_fingerprint(night);
    memset(night->counts, 0, sizeof night->counts);
    status = ns_agree(status, night->comm);
    if (status == NS_OK) status = score_waves(night, pair, take, context);
    double start = ns_seconds();
    ns_status taken = night->stripes.rank == 0 ? take(context, NULL) : NS_OK;
    night->seconds.write += ns_seconds() - start;
    close_slab(&pair[0]);
    close_slab(&pair[1]);
    return status == NS_OK ? ns_agree(taken, night->comm) : status; /* failed: on all ranks, in the words of the first */
}

ns_status ns_night_score(ns_night *night, ns_night_take take, void *context)
{
    NS_TRY(score_rows(night, take, context));
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
