/*
 * The common level list of a column. Files with a list of their own (/levels/NAME, attribute `levels`) are
 * read by rank 0; where the levels stand in the cells, each rank looks through an equal slice of all rows and
 * sends the different texts it met. Rank 0 joins and sorts them, maps every file's list to the result, and
 * gives all to all. Most files have equal lists: a map is kept once for each different one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "data/cohort_private.h"
#include "data/crash.h"

/* The columns of one call that still need levels, and the texts known of each. */
typedef struct level_job {
    ns_cohort *cohort;
    int32_t n;
    int32_t *column;      /* [n] */
    ns_texts *texts;      /* [n] different texts, unsorted; none is empty */
    ns_text_index *index; /* [n] over texts */
} level_job;

static void job_destroy(level_job *job)
{
    for (int32_t i = 0; i < job->n; i++) {
        if (job->index != NULL) ns_text_index_destroy(&job->index[i]);
        if (job->texts != NULL) ns_texts_destroy(&job->texts[i]);
    }
    free(job->column);
    free(job->texts);
    free(job->index);
}

static ns_status job_create(level_job *job, ns_cohort *cohort, const int32_t *columns, int32_t n_columns)
{
    *job = (level_job){.cohort = cohort, .column = malloc(((size_t)n_columns + 1) * sizeof *job->column)};
    if (job->column == NULL) return ns_fail(NS_ENOMEM, "no memory for %d columns", n_columns);
    for (int32_t i = 0; i < n_columns; i++) {
        const ns_table_column *column = &cohort->columns[columns[i]];
        bool again = false;
        for (int32_t j = 0; j < job->n; j++) again = again || job->column[j] == columns[i];
        if (column->shown.kind == NS_COL_CATEGORY && !column->prepared && !again)
            job->column[job->n++] = columns[i];
    }
    job->texts = calloc((size_t)job->n + 1, sizeof *job->texts);
    job->index = calloc((size_t)job->n + 1, sizeof *job->index);
    if (job->texts == NULL || job->index == NULL)
        return ns_fail(NS_ENOMEM, "no memory for %d columns", n_columns);
    for (int32_t i = 0; i < job->n; i++) NS_TRY(ns_text_index_build(&job->index[i], &job->texts[i]));
    return NS_OK;
}

static ns_status add_texts(level_job *job, int32_t i, const ns_texts *texts)
{
    for (int64_t k = 0; k < texts->n; k++) {
        int64_t n_bytes;
        const char *text = ns_text_at(texts, k, &n_bytes);
        if (n_bytes > 0) NS_TRY(ns_text_index_add(&job->index[i], &job->texts[i], text, n_bytes, NULL));
    }
    return NS_OK;
}

/* ---- levels in the cells ---- */

typedef struct scan {
    level_job *job;
    int32_t i;
    ns_texts piece;
} scan;

static ns_status take_levels(const ns_piece *piece)
{
    scan *at = piece->out;
    ns_texts_clear(&at->piece);
    int32_t *same = piece->scratch;
    if (piece->cells != NULL && piece->cell->class == NS_CELL_TEXT) NS_TRY(ns_piece_different(&at->piece, piece, same, same + piece->n));
    else NS_TRY(ns_piece_texts(&at->piece, piece));
    return add_texts(at->job, at->i, &at->piece);
}

static ns_status scan_column(scan *at, int64_t first, int64_t n)
{
    ns_want want = {.column = at->job->column[at->i], .take = take_levels, .order = NS_IN_ORDER, .out = at};
    return ns_cohort_read_wants(at->job->cohort, &want, 1, first, n);
}

/* Whether any file keeps the levels of a column in its cells. The same on every rank. */
static bool any_in_cells(const level_job *job)
{
    for (int32_t i = 0; i < job->n; i++)
        for (int32_t f = 0; f < job->cohort->n_files; f++)
            if (job->cohort->columns[job->column[i]].source[f] == NS_LEVELS_CELLS &&
                job->cohort->files[f].n_rows > 0)
                return true;
    return false;
}

/* This rank's slice of all rows, only in files that keep levels in their cells. */
static ns_status scan_slice(level_job *job, int rank, int n_ranks)
{
    ns_cohort *cohort = job->cohort;
    int64_t share = cohort->n_rows / n_ranks, rest = cohort->n_rows % n_ranks;
    int64_t begin = share * rank + (rank < rest ? rank : rest), end = begin + share + (rank < rest ? 1 : 0);
    scan at = {.job = job};
    ns_status status = NS_OK;
    for (int32_t f = 0; f < cohort->n_files && status == NS_OK; f++) {
        int64_t first = cohort->files[f].first_row, last = first + cohort->files[f].n_rows;
        if (first < begin) first = begin;
        if (last > end) last = end;
        if (first >= last) continue;
        for (at.i = 0; at.i < job->n && status == NS_OK; at.i++)
            if (cohort->columns[job->column[at.i]].source[f] == NS_LEVELS_CELLS)
                status = scan_column(&at, first, last - first);
    }
    ns_texts_destroy(&at.piece);
    return status;
}

