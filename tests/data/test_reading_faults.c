/*
 * A system that reads badly: pread gives a few bytes at a time, is interrupted, answers ESTALE for a while, fails for good, or
 * the file ends early. The program's own calls of pread come here (the linker's --wrap; pread64 is its name with 64-bit offsets); HDF5's do not. Also the parts of
 * decoding alone: filters undone, byte orders, odd lengths.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <mpi.h>
#include <stdbool.h>
#include <unistd.h>

#include "data/cell_loops.h"
#include "data/h5.h"
#include "data/inflate.h"
#include "data/native.h"
#include "data/pread.h"
#include "data/same_cells.h"
#include "tests/check.h"
#include "tests/data/both_ways.h"

enum { N = 4000 };

static enum { SOUND, SHORT, INTERRUPTED, STALE, STALE_FOREVER, BROKEN } fault;
static int n_calls;

ssize_t __real_pread64(int descriptor, void *bytes, size_t n, off_t offset);
ssize_t __wrap_pread64(int descriptor, void *bytes, size_t n, off_t offset);

static ssize_t fail_with(int code)
{
    errno = code;
    return -1;
}

ssize_t __wrap_pread64(int descriptor, void *bytes, size_t n, off_t offset)
{
    int call = __atomic_fetch_add(&n_calls, 1, __ATOMIC_RELAXED);
    switch (fault) {
    case SHORT:
        n = n > 7 ? 1 + (size_t)call % 997 % n : n;
        break;
    case INTERRUPTED:
        if (call % 3 != 0) return fail_with(EINTR);
        break;
    case STALE:
        if (call % 3 != 0) return fail_with(ESTALE);
        break;
    case STALE_FOREVER:
        return fail_with(ESTALE);
    case BROKEN:
        return fail_with(EIO);
    case SOUND:
        break;
    }
    return __real_pread64(descriptor, bytes, n, offset);
}

static char path[] = "/tmp/nightshift-faults-XXXXXX";

static void write_cohort(void)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t n = N, chunk = 300;
    float cells[N];
    for (int i = 0; i < N; i++) cells[i] = (float)(i * 7919 % 1000) / 8;
    CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_cohort", 1, path));
    CHECK_OK(ns_h5_write_int_attribute(file, "n_rows", N, path));
    H5Gclose(H5Gcreate2(file, "columns", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    hid_t space = H5Screate_simple(1, &n, NULL);
    H5Pset_chunk(list, 1, &chunk);
    H5Pset_shuffle(list);
    H5Pset_deflate(list, 1);
    const char *const links[] = {"/columns/packed", "/columns/plain"};
    for (int i = 0; i < 2; i++) {
        hid_t set = H5Dcreate2(file, links[i], H5T_IEEE_F32LE, space, H5P_DEFAULT, i == 0 ? list : H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0);
        H5Dclose(set);
    }
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
}

static void goes_on_after_short_and_interrupted_reads(void **state)
{
    (void)state;
    write_cohort();
    fault = SHORT;
    check_both_ways(path, ALL_FAST);
    fault = INTERRUPTED;
    check_both_ways(path, ALL_FAST);
    fault = SOUND;
}

static void waits_for_a_stale_handle(void **state)
{
    (void)state;
    int file = open(path, O_RDONLY);
    char bytes[4000];
    fault = STALE;
    n_calls = 1;
    assert_true(ns_pread(file, bytes, sizeof bytes, 0));
    assert_memory_equal(bytes, "\x89HDF", 4);
    fault = STALE_FOREVER;
    n_calls = 0;
    assert_false(ns_pread(file, bytes, sizeof bytes, 0));
    assert_int_equal(errno, ESTALE);
    assert_true(n_calls > 3); /* it was tried again, and came to an end */
    fault = SOUND;
    off_t end = lseek(file, 0, SEEK_END);
    assert_false(ns_pread(file, bytes, 10, (int64_t)end - 5));
    assert_int_equal(errno, 0);
    close(file);
}

