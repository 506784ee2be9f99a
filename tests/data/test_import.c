/* From a CSV to a cohort file: the right table, or the right refusal and no file. */
#include "tests/check.h"

#include <inttypes.h>
#include <math.h>
#include <mpi.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/cohort.h"
#include "data/import.h"
#include "tests/data/table_text.h"

/* One CSV into one cohort. */
static ns_status import_csv(ns_import_report *report, const char *csv, const char *out, const ns_import_options *options)
{
    return ns_import_csv(report, &csv, 1, out, options);
}

#define TEXT(literal) (literal), (int64_t)(sizeof(literal) - 1)

/* Where a test writes; made by main. */
typedef struct places {
    char folder[64], csv[96], out[96];
} places;

/* ---- tables without a schema ---- */

typedef struct import_case {
    const char *bytes;
    int64_t n_bytes;
    const char *want; /* the table; or, where the import fails, what the message contains */
} import_case;

static const import_case good_cases[] = {
    {TEXT("a,b\n1,x\n2,y\n"), "a number: 1 2\nb category: x y\n"},
    {TEXT("a,b\r\n1,x\r\n2,y"), "a number: 1 2\nb category: x y\n"},
    {TEXT("\xef\xbb\xbf"
          "a\n1\n"),
     "a number: 1\n"},
    {TEXT("a,b\n"), "a number:\nb number:\n"},
    {TEXT("a,b\n,\n,\n"), "a number: - -\nb number: - -\n"},
    {TEXT("a\nNA\n?\nNaN\nnan\nNULL\n\n1.5\n"), "a number: - - - - - - 1.5\n"},
    {TEXT("a\nNone\nn/a\nna\n"), "a category: None n/a na\n"},
    {TEXT("a\n1\n2\nthree\n"), "a category: 1 2 three\n"},
    {TEXT("a\n-0\n+5\n1e3\n.5\n"), "a number: 0 5 1000 0.5\n"},
    {TEXT("a\n007\n008\n"), "a category: 007 008\n"},
    {TEXT("a\n16777217\n1\n"), "a category: 16777217 1\n"},
    {TEXT("a\n16777218\n1\n"), "a number: 16777218 1\n"},
    {TEXT("a\n72.33333333333333\n0.1\n"), "a number: 72.3333359 0.100000001\n"},
    {TEXT("a\n0x10\n"), "a category: 0x10\n"},
    {TEXT("a\ninf\n1\n"), "a category: inf 1\n"},
    {TEXT("a\n 1\n2\n"), "a category:  1 2\n"},
    {TEXT("a\n2024-03-01\n2024-03-01T08:30:00+01:00\nNA\n"), "a time: 1709251200 1709278200 -\n"},
    {TEXT("a\n2024-03-01\n01.03.2024\n"), "a category: 2024-03-01 01.03.2024\n"},
    {TEXT("a\n2024-02-30\n"), "a category: 2024-02-30\n"},
    {TEXT("a\nz\na\nZ\n\xc3\xa4\n"), "a category: z a Z \xc3\xa4\n"},
    {TEXT("a,b\n\"x,\"\"y\"\"\",\"l1\nl2\"\n\"\",2\n"), "a category: x,\"y\" -\nb category: l1\nl2 2\n"},
    {TEXT("a;b\n1,5;2\n"), "a category: 1,5\nb number: 2\n"},
    {TEXT("a\tb\n1.5\t2\n"), "a number: 1.5\nb number: 2\n"},
    {TEXT("w/h,\"q\"\"\"\n1,2\n"), "w/h number: 1\nq\" number: 2\n"},
    {TEXT("k\na\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\nr\ns\nt\nNA\nv\n"),
     "k id: a b c d e f g h i j k l m n o p q r s t - v\n"},
    {TEXT("k\n90000001\n90000002\n90000003\n90000004\n90000005\n90000006\n90000007\n90000008\n90000009\n90000"
          "010\n"
          "90000011\n90000012\n90000013\n90000014\n90000015\n90000016\n90000017\n90000018\n90000019\n90000021"
          "\n?\n-5\n"),
     "k id: 90000001 90000002 90000003 90000004 90000005 90000006 90000007 90000008 90000009 90000010 "
     "90000011 "
     "90000012 90000013 90000014 90000015 90000016 90000017 90000018 90000019 90000021 - -5\n"},
};