enum { PIECE_BYTES = 1 << 30, TAG = 71 }; /* MPI counts are int */

static void send_bytes(const char *bytes, int64_t n, MPI_Comm comm)
{
    for (int64_t at = 0; at < n; at += PIECE_BYTES)
        MPI_Send(bytes + at, (int)(n - at < PIECE_BYTES ? n - at : PIECE_BYTES), MPI_BYTE, 0, TAG, comm);
}

static void receive_bytes(char *bytes, int64_t n, int from, MPI_Comm comm)
{
    for (int64_t at = 0; at < n; at += PIECE_BYTES)
        MPI_Recv(bytes + at, (int)(n - at < PIECE_BYTES ? n - at : PIECE_BYTES), MPI_BYTE, from, TAG, comm,
                 MPI_STATUS_IGNORE);
}

static ns_status join_pack(level_job *job, ns_pack *pack)
{
    for (int32_t i = 0; i < job->n; i++) {
        ns_texts texts = {0};
        ns_status status = ns_unpack_texts(&texts, pack);
        if (status == NS_OK) status = add_texts(job, i, &texts);
        ns_texts_destroy(&texts);
        if (status != NS_OK) return status;
    }
    return NS_OK;
}

/* Adds every rank's texts to those of rank 0, one rank after the other. Collective. */
static ns_status gather_texts(level_job *job, MPI_Comm comm)
{
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    ns_pack mine = {0}, theirs = {0};
    int64_t *sizes = calloc((size_t)n_ranks, sizeof *sizes);
    for (int32_t i = 0; i < job->n && rank > 0; i++) ns_pack_texts(&mine, &job->texts[i]);
    ns_status status = NS_OK;
    if (sizes == NULL || mine.failed) status = ns_fail(NS_ENOMEM, "no memory to gather levels");
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;

    int64_t size = (int64_t)mine.n, largest = 0;
    MPI_Gather(&size, 1, MPI_INT64_T, sizes, 1, MPI_INT64_T, 0, comm);
    for (int r = 1; r < n_ranks && rank == 0; r++) largest = sizes[r] > largest ? sizes[r] : largest;
    if (rank == 0) theirs.bytes = malloc((size_t)largest + 1);
    if (rank == 0 && theirs.bytes == NULL) status = ns_fail(NS_ENOMEM, "no memory to gather levels");
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;

    if (rank > 0) send_bytes(mine.bytes, size, comm);
    for (int r = 1; r < n_ranks && rank == 0; r++) {
        receive_bytes(theirs.bytes, sizes[r], r, comm); /* after a failure too: the others are sending */
        theirs.n = (size_t)sizes[r];
        theirs.at = 0;
        if (status == NS_OK) status = join_pack(job, &theirs);
    }
    status = ns_agree(status, comm);
done:
    free(sizes);
    free(mine.bytes);
    free(theirs.bytes);
    return status;
}

/* ---- lists of files ---- */

static ns_status open_level_list(hid_t *out, hid_t file, const ns_table_column *column, const char *path)
{
    char *link = ns_h5_encode_name("/levels/", column->shown.name);
    if (link == NULL) return ns_fail(NS_ENOMEM, "no memory for a name");
    *out = H5Dopen2(file, link, H5P_DEFAULT);
    free(link);
    char words[300], doing[400];
    snprintf(doing, sizeof doing, "open the levels of %s", ns_column_words(words, column->shown.name));
    return ns_hdf5_check(*out, NS_EFORMAT, path, doing);
}

static ns_status read_level_list(ns_texts *out, hid_t list, const ns_table_column *column, const char *path)
{
    hid_t type = H5Dget_type(list);
    bool text = type >= 0 && H5Tget_class(type) == H5T_STRING;
    if (type >= 0) H5Tclose(type);
    int64_t n = ns_h5_length(H5Dget_space(list));
    if (!text || n < 0)
        return ns_fail(NS_EFORMAT, "%s: the levels of column '%s' must be a one-dimensional list of strings",
                       path, column->shown.name);
    char words[300], what[400];
    snprintf(what, sizeof what, "the levels of %s", ns_column_words(words, column->shown.name));
    return ns_h5_read_texts(out, list, 0, n, path, what, NS_EFORMAT);
}

