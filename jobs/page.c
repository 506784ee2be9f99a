#include "jobs/page.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool make_room(ns_page *page, size_t n_more)
{
    if (page->failed) return false;
    if (page->room - page->n_bytes > n_more) return true; /* > : one byte for the terminating 0 */
    size_t room = (page->room + n_more + 1) * 2;
    char *bytes = realloc(page->bytes, room);
    if (bytes == NULL) {
        page->failed = true;
        return false;
    }
    page->bytes = bytes;
    page->room = room;
    return true;
}

void ns_page_add(ns_page *page, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int n = vsnprintf(NULL, 0, format, arguments);
    if (n < 0)
        page->failed = true;
    else if (make_room(page, (size_t)n)) {
        vsnprintf(page->bytes + page->n_bytes, (size_t)n + 1, format, again);
        page->n_bytes += (size_t)n;
    }
    va_end(again);
    va_end(arguments);
}

ns_status ns_page_take(ns_page *page, char **out)
{
    ns_page_add(page, "%s", ""); /* an empty page is an empty text, not NULL */
    bool failed = page->failed;
    *out = failed ? NULL : page->bytes;
    if (failed) free(page->bytes);
    *page = (ns_page){0};
    return failed ? ns_fail(NS_ENOMEM, "out of memory for a text of the job") : NS_OK;
}