static void tables_are_imported(void **state)
{
    const places *at = *state;
    for (size_t i = 0; i < sizeof good_cases / sizeof good_cases[0]; i++) {
        ns_import_report report;
        table t;
        write_file(at->csv, good_cases[i].bytes, good_cases[i].n_bytes);
        CHECK_OK(import_csv(&report, at->csv, at->out, NULL));
        assert_int_equal(report.n_bytes, good_cases[i].n_bytes);
        read_table(&t, &report, at->out);
        if (strcmp(t.text, good_cases[i].want) != 0)
            fail_msg("case %zu: %snot: %s", i, t.text, good_cases[i].want);
        ns_import_report_free(&report);
        unlink(at->out);
    }
}

static const import_case bad_cases[] = {
    {TEXT("a,b\n1,2\n3\n"), "line 3: has 1 field, the header has 2"},
    {TEXT("a,b\n1,2\n3\n4,5\n6,7,8\n"), "line 3: has 1 field, the header has 2 (the first of 2 bad lines)"},
    {TEXT("a,b\n\"x\ny\",2\n3\n"), "line 4: has 1 field, the header has 2"},
    {TEXT("a,b\n1,\"2\n3,4\n"), "line 2: opens a quote that is never closed"},
    {TEXT("a,b\n1,2\"\n"), "line 2: has a quote inside a field"},
    {TEXT("a,b\n1,\0\n"), "line 2: has a NUL byte"},
    {TEXT("a,b\n1,\xe4\n"), "line 2: column 2 is not UTF-8 (byte 6 of the file)"},
    {TEXT("a,b\n1,2\n\n3,4\n"), "line 3: is empty"},
    {TEXT("a,,c\n"), "line 1: column 2 of 3 has no name"},
    {TEXT("a,b,b\n"), "line 1: columns 2 and 3 are both named 'b'"},
    {TEXT(""), "is empty; a header line is expected"},
};

static void collect(void *context, const char *message)
{
    table *t = context;
    note(t, message, (int64_t)strlen(message));
    note(t, "\n", 1);
}

static bool exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}

static void bad_tables_are_refused(void **state)
{
    const places *at = *state;
    for (size_t i = 0; i < sizeof bad_cases / sizeof bad_cases[0]; i++) {
        ns_import_report report;
        write_file(at->csv, bad_cases[i].bytes, bad_cases[i].n_bytes);
        CHECK_FAILS(import_csv(&report, at->csv, at->out, NULL), NS_EFORMAT, bad_cases[i].want);
        assert_null(report.columns);
        assert_false(exists(at->out));
    }
}

static void a_missing_csv_is_refused(void **state)
{
    const places *at = *state;
    ns_import_report report;
    CHECK_FAILS(import_csv(&report, "/nowhere/in.csv", at->out, NULL), NS_EFORMAT,
                "cannot open /nowhere/in.csv");
    assert_false(exists(at->out));
}

static void an_unwritable_place_is_an_io_error(void **state)
{
    const places *at = *state;
    ns_import_report report;
    write_file(at->csv, TEXT("a\n1\n"));
    CHECK_FAILS(import_csv(&report, at->csv, "/nowhere/out.h5", NULL), NS_EIO, "/nowhere/out.h5");
}

/* ---- with a schema ---- */

enum { MAX_COLUMNS = 4 };

typedef struct schema_case {
    const char *bytes;
    int64_t n_bytes;
    ns_import_column columns[MAX_COLUMNS]; /* up to the first without a name */
    const char *missing[4];                /* up to the first NULL; none: the usual ones */
    ns_status status;
    const char *want;
} schema_case;

