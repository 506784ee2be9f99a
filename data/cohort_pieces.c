/*
 * How the rows of columns are got. What is wanted is cut into tasks: a run of rows in one file of one column, of whole chunks
 * wherever the caller's rows allow it. Tasks are collected in waves; in a wave the threads read, decode and convert, each in
 * its own buffers, and nobody is in HDF5. After the wave the caller's thread does in order what must be in order: texts that
 * are appended, data sets that only HDF5 reads, and tasks that failed. Those are done again with H5Dread, which words a
 * damaged chunk as it always has; so a failure is the same for any number of threads, and on either way.
 *
 * A chunk that a caller's rows end in the middle of stays decoded until its other rows are asked for.
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"
#include "data/cohort_private.h"
#include "data/crash.h"
#include "data/kept_chunks.h"
#include "data/pread.h"

enum {
    WAVE_TASKS = 256,
    WAVE_FILES = NS_MAX_OPEN_FILES / 2,
    TASK_BYTES = 4 << 20,       /* of many small chunks, or of a contiguous stretch */
    CONVERT_ROWS = 2048         /* put together and converted at once: 24 KiB with what comes and goes, within the nearest cache */
};
static const size_t ORDERED_BYTES = (size_t)64 << 20; /* decoded cells that wait for their turn, in one wave */

/* ---- what threads hold ---- */

typedef struct buffer {
    unsigned char *bytes;
    size_t n;
} buffer;

typedef struct worker {
    ns_decoder *decoder;
    buffer cells, spare; /* a task's decoded rows; a chunk of which only a part is wanted */
    void *scratch, *together; /* CONVERT_ROWS cells of any stored number: for a take; put together after a shuffle */
} worker;

typedef struct task {
    const ns_want *want;
    ns_piece piece;      /* all rows of the task; n may pass NS_PIECE_ROWS where cells are decoded */
    ns_chunks *chunks;   /* NULL: through HDF5 */
    int descriptor;
    ns_slow slow;
    const unsigned char *kept_in; /* the first chunk, decoded before; NULL: not */
    unsigned char *kept_out;      /* where the last chunk is to stay decoded; NULL: nowhere */
    buffer own;                   /* NS_IN_ORDER: the decoded rows */
    const unsigned char *cells;   /* the decoded rows; where apart, their whole chunk as ns_decode_apart left it */
    bool apart, shuffled;
    ns_narrowing seen;
    int64_t stored_bytes;
    bool done; /* in the threads */
} task;

struct ns_pool {
    int n_workers;
    worker *workers;
    task *tasks; /* [WAVE_TASKS] */
    int n_tasks, n_wave_files;
    int32_t last_file;
    size_t ordered_bytes;
    ns_kept_chunks kept;
};

static bool make_room(buffer *at, size_t n)
{
    if (at->bytes != NULL && at->n >= n) return true;
    free(at->bytes);
    size_t rounded = (n + 64) / 64 * 64;
    at->bytes = aligned_alloc(64, rounded);
    at->n = at->bytes != NULL ? rounded : 0;
    return at->bytes != NULL;
}

/* As many workers as OpenMP has threads now; none ever leaves. */
static ns_status grow_pool(ns_cohort *cohort)
{
    if (cohort->pool == NULL) cohort->pool = calloc(1, sizeof *cohort->pool);
    ns_pool *pool = cohort->pool;
    int n = omp_get_max_threads();
    if (pool != NULL && pool->tasks == NULL) pool->tasks = calloc(WAVE_TASKS, sizeof *pool->tasks);
    if (pool == NULL || pool->tasks == NULL) return ns_fail(NS_ENOMEM, "no memory to read");
    if (n <= pool->n_workers) return NS_OK;
    worker *workers = realloc(pool->workers, (size_t)n * sizeof *workers);
    if (workers == NULL) return ns_fail(NS_ENOMEM, "no memory to read");
    pool->workers = workers;
    while (pool->n_workers < n) {
        worker next = {.scratch = malloc(CONVERT_ROWS * sizeof(int64_t)), .together = malloc(CONVERT_ROWS * sizeof(int64_t))};
        bool enough = next.scratch != NULL && next.together != NULL;
        ns_status status = enough ? ns_decoder_create(&next.decoder) : ns_fail(NS_ENOMEM, "no memory to read");
        if (status != NS_OK) {
            free(next.scratch);
            free(next.together);
            return status;
        }
        pool->workers[pool->n_workers++] = next;
    }
    return NS_OK;
}

