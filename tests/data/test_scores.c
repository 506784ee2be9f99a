/* Score files: the same content gives the same bytes whatever the blocks, and what is torn or altered is
 * found. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/durable.h"
#include "data/h5.h"
#include "data/hash.h"
#include "data/scores.h"
#include "tests/check.h"

enum { ROWS = 20011 };
static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[2][200];
    static int turn;
    turn = 1 - turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

/* ---- made-up rows ---- */

typedef struct table {
    int64_t n, ids[ROWS], times[ROWS];
    uint8_t status[ROWS];
    float risk[ROWS], age[ROWS];
    int32_t unit[ROWS];
    ns_texts texts, levels;
} table;

static table *make_table(int64_t n)
{
    table *t = calloc(1, sizeof *t);
    t->n = n;
    for (int64_t i = 0; i < n; i++) {
        char text[40] = "";
        int length = i % 101 == 0 ? 0 : snprintf(text, sizeof text, "e-%lld", (long long)(i * 37 % 1000));
        CHECK_OK(ns_texts_append(&t->texts, text, length));
        t->ids[i] = i * 7919 - 40000;
        t->status[i] = (uint8_t)(i % 13 < 9 ? 0 : i % 13 - 8);
        t->risk[i] = t->status[i] == 0 ? (float)(i % 997) / 1024.0f : i % 2 == 0 ? NAN : -NAN;
        t->age[i] = (float)(i % 90);
        t->times[i] = i % 50 == 0 ? NS_TIME_MISSING : i * 3600;
        t->unit[i] = (int32_t)(i % 3) - 1;
    }
    CHECK_OK(ns_texts_append(&t->levels, "ICU", 3));
    CHECK_OK(ns_texts_append(&t->levels, "ward \xc3\xa9", 7));
    return t;
}

static void destroy_table(table *t)
{
    ns_texts_destroy(&t->texts);
    ns_texts_destroy(&t->levels);
    free(t);
}

static ns_texts slice(const ns_texts *texts, int64_t from, int64_t n)
{
    ns_texts out = {0};
    for (int64_t i = from; i < from + n; i++)
        CHECK_OK(
            ns_texts_append(&out, texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]));
    return out;
}

/* Ids as integers or texts; 0, 1 or 5 kept columns. */
typedef struct form {
    bool text_ids;
    int32_t n_keep;
} form;

static ns_status append(ns_scores_writer *writer, const table *t, form how, int64_t at, int64_t n)
{
    ns_texts texts = slice(&t->texts, at, n);
    const void *keep[5] = {t->age + at, t->unit + at, t->times + at, t->ids + at, &texts};
    ns_scores_block block = {.n_rows = n, .status = t->status + at, .risk = t->risk + at, .keep = keep};
    if (how.text_ids)
        block.id_text = &texts;
    else
        block.id_int = t->ids + at;
    ns_status status = ns_scores_writer_append(writer, &block);
    ns_texts_destroy(&texts);
    return status;
}

static ns_status open_writer(ns_scores_writer **out, const char *path, const table *t, form how)
{
    const ns_keep_column keep[5] = {{.name = "age/years", .kind = NS_COL_NUMBER},
                                    {.name = "unit", .kind = NS_COL_CATEGORY, .levels = &t->levels},
                                    {.name = "at", .kind = NS_COL_TIME},
                                    {.name = "number", .kind = NS_COL_ID},
                                    {.name = "patient", .kind = NS_COL_ID, .is_text = true, .text_bytes = 5}};
    const ns_scores_setup setup = {.path = path,
                                   .n_rows = t->n,
                                   .id_is_text = how.text_ids,
                                   .id_bytes = 5,
                                   .name = "readmission-30d",
                                   .version = "v3",
                                   .bundle_id = "5f1c9a20",
                                   .as_of = "2026-11-20",
                                   .keep = keep,
                                   .n_keep = how.n_keep};
    return ns_scores_writer_open(out, &setup);
}

static ns_status write_table(const char *path, const table *t, form how, int64_t piece, char content[65])
{
    ns_scores_writer *writer;
    NS_TRY(open_writer(&writer, path, t, how));
    ns_status status = NS_OK;
    for (int64_t at = 0; at < t->n && status == NS_OK; at += piece)
        status = append(writer, t, how, at, t->n - at < piece ? t->n - at : piece);
    if (status == NS_OK) status = ns_scores_writer_finish(writer, content);
    ns_scores_writer_close(&writer);
    return status;
}