static const schema_case schema_cases[] = {
    {TEXT("a,b\n1,2\n1,3\n"),
     {{.name = "a", .kind = NS_IMPORT_CATEGORY}},
     {NULL},
     NS_OK,
     "a category: 1 1\nb number: 2 3\n"},
    {TEXT("a\n007\n1e3\n-0.5\nNA\n"),
     {{.name = "a", .kind = NS_IMPORT_NUMBER}},
     {NULL},
     NS_OK,
     "a number: 7 1000 -0.5 -\n"},
    {TEXT("a\n16777217\n0.5\n"),
     {{.name = "a", .kind = NS_IMPORT_NUMBER}},
     {NULL},
     NS_OK,
     "a number: 16777216 0.5\n"},
    {TEXT("a\n16777217\n5\n"),
     {{.name = "a", .kind = NS_IMPORT_NUMBER}},
     {NULL},
     NS_EFORMAT,
     "line 2: column 'a' is a whole number that float32 does not hold exactly"},
    {TEXT("a\n1\nx\n"),
     {{.name = "a", .kind = NS_IMPORT_NUMBER}},
     {NULL},
     NS_EFORMAT,
     "line 3: column 'a' is not a plain decimal number"},
    {TEXT("a\n1e39\n"),
     {{.name = "a", .kind = NS_IMPORT_NUMBER}},
     {NULL},
     NS_EFORMAT,
     "line 2: column 'a' is a number beyond what float32 holds"},
    {TEXT("a\n1\n2\n"), {{.name = "a", .kind = NS_IMPORT_ID}}, {NULL}, NS_OK, "a id: 1 2\n"},
    {TEXT("a\n1\n02\n"), {{.name = "a", .kind = NS_IMPORT_ID}}, {NULL}, NS_OK, "a id: 1 02\n"},
    {TEXT("a\n1\n\n+2\n"), {{.name = "a", .kind = NS_IMPORT_ID}}, {NULL}, NS_OK, "a id: 1 - +2\n"},
    {TEXT("a\n250.83\n250.01\n?\nV57\n"),
     {{.name = "a", .kind = NS_IMPORT_CATEGORY, .prefix = 3}},
     {NULL},
     NS_OK,
     "a category: 250 250 - V57\n"},
    {TEXT("a\n\xc3\xa4\xc3\xb6\xc3\xbc\n\xc3\xa4\xc3\xb6x\n"),
     {{.name = "a", .prefix = 2}},
     {NULL},
     NS_OK,
     "a category: \xc3\xa4\xc3\xb6 \xc3\xa4\xc3\xb6\n"},
    {TEXT("a\n03/01/2024 08:30\n3/1/2024 8:30\n\n"),
     {{.name = "a", .kind = NS_IMPORT_TIME, .format = "%m/%d/%Y %H:%M"}},
     {NULL},
     NS_OK,
     "a time: 1709281800 1709281800 -\n"},
    {TEXT("a\n20240301\n"),
     {{.name = "a", .format = "%Y%m%d", .zone = "UTC"}},
     {NULL},
     NS_OK,
     "a time: 1709251200\n"},
    {TEXT("a\n2024-03-01\n2024-03-01 25:00\n"),
     {{.name = "a", .kind = NS_IMPORT_TIME}},
     {NULL},
     NS_EFORMAT,
     "line 3: column 'a' is no day and time from 1800 to 2200"},
    {TEXT("a\n2024-03-01\n2024-03-01 10:00:00.5\n"),
     {{.name = "a", .kind = NS_IMPORT_TIME}},
     {NULL},
     NS_EFORMAT,
     "line 3: column 'a' has a fraction of a second"},
    {TEXT("a\n1.3.2024\n"),
     {{.name = "a", .kind = NS_IMPORT_TIME}},
     {NULL},
     NS_EFORMAT,
     "line 2: column 'a' is not an ISO 8601 time"},
    {TEXT("a\n2024-03-01\n"),
     {{.name = "a", .format = "%d.%m.%Y"}},
     {NULL},
     NS_EFORMAT,
     "line 2: column 'a' is not a time of the form \"%d.%m.%Y\""},
    {TEXT("a,b\nx,1\ny,2\n"), {{.name = "a", .kind = NS_IMPORT_SKIP}}, {NULL}, NS_OK, "b number: 1 2\n"},
    {TEXT("a\n1\n-9\nNA\n"), {{0}}, {"-9", "NA"}, NS_OK, "a number: 1 - -\n"},
    {TEXT("a\n1\n-9\nNA\n"), {{0}}, {"-9"}, NS_OK, "a category: 1 - NA\n"},
    {TEXT("a\n1\n"),
     {{.name = "b", .line = 7}},
     {NULL},
     NS_EFORMAT,
     "has no column 'b', which S.yaml:7 names"},
    {TEXT("a\n1\n"), {{.name = "a", .kind = NS_IMPORT_SKIP}}, {NULL}, NS_EINVAL, "S.yaml skips every column"},
    {TEXT("a\n1\n"),
     {{.name = "a", .zone = "Europe/Wien", .line = 3}},
     {NULL},
     NS_EINVAL,
     "S.yaml:3: column 'a': zone 'Europe/Wien' is not in the time zone database"},
    {TEXT("a\n2024-03-01 12:00\n2024-10-27 02:30\n2024-03-01T12:00Z\n"),
     {{.name = "a", .zone = "Europe/Vienna", .line = 3}},
     {NULL},
     NS_OK,
     "a time: 1709290800 1729989000 1709294400\n"},
    {TEXT("a\n2024-03-31 01:59:59\n2024-03-31 02:30\n"),
     {{.name = "a", .zone = "Europe/Vienna", .line = 3}},
     {NULL},
     NS_EFORMAT,
     "line 3: column 'a' is a time that the clocks of its zone never showed"},
    {TEXT("a\n1\n"),
     {{.name = "a", .format = "%d.%b.%Y", .line = 3}},
     {NULL},
     NS_EINVAL,
     "S.yaml:3: column 'a': the format cannot be used"},
    {TEXT("a\n1\n"),
     {{.name = "a", .prefix = -1, .line = 3}},
     {NULL},
     NS_EINVAL,
     "S.yaml:3: column 'a': prefix must be at least 1"},
};

