#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"
#include "kernels/cuda_columns.h"
#include "kernels/cuda_forest.h"
#include "kernels/cuda_score.h"
#include "kernels/take.h"

/*
 * A forest before seal. A number column crosses to the GPU once, in the first pass over it; later passes and binning read it
 * there. Counting is queued at the end of a pass, column after column, and while the host looks for one column's cuts the GPU
 * counts the next. Bins are made where they stay.
 *
 * A batch of columns lies on the GPU as it lies with the caller: at most 512 MiB at a time, or one column, which is less
 * than what training takes for its rows; nothing is made smaller for it.
 */

/* --- columns of floats ---------------------------------------------------------------------------------------------- */

/* A column's floats on the device while it is prepared; given on to another column once all its rows are binned. */
typedef struct column {
    float *value;      /* [n_rows] of the bins' rows */
    int64_t n_counted; /* training rows that have come; all of them: later passes need none */
    int64_t n_binned;
} column;

/* Tables of one feature's pass as they come back: two, one is read while the other arrives. */
typedef struct tables {
    uint32_t *list;  /* pinned: prefixes and indices of all steps */
    uint32_t *count; /* pinned: tables of all steps */
    int64_t list_room, count_room;
    int32_t feature; /* -1: none */
} tables;

struct ns_cuda_columns {
    ns_cuda_slabs slabs;
    ns_cuda_memory bins;    /* until destroy */
    ns_cuda_memory working; /* until seal */
    uint8_t *bytes;         /* [n_bytes][n_rows] */
    uint16_t *wide;         /* [n_wide][n_rows] */
    bool bins_on_host;

    column **of;  /* [n_features] NULL: none */
    column **idle; /* [n_features], n_idle of them */
    int32_t n_idle;
    tables out[2];
    uint32_t *dev_list, *dev_count;
    int64_t dev_list_room, dev_count_room;
};

/* Called by one thread at a time. */
static ns_status take_column(ns_cuda_columns *c, const ns_forest *f, int32_t feature, column **out)
{
    column *own = c->of[feature];
    if (own == NULL && c->n_idle > 0) {
        own = c->idle[--c->n_idle];
        own->n_counted = own->n_binned = 0;
    }
    if (own == NULL) {
        own = calloc(1, sizeof *own);
        if (own != NULL) own->value = ns_cuda_take(&c->working, f->bins.n_rows, sizeof *own->value);
        if (own == NULL || own->value == NULL) {
            free(own);
            return ns_fail(NS_ENOMEM, "GPU: not enough memory for %lld rows of a column", (long long)f->bins.n_rows);
        }
    }
    *out = c->of[feature] = own;
    return NS_OK;
}

static ns_status column_of(ns_cuda_columns *c, const ns_forest *f, int32_t feature, column **out)
{
    ns_status status = ns_cuda_slabs_begin(&c->slabs);
    if (status == NS_OK) status = take_column(c, f, feature, out);
    ns_cuda_slabs_end(&c->slabs);
    return status;
}

ns_status ns_cuda_columns_count(ns_forest *f, const ns_slab *slab)
{
    ns_cuda_columns *c = f->cuda->columns;
    column *own;
    assert(f->kind[slab->feature] == NS_NUMBER && slab->number != NULL);
    assert(slab->first_row >= 0 && slab->first_row + slab->n_rows <= f->n_train);
    if (f->has_cuts[slab->feature]) return NS_OK;
    NS_TRY(column_of(c, f, slab->feature, &own));
    if (own->n_counted == f->n_train) return NS_OK;
    NS_TRY(ns_cuda_slabs_send(&c->slabs, own->value + slab->first_row, slab->number, slab->n_rows, NS_CUDA_AS_WORDS));
    own->n_counted += slab->n_rows; /* a feature is one thread's at a time */
    return NS_OK;
}

/* --- the end of a pass ---------------------------------------------------------------------------------------------- */

/* Room for n words in *at, which is not in use; what it had stays taken until seal. */
static ns_status make_room(ns_cuda_memory *m, uint32_t **at, int64_t *room, int64_t n, bool is_pinned)
{
    if (n <= *room) return NS_OK;
    *room = n + n / 2;
    *at = is_pinned ? ns_cuda_take_pinned(m, *room, sizeof **at) : ns_cuda_take(m, *room, sizeof **at);
    return *at != NULL ? NS_OK : ns_fail(NS_ENOMEM, "GPU: not enough memory to count values: %lld bytes", (long long)*room * 4);
}

