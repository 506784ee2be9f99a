/*
 * A zoo of ugly CSV files, as hospitals have them. Each gives the right table, or the right refusal with its line, or with
 * --max-bad the right table and the right file of rejects; the same in blocks of any size and on any number of threads.
 */
#include "tests/check.h"

#include <mpi.h>
#include <omp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/import.h"
#include "tests/data/table_text.h"

#define TEXT(literal) (literal), (int64_t)(sizeof(literal) - 1)
#define LINES5 "1\n1\n1\n1\n1\n"
#define LINES20 LINES5 LINES5 LINES5 LINES5

typedef struct places {
    char folder[64], csv[96], csv2[96], out[96], out2[96], rejects[96];
} places;

enum { MAX_COLUMNS = 4 };

typedef struct animal {
    const char *name, *bytes;
    int64_t n_bytes;
    ns_import_column columns[MAX_COLUMNS]; /* of a schema, up to the first without a name */
    ns_csv_encoding encoding;
    int64_t max_lines; /* bad lines allowed */
    double max_share;  /* 0: any */
    ns_status status;
    const char *want;    /* the table, or what the refusal's message contains */
    const char *rejects; /* the lines left out, behind the header; NULL: none */
} animal;

#define SAID(...) .columns = {__VA_ARGS__}
#define AT NS_IMPORT_TIME
#define BAD .status = NS_EFORMAT

