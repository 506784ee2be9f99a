/*
 * What the writer wrote is read back through data/cohort.h. Disk faults come from the test hook of
 * data/durable.h and from a full file system, in a process of their own: this program, called again with the
 * name of a file.
 */
#include <dirent.h>
#include <math.h>
#include <mpi.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/cohort.h"
#include "data/cohort_writer.h"
#include "data/h5.h"
#include "tests/check.h"
#include "tests/data/both_ways.h"

enum { ROWS = 150001 };
static char folder[64];
static const char *self;

static const char *in_folder(const char *name)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static float number_at(int64_t row)
{
    return row % 10 == 3 ? NAN : (float)(row % 4001) / 4.0f;
}

static int64_t time_at(int64_t row)
{
    return row % 7 == 0 ? NS_TIME_MISSING : 1700000000 + row;
}

static ns_status append_text(ns_texts *texts, int64_t row)
{
    char text[40];
    int n =
        row % 11 == 0 ? 0 : snprintf(text, sizeof text, "p\xc3\xa9-%lld", (long long)(row * row % 1000003));
    return ns_texts_append(texts, text, n);
}

/* All kinds, n rows appended in pieces of `piece`. */
static ns_status write_kinds(ns_cohort_writer *writer, int64_t n, int64_t piece)
{
    static float numbers[ROWS];
    static int32_t codes[ROWS];
    static int64_t times[ROWS], ids[ROWS];
    ns_texts levels = {0}, texts = {0};
    ns_status status = NS_OK;
    for (int64_t i = 0; i < n; i++) {
        numbers[i] = number_at(i);
        codes[i] = (int32_t)(i % 4) - 1;
        times[i] = time_at(i);
        ids[i] = i * 1000003;
    }
    NS_TRY(ns_cohort_writer_column(writer, "age/years", NS_COL_NUMBER, false, "a", "age at admission"));
    for (int64_t at = 0; at < n; at += piece)
        NS_TRY(ns_cohort_writer_numbers(writer, numbers + at, n - at < piece ? n - at : piece));
    NS_TRY(ns_cohort_writer_column(writer, "sex", NS_COL_CATEGORY, false, NULL, NULL));
    for (int64_t at = 0; at < n; at += piece)
        NS_TRY(ns_cohort_writer_codes(writer, codes + at, n - at < piece ? n - at : piece));
    for (int i = 0; i < 3; i++)
        NS_TRY(ns_texts_append(&levels, i == 0 ? "w" : i == 1 ? "m" : "\xc3\xa9", i == 2 ? 2 : 1));
    status = ns_cohort_writer_levels(writer, &levels);
    ns_texts_destroy(&levels);
    NS_TRY(status);
    NS_TRY(ns_cohort_writer_column(writer, "at", NS_COL_TIME, false, NULL, ""));
    for (int64_t at = 0; at < n; at += piece)
        NS_TRY(ns_cohort_writer_times(writer, times + at, n - at < piece ? n - at : piece));
    NS_TRY(ns_cohort_writer_column(writer, "row", NS_COL_ID, false, NULL, NULL));
    for (int64_t at = 0; at < n; at += piece)
        NS_TRY(ns_cohort_writer_id_ints(writer, ids + at, n - at < piece ? n - at : piece));
    NS_TRY(ns_cohort_writer_column(writer, "patient", NS_COL_ID, true, NULL, NULL));
    for (int64_t at = 0; at < n && status == NS_OK; at += piece) {
        ns_texts_clear(&texts);
        for (int64_t i = at; i < at + piece && i < n && status == NS_OK; i++) status = append_text(&texts, i);
        if (status == NS_OK) status = ns_cohort_writer_id_texts(writer, &texts);
    }
    ns_texts_destroy(&texts);
    return status;
}