/* Counts one feature's column and has the tables sent back. */
static ns_status queue_counts(ns_cuda_columns *c, const ns_forest *f, int32_t feature, tables *out, int mark)
{
    ns_cuda *cuda = c->slabs.cuda;
    const ns_tally *tally = f->tally[feature];
    const column *own = c->of[feature];
    int64_t n[NS_TALLY_STEPS], n_tables = 0, n_counters = 0, at = 0, at_counter = 0;
    for (int s = 0; s < NS_TALLY_STEPS; s++) {
        n[s] = ns_tally_n_wanted(tally, (ns_tally_step)s);
        n_tables += n[s];
        n_counters += n[s] << ns_tally_bits((ns_tally_step)s);
    }
    NS_TRY(make_room(&c->working, &out->list, &out->list_room, 2 * n_tables, true));
    NS_TRY(make_room(&c->working, &out->count, &out->count_room, n_counters, true));
    NS_TRY(make_room(&c->working, &c->dev_list, &c->dev_list_room, 2 * n_tables, false));
    NS_TRY(make_room(&c->working, &c->dev_count, &c->dev_count_room, n_counters, false));
    for (int s = 0; s < NS_TALLY_STEPS; at += 2 * n[s++])
        if (n[s] > 0) ns_tally_wanted(tally, (ns_tally_step)s, out->list + at, out->list + at + n[s]);
    NS_TRY(ns_cuda_copy_in(cuda, c->dev_list, out->list, (size_t)n_tables * 2 * sizeof(uint32_t)));
    NS_TRY(ns_cuda_zero(cuda, c->dev_count, (size_t)n_counters * sizeof(uint32_t)));
    at = 0;
    for (int s = 0; s < NS_TALLY_STEPS; s++) {
        ns_cuda_counting step = {.value = own->value, .n = f->n_train, .n_tables = n[s], .prefix = c->dev_list + at,
                                 .index = c->dev_list + at + n[s], .count = c->dev_count + at_counter,
                                 .shift = ns_tally_shift((ns_tally_step)s), .bits = ns_tally_bits((ns_tally_step)s)};
        NS_TRY(ns_cuda_count(cuda, &step));
        at += 2 * n[s];
        at_counter += n[s] << step.bits;
    }
    out->feature = feature;
    NS_TRY(ns_cuda_copy_out(cuda, out->count, c->dev_count, (size_t)n_counters * sizeof(uint32_t)));
    return ns_cuda_mark(cuda, mark);
}

/* What has been sent back goes into its tally. */
static ns_status put_counts(const ns_cuda_columns *c, ns_forest *f, tables *in, int mark)
{
    if (in->feature < 0) return NS_OK;
    ns_tally *tally = f->tally[in->feature];
    const uint32_t *count = in->count;
    NS_TRY(ns_cuda_wait_mark(c->slabs.cuda, mark));
    int64_t n[NS_TALLY_STEPS];
    for (int s = 0; s < NS_TALLY_STEPS; s++) n[s] = ns_tally_n_wanted(tally, (ns_tally_step)s);
    for (int s = 0; s < NS_TALLY_STEPS; s++) {
        ns_tally_put(tally, (ns_tally_step)s, count);
        count += n[s] << ns_tally_bits((ns_tally_step)s);
    }
    in->feature = -1;
    return NS_OK;
}

static ns_status count_here(ns_forest *f, int32_t first, int32_t n)
{
    ns_cuda_columns *c = f->cuda->columns;
    int turn = 0;
    NS_TRY(ns_forest_take_tallies(f, first, n));
    for (int i = 0; i < 2; i++) c->out[i].feature = -1;
    for (int32_t i = first; i < first + n; i++) {
        if (!ns_forest_is_counted(f, i) || c->of[i] == NULL) continue; /* a rank without training rows has no column */
        assert(c->of[i]->n_counted == f->n_train);
        NS_TRY(queue_counts(c, f, i, &c->out[turn], NS_CUDA_MARKS_OF_COLUMNS + turn));
        turn = 1 - turn;
        NS_TRY(put_counts(c, f, &c->out[turn], NS_CUDA_MARKS_OF_COLUMNS + turn));
    }
    return put_counts(c, f, &c->out[1 - turn], NS_CUDA_MARKS_OF_COLUMNS + 1 - turn);
}

ns_status ns_cuda_columns_count_done(ns_forest *f, int32_t first, int32_t n, bool *more)
{
    return ns_forest_end_pass(f, first, n, count_here(f, first, n), more);
}

/* --- bins ----------------------------------------------------------------------------------------------------------- */

static uint8_t *bins_at(const ns_cuda_columns *c, const ns_forest *f, int32_t feature, int64_t row)
{
    int32_t place = f->bins.place[feature];
    if (place >= 0) return c->bytes + place * f->bins.n_rows + row;
    return (uint8_t *)(c->wide + (-1 - (int64_t)place) * f->bins.n_rows + row);
}

