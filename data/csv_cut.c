/*
 * Where records and their fields end. Records of plain ASCII without quotes, nearly all of most files, are cut 64 bytes at a
 * time: every byte that may end something is a bit of a word. Whatever else such a byte turns out to be, its record goes from its
 * beginning through the loop over a table of byte classes, which knows all forms and words what is wrong with the others.
 */
#include <stdio.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "data/csv_private.h"

#if defined(__SSE2__)
/* Of 16 bytes: a bit for each separator, line end, quote, NUL and byte above 127. */
static inline uint64_t stops16(const char *bytes, __m128i separator)
{
    __m128i b = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(b, separator), _mm_cmpeq_epi8(b, _mm_set1_epi8('\n')));
    stop = _mm_or_si128(stop, _mm_or_si128(_mm_cmpeq_epi8(b, _mm_set1_epi8('"')), _mm_cmpeq_epi8(b, _mm_set1_epi8('\r'))));
    stop = _mm_or_si128(stop, _mm_or_si128(_mm_cmpeq_epi8(b, _mm_setzero_si128()), b)); /* b itself: movemask takes its high bit */
    return (uint64_t)(unsigned)_mm_movemask_epi8(stop);
}

static inline uint64_t stops64(const char *bytes, __m128i separator)
{
    return stops16(bytes, separator) | stops16(bytes + 16, separator) << 16 | stops16(bytes + 32, separator) << 32 |
           stops16(bytes + 48, separator) << 48;
}

bool ns_csv_take_plain(ns_csv *csv, ns_csv_batch *batch)
{
    const char *bytes = csv->buffer;
    const char separator = csv->separator;
    const __m128i separators = _mm_set1_epi8(separator);
    const int64_t stride = batch->room_rows, n_fields = csv->header.n, first_row = batch->n_rows;
    int64_t row = first_row, record = csv->pos, start = record, n = 0; /* fields of the record at `record` that are cut */
    for (int64_t block = record;; block += 64) {
        for (uint64_t stops = stops64(bytes + block, separators); stops != 0; stops &= stops - 1) {
            int64_t at = block + __builtin_ctzll(stops);
            const char c = bytes[at];
            if (c == separator) {
                if (n + 1 == n_fields) goto done; /* one field too many */
                batch->cells[n++ * stride + row] = (ns_csv_cell){(uint32_t)start, (uint32_t)(at - start)};
                start = at + 1;
                continue;
            }
            if (c == '\r' && bytes[at + 1] == '\n') continue;
            if (c != '\n' || n + 1 != n_fields) goto done;
            bool crlf = at > start && bytes[at - 1] == '\r';
            int64_t end = at - crlf;
            batch->cells[n * stride + row] = (ns_csv_cell){(uint32_t)start, (uint32_t)(end - start)};
            batch->text[row] = (ns_csv_cell){(uint32_t)record, (uint32_t)(end - record)};
            batch->line[row] = csv->line + row - first_row;
            csv->ends_crlf = csv->ends_crlf || crlf;
            csv->ends_lf = csv->ends_lf || !crlf;
            record = start = at + 1;
            n = 0;
            if (++row == batch->room_rows) goto done;
        }
    }
done: /* the NUL behind the buffer leads here at the latest */
    batch->n_rows = row;
    csv->line += row - first_row;
    csv->pos = record;
    return row > first_row;
}
#else
bool ns_csv_take_plain(ns_csv *csv, ns_csv_batch *batch)
{
    (void)csv, (void)batch;
    return false;
}
#endif

static ns_csv_outcome bad_record(ns_csv *csv, int64_t at, const char *problem)
{
    csv->bad_at = at;
    snprintf(csv->problem, sizeof csv->problem, "%s", problem);
    return RECORD_BAD;
}

static void keep_span(ns_csv *csv, int64_t start, int64_t end, bool doubled)
{
    if (csv->n_fields < csv->room_fields) csv->spans[csv->n_fields] = (ns_csv_span){start, end, doubled};
    csv->n_fields++;
}

/* Loops over a field without quotes: *at is its first byte, then the byte that ends it. */
static ns_csv_outcome cut_plain(ns_csv *csv, int64_t *at)
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
static ns_csv_outcome cut_quoted(ns_csv *csv, int64_t *at)
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
ns_csv_outcome ns_csv_cut_record(ns_csv *csv)
{
    int64_t at = csv->pos;
    csv->n_fields = 0;
    csv->lines = 0;
    csv->high = false;
    for (;; at++) {
        ns_csv_outcome result = csv->buffer[at] == '"' ? cut_quoted(csv, &at) : cut_plain(csv, &at);
        if (result != RECORD_WHOLE) return result;
        if (at == csv->filled || csv->buffer[at] != csv->separator) break;
    }
    csv->end = at;
    bool crlf = at < csv->filled && csv->buffer[at] == '\r';
    at += crlf;
    if (at < csv->filled) { /* not the last line without its end */
        at++;
        csv->lines++;
        csv->ends_crlf = csv->ends_crlf || crlf;
        csv->ends_lf = csv->ends_lf || !crlf;
    }
    csv->next = at;
    return RECORD_WHOLE;
}