/* Codes take the least bytes that hold all levels, and come back the same. */
static void codes_are_narrow(void **test)
{
    (void)test;
    static const int64_t n_levels[] = {0, 1, 128, 129, 32768, 32769};
    static const size_t bytes[] = {1, 1, 1, 2, 2, 4};
    enum { N = 70000 };
    static int32_t codes[N], again[N];
    for (int k = 0; k < 6; k++) {
        const char *path = in_folder("narrow.h5");
        ns_cohort_writer *writer;
        ns_texts levels = {0};
        CHECK_OK(ns_cohort_writer_open(&writer, path, NULL));
        CHECK_OK(ns_cohort_writer_column(writer, "c", NS_COL_CATEGORY, false, NULL, NULL));
        CHECK_OK(ns_cohort_writer_n_levels(writer, n_levels[k]));
        for (int64_t i = 0; i < N; i++) codes[i] = (int32_t)(i % (n_levels[k] + 1)) - 1;
        CHECK_OK(ns_cohort_writer_codes(writer, codes, N));
        CHECK_FAILS(ns_cohort_writer_n_levels(writer, n_levels[k]), NS_EINVAL, "where none is expected");
        ns_cohort_writer_close(&writer);
        CHECK_OK(ns_cohort_writer_open(&writer, path, NULL));
        CHECK_OK(ns_cohort_writer_column(writer, "c", NS_COL_CATEGORY, false, NULL, NULL));
        CHECK_OK(ns_cohort_writer_n_levels(writer, n_levels[k]));
        CHECK_OK(ns_cohort_writer_codes(writer, codes, N));
        for (int64_t i = 0; i < n_levels[k]; i++) {
            char text[20];
            CHECK_OK(ns_texts_append(&levels, text, snprintf(text, sizeof text, "%06d", (int)i)));
        }
        CHECK_OK(ns_cohort_writer_levels(writer, &levels));
        CHECK_OK(ns_cohort_writer_finish(writer));
        ns_cohort_writer_close(&writer);
        ns_texts_destroy(&levels);
        hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "columns/c", H5P_DEFAULT);
        hid_t type = H5Dget_type(set);
        assert_int_equal(H5Tget_size(type), bytes[k]);
        assert_true(H5Dread(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, again) >= 0);
        H5Tclose(type);
        H5Dclose(set);
        H5Fclose(file);
        assert_memory_equal(again, codes, sizeof codes);
        unlink(path);
    }
}

static ns_status write_whole(const char *path, int64_t n, int64_t piece, const ns_cohort_options *options)
{
    ns_cohort_writer *writer;
    NS_TRY(ns_cohort_writer_open(&writer, path, options));
    ns_status status = write_kinds(writer, n, piece);
    if (status == NS_OK) status = ns_cohort_writer_finish(writer);
    ns_cohort_writer_close(&writer);
    return status;
}

static ns_cohort *open_path(const char *path)
{
    ns_texts files = {0};
    ns_cohort *cohort;
    CHECK_OK(ns_texts_append(&files, path, (int64_t)strlen(path)));
    CHECK_OK(ns_cohort_open(&cohort, &files, NS_LAYOUT_COLUMNS, MPI_COMM_SELF));
    ns_texts_destroy(&files);
    return cohort;
}

static int count_files(void)
{
    DIR *listing = opendir(folder);
    int n = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        n += entry->d_name[0] != '.';
    closedir(listing);
    return n;
}

static void check_rows(const char *path, int64_t n)
{
    ns_cohort *cohort = open_path(path);
    assert_int_equal(ns_cohort_n_rows(cohort), n);
    assert_int_equal(ns_cohort_n_columns(cohort), 5);
    int32_t all[5] = {0, 1, 2, 3, 4};
    CHECK_OK(ns_cohort_prepare(cohort, all, 5, MPI_COMM_SELF));
    const ns_column *age = ns_cohort_column(cohort, 0), *sex = ns_cohort_column(cohort, 4);
    assert_string_equal(age->name, "age/years");
    assert_string_equal(age->unit, "a");
    assert_string_equal(age->description, "age at admission");
    assert_string_equal(sex->name, "sex");
    assert_string_equal(sex->unit, "");
    float *numbers = malloc(((size_t)n + 1) * sizeof *numbers);
    int32_t *codes = malloc(((size_t)n + 1) * sizeof *codes);
    int64_t *times = malloc(((size_t)n + 1) * sizeof *times), *ids = malloc(((size_t)n + 1) * sizeof *ids);
    ns_texts patients = {0}, want = {0};
    CHECK_OK(ns_cohort_read_number(cohort, 0, 0, n, numbers));
    CHECK_OK(ns_cohort_read_time(cohort, 1, 0, n, times));
    CHECK_OK(ns_cohort_read_id_text(cohort, 2, 0, n, &patients));
    CHECK_OK(ns_cohort_read_id_int(cohort, 3, 0, n, ids));
    CHECK_OK(ns_cohort_read_codes(cohort, 4, 0, n, codes));
    static const int32_t sorted[4] = {-1, 1, 0, 2}; /* w, m, é become m, w, é */
    for (int64_t i = 0; i < n; i++) {
        float number = number_at(i);
        assert_true(isnan(number) ? isnan(numbers[i]) : numbers[i] == number);
        assert_int_equal(codes[i], sorted[i % 4]);
        assert_int_equal(times[i], time_at(i));
        assert_int_equal(ids[i], i * 1000003);
        CHECK_OK(append_text(&want, i));
    }
    assert_int_equal(patients.n, n);
    if (n > 0) {
        assert_memory_equal(patients.offset, want.offset, (size_t)(n + 1) * sizeof *want.offset);
        assert_memory_equal(patients.bytes, want.bytes, (size_t)want.offset[n]);
    }
    ns_texts_destroy(&patients);
    ns_texts_destroy(&want);
    free(numbers);
    free(codes);
    free(times);
    free(ids);
    ns_cohort_close(&cohort);
}