/* Bins that are known already, by feature or as another forest stored them. */
static ns_status put_bins(ns_forest *f, const ns_slab *slab)
{
    ns_cuda_columns *c = f->cuda->columns;
    bool is_byte = f->bins.place[slab->feature] >= 0;
    ns_cuda_way way = slab->stored != NULL ? is_byte ? NS_CUDA_AS_BYTES : NS_CUDA_AS_PAIRS : is_byte ? NS_CUDA_TO_BYTES : NS_CUDA_TO_PAIRS;
    const void *from = slab->stored != NULL ? slab->stored : slab->bin;
    uint8_t *to = bins_at(c, f, slab->feature, slab->first_row);
    if (c->bins_on_host)
        ns_cuda_convert(to, from, slab->n_rows, way);
    else
        return ns_cuda_slabs_send(&c->slabs, to, from, slab->n_rows, way);
    return NS_OK;
}

static ns_status bin_numbers(ns_forest *f, const ns_slab *slab)
{
    ns_cuda_columns *c = f->cuda->columns;
    int64_t first = slab->first_row, end = first + slab->n_rows, from = first;
    column *own;
    NS_TRY(column_of(c, f, slab->feature, &own));
    if (own->n_counted == f->n_train && from < f->n_train) from = end < f->n_train ? end : f->n_train; /* these are there */
    NS_TRY(ns_cuda_slabs_send(&c->slabs, own->value + from, slab->number + (from - first), end - from, NS_CUDA_AS_WORDS));
    ns_cuda_binning binning = {.value = own->value + first, .n = slab->n_rows, .out = bins_at(c, f, slab->feature, first)};
    ns_pad_cuts(&binning.cuts, f->cut[slab->feature], f->n_cuts[slab->feature]);
    ns_status status = ns_cuda_slabs_begin(&c->slabs);
    if (status == NS_OK) status = ns_cuda_bin(c->slabs.cuda, &binning);
    own->n_binned += slab->n_rows;
    if (own->n_binned >= f->bins.n_rows) { /* the next to have it queues behind this */
        c->of[slab->feature] = NULL;
        c->idle[c->n_idle++] = own;
    }
    ns_cuda_slabs_end(&c->slabs);
    return status;
}

ns_status ns_cuda_columns_bin(ns_forest *f, const ns_slab *slab)
{
    assert(slab->first_row >= 0 && slab->first_row + slab->n_rows <= f->bins.n_rows);
    assert(slab->stored != NULL || (slab->number != NULL) == (f->kind[slab->feature] == NS_NUMBER));
    assert(f->kind[slab->feature] == NS_CATEGORY || f->has_cuts[slab->feature]);
    return slab->stored == NULL && slab->number != NULL ? bin_numbers(f, slab) : put_bins(f, slab);
}

ns_status ns_cuda_columns_read(const ns_forest *f, int32_t feature, int64_t first, int64_t n, void *out)
{
    ns_cuda_columns *c = f->cuda->columns;
    size_t n_bytes = (size_t)n * (f->bins.place[feature] >= 0 ? 1 : sizeof(uint16_t));
    assert(first >= 0 && first + n <= f->bins.n_rows);
    const uint8_t *from = bins_at(c, f, feature, first);
    if (!c->bins_on_host) return ns_cuda_slabs_fetch(&c->slabs, out, from, n_bytes);
    ns_status status = ns_cuda_slabs_begin(&c->slabs);
    if (status == NS_OK) status = ns_cuda_wait(c->slabs.cuda); /* what kernels still write there */
    ns_cuda_slabs_end(&c->slabs);
    memcpy(out, from, n_bytes);
    return status;
}

/* --- where the bins lie --------------------------------------------------------------------------------------------- */

static void take_bins(ns_cuda_columns *c, const ns_forest *f)
{
    void *(*take)(ns_cuda_memory *, int64_t, size_t) = c->bins_on_host ? ns_cuda_take_pinned : ns_cuda_take;
    c->bytes = take(&c->bins, f->bins.n_bytes * f->bins.n_rows, sizeof *c->bytes);
    c->wide = take(&c->bins, f->bins.n_wide * f->bins.n_rows, sizeof *c->wide);
}

static ns_status no_room_for_bins(const ns_cuda_columns *c, const ns_forest *f)
{
    return ns_fail(NS_ENOMEM, "not enough memory for the bins of %lld rows and %d features, neither on the GPU nor, not paged, on the host: %lld bytes are needed",
                   (long long)f->bins.n_rows, (int)f->n_features, (long long)c->bins.n_bytes);
}

bool ns_cuda_is_to_stream(const char *what)
{
    const char *text = getenv("NIGHTSHIFT_STREAM");
    return text != NULL && strcmp(text, what) == 0;
}