void ns_pool_destroy(ns_pool **handle)
{
    ns_pool *pool = *handle;
    if (pool == NULL) return;
    for (int i = 0; i < pool->n_workers; i++) {
        ns_decoder_destroy(&pool->workers[i].decoder);
        free(pool->workers[i].cells.bytes);
        free(pool->workers[i].spare.bytes);
        free(pool->workers[i].scratch);
        free(pool->workers[i].together);
    }
    ns_kept_close(&pool->kept);
    free(pool->workers);
    free(pool->tasks);
    free(pool);
    *handle = NULL;
}

void ns_cohort_forget_kept(ns_cohort *cohort)
{
    for (int32_t f = 0; f < cohort->n_files; f++) {
        ns_table_file *file = &cohort->files[f];
        for (int32_t i = 0; file->sets != NULL && i <= cohort->n_columns; i++) {
            ns_chunks_destroy(&file->sets[i].chunks);
            free(file->sets[i].kept);
        }
        free(file->sets);
        file->sets = NULL;
    }
}

/* ---- in the threads ---- */

static void fill_cells(unsigned char *cells, const ns_chunks *chunks, size_t n_bytes)
{
    size_t width = chunks->cell.n_bytes;
    for (size_t i = 0; i < n_bytes; i += width) memcpy(cells + i, chunks->fill, width);
}

/* One whole chunk, in this machine's byte order. */
static bool decode_chunk(task *at, worker *me, int64_t number, unsigned char *cells)
{
    const ns_chunks *chunks = at->chunks;
    const ns_chunk *chunk = &chunks->chunk[number];
    if (chunk->address == NS_CHUNK_ABSENT) {
        fill_cells(cells, chunks, chunks->chunk_bytes);
    } else if (chunks->pipeline.n == 0) { /* nothing to undo: straight to its place */
        if (chunk->n_bytes != chunks->chunk_bytes ||
            !ns_pread(at->descriptor, cells, chunk->n_bytes, (int64_t)chunk->address))
            return false;
    } else {
        void *stored = ns_decoder_room(me->decoder, chunk->n_bytes);
        if (stored == NULL || !ns_pread(at->descriptor, stored, chunk->n_bytes, (int64_t)chunk->address) ||
            !ns_decode(me->decoder, &chunks->pipeline, chunk->mask, stored, chunk->n_bytes, cells, chunks->chunk_bytes))
            return false;
    }
    at->stored_bytes += chunk->address == NS_CHUNK_ABSENT ? 0 : chunk->n_bytes;
    ns_cells_turn(cells, &chunks->cell, (int64_t)(chunks->chunk_bytes / chunks->cell.n_bytes));
    return true;
}

static bool read_stretch(task *at, buffer *cells)
{
    const ns_chunks *chunks = at->chunks;
    const ns_chunk *all = &chunks->chunk[0];
    size_t width = chunks->cell.n_bytes, n_bytes = (size_t)at->piece.n * width;
    if (!make_room(cells, n_bytes)) return false;
    if (all->address == NS_CHUNK_ABSENT) {
        fill_cells(cells->bytes, chunks, n_bytes);
    } else {
        if (!ns_pread(at->descriptor, cells->bytes, n_bytes, (int64_t)(all->address + (uint64_t)at->piece.row * width))) return false;
        at->stored_bytes += (int64_t)n_bytes;
    }
    ns_cells_turn(cells->bytes, &chunks->cell, at->piece.n);
    at->cells = cells->bytes;
    return true;
}

/* Whether the task's chunk is wanted by nobody but its own take, which puts its numbers together bit by bit. */
static bool may_stay_apart(const task *at, int64_t number)
{
    const ns_chunks *chunks = at->chunks;
    return at->kept_in == NULL && at->kept_out == NULL && at->want->order == NS_IN_ANY_ORDER &&
           chunks->chunk[number].address != NS_CHUNK_ABSENT && chunks->cell.class != NS_CELL_TEXT && chunks->pipeline.n > 0 &&
           chunks->pipeline.filter[0] == NS_FILTER_SHUFFLE && chunks->pipeline.shuffle_bytes == chunks->cell.n_bytes;
}

