/*
 * A piece is the part of this rank's rows that one segment of a file has; pieces times features are the tasks that threads
 * take. Rows of one part of the split follow one another in the forest, so a piece is three runs of forest rows, merged or
 * parted by a walk over the table's parts.
 */
#include "runner/training/cache_rows.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/bin_file.h"
#include "kernels/bin.h"

enum { N_PARTS = 4, MOST_WIDTH = 2 };

typedef struct piece {
    int64_t part, segment;      /* the file, and the segment in it */
    int64_t rows, skip, n;      /* rows of the segment; this rank's are [skip, skip + n) of them */
    int64_t kept;               /* index among the table's kept rows of the first */
    int64_t first[N_PARTS], count[N_PARTS]; /* its runs of forest rows, by part of the split */
} piece;

typedef struct pieces {
    piece *list;
    int64_t n;
    uint8_t *room;     /* [n_threads][2][MOST_WIDTH * NS_CACHE_SEGMENT_ROWS]: a segment, and its runs */
    int64_t *width;    /* [n_features] bytes of a row */
    int64_t *before;   /* [n_features] bytes of a row in the columns before */
    int64_t row_bytes; /* in all columns */
} pieces;

char *ns_cache_part_path(const char *folder, int64_t part)
{
    size_t room = strlen(folder) + 40;
    char *path = malloc(room);
    if (path != NULL) snprintf(path, room, "%s/part-%06lld.bins", folder, (long long)part);
    return path;
}

static int64_t rows_of(const ns_training_data *data)
{
    return data->n_train + data->n_valid + data->n_held;
}

static int64_t bins_of(const ns_training_data *data, const ns_table *table, int32_t f)
{
    const ns_feature *feature = &table->features.list[f];
    if (feature->kind == NS_CATEGORY) return NS_BIN_FIRST_LEVEL + feature->encoding.levels.n;
    const float *cuts;
    int32_t n_cuts;
    data->device->forest->cuts(data->forest, f, &cuts, &n_cuts);
    return n_cuts + 2;
}

static bool take_pieces(pieces *p, int64_t most, const ns_training_data *data, const ns_table *table)
{
    size_t n = (size_t)table->features.n;
    *p = (pieces){.list = calloc((size_t)most + 1, sizeof *p->list),
                  .room = malloc((size_t)data->device->n_threads * 2 * MOST_WIDTH * NS_CACHE_SEGMENT_ROWS),
                  .width = calloc(n + 1, sizeof *p->width), .before = calloc(n + 1, sizeof *p->before)};
    if (p->list == NULL || p->room == NULL || p->width == NULL || p->before == NULL) return false;
    for (int32_t f = 0; f < table->features.n; f++) {
        p->width[f] = bins_of(data, table, f) <= NS_BYTE_BINS ? 1 : 2;
        p->before[f] = p->row_bytes;
        p->row_bytes += p->width[f];
    }
    return true;
}

static void free_pieces(pieces *p)
{
    free(p->list);
    free(p->room);
    free(p->width);
    free(p->before);
}

/* Where the pieces' rows are in the table and in the forest; pieces follow one another. */
static void place_pieces(pieces *p, const ns_training_data *data, const ns_table *table)
{
    int64_t k = 0;
    for (int64_t i = 0; i < p->n; i++) {
        piece *at = &p->list[i];
        while (k < table->n_kept && table->part[k] == NS_PART_NONE) k++;
        at->kept = k;
        for (int64_t left = at->n; left > 0; k++) {
            int part = table->part[k];
            if (part == NS_PART_NONE) continue;
            if (at->count[part]++ == 0) at->first[part] = data->place[k];
            left--;
        }
    }
}

static ns_bin_segment segment_of(const pieces *p, const piece *at, int32_t f, int64_t part_rows)
{
    return (ns_bin_segment){.offset = part_rows * p->before[f] + at->segment * NS_CACHE_SEGMENT_ROWS * p->width[f],
                            .n_bytes = (size_t)(at->rows * p->width[f]),
                            .place = (uint32_t)(at->segment * UINT32_C(2654435761)) + (uint32_t)f};
}

/* Where each run begins in a buffer that holds one after the other. */
static void begin_runs(const piece *at, int64_t begin[N_PARTS])
{
    begin[NS_PART_TRAIN] = 0;
    begin[NS_PART_VALID] = at->count[NS_PART_TRAIN];
    begin[NS_PART_TEST] = begin[NS_PART_VALID] + at->count[NS_PART_VALID];
}

