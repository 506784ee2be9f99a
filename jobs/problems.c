#include "jobs/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/status.h"

ns_status ns_problems_add(ns_problems *problems, int32_t source, int32_t line, const char *format, ...)
{
    char text[1400]; /* what the record of ns_fail has room for */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20) *c = ' '; /* a message is one line whatever the file holds */
    if (problems->n == problems->room) {
        int32_t room = problems->room * 2 + 8;
        ns_problem *more = realloc(problems->items, (size_t)room * sizeof *more);
        if (more == NULL) return ns_fail(NS_ENOMEM, "out of memory for the problems of the job");
        problems->items = more;
        problems->room = room;
    }
    char *message = strdup(text);
    if (message == NULL) return ns_fail(NS_ENOMEM, "out of memory for the problems of the job");
    problems->items[problems->n] =
        (ns_problem){.source = source, .line = line, .order = problems->n, .message = message};
    problems->n++;
    return NS_OK;
}

static int by_place(const void *a, const void *b)
{
    const ns_problem *x = a, *y = b;
    if (x->source != y->source) return x->source < y->source ? -1 : 1;
    if (x->line != y->line) return x->line < y->line ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

void ns_problems_sort(ns_problems *problems)
{
    if (problems->n > 1) qsort(problems->items, (size_t)problems->n, sizeof *problems->items, by_place);
}

void ns_problems_clear(ns_problems *problems)
{
    for (int32_t i = 0; i < problems->n; i++) free(problems->items[i].message);
    free(problems->items);
    *problems = (ns_problems){0};
}