static void reads_back(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 31, 65535, 65536, 65537, ROWS},
                         pieces[] = {1, 3, 31, 65536, 70000, 1000, ROWS};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_OK(write_whole(in_folder("kinds.h5"), sizes[i], pieces[i], NULL));
        check_rows(in_folder("kinds.h5"), sizes[i]);
        assert_int_equal(count_files(), 1); /* replaced, and nothing beside it */
    }
    static const ns_cohort_options plain = {.chunk_rows = 1000, .deflate = 0},
                                   dense = {.chunk_rows = 0, .deflate = 9};
    CHECK_OK(write_whole(in_folder("kinds.h5"), 12345, 777, &plain));
    check_rows(in_folder("kinds.h5"), 12345);
    CHECK_OK(write_whole(in_folder("kinds.h5"), 12345, 777, &dense));
    check_rows(in_folder("kinds.h5"), 12345);
    check_both_ways(in_folder("kinds.h5"), ALL_FAST);
    unlink(in_folder("kinds.h5"));
}

static void stores_as_promised(void **state)
{
    (void)state;
    CHECK_OK(write_whole(in_folder("form.h5"), ROWS, ROWS, NULL));
    hid_t file, set, list, type;
    CHECK_OK(ns_h5_open_read(&file, in_folder("form.h5"), NS_EIO));
    set = H5Dopen2(file, "/columns/age%2Fyears", H5P_DEFAULT);
    list = H5Dget_create_plist(set);
    type = H5Dget_type(set);
    hsize_t chunk;
    hbool_t times = 1;
    unsigned flags, value;
    size_t n_values = 1;
    assert_int_equal(H5Pget_chunk(list, 1, &chunk), 1);
    assert_int_equal(chunk, 65536);
    assert_int_equal(H5Pget_nfilters(list), 2);
    assert_int_equal(H5Pget_filter2(list, 0, &flags, &n_values, &value, 0, NULL, NULL), H5Z_FILTER_SHUFFLE);
    n_values = 1;
    assert_int_equal(H5Pget_filter2(list, 1, &flags, &n_values, &value, 0, NULL, NULL), H5Z_FILTER_DEFLATE);
    assert_int_equal(value, 1);
    assert_true(H5Pget_obj_track_times(list, &times) >= 0 && !times);
    assert_true(H5Tequal(type, H5T_IEEE_F32LE) > 0);
    H5Tclose(type);
    H5Pclose(list);
    H5Dclose(set);
    H5Fclose(file);
    unlink(in_folder("form.h5"));
}

static void refuses_wrong_calls(void **state)
{
    (void)state;
    float number = 1;
    int64_t whole = 1;
    int32_t code = 0;
    ns_texts texts = {0};
    CHECK_OK(ns_texts_append(&texts, "a", 1));
    for (int way = 0; way < 8; way++) {
        ns_cohort_writer *writer;
        CHECK_OK(ns_cohort_writer_open(&writer, in_folder("wrong.h5"), NULL));
        if (way < 4 || way == 6)
            CHECK_OK(ns_cohort_writer_column(writer, "v", NS_COL_NUMBER, false, NULL, NULL));
        if (way == 0)
            CHECK_FAILS(ns_cohort_writer_times(writer, &whole, 1), NS_EINVAL,
                        "of kind time were given to a column");
        if (way == 1)
            CHECK_FAILS(ns_cohort_writer_id_texts(writer, &texts), NS_EINVAL, "texts were given to a column");
        if (way == 2)
            CHECK_FAILS(ns_cohort_writer_levels(writer, &texts), NS_EINVAL,
                        "levels were given to a column that has none");
        if (way == 3) {
            CHECK_OK(ns_cohort_writer_numbers(writer, &number, 1));
            CHECK_OK(ns_cohort_writer_column(writer, "w", NS_COL_ID, false, NULL, NULL));
            CHECK_FAILS(ns_cohort_writer_column(writer, "x", NS_COL_ID, false, NULL, NULL), NS_EINVAL,
                        "column 'w' was given 0 rows, the columns before it 1");
        }
        if (way == 4) {
            CHECK_OK(ns_cohort_writer_column(writer, "c", NS_COL_CATEGORY, false, NULL, NULL));
            CHECK_OK(ns_cohort_writer_codes(writer, &code, 1));
            CHECK_FAILS(ns_cohort_writer_finish(writer), NS_EINVAL,
                        "the levels of column 'c' were not given");
        }
        if (way == 5)
            CHECK_FAILS(ns_cohort_writer_finish(writer), NS_EINVAL, "a cohort needs at least one column");
        if (way == 6) {
            CHECK_FAILS(ns_cohort_writer_id_ints(writer, &whole, 1), NS_EINVAL, "another kind");
            CHECK_FAILS(ns_cohort_writer_finish(writer), NS_EIO, "an earlier write failed");
        }
        if (way == 7) CHECK_FAILS(ns_cohort_writer_id_ints(writer, &whole, 1), NS_EINVAL, "another kind");
        ns_cohort_writer_close(&writer);
        assert_null(writer);
        assert_int_equal(count_files(), 0);
    }
    ns_texts_destroy(&texts);
    ns_cohort_writer *writer;
    CHECK_FAILS(ns_cohort_writer_open(&writer, in_folder("absent/x.h5"), NULL), NS_EIO,
                "x.h5.lock': No such file or directory");
    assert_null(writer);
}

