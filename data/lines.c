#include "data/lines.h"

/*
 * Every column has a stream of events, and one of those that may turn out to be none; records have their own.
 * Each stream is in the order of the files, so a merge by (file, line, column) meets the lines in order, and
 * equal ones side by side. The first lines of all are among the first of each stream, so that the words of
 * later events are kept only where the text is too.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 500 };

typedef struct event {
    int64_t line, row;
    int32_t file, column;
    int32_t n_words, n_text; /* bytes that follow */
} event;

typedef struct feed {
    ns_scratch_stream stream;
    int64_t n_events;
    bool counts; /* false: maybe, and not condemned */
} feed;

typedef struct kept_line {
    int32_t file;
    int64_t line;
    char words[MAX_WORDS];
} kept_line;

struct ns_lines {
    const ns_texts *files;
    ns_scratch *scratch;
    int64_t n_columns;
    ns_lines_form form;
    feed *feeds; /* [2 * n_columns + 1]: records, then bad cells, then cells that may be */
    int64_t n_bad, n_records;
    int64_t *rows, n_rows, room_rows;
    int64_t n_kept;
    kept_line kept[NS_LINES_KEPT];
};

ns_status ns_lines_create(ns_lines **out, const ns_texts *files, ns_scratch *scratch, int64_t n_columns, ns_lines_form form)
{
    ns_lines *lines = calloc(1, sizeof *lines);
    *out = lines;
    if (lines != NULL) lines->feeds = calloc((size_t)(2 * n_columns + 1), sizeof *lines->feeds);
    if (lines == NULL || lines->feeds == NULL) {
        ns_lines_destroy(out);
        return ns_fail(NS_ENOMEM, "no memory for the lines of a CSV");
    }
    lines->files = files;
    lines->scratch = scratch;
    lines->n_columns = n_columns;
    lines->form = form;
    for (int64_t i = 0; i <= n_columns; i++) lines->feeds[i].counts = true;
    return NS_OK;
}

void ns_lines_destroy(ns_lines **handle)
{
    ns_lines *lines = *handle;
    if (lines == NULL) return;
    for (int64_t i = 0; lines->feeds != NULL && i < 2 * lines->n_columns + 1; i++) ns_scratch_stream_destroy(&lines->feeds[i].stream);
    free(lines->feeds);
    free(lines->rows);
    free(lines);
    *handle = NULL;
}

static ns_status add_event(ns_lines *lines, feed *to, int64_t column, const ns_lines_at *at, const char *words)
{
    event e = {.line = at->line, .row = at->row, .file = at->file, .column = (int32_t)column};
    bool with_text = lines->form == NS_LINES_TEXT;
    if (with_text || to->n_events < NS_LINES_KEPT) e.n_words = (int32_t)strnlen(words, MAX_WORDS - 1);
    if (with_text) e.n_text = (int32_t)at->n_bytes; /* a record has at most 2^24 bytes */
    size_t n_words = (size_t)e.n_words;
    int64_t n_bytes = (int64_t)sizeof e + e.n_words + e.n_text;
    char *place = NULL;
    NS_TRY(ns_scratch_room(&place, &to->stream, lines->scratch, n_bytes));
    memcpy(place, &e, sizeof e);
    memcpy(place + sizeof e, words, n_words);
    if (e.n_text > 0) memcpy(place + sizeof e + n_words, at->text, (size_t)e.n_text);
    ns_scratch_took(&to->stream, n_bytes);
    to->n_events++;
    return NS_OK;
}

ns_status ns_lines_bad(ns_lines *lines, int64_t column, const ns_lines_at *at, const char *words)
{
    return add_event(lines, &lines->feeds[1 + column], column, at, words);
}

ns_status ns_lines_maybe(ns_lines *lines, int64_t column, const ns_lines_at *at, const char *words)
{
    return add_event(lines, &lines->feeds[1 + lines->n_columns + column], column, at, words);
}

void ns_lines_condemn(ns_lines *lines, int64_t column)
{
    lines->feeds[1 + lines->n_columns + column].counts = true;
}

/* --- the merge --- */

typedef struct cursor {
    const feed *from;
    ns_scratch_walk walk;
    const char *bytes;
    int64_t at, n_bytes;
    event e;
    bool done;
} cursor;

typedef struct merge {
    cursor *cursors;
    int64_t n;
} merge;

static ns_status advance(const ns_lines *lines, cursor *c)
{
    c->at += c->bytes == NULL ? 0 : (int64_t)sizeof c->e + c->e.n_words + c->e.n_text;
    while (c->at == c->n_bytes) {
        c->at = 0;
        NS_TRY(ns_scratch_next(&c->from->stream, lines->scratch, &c->walk, &c->bytes, &c->n_bytes));
        if (c->n_bytes > 0) break;
        c->done = true;
        return NS_OK;
    }
    memcpy(&c->e, c->bytes + c->at, sizeof c->e);
    return NS_OK;
}

static ns_status merge_begin(merge *m, const ns_lines *lines)
{
    int64_t n_feeds = 2 * lines->n_columns + 1;
    *m = (merge){.cursors = calloc((size_t)n_feeds, sizeof *m->cursors)};
    if (m->cursors == NULL) return ns_fail(NS_ENOMEM, "no memory for the bad lines of a CSV");
    for (int64_t i = 0; i < n_feeds; i++) {
        if (!lines->feeds[i].counts || lines->feeds[i].n_events == 0) continue;
        m->cursors[m->n].from = &lines->feeds[i];
        NS_TRY(advance(lines, &m->cursors[m->n++]));
    }
    return NS_OK;
}

