#include "data/fingerprint.h"

/*
 * Each block's digest has its own place, so threads that add different blocks never meet. Shards: ranks hold
 * whole blocks in rank order, and their digests one after the other are the column's. Stripes: only one wave
 * is held; at its end rank 0 adds the digests of all slabs, which lie in rank order too, to a running hash of
 * each column.
 */

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "data/byte_order.h"
#include "data/hash.h"

enum { DIGEST = 32, TOGETHER = 8 /* blocks: as many as data/blake2b_lanes.h hashes at once */ };

struct ns_fingerprint {
    char **names;
    ns_column_kind *kinds;
    int32_t n_columns;
    int64_t n_rows_global, n_blocks; /* of all ranks; of this rank */
    ns_shard shard;
    ns_stripes stripes;          /* slab_rows 0: the shard's rows in one piece */
    int64_t wave;                /* striped: how many were ended */
    uint8_t *known;              /* [n_columns][DIGEST] where is_known */
    bool *is_known;              /* [n_columns] */
    uint8_t *digests;            /* [n_columns][n_blocks][DIGEST]; striped: of one slab */
    uint8_t *wave_digests;       /* striped, rank 0: [n_ranks] of the above */
    ns_blake2b_stream **running; /* striped, rank 0: [n_columns] */
};

static bool is_striped(const ns_fingerprint *it)
{
    return it->stripes.slab_rows > 0;
}

/* n * n_bytes of zeros and never NULL for 0 of them; NULL where that is more than memory can hold. */
static void *zeros(int64_t n, size_t n_bytes)
{
    return (uint64_t)n >= PTRDIFF_MAX / n_bytes ? NULL : calloc((size_t)n + 1, n_bytes);
}

static ns_status create(ns_fingerprint **out, const char *const *names, const ns_column_kind *kinds,
                        int32_t n_columns, int64_t n_rows_global, int64_t n_blocks)
{
    *out = NULL;
    ns_fingerprint *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->n_rows_global = n_rows_global;
        made->n_blocks = n_blocks;
        made->names = zeros(n_columns, sizeof *made->names);
        made->kinds = zeros(n_columns, sizeof *made->kinds);
        made->known = zeros(n_columns, DIGEST);
        made->is_known = zeros(n_columns, sizeof *made->is_known);
        made->digests = zeros(n_blocks, DIGEST * ((size_t)n_columns + 1));
    }
    if (made == NULL || made->names == NULL || made->kinds == NULL || made->digests == NULL || made->known == NULL ||
        made->is_known == NULL)
        goto no_memory;
    for (int32_t i = 0; i < n_columns; i++) {
        made->n_columns = i + 1;
        made->kinds[i] = kinds[i];
        made->names[i] = strdup(names[i]);
        if (made->names[i] == NULL) goto no_memory;
    }
    *out = made;
    return NS_OK;
no_memory:
    ns_fingerprint_destroy(&made);
    return ns_fail(NS_ENOMEM, "no memory for the fingerprint of %" PRId32 " columns in %" PRId64 " blocks",
                   n_columns, n_blocks);
}

ns_status ns_fingerprint_create(ns_fingerprint **out, const char *const *names, const ns_column_kind *kinds,
                                int32_t n_columns, int64_t n_rows_global, ns_shard shard)
{
    assert(shard.n_rows == 0 || shard.first_row % NS_BLOCK_ROWS == 0);
    NS_TRY(create(out, names, kinds, n_columns, n_rows_global, ns_n_blocks(shard.n_rows)));
    (*out)->shard = shard;
    return NS_OK;
}