static bool decode_apart(task *at, worker *me, int64_t number)
{
    const ns_chunks *chunks = at->chunks;
    const ns_chunk *chunk = &chunks->chunk[number];
    void *stored = ns_decoder_room(me->decoder, chunk->n_bytes);
    const void *bytes;
    if (stored == NULL || !ns_pread(at->descriptor, stored, chunk->n_bytes, (int64_t)chunk->address) ||
        !ns_decode_apart(me->decoder, &chunks->pipeline, chunk->mask, stored, chunk->n_bytes, &bytes, &at->shuffled,
                         chunks->chunk_bytes))
        return false;
    at->stored_bytes += chunk->n_bytes;
    at->cells = bytes;
    at->apart = true;
    return true;
}

/* All rows of the task lie in one chunk. */
static bool read_one_chunk(task *at, worker *me, buffer *cells)
{
    const ns_chunks *chunks = at->chunks;
    int64_t number = at->piece.row / chunks->chunk_rows;
    if (may_stay_apart(at, number)) return decode_apart(at, me, number);
    size_t skipped = (size_t)(at->piece.row - number * chunks->chunk_rows) * chunks->cell.n_bytes;
    const unsigned char *chunk = at->kept_in;
    if (chunk == NULL) {
        if (at->kept_out == NULL && !make_room(cells, chunks->chunk_bytes)) return false;
        unsigned char *to = at->kept_out != NULL ? at->kept_out : cells->bytes;
        if (!decode_chunk(at, me, number, to)) return false;
        chunk = to;
    }
    at->cells = chunk + skipped;
    return true;
}

static bool read_chunks(task *at, worker *me, buffer *cells)
{
    const ns_chunks *chunks = at->chunks;
    size_t width = chunks->cell.n_bytes;
    int64_t rows = chunks->chunk_rows, begin = at->piece.row, end = begin + at->piece.n;
    int64_t first = begin / rows, last = (end - 1) / rows;
    if (first == last) return read_one_chunk(at, me, cells);
    if (!make_room(cells, (size_t)at->piece.n * width) || !make_room(&me->spare, chunks->chunk_bytes)) return false;
    for (int64_t c = first; c <= last; c++) {
        int64_t from = c * rows > begin ? c * rows : begin, to = (c + 1) * rows < end ? (c + 1) * rows : end;
        unsigned char *place = cells->bytes + (size_t)(from - begin) * width;
        if (to - from == rows) {
            if (!decode_chunk(at, me, c, place)) return false;
            continue;
        }
        const unsigned char *chunk = c == first ? at->kept_in : NULL;
        if (chunk == NULL) {
            unsigned char *whole = c == last && at->kept_out != NULL ? at->kept_out : me->spare.bytes;
            if (!decode_chunk(at, me, c, whole)) return false;
            chunk = whole;
        }
        memcpy(place, chunk + (size_t)(from - c * rows) * width, (size_t)(to - from) * width);
    }
    at->cells = cells->bytes;
    return true;
}

/* Rows [done, done + n) of a task whose chunk is apart, in this machine's byte order. */
static const void *put_together(const task *at, void *out, int64_t done, int64_t n)
{
    const ns_chunks *chunks = at->chunks;
    size_t width = chunks->cell.n_bytes, first = (size_t)(at->piece.row % chunks->chunk_rows + done);
    if (at->shuffled)
        ns_unshuffle_rows(out, at->cells, chunks->chunk_bytes / width, width, first, (size_t)n);
    else
        memcpy(out, at->cells + first * width, (size_t)n * width);
    ns_cells_turn(out, &chunks->cell, n);
    return out;
}

/* Converts decoded rows bit by bit, while they are in the cache. together: where the task is apart. */
static ns_status take_decoded(task *at, void *scratch, void *together)
{
    const ns_chunks *chunks = at->chunks;
    ns_piece piece = at->piece;
    piece.scratch = scratch;
    piece.seen = &at->seen;
    piece.cell = &chunks->cell;
    for (int64_t done = 0; done < at->piece.n; done += piece.n) {
        piece.row = at->piece.row + done;
        piece.at = at->piece.at + done;
        piece.n = at->piece.n - done < CONVERT_ROWS ? at->piece.n - done : CONVERT_ROWS;
        piece.cells = at->apart ? put_together(at, together, done, piece.n) : at->cells + (size_t)done * chunks->cell.n_bytes;
        NS_TRY(at->want->take(&piece));
    }
    return NS_OK;
}

static void work(task *at, worker *me)
{
    if (at->chunks == NULL) return;
    bool ordered = at->want->order == NS_IN_ORDER;
    buffer *cells = ordered ? &at->own : &me->cells;
    if (!(at->chunks->contiguous ? read_stretch(at, cells) : read_chunks(at, me, cells))) return;
    at->done = ordered || take_decoded(at, me->scratch, me->together) == NS_OK;
}

