#include "runner/training/bin_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/lock.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "data/cohort_identity.h"
#include "data/durable.h"
#include "data/hash.h"
#include "kernels/numerics.h"
#include "runner/training/cache_features.h"
#include "runner/training/cache_rows.h"
#include "runner/context.h"

/* Raised with every change of what an entry holds. */
enum { FORMAT = 1 };

static const char *const state_names[] = {[NS_CACHE_OFF] = "off", [NS_CACHE_HIT] = "hit", [NS_CACHE_MADE] = "made", [NS_CACHE_NOT_KEPT] = "not_kept"};

static int64_t used_rows(const ns_training_data *data)
{
    return data->n_train + data->n_valid + data->n_held;
}

/* FOLDER/KEY and what follows it; freed by the caller. */
static char *path_of(const ns_bin_cache *cache, const char *rest)
{
    size_t room = strlen(cache->folder) + sizeof cache->key + strlen(rest) + 2;
    char *path = malloc(room);
    if (path != NULL) snprintf(path, room, "%s/%s%s", cache->folder, cache->key, rest);
    return path;
}

static void say(ns_log_level level, const ns_bin_cache *cache, const char *state, const char *more)
{
    char quoted[1200];
    ns_log_event(level, "cache", "state=%s entry=%.16s path=%s%s", state, cache->key, ns_log_value(quoted, sizeof quoted, cache->folder), more);
}

/* --- the key --- */

/* Which rows belong, and the part of each: the digest of a column that says so of every row, whoever has the row. Collective. */
static ns_status digest_rows(char digest[65], const ns_table *table)
{
    static const char *const name = "rows";
    static const ns_column_kind kind = NS_COL_ID;
    char (*of_column)[65] = calloc(1, sizeof *of_column);
    uint64_t *words = malloc(NS_SLAB_ROWS * sizeof *words);
    ns_fingerprint *rows = NULL;
    ns_status status = of_column == NULL || words == NULL ? ns_fail(NS_ENOMEM, "no memory to tell the rows apart") : NS_OK;
    if (status == NS_OK) status = ns_fingerprint_create(&rows, &name, &kind, 1, table->n_rows_global, table->shard);
    status = ns_agree(status, table->comm);
    if (status == NS_OK) {
        int64_t end = table->shard.first_row + table->shard.n_rows, k = 0;
        for (int64_t at = table->shard.first_row; at < end; at += NS_SLAB_ROWS) {
            int64_t n = end - at < NS_SLAB_ROWS ? end - at : NS_SLAB_ROWS;
            memset(words, 0, (size_t)n * sizeof *words);
            for (; k < table->n_kept && table->row[k] < at + n; k++) words[table->row[k] - at] = 1 + (uint64_t)table->part[k];
            ns_fingerprint_words(rows, 0, at, n, words);
        }
        status = ns_fingerprint_finish(rows, of_column, digest, table->comm);
    }
    ns_fingerprint_destroy(&rows);
    free(of_column);
    free(words);
    return status;
}

static void add_text(ns_blake2b_stream *stream, const char *key, const char *text)
{
    ns_blake2b_add(stream, key, strlen(key) + 1);
    ns_blake2b_add(stream, text, strlen(text) + 1);
}

static void add_number(ns_blake2b_stream *stream, const char *key, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    add_text(stream, key, text);
}