ns_status ns_fingerprint_create_striped(ns_fingerprint **out, const char *const *names,
                                        const ns_column_kind *kinds, int32_t n_columns,
                                        const ns_stripes *stripes)
{
    assert(stripes->slab_rows % NS_BLOCK_ROWS == 0);
    int64_t n_blocks = stripes->slab_rows / NS_BLOCK_ROWS;
    NS_TRY(create(out, names, kinds, n_columns, stripes->n_rows, n_blocks));
    ns_fingerprint *it = *out;
    it->shard = (ns_shard){.first_row = 0, .n_rows = stripes->n_rows};
    it->stripes = *stripes;
    if (stripes->rank != 0) return NS_OK;
    it->wave_digests = zeros((int64_t)stripes->n_ranks * n_blocks, DIGEST * ((size_t)n_columns + 1));
    it->running = zeros(n_columns, sizeof *it->running);
    bool lacking = it->wave_digests == NULL || it->running == NULL;
    for (int32_t i = 0; i < n_columns && !lacking; i++) {
        it->running[i] = ns_blake2b_begin();
        lacking = it->running[i] == NULL;
    }
    if (!lacking) return NS_OK;
    ns_fingerprint_destroy(out);
    return ns_fail(NS_ENOMEM, "no memory for the fingerprint of %" PRId32 " columns", n_columns);
}

void ns_fingerprint_destroy(ns_fingerprint **fingerprint)
{
    ns_fingerprint *it = *fingerprint;
    if (it == NULL) return;
    for (int32_t i = 0; i < it->n_columns; i++) free(it->names[i]);
    free(it->names);
    free(it->kinds);
    for (int32_t i = 0; it->running != NULL && i < it->n_columns; i++) ns_blake2b_abandon(&it->running[i]);
    free(it->running);
    free(it->known);
    free(it->is_known);
    free(it->wave_digests);
    free(it->digests);
    free(it);
    *fingerprint = NULL;
}

/* Where the digest of the block that begins at a row belongs. */
static uint8_t *digest_at(const ns_fingerprint *it, int32_t column, int64_t row)
{
    int64_t first = it->shard.first_row;
    if (is_striped(it)) first = ns_wave_piece(&it->stripes, it->wave, it->stripes.rank).first_row;
    int64_t block = (row - first) / NS_BLOCK_ROWS;
    assert(row >= first && block < it->n_blocks);
    return it->digests + (size_t)(column * it->n_blocks + block) * DIGEST;
}

/* Rows of the next blocks of a call, of which `done` rows are added: TOGETHER whole ones, or the last, shorter one. Whole
 * blocks, but for the shard's last, are the caller's promise. */
static int64_t rows_of_blocks(int64_t first, int64_t done, int64_t n, const ns_fingerprint *it)
{
    int64_t left = n - done, whole = left / NS_BLOCK_ROWS;
    assert(first % NS_BLOCK_ROWS == 0 && first >= it->shard.first_row);
    assert(first + n <= it->shard.first_row + it->shard.n_rows);
    assert(left % NS_BLOCK_ROWS == 0 || first + n == it->shard.first_row + it->shard.n_rows);
    (void)first, (void)it;
    if (whole == 0) return left;
    return (whole < TOGETHER ? whole : TOGETHER) * NS_BLOCK_ROWS;
}

/* Digests of blocks whose cells lie one after the other; digests of consecutive blocks do so too. */
static void hash_blocks(ns_fingerprint *it, int32_t column, int64_t row, int64_t n_rows, const void *cells, size_t width)
{
    uint8_t *digests = digest_at(it, column, row);
    if (n_rows < NS_BLOCK_ROWS)
        ns_blake2b(digests, cells, (size_t)n_rows * width);
    else
        ns_blake2b_each(digests, cells, NS_BLOCK_ROWS * width, n_rows / NS_BLOCK_ROWS);
}

static inline uint32_t little32(uint32_t x)
{
    return ns_is_little_endian() ? x : x >> 24 | (x >> 8 & 0xff00u) | (x << 8 & 0xff0000u) | x << 24;
}

static inline uint64_t little64(uint64_t x)
{
    return ns_is_little_endian() ? x : (uint64_t)little32((uint32_t)x) << 32 | little32((uint32_t)(x >> 32));
}

void ns_fingerprint_numbers(ns_fingerprint *fingerprint, int32_t column, int64_t first, int64_t n,
                            const float *values)
{
    uint32_t cells[TOGETHER * NS_BLOCK_ROWS];
    for (int64_t done = 0, here; done < n; done += here) {
        here = rows_of_blocks(first, done, n, fingerprint);
        for (int64_t i = 0; i < here; i++) { /* on integers and without branches: missing cells stand anywhere */
            uint32_t bits, size;
            memcpy(&bits, &values[done + i], sizeof bits);
            size = bits & 0x7fffffffu;
            bits = size == 0 ? 0 : bits;
            bits = size > 0x7f800000u ? 0x7fc00000u : bits;
            cells[i] = little32(bits);
        }
        hash_blocks(fingerprint, column, first + done, here, cells, sizeof *cells);
    }
}

