#include "data/csv.h"

/*
 * One buffer holds the record being read and what follows it. A record is cut into fields where it lies, by a
 * loop over a table of byte classes; when the buffer ends inside it, the record is moved to the front, more
 * is read, and the cutting starts over. So nothing in the buffer may change before a record is whole: doubled
 * quotes are taken out after that. The byte behind the buffer's end is NUL, which every loop stops at.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/values.h"

enum { BLOCK_BYTES = 1 << 20, RECORD_BYTES = 1 << 24, MAX_NAME_BYTES = 255, MAX_PROBLEM = 512 };

/* Byte classes: where the loop over an unquoted field stops, and where the one over a quoted field does. */
enum { STOPS_PLAIN = 1, STOPS_QUOTED = 2 };

/* A field as it lies in the buffer, quotes taken off. */
typedef struct span {
    int64_t start, end;
    bool doubled; /* holds doubled quotes */
} span;

/* How a record ended. */
typedef enum outcome { RECORD_WHOLE, RECORD_NEEDS_MORE, RECORD_BAD } outcome;

struct ns_csv {
    char *name;
    int file;
    bool at_end;  /* the file is */
    bool started; /* the header is read: records have its number of fields */
    char separator;
    ns_csv_options options;
    uint8_t class[256];

    char *buffer;
    int64_t room, filled, pos; /* bytes: allocated without the NUL, read, of them done with */
    int64_t offset;            /* of buffer[0] in the file */
    int64_t line;              /* of buffer[pos] */
    int64_t n_bad;
    int64_t text_at; /* a byte of the file known to be no line end: what stands before it is not the end of
                        the file */

    ns_texts header;
    int64_t n_fields, room_fields; /* of the record in work: seen; stored are at most room_fields */
    span *spans;
    ns_csv_field *fields;

    int64_t next, lines; /* RECORD_WHOLE: where the next begins and how many line ends this one has */
    bool high;           /* it has bytes above 127 */
    int64_t bad_at;      /* RECORD_BAD: in the line of this byte; reading goes on behind that line */
    char problem[MAX_PROBLEM];
};

const char *ns_csv_name(const ns_csv *csv)
{
    return csv->name;
}

const ns_texts *ns_csv_header(const ns_csv *csv)
{
    return &csv->header;
}

char ns_csv_separator(const ns_csv *csv)
{
    return csv->separator;
}

int64_t ns_csv_n_bad(const ns_csv *csv)
{
    return csv->n_bad;
}

int64_t ns_csv_n_bytes(const ns_csv *csv)
{
    return csv->offset + csv->pos;
}

/* Makes room for more behind the record in work, which is moved to the front, and fills the buffer. */
static ns_status refill(ns_csv *csv)
{
    if (csv->pos > 0) {
        memmove(csv->buffer, csv->buffer + csv->pos, (size_t)(csv->filled - csv->pos));
        csv->offset += csv->pos;
        csv->filled -= csv->pos;
        csv->pos = 0;
    }
    if (csv->filled > csv->options.record_bytes)
        return ns_fail(NS_EFORMAT,
                       "%s line %" PRId64 ": a record longer than %" PRId64
                       " bytes begins here; is a quote left open?",
                       csv->name, csv->line, csv->options.record_bytes);
    if (csv->filled == csv->room) {
        char *larger = realloc(csv->buffer, (size_t)csv->room * 2 + 1);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a record of %s", csv->name);
        csv->buffer = larger;
        csv->room *= 2;
    }
    while (csv->filled < csv->room &&
           !csv->at_end) { /* a pipe gives little at a time, and every refill cuts anew */
        ssize_t n = read(csv->file, csv->buffer + csv->filled, (size_t)(csv->room - csv->filled));
        if (n < 0 && (errno == EINTR || errno == ESTALE)) continue;
        if (n < 0 && errno == EISDIR) return ns_fail(NS_EFORMAT, "%s is a folder, not a CSV file", csv->name);
        if (n < 0) return ns_fail(NS_EIO, "cannot read %s: %s", csv->name, strerror(errno));
        csv->at_end = n == 0;
        csv->filled += n;
    }
    csv->buffer[csv->filled] = '\0';
    return NS_OK;
}

static outcome bad_record(ns_csv *csv, int64_t at, const char *problem)
{
    csv->bad_at = at;
    snprintf(csv->problem, sizeof csv->problem, "%s", problem);
    return RECORD_BAD;
}

