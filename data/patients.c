#include "data/patients.h"

/*
 * Every record goes to the rank that owns its hash (hi % n_ranks), so all rows of one patient meet on one
 * rank, which sorts its records and answers. Hashes are spread evenly; only the rows of one very frequent
 * patient can make a rank's share larger. Records travel in pieces between pairs of ranks: no count or offset
 * passes through an int.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"

/* 1.5 MB of records: long enough for full bandwidth, small beside the data. */
enum { PIECE = 1 << 16, MOST_RADIX_BITS = 12 };

typedef struct record {
    uint64_t hi, lo;
    int64_t tag; /* a cell, a value, or the place in the list received */
} record;

typedef struct records {
    record *list;
    int64_t n;
} records;

/* What goes to and comes from each rank. */
typedef struct route {
    int rank, n_ranks;
    int64_t *n_to, *n_from;         /* [n_ranks] */
    int64_t *first_to, *first_from; /* [n_ranks + 1] running sums */
} route;

static bool is_missing(ns_hash128 hash)
{
    return hash.hi == 0 && hash.lo == 0;
}

static int owner_of(uint64_t hi, int n_ranks)
{
    return (int)(hi % (uint64_t)n_ranks);
}

/* n * n_bytes, at least 1 byte; NULL where that is more than memory can hold. */
static void *room_for(int64_t n, size_t n_bytes)
{
    return (uint64_t)n >= PTRDIFF_MAX / n_bytes ? NULL : malloc(((size_t)n + 1) * n_bytes);
}

static ns_status no_memory(int64_t n)
{
    return ns_fail(NS_ENOMEM, "no memory to compare the ids or patients of %" PRId64 " rows", n);
}

static ns_status open_route(route *r, MPI_Comm comm)
{
    memset(r, 0, sizeof *r);
    MPI_Comm_rank(comm, &r->rank);
    MPI_Comm_size(comm, &r->n_ranks);
    r->n_to = calloc(4 * (size_t)r->n_ranks + 2, sizeof *r->n_to);
    if (r->n_to == NULL) return no_memory(0);
    r->n_from = r->n_to + r->n_ranks;
    r->first_to = r->n_from + r->n_ranks;
    r->first_from = r->first_to + r->n_ranks + 1;
    return NS_OK;
}

/* After n_to is counted: everything else of the route. */
static void agree_route(route *r, MPI_Comm comm)
{
    MPI_Alltoall(r->n_to, 1, MPI_INT64_T, r->n_from, 1, MPI_INT64_T, comm);
    for (int i = 0; i < r->n_ranks; i++) {
        r->first_to[i + 1] = r->first_to[i] + r->n_to[i];
        r->first_from[i + 1] = r->first_from[i] + r->n_from[i];
    }
}

/* One side of a piece: how many elements, and with whom; nobody once all have gone. */
static int piece_of(int64_t n, int64_t done, int with, int *count)
{
    int64_t left = n - done;
    *count = left <= 0 ? 0 : (int)(left < PIECE ? left : PIECE);
    return *count == 0 ? MPI_PROC_NULL : with;
}

/* One direction of an exchange: elements for (from) rank i begin at first[i]. */
typedef struct side {
    char *bytes;
    const int64_t *n, *first;
} side;

/* Round s: everyone sends to the rank s above it and receives from the one s below it. */
static void exchange(side to, side from, size_t n_bytes, const route *r, MPI_Comm comm)
{
    MPI_Datatype element;
    MPI_Type_contiguous((int)n_bytes, MPI_BYTE, &element);
    MPI_Type_commit(&element);
    for (int s = 0; s < r->n_ranks; s++) {
        int above = (r->rank + s) % r->n_ranks, below = (r->rank - s + r->n_ranks) % r->n_ranks;
        for (int64_t done = 0; done < to.n[above] || done < from.n[below]; done += PIECE) {
            int n_send, n_receive;
            int target = piece_of(to.n[above], done, above, &n_send);
            int source = piece_of(from.n[below], done, below, &n_receive);
            char *send = n_send == 0 ? NULL : to.bytes + (size_t)(to.first[above] + done) * n_bytes;
            char *receive = n_receive == 0 ? NULL : from.bytes + (size_t)(from.first[below] + done) * n_bytes;
            MPI_Sendrecv(send, n_send, element, target, 0, receive, n_receive, element, source, 0, comm,
                         MPI_STATUS_IGNORE);
        }
    }
    MPI_Type_free(&element);
}