static ns_status read_level_attribute(ns_texts *out, ns_cohort *cohort, int32_t f,
                                      const ns_table_column *column)
{
    const char *path = cohort->files[f].path;
    hid_t dataset;
    NS_TRY(ns_cohort_dataset(&dataset, cohort, f, column));
    hid_t attribute = H5Aopen(dataset, "levels", H5P_DEFAULT);
    char words[300], what[400];
    snprintf(what, sizeof what, "attribute 'levels' of %s", ns_column_words(words, column->shown.name));
    NS_TRY(ns_hdf5_check(attribute, NS_EFORMAT, path, "open an attribute"));
    ns_status status = ns_h5_read_attribute_texts(out, attribute, path, what, NS_EFORMAT);
    H5Aclose(attribute);
    return status;
}

ns_status ns_cohort_file_levels(ns_texts *out, ns_cohort *cohort, int32_t f, const ns_table_column *column)
{
    hid_t file, list = -1;
    ns_status status;
    const char *path = cohort->files[f].path, *before = ns_crash_watch(path);
    if (column->source[f] == NS_LEVELS_ATTRIBUTE) {
        status = read_level_attribute(out, cohort, f, column);
    } else {
        status = ns_cohort_open_file(&file, cohort, f);
        if (status == NS_OK) status = open_level_list(&list, file, column, path);
        if (status == NS_OK) status = read_level_list(out, list, column, path);
        if (list >= 0) H5Dclose(list);
    }
    ns_crash_watch(before);
    return status;
}

/* The different lists of one column, on rank 0. */
typedef struct list_set {
    ns_texts *lists;
    uint8_t (*digest)[32];
    int32_t n;
    int32_t *list_of_file; /* [n_files], -1: none */
} list_set;

static void list_set_destroy(list_set *set)
{
    for (int32_t i = 0; i < set->n; i++) ns_texts_destroy(&set->lists[i]);
    free(set->lists);
    free(set->digest);
    free(set->list_of_file);
}

static ns_status check_unique(const ns_texts *list, const char *path, const char *column)
{
    ns_texts seen = {0};
    ns_text_index index;
    ns_status status = ns_text_index_build(&index, &seen);
    for (int64_t i = 0; i < list->n && status == NS_OK; i++) {
        int64_t n_bytes, at;
        const char *text = ns_text_at(list, i, &n_bytes);
        status = ns_text_index_add(&index, &seen, text, n_bytes, &at);
        if (status == NS_OK && at < i)
            status = ns_fail(NS_EFORMAT,
                             "%s: column '%s' has a level twice: entries %" PRId64 " and %" PRId64
                             " (counting from 0) are equal",
                             path, column, at, i);
    }
    ns_text_index_destroy(&index);
    ns_texts_destroy(&seen);
    return status;
}

/* Keeps a list, or finds an equal one; takes list over and empties it. */
static ns_status keep_list(list_set *set, ns_texts *list, int32_t f)
{
    ns_pack pack = {0};
    ns_pack_texts(&pack, list);
    if (pack.failed) return ns_fail(NS_ENOMEM, "no memory for a level list");
    uint8_t digest[32];
    ns_blake2b(digest, pack.bytes, pack.n);
    free(pack.bytes);
    for (int32_t i = set->n - 1; i >= 0; i--) {
        if (memcmp(set->digest[i], digest, sizeof digest) != 0) continue;
        set->list_of_file[f] = i;
        return NS_OK;
    }
    memcpy(set->digest[set->n], digest, sizeof digest);
    set->lists[set->n] = *list;
    *list = (ns_texts){0};
    set->list_of_file[f] = set->n++;
    return NS_OK;
}