static void keep_span(ns_csv *csv, int64_t start, int64_t end, bool doubled)
{
    if (csv->n_fields < csv->room_fields) csv->spans[csv->n_fields] = (span){start, end, doubled};
    csv->n_fields++;
}

/* Loops over a field without quotes: *at is its first byte, then the byte that ends it. */
static outcome cut_plain(ns_csv *csv, int64_t *at)
{
    const unsigned char *bytes = (const unsigned char *)csv->buffer;
    int64_t start = *at, i = start;
    for (;; i++) {
        while (!(csv->class[bytes[i]] & STOPS_PLAIN)) i++;
        unsigned char c = bytes[i];
        if (c == (unsigned char)csv->separator || c == '\n') break;
        if (c > 127)
            csv->high = true;
        else if (i == csv->filled) {
            if (!csv->at_end) return RECORD_NEEDS_MORE;
            break;
        } else if (c == '\r') {
            if (i + 1 == csv->filled && !csv->at_end) return RECORD_NEEDS_MORE;
            if (bytes[i + 1] == '\n' || i + 1 == csv->filled) break;
            return bad_record(csv, start,
                              "has a carriage return that ends no line; lines end with LF or CRLF");
        } else if (c == '"')
            return bad_record(csv, start, "has a quote inside a field that does not begin with one");
        else
            return bad_record(csv, start, "has a NUL byte");
    }
    keep_span(csv, start, i, false);
    *at = i;
    return RECORD_WHOLE;
}

/* Loops over a field in quotes: *at is its opening quote, then the byte behind the closing one. */
static outcome cut_quoted(ns_csv *csv, int64_t *at)
{
    const unsigned char *bytes = (const unsigned char *)csv->buffer;
    int64_t quote = *at, i = quote + 1, lines = 0;
    bool doubled = false;
    for (;; i++) {
        while (!(csv->class[bytes[i]] & STOPS_QUOTED)) i++;
        unsigned char c = bytes[i];
        if (c == '"') {
            if (i + 1 == csv->filled && !csv->at_end) return RECORD_NEEDS_MORE;
            if (bytes[i + 1] != '"') break;
            doubled = true;
            i++;
        } else if (c == '\n')
            lines++;
        else if (c > 127)
            csv->high = true;
        else if (i < csv->filled)
            return bad_record(csv, quote, "has a NUL byte");
        else if (!csv->at_end)
            return RECORD_NEEDS_MORE;
        else
            return bad_record(csv, quote, "opens a quote that is never closed");
    }
    keep_span(csv, quote + 1, i, doubled);
    i++;
    if (bytes[i] == '\r' && i + 1 == csv->filled && !csv->at_end) return RECORD_NEEDS_MORE;
    if (i == csv->filled && !csv->at_end) return RECORD_NEEDS_MORE;
    bool ends = bytes[i] == (unsigned char)csv->separator || bytes[i] == '\n' || i == csv->filled ||
                (bytes[i] == '\r' && (bytes[i + 1] == '\n' || i + 1 == csv->filled));
    if (!ends)
        return bad_record(csv, quote,
                          "has a quoted field whose closing quote is not followed by a separator or a "
                          "line end; is a quote left open, or not doubled?");
    csv->lines += lines;
    *at = i;
    return RECORD_WHOLE;
}

/* Cuts the record at pos into spans. */
static outcome cut_record(ns_csv *csv)
{
    int64_t at = csv->pos;
    csv->n_fields = 0;
    csv->lines = 0;
    csv->high = false;
    for (;; at++) {
        outcome result = csv->buffer[at] == '"' ? cut_quoted(csv, &at) : cut_plain(csv, &at);
        if (result != RECORD_WHOLE) return result;
        if (at == csv->filled || csv->buffer[at] != csv->separator) break;
    }
    if (at < csv->filled && csv->buffer[at] == '\r') at++;
    if (at < csv->filled) { /* not the last line without its end */
        at++;
        csv->lines++;
    }
    csv->next = at;
    return RECORD_WHOLE;
}

/* Puts one quote for each doubled one. */
static int64_t undouble(char *text, int64_t n_bytes)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n_bytes; i++) {
        text[kept++] = text[i];
        if (text[i] == '"') i++;
    }
    return kept;
}

static void report_bad(ns_csv *csv, int64_t line)
{
    csv->n_bad++;
    if (csv->options.bad != NULL) csv->options.bad(csv->options.context, line, csv->problem);
}

/* A record that could not be cut: counted, and passed by up to the end of the line in which the bad field
 * began. */