/* The content hash by its definition, in one buffer. */
static void define_content(const table *t, bool text_ids, char hex[65])
{
    uint8_t *cells = calloc((size_t)t->n + 1, 13), digest[32];
    for (int64_t i = 0; i < t->n; i++) {
        int64_t length = t->texts.offset[i + 1] - t->texts.offset[i];
        uint64_t id = (uint64_t)t->ids[i];
        if (text_ids) id = length == 0 ? 0 : ns_hash64(t->texts.bytes + t->texts.offset[i], (size_t)length);
        uint32_t risk = 0x7fc00000u;
        if (!isnan(t->risk[i])) memcpy(&risk, &t->risk[i], sizeof risk);
        for (int b = 0; b < 8; b++) cells[13 * i + b] = (uint8_t)(id >> (8 * b));
        cells[13 * i + 8] = t->status[i];
        for (int b = 0; b < 4; b++) cells[13 * i + 9 + b] = (uint8_t)(risk >> (8 * b));
    }
    ns_blake2b(digest, cells, 13 * (size_t)t->n);
    ns_hex(hex, digest, sizeof digest);
    free(cells);
}

/* ---- tests ---- */

static void names_every_status(void **state)
{
    (void)state;
    static const char *const want[NS_N_STATUS] = {"scored", "outside_cohort", "id_missing", "id_duplicate",
                                                  "value_infinite"};
    for (int i = 0; i < NS_N_STATUS; i++)
        assert_string_equal(ns_score_status_name((ns_score_status)i), want[i]);
}

static void reads_back_and_hashes(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 31, 257, 8192, 8193, ROWS};
    static const form forms[] = {{false, 0}, {true, 0}, {false, 5}, {true, 5}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
            table *t = make_table(sizes[i]);
            char content[65], want[65];
            ns_scores_info info;
            CHECK_OK(write_table(in_folder("s.h5"), t, forms[f], 1000, content));
            define_content(t, forms[f].text_ids, want);
            assert_string_equal(content, want);
            assert_true(ns_scores_is(in_folder("s.h5")));
            CHECK_OK(ns_scores_inspect(&info, in_folder("s.h5")));
            assert_string_equal(info.content, want);
            assert_int_equal(info.n_rows, sizes[i]);
            int64_t counts[NS_N_STATUS] = {0};
            for (int64_t row = 0; row < t->n; row++) counts[t->status[row]]++;
            assert_memory_equal(info.counts, counts, sizeof counts);
            assert_string_equal(info.name, "readmission-30d");
            assert_string_equal(info.version, "v3");
            assert_string_equal(info.bundle_id, "5f1c9a20");
            assert_string_equal(info.as_of, "2026-11-20");
            destroy_table(t);
        }
    unlink(in_folder("s.h5"));
}

static void has_the_same_bytes(void **state)
{
    (void)state;
    static const form forms[] = {{false, 0}, {true, 5}};
    static const int64_t pieces[] = {1, 777, 8192, ROWS};
    table *t = make_table(ROWS);
    for (size_t f = 0; f < 2; f++) {
        char *first = NULL, *other = NULL, content[65];
        size_t n_first = 0, n_other = 0;
        bool found;
        CHECK_OK(write_table(in_folder("a.h5"), t, forms[f], 5000, content));
        CHECK_OK(ns_read_whole(in_folder("a.h5"), &first, &n_first, &found));
        for (size_t p = 0; p < sizeof pieces / sizeof *pieces; p++) {
            CHECK_OK(write_table(in_folder("b.h5"), t, forms[f], pieces[p], content));
            CHECK_OK(ns_read_whole(in_folder("b.h5"), &other, &n_other, &found));
            assert_int_equal(n_first, n_other);
            assert_memory_equal(first, other, n_first);
            free(other);
        }
        free(first);
    }
    destroy_table(t);
    unlink(in_folder("a.h5"));
    unlink(in_folder("b.h5"));
}