/* What cannot be read past HDF5 is read through it, and words its own failure. */
static void falls_back_on_hdf5(void **state)
{
    (void)state;
    fault = BROKEN;
    check_both_ways(path, NONE_FAST);
    fault = SOUND;
}

/* ---- decoding alone ---- */

static void undoes_shuffle_of_any_width(void **state)
{
    (void)state;
    enum { MOST = 1100 };
    unsigned char in[MOST], out[MOST + 1], want[MOST];
    for (int i = 0; i < MOST; i++) in[i] = (unsigned char)(i * 31 + i / 7);
    for (size_t width = 0; width <= 17; width++)
        for (size_t n = 0; n <= MOST; n += n < 40 ? 1 : 53) {
            size_t elements = width > 1 ? n / width : 0;
            memcpy(want, in, n);
            if (elements > 1)
                for (size_t i = 0; i < elements; i++)
                    for (size_t b = 0; b < width; b++) want[i * width + b] = in[b * elements + i];
            memset(out, 0xee, sizeof out);
            ns_unshuffle(out, in, n, width);
            if (n > 0) assert_memory_equal(out, want, n);
            assert_int_equal(out[n], 0xee);
        }
}

static void unshuffles_some_rows(void **state)
{
    (void)state;
    enum { ELEMENTS = 333 };
    for (size_t width = 1; width <= 9; width++) {
        unsigned char in[ELEMENTS * 9], all[ELEMENTS * 9], out[ELEMENTS * 9 + 1];
        for (size_t i = 0; i < ELEMENTS * width; i++) in[i] = (unsigned char)(i * 37 + i / 11);
        ns_unshuffle(all, in, ELEMENTS * width, width);
        for (size_t first = 0; first <= ELEMENTS; first += 9)
            for (size_t n = 0; first + n <= ELEMENTS; n += n < 34 ? 1 : 71) {
                memset(out, 0xee, sizeof out);
                ns_unshuffle_rows(out, in, ELEMENTS, width, first, n);
                assert_memory_equal(out, all + first * width, n * width);
                assert_int_equal(out[n * width], 0xee);
            }
    }
}

/* Decoded apart and put together is decoded. */
static void decodes_apart(void **state)
{
    (void)state;
    const unsigned char stream[] = {0x78, 0x9c, 0x4b, 0x4c, 0xa4, 0x3d, 0x00, 0x00, 0x7a, 0x47, 0x25, 0xe5}; /* 100 times 'a' */
    unsigned char summed[104], want[104], got[104];
    for (int i = 0; i < 100; i++) summed[i] = (unsigned char)(i * i);
    uint32_t sum = ns_fletcher32(summed, 100);
    for (int i = 0; i < 4; i++) summed[100 + i] = (unsigned char)(sum >> 8 * i);
    const ns_filter_kind S = NS_FILTER_SHUFFLE, D = NS_FILTER_DEFLATE, F = NS_FILTER_FLETCHER32;
    const struct {
        ns_pipeline pipeline;
        uint32_t mask;
        const unsigned char *stored;
        size_t n_stored, n_cells;
        bool right, shuffled;
    } cases[] = {
        {{1, {S}, 4}, 0, summed, 100, 100, true, true},           {{1, {S}, 4}, 1, summed, 100, 100, true, false},
        {{1, {S}, 4}, 0, summed, 100, 99, false, false},          {{2, {S, F}, 4}, 0, summed, 104, 100, true, true},
        {{2, {S, F}, 4}, 0, summed, 103, 99, false, false},       {{2, {F, S}, 2}, 2, summed, 104, 100, true, false},
        {{2, {S, D}, 4}, 0, stream, sizeof stream, 100, true, true}, {{2, {S, D}, 4}, 1, stream, sizeof stream, 100, true, false},
        {{2, {S, D}, 4}, 0, stream, sizeof stream, 96, false, false}, {{2, {S, D}, 4}, 0, stream, 9, 100, false, false},
        {{1, {D}, 0}, 0, stream, sizeof stream, 100, true, false}, {{1, {S}, 60}, 0, summed, 100, 100, true, false},
        {{0}, 0, summed, 100, 100, true, false},                  {{0}, 0, summed, 100, 99, false, false},
    };
    ns_decoder *decoder;
    CHECK_OK(ns_decoder_create(&decoder));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const void *bytes;
        bool shuffled;
        bool right = ns_decode_apart(decoder, &cases[i].pipeline, cases[i].mask, cases[i].stored, cases[i].n_stored, &bytes, &shuffled,
                                     cases[i].n_cells);
        assert_int_equal(right, cases[i].right);
        if (!right) continue;
        size_t n = cases[i].n_cells, width = cases[i].pipeline.shuffle_bytes;
        assert_int_equal(shuffled, cases[i].shuffled);
        if (shuffled) ns_unshuffle_rows(got, bytes, n / width, width, 0, n / width);
        else if (n > 0) memcpy(got, bytes, n);
        assert_true(ns_decode(decoder, &cases[i].pipeline, cases[i].mask, cases[i].stored, cases[i].n_stored, want, n));
        assert_memory_equal(got, want, n);
    }
    ns_decoder_destroy(&decoder);
}