static ns_status skip_bad(ns_csv *csv)
{
    int64_t line = csv->line;
    for (int64_t i = csv->pos; i < csv->bad_at; i++) line += csv->buffer[i] == '\n';
    report_bad(csv, line);
    csv->pos = csv->bad_at;
    csv->line = line;
    for (;;) {
        char *end = memchr(csv->buffer + csv->pos, '\n', (size_t)(csv->filled - csv->pos));
        if (end != NULL) {
            csv->pos = end - csv->buffer + 1;
            csv->line++;
            return NS_OK;
        }
        csv->pos = csv->filled;
        if (csv->at_end) return NS_OK;
        NS_TRY(refill(csv));
    }
}

/* Whether what is left of the file is line ends only; then it is passed by. */
static ns_status only_line_ends_left(ns_csv *csv, bool *only)
{
    int64_t i = csv->pos;
    *only = false;
    if (csv->offset + i < csv->text_at) return NS_OK;
    for (;;) {
        while (i < csv->filled && (csv->buffer[i] == '\n' || csv->buffer[i] == '\r')) i++;
        if (i < csv->filled) {
            csv->text_at = csv->offset + i;
            return NS_OK;
        }
        if (csv->at_end) break;
        i -= csv->pos;
        NS_TRY(refill(csv));
        i += csv->pos;
    }
    csv->pos = csv->filled;
    *only = true;
    return NS_OK;
}

/* Cuts the next record, reading as needed; *found is false at the end of the file. Bad records are passed by.
 */
static ns_status next_whole(ns_csv *csv, bool *found)
{
    *found = false;
    for (;;) {
        if (csv->pos == csv->filled) {
            if (csv->at_end) return NS_OK;
            NS_TRY(refill(csv));
            continue;
        }
        outcome result = cut_record(csv);
        if (result == RECORD_WHOLE) break;
        if (result == RECORD_NEEDS_MORE)
            NS_TRY(refill(csv));
        else if (csv->started)
            NS_TRY(skip_bad(csv));
        else
            return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": the header %s", csv->name, csv->line,
                           csv->problem);
    }
    *found = true;
    return NS_OK;
}

/* Turns spans into fields; false where one is not UTF-8, with the problem worded. */
static bool finish_fields(ns_csv *csv)
{
    for (int64_t i = 0; i < csv->n_fields; i++) {
        span *s = &csv->spans[i];
        char *text = csv->buffer + s->start;
        int64_t n_bytes = s->end - s->start, bad_at;
        if (csv->high && !ns_utf8_valid(text, n_bytes, &bad_at)) {
            snprintf(csv->problem, sizeof csv->problem,
                     "%s %" PRId64 " is not UTF-8 (byte %" PRId64 " of the file)",
                     csv->started ? "column" : "the header: column", i + 1, csv->offset + s->start + bad_at);
            return false;
        }
        if (s->doubled) n_bytes = undouble(text, n_bytes);
        csv->fields[i] = (ns_csv_field){text, n_bytes};
    }
    return true;
}

/* Steps over the record that was cut. */
static int64_t step(ns_csv *csv)
{
    int64_t line = csv->line;
    csv->pos = csv->next;
    csv->line += csv->lines;
    return line;
}

ns_status ns_csv_next(ns_csv *csv, ns_csv_record *record, bool *found)
{
    for (;;) {
        NS_TRY(next_whole(csv, found));
        if (!*found) return NS_OK;
        bool empty = csv->n_fields == 1 && csv->spans[0].start == csv->spans[0].end &&
                     csv->spans[0].start == csv->pos; /* no quotes either */
        if (csv->n_fields == csv->header.n) {
            bool good = finish_fields(csv);
            *record = (ns_csv_record){step(csv), csv->fields};
            if (good) return NS_OK;
            report_bad(csv, record->line);
            continue;
        }
        if (empty) {
            bool only;
            NS_TRY(only_line_ends_left(csv, &only));
            if (only) continue;
            NS_TRY(next_whole(csv, found)); /* cut again: reading may have moved it */
            snprintf(csv->problem, sizeof csv->problem, "is empty");
        } else
            snprintf(csv->problem, sizeof csv->problem, "has %" PRId64 " field%s, the header has %" PRId64,
                     csv->n_fields, csv->n_fields == 1 ? "" : "s", csv->header.n);
        report_bad(csv, step(csv));
    }
}