static const animal zoo[] = {
    /* --- line ends, beginnings and ends of files --- */
    {"no last line end", TEXT("a,b\n1,x\n2,y"), .want = "a number: 1 2\nb category: x y\n"},
    {"Windows line ends", TEXT("a,b\r\n1,x\r\n2,y\r\n"), .want = "a number: 1 2\nb category: x y\n"},
    {"mixed line ends", TEXT("a,b\r\n1,x\n2,y\r\n3,z\n"), .want = "a number: 1 2 3\nb category: x y z\n"},
    {"old Macintosh line ends", TEXT("a,b\r1,2\r3,4\r"), BAD, .want = "line 1: the header has a carriage return that ends no line"},
    {"a carriage return in a field", TEXT("a,b\n1,x\ry\n"), BAD, .want = "line 2: has a carriage return that ends no line"},
    {"a byte order mark", TEXT("\xef\xbb\xbf\"a\",b\n1,2\n"), .want = "a number: 1\nb number: 2\n"},
    {"UTF-16", TEXT("\xff\xfe" "a\0,\0b\0\n\0"), BAD, .want = "is UTF-16; save it as UTF-8"},
    {"empty lines at the end", TEXT("a,b\n1,2\n\n\r\n\n"), .want = "a number: 1\nb number: 2\n"},
    {"an empty line within", TEXT("a,b\n1,2\n\n3,4\n"), BAD, .want = "line 3: is empty"},
    {"nothing", TEXT(""), BAD, .want = "is empty; a header line is expected"},
    {"only a header", TEXT("a,b\n"), .want = "a number:\nb number:\n"},
    {"a line end alone", TEXT("\n"), BAD, .want = "line 1: column 1 of 1 has no name"},
    {"the separator line of a spreadsheet", TEXT("sep=;\na;b\n1;x\n"), .want = "a number: 1\nb category: x\n"},
    {"a title above the header", TEXT("Report of March\nid,age\n1,2\n"), BAD,
     .want = "line 2: has 2 fields, the header has 1 (the first of 2 bad lines)"},

    /* --- separators --- */
    {"semicolons", TEXT("a;b\n1;2,5\n"), .want = "a number: 1\nb category: 2,5\n"},
    {"tabs", TEXT("a\tb c\n1\tx, y\n"), .want = "a number: 1\nb c category: x, y\n"},
    {"bars", TEXT("a|b\n1|2\n"), .want = "a number: 1\nb number: 2\n"},
    {"a comma in a quoted name", TEXT("id;\"name, first\"\n1;x\n"), .want = "id number: 1\nname, first category: x\n"},
    {"a separator at each line's end", TEXT("a,b,\n1,2,\n"), BAD, .want = "line 1: column 3 of 3 has no name"},
    {"a separator at each row's end", TEXT("a,b\n1,2,\n"), BAD, .want = "line 2: has 3 fields, the header has 2"},
    {"another separator further down", TEXT("a,b\n1,2\n3;4\n"), BAD, .want = "line 3: has 1 field, the header has 2"},

    /* --- records --- */
    {"a short row", TEXT("a,b,c\n1,2,3\n4,5\n"), BAD, .want = "line 3: has 2 fields, the header has 3"},
    {"a long row", TEXT("a,b\n1,2\n3,4,5\n"), BAD, .want = "line 3: has 3 fields, the header has 2"},
    {"a cut last line", TEXT("a,b,c\n1,2,3\n4,"), BAD, .want = "line 3: has 2 fields, the header has 3"},
    {"the header again", TEXT("a,b\n1,2\na,b\n3,4\n"), SAID({.name = "a", .kind = NS_IMPORT_NUMBER}), BAD,
     .want = "line 3: column 'a' is not a plain decimal number"},
    {"a footer", TEXT("a,b\n1,2\n2 rows selected.\n"), BAD, .want = "line 3: has 1 field, the header has 2"},
    {"a name twice", TEXT("a,b,a\n1,2,3\n"), BAD, .want = "line 1: columns 1 and 3 are both named 'a'"},
    {"an unnamed index column", TEXT(",a\n0,1\n"), BAD, .want = "line 1: column 1 of 2 has no name"},
    {"one column, an empty cell", TEXT("a\n1\n\n3\n"), .want = "a number: 1 - 3\n"},

    /* --- quotes --- */
    {"line ends in quotes", TEXT("a,b\n\"x\ny\r\nz\",1\n"), .want = "a category: x\ny\r\nz\nb number: 1\n"},
    {"doubled quotes", TEXT("a,b\n\"5\"\" x 3\"\"\",1\n"), .want = "a category: 5\" x 3\"\nb number: 1\n"},
    {"quoted numbers", TEXT("a,b\n\"1\",\"2.5\"\n"), .want = "a number: 1\nb number: 2.5\n"},
    {"an inch sign", TEXT("a,b\n5\" tube,1\n"), BAD, .want = "line 2: has a quote inside a field that does not begin with one"},
    {"a backslash before a quote", TEXT("a,b\n\"x \\\"y\\\"\",1\n"), BAD, .want = "line 2: has a quoted field whose closing quote"},
    {"a blank before a quote", TEXT("a,b\n1, \"x\"\n"), BAD, .want = "line 2: has a quote inside a field"},
    {"a quote never closed", TEXT("a,b\n1,\"x\n2,y\n"), BAD, .want = "line 2: opens a quote that is never closed"},
    {"single quotes", TEXT("a,b\n'x','1'\n"), .want = "a category: 'x'\nb category: '1'\n"},

    /* --- bytes --- */
    {"a NUL byte", TEXT("a,b\n1,\0\n"), BAD, .want = "line 2: has a NUL byte"},
    {"Latin-1", TEXT("a,b\n1,M\xfcller\n"), BAD,
     .want = "line 2: column 2 is not UTF-8 (byte 7 of the file); --encoding latin1 reads Latin-1"},
    {"Latin-1, said", TEXT("a,gr\xf6\xdf" "e\n1,M\xfcller\n"), .encoding = NS_CSV_LATIN1,
     .want = "a number: 1\ngr\xc3\xb6\xc3\x9f" "e category: M\xc3\xbcller\n"},
    {"Windows-1252, said Latin-1", TEXT("a,b\n1,\x80 5\n"), .encoding = NS_CSV_LATIN1, .want = "a number: 1\nb category: \xe2\x82\xac 5\n"},
    {"half a character", TEXT("a,b\n1,x\xe2\x82\n"), BAD, .want = "line 2: column 2 is not UTF-8 (byte 7 of the file)"},
    {"a spreadsheet", TEXT("PK\x03\x04........"), BAD, .want = "is a ZIP or Excel file"},
    {"gzip, cut", TEXT("\x1f\x8b\x08\0\0\0\0\0\0\x03"), BAD, .want = "ends inside its gzip data"},

    /* --- kinds --- */
    {"codes with leading zeros", TEXT("zip\n01234\n90210\n"), .want = "zip category: 01234 90210\n"},
    {"ids beyond float32", TEXT("n\n16777217\n16777217\n"), .want = "n category: 16777217 16777217\n"},
    {"missing, in many ways", TEXT("x\n1\n?\nNA\nNaN\nnan\nNULL\n\n"), .want = "x number: 1 - - - - - -\n"},
    {"None is a text", TEXT("x\n1\nNone\n"), .want = "x category: 1 None\n"},
    {"below the limit of a laboratory", TEXT("x\n1.5\n<0.1\n"), .want = "x category: 1.5 <0.1\n"},
    {"thousands with commas", TEXT("x,y\n\"1,234\",1\n"), .want = "x category: 1,234\ny number: 1\n"},
    {"blanks around numbers", TEXT("x\n 1\n2 \n"), .want = "x category:  1 2 \n"},
    {"infinities", TEXT("x\n1\ninf\n"), .want = "x category: 1 inf\n"},
    {"dates of three countries", TEXT("d,e,f\n01/02/2024,1.2.2024,2024-02-01\n"),
     .want = "d category: 01/02/2024\ne category: 1.2.2024\nf time: 1706745600\n"},
    {"a date of a country, said", TEXT("d\n01/02/2024 00:30\n"),
     SAID({.name = "d", .kind = AT, .format = "%d/%m/%Y %H:%M", .zone = "America/New_York"}), .want = "d time: 1706765400\n"},
    {"an hour that comes twice", TEXT("d\n2024-11-03 01:30\n"), SAID({.name = "d", .kind = AT, .zone = "America/New_York"}),
     .want = "d time: 1730611800\n"},
    {"an hour that never comes", TEXT("d\n2024-03-10 01:30\n2024-03-10 02:30\n"),
     SAID({.name = "d", .kind = AT, .zone = "America/New_York"}), BAD,
     .want = "line 3: column 'd' is a time that the clocks of its zone never showed"},
    {"February 30", TEXT("d\n2024-02-29\n2024-02-30\n"), SAID({.name = "d", .kind = AT}), BAD,
     .want = "line 3: column 'd' is no day and time from 1800 to 2200"},
    {"the year 9999", TEXT("d\n9999-12-31\n"), SAID({.name = "d", .kind = AT}), BAD,
     .want = "line 2: column 'd' is no day and time from 1800 to 2200"},
    {"an id said to be a number", TEXT("n\n5\n123456789\n"), SAID({.name = "n", .kind = NS_IMPORT_NUMBER}), BAD,
     .want = "line 3: column 'n' is a whole number that float32 does not hold exactly"},
    {"the same among fractions", TEXT("n\n123456789\n0.5\n"), SAID({.name = "n", .kind = NS_IMPORT_NUMBER}),
     .want = "n number: 123456792 0.5\n"},
    {"a column that is not there", TEXT("a\n1\n"), SAID({.name = "b", .line = 4}), BAD, .want = "has no column 'b', which S.yaml:4 names"},

    /* --- bad lines that are allowed --- */
    {"a bad line left out", TEXT("a,b\n1,2\n3\n4,\"x\"\"y\"\n"), .max_lines = 1, .want = "a number: 1 4\nb category: 2 x\"y\n",
     .rejects = "3,\"has 1 field, the header has 2\",\"3\"\n"},
    {"one more than allowed", TEXT("a,b\n1,2\n3\n4\n"), .max_lines = 1, BAD,
     .want = "line 3: has 1 field, the header has 2 (the first of 2 bad lines); 2 of 3 lines are more than --max-bad allows"},
    {"a share that just holds", TEXT("a\nx\n" LINES20 LINES20), SAID({.name = "a", .kind = NS_IMPORT_NUMBER}), .max_lines = INT64_MAX,
     .max_share = 1.0 / 41, .want = "a number: 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1\n",
     .rejects = "2,\"column 'a' is not a plain decimal number\",\"x\"\n"},
    {"a share that does not", TEXT("a\nx\n" LINES20), SAID({.name = "a", .kind = NS_IMPORT_NUMBER}), .max_lines = INT64_MAX,
     .max_share = 0.04, BAD, .want = "line 2: column 'a' is not a plain decimal number; 1 of 21 lines"},
    {"bad cells and bad records", TEXT("a,b,c\nx,2024-01-01,p\n1,y,q\n2,\"\n3,2024-01-02,r\n4,z,s\nw,z,t\n"),
     SAID({.name = "a", .kind = NS_IMPORT_NUMBER}, {.name = "b", .kind = AT}), .max_lines = 5,
     .want = "a number: 3\nb time: 1704153600\nc category: r\n",
     .rejects = "2,\"column 'a' is not a plain decimal number\",\"x,2024-01-01,p\"\n"
                "3,\"column 'b' is not an ISO 8601 time (2024-03-01, 2024-03-01T08:30:00, with Z or +hh:mm)\",\"1,y,q\"\n"
                "4,\"opens a quote that is never closed\",\"2,\"\"\"\n"
                "6,\"column 'b' is not an ISO 8601 time (2024-03-01, 2024-03-01T08:30:00, with Z or +hh:mm)\",\"4,z,s\"\n"
                "7,\"column 'a' is not a plain decimal number\",\"w,z,t\"\n"},
    {"a level of a bad line only", TEXT("a,b\n1,x\nq,y\n2,x\n"), SAID({.name = "a", .kind = NS_IMPORT_NUMBER}), .max_lines = 1,
     .want = "a number: 1 2\nb category: x x\n", .rejects = "3,\"column 'a' is not a plain decimal number\",\"q,y\"\n"},
    {"a whole number too large, left out", TEXT("n,m\n5,a\n123456789,b\n6,c\n"), SAID({.name = "n", .kind = NS_IMPORT_NUMBER}),
     .max_lines = 1, .want = "n number: 5 6\nm category: a c\n",
     .rejects = "3,\"column 'n' is a whole number that float32 does not hold exactly; kind id or category keeps it\",\"123456789,b\"\n"},
    {"an empty line left out", TEXT("a,b\n1,2\n\n\n3,4\n"), .max_lines = 2, .want = "a number: 1 3\nb number: 2 4\n",
     .rejects = "3,\"is empty\",\"\"\n4,\"is empty\",\"\"\n"},
    {"Latin-1, left out", TEXT("a,b\n1,\xfc\n2,y\n"), .max_lines = 1, .want = "a number: 2\nb category: y\n",
     .rejects = "2,\"column 2 is not UTF-8 (byte 6 of the file); --encoding latin1 reads Latin-1\",\"1,\xfc\"\n"},
};
enum { N_ANIMALS = sizeof zoo / sizeof zoo[0] };

