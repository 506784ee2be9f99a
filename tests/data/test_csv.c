/* The CSV reader: what is a record, what is a bad one, on which line. */
#include "tests/check.h"

#include <inttypes.h>
#include <unistd.h>

#include "data/csv.h"

#define TEXT(literal) (literal), (int64_t)(sizeof(literal) - 1)

/* What a reader says of some bytes: records as "LINE:field|field", bad ones as "LINE!problem", one a line. */
typedef struct transcript {
    char text[4096];
    size_t length;
} transcript;

static void note(transcript *t, const char *text, int64_t n_bytes)
{
    assert_true(t->length + (size_t)n_bytes < sizeof t->text);
    memcpy(t->text + t->length, text, (size_t)n_bytes);
    t->length += (size_t)n_bytes;
    t->text[t->length] = '\0';
}

static void note_bad(void *context, int64_t line, const char *problem)
{
    char words[600];
    int n = snprintf(words, sizeof words, "%" PRId64 "!%s\n", line, problem);
    note(context, words, n);
}

static void write_file(const char *path, const char *bytes, int64_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static ns_status read_all(transcript *t, const char *path, int64_t block_bytes)
{
    ns_csv *csv;
    ns_csv_options options = {
        .bad = note_bad, .context = t, .block_bytes = block_bytes, .record_bytes = 2000};
    *t = (transcript){0};
    ns_status status = ns_csv_open(&csv, path, &options);
    while (status == NS_OK) {
        ns_csv_record record;
        bool found;
        status = ns_csv_next(csv, &record, &found);
        if (status != NS_OK || !found) break;
        char line[32];
        note(t, line, snprintf(line, sizeof line, "%" PRId64 ":", record.line));
        for (int64_t i = 0; i < ns_csv_header(csv)->n; i++) {
            if (i > 0) note(t, "|", 1);
            note(t, record.fields[i].text, record.fields[i].n_bytes);
        }
        note(t, "\n", 1);
    }
    ns_csv_close(&csv);
    return status;
}

typedef struct csv_case {
    const char *bytes;
    int64_t n_bytes;
    ns_status status;
    const char *want; /* the transcript; of a failure, what its message contains */
} csv_case;

#define NOT_CLOSED "opens a quote that is never closed"
#define BAD_CLOSE                                                                                            \
    "has a quoted field whose closing quote is not followed by a separator or a line end; is a quote left "  \
    "open, or not doubled?"

static const csv_case csv_cases[] = {
    {TEXT("a,b\n1,2\n3,4\n"), NS_OK, "2:1|2\n3:3|4\n"},
    {TEXT("a,b\n1,2\n3,4"), NS_OK, "2:1|2\n3:3|4\n"},
    {TEXT("a,b\r\n1,2\r\n3,4\r\n"), NS_OK, "2:1|2\n3:3|4\n"},
    {TEXT("a,b\r\n1,2\n3,4\r\n5,6\r"), NS_OK, "2:1|2\n3:3|4\n4:5|6\n"},
    {TEXT("\xef\xbb\xbf"
          "a,b\n1,2\n"),
     NS_OK, "2:1|2\n"},
    {TEXT("\xef\xbb\xbf\"a\",b\n1,2\n"), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n"), NS_OK, ""},
    {TEXT("a,b"), NS_OK, ""},
    {TEXT("a\n1\n"), NS_OK, "2:1\n"},
    {TEXT("a,b\n,\n,x\ny,\n"), NS_OK, "2:|\n3:|x\n4:y|\n"},
    {TEXT("a,b\n\"1\",\"2\"\n"), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n\"\",\"\"\n"), NS_OK, "2:|\n"},
    {TEXT("a,b\n\"1\",\"2\""), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n\"1\",\"2\"\r"), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n"), NS_OK, "2:x,y|say \"hi\"\n"},
    {TEXT("a,b\n\"\"\"\",\"\"\"\"\"\"\n"), NS_OK, "2:\"|\"\"\n"},
    {TEXT("a,b\n\"two\nlines\",1\nx,2\n"), NS_OK, "2:two\nlines|1\n4:x|2\n"},
    {TEXT("a,b\r\n\"two\r\nlines\",1\r\nx,2\r\n"), NS_OK, "2:two\r\nlines|1\n4:x|2\n"},
    {TEXT("a,b\n 1 , 2\n"), NS_OK, "2: 1 | 2\n"},
    {TEXT("a,b\n1,2\n\n\n"), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n1,2\r\n\r\n"), NS_OK, "2:1|2\n"},
    {TEXT("a,b\n1,2\n\n3,4\n\n\n5,6\n"), NS_OK, "2:1|2\n3!is empty\n4:3|4\n5!is empty\n6!is empty\n7:5|6\n"},
    {TEXT("a\n1\n\n3\n"), NS_OK, "2:1\n3:\n4:3\n"},
    {TEXT("a,b\n1\n1,2,3\n1,2\n,,,\n"), NS_OK,
     "2!has 1 field, the header has 2\n3!has 3 fields, the header has 2\n4:1|2\n5!has 4 fields, the header "
     "has 2\n"},
    {TEXT("a,b\n\"\"\n1,2\n"), NS_OK, "2!has 1 field, the header has 2\n3:1|2\n"},
    {TEXT("a,b\n1,x\"y\n3,4\n"), NS_OK, "2!has a quote inside a field that does not begin with one\n3:3|4\n"},
    {TEXT("a,b\n1, \"y\"\n3,4\n"), NS_OK,
     "2!has a quote inside a field that does not begin with one\n3:3|4\n"},
    {TEXT("a,b\n1,\"y\"x\n3,4\n"), NS_OK, "2!" BAD_CLOSE "\n3:3|4\n"},
    {TEXT("a,b\n1,\"y\n3,4\n5,6\n"), NS_OK, "2!" NOT_CLOSED "\n3:3|4\n4:5|6\n"},
    {TEXT("a,b\n1,\"y\n3,\"x\"\n5,6\n"), NS_OK, "2!" BAD_CLOSE "\n3:3|x\n4:5|6\n"},
    {TEXT("a,b\n\"o\nk\",\"y\n3,4\n"), NS_OK, "3!" NOT_CLOSED "\n4:3|4\n"},
    {TEXT("a,b\n1,\"y"), NS_OK, "2!" NOT_CLOSED "\n"},
    {TEXT("a,b\n1,\"\n"), NS_OK, "2!" NOT_CLOSED "\n"},
    {TEXT("a,b\n1,x\0y\n3,4\n"), NS_OK, "2!has a NUL byte\n3:3|4\n"},
    {TEXT("a,b\n1,\"x\0\"\n3,4\n"), NS_OK, "2!has a NUL byte\n3:3|4\n"},
    {TEXT("a,b\n1,x\ry\n3,4\n"), NS_OK,
     "2!has a carriage return that ends no line; lines end with LF or CRLF\n3:3|4\n"},
    {TEXT("a,b\n1,\xfc\n3,4\n"), NS_OK, "2!column 2 is not UTF-8 (byte 6 of the file)\n3:3|4\n"},
    {TEXT("a,b\n\"x\"\"\xe2\x82\",2\n3,4\n"), NS_OK, "2!column 1 is not UTF-8 (byte 8 of the file)\n3:3|4\n"},
    {TEXT("a,gr\xc3\xb6\xc3\x9f"
          "e\n\xe2\x82\xac,\"\xc3\xbc\"\n"),
     NS_OK, "2:\xe2\x82\xac|\xc3\xbc\n"},
    {TEXT("a;b\n1,5;2\n"), NS_OK, "2:1,5|2\n"},
    {TEXT("a\tb\n1\t2\n"), NS_OK, "2:1|2\n"},
    {TEXT("a|b|c;d\n1|2|3\n"), NS_OK, "2:1|2|3\n"},
    {TEXT("\"a,b\";c\n1;2\n"), NS_OK, "2:1|2\n"},
    {TEXT("a;b,c\n1,2\n"), NS_OK, "2:1|2\n"},
    {TEXT("two words\n1\n"), NS_OK, "2:1\n"},
    {TEXT(""), NS_EFORMAT, "is empty; a header line is expected"},
    {TEXT("\xef\xbb\xbf"), NS_EFORMAT, "is empty; a header line is expected"},
    {TEXT("\n1\n"), NS_EFORMAT, "line 1: column 1 of 1 has no name"},
    {TEXT("a,,c\n1,2,3\n"), NS_EFORMAT, "line 1: column 2 of 3 has no name"},
    {TEXT("a,b,\n1,2,3\n"), NS_EFORMAT, "line 1: column 3 of 3 has no name"},
    {TEXT("a,b,a\n1,2,3\n"), NS_EFORMAT, "line 1: columns 1 and 3 are both named 'a'"},
    {TEXT("a,\"b\nc\"\n1,2\n"), NS_EFORMAT, "line 1: the name of column 2 holds a control character"},
    {TEXT("a,.\n1,2\n"), NS_EFORMAT, "column 2 is named \".\""},
    {TEXT("a,\"b\n1,2\n"), NS_EFORMAT, "line 1: the header " NOT_CLOSED},
    {TEXT("a,\xfc\n1,2\n"), NS_EFORMAT, "line 1: the header: column 2 is not UTF-8 (byte 2 of the file)"},
    {TEXT("a\rb\r1\r2\r"), NS_EFORMAT, "line 1: the header has a carriage return that ends no line"},
    {TEXT("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), NS_EFORMAT, "is compressed with gzip"},
    {TEXT("\xfd"
          "7zXZ\x00\x00\x04"),
     NS_EFORMAT, "is compressed with xz"},
    {TEXT("PK\x03\x04\x14\x00\x06\x00"), NS_EFORMAT, "is a ZIP or Excel file"},
    {TEXT("\xff\xfe"
          "a\0,\0b\0"),
     NS_EFORMAT, "is UTF-16"},
    {TEXT("\x89HDF\r\n\x1a\n"), NS_EFORMAT, "is an HDF5 file"},
};

static void csv_files_are_read_or_refused(void **state)
{
    const char *path = *state;
    static const int64_t blocks[] = {1, 2, 7, 64, 0};
    for (size_t i = 0; i < sizeof csv_cases / sizeof csv_cases[0]; i++) {
        const csv_case *c = &csv_cases[i];
        write_file(path, c->bytes, c->n_bytes);
        for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
            transcript t;
            ns_error_clear();
            ns_status status = read_all(&t, path, blocks[b]);
            const char *got = status == NS_OK ? t.text : ns_last_error()->message;
            bool equal = status == NS_OK ? strcmp(got, c->want) == 0 : strstr(got, c->want) != NULL;
            if (status != c->status || !equal)
                fail_msg("case %zu, blocks of %d: status %d: %s\nnot: %s", i, (int)blocks[b], (int)status,
                         got, c->want);
            if (status != NS_OK) assert_non_null(strstr(got, path));
        }
    }
    ns_error_clear();
}

/* A long run of empty lines must not be scanned anew for each of them. */
static void many_empty_lines_are_quick(void **state)
{
    const char *path = *state;
    enum { N = 300000 };
    char *bytes = malloc(N + 8);
    assert_non_null(bytes);
    memcpy(bytes, "a,b\n", 4);
    memset(bytes + 4, '\n', N);
    memcpy(bytes + 4 + N, "1,2\n", 4);
    write_file(path, bytes, N + 8);
    free(bytes);
    ns_csv *csv;
    ns_csv_record record;
    bool found;
    CHECK_OK(ns_csv_open(&csv, path, NULL));
    CHECK_OK(ns_csv_next(csv, &record, &found));
    assert_true(found);
    assert_int_equal(record.line, N + 2);
    assert_int_equal(ns_csv_n_bad(csv), N);
    CHECK_OK(ns_csv_next(csv, &record, &found));
    assert_false(found);
    assert_int_equal(ns_csv_n_bytes(csv), N + 8);
    ns_csv_close(&csv);
}

static void long_records_are_refused(void **state)
{
    const char *path = *state;
    char bytes[6000];
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "a,b\n1,2\n3,\"", 11);
    write_file(path, bytes, sizeof bytes);
    transcript t;
    CHECK_FAILS(read_all(&t, path, 256), NS_EFORMAT, "line 3: a record longer than 2000 bytes begins here");
    assert_string_equal(t.text, "2:1|2\n");
}

static void long_names_are_refused(void **state)
{
    const char *path = *state;
    char bytes[400];
    memset(bytes, 'x', sizeof bytes);
    memcpy(bytes, "a,", 2);
    write_file(path, bytes, sizeof bytes);
    transcript t;
    CHECK_FAILS(read_all(&t, path, 0), NS_EFORMAT, "the name of column 2 is longer than 255 bytes");
}

static void files_that_cannot_be_read_are_refused(void **state)
{
    (void)state;
    ns_csv *csv;
    CHECK_FAILS(ns_csv_open(&csv, "/nowhere/in.csv", NULL), NS_EFORMAT, "cannot open /nowhere/in.csv");
    assert_null(csv);
    CHECK_FAILS(ns_csv_open(&csv, "/tmp", NULL), NS_EFORMAT, "is a folder");
    assert_null(csv);
    ns_csv_close(&csv);
}

static void standard_input_is_read(void **state)
{
    (void)state;
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "a,b\n1,2\n3\n", 10), 10);
    close(ends[1]);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    transcript t;
    ns_status status = read_all(&t, "-", 0);
    ns_csv *csv;
    ns_status at_end = ns_csv_open(&csv, "-", NULL);
    dup2(kept, STDIN_FILENO);
    close(kept);

    assert_int_equal(status, NS_OK);
    assert_string_equal(t.text, "2:1|2\n3!has 1 field, the header has 2\n");
    assert_int_equal(at_end, NS_EFORMAT);
    assert_non_null(strstr(ns_last_error()->message, "standard input is empty"));
    ns_error_clear();
}

int main(void)
{
    char path[] = "/tmp/nightshift-test-csv-XXXXXX";
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(csv_files_are_read_or_refused, path),
        cmocka_unit_test_prestate(many_empty_lines_are_quick, path),
        cmocka_unit_test_prestate(long_records_are_refused, path),
        cmocka_unit_test_prestate(long_names_are_refused, path),
        cmocka_unit_test(files_that_cannot_be_read_are_refused),
        cmocka_unit_test_prestate(standard_input_is_read, path),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
