#include "data/id_order.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"

enum { MARK_BYTES = 24 };
typedef struct stretch {
    uint8_t first[MARK_BYTES], last[MARK_BYTES]; /* in bytewise order; longer texts are cut, which may only make them equal */
} stretch;

static void put_mark(uint8_t *to, const ns_id_piece *piece, int64_t row)
{
    memset(to, 0, MARK_BYTES);
    if (piece->number != NULL) {
        uint64_t x = (uint64_t)piece->number[row] ^ UINT64_C(1) << 63;
        for (int i = 0; i < 8; i++) to[i] = (uint8_t)(x >> (56 - 8 * i));
        return;
    }
    const int64_t *at = piece->text->offset + row;
    int64_t n = at[1] - at[0] < MARK_BYTES ? at[1] - at[0] : MARK_BYTES;
    if (n > 0) memcpy(to, piece->text->bytes + at[0], (size_t)n);
}

static bool is_before(const ns_id_piece *piece, int64_t a, int64_t b)
{
    if (piece->number != NULL) return piece->number[a] < piece->number[b];
    const int64_t *of_a = piece->text->offset + a, *of_b = piece->text->offset + b;
    int64_t n_a = of_a[1] - of_a[0], n_b = of_b[1] - of_b[0], n = n_a < n_b ? n_a : n_b;
    int order = n > 0 ? memcmp(piece->text->bytes + of_a[0], piece->text->bytes + of_b[0], (size_t)n) : 0;
    return order != 0 ? order < 0 : n_a < n_b;
}

/* Whether the rows of a piece that take part ascend; *any: there are some, and *ends is set. */
static bool ascends(const ns_id_piece *piece, stretch *ends, bool *any)
{
    int64_t first = 0;
    while (first < piece->n && piece->use[first] == 0) first++;
    int64_t last = first;
    *any = first < piece->n;
    for (int64_t r = first + 1; r < piece->n; r++) {
        if (piece->use[r] == 0) continue;
        if (!is_before(piece, last, r)) return false;
        last = r;
    }
    if (!*any) return true;
    put_mark(ends->first, piece, first);
    put_mark(ends->last, piece, last);
    return true;
}

/* This rank's part; *n: how many stretches were found. */
static ns_status read_stretches(const ns_id_source *source, stretch *found, int *n, bool *in_order)
{
    *in_order = true;
    for (int64_t i = 0; i < source->n_pieces && *in_order; i++) {
        ns_id_piece piece;
        bool any;
        NS_TRY(ns_stop_check());
        NS_TRY(source->read(source->context, i, &piece));
        *in_order = ascends(&piece, &found[*n], &any);
        *n += any && *in_order;
    }
    return NS_OK;
}

static int by_first(const void *a, const void *b)
{
    return memcmp(((const stretch *)a)->first, ((const stretch *)b)->first, MARK_BYTES);
}

/* All ranks' stretches beside one another. Collective. */
static ns_status compare_stretches(const stretch *mine, int n_mine, bool *apart, MPI_Comm comm)
{
    int n_ranks, n = 0;
    MPI_Comm_size(comm, &n_ranks);
    int *n_of = calloc((size_t)n_ranks, sizeof *n_of), *first_of = calloc((size_t)n_ranks, sizeof *first_of);
    stretch *all = NULL;
    ns_status status = ns_agree(n_of == NULL || first_of == NULL ? ns_fail(NS_ENOMEM, "no memory to compare ids") : NS_OK, comm);
    if (status == NS_OK) {
        MPI_Allgather(&n_mine, 1, MPI_INT, n_of, 1, MPI_INT, comm);
        for (int r = 0; r < n_ranks; n += n_of[r++]) first_of[r] = n;
        all = malloc(((size_t)n + 1) * sizeof *all);
    }
    if (status == NS_OK) status = ns_agree(all == NULL ? ns_fail(NS_ENOMEM, "no memory to compare ids") : NS_OK, comm);
    if (status == NS_OK) {
        MPI_Datatype type;
        MPI_Type_contiguous((int)sizeof *all, MPI_BYTE, &type);
        MPI_Type_commit(&type);
        MPI_Allgatherv(mine, n_mine, type, all, n_of, first_of, type, comm);
        MPI_Type_free(&type);
        qsort(all, (size_t)n, sizeof *all, by_first);
        *apart = true;
        for (int i = 1; i < n; i++) *apart = *apart && memcmp(all[i - 1].last, all[i].first, MARK_BYTES) < 0;
    }
    free(all);
    free(first_of);
    free(n_of);
    return status;
}

ns_status ns_ids_ascend(const ns_id_source *source, bool *ascend, MPI_Comm comm)
{
    bool in_order = false;
    int n = 0;
    stretch *found = calloc((size_t)source->n_pieces + 1, sizeof *found);
    ns_status status = found == NULL ? ns_fail(NS_ENOMEM, "no memory to compare ids") : read_stretches(source, found, &n, &in_order);
    int64_t n_without = !in_order;
    *ascend = false;
    status = ns_agree(status, comm);
    if (status == NS_OK) {
        ns_max_i64(&n_without, 1, comm);
        if (n_without == 0) status = compare_stretches(found, n, ascend, comm);
    }
    free(found);
    return status;
}