/* What a file that begins like this seems to be, and the cure; NULL: perhaps a CSV. */
static const char *foreign(const char *bytes, int64_t n_bytes)
{
    static const struct {
        const char *magic;
        int64_t n_bytes;
        const char *words;
    } known[] = {
        {"\x1f\x8b", 2, "is compressed with gzip; unpack it first: zcat FILE | nightshift import - OUT.h5"},
        {"\xfd"
         "7zXZ",
         5, "is compressed with xz; unpack it first: xzcat FILE | nightshift import - OUT.h5"},
        {"BZh", 3, "is compressed with bzip2; unpack it first: bzcat FILE | nightshift import - OUT.h5"},
        {"\x28\xb5\x2f\xfd", 4,
         "is compressed with zstd; unpack it first: zstdcat FILE | nightshift import - OUT.h5"},
        {"PK\x03\x04", 4, "is a ZIP or Excel file; unpack it, or save the sheet as CSV (UTF-8)"},
        {"\x89HDF\r\n", 6, "is an HDF5 file, perhaps a cohort already; see nightshift inspect"},
        {"PAR1", 4, "is a Parquet file; convert it with pandas"},
        {"\xff\xfe", 2, "is UTF-16; save it as UTF-8"},
        {"\xfe\xff", 2, "is UTF-16; save it as UTF-8"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (n_bytes >= known[i].n_bytes && memcmp(bytes, known[i].magic, (size_t)known[i].n_bytes) == 0)
            return known[i].words;
    return NULL;
}

/* Reads the first block, passes the byte order mark by, refuses what is no CSV. */
static ns_status read_start(ns_csv *csv)
{
    while (csv->filled < 8 && !csv->at_end) NS_TRY(refill(csv));
    const char *what = foreign(csv->buffer, csv->filled);
    if (what != NULL) return ns_fail(NS_EFORMAT, "%s %s", csv->name, what);
    if (csv->filled >= 3 && memcmp(csv->buffer, "\xef\xbb\xbf", 3) == 0) csv->pos = 3;
    if (csv->filled == csv->pos)
        return ns_fail(NS_EFORMAT, "%s is empty; a header line is expected", csv->name);
    return NS_OK;
}

/* The separator by the header line: the comma, or the most frequent of the others where there is none. */
static ns_status find_separator(ns_csv *csv)
{
    static const char others[] = ";\t|";
    int64_t i = csv->pos, count[3] = {0};
    bool quoted = false;
    for (;; i++) {
        if (i == csv->filled) {
            if (csv->at_end) break;
            i -= csv->pos;
            NS_TRY(refill(csv));
            i += csv->pos - 1;
            continue;
        }
        char c = csv->buffer[i];
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == '\n' || c == ',') break;
        const char *other = c == '\0' ? NULL : strchr(others, c);
        if (other != NULL) count[other - others]++;
    }
    csv->separator = ',';
    if (i < csv->filled && csv->buffer[i] == ',') return NS_OK;
    int64_t most = 0;
    for (int k = 0; k < 3; k++) {
        if (count[k] <= most) continue;
        most = count[k];
        csv->separator = others[k];
    }
    return NS_OK;
}

static void set_classes(ns_csv *csv)
{
    for (int c = 128; c < 256; c++) csv->class[c] = STOPS_PLAIN | STOPS_QUOTED;
    csv->class['\0'] = csv->class['"'] = csv->class['\n'] = STOPS_PLAIN | STOPS_QUOTED;
    csv->class['\r'] = STOPS_PLAIN;
    csv->class[(unsigned char)csv->separator] |= STOPS_PLAIN;
}

/* A header name that can be a column's; names are no patient's values, so the message may show the good ones.
 */
static ns_status check_name(const ns_csv *csv, int64_t i, const char *name, int64_t n_bytes)
{
    if (n_bytes == 0)
        return ns_fail(NS_EFORMAT, "%s line 1: column %" PRId64 " of %" PRId64 " has no name", csv->name,
                       i + 1, csv->n_fields);
    if (n_bytes > MAX_NAME_BYTES)
        return ns_fail(NS_EFORMAT, "%s line 1: the name of column %" PRId64 " is longer than %d bytes",
                       csv->name, i + 1, MAX_NAME_BYTES);
    for (int64_t k = 0; k < n_bytes; k++)
        if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f)
            return ns_fail(NS_EFORMAT, "%s line 1: the name of column %" PRId64 " holds a control character",
                           csv->name, i + 1);
    if (n_bytes == 1 && name[0] == '.')
        return ns_fail(NS_EFORMAT, "%s line 1: column %" PRId64 " is named \".\", which no cohort can hold",
                       csv->name, i + 1);
    return NS_OK;
}

