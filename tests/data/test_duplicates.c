/*
 * Ids on more than one row, against a walk over all rows: numbers and texts, few and many duplicates, on
 * ranks that hold unequal parts (one may hold none), with memory for everything, for almost nothing, and with
 * hashes so short that texts share them.
 */
#include "tests/check.h"

#include <mpi.h>

#include "data/duplicates.h"

enum { PIECE = 777 };

typedef struct table {
    int64_t n_rows, n_ids;
    bool is_text;
    int unused_of; /* one row in so many takes no part; 0: none */
    enum { ANY_ORDER, ASCENDING, ONE_TWICE, BLOCKS_TURNED, FAR_TWICE } order;
} table;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
    x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
    return x ^ x >> 33;
}

static int64_t id_at(const table *t, int64_t row)
{
    switch (t->order) {
    case ASCENDING: return 2 * row + 1;
    case ONE_TWICE: return row == 5000 ? 4999 : row;
    case BLOCKS_TURNED: return (row / PIECE ^ 1) * PIECE + row % PIECE; /* pieces ascend, but not one after the other */
    case FAR_TWICE: return row == 12000 ? 3 : row;
    case ANY_ORDER: break;
    }
    return (int64_t)(mix((uint64_t)row + 1) % (uint64_t)t->n_ids);
}

static bool is_used(const table *t, int64_t row)
{
    return t->unused_of == 0 || mix((uint64_t)row + 77) % (uint64_t)t->unused_of != 0;
}

/* This rank's rows of a table, read piece by piece. */
typedef struct rows {
    const table *t;
    int64_t first, n, n_reads;
    int64_t number[PIECE];
    uint8_t use[PIECE];
    ns_texts text;
} rows;

static ns_status read_rows(void *context, int64_t index, ns_id_piece *out)
{
    rows *r = context;
    int64_t at = index * PIECE, n = r->n - at < PIECE ? r->n - at : PIECE;
    r->n_reads++;
    ns_texts_clear(&r->text);
    for (int64_t i = 0; i < n; i++) {
        char text[64];
        int64_t id = id_at(r->t, r->first + at + i);
        r->number[i] = id * 1024 - 5000;
        r->use[i] = is_used(r->t, r->first + at + i);
        /* of different length, the empty text among them: whether it is an id is for the caller to say */
        int length = id == 0 ? 0
                             : snprintf(text, sizeof text, "%.*s%lld", (int)(id % 30),
                                        "patient-patient-patient-patient-", (long long)id);
        CHECK_OK(ns_texts_append(&r->text, text, length));
    }
    *out = (ns_id_piece){.first = at, .n = n, .use = r->use};
    if (r->t->is_text)
        out->text = &r->text;
    else
        out->number = r->number;
    return NS_OK;
}

/* Rank r of n holds rows [r^2 / n^2, (r + 1)^2 / n^2): with more than one rank the first is short. */
static void share(const table *t, rows *r)
{
    int rank, n;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &n);
    r->t = t;
    r->first = t->n_rows * rank * rank / (n * n);
    r->n = t->n_rows * (rank + 1) * (rank + 1) / (n * n) - r->first;
}

static int64_t check_with(const table *t, ns_duplicates_limits limits)
{
    rows *r = calloc(1, sizeof *r);
    share(t, r);
    int32_t *n_of = calloc((size_t)t->n_ids, sizeof *n_of);
    int64_t want = 0, got = -1;
    for (int64_t row = 0; row < t->n_rows; row++) n_of[id_at(t, row)] += is_used(t, row);
    for (int64_t i = 0; i < t->n_ids; i++) want += n_of[i] > 1 ? n_of[i] : 0;
    uint8_t *bits = malloc((size_t)(r->n + 7) / 8 + 1);
    memset(bits, 0, (size_t)(r->n + 7) / 8);
    bits[(r->n + 7) / 8] = 0xcc;
    ns_id_source source = {.n_pieces = (r->n + PIECE - 1) / PIECE,
                           .n_rows = r->n,
                           .is_text = t->is_text,
                           .read = read_rows,
                           .context = r};
    CHECK_OK(ns_duplicates_find(&source, &limits, bits, &got, MPI_COMM_WORLD));
    assert_int_equal(got, want);
    for (int64_t i = 0; i < r->n; i++) {
        bool marked = (bits[i >> 3] >> (i & 7) & 1) != 0,
             is = is_used(t, r->first + i) && n_of[id_at(t, r->first + i)] > 1;
        if (marked != is) fail_msg("row %lld of this rank is marked %d", (long long)i, marked);
    }
    assert_int_equal(bits[(r->n + 7) / 8], 0xcc);
    int64_t n_reads = source.n_pieces > 0 ? r->n_reads / source.n_pieces : 0;
    ns_texts_destroy(&r->text);
    free(bits);
    free(n_of);
    free(r);
    return n_reads;
}