/* ---- faults, in a child ---- */

/* What the child does: exit 0, or the exit code of the failure after one line on stdout. */
static int child(const char *path)
{
    ns_status status = write_whole(path, ROWS, 10000, NULL);
    if (status != NS_OK) printf("%s\n", ns_last_error()->message);
    return ns_exit_code(status);
}

/* Runs the child with a fault and a limit on the size of files (0: none); returns wait's status, its line in
 * message. */
static int run_child(const char *fault, rlim_t limit, char message[300])
{
    int ends[2];
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
        execl(self, self, in_folder("child.h5"), (char *)NULL);
        _exit(99);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], message, 299);
    message[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(process, &status, 0), process);
    return status;
}

static void has_one_writer_at_a_time(void **state)
{
    (void)state;
    ns_cohort_writer *first, *second;
    CHECK_OK(ns_cohort_writer_open(&first, in_folder("one.h5"), NULL));
    CHECK_FAILS(ns_cohort_writer_open(&second, in_folder("one.h5"), NULL), NS_EINVAL, "the cohort file is held by process");
    assert_int_equal(count_files(), 2); /* the lock and the temporary file of the first */
    ns_cohort_writer_close(&first);
    assert_int_equal(count_files(), 0);
}

static void publishes_whole_or_not(void **state)
{
    (void)state;
    static const char *const names[] = {"write:cohort:before", "write:cohort:torn", "write:cohort:after",
                                        "sync:cohort:before",  "sync:cohort:after", "rename:cohort:before"};
    char message[300], fault[60];
    CHECK_OK(write_whole(in_folder("child.h5"), 10, 10, NULL)); /* what a reader has today */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(fault, sizeof fault, "%s:fail", names[i]);
        int status = run_child(fault, 0, message);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        assert_non_null(strstr(message, "No space left on device"));
        assert_int_equal(count_files(), 1);
        snprintf(fault, sizeof fault, "%s:kill", names[i]);
        status = run_child(fault, 0, message);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_rows(in_folder("child.h5"), 10); /* the lock and PATH.tmp that stay are the next writer's */
    }
    assert_true(WIFSIGNALED(run_child("rename:cohort:after:kill", 0, message)));
    check_rows(in_folder("child.h5"), ROWS);
    unlink(in_folder("child.h5"));
}

/* Every size at which the disk may end, from the first byte to the last but one. */
static void survives_a_full_disk(void **state)
{
    (void)state;
    char message[300];
    CHECK_OK(write_whole(in_folder("child.h5"), ROWS, 10000, NULL));
    struct stat facts;
    assert_int_equal(stat(in_folder("child.h5"), &facts), 0);
    unlink(in_folder("child.h5"));
    for (rlim_t limit = 1; limit < (rlim_t)facts.st_size; limit += (rlim_t)facts.st_size / 12) {
        int status = run_child(NULL, limit, message);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
        if (strstr(message, "child.h5: cannot ") == NULL && strstr(message, "cannot write") == NULL)
            fail_msg("at %lu bytes: %s", (unsigned long)limit, message);
        assert_int_equal(count_files(), 0);
    }
    int status = run_child(NULL, (rlim_t)facts.st_size - 1, message);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_int_equal(count_files(), 0);
    status = run_child(NULL, 2 * (rlim_t)facts.st_size, message);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_rows(in_folder("child.h5"), ROWS);
    unlink(in_folder("child.h5"));
}

int main(int argc, char **argv)
{
    if (argc == 2) return child(argv[1]);
    MPI_Init(&argc, &argv);
    self = "/proc/self/exe";
    snprintf(folder, sizeof folder, "/tmp/nightshift-writer-XXXXXX");
    if (mkdtemp(folder) == NULL) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back),           cmocka_unit_test(stores_as_promised), cmocka_unit_test(codes_are_narrow),
        cmocka_unit_test(refuses_wrong_calls),  cmocka_unit_test(has_one_writer_at_a_time), cmocka_unit_test(publishes_whole_or_not),
        cmocka_unit_test(survives_a_full_disk),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (rmdir(folder) != 0) failed++;
    MPI_Finalize();
    return failed;
}