static void schemas_decide(void **state)
{
    const places *at = *state;
    for (size_t i = 0; i < sizeof schema_cases / sizeof schema_cases[0]; i++) {
        const schema_case *c = &schema_cases[i];
        ns_import_schema schema = {.path = "S.yaml", .columns = c->columns};
        while (schema.n_columns < MAX_COLUMNS && c->columns[schema.n_columns].name != NULL)
            schema.n_columns++;
        while (c->missing[schema.n_missing] != NULL) schema.n_missing++;
        if (schema.n_missing > 0) schema.missing = c->missing;
        ns_import_options options = {.schema = &schema};
        ns_import_report report;
        table t;
        write_file(at->csv, c->bytes, c->n_bytes);
        ns_error_clear();
        ns_status status = import_csv(&report, at->csv, at->out, &options);
        if (status != c->status)
            fail_msg("case %zu: status %d: %s", i, (int)status, ns_last_error()->message);
        if (status == NS_OK) {
            read_table(&t, &report, at->out);
            if (strcmp(t.text, c->want) != 0) fail_msg("case %zu: %snot: %s", i, t.text, c->want);
        } else if (strstr(ns_last_error()->message, c->want) == NULL) {
            fail_msg("case %zu: %s\nnot: %s", i, ns_last_error()->message, c->want);
        } else {
            assert_false(exists(at->out));
        }
        ns_import_report_free(&report);
        unlink(at->out);
    }
    ns_error_clear();
}

static void unit_and_description_are_passed_on(void **state)
{
    const places *at = *state;
    const ns_import_column column = {
        .name = "a", .kind = NS_IMPORT_NUMBER, .unit = "mg/dL", .description = "serum"};
    const ns_import_schema schema = {.path = "S.yaml", .columns = &column, .n_columns = 1};
    const ns_import_options options = {.schema = &schema};
    ns_import_report report;
    write_file(at->csv, TEXT("a,b\n1,2\n"));
    CHECK_OK(import_csv(&report, at->csv, at->out, &options));
    ns_cohort *cohort = open_cohort(at->out);
    const ns_column *a = ns_cohort_column(cohort, ns_cohort_find(cohort, "a"));
    const ns_column *b = ns_cohort_column(cohort, ns_cohort_find(cohort, "b"));
    assert_string_equal(a->unit, "mg/dL");
    assert_string_equal(a->description, "serum");
    assert_string_equal(b->unit, "");
    ns_cohort_close(&cohort);
    ns_import_report_free(&report);
    unlink(at->out);
}

/* Bad records and bad cells come in the order of the file, each line once, twenty at most; no value is shown.
 */