static ns_status read_lists(list_set *set, level_job *job, int32_t i)
{
    ns_cohort *cohort = job->cohort;
    const ns_table_column *column = &cohort->columns[job->column[i]];
    size_t room = (size_t)cohort->n_files;
    *set = (list_set){.lists = calloc(room, sizeof *set->lists),
                      .digest = calloc(room, sizeof *set->digest),
                      .list_of_file = malloc(room * sizeof *set->list_of_file)};
    if (set->lists == NULL || set->digest == NULL || set->list_of_file == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the levels of column '%s'", column->shown.name);
    for (int32_t f = 0; f < cohort->n_files; f++) {
        set->list_of_file[f] = -1;
        if (column->source[f] != NS_LEVELS_DATASET && column->source[f] != NS_LEVELS_ATTRIBUTE) continue;
        ns_texts list = {0};
        int32_t had = set->n;
        ns_status status = ns_cohort_file_levels(&list, cohort, f, column);
        if (status == NS_OK) status = keep_list(set, &list, f);
        if (status == NS_OK && set->n > had)
            status = check_unique(&set->lists[had], cohort->files[f].path, column->shown.name);
        if (status == NS_OK && set->n > had) status = add_texts(job, i, &set->lists[had]);
        ns_texts_destroy(&list);
        if (status != NS_OK) return status;
    }
    return NS_OK;
}

/* Sorts the texts of column i of the job and packs them with the maps of its files. */
static ns_status pack_column(ns_pack *pack, level_job *job, int32_t i)
{
    list_set set = {0};
    ns_text_index index = {0};
    const char *name = job->cohort->columns[job->column[i]].shown.name;
    ns_status status = read_lists(&set, job, i);
    if (status == NS_OK && job->texts[i].n > INT32_MAX)
        status = ns_fail(NS_EFORMAT, "column '%s' has %" PRId64 " levels, more than %d", name,
                         job->texts[i].n, INT32_MAX);
    if (status == NS_OK) {
        ns_text_index_destroy(&job->index[i]); /* its order ends here */
        status = ns_texts_sort_unique(&job->texts[i]);
    }
    if (status == NS_OK) status = ns_text_index_build(&index, &job->texts[i]);
    if (status != NS_OK) goto done;
    ns_pack_texts(pack, &job->texts[i]);
    ns_pack_int(pack, set.n);
    for (int32_t k = 0; k < set.n; k++) {
        ns_pack_int(pack, set.lists[k].n);
        for (int64_t l = 0; l < set.lists[k].n; l++) {
            int64_t n_bytes;
            const char *text = ns_text_at(&set.lists[k], l, &n_bytes);
            int32_t code = n_bytes > 0 ? (int32_t)ns_text_index_find(&index, text, n_bytes) : -1;
            ns_pack_bytes(pack, &code, sizeof code);
        }
    }
    ns_pack_bytes(pack, set.list_of_file, (size_t)job->cohort->n_files * sizeof *set.list_of_file);
    if (pack->failed) status = ns_fail(NS_ENOMEM, "no memory for the levels of column '%s'", name);
done:
    ns_text_index_destroy(&index);
    list_set_destroy(&set);
    return status;
}

/* ---- the result ---- */

static ns_status unpack_column(ns_table_column *column, ns_pack *pack, int32_t n_files)
{
    NS_TRY(ns_unpack_texts(&column->levels, pack));
    NS_TRY(ns_text_index_build(&column->index, &column->levels));
    int32_t n_maps = (int32_t)ns_unpack_int(pack);
    column->maps = calloc((size_t)n_maps + 1, sizeof *column->maps);
    column->map_of_file = malloc((size_t)n_files * sizeof *column->map_of_file);
    bool whole = column->maps != NULL && column->map_of_file != NULL;
    for (int32_t k = 0; k < n_maps && whole; k++) {
        ns_level_map *map = &column->maps[k];
        map->n = ns_unpack_int(pack);
        map->code = malloc(((size_t)map->n + 1) * sizeof *map->code);
        column->n_maps++;
        whole = map->code != NULL;
        if (!whole) break;
        map->code[0] = -1;
        memcpy(map->code + 1, ns_unpack_bytes(pack, (size_t)map->n * sizeof *map->code), (size_t)map->n * sizeof *map->code);
    }
    if (!whole) return ns_fail(NS_ENOMEM, "no memory for the levels of column '%s'", column->shown.name);
    size_t n_bytes = (size_t)n_files * sizeof *column->map_of_file;
    memcpy(column->map_of_file, ns_unpack_bytes(pack, n_bytes), n_bytes);
    column->shown.levels = &column->levels;
    column->prepared = true;
    return NS_OK;
}

ns_status ns_cohort_prepare(ns_cohort *cohort, const int32_t *columns, int32_t n_columns, MPI_Comm comm)
{
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    level_job job;
    ns_pack pack = {0};
    ns_status status = ns_agree(job_create(&job, cohort, columns, n_columns), comm);
    if (status != NS_OK || job.n == 0) goto done;
    if (any_in_cells(&job)) {
        status = ns_agree(scan_slice(&job, rank, n_ranks), comm);
        if (status == NS_OK) status = gather_texts(&job, comm);
        if (status != NS_OK) goto done;
    }
    for (int32_t i = 0; i < job.n && rank == 0 && status == NS_OK; i++) status = pack_column(&pack, &job, i);
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;
    void *bytes = pack.bytes;
    status = ns_share_bytes(&bytes, &pack.n, 0, comm);
    pack.bytes = bytes;
    if (status != NS_OK) goto done;
    for (int32_t i = 0; i < job.n && status == NS_OK; i++)
        status = unpack_column(&cohort->columns[job.column[i]], &pack, cohort->n_files);
    status = ns_agree(status, comm);
done:
    job_destroy(&job);
    free(pack.bytes);
    return status;
}