/* ---- in the caller's thread ---- */

/* The rows of a task through H5Dread. */
static ns_status take_through_hdf5(ns_cohort *cohort, task *at)
{
    ns_piece piece = at->piece;
    const char *before = ns_crash_watch(cohort->files[piece.file].path);
    ns_status status = ns_cohort_dataset(&piece.dataset, cohort, piece.file, piece.column);
    piece.cells = NULL;
    piece.scratch = cohort->scratch;
    piece.seen = &at->seen;
    at->seen = (ns_narrowing){.has_fraction = piece.column->has_fraction};
    for (int64_t done = 0; done < at->piece.n && status == NS_OK; done += piece.n) {
        piece.row = at->piece.row + done;
        piece.at = at->piece.at + done;
        piece.n = at->piece.n - done < NS_PIECE_ROWS ? at->piece.n - done : NS_PIECE_ROWS;
        status = at->want->take(&piece);
    }
    ns_crash_watch(before);
    return status;
}

/* What a task leaves for after the wave, and its counts. */
static ns_status settle(ns_cohort *cohort, task *at)
{
    ns_table_column *column = &cohort->columns[at->want->column];
    const ns_stored_set *set = &cohort->files[at->piece.file].sets[column->slot];
    int64_t n_bytes = at->piece.n * (int64_t)set->chunks->cell.n_bytes;
    if (at->done) {
        if (at->want->order == NS_IN_ORDER) NS_TRY(take_decoded(at, cohort->scratch, NULL));
        cohort->reading.fast_bytes += n_bytes;
        cohort->reading.stored_bytes += at->stored_bytes;
    } else {
        NS_TRY(take_through_hdf5(cohort, at));
        ns_cohort_note_slow(cohort, at->piece.file, n_bytes, at->chunks != NULL ? NS_SLOW_UNDECODED : at->slow);
    }
    column->n_inexact += at->seen.n_inexact;
    column->has_fraction = column->has_fraction || at->seen.has_fraction;
    return NS_OK;
}

static ns_status run_wave(ns_cohort *cohort)
{
    ns_pool *pool = cohort->pool;
    int n = pool->n_tasks, n_fast = 0;
    for (int i = 0; i < n; i++) n_fast += pool->tasks[i].chunks != NULL;
    int n_threads = n_fast < pool->n_workers ? n_fast : pool->n_workers;
    if (n_threads > 1) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(n_threads)
        for (int i = 0; i < n; i++) work(&pool->tasks[i], &pool->workers[omp_get_thread_num()]);
    } else {
        for (int i = 0; i < n; i++) work(&pool->tasks[i], &pool->workers[0]);
    }
    bool failed = false;
    for (int i = 0; i < n; i++) failed = failed || (pool->tasks[i].chunks != NULL && !pool->tasks[i].done);
    if (failed) ns_error_clear(); /* of whichever thread came first: it is found again in order */
    ns_status status = NS_OK;
    for (int i = 0; i < n && status == NS_OK; i++) status = settle(cohort, &pool->tasks[i]);
    for (int i = 0; i < n; i++) free(pool->tasks[i].own.bytes);
    ns_kept_end_wave(&pool->kept, failed ? NS_WAVE_FAILED : NS_WAVE_DONE);
    pool->n_tasks = 0;
    pool->n_wave_files = 0;
    pool->last_file = -1;
    pool->ordered_bytes = 0;
    return status;
}

/* How many of the rows from `row` on make one task: whole chunks if it can be. */
static int64_t task_rows(const ns_chunks *chunks, int64_t row, int64_t n)
{
    int64_t fit = TASK_BYTES / (int64_t)chunks->cell.n_bytes, chunk_rows = chunks->chunk_rows;
    if (fit > NS_PIECE_ROWS) fit = NS_PIECE_ROWS;
    if (fit < 1) fit = 1;
    if (!chunks->contiguous) {
        int64_t number = row / chunk_rows, whole = fit / chunk_rows;
        fit = (number + (whole > 1 ? whole : 1)) * chunk_rows - row;
    }
    return n < fit ? n : fit;
}

