/* A small table without chains, so that it stays in the nearest cache: a cell that meets another at its place puts itself there,
   and the other is new again when it comes back. */
#include "data/same_cells.h"

#include <stdbool.h>
#include <string.h>

enum { PLACES_LOG = 8, PLACES = 1 << PLACES_LOG };

typedef struct place {
    uint64_t head, tail; /* the cell's first and last 8 bytes, or all of fewer */
    int32_t known;       /* index into first, + 1; 0: free */
} place;

static inline uint64_t word(const char *bytes, size_t n)
{
    uint64_t value = 0;
    if (n >= sizeof value) {
        memcpy(&value, bytes, sizeof value);
        return value;
    }
    for (size_t i = 0; i < n; i++) value = value << 8 | (unsigned char)bytes[i];
    return value;
}

int64_t ns_same_cells(int32_t *same, int32_t *first, const void *cells, size_t size, int64_t n)
{
    place places[PLACES];
    const char *at = cells;
    size_t end = size > sizeof(uint64_t) ? size - sizeof(uint64_t) : 0;
    int32_t n_first = 0;
    memset(places, 0, sizeof places);
    for (int64_t i = 0; i < n; i++, at += size) {
        uint64_t head = word(at, size), tail = end > 0 ? word(at + end, sizeof tail) : 0;
        uint64_t mixed = (head ^ (tail << 29 | tail >> 35)) * UINT64_C(0x9e3779b97f4a7c15);
        place *here = &places[mixed >> (64 - PLACES_LOG)];
        bool known = here->known > 0 && here->head == head && here->tail == tail;
        if (known && size > 2 * sizeof head)
            known = memcmp((const char *)cells + (size_t)first[here->known - 1] * size, at, size) == 0;
        if (!known) {
            first[n_first++] = (int32_t)i;
            *here = (place){head, tail, n_first};
        }
        same[i] = here->known - 1;
    }
    return n_first;
}