static int compare_names(const ns_csv_field *a, const ns_csv_field *b)
{
    int64_t shorter = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    int order = memcmp(a->text, b->text, (size_t)shorter);
    return order != 0 ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

static int by_name_then_place(const void *a, const void *b)
{
    const ns_csv_field *const *x = a, *const *y = b;
    int order = compare_names(*x, *y);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

static ns_status check_names_differ(const ns_csv *csv)
{
    const ns_csv_field **sorted = malloc((size_t)csv->n_fields * sizeof *sorted);
    if (sorted == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of %s", csv->name);
    for (int64_t i = 0; i < csv->n_fields; i++) sorted[i] = &csv->fields[i];
    qsort(sorted, (size_t)csv->n_fields, sizeof *sorted, by_name_then_place);
    ns_status status = NS_OK;
    for (int64_t i = 1; i < csv->n_fields && status == NS_OK; i++)
        if (compare_names(sorted[i - 1], sorted[i]) == 0)
            status = ns_fail(NS_EFORMAT, "%s line 1: columns %d and %d are both named '%.*s'", csv->name,
                             (int)(sorted[i - 1] - csv->fields) + 1, (int)(sorted[i] - csv->fields) + 1,
                             (int)sorted[i]->n_bytes, sorted[i]->text);
    free(sorted);
    return status;
}

static ns_status read_header(ns_csv *csv)
{
    bool found;
    NS_TRY(next_whole(csv, &found)); /* there is at least one byte */
    csv->room_fields = csv->n_fields;
    csv->spans = calloc((size_t)csv->n_fields, sizeof *csv->spans);
    csv->fields = calloc((size_t)csv->n_fields, sizeof *csv->fields);
    if (csv->spans == NULL || csv->fields == NULL)
        return ns_fail(NS_ENOMEM, "no memory for the header of %s", csv->name);
    NS_TRY(next_whole(csv, &found)); /* once more, with room for the fields */
    if (!finish_fields(csv))
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s", csv->name, csv->line, csv->problem);
    for (int64_t i = 0; i < csv->n_fields; i++) {
        NS_TRY(check_name(csv, i, csv->fields[i].text, csv->fields[i].n_bytes));
        NS_TRY(ns_texts_append(&csv->header, csv->fields[i].text, csv->fields[i].n_bytes));
    }
    NS_TRY(check_names_differ(csv));
    step(csv);
    csv->started = true;
    return NS_OK;
}

static ns_status open_file(ns_csv *csv, const char *path, const ns_csv_options *options)
{
    if (options != NULL) csv->options = *options;
    if (csv->options.block_bytes <= 0) csv->options.block_bytes = BLOCK_BYTES;
    if (csv->options.record_bytes <= 0) csv->options.record_bytes = RECORD_BYTES;
    bool standard_input = strcmp(path, "-") == 0;
    csv->name = strdup(standard_input ? "standard input" : path);
    csv->room = csv->options.block_bytes;
    csv->buffer = malloc((size_t)csv->room + 1);
    if (csv->name == NULL || csv->buffer == NULL) return ns_fail(NS_ENOMEM, "no memory to read %s", path);
    csv->buffer[0] = '\0';
    csv->line = 1;
    csv->file = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (csv->file < 0) return ns_fail(NS_EFORMAT, "cannot open %s: %s", path, strerror(errno));
    return NS_OK;
}

ns_status ns_csv_open(ns_csv **out, const char *path, const ns_csv_options *options)
{
    *out = NULL;
    ns_csv *csv = calloc(1, sizeof *csv);
    if (csv == NULL) return ns_fail(NS_ENOMEM, "no memory to read %s", path);
    csv->file = -1;
    ns_status status = open_file(csv, path, options);
    if (status == NS_OK) status = read_start(csv);
    if (status == NS_OK) status = find_separator(csv);
    if (status == NS_OK) {
        set_classes(csv);
        status = read_header(csv);
    }
    if (status != NS_OK) ns_csv_close(&csv);
    *out = csv;
    return status;
}

void ns_csv_close(ns_csv **csv)
{
    ns_csv *c = *csv;
    if (c == NULL) return;
    if (c->file > STDIN_FILENO) close(c->file);
    ns_texts_destroy(&c->header);
    free(c->spans);
    free(c->fields);
    free(c->buffer);
    free(c->name);
    free(c);
    *csv = NULL;
}