void ns_fingerprint_words(ns_fingerprint *fingerprint, int32_t column, int64_t first, int64_t n,
                          const uint64_t *words)
{
    uint64_t cells[TOGETHER * NS_BLOCK_ROWS];
    for (int64_t done = 0, here; done < n; done += here) {
        here = rows_of_blocks(first, done, n, fingerprint);
        const uint64_t *little = words + done;
        if (!ns_is_little_endian()) {
            for (int64_t i = 0; i < here; i++) cells[i] = little64(words[done + i]);
            little = cells;
        }
        hash_blocks(fingerprint, column, first + done, here, little, sizeof *little);
    }
}

void ns_fingerprint_know(ns_fingerprint *fingerprint, int32_t column, const uint8_t digest[32])
{
    memcpy(fingerprint->known + (size_t)column * DIGEST, digest, DIGEST);
    fingerprint->is_known[column] = true;
}

/* Rank 0's memory for the gathering; NULL members elsewhere. */
typedef struct gathering {
    int *n_blocks, *first; /* [n_ranks] */
    int64_t n_blocks_all;
    uint8_t *blocks;   /* [n_blocks_all][DIGEST] of one column, rank after rank */
    uint8_t *labelled; /* name 0 kind 0 digest of one column */
    int32_t *order;    /* columns by name */
} gathering;

static void release(gathering *g)
{
    free(g->n_blocks);
    free(g->first);
    free(g->blocks);
    free(g->labelled);
    free(g->order);
}

static ns_status prepare(gathering *g, const ns_fingerprint *it, int n_ranks)
{
    size_t longest = 0;
    for (int32_t i = 0; i < it->n_columns; i++)
        if (strlen(it->names[i]) > longest) longest = strlen(it->names[i]);
    g->n_blocks_all = ns_n_blocks(it->n_rows_global);
    g->n_blocks = zeros(n_ranks, sizeof *g->n_blocks);
    g->first = zeros(n_ranks, sizeof *g->first);
    g->blocks = zeros(is_striped(it) ? 0 : g->n_blocks_all, DIGEST);
    g->labelled = malloc(longest + 64 + DIGEST);
    g->order = zeros(it->n_columns, sizeof *g->order);
    if (g->n_blocks == NULL || g->first == NULL || g->blocks == NULL || g->labelled == NULL ||
        g->order == NULL)
        return ns_fail(NS_ENOMEM, "no memory to gather the fingerprint of %" PRId64 " blocks",
                       g->n_blocks_all);
    return NS_OK;
}

static void finish_column(const gathering *g, const ns_fingerprint *it, int32_t column, uint8_t *digest)
{
    const char *kind = ns_column_kind_name(it->kinds[column]);
    size_t n_name = strlen(it->names[column]) + 1, n_kind = strlen(kind) + 1;
    memcpy(g->labelled, it->names[column], n_name);
    memcpy(g->labelled + n_name, kind, n_kind);
    if (is_striped(it))
        ns_blake2b_end(&it->running[column], g->labelled + n_name + n_kind);
    else
        ns_blake2b(g->labelled + n_name + n_kind, g->blocks, (size_t)g->n_blocks_all * DIGEST);
    ns_blake2b(digest, g->labelled, n_name + n_kind + DIGEST);
}

