#include "data/kept_chunks.h"

#include <stdlib.h>

static const size_t KEPT_BYTES = (size_t)256 << 20;

static bool grow(void **list, int n, int *room, size_t size)
{
    if (n < *room) return true;
    int wanted = *room > 0 ? 2 * *room : 64;
    void *bigger = realloc(*list, (size_t)wanted * size);
    if (bigger == NULL) return false;
    *list = bigger;
    *room = wanted;
    return true;
}

/* Gives the chunk of a set up: freed when the wave is over. */
static bool retire(ns_kept_chunks *kept, ns_stored_set *set)
{
    void *list = kept->retired;
    if (!grow(&list, kept->n_retired, &kept->retired_room, sizeof *kept->retired)) return false;
    kept->retired = list;
    kept->retired[kept->n_retired++] = set->kept;
    kept->n_bytes -= set->kept_bytes;
    set->kept = NULL;
    set->kept_chunk = -1;
    for (int i = 0; i < kept->n_sets; i++)
        if (kept->sets[i] == set) kept->sets[i--] = kept->sets[--kept->n_sets];
    return true;
}

/* The longest unused, but none that this wave fills. */
static ns_stored_set *oldest(const ns_kept_chunks *kept)
{
    ns_stored_set *first = NULL;
    for (int i = 0; i < kept->n_sets; i++) {
        ns_stored_set *set = kept->sets[i];
        if (set->kept_wave != kept->wave && (first == NULL || set->kept_used < first->kept_used)) first = set;
    }
    return first;
}

const unsigned char *ns_kept_find(ns_kept_chunks *kept, ns_stored_set *set, int64_t number)
{
    if (set->kept == NULL || set->kept_chunk != number || set->kept_wave == kept->wave) return NULL;
    set->kept_used = ++kept->clock;
    return set->kept;
}

void ns_kept_give_up(ns_kept_chunks *kept, ns_stored_set *set)
{
    (void)retire(kept, set); /* without memory for the list it stays, which harms nobody */
}

unsigned char *ns_kept_make(ns_kept_chunks *kept, ns_stored_set *set, int64_t number)
{
    size_t n_bytes = set->chunks->chunk_bytes;
    if (set->kept != NULL && (set->kept_wave == kept->wave || !retire(kept, set))) return NULL;
    while (kept->n_bytes + n_bytes > KEPT_BYTES) {
        ns_stored_set *first = oldest(kept);
        if (first == NULL || !retire(kept, first)) return NULL;
    }
    void *list = kept->sets;
    if (!grow(&list, kept->n_sets, &kept->set_room, sizeof *kept->sets)) return NULL;
    kept->sets = list;
    set->kept = aligned_alloc(64, (n_bytes + 64) / 64 * 64);
    if (set->kept == NULL) return NULL;
    kept->sets[kept->n_sets++] = set;
    kept->n_bytes += n_bytes;
    set->kept_chunk = number;
    set->kept_bytes = n_bytes;
    set->kept_wave = kept->wave;
    set->kept_used = ++kept->clock;
    return set->kept;
}

static void forget_wave(ns_kept_chunks *kept)
{
    for (int i = kept->n_sets - 1; i >= 0; i--) {
        ns_stored_set *set = kept->sets[i];
        if (set->kept_wave != kept->wave) continue;
        free(set->kept);
        kept->n_bytes -= set->kept_bytes;
        set->kept = NULL;
        set->kept_chunk = -1;
        kept->sets[i] = kept->sets[--kept->n_sets];
    }
}

void ns_kept_end_wave(ns_kept_chunks *kept, ns_wave_end end)
{
    if (end == NS_WAVE_FAILED) forget_wave(kept);
    for (int i = 0; i < kept->n_retired; i++) free(kept->retired[i]);
    kept->n_retired = 0;
    kept->wave++;
}

void ns_kept_close(ns_kept_chunks *kept)
{
    ns_kept_end_wave(kept, NS_WAVE_DONE);
    free(kept->sets);
    free(kept->retired);
    *kept = (ns_kept_chunks){0};
}
