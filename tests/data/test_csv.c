/* The CSV reader: what is a record, what is a bad one, on which line. */
#include "tests/check.h"

#include <inttypes.h>
#include <unistd.h>
#include <zlib.h>

#include "data/csv.h"

#define TEXT(literal) (literal), (int64_t)(sizeof(literal) - 1)

/* What a reader says of some bytes: records as "LINE:field|field", bad ones as "LINE!problem", one a line. */
typedef struct transcript {
    char text[4096];
    size_t length;
    struct entry {
        int64_t line;
        size_t first, end; /* in text */
    } entries[400];
    int n_entries;
} transcript;

static int by_line(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return (x->line > y->line) - (x->line < y->line);
}

/* Good and bad records reach us by two ways; here in the order of their lines. */
static void sort_lines(transcript *t)
{
    transcript sorted = {.length = 0};
    qsort(t->entries, (size_t)t->n_entries, sizeof t->entries[0], by_line);
    for (int i = 0; i < t->n_entries; i++) {
        size_t n = t->entries[i].end - t->entries[i].first;
        memcpy(sorted.text + sorted.length, t->text + t->entries[i].first, n);
        sorted.length += n;
    }
    *t = sorted;
}

static void note(transcript *t, const char *text, int64_t n_bytes)
{
    assert_true(t->length + (size_t)n_bytes < sizeof t->text);
    memcpy(t->text + t->length, text, (size_t)n_bytes);
    t->length += (size_t)n_bytes;
    t->text[t->length] = '\0';
}

static void end_entry(transcript *t, int64_t line, size_t first)
{
    assert_true(t->n_entries < 400);
    t->entries[t->n_entries++] = (struct entry){line, first, t->length};
}

static ns_status note_bad(void *context, const ns_csv_bad_record *record)
{
    transcript *t = context;
    char words[600];
    size_t first = t->length;
    int n = snprintf(words, sizeof words, "%" PRId64 "!%s\n", record->line, record->problem);
    note(t, words, n);
    end_entry(t, record->line, first);
    return NS_OK;
}