static bool exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}

/* The bytes of a file; freed by the caller. */
static char *slurp(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    *n = fread(bytes, 1, (1 << 20) - 1, file);
    bytes[*n] = '\0';
    fclose(file);
    return bytes;
}

/* The file of rejects as it should be: every line begins with the name of the CSV. */
static void check_rejects(const places *at, const animal *a)
{
    if (a->rejects == NULL) {
        if (exists(at->rejects)) fail_msg("%s: rejects where there are none", a->name);
        return;
    }
    table want = {0};
    note(&want, TEXT("file,line,problem,record\n"));
    for (const char *p = a->rejects; *p != '\0';) {
        const char *end = strchr(p, '\n') + 1;
        note(&want, "\"", 1);
        note(&want, at->csv, (int64_t)strlen(at->csv));
        note(&want, "\",", 2);
        note(&want, p, end - p);
        p = end;
    }
    size_t n;
    char *got = slurp(at->rejects, &n);
    if (n != want.length || memcmp(got, want.text, n) != 0) fail_msg("%s: rejects\n%s\nnot\n%s", a->name, got, want.text);
    free(got);
    unlink(at->rejects);
}

/* One animal in one way; *bytes is what its cohort file holds, NULL where it is refused. */
static void meet(const places *at, const animal *a, const ns_import_options *ways, char **bytes, size_t *n_bytes)
{
    ns_import_options options = *ways;
    ns_import_schema schema = {.path = "S.yaml", .columns = a->columns};
    while (schema.n_columns < MAX_COLUMNS && a->columns[schema.n_columns].name != NULL) schema.n_columns++;
    if (schema.n_columns > 0) options.schema = &schema;
    options.encoding = a->encoding;
    options.max_bad.lines = a->max_lines;
    options.max_bad.share = a->max_share > 0 ? a->max_share : 1;
    options.rejects = at->rejects;
    const char *csv = at->csv;
    ns_import_report report;
    ns_error_clear();
    ns_status status = ns_import_csv(&report, &csv, 1, at->out, &options);
    if (status != a->status) fail_msg("%s: status %d: %s", a->name, (int)status, ns_last_error()->message);
    *bytes = NULL;
    if (status != NS_OK) {
        if (strstr(ns_last_error()->message, a->want) == NULL) fail_msg("%s: %s\nnot: %s", a->name, ns_last_error()->message, a->want);
        assert_false(exists(at->out));
    } else {
        table t;
        read_table(&t, &report, at->out);
        if (strcmp(t.text, a->want) != 0) fail_msg("%s: %s\nnot: %s", a->name, t.text, a->want);
        *bytes = slurp(at->out, n_bytes);
        unlink(at->out);
    }
    check_rejects(at, a);
    ns_import_report_free(&report);
    ns_error_clear();
}