/* The loops of every instruction set that this processor has, and how many. */
static int levels_here(const ns_cell_loops *levels[4])
{
    int n = 0;
    levels[n++] = ns_cell_loops_here();
    levels[n++] = &ns_cell_loops_baseline;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma")) levels[n++] = &ns_cell_loops_avx2;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        levels[n++] = &ns_cell_loops_avx512;
#endif
    return n;
}

/* Each instruction set against one cell at a time; in place and not. */
static void cells_become_canonical_alike(void **state)
{
    (void)state;
    enum { MOST = 300 };
    const uint32_t special[] = {0, 0x80000000u, 0x7fc00000u, 0xffc00000u, 0x7f800001u, 0xffffffffu, 0x7f800000u, 0xff800000u,
                                1, 0x80000001u, 0x3f800000u, 0x4b000000u, 0x4affffffu, 0xcaffffffu, 0xcb000001u};
    const ns_cell_loops *levels[4];
    int n_levels = levels_here(levels);
    for (int n = 0; n <= MOST; n += n < 70 ? 1 : 23)
        for (int kind = 0; kind < 3; kind++) { /* whole cells alone; all; one with a fraction, the last */
            uint32_t in[MOST], want[MOST], out[MOST + 1];
            int fraction = 0;
            for (int i = 0; i < n; i++) {
                float whole = (float)((i * 7919) % 10007 - 5000);
                memcpy(&in[i], &whole, sizeof whole);
                if (kind == 1 && i % 3 != 0) in[i] = special[i % (int)(sizeof special / sizeof *special)];
                if (kind == 2 && i == n - 1) in[i] = 0x3f000000u;
                float cell;
                memcpy(&cell, &in[i], sizeof cell);
                fraction = fraction || (fabsf(cell) < 8388608.0f && truncf(cell) != cell);
                want[i] = isnan(cell) ? 0x7fc00000u : in[i] == 0x80000000u ? 0 : in[i];
            }
            for (int l = 0; l < n_levels; l++)
                for (int way = 0; way < 4; way++) { /* in place or not, looking or not */
                    memset(out, 0xee, sizeof out);
                    if (way % 2 == 0) memcpy(out, in, (size_t)n * sizeof *in);
                    const float *from = (const float *)(const void *)(way % 2 == 0 ? out : in);
                    if (way < 2) levels[l]->canonical((float *)(void *)out, from, n);
                    else assert_int_equal(levels[l]->canonical_and_look((float *)(void *)out, from, n), fraction);
                    if (n > 0) assert_memory_equal(out, want, (size_t)n * sizeof *out);
                    assert_int_equal(out[n], 0xeeeeeeeeu);
                }
        }
}