static void write_file(const char *path, const char *bytes, int64_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

/* One good record in words. */
static void note_row(transcript *t, const ns_csv *csv, const ns_csv_batch *batch, int64_t row)
{
    char line[32];
    size_t first = t->length;
    note(t, line, snprintf(line, sizeof line, "%" PRId64 ":", batch->line[row]));
    for (int64_t i = 0; i < ns_csv_header(csv)->n; i++) {
        ns_csv_cell cell = batch->cells[i * batch->room_rows + row];
        if (i > 0) note(t, "|", 1);
        note(t, ns_csv_text(batch, cell), cell.n_bytes);
    }
    note(t, "\n", 1);
    end_entry(t, batch->line[row], first);
}

/* Batches take turns, as in an import. */
static ns_status read_as(transcript *t, const char *path, int64_t block_bytes, ns_csv_encoding encoding)
{
    ns_csv *csv;
    ns_csv_batch batches[2] = {{0}, {0}};
    ns_csv_options options = {
        .bad = note_bad, .context = t, .block_bytes = block_bytes, .record_bytes = 2000, .encoding = encoding};
    *t = (transcript){0};
    ns_status status = ns_csv_open(&csv, path, &options);
    for (int turn = 0; status == NS_OK; turn = 1 - turn) {
        status = ns_csv_read(csv, &batches[turn]);
        if (status != NS_OK || batches[turn].n_rows == 0) break;
        for (int64_t i = 0; i < batches[turn].n_rows; i++) note_row(t, csv, &batches[turn], i);
    }
    ns_csv_close(&csv);
    for (int i = 0; i < 2; i++) ns_csv_batch_destroy(&batches[i]);
    sort_lines(t);
    return status;
}

static ns_status read_all(transcript *t, const char *path, int64_t block_bytes)
{
    return read_as(t, path, block_bytes, NS_CSV_UTF8);
}

typedef struct csv_case {
    const char *bytes;
    int64_t n_bytes;
    ns_status status;
    const char *want; /* the transcript; of a failure, what its message contains */
} csv_case;

#define CURE "; --encoding latin1 reads Latin-1"
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
    {TEXT("a,b\n1,\xfc\n3,4\n"), NS_OK, "2!column 2 is not UTF-8 (byte 6 of the file)" CURE "\n3:3|4\n"},
    {TEXT("a,b\n\"x\"\"\xe2\x82\",2\n3,4\n"), NS_OK, "2!column 1 is not UTF-8 (byte 8 of the file)" CURE "\n3:3|4\n"},
    {TEXT("a,gr\xc3\xb6\xc3\x9f"
          "e\n\xe2\x82\xac,\"\xc3\xbc\"\n"),
     NS_OK, "2:\xe2\x82\xac|\xc3\xbc\n"},
    {TEXT("a;b\n1,5;2\n"), NS_OK, "2:1,5|2\n"},
    {TEXT("a\tb\n1\t2\n"), NS_OK, "2:1|2\n"},
    {TEXT("a|b|c;d\n1|2|3\n"), NS_OK, "2:1|2|3\n"},
    {TEXT("\"a,b\";c\n1;2\n"), NS_OK, "2:1|2\n"},
    {TEXT("a;b,c\n1,2\n"), NS_OK, "2:1|2\n"},
    {TEXT("two words\n1\n"), NS_OK, "2:1\n"},
    {TEXT("sep=;\na,b;c\n1,5;2\n"), NS_OK, "3:1,5|2\n"},
    {TEXT("\xef\xbb\xbfsep=\t\r\na\tb\r\n1\t2\r\n"), NS_OK, "3:1|2\n"},
    {TEXT("sep=;\n"), NS_EFORMAT, "line 2: a header line is expected"},
    {TEXT("sep=;\na;;c\n"), NS_EFORMAT, "line 2: column 2 of 3 has no name"},
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
    {TEXT("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), NS_EFORMAT, "ends inside its gzip data"},
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

/* Every bad line of many: that the blocks around it do not matter. */
static void blocks_mean_nothing(void **state)
{
    const char *path = *state;
    static const char *const pieces[] = {"1,2\n", "\"a\nb\",\"c\"\"d\"\n", "\n", "x\n", "3,\"4\"\r\n", "5,\"6\n", "7,8\"9\n",
                                         "a,\xc3\xa4\n", "b,\xe4\n", "\"\",\r\n"};
    enum { N = sizeof pieces / sizeof pieces[0] };
    unsigned state_of = 1;
    for (int file_number = 0; file_number < 60; file_number++) {
        char bytes[1000] = "h,k\n";
        for (int i = 0; i < 30; i++) {
            state_of = state_of * 1103515245U + 12345U;
            strcat(bytes, pieces[state_of / 65536 % N]);
        }
        write_file(path, bytes, (int64_t)strlen(bytes));
        transcript whole, parts;
        CHECK_OK(read_all(&whole, path, 0));
        for (int64_t block = 1; block < 40; block++) {
            CHECK_OK(read_all(&parts, path, block));
            if (strcmp(parts.text, whole.text) != 0)
                fail_msg("%s\nin blocks of %d: %s\nwhole: %s", bytes, (int)block, parts.text, whole.text);
        }
    }
}

/* Records that are cut 64 bytes at a time and those that are cut byte by byte have the same fields, wherever they end. */
static void quotes_mean_nothing(void **state)
{
    const char *path = *state;
    unsigned state_of = 1;
    for (int file_number = 0; file_number < 400; file_number++) {
        char plain[4000] = "a,b,c,d\n", quoted[8000] = "a,b,c,d\n";
        size_t n = strlen(plain), m = n;
        for (int i = 0; i < 60; i++) {
            bool last = i % 4 == 3;
            state_of = state_of * 1103515245U + 12345U;
            int width = (int)(state_of >> 16) % (file_number % 40 + 1);
            const char *end = !last ? "," : state_of >> 30 == 0 ? "\r\n" : "\n";
            n += (size_t)snprintf(plain + n, sizeof plain - n, "%0*d%s", width > 0 || i % 4 > 0 ? width : 1, 0, end);
            bool quotes = i % 4 == (int)(state_of >> 20) % 4;
            m += (size_t)snprintf(quoted + m, sizeof quoted - m, quotes ? "\"%0*d\"%s" : "%0*d%s", width > 0 || i % 4 > 0 ? width : 1, 0, end);
        }
        transcript one, other;
        write_file(path, plain, (int64_t)n - (file_number % 3 == 0));
        CHECK_OK(read_all(&one, path, file_number % 2 == 0 ? 0 : 50 + file_number));
        write_file(path, quoted, (int64_t)m);
        CHECK_OK(read_all(&other, path, 0));
        assert_null(strchr(one.text, '!'));
        assert_non_null(strstr(one.text, "16:"));
        if (strcmp(one.text, other.text) != 0) fail_msg("%s\nplain: %s\nquoted: %s", plain, one.text, other.text);
    }
}

static void latin1_becomes_utf8(void **state)
{
    const char *path = *state;
    transcript t;
    write_file(path, TEXT("a,gr\xf6\xdf" "e\n\xe4,\"\xfc\"\"\x80\"\n1,2\n"));
    CHECK_OK(read_as(&t, path, 3, NS_CSV_LATIN1));
    assert_string_equal(t.text, "2:\xc3\xa4|\xc3\xbc\"\xe2\x82\xac\n3:1|2\n");
    write_file(path, TEXT("a,b\n1,\x81\n"));
    CHECK_OK(read_as(&t, path, 0, NS_CSV_LATIN1));
    assert_string_equal(t.text, "2!column 2 is not Latin-1 (byte 6 of the file)\n");
}

/* gzip of some bytes, in members of so many bytes each. */
static int64_t gzip(char *out, int64_t room, const char *bytes, int64_t n_bytes, int64_t member)
{
    int64_t used = 0;
    for (int64_t at = 0; at < n_bytes; at += member) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (Bytef *)(uintptr_t)bytes + at;
        z.avail_in = (uInt)(n_bytes - at < member ? n_bytes - at : member);
        z.next_out = (Bytef *)out + used;
        z.avail_out = (uInt)(room - used);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        used += (int64_t)z.total_out;
        deflateEnd(&z);
    }
    return used;
}

static void gzip_is_unpacked(void **state)
{
    const char *path = *state;
    static const char plain[] = "a,b\n1,2\n\"x\ny\",4\n5\n6,7\n";
    char packed[2000];
    for (int64_t member = 1; member < 40; member += 6) {
        int64_t n = gzip(packed, sizeof packed - 8, plain, sizeof plain - 1, member);
        memset(packed + n, 0, 8);
        for (int64_t block = 1; block < 20; block += 9) {
            transcript t;
            write_file(path, packed, n + (block > 1 ? 8 : 0)); /* zeros behind it mean nothing */
            CHECK_OK(read_all(&t, path, block));
            assert_string_equal(t.text, "2:1|2\n3:x\ny|4\n5!has 1 field, the header has 2\n6:6|7\n");
        }
        transcript t;
        write_file(path, packed, n - 3);
        CHECK_FAILS(read_all(&t, path, 0), NS_EFORMAT, "ends inside its gzip data");
        packed[n - 6] ^= 1; /* the checksum */
        write_file(path, packed, n);
        CHECK_FAILS(read_all(&t, path, 0), NS_EFORMAT, "its gzip data are damaged");
        packed[n - 6] ^= 1;
        packed[n] = 'x';
        write_file(path, packed, n + 1);
        CHECK_FAILS(read_all(&t, path, 0), NS_EFORMAT, "something that is not gzip follows");
    }
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
    ns_csv_batch batch = {0};
    CHECK_OK(ns_csv_open(&csv, path, NULL));
    CHECK_OK(ns_csv_read(csv, &batch));
    assert_int_equal(batch.n_rows, 1);
    assert_int_equal(batch.line[0], N + 2);
    assert_int_equal(ns_csv_n_bad(csv), N);
    CHECK_OK(ns_csv_read(csv, &batch));
    assert_int_equal(batch.n_rows, 0);
    assert_int_equal(ns_csv_n_bytes(csv), N + 8);
    assert_false(ns_csv_mixed_ends(csv));
    ns_csv_close(&csv);
    ns_csv_batch_destroy(&batch);
}

static void mixed_line_ends_are_known(void **state)
{
    const char *path = *state;
    static const char *const texts[] = {"a\n1\n2\n", "a\r\n1\r\n2", "a\r\n1\n", "a\n\"1\r\n\"\n"};
    static const bool mixed[] = {false, false, true, false};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ns_csv *csv;
        ns_csv_batch batch = {0};
        write_file(path, texts[i], (int64_t)strlen(texts[i]));
        CHECK_OK(ns_csv_open(&csv, path, NULL));
        CHECK_OK(ns_csv_read(csv, &batch));
        assert_int_equal(ns_csv_mixed_ends(csv), mixed[i]);
        ns_csv_close(&csv);
        ns_csv_batch_destroy(&batch);
    }
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
        cmocka_unit_test_prestate(blocks_mean_nothing, path),
        cmocka_unit_test_prestate(quotes_mean_nothing, path),
        cmocka_unit_test_prestate(latin1_becomes_utf8, path),
        cmocka_unit_test_prestate(gzip_is_unpacked, path),
        cmocka_unit_test_prestate(mixed_line_ends_are_known, path),
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
