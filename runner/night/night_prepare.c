/* What must be known before the first row is scored: duplicate ids, and how long texts get. */
#include <assert.h>
#include <stdlib.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "runner/ids.h"
#include "runner/night/night_private.h"

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

/* use[i]: row i of this rank's piece of a wave is of the cohort. Waves are first asked for in order. */
ns_status ns_night_which_belong(ns_night *night, int64_t wave, ns_piece piece, uint8_t *use)
{
    int64_t first_bit = wave * night->stripes.slab_rows;
    if (wave < night->n_waves_filtered) {
        for (int64_t i = 0; i < piece.n_rows; i++) use[i] = (night->outside[(first_bit + i) >> 3] >> ((first_bit + i) & 7) & 1) == 0;
        return NS_OK;
    }
    assert(wave == night->n_waves_filtered);
    NS_TRY(ns_filter_rows(night->filter, night->cohort, piece.first_row, piece.n_rows, use));
    for (int64_t i = 0; i < piece.n_rows; i++) /* pages without a bit take no memory */
        if (!use[i]) night->outside[(first_bit + i) >> 3] |= (uint8_t)(1u << ((first_bit + i) & 7));
    night->n_waves_filtered = wave + 1;
    return NS_OK;
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
    if (piece.n_rows > 0) {
        NS_TRY(ns_night_which_belong(w->night, wave, piece, w->ids.use));
        NS_TRY(ns_id_reader_read(&w->ids, piece.first_row, piece.n_rows));
    }
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
    int64_t n_bits = ns_n_waves(&night->stripes) * night->stripes.slab_rows;
    night->outside = calloc((size_t)(n_bits + 7) / 8 + 1, 1);
    NS_TRY(ns_agree(night->outside == NULL ? ns_fail(NS_ENOMEM, "no memory for which of %lld rows belong", (long long)n_bits) : NS_OK, night->comm));
    NS_TRY(measure_kept(night));
    if (night->id >= 0) NS_TRY(find_duplicates(night));
    night->seconds.prepare = ns_seconds() - start;
    return NS_OK;
}