/* Rank 0: everything that decides what an entry holds. */
static ns_status make_key(ns_bin_cache *cache, const ns_table *table, const char *rows)
{
    static const char *const numbers[] = {"model.max_bins", "model.category_min_rows", "evaluate.min_cell"};
    static const char *const texts[] = {"data.infinite", "data.group", "data.layout"};
    uint8_t identity[32], digest[32];
    char hex[65];
    NS_TRY(ns_cohort_identity(table->cohort, identity));
    ns_blake2b_stream *stream = ns_blake2b_begin();
    if (stream == NULL) return ns_fail(NS_ENOMEM, "no memory for the bin cache");
    ns_hex(hex, identity, sizeof identity);
    add_number(stream, "format", FORMAT);
    add_text(stream, "program", ns_program_version());
    add_number(stream, "numerics", NS_NUMERICS_VERSION);
    add_text(stream, "cohort", hex);
    add_text(stream, "rows", rows);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) add_number(stream, numbers[i], ns_job_integer(table->job, numbers[i]));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = ns_job_text(table->job, texts[i]);
        add_text(stream, texts[i], text != NULL ? text : "");
    }
    for (int32_t f = 0; f < table->features.n; f++)
        add_text(stream, table->features.list[f].name, table->features.list[f].kind == NS_CATEGORY ? "category" : "number");
    ns_blake2b_end(&stream, digest);
    ns_hex(hex, digest, sizeof digest);
    snprintf(cache->key, sizeof cache->key, "%.*s", (int)sizeof cache->key - 1, hex);
    return NS_OK;
}

ns_status ns_bin_cache_open(ns_bin_cache *cache, const ns_table *table)
{
    const char *folder = ns_job_text(table->job, "run.cache");
    if (folder == NULL) return NS_OK;
    int rank;
    char rows[65];
    double began = ns_seconds();
    MPI_Comm_rank(table->comm, &rank);
    NS_TRY(digest_rows(rows, table));
    ns_status status = (cache->folder = strdup(folder)) == NULL ? ns_fail(NS_ENOMEM, "no memory for the bin cache") : NS_OK;
    if (status == NS_OK && rank == 0) status = make_key(cache, table, rows);
    NS_TRY(ns_agree(status, table->comm));
    MPI_Bcast(cache->key, sizeof cache->key, MPI_CHAR, 0, table->comm);
    cache->state = NS_CACHE_NOT_KEPT;
    cache->seconds = ns_seconds() - began;
    return NS_OK;
}

void ns_bin_cache_close(ns_bin_cache *cache)
{
    free(cache->folder);
    memset(cache, 0, sizeof *cache);
}

/* --- reading --- */

ns_status ns_bin_cache_look(ns_bin_cache *cache, ns_cache_entry *entry, bool *found, const ns_table *table)
{
    *found = false;
    memset(entry, 0, sizeof *entry);
    if (cache->folder == NULL) return NS_OK;
    int rank;
    double began = ns_seconds();
    MPI_Comm_rank(table->comm, &rank);
    char *path = path_of(cache, "/entry"), *bytes = NULL;
    size_t n_bytes = 0;
    int64_t stands = 0; /* 1: an entry, 2: one that cannot be read */
    ns_status status = path == NULL ? ns_fail(NS_ENOMEM, "no memory for the bin cache") : NS_OK;
    if (status == NS_OK && rank == 0) {
        bool there = false;
        char *folder = path_of(cache, "");
        if (ns_read_whole(path, &bytes, &n_bytes, &there) != NS_OK) stands = 2;
        else stands = there ? 1 : folder != NULL && ns_path_exists(folder) ? 2 : 0;
        ns_error_clear();
        free(folder);
    }
    status = ns_agree(status, table->comm);
    if (status == NS_OK) {
        ns_max_i64(&stands, 1, table->comm);
        status = ns_share_bytes((void **)&bytes, &n_bytes, 0, table->comm);
    }
    if (status == NS_OK && stands != 0) {
        int64_t damaged = stands == 2 || bytes == NULL || !ns_cache_entry_parse(entry, (const uint8_t *)bytes, n_bytes, table->features.n);
        ns_max_i64(&damaged, 1, table->comm);
        cache->damaged = damaged != 0;
        *found = !cache->damaged;
        if (cache->damaged) say(NS_LOG_WARN, cache, "damaged", "");
    }
    free(path);
    free(bytes);
    cache->seconds += ns_seconds() - began;
    return status;
}