static void merge_end(merge *m)
{
    for (int64_t i = 0; i < m->n; i++) ns_scratch_walk_end(&m->cursors[i].walk);
    free(m->cursors);
}

static int compare(const event *a, const event *b)
{
    if (a->file != b->file) return a->file < b->file ? -1 : 1;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    return (a->column > b->column) - (a->column < b->column);
}

/* The cursor at the next line; NULL at the end. */
static cursor *first_of(const merge *m)
{
    cursor *first = NULL;
    for (int64_t i = 0; i < m->n; i++)
        if (!m->cursors[i].done && (first == NULL || compare(&m->cursors[i].e, &first->e) < 0)) first = &m->cursors[i];
    return first;
}

/* Passes the line by on all cursors. */
static ns_status pass_line(const ns_lines *lines, const merge *m, const event *at)
{
    const event line = *at;
    for (int64_t i = 0; i < m->n; i++) {
        cursor *c = &m->cursors[i];
        while (!c->done && c->e.file == line.file && c->e.line == line.line) NS_TRY(advance(lines, c));
    }
    return NS_OK;
}

static ns_status note_row(ns_lines *lines, int64_t row)
{
    if (lines->n_rows == lines->room_rows) {
        int64_t room = lines->room_rows == 0 ? 64 : lines->room_rows * 2;
        int64_t *rows = realloc(lines->rows, (size_t)room * sizeof *rows);
        if (rows == NULL) return ns_fail(NS_ENOMEM, "no memory for the bad lines of a CSV");
        lines->rows = rows;
        lines->room_rows = room;
    }
    lines->rows[lines->n_rows++] = row;
    return NS_OK;
}

static ns_status settle(ns_lines *lines, const merge *m)
{
    for (cursor *c = first_of(m); c != NULL; c = first_of(m)) {
        lines->n_bad++;
        if (lines->n_kept < NS_LINES_KEPT) {
            kept_line *kept = &lines->kept[lines->n_kept++];
            kept->file = c->e.file;
            kept->line = c->e.line;
            memcpy(kept->words, c->bytes + c->at + sizeof c->e, (size_t)c->e.n_words);
            kept->words[c->e.n_words] = '\0';
        }
        if (c->e.row < 0)
            lines->n_records++;
        else if (lines->form == NS_LINES_TEXT)
            NS_TRY(note_row(lines, c->e.row));
        NS_TRY(pass_line(lines, m, &c->e));
    }
    return NS_OK;
}

ns_status ns_lines_settle(ns_lines *lines)
{
    merge m;
    ns_status status = merge_begin(&m, lines);
    if (status == NS_OK) status = settle(lines, &m);
    merge_end(&m);
    return status;
}

int64_t ns_lines_n_bad(const ns_lines *lines)
{
    return lines->n_bad;
}

int64_t ns_lines_n_records(const ns_lines *lines)
{
    return lines->n_records;
}

const int64_t *ns_lines_rows(const ns_lines *lines, int64_t *n_rows)
{
    *n_rows = lines->n_rows;
    return lines->rows;
}

static void name_of(const ns_lines *lines, int32_t file, char name[701])
{
    int64_t first = lines->files->offset[file], n_bytes = lines->files->offset[file + 1] - first;
    snprintf(name, 701, "%.*s", (int)(n_bytes < 700 ? n_bytes : 700), lines->files->bytes + first);
}

void ns_lines_show(const ns_lines *lines, void (*show)(void *context, const char *message), void *context)
{
    for (int64_t i = 0; i < lines->n_kept && show != NULL; i++) {
        char name[701], message[1300];
        name_of(lines, lines->kept[i].file, name);
        snprintf(message, sizeof message, "%s line %" PRId64 ": %s", name, lines->kept[i].line, lines->kept[i].words);
        show(context, message);
    }
}

ns_status ns_lines_fail(const ns_lines *lines, const char *suffix)
{
    const kept_line *first = &lines->kept[0];
    char name[701];
    name_of(lines, first->file, name);
    if (lines->n_bad == 1)
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s%s", name, first->line, first->words, suffix);
    return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s (the first of %" PRId64 " bad lines)%s", name, first->line,
                   first->words, lines->n_bad, suffix);
}

static void put_quoted(FILE *to, const char *text, int64_t n_bytes)
{
    fputc('"', to);
    for (int64_t i = 0; i < n_bytes; i++) {
        if (text[i] == '"') fputc('"', to);
        fputc(text[i], to);
    }
    fputc('"', to);
}

static ns_status write_lines(const ns_lines *lines, const merge *m, FILE *to)
{
    fprintf(to, "file,line,problem,record\n");
    for (cursor *c = first_of(m); c != NULL; c = first_of(m)) {
        char name[701];
        name_of(lines, c->e.file, name);
        const char *words = c->bytes + c->at + sizeof c->e;
        put_quoted(to, name, (int64_t)strlen(name));
        fprintf(to, ",%" PRId64 ",", c->e.line);
        put_quoted(to, words, c->e.n_words);
        fputc(',', to);
        put_quoted(to, words + c->e.n_words, c->e.n_text);
        fputc('\n', to);
        NS_TRY(pass_line(lines, m, &c->e));
    }
    return ferror(to) ? ns_fail(NS_EIO, "cannot write the bad lines of a CSV") : NS_OK;
}

ns_status ns_lines_write(const ns_lines *lines, FILE *to)
{
    merge m;
    ns_status status = merge_begin(&m, lines);
    if (status == NS_OK) status = write_lines(lines, &m, to);
    merge_end(&m);
    return status;
}
