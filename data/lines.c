#include "data/lines.h"

/*
 * A step is a row whose line is not the one behind the row before it (an embedded line end, a bad line left
 * out). The bit set of bad rows exists from the first bad cell on; it makes a line with several bad cells
 * count once.
 */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line_step {
    int64_t row, line;
} line_step;

typedef struct bad_line {
    int64_t line, column; /* column -1: the whole record */
    char words[400];      /* without name and line */
} bad_line;

struct ns_lines {
    const char *name;
    int64_t n_rows, next_line;
    line_step *steps;
    int64_t n_steps, room_steps;
    int64_t n_bad;
    uint8_t *bad_rows; /* [n_rows / 8 + 1] or NULL */
    int64_t n_kept;
    bad_line kept[NS_LINES_KEPT + 1]; /* ascending; one place to spare while inserting */
};

ns_status ns_lines_create(ns_lines **out, const char *name)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) return ns_fail(NS_ENOMEM, "no memory for the lines of %s", name);
    (*out)->name = name;
    return NS_OK;
}

void ns_lines_destroy(ns_lines **lines)
{
    if (*lines == NULL) return;
    free((*lines)->steps);
    free((*lines)->bad_rows);
    free(*lines);
    *lines = NULL;
}

ns_status ns_lines_add_row(ns_lines *lines, int64_t line)
{
    if (lines->n_rows == 0 || line != lines->next_line) {
        if (lines->n_steps == lines->room_steps) {
            int64_t room = lines->room_steps == 0 ? 16 : lines->room_steps * 2;
            line_step *steps = realloc(lines->steps, (size_t)room * sizeof *steps);
            if (steps == NULL) return ns_fail(NS_ENOMEM, "no memory for the lines of %s", lines->name);
            lines->steps = steps;
            lines->room_steps = room;
        }
        lines->steps[lines->n_steps++] = (line_step){lines->n_rows, line};
    }
    lines->n_rows++;
    lines->next_line = line + 1;
    return NS_OK;
}

int64_t ns_lines_of_row(const ns_lines *lines, int64_t row)
{
    int64_t low = 0, high = lines->n_steps; /* the last step at or before row is in [low, high) */
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (lines->steps[middle].row <= row)
            low = middle;
        else
            high = middle;
    }
    return lines->steps[low].line + row - lines->steps[low].row;
}

/* Keeps a bad line among the first ones; words are made by the caller into the place that this returns, NULL:
 * not kept. */
static bad_line *keep(ns_lines *lines, int64_t line, int64_t column)
{
    int64_t at = lines->n_kept;
    while (at > 0 && lines->kept[at - 1].line >= line) at--;
    bool same = at < lines->n_kept && lines->kept[at].line == line;
    if (same && lines->kept[at].column <= column) return NULL;
    if (at == NS_LINES_KEPT) return NULL;
    if (!same) {
        memmove(&lines->kept[at + 1], &lines->kept[at], (size_t)(lines->n_kept - at) * sizeof *lines->kept);
        if (lines->n_kept < NS_LINES_KEPT) lines->n_kept++;
    }
    lines->kept[at].line = line;
    lines->kept[at].column = column;
    return &lines->kept[at];
}

void ns_lines_bad_record(ns_lines *lines, int64_t line, const char *problem)
{
    lines->n_bad++;
    bad_line *kept = keep(lines, line, -1);
    if (kept != NULL) snprintf(kept->words, sizeof kept->words, "%s", problem);
}

ns_status ns_lines_bad_cell(ns_lines *lines, int64_t row, int64_t column, const char *name,
                            const char *problem)
{
    if (lines->bad_rows == NULL) {
        lines->bad_rows = calloc((size_t)(lines->n_rows / 8 + 1), 1);
        if (lines->bad_rows == NULL)
            return ns_fail(NS_ENOMEM, "no memory for the bad lines of %s", lines->name);
    }
    unsigned bit = 1U << (row % 8);
    if ((lines->bad_rows[row / 8] & bit) == 0) lines->n_bad++;
    lines->bad_rows[row / 8] = (uint8_t)(lines->bad_rows[row / 8] | bit);
    bad_line *kept = keep(lines, ns_lines_of_row(lines, row), column);
    if (kept != NULL) snprintf(kept->words, sizeof kept->words, "column '%s' %s", name, problem);
    return NS_OK;
}

int64_t ns_lines_n_bad(const ns_lines *lines)
{
    return lines->n_bad;
}

ns_status ns_lines_check(const ns_lines *lines, void (*show)(void *context, const char *message),
                         void *context)
{
    if (lines->n_bad == 0) return NS_OK;
    for (int64_t i = 0; i < lines->n_kept && show != NULL; i++) {
        char message[1200];
        snprintf(message, sizeof message, "%.700s line %" PRId64 ": %s", lines->name, lines->kept[i].line,
                 lines->kept[i].words);
        show(context, message);
    }
    const bad_line *first = &lines->kept[0];
    if (lines->n_bad == 1)
        return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s", lines->name, first->line, first->words);
    return ns_fail(NS_EFORMAT, "%s line %" PRId64 ": %s (the first of %" PRId64 " bad lines)", lines->name,
                   first->line, first->words, lines->n_bad);
}