static int by_rest(const void *a, const void *b)
{
    const record *x = a, *y = b;
    if (x->hi != y->hi) return x->hi < y->hi ? -1 : 1;
    if (x->lo != y->lo) return x->lo < y->lo ? -1 : 1;
    return x->tag < y->tag ? -1 : x->tag > y->tag;
}

/* Bits of a hash that part n records so finely that few share a part. */
static int sorted_bits(int64_t n)
{
    int bits = 1;
    while (bits < 2 * MOST_RADIX_BITS && n >> bits > 0) bits++;
    return bits;
}

/* One stable counting pass over `bits` bits of hi from `shift` on. */
static void radix_pass(const record *from, record *to, int64_t n, int shift, int bits)
{
    int64_t at[1 << MOST_RADIX_BITS] = {0}, sum = 0;
    uint64_t mask = (UINT64_C(1) << bits) - 1;
    for (int64_t i = 0; i < n; i++) at[from[i].hi >> shift & mask]++;
    for (int digit = 0; digit < 1 << bits; digit++) {
        int64_t count = at[digit];
        at[digit] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++) to[at[from[i].hi >> shift & mask]++] = from[i];
}

/* Few records, in place. */
static void insert(record *list, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        record next = list[i];
        int64_t at = i;
        for (; at > 0 && by_rest(&list[at - 1], &next) > 0; at--) list[at] = list[at - 1];
        list[at] = next;
    }
}

/* By hash, then tag. Hashes are spread evenly: two passes over their highest bits leave short runs of records that share these,
   most of them of one patient. */
static ns_status sort_records(records *all)
{
    enum { FEW = 16 };
    int bits = sorted_bits(all->n), low = bits / 2;
    record *other = room_for(all->n, sizeof *other);
    if (other == NULL) return no_memory(all->n);
    radix_pass(all->list, other, all->n, 64 - bits, low);
    radix_pass(other, all->list, all->n, 64 - bits + low, bits - low);
    free(other);
    for (int64_t first = 0, end; first < all->n; first = end) {
        uint64_t part = all->list[first].hi >> (64 - bits);
        end = first + 1;
        while (end < all->n && all->list[end].hi >> (64 - bits) == part) end++;
        if (end - first > FEW) qsort(all->list + first, (size_t)(end - first), sizeof *all->list, by_rest);
        else insert(all->list + first, end - first);
    }
    return NS_OK;
}

static bool is_same(const record *a, const record *b)
{
    return a->hi == b->hi && a->lo == b->lo;
}

/* Drops repeats of a sorted list: a patient's many equal rows travel as one record. */
static void drop_repeats(records *all)
{
    int64_t n = 0;
    for (int64_t i = 0; i < all->n; i++)
        if (n == 0 || by_rest(&all->list[n - 1], &all->list[i]) != 0) all->list[n++] = all->list[i];
    all->n = n;
}

/* One record for each hash of a sorted list, its tag the sum of theirs. */
static void add_up(records *all)
{
    int64_t n = 0;
    for (int64_t i = 0; i < all->n; i++) {
        if (n > 0 && is_same(&all->list[n - 1], &all->list[i]))
            all->list[n - 1].tag += all->list[i].tag;
        else
            all->list[n++] = all->list[i];
    }
    all->n = n;
}