/* Insertion sort: columns mostly come in name order already. */
static void order_by_name(int32_t *order, const ns_fingerprint *it)
{
    for (int32_t i = 0; i < it->n_columns; i++) {
        int32_t at = i;
        while (at > 0 && strcmp(it->names[order[at - 1]], it->names[i]) > 0) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

static void finish_table(const gathering *g, const ns_fingerprint *it, const uint8_t *columns,
                         uint8_t *in_order, uint8_t digest[DIGEST])
{
    order_by_name(g->order, it);
    for (int32_t i = 0; i < it->n_columns; i++)
        memcpy(in_order + (size_t)i * DIGEST, columns + (size_t)g->order[i] * DIGEST, DIGEST);
    ns_blake2b(digest, in_order, (size_t)it->n_columns * DIGEST);
}

void ns_fingerprint_end_wave(ns_fingerprint *fingerprint, MPI_Comm comm)
{
    ns_fingerprint *it = fingerprint;
    const ns_stripes *s = &it->stripes;
    size_t column_bytes = (size_t)it->n_blocks * DIGEST, slab_bytes = (size_t)it->n_columns * column_bytes;
    MPI_Datatype column;
    MPI_Type_contiguous((int)column_bytes, MPI_BYTE, &column);
    MPI_Type_commit(&column);
    MPI_Gather(it->digests, it->n_columns, column, it->wave_digests, it->n_columns, column, 0, comm);
    MPI_Type_free(&column);
    for (int r = 0; s->rank == 0 && r < s->n_ranks; r++) {
        int64_t n = ns_n_blocks(ns_wave_piece(s, it->wave, r).n_rows);
        for (int32_t i = 0; i < it->n_columns; i++)
            ns_blake2b_add(it->running[i],
                           it->wave_digests + (size_t)r * slab_bytes + (size_t)i * column_bytes,
                           (size_t)n * DIGEST);
    }
    it->wave++;
}

/* Digests of all columns' rows, gathered or running, into found. Collective. */
static void finish_columns(gathering *g, ns_fingerprint *it, uint8_t *found, MPI_Datatype digest_type,
                           MPI_Comm comm)
{
    int rank, n_ranks, mine = (int)it->n_blocks; /* 2^31 blocks are 2^41 rows on one rank */
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    assert(!is_striped(it) || it->wave == ns_n_waves(&it->stripes));
    MPI_Gather(&mine, 1, MPI_INT, g->n_blocks, 1, MPI_INT, 0, comm);
    for (int i = 1; rank == 0 && i < n_ranks; i++) g->first[i] = g->first[i - 1] + g->n_blocks[i - 1];
    assert(rank != 0 || is_striped(it) ||
           g->first[n_ranks - 1] + g->n_blocks[n_ranks - 1] == g->n_blocks_all);
    for (int32_t i = 0; i < it->n_columns; i++) {
        if (it->is_known[i]) {
            memcpy(found + (size_t)i * DIGEST, it->known + (size_t)i * DIGEST, DIGEST);
            continue;
        }
        if (!is_striped(it))
            MPI_Gatherv(it->digests + (size_t)(i * it->n_blocks) * DIGEST, mine, digest_type, g->blocks,
                        g->n_blocks, g->first, digest_type, 0, comm);
        if (rank == 0) finish_column(g, it, i, found + (size_t)i * DIGEST);
    }
}

ns_status ns_fingerprint_finish(ns_fingerprint *fingerprint, char (*digests)[65], char table[65],
                                MPI_Comm comm)
{
    ns_fingerprint *it = fingerprint;
    int rank, n_ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &n_ranks);
    gathering g = {0};
    /* column digests, the table's behind them, then rank 0's copy in name order */
    uint8_t *found = zeros(2 * (int64_t)it->n_columns + 1, DIGEST);
    ns_status status = found == NULL ? ns_fail(NS_ENOMEM, "no memory for fingerprints of columns") : NS_OK;
    if (status == NS_OK && rank == 0) status = prepare(&g, it, n_ranks);
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;

    MPI_Datatype digest_type;
    MPI_Type_contiguous(DIGEST, MPI_BYTE, &digest_type);
    MPI_Type_commit(&digest_type);
    finish_columns(&g, it, found, digest_type, comm);
    uint8_t *whole = found + (size_t)it->n_columns * DIGEST;
    if (rank == 0) finish_table(&g, it, found, whole + DIGEST, whole);
    MPI_Bcast(found, it->n_columns + 1, digest_type, 0, comm);
    MPI_Type_free(&digest_type);
    for (int32_t i = 0; i < it->n_columns; i++) ns_hex(digests[i], found + (size_t)i * DIGEST, DIGEST);
    ns_hex(table, whole, DIGEST);
done:
    release(&g);
    free(found);
    return status;
}