static void bad_lines_are_listed(void **state)
{
    const places *at = *state;
    const ns_import_column columns[] = {{.name = "a", .kind = NS_IMPORT_NUMBER},
                                        {.name = "b", .kind = NS_IMPORT_TIME}};
    const ns_import_schema schema = {.path = "S.yaml", .columns = columns, .n_columns = 2};
    table t = {0}, want = {0};
    const ns_import_options options = {.schema = &schema, .bad_line = collect, .context = &t};
    FILE *file = fopen(at->csv, "wb");
    assert_non_null(file);
    fprintf(file, "a,b,c\n\"1\",2024-03-01,\"two\nlines\"\n");
    fprintf(file, "SECRET,SECRET,x\nSECRET\n2,SECRET,x\n");
    for (int i = 0; i < 30; i++) fprintf(file, "%s,2024-03-01,x\n", i % 2 == 0 ? "SECRET" : "1");
    fclose(file);
    char message[300];
    int n =
        snprintf(message, sizeof message,
                 "%s line 4: column 'a' is not a plain decimal number (the first of 18 bad lines)", at->csv);
    assert_true(n > 0);
    ns_import_report report;
    CHECK_FAILS(import_csv(&report, at->csv, at->out, &options), NS_EFORMAT, message);
    for (int line = 4; line <= 35; line++) {
        const char *words =
            line == 5   ? "has 1 field, the header has 3"
            : line == 6 ? "column 'b' is not an ISO 8601 time (2024-03-01, 2024-03-01T08:30:00, with Z or "
                          "+hh:mm)"
                        : "column 'a' is not a plain decimal number";
        if (line > 6 && line % 2 == 0) continue;
        n = snprintf(message, sizeof message, "%s line %d: %s\n", at->csv, line, words);
        note(&want, message, n);
    }
    assert_string_equal(t.text, want.text);
    assert_null(strstr(t.text, "SECRET"));
    assert_false(exists(at->out));

    file = fopen(at->csv, "wb");
    assert_non_null(file);
    fprintf(file, "a,b\n");
    for (int i = 0; i < 1000; i++) fprintf(file, i < 970 ? "1,2024-03-01\n" : "1\n");
    fclose(file);
    t = (table){0};
    CHECK_FAILS(import_csv(&report, at->csv, at->out, &options), NS_EFORMAT,
                "line 972: has 1 field, the header has 2 (the first of 30 bad lines)");
    int n_lines = 0;
    for (const char *p = t.text; *p != '\0'; p++) n_lines += *p == '\n';
    assert_int_equal(n_lines, NS_LINES_KEPT);
    assert_non_null(strstr(t.text, "line 991:"));
    assert_null(strstr(t.text, "line 992:"));
}

/* A refused import leaves what stood under the name of the output. */
static void an_old_file_survives_a_refusal(void **state)
{
    const places *at = *state;
    ns_import_report report;
    table t;
    write_file(at->csv, TEXT("a\n1\n"));
    CHECK_OK(import_csv(&report, at->csv, at->out, NULL));
    write_file(at->csv, TEXT("a,b\n1,2\n3\n"));
    ns_import_report none;
    CHECK_FAILS(import_csv(&none, at->csv, at->out, NULL), NS_EFORMAT, "line 3");
    read_table(&t, &report, at->out);
    assert_string_equal(t.text, "a number: 1\n");
    ns_import_report_free(&report);
    unlink(at->out);
}

