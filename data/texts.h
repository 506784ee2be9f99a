#ifndef NIGHTSHIFT_DATA_TEXTS_H
#define NIGHTSHIFT_DATA_TEXTS_H
/* Many byte strings in one block: text i is bytes[offset[i] .. offset[i+1]). */
#include <stddef.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_texts {
    int64_t n, room;
    int64_t *offset; /* [n + 1] */
    char *bytes;
    int64_t room_bytes;
} ns_texts;

/* {0} is a valid empty list. Append copies; text may be NULL where n_bytes is 0, and does not lie in the list itself.
   NS_ENOMEM; the list is as before then. */
ns_status ns_texts_append(ns_texts *texts, const char *text, int64_t n_bytes);

/* Room for n more texts of n_bytes in all, which may then be put behind the others without an append. NS_ENOMEM; as before then. */
ns_status ns_texts_reserve(ns_texts *texts, int64_t n, int64_t n_bytes);
void ns_texts_clear(ns_texts *texts);   /* keeps the memory */
void ns_texts_destroy(ns_texts *texts); /* back to {0} */

/* Below, at or above 0 where text i of a stands before, is the same as, or stands behind text j of b: by bytes as unsigned
   numbers, shorter first on a tie. */
int ns_texts_compare(const ns_texts *a, int64_t i, const ns_texts *b, int64_t j);

/* Sorts by bytes (shorter first on a tie) and drops repeats. NS_ENOMEM; the list is as before then. */
ns_status ns_texts_sort_unique(ns_texts *texts);

/* Index of a text in a list sorted by ns_texts_sort_unique, or -1. */
int64_t ns_texts_find(const ns_texts *texts, const char *text, int64_t n_bytes);
#endif
