#ifndef NIGHTSHIFT_DATA_TEXT_INDEX_H
#define NIGHTSHIFT_DATA_TEXT_INDEX_H
/* A hash table over a list of texts: which index has this text, in constant time. For levels met once for
 * every row. */
#include <stdint.h>

#include "cluster/status.h"
#include "data/texts.h"

typedef struct ns_text_index {
    const ns_texts *texts; /* borrowed; grows through ns_text_index_add only */
    int64_t room;          /* slots, a power of two, or 0 */
    int64_t *slot;         /* index of a text, or -1 */
} ns_text_index;

/* Text i of a list, not terminated; never NULL. */
const char *ns_text_at(const ns_texts *texts, int64_t i, int64_t *n_bytes);

/* Indexes every text of a list; equal texts keep the first index. NS_ENOMEM: nothing is held then. */
ns_status ns_text_index_build(ns_text_index *out, const ns_texts *texts);
void ns_text_index_destroy(ns_text_index *index); /* back to {0} */

/* The index of a text, or -1. */
int64_t ns_text_index_find(const ns_text_index *index, const char *text, int64_t n_bytes);

/* Finds a text, or appends it to texts, which must be the list that the index was built over. *at may be
 * NULL. NS_ENOMEM. */
ns_status ns_text_index_add(ns_text_index *index, ns_texts *texts, const char *text, int64_t n_bytes,
                            int64_t *at);
#endif
