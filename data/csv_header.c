/*
 * The start of a CSV: what it is, if not a CSV; its separator; the names of its columns.
 */
#include "data/csv_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 20, RECORD_BYTES = 1 << 24, MAX_NAME_BYTES = 255 };

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
    while (csv->filled < 16 && !csv->at_end) NS_TRY(ns_csv_fill(csv, csv->filled + csv->options.block_bytes));
    const char *what = foreign(csv->buffer, csv->filled);
    if (what != NULL) return ns_fail(NS_EFORMAT, "%s %s", ns_csv_name(csv), what);
    if (csv->filled >= 3 && memcmp(csv->buffer, "\xef\xbb\xbf", 3) == 0) csv->pos = 3;
    if (csv->filled == csv->pos)
        return ns_fail(NS_EFORMAT, "%s is empty; a header line is expected", ns_csv_name(csv));
    return NS_OK;
}

/* A first line "sep=;", as spreadsheets write and read it. */
static bool take_separator_line(ns_csv *csv)
{
    const char *p = csv->buffer + csv->pos; /* a NUL stands behind the buffer */
    if (strncmp(p, "sep=", 4) != 0 || p[4] == '\0' || strchr(",;\t|", p[4]) == NULL) return false;
    int64_t n = p[5] == '\r' ? 6 : 5;
    if (p[n] != '\n') return false;
    csv->separator = p[4];
    csv->pos += n + 1;
    csv->line++;
    return true;
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
            NS_TRY(ns_csv_read_more(csv));
            i--;
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
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": column %" PRId64 " of %" PRId64 " has no name", ns_csv_name(csv), csv->line,
                       i + 1, csv->n_fields);
    if (n_bytes > MAX_NAME_BYTES)
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": the name of column %" PRId64 " is longer than %d bytes",
                       ns_csv_name(csv), csv->line, i + 1, MAX_NAME_BYTES);
    for (int64_t k = 0; k < n_bytes; k++)
        if ((unsigned char)name[k] < 0x20 || name[k] == 0x7f)
            return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": the name of column %" PRId64 " holds a control character",
                           ns_csv_name(csv), csv->line, i + 1);
    if (n_bytes == 1 && name[0] == '.')
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": column %" PRId64 " is named \".\", which no cohort can hold",
                       ns_csv_name(csv), csv->line, i + 1);
    return NS_OK;
}

typedef struct named {
    const char *text;
    int64_t n_bytes;
} named;

static int compare_names(const named *a, const named *b)
{
    int64_t shorter = a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes;
    int order = memcmp(a->text, b->text, (size_t)shorter);
    return order != 0 ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

static int by_name_then_place(const void *a, const void *b)
{
    int order = compare_names(a, b);
    const named *x = a, *y = b;
    return order != 0 ? order : (x->text > y->text) - (x->text < y->text);
}

/* The header's column whose name begins here. */
static int place_of(const ns_texts *header, const char *text)
{
    int i = 0;
    while (header->bytes + header->offset[i] != text) i++;
    return i + 1;
}

static ns_status check_names_differ(const ns_csv *csv)
{
    const ns_texts *header = &csv->header;
    named *sorted = malloc((size_t)header->n * sizeof *sorted);
    if (sorted == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of %s", ns_csv_name(csv));
    for (int64_t i = 0; i < header->n; i++)
        sorted[i] = (named){header->bytes + header->offset[i], header->offset[i + 1] - header->offset[i]};
    qsort(sorted, (size_t)header->n, sizeof *sorted, by_name_then_place);
    ns_status status = NS_OK;
    for (int64_t i = 1; i < header->n && status == NS_OK; i++)
        if (compare_names(&sorted[i - 1], &sorted[i]) == 0)
            status = ns_fail(NS_EFORMAT, "%s line %" PRId64 ": columns %d and %d are both named '%.*s'", ns_csv_name(csv),
                             csv->line, place_of(header, sorted[i - 1].text), place_of(header, sorted[i].text),
                             (int)sorted[i].n_bytes, sorted[i].text);
    free(sorted);
    return status;
}

/* Cuts the header where it lies. */
static ns_status cut_header(ns_csv *csv)
{
    for (;;) {
        ns_csv_outcome result = ns_csv_cut_record(csv);
        if (result == RECORD_WHOLE) return NS_OK;
        if (result == RECORD_BAD)
            return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": the header %s", ns_csv_name(csv), csv->line, csv->problem);
        NS_TRY(ns_csv_read_more(csv));
    }
}

static ns_status take_names(ns_csv *csv, ns_csv_batch *names)
{
    bool good;
    names->cells = malloc((size_t)csv->n_fields * sizeof *names->cells);
    if (names->cells == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of %s", ns_csv_name(csv));
    NS_TRY(ns_csv_make_cells(csv, names, names->cells, 1, &good));
    if (!good) return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s", ns_csv_name(csv), csv->line, csv->problem);
    names->bytes = csv->buffer;
    for (int64_t i = 0; i < csv->n_fields; i++) {
        const char *name = ns_csv_text(names, names->cells[i]);
        NS_TRY(check_name(csv, i, name, names->cells[i].n_bytes));
        NS_TRY(ns_texts_append(&csv->header, name, names->cells[i].n_bytes));
    }
    return check_names_differ(csv);
}

static ns_status read_header(ns_csv *csv)
{
    ns_csv_batch names = {0};
    if (csv->pos == csv->filled && csv->at_end) /* behind a separator line */
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": a header line is expected", ns_csv_name(csv), csv->line);
    NS_TRY(cut_header(csv)); /* there is at least one byte */
    csv->room_fields = csv->n_fields;
    csv->spans = calloc((size_t)csv->n_fields, sizeof *csv->spans);
    if (csv->spans == NULL) return ns_fail(NS_ENOMEM, "no memory for the header of %s", ns_csv_name(csv));
    NS_TRY(cut_header(csv)); /* once more, with room for the fields */
    ns_status status = take_names(csv, &names);
    names.bytes = NULL; /* was the buffer */
    ns_csv_batch_destroy(&names);
    NS_TRY(status);
    ns_csv_step(csv);
    csv->started = true;
    return NS_OK;
}

ns_status ns_csv_begin(ns_csv *csv, const char *path, const ns_csv_options *options)
{
    if (options != NULL) csv->options = *options;
    if (csv->options.block_bytes <= 0) csv->options.block_bytes = BLOCK_BYTES;
    if (csv->options.record_bytes <= 0) csv->options.record_bytes = RECORD_BYTES;
    csv->line = 1;
    csv->want = csv->options.block_bytes;
    NS_TRY(ns_source_open(&csv->source, path));
    NS_TRY(read_start(csv));
    if (!take_separator_line(csv)) NS_TRY(find_separator(csv));
    set_classes(csv);
    return read_header(csv);
}