/* Runs into the table's order, or back. */
typedef enum direction { MERGE, PART } direction;

static void order(const piece *at, const ns_table *table, int64_t width, uint8_t *rows, uint8_t *runs, direction way)
{
    int64_t next[N_PARTS], i = 0;
    begin_runs(at, next);
    uint16_t *wide_rows = (uint16_t *)(void *)rows, *wide_runs = (uint16_t *)(void *)runs;
    for (int64_t k = at->kept; i < at->n; k++) {
        int part = table->part[k];
        if (part == NS_PART_NONE) continue;
        int64_t run = next[part]++;
        if (width == 1 && way == MERGE) rows[i] = runs[run];
        else if (width == 1) runs[run] = rows[i];
        else if (way == MERGE) wide_rows[i] = wide_runs[run];
        else wide_runs[run] = wide_rows[i];
        i++;
    }
}

static uint8_t *room_of_thread(const pieces *p)
{
    return p->room + (size_t)omp_get_thread_num() * 2 * MOST_WIDTH * NS_CACHE_SEGMENT_ROWS;
}

/* --- writing --- */

/* 0, or the errno of a write that failed. */
static int write_piece(const pieces *p, const piece *at, int32_t f, int descriptor, const ns_training_data *data, const ns_table *table,
                       uint32_t *sum)
{
    uint8_t *rows = room_of_thread(p), *runs = rows + MOST_WIDTH * NS_CACHE_SEGMENT_ROWS;
    int64_t begin[N_PARTS];
    begin_runs(at, begin);
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++)
        if (data->device->forest->read_bins(data->forest, f, at->first[part], at->count[part], runs + begin[part] * p->width[f]) != NS_OK) return EIO;
    order(at, table, p->width[f], rows, runs, MERGE);
    ns_bin_segment segment = segment_of(p, at, f, rows_of(data));
    return ns_bin_file_put(descriptor, &segment, rows, sum) ? 0 : errno;
}

ns_status ns_cache_rows_write(const char *folder, const ns_training_data *data, const ns_table *table, uint32_t *sums, int64_t *n_bytes)
{
    int64_t n_rows = rows_of(data), n_segments = ns_cache_segments(n_rows), n_features = table->features.n;
    int rank, descriptor = -1, error = 0;
    MPI_Comm_rank(table->comm, &rank);
    pieces p;
    char *path = ns_cache_part_path(folder, rank);
    ns_status status = take_pieces(&p, n_segments, data, table) && path != NULL ? NS_OK : ns_fail(NS_ENOMEM, "no memory to write bins");
    if (status == NS_OK) status = ns_bin_file_create(&descriptor, path, "cache_part");
    if (status == NS_OK) {
        for (p.n = 0; p.n < n_segments; p.n++) {
            int64_t left = n_rows - p.n * NS_CACHE_SEGMENT_ROWS, n = left < NS_CACHE_SEGMENT_ROWS ? left : NS_CACHE_SEGMENT_ROWS;
            p.list[p.n] = (piece){.part = rank, .segment = p.n, .rows = n, .n = n};
        }
        place_pieces(&p, data, table);
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(data->device->n_threads)
        for (int32_t f = 0; f < n_features; f++)
            for (int64_t i = 0; i < p.n; i++) {
                int failed;
#pragma omp atomic read
                failed = error;
                if (failed == 0) failed = write_piece(&p, &p.list[i], f, descriptor, data, table, &sums[i * n_features + f]);
                if (failed == 0) continue;
#pragma omp atomic write
                error = failed;
            }
        *n_bytes = n_rows * p.row_bytes;
        status = ns_bin_file_finish(&descriptor, path, "cache_part", error);
    }
    free_pieces(&p);
    free(path);
    return status;
}

/* --- reading --- */