static void every_animal_is_known(void **state)
{
    const places *at = *state;
    static const struct {
        int threads;
        int64_t block_bytes, piece_bytes;
    } ways[] = {{1, 0, 0}, {2, 1, 1}, {2, 7, 64}, {3, 0, 1}};
    assert_true(N_ANIMALS >= 40);
    for (int i = 0; i < N_ANIMALS; i++) {
        write_file(at->csv, zoo[i].bytes, zoo[i].n_bytes);
        char *first = NULL;
        size_t n_first = 0;
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            const ns_import_options options = {.block_bytes = ways[w].block_bytes, .piece_bytes = ways[w].piece_bytes};
            char *bytes;
            size_t n;
            omp_set_num_threads(ways[w].threads);
            meet(at, &zoo[i], &options, &bytes, &n);
            if (w > 0 && bytes != NULL && (n != n_first || memcmp(bytes, first, n) != 0))
                fail_msg("%s: other bytes in way %zu", zoo[i].name, w);
            if (w > 0)
                free(bytes);
            else {
                first = bytes;
                n_first = bytes == NULL ? 0 : n;
            }
        }
        free(first);
    }
}

/* --- several files, and files beside old ones --- */

static void several_files_are_one_table(void **state)
{
    const places *at = *state;
    const char *csvs[] = {at->csv, at->csv2};
    ns_import_report report;
    table t;
    write_file(at->csv, TEXT("a,b\n1,x\n2,y\n"));
    write_file(at->csv2, TEXT("b;a\nz;3.5\n"));
    CHECK_OK(ns_import_csv(&report, csvs, 2, at->out, NULL));
    read_table(&t, &report, at->out);
    assert_string_equal(t.text, "a number: 1 2 3.5\nb category: x y z\n");
    assert_int_equal(report.n_files, 2);
    assert_int_equal(report.files[0].n_rows, 2);
    assert_int_equal(report.files[1].separator, ';');
    ns_import_report_free(&report);
    unlink(at->out);

    char message[300];
    snprintf(message, sizeof message, "%s has no column 'b', which the first CSV has", at->csv2);
    write_file(at->csv2, TEXT("a,c\n1,2\n"));
    CHECK_FAILS(ns_import_csv(&report, csvs, 2, at->out, NULL), NS_EFORMAT, message);
    write_file(at->csv2, TEXT("a,b,c\n1,2,3\n"));
    CHECK_FAILS(ns_import_csv(&report, csvs, 2, at->out, NULL), NS_EFORMAT, "has 3 columns, the first CSV has 2");
    snprintf(message, sizeof message, "%s line 3: has 1 field, the header has 2 (the first of 2 bad lines)", at->csv);
    write_file(at->csv, TEXT("a,b\n1,2\n3\n"));
    write_file(at->csv2, TEXT("a,b\n3\n"));
    CHECK_FAILS(ns_import_csv(&report, csvs, 2, at->out, NULL), NS_EFORMAT, message);
}