/* Few and many cells, of all parts, of one alone, of none; nothing is written but a part's own places. */
static void cells_are_parted_alike(void **state)
{
    (void)state;
    enum { MOST = 300, GUARD = 0x5a };
    const ns_cell_loops *levels[4];
    int n_levels = levels_here(levels);
    for (int n = 0; n <= MOST; n += n < 70 ? 1 : 23)
        for (int kind = 0; kind < 6; kind++)
            for (int l = 0; l < n_levels; l++) {
                uint32_t cells[MOST + 1], out[4][MOST + 1], want[4][MOST];
                uint8_t part[MOST + 1];
                int n_of[4] = {0};
                for (int i = 0; i < n; i++) {
                    cells[i] = (uint32_t)i * 2654435761u;
                    part[i] = (uint8_t)(kind < 4 ? kind : kind == 4 ? i * 7 % 13 % 4 : 1 + (i * 31 % 10 == 0));
                    want[part[i]][n_of[part[i]]++] = cells[i];
                }
                memset(out, GUARD, sizeof out);
                unsigned char *to[4];
                for (int p = 0; p < 4; p++) to[p] = (unsigned char *)out[p];
                levels[l]->part(to, cells, part, n);
                for (int p = 0; p < 4; p++) {
                    int got = p == 0 ? 0 : n_of[p];
                    assert_ptr_equal(to[p], (unsigned char *)(out[p] + got));
                    if (got > 0) assert_memory_equal(out[p], want[p], (size_t)got * sizeof **out);
                    for (int i = got; i <= MOST; i++) assert_int_equal(out[p][i], 0x5a5a5a5au);
                }
            }
}

/* Cells of every length, of few and of many texts: the same where they are equal, never where they differ. */
static void same_cells_are_found(void **state)
{
    (void)state;
    enum { CELLS = 2048, MOST = 40 };
    char *cells = malloc(CELLS * MOST);
    int32_t *same = malloc((CELLS + 1) * sizeof *same), *first = malloc((CELLS + 1) * sizeof *first);
    static const size_t sizes[] = {1, 2, 5, 7, 8, 9, 15, 16, 17, 24, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int n_texts = 1; n_texts <= 3000; n_texts = n_texts * 5 + 1) {
            size_t size = sizes[s];
            memset(cells, 'x', CELLS * MOST);
            for (int i = 0; i < CELLS; i++) { /* they differ in one place alone: at the beginning, in the middle, at the end */
                size_t place = s % 3 == 0 ? 0 : s % 3 == 1 ? size / 2 : size - 1;
                int text = i * 1237 % n_texts;
                cells[(size_t)i * size + place] = (char)(text % 251);
                if (size > 1) cells[(size_t)i * size + (place + 1) % size] = (char)(text / 251);
            }
            same[CELLS] = first[CELLS] = -77;
            int64_t n = ns_same_cells(same, first, cells, size, CELLS);
            assert_in_range(n, 1, CELLS);
            for (int i = 0; i < CELLS; i++) {
                assert_in_range(same[i], 0, n - 1);
                assert_true(first[same[i]] <= i);
                assert_memory_equal(cells + (size_t)first[same[i]] * size, cells + (size_t)i * size, size);
            }
            for (int64_t k = 1; k < n; k++) assert_true(first[k] > first[k - 1]);
            if (n_texts == 1) assert_int_equal(n, 1);
            if (n_texts == 6 && size <= 16) assert_true(n < CELLS / 8); /* it helps; longer texts are told apart by their ends first */
            assert_int_equal(same[CELLS], -77);
            assert_int_equal(first[CELLS], -77);
        }
    assert_int_equal(ns_same_cells(same, first, cells, 4, 0), 0);
    free(cells);
    free(same);
    free(first);
}