/* The pieces of this rank's rows [first, first + n) in the files of an entry. */
static void list_pieces(pieces *p, const ns_cache_entry *entry, int64_t first, int64_t n)
{
    int64_t begin = 0;
    for (int64_t part = 0; part < entry->n_parts; part++) {
        for (int64_t s = 0; s < ns_cache_segments(entry->part_rows[part]); s++) {
            int64_t from = begin + s * NS_CACHE_SEGMENT_ROWS, left = entry->part_rows[part] - s * NS_CACHE_SEGMENT_ROWS;
            int64_t rows = left < NS_CACHE_SEGMENT_ROWS ? left : NS_CACHE_SEGMENT_ROWS;
            int64_t low = from > first ? from : first, high = from + rows < first + n ? from + rows : first + n;
            if (low < high) p->list[p->n++] = (piece){.part = part, .segment = s, .rows = rows, .skip = low - from, .n = high - low};
        }
        begin += entry->part_rows[part];
    }
}

static int64_t all_segments(const ns_cache_entry *entry)
{
    return entry->n_features > 0 ? entry->n_sums / entry->n_features : 0;
}

/* Segments of the parts before. */
static int64_t segments_before(const ns_cache_entry *entry, int64_t part)
{
    int64_t n = 0;
    for (int64_t i = 0; i < part; i++) n += ns_cache_segments(entry->part_rows[i]);
    return n;
}

static bool below(const uint8_t *rows, int64_t n, int64_t width, int64_t n_bins)
{
    const uint16_t *wide = (const uint16_t *)(const void *)rows;
    uint32_t most = 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bin = width == 1 ? rows[i] : wide[i];
        most = bin > most ? bin : most;
    }
    return most < n_bins;
}

static bool read_piece(const pieces *p, const piece *at, int32_t f, int descriptor, const ns_cache_entry *entry, const ns_training_data *data,
                       const ns_table *table)
{
    uint8_t *rows = room_of_thread(p), *runs = rows + MOST_WIDTH * NS_CACHE_SEGMENT_ROWS;
    ns_bin_segment segment = segment_of(p, at, f, entry->part_rows[at->part]);
    uint32_t sum = entry->sum[(segments_before(entry, at->part) + at->segment) * entry->n_features + f];
    if (!ns_bin_file_get(descriptor, &segment, rows, sum) || !below(rows, at->rows, p->width[f], bins_of(data, table, f))) return false;
    order(at, table, p->width[f], rows + at->skip * p->width[f], runs, PART);
    int64_t begin[N_PARTS];
    begin_runs(at, begin);
    for (int part = NS_PART_TRAIN; part <= NS_PART_TEST; part++) {
        ns_slab slab = {.feature = f, .first_row = at->first[part], .n_rows = at->count[part], .stored = runs + begin[part] * p->width[f]};
        if (slab.n_rows > 0 && data->device->forest->bin_slab(data->forest, &slab) != NS_OK) return false;
    }
    return true;
}

/* Pieces [first, last), which are of one file. */
static bool read_part(const pieces *p, int64_t first, int64_t last, const char *folder, const ns_cache_entry *entry, const ns_training_data *data,
                      const ns_table *table)
{
    char *path = ns_cache_part_path(folder, p->list[first].part);
    int descriptor = path != NULL ? ns_bin_file_open(path) : -1, failed = descriptor < 0;
#pragma omp parallel for collapse(2) schedule(dynamic) num_threads(data->device->n_threads) reduction(| : failed)
    for (int32_t f = 0; f < (int32_t)entry->n_features; f++)
        for (int64_t i = first; i < last; i++)
            if (failed == 0 && !read_piece(p, &p->list[i], f, descriptor, entry, data, table)) failed = 1;
    ns_bin_file_close(&descriptor);
    free(path);
    return failed == 0;
}

bool ns_cache_rows_read(const char *folder, const ns_cache_entry *entry, int64_t first, const ns_training_data *data, const ns_table *table,
                        int64_t *n_bytes)
{
    pieces p;
    bool whole = take_pieces(&p, all_segments(entry), data, table);
    if (whole) {
        list_pieces(&p, entry, first, rows_of(data));
        int64_t found = 0;
        for (int64_t i = 0; i < p.n; i++) found += p.list[i].n;
        whole = found == rows_of(data);
    }
    if (whole) place_pieces(&p, data, table);
    *n_bytes = rows_of(data) * p.row_bytes;
    for (int64_t i = 0, next; i < p.n && whole; i = next) {
        for (next = i + 1; next < p.n && p.list[next].part == p.list[i].part;) next++;
        whole = read_part(&p, i, next, folder, entry, data, table);
    }
    free_pieces(&p);
    return whole;
}
