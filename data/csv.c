#include "data/csv.h"

/*
 * A batch's buffer begins with what the one before left over. A record is cut into fields where it lies (csv_cut.c). When the buffer ends inside a record, the batch ends before it; where it
 * would be empty, more is read, and the cutting starts over. The buffer is never changed: fields with doubled
 * quotes, or of another encoding, are written anew aside. The byte behind the buffer's end is NUL, which every
 * loop stops at. Until a batch begins, the buffer is the one that is carried over.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/csv_private.h"
#include "data/values.h"

enum { BATCH_CELLS = 1 << 18, MIN_ROWS = 16, MAX_ROWS = 8192 };

const char *ns_csv_name(const ns_csv *csv)
{
    return ns_source_name(csv->source);
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

bool ns_csv_mixed_ends(const ns_csv *csv)
{
    return csv->ends_lf && csv->ends_crlf;
}

/* Fills the buffer up to n_bytes, growing it as needed. */
ns_status ns_csv_fill(ns_csv *csv, int64_t n_bytes)
{
    if (n_bytes > csv->room) {
        char *larger = realloc(csv->buffer, (size_t)n_bytes + NS_CSV_SLACK);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a record of %s", ns_csv_name(csv));
        csv->buffer = larger;
        csv->room = n_bytes;
    }
    if (!csv->at_end && csv->filled < n_bytes) {
        int64_t got, asked = n_bytes - csv->filled;
        NS_TRY(ns_source_read(csv->source, csv->buffer + csv->filled, asked, &got));
        csv->at_end = got < asked;
        csv->filled += got;
    }
    csv->buffer[csv->filled] = '\0';
    return NS_OK;
}

/* Reads more behind the record at pos, of which the batch holds nothing yet. */
ns_status ns_csv_read_more(ns_csv *csv)
{
    if (csv->filled - csv->pos > csv->options.record_bytes)
        return ns_fail(NS_EFORMAT,
                       "%s line %" PRId64 ": a record longer than %" PRId64
                       " bytes begins here; is a quote left open?",
                       ns_csv_name(csv), csv->line, csv->options.record_bytes);
    return ns_csv_fill(csv, csv->filled * 2 > csv->options.block_bytes ? csv->filled * 2 : csv->options.block_bytes);
}

static ns_status report(ns_csv *csv, int64_t line, const char *problem, int64_t from, int64_t to)
{
    csv->n_bad++;
    if (csv->options.bad == NULL) return NS_OK;
    const ns_csv_bad_record record = {line, problem, csv->buffer + from, to - from};
    return csv->options.bad(csv->options.context, &record);
}

/* Empty lines that turned out to stand before something. */
static ns_status report_empty(ns_csv *csv)
{
    for (; csv->n_empty > 0; csv->n_empty--) NS_TRY(report(csv, csv->empty_line++, "is empty", csv->pos, csv->pos));
    return NS_OK;
}

/* A record that could not be cut: counted, and passed by up to the end of the line in which the bad field
 * began; *more where that end is not in the buffer. */
static ns_status skip_bad(ns_csv *csv, bool *more)
{
    char *end = memchr(csv->buffer + csv->bad_at, '\n', (size_t)(csv->filled - csv->bad_at));
    *more = end == NULL && !csv->at_end;
    if (*more) return NS_OK;
    int64_t line = csv->line, stop = end != NULL ? end - csv->buffer : csv->filled;
    for (int64_t i = csv->pos; i < csv->bad_at; i++) line += csv->buffer[i] == '\n';
    NS_TRY(report_empty(csv));
    NS_TRY(report(csv, line, csv->problem, csv->pos, stop > csv->pos && csv->buffer[stop - 1] == '\r' ? stop - 1 : stop));
    csv->pos = end != NULL ? stop + 1 : stop;
    csv->line = line + (end != NULL);
    return NS_OK;
}

/* A place aside for n_bytes more. */
static ns_status room_aside(ns_csv_batch *batch, int64_t n_bytes, char **place)
{
    if (batch->used_aside + n_bytes > batch->room_aside) {
        int64_t room = (batch->used_aside + n_bytes) * 2;
        char *larger = realloc(batch->aside, (size_t)(room + NS_CSV_BEHIND));
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a block of a CSV");
        batch->aside = larger;
        batch->room_aside = room;
    }
    *place = batch->aside + batch->used_aside;
    return NS_OK;
}

/* The characters of 0x80 to 0x9f in Windows-1252; 0: none. */
static const uint16_t windows[32] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
                                     0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
                                     0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