/* Finds the task's first chunk among the kept ones, and room for its last one where rows of it are left. */
static void plan_kept(ns_cohort *cohort, task *at, ns_stored_set *set)
{
    const ns_chunks *chunks = set->chunks;
    if (chunks->contiguous) return;
    int64_t end = at->piece.row + at->piece.n, rows = chunks->chunk_rows;
    int64_t first = at->piece.row / rows, last = (end - 1) / rows;
    at->kept_in = ns_kept_find(&cohort->pool->kept, set, first);
    bool rest = end < chunks->n_rows && end % rows != 0;
    if (at->kept_in != NULL && !(rest && first == last)) ns_kept_give_up(&cohort->pool->kept, set);
    if (rest && !(first == last && at->kept_in != NULL) && !(set->kept != NULL && set->kept_chunk == last))
        at->kept_out = ns_kept_make(&cohort->pool->kept, set, last);
}

/* Whether the file changed is asked once for a run of tasks. */
static ns_status find_stored(ns_stored_set **out, int *descriptor, ns_cohort *cohort, const ns_want *want, int32_t f)
{
    const ns_pool *pool = cohort->pool;
    const ns_table_column *column = &cohort->columns[want->column];
    const task *before = pool->n_tasks > 0 ? &pool->tasks[pool->n_tasks - 1] : NULL;
    if (before == NULL || before->want != want || before->piece.file != f)
        return ns_cohort_stored(out, descriptor, cohort, f, column);
    *out = &cohort->files[f].sets[column->slot];
    *descriptor = cohort->files[f].descriptor;
    return NS_OK;
}

/* Adds a task for the beginning of the rows; *n becomes how many it takes. */
static ns_status plan_task(ns_cohort *cohort, const ns_want *want, int64_t row, int64_t at, int64_t *n)
{
    ns_pool *pool = cohort->pool;
    ns_table_column *column = &cohort->columns[want->column];
    int32_t f = ns_cohort_file_of(cohort, row);
    const ns_table_file *file = &cohort->files[f];
    task *next = &pool->tasks[pool->n_tasks];
    *next = (task){.want = want, .seen = {.has_fraction = column->has_fraction}};
    next->piece = (ns_piece){.cohort = cohort, .column = column, .file = f, .row = row - file->first_row, .at = at,
                             .out = want->out, .dataset = -1};
    int64_t left = file->n_rows - next->piece.row;
    if (*n > left) *n = left;
    ns_stored_set *set;
    NS_TRY(find_stored(&set, &next->descriptor, cohort, want, f));
    if (set->chunks->simple && !cohort->hdf5_only) {
        next->chunks = set->chunks;
        *n = task_rows(set->chunks, next->piece.row, *n);
    } else {
        next->slow = cohort->hdf5_only ? NS_SLOW_ASKED : set->chunks->slow;
        if (*n > NS_PIECE_ROWS) *n = NS_PIECE_ROWS;
    }
    next->piece.n = *n;
    if (next->chunks != NULL) plan_kept(cohort, next, set);
    if (want->order == NS_IN_ORDER) pool->ordered_bytes += (size_t)*n * set->chunks->cell.n_bytes;
    pool->n_wave_files += f != pool->last_file;
    pool->last_file = f;
    pool->n_tasks++;
    return NS_OK;
}

static ns_status read_wants(ns_cohort *cohort, const ns_want *wants, int32_t n_wants, int64_t first, int64_t n)
{
    NS_TRY(grow_pool(cohort));
    ns_pool *pool = cohort->pool;
    pool->n_tasks = 0;
    pool->last_file = -1;
    pool->n_wave_files = 0;
    for (int32_t w = 0; w < n_wants; w++) {
        for (int64_t at = 0, rows; at < n; at += rows) {
            rows = n - at;
            ns_status status = plan_task(cohort, &wants[w], first + at, at, &rows);
            /* Rows before those that cannot be planned come first, also in what fails. */
            if (status != NS_OK && pool->n_tasks > 0) {
                ns_error planned = *ns_last_error();
                ns_error_clear();
                NS_TRY(run_wave(cohort));
                *ns_last_error() = planned;
            }
            if (status != NS_OK) return status;
            if (pool->n_tasks == WAVE_TASKS || pool->n_wave_files == WAVE_FILES || pool->ordered_bytes > ORDERED_BYTES)
                NS_TRY(run_wave(cohort));
        }
    }
    return pool->n_tasks > 0 ? run_wave(cohort) : NS_OK;
}

ns_status ns_cohort_read_wants(ns_cohort *cohort, const ns_want *wants, int32_t n_wants, int64_t first, int64_t n)
{
    double began = ns_seconds();
    ns_status status = read_wants(cohort, wants, n_wants, first, n);
    cohort->reading.seconds += ns_seconds() - began;
    return status;
}