/* What a reader without this program finds. */
static void stores_as_promised(void **state)
{
    (void)state;
    table *t = make_table(300);
    char content[65], *text;
    hid_t file;
    static const form how = {true, 5};
    CHECK_OK(write_table(in_folder("p.h5"), t, how, 100, content));
    CHECK_OK(ns_h5_open_read(&file, in_folder("p.h5"), NS_EVERIFY));
    static const char *const links[] = {"id",         "status",  "risk",        "keep/age%2Fyears",
                                        "keep/unit",  "keep/at", "keep/number", "keep/patient",
                                        "levels/unit"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        hid_t set = H5Dopen2(file, links[i], H5P_DEFAULT), list = H5Dget_create_plist(set);
        hbool_t times = 1;
        assert_int_equal(H5Pget_layout(list), H5D_CONTIGUOUS);
        assert_true(H5Pget_obj_track_times(list, &times) >= 0 && !times);
        H5Pclose(list);
        H5Dclose(set);
    }
    CHECK_OK(ns_h5_read_text_attribute(&text, file, "reasons", "p.h5", NS_EVERIFY));
    assert_string_equal(
        text,
        "{\"scored\":208,\"outside_cohort\":23,\"id_missing\":23,\"id_duplicate\":23,\"value_infinite\":23}");
    free(text);
    int32_t codes[300];
    float ages[300], risks[300];
    ns_texts read = {0};
    hid_t unit = H5Dopen2(file, "keep/unit", H5P_DEFAULT),
          age = H5Dopen2(file, "keep/age%2Fyears", H5P_DEFAULT);
    hid_t risk = H5Dopen2(file, "risk", H5P_DEFAULT), patient = H5Dopen2(file, "keep/patient", H5P_DEFAULT);
    hid_t levels = H5Dopen2(file, "levels/unit", H5P_DEFAULT);
    CHECK_OK(ns_h5_read_text_attribute(&text, unit, "kind", "p.h5", NS_EVERIFY));
    assert_string_equal(text, "category");
    free(text);
    assert_true(ns_h5_read_rows(unit, H5T_NATIVE_INT32, 0, 300, codes) >= 0);
    assert_true(ns_h5_read_rows(age, H5T_NATIVE_FLOAT, 0, 300, ages) >= 0);
    assert_true(ns_h5_read_rows(risk, H5T_NATIVE_FLOAT, 0, 300, risks) >= 0);
    assert_memory_equal(codes, t->unit, sizeof codes);
    assert_memory_equal(ages, t->age, sizeof ages);
    for (int i = 0; i < 300; i++) assert_true(isnan(t->risk[i]) ? isnan(risks[i]) : risks[i] == t->risk[i]);
    CHECK_OK(ns_h5_read_texts(&read, patient, 0, 300, "p.h5", "patient", NS_EVERIFY));
    assert_memory_equal(read.bytes, t->texts.bytes, (size_t)t->texts.offset[300]);
    ns_texts_clear(&read);
    CHECK_OK(ns_h5_read_texts(&read, levels, 0, 2, "p.h5", "levels", NS_EVERIFY));
    assert_memory_equal(read.bytes, "ICUward \xc3\xa9", 10);
    ns_texts_destroy(&read);
    H5Fclose(file);
    destroy_table(t);
    unlink(in_folder("p.h5"));
}

static void refuses_wrong_calls(void **state)
{
    (void)state;
    table *t = make_table(100);
    static const form ints = {false, 0}, texts = {true, 0};
    char content[65];
    ns_scores_writer *writer;
    CHECK_OK(open_writer(&writer, in_folder("w.h5"), t, ints));
    CHECK_OK(append(writer, t, ints, 0, 60));
    CHECK_FAILS(ns_scores_writer_finish(writer, content), NS_EINVAL, "w.h5: was given 60 of 100 rows");
    ns_scores_writer_close(&writer);
    assert_false(ns_path_exists(in_folder("w.h5")));

    CHECK_OK(open_writer(&writer, in_folder("w.h5"), t, ints));
    CHECK_OK(append(writer, t, ints, 0, 60));
    CHECK_FAILS(append(writer, t, ints, 0, 60), NS_EINVAL, "more than the 100 rows");
    CHECK_FAILS(ns_scores_writer_finish(writer, content), NS_EIO, "an earlier write failed");
    ns_scores_writer_close(&writer);
    assert_false(ns_path_exists(in_folder("w.h5")));

    CHECK_OK(open_writer(&writer, in_folder("w.h5"), t, ints));
    t->status[7] = 9;
    CHECK_FAILS(append(writer, t, ints, 0, 60), NS_EINVAL, "row 7 has an unknown status");
    ns_scores_writer_close(&writer); /* unfinished */
    assert_false(ns_path_exists(in_folder("w.h5")));
    destroy_table(t);

    t = make_table(1);
    ns_texts_clear(&t->texts);
    CHECK_OK(ns_texts_append(&t->texts, "longer than announced", 21));
    CHECK_OK(open_writer(&writer, in_folder("w.h5"), t, texts));
    CHECK_FAILS(append(writer, t, texts, 0, 1), NS_EIO, "the ids: a text of 21 bytes, room for 5");
    ns_scores_writer_close(&writer);
    CHECK_FAILS(open_writer(&writer, in_folder("absent/w.h5"), t, texts), NS_EIO,
                "w.h5': No such file");
    assert_null(writer);
    destroy_table(t);
}