/* A large table: more distinct texts than have codes, more rows than one chunk, bad values behind them. */
static void large_tables_are_imported(void **state)
{
    const places *at = *state;
    enum { N = 150000 };
    const ns_import_column many = {.name = "many", .kind = NS_IMPORT_CATEGORY};
    const ns_import_schema schema = {.path = "S.yaml", .columns = &many, .n_columns = 1};
    const ns_import_options options = {.schema = &schema};
    FILE *file = fopen(at->csv, "wb");
    assert_non_null(file);
    fprintf(file, "id,x,day,key,many,sex\n");
    for (int i = 0; i < N; i++)
        fprintf(file, "%d,%d.%d,%d-%02d-%02d,k%d,m%d,%s\n", 100000000 + i, i % 90001, i % 10,
                1900 + i / 100 % 300, i % 12 + 1, i % 28 + 1, i % 70000, i % 80000,
                i % 11 == 0  ? ""
                : i % 2 == 0 ? "f"
                             : "m");
    fclose(file);
    ns_import_report report;
    CHECK_OK(import_csv(&report, at->csv, at->out, &options));
    static const ns_column_kind kinds[] = {NS_COL_ID, NS_COL_NUMBER,   NS_COL_TIME,
                                           NS_COL_ID, NS_COL_CATEGORY, NS_COL_CATEGORY};
    for (int i = 0; i < 6; i++) assert_int_equal(report.columns[i].kind, kinds[i]);
    assert_true(report.columns[0].about && report.columns[0].n_distinct > N / 10 * 9 && report.columns[0].n_distinct <= N);
    assert_int_equal(report.columns[4].n_distinct, 80000);
    assert_int_equal(report.columns[5].n_missing, (N + 10) / 11);
    assert_int_equal(report.columns[2].n_zoneless, N);
    assert_false(report.columns[0].is_text);
    assert_true(report.columns[3].is_text);
    ns_import_report_free(&report);

    ns_cohort *cohort = open_cohort(at->out);
    int64_t *ids = malloc(N * sizeof *ids);
    float *x = malloc(N * sizeof *x);
    int32_t *codes = malloc(N * sizeof *codes);
    assert_true(ids != NULL && x != NULL && codes != NULL);
    CHECK_OK(ns_cohort_read_id_int(cohort, ns_cohort_find(cohort, "id"), 0, N, ids));
    CHECK_OK(ns_cohort_read_number(cohort, ns_cohort_find(cohort, "x"), 0, N, x));
    CHECK_OK(ns_cohort_read_codes(cohort, ns_cohort_find(cohort, "many"), 0, N, codes));
    const ns_texts *levels = ns_cohort_column(cohort, ns_cohort_find(cohort, "many"))->levels;
    for (int i = 0; i < N; i++) {
        char text[32];
        assert_int_equal(ids[i], 100000000 + i);
        snprintf(text, sizeof text, "%d.%d", i % 90001, i % 10);
        if (x[i] != strtof(text, NULL)) fail_msg("row %d: %.9g", i, (double)x[i]);
        int length = snprintf(text, sizeof text, "m%d", i % 80000);
        assert_int_equal(codes[i], ns_texts_find(levels, text, length));
    }
    free(ids);
    free(x);
    free(codes);
    ns_cohort_close(&cohort);
    unlink(at->out);

    const ns_import_column number = {.name = "k", .kind = NS_IMPORT_NUMBER};
    const ns_import_schema strict = {.path = "S.yaml", .columns = &number, .n_columns = 1};
    const ns_import_options strictly = {.schema = &strict};
    file = fopen(at->csv, "wb");
    assert_non_null(file);
    fprintf(file, "k\n");
    for (int i = 0; i < N; i++) fprintf(file, i == N - 2 ? "bad\n" : "%d.5\n", i);
    fclose(file);
    CHECK_FAILS(import_csv(&report, at->csv, at->out, &strictly), NS_EFORMAT,
                "line 150000: column 'k' is not a plain");
    assert_false(exists(at->out));
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    places at = {.folder = "/tmp/nightshift-test-import-XXXXXX"};
    if (mkdtemp(at.folder) == NULL) return 1;
    snprintf(at.csv, sizeof at.csv, "%s/in.csv", at.folder);
    snprintf(at.out, sizeof at.out, "%s/out.h5", at.folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(tables_are_imported, &at),
        cmocka_unit_test_prestate(bad_tables_are_refused, &at),
        cmocka_unit_test_prestate(a_missing_csv_is_refused, &at),
        cmocka_unit_test_prestate(an_unwritable_place_is_an_io_error, &at),
        cmocka_unit_test_prestate(schemas_decide, &at),
        cmocka_unit_test_prestate(unit_and_description_are_passed_on, &at),
        cmocka_unit_test_prestate(bad_lines_are_listed, &at),
        cmocka_unit_test_prestate(an_old_file_survives_a_refusal, &at),
        cmocka_unit_test_prestate(large_tables_are_imported, &at),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(at.csv);
    unlink(at.out);
    if (rmdir(at.folder) != 0) { /* a file that a refused import left behind */
        fprintf(stderr, "%s is not empty\n", at.folder);
        failed = 1;
    }
    MPI_Finalize();
    return failed;
}
