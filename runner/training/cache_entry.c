#include "runner/training/cache_entry.h"

#include <stdlib.h>
#include <string.h>

#include "data/encoding.h"
#include "data/hash.h"
#include "data/safetensors.h"
#include "kernels/cuts.h"

enum { N_MEMBERS = 11, DIGEST = 32, MAGIC = 8 };
static const char magic[MAGIC + 1] = "nsbins01";

/* One tensor of the file and the member that it is. */
typedef struct member {
    const char *name;
    ns_dtype dtype;
    size_t size;
    int64_t n;
    size_t at; /* offset of the pointer in ns_cache_entry, or of the number itself */
} member;

/* All pointers to objects look alike; read and set as bytes, since they are not of one type. */
static void *pointer_of(const ns_cache_entry *entry, const member *m)
{
    void *pointer;
    memcpy(&pointer, (const char *)entry + m->at, sizeof pointer);
    return pointer;
}

static void set_pointer(ns_cache_entry *entry, const member *m, void *pointer)
{
    memcpy((char *)entry + m->at, &pointer, sizeof pointer);
}

/* The members, their sizes from the counts of the entry. */
#define AT(name) offsetof(ns_cache_entry, name)
static void list_members(member list[N_MEMBERS], const ns_cache_entry *e)
{
    int64_t n = e->n_features;
    member all[N_MEMBERS] = {
        {"part_rows", NS_I64, 8, e->n_parts, AT(part_rows)},
        {"cut_first", NS_I64, 8, n + 1, AT(cut_first)},
        {"level_first", NS_I64, 8, n + 1, AT(level_first)},
        {"level_byte_first", NS_I64, 8, e->n_levels + 1, AT(level_byte_first)},
        {"level_rows", NS_I64, 8, e->n_levels, AT(level_rows)},
        {"counts", NS_I64, 8, n * NS_N_CACHE_COUNTS, AT(counts)},
        {"cut", NS_F32, 4, e->n_cuts, AT(cut)},
        {"quantile", NS_F32, 4, n * NS_N_PROFILE_PERCENTS, AT(quantile)},
        {"sum", NS_U32, 4, e->n_sums, AT(sum)},
        {"level_bytes", NS_U8, 1, e->n_level_bytes, AT(level_bytes)},
        {"digest", NS_U8, 1, n * DIGEST, AT(digest)},
    };
    memcpy(list, all, sizeof all);
}
#undef AT

ns_status ns_cache_entry_take(ns_cache_entry *entry)
{
    member list[N_MEMBERS];
    list_members(list, entry);
    bool whole = true;
    for (int i = 0; i < N_MEMBERS; i++) {
        void *block = calloc((size_t)list[i].n + 1, list[i].size);
        set_pointer(entry, &list[i], block);
        whole = whole && block != NULL;
    }
    if (whole) return NS_OK;
    ns_cache_entry_free(entry);
    return ns_fail(NS_ENOMEM, "no memory for an entry of the bin cache");
}

void ns_cache_entry_free(ns_cache_entry *entry)
{
    member list[N_MEMBERS];
    list_members(list, entry);
    for (int i = 0; i < N_MEMBERS; i++) free(pointer_of(entry, &list[i]));
    memset(entry, 0, sizeof *entry);
}

ns_status ns_cache_entry_build(uint8_t **bytes, size_t *n_bytes, const ns_cache_entry *entry)
{
    member list[N_MEMBERS];
    ns_tensor tensors[N_MEMBERS + 1];
    uint8_t *rest = NULL;
    size_t n_rest = 0;
    list_members(list, entry);
    for (int i = 0; i < N_MEMBERS; i++)
        tensors[i] = (ns_tensor){.name = list[i].name, .dtype = list[i].dtype, .n_dims = 1, .shape = {list[i].n, 0},
                                 .data = pointer_of(entry, &list[i])};
    tensors[N_MEMBERS] = (ns_tensor){.name = "n_infinite", .dtype = NS_I64, .n_dims = 1, .shape = {1, 0}, .data = &entry->n_infinite};
    *bytes = NULL;
    NS_TRY(ns_safetensors_build(&rest, &n_rest, NULL, 0, tensors, N_MEMBERS + 1));
    *n_bytes = MAGIC + DIGEST + n_rest;
    *bytes = malloc(*n_bytes);
    if (*bytes != NULL) {
        memcpy(*bytes, magic, MAGIC);
        ns_blake2b(*bytes + MAGIC, rest, n_rest);
        memcpy(*bytes + MAGIC + DIGEST, rest, n_rest);
    }
    free(rest);
    return *bytes != NULL ? NS_OK : ns_fail(NS_ENOMEM, "no memory for an entry of the bin cache");
}