static void appended_tables_are_alike(void **state)
{
    const places *at = *state;
    static const struct {
        const char *old, *new, *want; /* want begins with '!': a refusal */
    } cases[] = {
        {"id,x,c\n1,5,a\n2,6,b\n", "id,x,c\n3,7,c\n", "id number: 3\nx number: 7\nc category: c\n"},
        {"c,x\na,1\nb,2\n", "x,c\n3,7\n", "x number: 3\nc category: 7\n"}, /* a category stays one, though all are numbers */
        {"t\n2024-01-01\n", "t\n", "t time:\n"},
        {"x\n1\n", "x\nword\n", "!line 2: column 'x' is not a plain decimal number"},
        {"x,y\n1,2\n", "x\n1\n", "!has no column 'y', which "},
        {"x\n1\n", "x,y\n1,2\n", "!has a column 'y', which "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *csv = at->csv;
        const ns_import_options options = {.like = at->out};
        ns_import_report report;
        write_file(at->csv, cases[i].old, (int64_t)strlen(cases[i].old));
        CHECK_OK(ns_import_csv(&report, &csv, 1, at->out, NULL));
        ns_import_report_free(&report);
        write_file(at->csv, cases[i].new, (int64_t)strlen(cases[i].new));
        if (cases[i].want[0] == '!') {
            CHECK_FAILS(ns_import_csv(&report, &csv, 1, at->out2, &options), NS_EFORMAT, cases[i].want + 1);
            assert_false(exists(at->out2));
        } else {
            table t;
            CHECK_OK(ns_import_csv(&report, &csv, 1, at->out2, &options));
            read_table(&t, &report, at->out2);
            assert_string_equal(t.text, cases[i].want);
            ns_import_report_free(&report);
            unlink(at->out2);
        }
        unlink(at->out);
    }
}

/* Ids of an old file are int64 or texts, and so are those of the new one. */
static void appended_ids_are_alike(void **state)
{
    const places *at = *state;
    const char *csv = at->csv;
    const ns_import_column column = {.name = "id", .kind = NS_IMPORT_ID};
    const ns_import_schema schema = {.path = "S.yaml", .columns = &column, .n_columns = 1};
    const ns_import_options first = {.schema = &schema}, then = {.like = at->out};
    ns_import_report report;
    table t;
    write_file(at->csv, TEXT("id\n1\n2\n"));
    CHECK_OK(ns_import_csv(&report, &csv, 1, at->out, &first));
    ns_import_report_free(&report);
    write_file(at->csv, TEXT("id\n3\nX4\n"));
    CHECK_FAILS(ns_import_csv(&report, &csv, 1, at->out2, &then), NS_EFORMAT, "line 3: column 'id' is not a whole number, as the ids");
    CHECK_OK(ns_import_csv(&report, &csv, 1, at->out, &first));
    ns_import_report_free(&report);
    write_file(at->csv, TEXT("id\n5\n"));
    CHECK_OK(ns_import_csv(&report, &csv, 1, at->out2, &then));
    assert_true(report.columns[0].is_text);
    read_table(&t, &report, at->out2);
    assert_string_equal(t.text, "id id: 5\n");
    ns_import_report_free(&report);
    unlink(at->out);
    unlink(at->out2);
}

/* --- what a reader may want to correct --- */

static void signs_are_told(void **state)
{
    const places *at = *state;
    static const struct {
        const char *name, *cell[3]; /* cells take turns over 60 rows; cell[0] with % is a number per row */
        unsigned advice;
    } cases[] = {
        {"admission_type_id", {"1", "2", "6"}, NS_ADVICE_CODE},
        {"n_visits", {"1", "2", "6"}, 0},
        {"patient_nbr", {"9%03d", NULL, NULL}, NS_ADVICE_ID},
        {"age", {"[0-10)", "[10-20)", "[70-80)"}, NS_ADVICE_RANGES},
        {"band", {"<30", "30-60", ">60"}, NS_ADVICE_RANGES},
        {"seen", {"01.02.2024", "3.4.2023", "31.12.1999"}, NS_ADVICE_DATES},
        {"born", {"01/02/2024", "3/4/2023", "12-31-1999"}, NS_ADVICE_DATES},
        {"lactate", {"\"1,5\"", "\"0,7\"", "12"}, NS_ADVICE_COMMA},
        {"crp", {"5", "7.5", "<0.3"}, NS_ADVICE_NUMBERS},
        {"glucose", {"None", ">200", "Norm"}, NS_ADVICE_MISSING},
        {"weight", {"", "", "80"}, NS_ADVICE_EMPTY | NS_ADVICE_CONSTANT},
        {"drug", {"No", "No", "No"}, NS_ADVICE_CONSTANT},
        {"temperature", {"36.5", "37.1", "-9"}, NS_ADVICE_SENTINEL},
        {"ward", {"A ", "B", "A"}, NS_ADVICE_BLANKS},
        {"sex", {"f", "m", "f"}, 0},
        {"sodium", {"138.5", "140.1", "135.25"}, 0},
    };
    enum { N_ROWS = 60, N_CASES = sizeof cases / sizeof cases[0] };
    FILE *to = fopen(at->csv, "wb");
    assert_non_null(to);
    for (int c = 0; c < N_CASES; c++) fprintf(to, "%s%s", c > 0 ? "," : "", cases[c].name);
    for (int row = 0; row < N_ROWS; row++)
        for (int c = 0; c < N_CASES; c++) {
            fprintf(to, "%s", c > 0 ? "," : "\n");
            if (cases[c].cell[1] == NULL)
                fprintf(to, "9%03d", row);
            else
                fputs(cases[c].cell[row % 3], to);
        }
    fclose(to);
    const char *csv = at->csv;
    ns_import_report report;
    CHECK_OK(ns_import_csv(&report, &csv, 1, at->out, NULL));
    for (int c = 0; c < N_CASES; c++)
        if (report.columns[c].advice != cases[c].advice)
            fail_msg("%s: advice %#x, not %#x", cases[c].name, report.columns[c].advice, cases[c].advice);
    ns_import_report_free(&report);
    unlink(at->out);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    places at = {.folder = "/tmp/nightshift-test-zoo-XXXXXX"};
    if (mkdtemp(at.folder) == NULL) return 1;
    snprintf(at.csv, sizeof at.csv, "%s/in.csv", at.folder);
    snprintf(at.csv2, sizeof at.csv2, "%s/more.csv", at.folder);
    snprintf(at.out, sizeof at.out, "%s/out.h5", at.folder);
    snprintf(at.out2, sizeof at.out2, "%s/out_0002.h5", at.folder);
    snprintf(at.rejects, sizeof at.rejects, "%s/out.rejects.csv", at.folder);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(every_animal_is_known, &at),
        cmocka_unit_test_prestate(several_files_are_one_table, &at),
        cmocka_unit_test_prestate(appended_tables_are_alike, &at),
        cmocka_unit_test_prestate(appended_ids_are_alike, &at),
        cmocka_unit_test_prestate(signs_are_told, &at),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(at.csv);
    unlink(at.csv2);
    if (rmdir(at.folder) != 0) { /* a file that a refused import left behind */
        fprintf(stderr, "%s is not empty\n", at.folder);
        failed = 1;
    }
    MPI_Finalize();
    return failed;
}