void ns_bin_cache_read(ns_bin_cache *cache, const ns_cache_entry *entry, bool *whole, const ns_training_data *data, const ns_table *table)
{
    double began = ns_seconds();
    int64_t first = 0, n = used_rows(data), total = n, part_rows = 0;
    MPI_Exscan(&n, &first, 1, MPI_INT64_T, MPI_SUM, table->comm);
    int rank;
    MPI_Comm_rank(table->comm, &rank);
    if (rank == 0) first = 0; /* left undefined there */
    ns_sum_i64(&total, 1, table->comm);
    for (int64_t p = 0; p < entry->n_parts; p++) part_rows += entry->part_rows[p];
    char *folder = path_of(cache, "");
    int64_t damaged = folder == NULL || part_rows != total || !ns_cache_rows_read(folder, entry, first, data, table, &cache->n_bytes);
    ns_error_clear();
    free(folder);
    ns_max_i64(&damaged, 1, table->comm);
    *whole = damaged == 0;
    cache->damaged = damaged != 0;
    cache->state = *whole ? NS_CACHE_HIT : NS_CACHE_NOT_KEPT;
    cache->seconds += ns_seconds() - began;
    say(*whole ? NS_LOG_INFO : NS_LOG_WARN, cache, *whole ? "hit" : "damaged", "");
}

/* --- writing --- */

/* Rank 0: an empty KEY.tmp, under the lock. *other: somebody else makes the entry, or has made it meanwhile. */
static ns_status begin_entry(const ns_bin_cache *cache, ns_lock **lock, bool *other)
{
    char *lock_path = path_of(cache, ".lock"), *folder = path_of(cache, ".tmp"), *final = path_of(cache, ""), whose[200];
    ns_status status = lock_path == NULL || folder == NULL || final == NULL ? ns_fail(NS_ENOMEM, "no memory for the bin cache") : NS_OK;
    if (status == NS_OK) status = ns_durable_mkdir(cache->folder, "cache");
    if (status == NS_OK) {
        status = ns_lock_take(lock, lock_path, "the entry of the bin cache", whose, sizeof whose);
        *other = status == NS_EINVAL || (status == NS_OK && !cache->damaged && ns_path_exists(final));
    }
    if (status == NS_OK && !*other) status = ns_durable_remove(folder, "cache");
    if (status == NS_OK && !*other) status = ns_durable_mkdir(folder, "cache");
    free(lock_path);
    free(folder);
    free(final);
    return status;
}

/* Rank 0: the entry's own file, then the rename. */
static ns_status publish_entry(const ns_bin_cache *cache, const ns_cache_entry *entry, const ns_lock *lock)
{
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    char *folder = path_of(cache, ".tmp"), *file = path_of(cache, ".tmp/entry"), *final = path_of(cache, "");
    ns_status status = folder == NULL || file == NULL || final == NULL ? ns_fail(NS_ENOMEM, "no memory for the bin cache") : NS_OK;
    if (status == NS_OK) status = ns_cache_entry_build(&bytes, &n_bytes, entry);
    if (status == NS_OK) status = ns_durable_write(file, bytes, n_bytes, "cache_entry");
    if (status == NS_OK) status = ns_durable_sync(folder, "cache");
    if (status == NS_OK && !ns_lock_still_mine(lock)) status = ns_fail(NS_EINVAL, "another training took the lock of the entry");
    if (status == NS_OK && cache->damaged) status = ns_durable_remove(final, "cache");
    if (status == NS_OK) status = ns_durable_rename(folder, final, "cache");
    free(bytes);
    free(folder);
    free(file);
    free(final);
    return status;
}

/* Rows and check sums of all parts to rank 0; sums: this rank's. Collective, all sizes fit: 2^31 sums are 2^47 cells on a rank. */
static void gather_parts(ns_cache_entry *entry, int64_t n_rows, const uint32_t *sums, int n_sums, int *counts, int *places, const ns_table *table)
{
    int rank, n_ranks;
    MPI_Comm_rank(table->comm, &rank);
    MPI_Comm_size(table->comm, &n_ranks);
    MPI_Gather(&n_rows, 1, MPI_INT64_T, entry->part_rows, 1, MPI_INT64_T, 0, table->comm);
    MPI_Gather(&n_sums, 1, MPI_INT, counts, 1, MPI_INT, 0, table->comm);
    for (int r = 1; rank == 0 && r < n_ranks; r++) places[r] = places[r - 1] + counts[r - 1];
    MPI_Gatherv(sums, n_sums, MPI_UINT32_T, entry->sum, counts, places, MPI_UINT32_T, 0, table->comm);
}