/* mine, in any order, to their owners. out is what this rank owns now. mine is freed. */
static ns_status send_to_owners(records *out, records *mine, route *r, MPI_Comm comm)
{
    record *packed = room_for(mine->n, sizeof *packed);
    ns_status status = packed == NULL ? no_memory(mine->n) : NS_OK;
    for (int64_t i = 0; i < mine->n; i++) r->n_to[owner_of(mine->list[i].hi, r->n_ranks)]++;
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;
    agree_route(r, comm);
    for (int64_t i = 0; i < mine->n; i++)
        packed[r->first_to[owner_of(mine->list[i].hi, r->n_ranks)]++] = mine->list[i];
    for (int i = 0; i < r->n_ranks; i++) r->first_to[i] -= r->n_to[i];
    free(mine->list);
    mine->list = NULL;

    out->n = r->first_from[r->n_ranks];
    out->list = room_for(out->n, sizeof *out->list);
    status = ns_agree(out->list == NULL ? no_memory(out->n) : NS_OK, comm);
    if (status != NS_OK) goto done;
    exchange((side){(char *)packed, r->n_to, r->first_to},
             (side){(char *)out->list, r->n_from, r->first_from}, sizeof *packed, r, comm);
done:
    free(packed);
    return status;
}

/* The different (patient, tag) of all rows with a patient, sorted, each rank holding the patients that it
 * owns. */
static ns_status meet(records *out, records *mine, void (*fold)(records *), MPI_Comm comm)
{
    route r = {0};
    ns_status status = open_route(&r, comm);
    if (status == NS_OK && mine->list == NULL) status = no_memory(mine->n);
    if (status == NS_OK) status = sort_records(mine);
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;
    fold(mine);
    if (r.n_ranks == 1) { /* all are here, and in order */
        *out = *mine;
        mine->list = NULL;
        goto done;
    }
    status = send_to_owners(out, mine, &r, comm);
    if (status != NS_OK) goto done;
    status = ns_agree(sort_records(out), comm);
    if (status == NS_OK) fold(out);
done:
    free(mine->list);
    mine->list = NULL;
    free(r.n_to);
    return status;
}

ns_status ns_count_patients(const ns_hash128 *patient, const int32_t *cell, int64_t n, int64_t n_cells,
                            int64_t *count, MPI_Comm comm)
{
    records mine = {.list = room_for(n, sizeof *mine.list), .n = 0}, owned = {0};
    memset(count, 0, (size_t)n_cells * sizeof *count);
    for (int64_t i = 0; mine.list != NULL && i < n; i++) {
        if (cell[i] < 0) continue;
        if (is_missing(patient[i]))
            count[cell[i]]++;
        else
            mine.list[mine.n++] = (record){patient[i].hi, patient[i].lo, cell[i]};
    }
    if (mine.list == NULL) mine.n = n;
    ns_status status = meet(&owned, &mine, drop_repeats, comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < owned.n; i++) count[owned.list[i].tag]++;
        ns_sum_i64(count, n_cells, comm);
    }
    free(owned.list);
    return status;
}

ns_status ns_max_rows_per_patient(const ns_hash128 *patient, int64_t n, int64_t *most, MPI_Comm comm)
{
    records mine = {.list = room_for(n, sizeof *mine.list), .n = 0}, owned = {0};
    *most = 1;
    for (int64_t i = 0; mine.list != NULL && i < n; i++)
        if (!is_missing(patient[i])) mine.list[mine.n++] = (record){patient[i].hi, patient[i].lo, 1};
    if (mine.list == NULL) mine.n = n;
    ns_status status = meet(&owned, &mine, add_up, comm);
    if (status == NS_OK) {
        for (int64_t i = 0; i < owned.n; i++)
            if (owned.list[i].tag > *most) *most = owned.list[i].tag;
        ns_max_i64(most, 1, comm);
    }
    free(owned.list);
    return status;
}

/* The records of all rows that have a patient and take part, in row order; their tags are the values. */
static ns_status list_rows(records *out, const ns_hash128 *patient, const uint8_t *value, int64_t n)
{
    out->list = room_for(n, sizeof *out->list);
    if (out->list == NULL) return no_memory(n);
    for (int64_t i = 0; i < n; i++)
        if (!is_missing(patient[i]) && value[i] != 0) out->list[out->n++] = (record){patient[i].hi, patient[i].lo, value[i]};
    return NS_OK;
}

/* An owner's sorted records hold value and place in one tag: the place of the list received is below 2^56. */
enum { VALUE_SHIFT = 56 };

static int64_t place_of(const record *r)
{
    return r->tag & ((INT64_C(1) << VALUE_SHIFT) - 1);
}