/* ---- files that are none ---- */

/* Opens for writing what a test wants to spoil. */
static hid_t reopen(const char *name)
{
    hid_t file = H5Fopen(in_folder(name), H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void finds_what_is_wrong(void **state)
{
    (void)state;
    table *t = make_table(500);
    char content[65];
    ns_scores_info info;
    static const form how = {false, 0};
    static const char *const want[] = {"v.h5: is a truncated or damaged HDF5 file",
                                       "has no attribute reasons: it was not finished",
                                       "do not add up to its attribute reasons",
                                       "row 3 (counting from 0) has an unknown status",
                                       "has none of the data sets /risk and /prediction",
                                       "is a score file of format 2, this program reads 1",
                                       "is not a score file: no root attribute",
                                       "/id has 500 rows, n_rows says 499",
                                       "/risk holds values of another type",
                                       "attribute bundle_id has over 64 bytes",
                                       "has no attribute n_rows"};
    for (size_t way = 0; way < sizeof want / sizeof *want; way++) {
        CHECK_OK(write_table(in_folder("v.h5"), t, how, 500, content));
        uint8_t status = way == 2 ? 1 : 9;
        if (way == 0) {
            struct stat facts;
            assert_int_equal(stat(in_folder("v.h5"), &facts), 0);
            assert_int_equal(truncate(in_folder("v.h5"), facts.st_size - 1), 0);
        } else {
            hid_t file = reopen("v.h5"), set = H5Dopen2(file, "status", H5P_DEFAULT);
            if (way == 1) H5Adelete(file, "reasons");
            if (way == 2 || way == 3)
                assert_true(ns_h5_write_rows(set, H5T_NATIVE_UINT8, 3, 1, &status) >= 0);
            if (way == 4 || way == 8) H5Ldelete(file, "risk", H5P_DEFAULT);
            if (way == 8)
                assert_true(H5Lcreate_hard(file, "status", file, "risk", H5P_DEFAULT, H5P_DEFAULT) >= 0);
            if (way == 5 || way == 6) H5Adelete(file, "nightshift_scores");
            if (way == 5) CHECK_OK(ns_h5_write_int_attribute(file, "nightshift_scores", 2, "v.h5"));
            if (way == 7 || way == 10) H5Adelete(file, "n_rows");
            if (way == 7) CHECK_OK(ns_h5_write_int_attribute(file, "n_rows", 499, "v.h5"));
            if (way == 9) {
                char longer[66];
                memset(longer, 'a', 65);
                longer[65] = '\0';
                H5Adelete(file, "bundle_id");
                CHECK_OK(ns_h5_write_text_attribute(file, "bundle_id", longer, "v.h5"));
            }
            H5Dclose(set);
            H5Fclose(file);
        }
        CHECK_FAILS(ns_scores_inspect(&info, in_folder("v.h5")), NS_EVERIFY, want[way]);
        assert_int_equal(ns_scores_is(in_folder("v.h5")), way != 0 && way != 6);
    }
    unlink(in_folder("v.h5"));
    CHECK_FAILS(ns_scores_inspect(&info, in_folder("v.h5")), NS_EVERIFY, "v.h5: no such file");
    assert_false(ns_scores_is(in_folder("v.h5")));
    assert_false(ns_scores_is("/proc/self/exe"));
    assert_int_equal(ns_last_error()->code, NS_OK);
    destroy_table(t);
}

/* A changed risk changes nothing but the content hash. */
static void hashes_every_risk(void **state)
{
    (void)state;
    table *t = make_table(500);
    static const form how = {false, 0};
    char content[65];
    ns_scores_info info;
    CHECK_OK(write_table(in_folder("h.h5"), t, how, 500, content));
    hid_t file = reopen("h.h5"), set = H5Dopen2(file, "risk", H5P_DEFAULT);
    float risk = 0.5f;
    assert_true(ns_h5_write_rows(set, H5T_NATIVE_FLOAT, 499, 1, &risk) >= 0);
    H5Dclose(set);
    H5Fclose(file);
    CHECK_OK(ns_scores_inspect(&info, in_folder("h.h5")));
    assert_string_not_equal(info.content, content);
    destroy_table(t);
    unlink(in_folder("h.h5"));
}

/* ---- faults, in a child ---- */

static int child(const char *path)
{
    static const form how = {true, 5};
    table *t = make_table(ROWS);
    char content[65];
    ns_status status = write_table(path, t, how, 1000, content);
    if (status != NS_OK) printf("%s\n", ns_last_error()->message);
    destroy_table(t);
    return ns_exit_code(status);
}

static int run_child(const char *fault, rlim_t limit, char message[300])
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    fflush(stdout);
    pid_t process = fork();
    if (process == 0) {
        struct rlimit size = {limit, limit};
        dup2(ends[1], 1);
        close(ends[0]);
        if (fault != NULL) setenv("NIGHTSHIFT_TEST_FAULT", fault, 1);
        if (limit > 0) {
            signal(SIGXFSZ, SIG_IGN); /* the write fails with EFBIG, as a full disk would with ENOSPC */
            setrlimit(RLIMIT_FSIZE, &size);
        }
        execl("/proc/self/exe", "test_scores", in_folder("child.h5"), (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], message, 299);
    message[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void fails_cleanly(void **state)
{
    (void)state;
    static const char *const names[] = {"write:scores:before", "write:scores:torn", "write:scores:after",
                                        "sync:scores:before", "sync:scores:after"};
    char message[300], fault[60];
    ns_scores_info info;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(fault, sizeof fault, "%s:fail", names[i]);
        int status = run_child(fault, 0, message);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
        assert_non_null(strstr(message, "No space left on device"));
        assert_false(ns_path_exists(in_folder("child.h5")));
    }
    /* killed in the middle: whatever stands there is no score file */
    int status = run_child("write:scores:torn:kill", 0, message);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_FAILS(ns_scores_inspect(&info, in_folder("child.h5")), NS_EVERIFY, "child.h5: ");
    assert_int_equal(WEXITSTATUS(run_child(NULL, 0, message)), 0); /* written over */
    CHECK_OK(ns_scores_inspect(&info, in_folder("child.h5")));
    struct stat facts;
    assert_int_equal(stat(in_folder("child.h5"), &facts), 0);
    unlink(in_folder("child.h5"));
    for (rlim_t limit = 1; limit < (rlim_t)facts.st_size; limit += (rlim_t)facts.st_size / 12) {
        status = run_child(NULL, limit, message);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        if (strstr(message, "child.h5: cannot ") == NULL)
            fail_msg("at %lu bytes: %s", (unsigned long)limit, message);
        assert_false(ns_path_exists(in_folder("child.h5")));
    }
}

int main(int argc, char **argv)
{
    ns_h5_quiet();
    snprintf(folder, sizeof folder, "/tmp/nightshift-scores-XXXXXX");
    if (argc == 2) return child(argv[1]);
    if (mkdtemp(folder) == NULL) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_every_status),  cmocka_unit_test(reads_back_and_hashes),
        cmocka_unit_test(has_the_same_bytes),  cmocka_unit_test(stores_as_promised),
        cmocka_unit_test(refuses_wrong_calls), cmocka_unit_test(finds_what_is_wrong),
        cmocka_unit_test(hashes_every_risk),   cmocka_unit_test(fails_cleanly),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (rmdir(folder) != 0) failed++;
    return failed;
}