/* Streams that are cut, lengthened, or of another size. */
static void refuses_damaged_chunks(void **state)
{
    (void)state;
    ns_decoder *decoder;
    CHECK_OK(ns_decoder_create(&decoder));
    /* 100 bytes of 'a', by zlib */
    const unsigned char stream[] = {0x78, 0x9c, 0x4b, 0x4c, 0xa4, 0x3d, 0x00, 0x00, 0x7a, 0x47, 0x25, 0xe5};
    unsigned char cells[200];
    ns_pipeline deflated = {.n = 1, .filter = {NS_FILTER_DEFLATE}}, checked = {.n = 1, .filter = {NS_FILTER_FLETCHER32}};
    ns_pipeline both = {.n = 2, .filter = {NS_FILTER_DEFLATE, NS_FILTER_FLETCHER32}}, none = {0};
    memset(cells, 0, sizeof cells);
    assert_true(ns_decode(decoder, &deflated, 0, stream, sizeof stream, cells, 100));
    for (int i = 0; i < 100; i++) assert_int_equal(cells[i], 'a');
    assert_false(ns_decode(decoder, &deflated, 0, stream, sizeof stream, cells, 99));
    assert_false(ns_decode(decoder, &deflated, 0, stream, sizeof stream, cells, 101));
    for (size_t n = 0; n < sizeof stream; n++) assert_false(ns_decode(decoder, &deflated, 0, stream, n, cells, 100));
    for (size_t n = 0; n < 5; n++) {
        assert_false(ns_decode(decoder, &checked, 0, stream, n, cells, 100));
        assert_false(ns_decode(decoder, &both, 0, stream, n, cells, 100));
    }
    assert_true(ns_decode(decoder, &both, 3, cells, 100, cells + 100, 100)); /* neither was applied */
    assert_false(ns_decode(decoder, &none, 0, stream, sizeof stream, cells, 100));
    ns_decoder_destroy(&decoder);
    assert_null(decoder);
}

static void sums_as_hdf5_does(void **state)
{
    (void)state;
    unsigned char bytes[2001];
    for (int i = 0; i < 2001; i++) bytes[i] = 0xff;
    assert_int_equal(ns_fletcher32(bytes, 0), 0);
    assert_int_equal(ns_fletcher32("\x01\x02", 2), 0x01020102);
    assert_int_equal(ns_fletcher32("\x01\x02\x03", 3), 0x05040402);
    assert_int_equal(ns_fletcher32(bytes, 2000), 0xffffffff); /* sums stay within their 32 bits */
}

static void widens_halves(void **state)
{
    (void)state;
    const uint16_t halves[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00};
    const float want[] = {0.0f, -0.0f, 0x1p-24f, -0x1.ff8p-15f, 0x1p-14f, 1.0f, -2.0f, 65504.0f, 1.0f / 0.0f, -1.0f / 0.0f};
    float out[10];
    ns_cell cell = {.class = NS_CELL_FLOAT, .n_bytes = 2};
    ns_cells_widen(out, NS_AS_FLOAT, halves, &cell, 10);
    assert_memory_equal(out, want, sizeof want);
    const uint16_t nan = 0x7e01;
    ns_cells_widen(out, NS_AS_FLOAT, &nan, &cell, 1);
    assert_true(out[0] != out[0]);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    ns_h5_quiet();
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_after_short_and_interrupted_reads), cmocka_unit_test(waits_for_a_stale_handle),
        cmocka_unit_test(falls_back_on_hdf5), cmocka_unit_test(undoes_shuffle_of_any_width),
        cmocka_unit_test(unshuffles_some_rows), cmocka_unit_test(decodes_apart), cmocka_unit_test(cells_become_canonical_alike), cmocka_unit_test(cells_are_parted_alike), cmocka_unit_test(same_cells_are_found),
        cmocka_unit_test(refuses_damaged_chunks), cmocka_unit_test(sums_as_hdf5_does), cmocka_unit_test(widens_halves),
    };
    int result = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    MPI_Finalize();
    return result;
}