/* One byte of Latin-1 as UTF-8, at most three bytes; how many, 0: it is no character. */
static int64_t put_latin1(char *place, unsigned char c)
{
    unsigned code = c >= 0x80 && c <= 0x9f ? windows[c - 0x80] : c;
    if (c < 0x80) {
        place[0] = (char)c;
        return 1;
    }
    if (code == 0) return 0;
    if (code < 0x800) {
        place[0] = (char)(0xc0 | code >> 6);
        place[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    place[0] = (char)(0xe0 | code >> 12);
    place[1] = (char)(0x80 | (code >> 6 & 0x3f));
    place[2] = (char)(0x80 | (code & 0x3f));
    return 3;
}

/* A field written anew: one quote for each doubled one, UTF-8 for Latin-1; *bad_at is where a byte is no character, else -1. */
static ns_status write_aside(const ns_csv *csv, ns_csv_batch *batch, const ns_csv_span *s, ns_csv_cell *cell, int64_t *bad_at)
{
    char *place = NULL;
    int64_t kept = 0;
    bool latin1 = csv->options.encoding == NS_CSV_LATIN1;
    *bad_at = -1;
    NS_TRY(room_aside(batch, 3 * (s->end - s->start) + 1, &place));
    for (int64_t i = s->start; i < s->end; i++) {
        unsigned char c = (unsigned char)csv->buffer[i];
        int64_t n = 1;
        if (latin1)
            n = put_latin1(place + kept, c);
        else
            place[kept] = (char)c;
        if (n == 0) {
            *bad_at = i;
            return NS_OK;
        }
        kept += n;
        if (s->doubled && c == '"') i++;
    }
    *cell = (ns_csv_cell){(uint32_t)batch->used_aside | NS_CSV_ASIDE, (uint32_t)kept};
    batch->used_aside += kept;
    return NS_OK;
}

/* The fields of the record that was cut as cells, each of them stride behind the one before. *good is false where one is not
   in the encoding, with the problem worded. */
ns_status ns_csv_make_cells(ns_csv *csv, ns_csv_batch *batch, ns_csv_cell *cells, int64_t stride, bool *good)
{
    bool latin1 = csv->options.encoding == NS_CSV_LATIN1, high = csv->high;
    *good = true;
    for (int64_t i = 0; i < csv->n_fields; i++) {
        const ns_csv_span *s = &csv->spans[i];
        int64_t bad_at = -1;
        cells[i * stride] = (ns_csv_cell){(uint32_t)s->start, (uint32_t)(s->end - s->start)};
        if (s->doubled || (high && latin1)) NS_TRY(write_aside(csv, batch, s, &cells[i * stride], &bad_at));
        if (high && !latin1) {
            if (ns_utf8_valid(csv->buffer + s->start, s->end - s->start, &bad_at)) continue;
            bad_at += s->start;
        }
        if (bad_at < 0) continue;
        *good = false;
        snprintf(csv->problem, sizeof csv->problem, "%scolumn %" PRId64 " is not %s (byte %" PRId64 " of the file)%s",
                 csv->started ? "" : "the header: ", i + 1, latin1 ? "Latin-1" : "UTF-8", csv->offset + bad_at,
                 latin1 ? "" : "; --encoding latin1 reads Latin-1");
        return NS_OK;
    }
    return NS_OK;
}

/* Steps over the record that was cut. */
int64_t ns_csv_step(ns_csv *csv)
{
    int64_t line = csv->line;
    csv->pos = csv->next;
    csv->line += csv->lines;
    return line;
}

/* Takes the record that was cut into the batch, or reports it. */
static ns_status take_record(ns_csv *csv, ns_csv_batch *batch)
{
    bool good = false;
    int64_t start = csv->pos, row = batch->n_rows;
    if (csv->n_fields == 1 && csv->spans[0].start == csv->end && csv->end == start && csv->header.n > 1) {
        if (csv->n_empty++ == 0) csv->empty_line = csv->line; /* no quotes either */
        ns_csv_step(csv);
        return NS_OK;
    }
    if (csv->n_empty > 0) NS_TRY(report_empty(csv));
    if (csv->n_fields == csv->header.n)
        NS_TRY(ns_csv_make_cells(csv, batch, batch->cells + row, batch->room_rows, &good));
    else
        snprintf(csv->problem, sizeof csv->problem, "has %" PRId64 " field%s, the header has %" PRId64,
                 csv->n_fields, csv->n_fields == 1 ? "" : "s", csv->header.n);
    int64_t line = ns_csv_step(csv);
    if (!good) return report(csv, line, csv->problem, start, csv->end);
    batch->text[row] = (ns_csv_cell){(uint32_t)start, (uint32_t)(csv->end - start)};
    batch->line[row] = line;
    batch->n_rows++;
    return NS_OK;
}

/* Room for as many rows as a batch may have, and what was left over in its buffer. */
static ns_status begin_batch(ns_csv *csv, ns_csv_batch *batch)
{
    int64_t rows = BATCH_CELLS / csv->header.n;
    rows = rows < MIN_ROWS ? MIN_ROWS : rows > MAX_ROWS ? MAX_ROWS : rows;
    if (rows > batch->room_rows) {
        ns_csv_batch_destroy(batch);
        batch->cells = malloc((size_t)(rows * csv->header.n) * sizeof *batch->cells);
        batch->text = malloc((size_t)rows * sizeof *batch->text);
        batch->line = malloc((size_t)rows * sizeof *batch->line);
        if (batch->cells == NULL || batch->text == NULL || batch->line == NULL)
            return ns_fail(NS_ENOMEM, "no memory for a block of %s", ns_csv_name(csv));
        batch->room_rows = rows;
    }
    batch->n_rows = batch->used_aside = 0;
    csv->buffer = batch->bytes;
    csv->room = batch->room_bytes;
    csv->pos = csv->filled = 0;
    if (csv->n_carry > csv->room) {
        char *larger = realloc(csv->buffer, (size_t)csv->n_carry + NS_CSV_SLACK);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a block of %s", ns_csv_name(csv));
        csv->buffer = larger;
        csv->room = csv->n_carry;
    }
    if (csv->n_carry > 0) memcpy(csv->buffer, csv->carry, (size_t)csv->n_carry);
    csv->filled = csv->n_carry;
    csv->n_carry = 0;
    ns_status status = ns_csv_fill(csv, csv->want > csv->filled ? csv->want : csv->filled);
    batch->bytes = csv->buffer;
    batch->room_bytes = csv->room;
    return status;
}

/* Keeps what lies behind pos for the next batch. */
static ns_status carry_over(ns_csv *csv)
{
    int64_t left = csv->filled - csv->pos;
    if (left > csv->room_carry) {
        char *larger = realloc(csv->carry, (size_t)left);
        if (larger == NULL) return ns_fail(NS_ENOMEM, "no memory for a record of %s", ns_csv_name(csv));
        csv->carry = larger;
        csv->room_carry = left;
    }
    if (left > 0) memcpy(csv->carry, csv->buffer + csv->pos, (size_t)left);
    csv->n_carry = left;
    csv->offset += csv->pos;
    csv->buffer = NULL;
    csv->filled = csv->pos = 0;
    return NS_OK;
}

static ns_status fill_batch(ns_csv *csv, ns_csv_batch *batch)
{
    while (batch->n_rows < batch->room_rows) {
        bool more = csv->pos == csv->filled && !csv->at_end;
        if (csv->pos == csv->filled && csv->at_end) return NS_OK;
        if (csv->n_empty == 0 && ns_csv_take_plain(csv, batch)) continue;
        ns_csv_outcome result = more ? RECORD_NEEDS_MORE : ns_csv_cut_record(csv);
        if (result == RECORD_WHOLE)
            NS_TRY(take_record(csv, batch));
        else if (result == RECORD_BAD)
            NS_TRY(skip_bad(csv, &more));
        else
            more = true;
        if (!more) continue;
        if (batch->n_rows > 0) return NS_OK;
        if (csv->pos > 0) { /* only lines that are no rows stand before it */
            memmove(csv->buffer, csv->buffer + csv->pos, (size_t)(csv->filled - csv->pos));
            csv->offset += csv->pos;
            csv->filled -= csv->pos;
            csv->pos = 0;
        }
        NS_TRY(ns_csv_read_more(csv));
    }
    return NS_OK;
}

ns_status ns_csv_read(ns_csv *csv, ns_csv_batch *batch)
{
    NS_TRY(begin_batch(csv, batch));
    ns_status status = fill_batch(csv, batch);
    batch->bytes = csv->buffer; /* it may have grown */
    batch->room_bytes = csv->room;
    bool full = batch->n_rows == batch->room_rows;
    csv->want = full ? csv->pos + csv->pos / 8 + 4096 : csv->options.block_bytes; /* of short records a batch needs less */
    if (csv->want > csv->options.block_bytes) csv->want = csv->options.block_bytes;
    ns_status carried = carry_over(csv);
    return status != NS_OK ? status : carried;
}

void ns_csv_batch_destroy(ns_csv_batch *batch)
{
    free(batch->cells);
    free(batch->text);
    free(batch->line);
    free(batch->bytes);
    free(batch->aside);
    *batch = (ns_csv_batch){0};
}

ns_status ns_csv_open(ns_csv **out, const char *path, const ns_csv_options *options)
{
    *out = NULL;
    ns_csv *csv = calloc(1, sizeof *csv);
    if (csv == NULL) return ns_fail(NS_ENOMEM, "no memory to read %s", path);
    ns_status status = ns_csv_begin(csv, path, options);
    char *first = csv->buffer; /* until here of our own */
    if (status == NS_OK) status = carry_over(csv);
    free(first);
    if (status != NS_OK) ns_csv_close(&csv);
    *out = csv;
    return status;
}

void ns_csv_close(ns_csv **csv)
{
    ns_csv *c = *csv;
    if (c == NULL) return;
    ns_source_close(&c->source);
    ns_texts_destroy(&c->header);
    free(c->spans);
    free(c->carry);
    free(c);
    *csv = NULL;
}
