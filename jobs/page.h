#ifndef NIGHTSHIFT_JOBS_PAGE_H
#define NIGHTSHIFT_JOBS_PAGE_H
/* A text that grows. {0} is an empty one; a lack of memory is remembered and told by ns_page_take. */
#include <stdbool.h>
#include <stddef.h>

#include "cluster/status.h"

typedef struct ns_page {
    char *bytes;
    size_t n_bytes, room;
    bool failed;
} ns_page;

void ns_page_add(ns_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text, terminated, freed by the caller; the page is empty afterwards. NS_ENOMEM: *out is NULL. */
ns_status ns_page_take(ns_page *page, char **out);
#endif