/* Sorted ids are read once, however little memory there is; those that only seem so are found. */
static void ids_in_order(void **state)
{
    (void)state;
    ns_duplicates_limits little = {.memory_bytes = 64 << 10, .hash_bits = 128};
    int n_ranks;
    MPI_Comm_size(MPI_COMM_WORLD, &n_ranks);
    for (int text = 0; text < 2; text++)
        for (int unused = 0; unused < 2; unused++) {
            table t = {.n_rows = 20000, .n_ids = 50000, .is_text = text != 0, .unused_of = 5 * unused, .order = ASCENDING};
            int64_t n_reads = check_with(&t, little);
            if (!text && n_reads != 1) fail_msg("ascending ids were read %lld times", (long long)n_reads); /* these texts do not ascend */
            t.order = ONE_TWICE;
            check_with(&t, little);
            t.order = FAR_TWICE;
            check_with(&t, little);
            t.order = BLOCKS_TURNED;
            n_reads = check_with(&t, little);
            if (!text && n_ranks == 1 && n_reads != 1) fail_msg("ascending pieces were read %lld times", (long long)n_reads);
        }
}

/* Texts of one length ascend as their bytes do; beyond 24 bytes pieces cannot be told apart, and rows still can. */
static ns_status read_texts(void *context, int64_t index, ns_id_piece *out)
{
    rows *r = context;
    int64_t at = index * PIECE, n = r->n - at < PIECE ? r->n - at : PIECE;
    r->n_reads++;
    ns_texts_clear(&r->text);
    for (int64_t i = 0; i < n; i++) {
        char text[64];
        int length = snprintf(text, sizeof text, "%s%09lld", r->t->unused_of == 1 ? "a-prefix-of-24-bytes-or-so-" : "E", (long long)(r->first + at + i));
        r->use[i] = 1;
        CHECK_OK(ns_texts_append(&r->text, text, length));
    }
    *out = (ns_id_piece){.first = at, .n = n, .use = r->use, .text = &r->text};
    return NS_OK;
}

static void texts_in_order(void **state)
{
    (void)state;
    for (int prefixed = 0; prefixed < 2; prefixed++) {
        table t = {.n_rows = 20000, .is_text = true, .unused_of = prefixed};
        rows *r = calloc(1, sizeof *r);
        share(&t, r);
        uint8_t *bits = calloc((size_t)(r->n + 7) / 8 + 1, 1);
        int64_t n_found = -1;
        ns_duplicates_limits little = {.memory_bytes = 64 << 10, .hash_bits = 128};
        ns_id_source source = {.n_pieces = (r->n + PIECE - 1) / PIECE, .n_rows = r->n, .is_text = true, .read = read_texts, .context = r};
        CHECK_OK(ns_duplicates_find(&source, &little, bits, &n_found, MPI_COMM_WORLD));
        assert_int_equal(n_found, 0);
        assert_true(prefixed ? r->n_reads > source.n_pieces || source.n_pieces == 0 : r->n_reads == source.n_pieces);
        ns_texts_destroy(&r->text);
        free(bits);
        free(r);
    }
}

static const table tables[] = {
    {0, 1, false, 0, ANY_ORDER},    {1, 1, true, 0, ANY_ORDER},          {5, 1, false, 0, ANY_ORDER},          {3000, 5000, false, 7, ANY_ORDER},
    {20000, 1, true, 3, ANY_ORDER}, {20000, 15000, true, 11, ANY_ORDER}, {40000, 200000, false, 0, ANY_ORDER}, {40000, 1000000, true, 0, ANY_ORDER},
};
enum { N_TABLES = sizeof tables / sizeof *tables };

static void all_in_memory(void **state)
{
    (void)state;
    for (int i = 0; i < N_TABLES; i++)
        if (check_with(&tables[i], ns_duplicates_default) > 2)
            fail_msg("table %d is read more than twice", i);
}

/* 64 KB hold neither the ids nor a filter that parts them all: filters, classes and halves are all taken. */
static void hardly_any_memory(void **state)
{
    (void)state;
    for (int i = 0; i < N_TABLES; i++)
        check_with(&tables[i], (ns_duplicates_limits){.memory_bytes = 64 << 10, .hash_bits = 128});
}

/* Texts that share a hash are no duplicates: 12 bits for up to 5,000 texts. */
static void equal_hashes(void **state)
{
    (void)state;
    static const table many = {6000, 5000, true, 5, ANY_ORDER}, alone = {3000, 2500000, true, 0, ANY_ORDER};
    ns_duplicates_limits limits = ns_duplicates_default;
    limits.hash_bits = 12;
    check_with(&many, limits);
    check_with(&alone, limits);
}

static ns_status read_badly(void *context, int64_t index, ns_id_piece *out)
{
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0) return ns_fail(NS_EFORMAT, "a bad id");
    return read_rows(context, index, out);
}

static void a_failing_reader(void **state)
{
    (void)state;
    rows *r = calloc(1, sizeof *r);
    share(&tables[4], r);
    uint8_t *bits = calloc((size_t)(r->n + 7) / 8 + 1, 1);
    int64_t n;
    ns_id_source source = {
        .n_pieces = (r->n + PIECE - 1) / PIECE, .n_rows = r->n, .read = read_badly, .context = r};
    CHECK_FAILS(ns_duplicates_find(&source, &ns_duplicates_default, bits, &n, MPI_COMM_WORLD), NS_EFORMAT,
                "a bad id");
    ns_texts_destroy(&r->text);
    free(bits);
    free(r);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_in_memory), cmocka_unit_test(hardly_any_memory),
                                       cmocka_unit_test(equal_hashes), cmocka_unit_test(a_failing_reader),
                                       cmocka_unit_test(ids_in_order), cmocka_unit_test(texts_in_order)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