/* answers[place] for every record of a sorted list, and what there is to count. */
typedef int64_t (*judge)(const records *sorted, uint8_t *answers);

/* The first record of a patient has the lowest value; how many patients have a higher one too. */
static int64_t tell_lowest(const records *sorted, uint8_t *answers)
{
    int64_t n = 0;
    for (int64_t first = 0, end; first < sorted->n; first = end) {
        uint8_t lowest = (uint8_t)(sorted->list[first].tag >> VALUE_SHIFT);
        for (end = first; end < sorted->n && is_same(&sorted->list[first], &sorted->list[end]); end++)
            answers[place_of(&sorted->list[end])] = lowest;
        n += (uint8_t)(sorted->list[end - 1].tag >> VALUE_SHIFT) > lowest;
    }
    return n;
}

/*
 * Every row with a patient and a value above 0 asks the patient's owner; the others' answer stays as it is.
 *   count  out  the sum of what the judges counted, over all ranks
 */
static ns_status ask_owners(const ns_hash128 *patient, const uint8_t *value, int64_t n, judge judge_of, uint8_t *answer,
                            int64_t *count, MPI_Comm comm)
{
    records mine = {0}, owned = {0};
    route r = {0};
    uint8_t *asked = NULL, *back = NULL;
    *count = 0;
    ns_status status = open_route(&r, comm);
    if (status == NS_OK) status = list_rows(&mine, patient, value, n);
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;
    int64_t n_asked = mine.n;
    status = send_to_owners(&owned, &mine, &r, comm);
    if (status != NS_OK) goto done;

    for (int64_t i = 0; i < owned.n; i++) owned.list[i].tag = owned.list[i].tag << VALUE_SHIFT | i;
    asked = calloc((size_t)owned.n + 1, 1);
    back = malloc((size_t)n_asked + 1);
    status = asked == NULL || back == NULL ? no_memory(owned.n) : sort_records(&owned);
    status = ns_agree(status, comm);
    if (status != NS_OK) goto done;
    *count = judge_of(&owned, asked);
    exchange((side){(char *)asked, r.n_from, r.first_from}, (side){(char *)back, r.n_to, r.first_to}, 1, &r, comm);
    /* answers of one owner come back in the order in which its rows were packed: row order */
    for (int64_t i = 0; i < n; i++)
        if (!is_missing(patient[i]) && value[i] != 0) answer[i] = back[r.first_to[owner_of(patient[i].hi, r.n_ranks)]++];
    ns_sum_i64(count, 1, comm);
done:
    free(mine.list);
    free(owned.list);
    free(asked);
    free(back);
    free(r.n_to);
    return status;
}

ns_status ns_lowest_of_patient(const ns_hash128 *patient, const uint8_t *value, int64_t n, uint8_t *lowest, int64_t *n_patients,
                               MPI_Comm comm)
{
    ns_status status = ask_owners(patient, value, n, tell_lowest, lowest, n_patients, comm);
    for (int64_t i = 0; i < n && status == NS_OK; i++)
        if (is_missing(patient[i]) || value[i] == 0) lowest[i] = value[i];
    return status;
}

ns_status ns_count_torn_patients(const ns_hash128 *patient, const int32_t *value, int64_t n,
                                 int64_t *n_patients, MPI_Comm comm)
{
    records mine = {.list = room_for(n, sizeof *mine.list), .n = 0}, owned = {0};
    *n_patients = 0;
    for (int64_t i = 0; mine.list != NULL && i < n; i++)
        if (!is_missing(patient[i])) mine.list[mine.n++] = (record){patient[i].hi, patient[i].lo, value[i]};
    if (mine.list == NULL) mine.n = n;
    ns_status status = meet(&owned, &mine, drop_repeats, comm);
    if (status != NS_OK) goto done;
    bool told = false; /* this patient is counted already */
    for (int64_t i = 1; i < owned.n; i++) {
        bool same = is_same(&owned.list[i - 1], &owned.list[i]);
        if (same && !told) ++*n_patients;
        told = same;
    }
    ns_sum_i64(n_patients, 1, comm);
done:
    free(owned.list);
    return status;
}