/* The parts of all ranks, then the entry. One status on all ranks. Collective. */
static ns_status write_all(ns_bin_cache *cache, const ns_training_data *data, const ns_table *table, const ns_lock *lock)
{
    int rank, n_ranks;
    MPI_Comm_rank(table->comm, &rank);
    MPI_Comm_size(table->comm, &n_ranks);
    int64_t n_rows = used_rows(data), n_sums = ns_cache_segments(n_rows) * table->features.n, all_sums = n_sums;
    ns_sum_i64(&all_sums, 1, table->comm);
    ns_cache_entry entry = {0};
    char *folder = path_of(cache, ".tmp");
    uint32_t *sums = calloc((size_t)n_sums + 1, sizeof *sums);
    int *counts = calloc((size_t)n_ranks, sizeof *counts), *places = calloc((size_t)n_ranks, sizeof *places);
    ns_status status = folder == NULL || sums == NULL || counts == NULL || places == NULL ? ns_fail(NS_ENOMEM, "no memory for the bin cache") : NS_OK;
    if (status == NS_OK && rank == 0) status = ns_cache_features_of(&entry, data, table, n_ranks, all_sums);
    if (status == NS_OK) status = ns_cache_rows_write(folder, data, table, sums, &cache->n_bytes);
    status = ns_agree(status, table->comm);
    if (status == NS_OK) {
        gather_parts(&entry, n_rows, sums, (int)n_sums, counts, places, table);
        status = ns_agree(rank == 0 ? publish_entry(cache, &entry, lock) : NS_OK, table->comm);
    }
    ns_cache_entry_free(&entry);
    free(folder);
    free(sums);
    free(counts);
    free(places);
    return status;
}

/* Rank 0: nothing of a failed entry stays, and the log says why there is none. */
static void give_up(const ns_bin_cache *cache)
{
    char reason[1200], more[1300], *folder = path_of(cache, ".tmp");
    snprintf(more, sizeof more, " reason=%s", ns_log_value(reason, sizeof reason, ns_last_error()->message));
    ns_error_clear();
    say(NS_LOG_WARN, cache, "not_kept", more);
    if (folder != NULL) ns_durable_remove(folder, "cache");
    ns_error_clear();
    free(folder);
}

void ns_bin_cache_keep(ns_bin_cache *cache, const ns_training_data *data, const ns_table *table)
{
    if (cache->folder == NULL) return;
    double began = ns_seconds();
    int rank;
    MPI_Comm_rank(table->comm, &rank);
    ns_lock *lock = NULL;
    bool other = false;
    ns_status status = rank == 0 ? begin_entry(cache, &lock, &other) : NS_OK;
    int64_t elsewhere = other;
    ns_max_i64(&elsewhere, 1, table->comm);
    if (elsewhere != 0) {
        ns_error_clear();
        say(NS_LOG_INFO, cache, "not_kept", " reason=\"another training makes this entry\"");
    } else {
        status = ns_agree(status, table->comm);
        if (status == NS_OK) status = write_all(cache, data, table, lock);
        if (status == NS_OK) {
            cache->state = NS_CACHE_MADE;
            say(NS_LOG_INFO, cache, "made", "");
        } else if (rank == 0) {
            give_up(cache);
        }
        ns_error_clear();
    }
    ns_lock_release(&lock);
    cache->seconds += ns_seconds() - began;
}

json_t *ns_bin_cache_json(const ns_bin_cache *cache)
{
    if (cache->folder == NULL) return json_pack("{s:s}", "state", state_names[NS_CACHE_OFF]);
    return json_pack("{s:s, s:s, s:b, s:I, s:f}", "state", state_names[cache->state], "entry", cache->key, "replaced_damaged", cache->damaged,
                     "bytes", (json_int_t)cache->n_bytes, "seconds", cache->seconds);
}
