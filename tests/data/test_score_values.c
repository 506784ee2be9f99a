/* Score files with a risk for each of several classes, and with predictions. */
#include <math.h>
#include <sodium.h>
#include <unistd.h>

#include "data/h5.h"
#include "data/hash.h"
#include "data/scores.h"
#include "tests/check.h"

enum { ROWS = 9001, K = 3 };
static char path[64];
static int64_t ids[ROWS];
static uint8_t statuses[ROWS];
static float values[ROWS * K];

static const ns_texts *names(void)
{
    static ns_texts texts;
    static const char *const all[K] = {"home", "über", "x"};
    for (int i = 0; texts.n < K; i++) CHECK_OK(ns_texts_append(&texts, all[i], (int64_t)strlen(all[i])));
    return &texts;
}

static void write_file(ns_score_kind kind, int64_t piece, char content[65])
{
    int32_t k = kind == NS_SCORE_CLASS_RISKS ? K : 1;
    for (int64_t i = 0; i < ROWS; i++) {
        ids[i] = 7 * i - 3;
        statuses[i] = i % 50 == 7 ? NS_OUTSIDE_COHORT : NS_SCORED;
        for (int32_t c = 0; c < k; c++) values[i * k + c] = statuses[i] == NS_SCORED ? (float)(i * k + c + 1) / 30000.0f : -NAN;
    }
    const ns_scores_setup setup = {.path = path, .n_rows = ROWS, .kind = kind, .classes = kind == NS_SCORE_CLASS_RISKS ? names() : NULL,
                                   .name = "care", .version = "", .bundle_id = "5f1c", .as_of = ""};
    ns_scores_writer *writer;
    CHECK_OK(ns_scores_writer_open(&writer, &setup));
    for (int64_t at = 0; at < ROWS; at += piece) {
        int64_t n = ROWS - at < piece ? ROWS - at : piece;
        const ns_scores_block block = {.n_rows = n, .id_int = ids + at, .status = statuses + at, .risk = values + at * k};
        CHECK_OK(ns_scores_writer_append(writer, &block));
    }
    CHECK_OK(ns_scores_writer_finish(writer, content));
    ns_scores_writer_close(&writer);
}

/* The content hash by its definition, in one buffer. */
static void define_content(int32_t k, char hex[65])
{
    size_t n_cell = 9 + 4 * (size_t)k, at = 0;
    uint8_t *cells = malloc(ROWS * n_cell), digest[32];
    for (int64_t i = 0; i < ROWS; i++) {
        for (int b = 0; b < 8; b++) cells[at++] = (uint8_t)((uint64_t)ids[i] >> (8 * b));
        cells[at++] = statuses[i];
        for (int32_t c = 0; c < k; c++) {
            uint32_t bits;
            memcpy(&bits, &values[i * k + c], 4);
            if (isnan(values[i * k + c])) bits = 0x7fc00000u;
            for (int b = 0; b < 4; b++) cells[at++] = (uint8_t)(bits >> (8 * b));
        }
    }
    crypto_generichash(digest, sizeof digest, cells, at, NULL, 0);
    ns_hex(hex, digest, sizeof digest);
    free(cells);
}

static void reads_back(void **state)
{
    (void)state;
    static const ns_score_kind kinds[] = {NS_SCORE_CLASS_RISKS, NS_SCORE_PREDICTION};
    for (int j = 0; j < 2; j++) {
        int32_t k = j == 0 ? K : 1, found;
        char content[65], again[65], want[65];
        ns_scores_info info;
        write_file(kinds[j], ROWS, content);
        write_file(kinds[j], 700, again);
        define_content(k, want);
        assert_string_equal(content, want);
        assert_string_equal(again, want);
        CHECK_OK(ns_scores_inspect(&info, path));
        assert_string_equal(info.content, want);
        assert_int_equal(info.kind, kinds[j]);
        assert_int_equal(info.n_values, k);

        hid_t file, set;
        ns_score_kind kind;
        ns_texts classes = {0};
        float row[K];
        CHECK_OK(ns_h5_open_read(&file, path, NS_EVERIFY));
        assert_int_equal(ns_h5_has_link(file, "prediction"), j == 1);
        assert_int_equal(ns_h5_has_link(file, "risk"), j == 0);
        CHECK_OK(ns_score_values_open(&set, &kind, &found, &classes, file, ROWS, path));
        assert_int_equal(classes.n, j == 0 ? K : 0);
        for (int64_t i = 0; i < classes.n; i++) assert_int_equal(ns_texts_compare(&classes, i, names(), i), 0);
        CHECK_OK(ns_score_values_read(set, 8000, 1, found, row, path));
        assert_memory_equal(row, values + 8000 * k, (size_t)k * sizeof *row);
        H5Dclose(set);
        H5Fclose(file);
        ns_texts_destroy(&classes);
    }
    unlink(path);
}

static void finds_what_is_wrong(void **state)
{
    (void)state;
    static const char *const want[] = {"but no attribute classes", "has both of the data sets", "/prediction is of another shape", "has 8999 rows"};
    for (int way = 0; way < 4; way++) {
        char content[65];
        ns_scores_info info;
        write_file(NS_SCORE_CLASS_RISKS, ROWS, content);
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, "risk", H5P_DEFAULT);
        hsize_t size[2] = {8999, K};
        if (way == 0) assert_true(H5Adelete(set, "classes") >= 0);
        if (way == 1) assert_true(H5Lcreate_hard(file, "risk", file, "prediction", H5P_DEFAULT, H5P_DEFAULT) >= 0);
        if (way == 2) assert_true(H5Lmove(file, "risk", file, "prediction", H5P_DEFAULT, H5P_DEFAULT) >= 0);
        if (way == 3) {
            hid_t space = H5Screate_simple(2, size, NULL);
            assert_true(H5Ldelete(file, "risk", H5P_DEFAULT) >= 0);
            hid_t other = H5Dcreate2(file, "risk", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
            assert_true(other >= 0);
            H5Dclose(other);
            H5Sclose(space);
        }
        H5Dclose(set);
        H5Fclose(file);
        CHECK_FAILS(ns_scores_inspect(&info, path), NS_EVERIFY, want[way]);
    }
    unlink(path);
}

int main(void)
{
    ns_h5_quiet();
    snprintf(path, sizeof path, "/tmp/nightshift-score-values-%ld.h5", (long)getpid());
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(finds_what_is_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