/* first[0] = 0, rising, first[n] = end, and no step more than most. */
static bool rises(const int64_t *first, int64_t n, int64_t end, int64_t most)
{
    if (first[0] != 0 || first[n] != end) return false;
    for (int64_t i = 0; i < n; i++)
        if (first[i + 1] < first[i] || first[i + 1] - first[i] > most) return false;
    return true;
}

static bool fits(const ns_cache_entry *e)
{
    int64_t n_segments = 0;
    for (int64_t p = 0; p < e->n_parts; p++) {
        if (e->part_rows[p] < 0) return false;
        n_segments += ns_cache_segments(e->part_rows[p]);
    }
    return e->n_sums == n_segments * e->n_features && rises(e->cut_first, e->n_features, e->n_cuts, NS_MAX_CUTS) &&
           rises(e->level_first, e->n_features, e->n_levels, NS_MAX_LEVELS) &&
           rises(e->level_byte_first, e->n_levels, e->n_level_bytes, e->n_level_bytes);
}

static int64_t elements(const ns_safetensors *file, const char *name, ns_dtype dtype)
{
    const void *data;
    int64_t n = -1;
    return ns_safetensors_get(file, name, dtype, -1, &data, &n) == NS_OK ? n : -1;
}

static bool read_members(ns_cache_entry *e, const ns_safetensors *file)
{
    e->n_parts = elements(file, "part_rows", NS_I64);
    e->n_cuts = elements(file, "cut", NS_F32);
    e->n_levels = elements(file, "level_rows", NS_I64);
    e->n_level_bytes = elements(file, "level_bytes", NS_U8);
    e->n_sums = elements(file, "sum", NS_U32);
    if (e->n_parts < 0 || e->n_cuts < 0 || e->n_levels < 0 || e->n_level_bytes < 0 || e->n_sums < 0) return false;
    if (ns_cache_entry_take(e) != NS_OK) return false;
    member list[N_MEMBERS];
    list_members(list, e);
    for (int i = 0; i < N_MEMBERS; i++) {
        const void *data;
        if (ns_safetensors_get(file, list[i].name, list[i].dtype, list[i].n, &data, NULL) != NS_OK) return false;
        memcpy(pointer_of(e, &list[i]), data, (size_t)list[i].n * list[i].size);
    }
    const void *n_infinite;
    if (ns_safetensors_get(file, "n_infinite", NS_I64, 1, &n_infinite, NULL) != NS_OK) return false;
    memcpy(&e->n_infinite, n_infinite, sizeof e->n_infinite);
    return fits(e);
}

bool ns_cache_entry_parse(ns_cache_entry *entry, const uint8_t *bytes, size_t n_bytes, int64_t n_features)
{
    *entry = (ns_cache_entry){.n_features = n_features};
    uint8_t digest[DIGEST];
    bool whole = n_bytes > MAGIC + DIGEST && memcmp(bytes, magic, MAGIC) == 0;
    if (whole) {
        ns_blake2b(digest, bytes + MAGIC + DIGEST, n_bytes - MAGIC - DIGEST);
        whole = memcmp(digest, bytes + MAGIC, DIGEST) == 0;
    }
    ns_safetensors *file = NULL;
    whole = whole && ns_safetensors_parse(&file, bytes + MAGIC + DIGEST, n_bytes - MAGIC - DIGEST, "bin cache") == NS_OK;
    whole = whole && read_members(entry, file);
    ns_safetensors_close(&file);
    if (!whole) {
        ns_error_clear();
        ns_cache_entry_free(entry);
    }
    return whole;
}
