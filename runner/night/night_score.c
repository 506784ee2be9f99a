/*
 * Wave after wave: a rank's slab is read, hashed, binned and scored by all its threads, or given to a GPU; rank 0 gathers what others
 * have and hands all on. A GPU scores a wave while the next is read, and the one before is written (runner/night/score_output.h):
 * three slabs.
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
} slab;

enum { N_SLABS = 3, N_OTHERS = 2 };
typedef struct waves {
    slab slab[N_SLABS]; /* of wave w: w % N_SLABS */
    struct {
        uint8_t *status;
        float *risk;
    } other[N_OTHERS]; /* rank 0, by turns: what the others send */
} waves;

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

/* Begins to score this rank's piece of a wave. */
static ns_status score_piece(ns_night *night, int64_t wave, slab *s)
{
    ns_piece piece = ns_wave_piece(&night->stripes, wave, night->stripes.rank);
    uint8_t *status = s->status;
    if (piece.n_rows == 0) return ns_stop_check();
    NS_TRY(read_slab(night, piece, wave, s));
    double start = ns_seconds();
    for (int64_t i = 0; i < piece.n_rows; i++) status[i] = (uint8_t)status_of_row(night, &s->ids, wave * night->stripes.slab_rows, i);
    NS_TRY(hash_others(night, piece, s));
    night->seconds.hash += ns_seconds() - start;
    return ns_rater_rate(night->rater, piece.first_row, piece.n_rows, status, night->fingerprint, night->used_of_feature, s->risk, s->infinite);
}

/* Until a wave is scored that the next one was begun behind; statuses of infinite rows are set, risks of unscored rows become NaN. */
static ns_status finish_piece(ns_night *night, int64_t wave, const slab *s)
{
    int32_t n_outputs = night->bundle->model->n_outputs;
    ns_piece piece = ns_wave_piece(&night->stripes, wave, night->stripes.rank);
    bool is_last = wave + 1 == ns_n_waves(&night->stripes) || ns_wave_piece(&night->stripes, wave + 1, night->stripes.rank).n_rows == 0;
    uint8_t *status = s->status;
    float *risk = s->risk;
    NS_TRY(ns_rater_wait(night->rater, is_last ? 0 : 1));
    for (int64_t i = 0; i < piece.n_rows; i++) {
        if (status[i] == NS_SCORED && s->infinite[i]) status[i] = NS_VALUE_INFINITE;
        for (int32_t o = 0; status[i] != NS_SCORED && o < n_outputs; o++) risk[i * n_outputs + o] = NAN;
        night->counts[status[i]]++;
    }
    return NS_OK;
}

/* Hands a wave to rank 0, in rank order. */
static ns_status collect_wave(ns_night *night, int64_t wave, const waves *all, ns_night_take take, void *context)
{
    enum { TAG_STATUS = 1, TAG_RISK };
    const ns_stripes *s = &night->stripes;
    int64_t n_outputs = night->bundle->model->n_outputs; /* a slab's rows times these stay far below 2^31 (runner/rater.c) */
    ns_piece mine = ns_wave_piece(s, wave, s->rank);
    const slab *own = &all->slab[wave % N_SLABS];
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
        uint8_t *other_status = all->other[r % N_OTHERS].status; /* take may still have those of rank r - 1 */
        float *other_risk = all->other[r % N_OTHERS].risk;
        MPI_Recv(other_status, (int)piece.n_rows, MPI_UINT8_T, r, TAG_STATUS, night->comm, MPI_STATUS_IGNORE);
        MPI_Recv(other_risk, (int)(piece.n_rows * n_outputs), MPI_FLOAT, r, TAG_RISK, night->comm, MPI_STATUS_IGNORE);
        rows = (ns_night_rows){.first = piece.first_row, .n = piece.n_rows, .status = other_status, .risk = other_risk};
        if (result == NS_OK && piece.n_rows > 0) result = take(context, &rows);
    }
    return result;
}

/* A wave is begun before the one in front of it is waited for and handed on. */
static ns_status score_waves(ns_night *night, waves *all, ns_night_take take, void *context)
{
    int64_t n_waves = ns_n_waves(&night->stripes);
    for (int64_t next = 0; next <= n_waves; next++) {
        int64_t w = next - 1;
        ns_status status = next < n_waves ? score_piece(night, next, &all->slab[next % N_SLABS]) : NS_OK;
        if (status == NS_OK && w >= 0) status = finish_piece(night, w, &all->slab[w % N_SLABS]);
        NS_TRY(ns_agree(status, night->comm));
        if (next < n_waves) ns_fingerprint_end_wave(night->fingerprint, night->comm);
        if (w < 0) continue;
        double start = ns_seconds();
        NS_TRY(ns_agree(collect_wave(night, w, all, take, context), night->comm));
        night->seconds.write += ns_seconds() - start;
        ns_log_progress("score", w + 1, n_waves, "unit=waves");
    }
    return NS_OK;
}

static ns_status open_slab(slab *s, ns_night *night)
{
    size_t rows = (size_t)night->stripes.slab_rows, n_risks = rows * (size_t)night->bundle->model->n_outputs;
    NS_TRY(ns_id_reader_open(&s->ids, night->cohort, night->id, night->stripes.slab_rows));
    s->status = malloc(rows);
    s->infinite = malloc(rows);
    s->risk = malloc(n_risks * sizeof *s->risk);
    bool are_texts = night->id >= 0 && s->ids.number == NULL;
    if (are_texts) s->id_word = malloc(rows * sizeof *s->id_word);
    bool lacking = s->status == NULL || s->infinite == NULL || s->risk == NULL || (are_texts && s->id_word == NULL);
    return lacking ? ns_fail(NS_ENOMEM, "no memory for a slab of risks") : NS_OK;
}

static ns_status open_all(waves *all, ns_night *night)
{
    size_t rows = (size_t)night->stripes.slab_rows, n_risks = rows * (size_t)night->bundle->model->n_outputs;
    bool gathers = night->stripes.rank == 0 && night->stripes.n_ranks > 1;
    for (int i = 0; i < N_SLABS; i++) NS_TRY(open_slab(&all->slab[i], night));
    for (int i = 0; i < N_OTHERS && gathers; i++) {
        all->other[i].status = malloc(rows);
        all->other[i].risk = malloc(n_risks * sizeof *all->other[i].risk);
        if (all->other[i].status == NULL || all->other[i].risk == NULL) return ns_fail(NS_ENOMEM, "no memory for a slab of risks");
    }
    return NS_OK;
}

static void close_all(waves *all)
{
    for (int i = 0; i < N_SLABS; i++) {
        slab *s = &all->slab[i];
        ns_id_reader_close(&s->ids);
        free(s->id_word);
        free(s->status);
        free(s->infinite);
        free(s->risk);
    }
    for (int i = 0; i < N_OTHERS; i++) {
        free(all->other[i].status);
        free(all->other[i].risk);
    }
}

/* All rows, on their way to take; nothing of them is in use after. Collective. */
static ns_status score_rows(ns_night *night, ns_night_take take, void *context)
{
    waves all = {.slab = {{.ids = {0}}}};
    ns_status status = open_all(&all, night);
    if (status == NS_OK) status = ns_night_create_fingerprint(night);
    memset(night->counts, 0, sizeof night->counts);
    status = ns_agree(status, night->comm);
    if (status == NS_OK) status = score_waves(night, &all, take, context);
    double start = ns_seconds();
    ns_status taken = night->stripes.rank == 0 ? take(context, NULL) : NS_OK;
    night->seconds.write += ns_seconds() - start;
    close_all(&all);
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