void ns_cuda_say_streams(const char *what, int64_t n_bytes)
{
    const char *why = getenv("NIGHTSHIFT_STREAM") != NULL ? "NIGHTSHIFT_STREAM is set" : "the GPU has too little memory";
    ns_log_from_any(NS_LOG_WARN, "stream", "what=%s bytes=%lld why=\"%s\"", what, (long long)n_bytes, why);
}

/* At the least what training will take beside the bins, or preparing before it, is left free, and what scoring takes while the bins
   are still there. */
static ns_status place_bins(ns_cuda_columns *c, const ns_forest *f)
{
    static const int64_t most = INT64_C(512) << 20;
    ns_cuda_memory rest = {.cuda = c->slabs.cuda};
    int64_t floats = f->bins.n_rows * f->n_features * (int64_t)sizeof(float), a_row = 60 + 8 * f->n_outputs;
    int64_t training = f->n_rows * a_row, preparing = floats < most ? floats : most;
    (void)ns_cuda_take(&rest, (training > preparing ? training : preparing) + ns_cuda_scoring_bytes(f->n_features, f->n_outputs), 1);
    take_bins(c, f);
    bool fits = !rest.failed && !c->bins.failed && !ns_cuda_is_to_stream("bins");
    ns_cuda_give_all(&rest);
    if (fits) return NS_OK;
    ns_cuda_give_all(&c->bins);
    c->bins_on_host = true;
    take_bins(c, f);
    if (c->bins.failed) return no_room_for_bins(c, f);
    ns_cuda_say_streams("bins", c->bins.n_bytes);
    return NS_OK;
}

ns_status ns_cuda_columns_to_host(ns_forest *f)
{
    ns_cuda_columns *c = f->cuda->columns;
    ns_cuda *cuda = c->slabs.cuda;
    ns_cuda_memory before = c->bins;
    const uint8_t *bytes = c->bytes;
    const uint16_t *wide = c->wide;
    c->bins = (ns_cuda_memory){.cuda = cuda};
    c->bins_on_host = true;
    take_bins(c, f);
    ns_status status = c->bins.failed ? no_room_for_bins(c, f) : NS_OK;
    if (status == NS_OK) status = ns_cuda_copy_out(cuda, c->bytes, bytes, (size_t)(f->bins.n_bytes * f->bins.n_rows));
    if (status == NS_OK) status = ns_cuda_copy_out(cuda, c->wide, wide, (size_t)(f->bins.n_wide * f->bins.n_rows) * sizeof *wide);
    if (status == NS_OK) status = ns_cuda_wait(cuda);
    ns_cuda_give_all(&before);
    if (status == NS_OK) ns_cuda_say_streams("bins", c->bins.n_bytes);
    return status;
}

ns_cuda_bins ns_cuda_columns_bins(const ns_cuda_columns *c)
{
    return (ns_cuda_bins){.bytes = c->bytes, .wide = c->wide, .on_host = c->bins_on_host};
}

/* --- the whole ------------------------------------------------------------------------------------------------------ */

ns_status ns_cuda_columns_create(ns_cuda_columns **out, const ns_forest *f)
{
    ns_cuda *cuda = f->device->state;
    ns_cuda_columns *c = *out = calloc(1, sizeof *c);
    if (c == NULL) return ns_fail(NS_ENOMEM, "not enough memory to prepare columns on a GPU");
    c->bins.cuda = c->working.cuda = cuda;
    ns_taker taken = {0};
    c->of = ns_take(&taken, f->n_features, sizeof(column *));
    c->idle = ns_take(&taken, f->n_features, sizeof(column *));
    ns_status status = taken.failed ? ns_fail(NS_ENOMEM, "not enough memory to prepare %d columns on a GPU", (int)f->n_features) : NS_OK;
    if (status == NS_OK) status = ns_cuda_slabs_open(&c->slabs, cuda, f->device->n_threads);
    if (status == NS_OK) status = place_bins(c, f);
    return status;
}

void ns_cuda_columns_end(ns_cuda_columns *c, int32_t n_features)
{
    for (int32_t i = 0; c->of != NULL && i < n_features; i++) free(c->of[i]);
    for (int32_t i = 0; c->idle != NULL && i < c->n_idle; i++) free(c->idle[i]);
    free(c->of);
    free(c->idle);
    c->of = c->idle = NULL;
    c->n_idle = 0;
    ns_cuda_give_all(&c->working);
}

void ns_cuda_columns_destroy(ns_cuda_columns **columns, int32_t n_features)
{
    ns_cuda_columns *c = *columns;
    if (c == NULL) return;
    ns_cuda_columns_end(c, n_features);
    ns_cuda_give_all(&c->bins);
    ns_cuda_slabs_close(&c->slabs);
    free(c);
    *columns = NULL;
}
