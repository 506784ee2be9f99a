#include "data/texts.h"

/* offset[0] is always 0 and offset[n] the bytes in use. Memory grows by half, so that n appends cost O(n). */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static ns_status no_memory(int64_t n)
{
    return ns_fail(NS_ENOMEM, "no memory for a list of %lld texts", (long long)n);
}

ns_status ns_texts_reserve(ns_texts *texts, int64_t n, int64_t n_bytes)
{
    int64_t used = texts->offset == NULL ? 0 : texts->offset[texts->n];
    if (n_bytes > INT64_MAX / 4 - used || n > INT64_MAX / 64 - texts->n) return no_memory(texts->n + n);
    if (texts->offset == NULL || texts->n + n > texts->room) {
        int64_t room = texts->n + n + texts->n / 2 + 15;
        int64_t *offset = realloc(texts->offset, ((size_t)room + 1) * sizeof *offset);
        if (offset == NULL) return no_memory(texts->n + n);
        if (texts->offset == NULL) offset[0] = 0;
        texts->offset = offset;
        texts->room = room;
    }
    if (texts->bytes == NULL || used + n_bytes > texts->room_bytes) {
        int64_t room = used + n_bytes + used / 2 + 64;
        char *bytes = realloc(texts->bytes, (size_t)room);
        if (bytes == NULL) return no_memory(texts->n + n);
        texts->bytes = bytes;
        texts->room_bytes = room;
    }
    return NS_OK;
}

ns_status ns_texts_append(ns_texts *texts, const char *text, int64_t n_bytes)
{
    NS_TRY(ns_texts_reserve(texts, 1, n_bytes));
    int64_t end = texts->offset[texts->n];
    if (n_bytes > 0) memcpy(texts->bytes + end, text, (size_t)n_bytes);
    texts->n++;
    texts->offset[texts->n] = end + n_bytes;
    return NS_OK;
}

void ns_texts_clear(ns_texts *texts)
{
    texts->n = 0;
}

void ns_texts_destroy(ns_texts *texts)
{
    free(texts->offset);
    free(texts->bytes);
    *texts = (ns_texts){0};
}

static int compare(const char *a, int64_t n_a, const char *b, int64_t n_b)
{
    int64_t shared = n_a < n_b ? n_a : n_b;
    int order = shared == 0 ? 0 : memcmp(a, b, (size_t)shared);
    if (order != 0) return order;
    return n_a < n_b ? -1 : n_a > n_b;
}

int ns_texts_compare(const ns_texts *a, int64_t i, const ns_texts *b, int64_t j)
{
    return compare(a->bytes + a->offset[i], a->offset[i + 1] - a->offset[i], b->bytes + b->offset[j],
                   b->offset[j + 1] - b->offset[j]);
}

/* A text while it is sorted: its first 8 bytes decide most comparisons without a look at the text itself. */
typedef struct item {
    uint64_t first; /* big-endian, filled up with zeros */
    const char *text;
    int64_t n_bytes;
} item;

static item item_of(const char *text, int64_t n_bytes)
{
    item it = {.first = 0, .text = text, .n_bytes = n_bytes};
    for (int64_t i = 0; i < 8; i++) it.first = it.first << 8 | (i < n_bytes ? (unsigned char)text[i] : 0);
    return it;
}

static int compare_items(const void *a, const void *b)
{
    const item *x = a, *y = b;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return compare(x->text, x->n_bytes, y->text, y->n_bytes);
}

static bool is_sorted_unique(const ns_texts *texts)
{
    for (int64_t i = 1; i < texts->n; i++)
        if (ns_texts_compare(texts, i - 1, texts, i) >= 0) return false;
    return true;
}

ns_status ns_texts_sort_unique(ns_texts *texts)
{
    if (is_sorted_unique(texts)) return NS_OK;
    int64_t n = texts->n;
    ns_texts sorted = {.room = n, .room_bytes = texts->offset[n] + 1};
    item *items = malloc((size_t)n * sizeof *items);
    sorted.offset = malloc(((size_t)n + 1) * sizeof *sorted.offset);
    sorted.bytes = malloc((size_t)sorted.room_bytes);
    if (items == NULL || sorted.offset == NULL || sorted.bytes == NULL) {
        free(items);
        ns_texts_destroy(&sorted);
        return no_memory(n);
    }
    for (int64_t i = 0; i < n; i++)
        items[i] = item_of(texts->bytes + texts->offset[i], texts->offset[i + 1] - texts->offset[i]);
    qsort(items, (size_t)n, sizeof *items, compare_items);
    int64_t end = 0;
    sorted.offset[0] = 0;
    for (int64_t i = 0; i < n; i++) {
        if (i > 0 && compare_items(&items[i - 1], &items[i]) == 0) continue;
        if (items[i].n_bytes > 0) memcpy(sorted.bytes + end, items[i].text, (size_t)items[i].n_bytes);
        end += items[i].n_bytes;
        sorted.offset[++sorted.n] = end;
    }
    free(items);
    ns_texts_destroy(texts);
    *texts = sorted;
    return NS_OK;
}

int64_t ns_texts_find(const ns_texts *texts, const char *text, int64_t n_bytes)
{
    int64_t low = 0, high = texts->n;
    while (low < high) {
        int64_t middle = low + (high - low) / 2, at = texts->offset[middle];
        int order = compare(texts->bytes + at, texts->offset[middle + 1] - at, text, n_bytes);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
