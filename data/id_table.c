#include "data/id_table.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 1024, FIRST_BYTES = 16384 };

static const char *text_of(const ns_id_table *t, const ns_id_entry *e)
{
    return e->n_bytes == 0 ? NULL : t->bytes + e->at;
}

static bool is_this(const ns_id_table *t, const ns_id_entry *e, ns_hash128 key, const char *text,
                    int32_t n_bytes)
{
    return e->key.hi == key.hi && e->key.lo == key.lo && e->n_bytes == n_bytes &&
           (n_bytes == 0 || memcmp(text_of(t, e), text, (size_t)n_bytes) == 0);
}

/* The slot of an id: where it is, or where it would go. n_slots is a power of two and never full. */
static int64_t slot_of(const ns_id_table *t, ns_hash128 key, const char *text, int32_t n_bytes)
{
    uint64_t mask = (uint64_t)t->n_slots - 1, at = key.lo & mask;
    while (t->slot[at] != 0 && !is_this(t, &t->entry[t->slot[at] - 1], key, text, n_bytes))
        at = (at + 1) & mask;
    return (int64_t)at;
}

ns_id_entry *ns_id_table_find(const ns_id_table *table, ns_hash128 key, const char *text, int32_t n_bytes)
{
    if (table->n == 0) return NULL;
    int64_t at = table->slot[slot_of(table, key, text, n_bytes)];
    return at == 0 ? NULL : &table->entry[at - 1];
}

static int64_t bytes_of(int64_t room, int64_t n_slots, int64_t room_bytes)
{
    return room * (int64_t)sizeof(ns_id_entry) + n_slots * (int64_t)sizeof(int64_t) + room_bytes;
}

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "no memory to compare ids");
}

/* Room for so many entries, and slots for them, at most half of which are taken. room: a power of two. */
static ns_status grow_entries(ns_id_table *t, int64_t room)
{
    int64_t n_slots = 2 * room;
    ns_id_entry *entry = realloc(t->entry, (size_t)room * sizeof *entry);
    if (entry != NULL) t->entry = entry;
    int64_t *slot = entry == NULL ? NULL : calloc((size_t)n_slots, sizeof *slot);
    if (slot == NULL) return no_memory();
    free(t->slot);
    t->slot = slot;
    t->n_slots = n_slots;
    t->room = room;
    for (int64_t i = 0; i < t->n; i++) {
        const ns_id_entry *e = &t->entry[i];
        t->slot[slot_of(t, e->key, text_of(t, e), e->n_bytes)] = i + 1;
    }
    return NS_OK;
}

static ns_status grow_bytes(ns_id_table *t, int64_t least)
{
    int64_t room = t->room_bytes == 0 ? FIRST_BYTES : t->room_bytes;
    while (room < least) room *= 2;
    char *bytes = realloc(t->bytes, (size_t)room);
    if (bytes == NULL) return no_memory();
    t->bytes = bytes;
    t->room_bytes = room;
    return NS_OK;
}

/* Room for one more id. The first of all always fits: a table that takes none could never be got through. */
static ns_status make_room(ns_id_table *t, int32_t n_bytes, bool *full)
{
    bool more_entries = t->n == t->room, more_bytes = t->n_bytes + n_bytes > t->room_bytes;
    if (!more_entries && !more_bytes) return NS_OK;
    int64_t room = more_entries ? (t->room == 0 ? FIRST_ROOM : 2 * t->room) : t->room;
    int64_t room_bytes = more_bytes ? 2 * (t->n_bytes + n_bytes) : t->room_bytes;
    *full = t->n > 0 && bytes_of(room, 2 * room, room_bytes) > t->limit_bytes;
    if (*full) return NS_OK;
    if (more_bytes) NS_TRY(grow_bytes(t, t->n_bytes + n_bytes));
    return more_entries ? grow_entries(t, room) : NS_OK;
}

void ns_id_table_reserve(ns_id_table *table, int64_t n)
{
    int64_t room = FIRST_ROOM;
    while (room < n && bytes_of(2 * room, 4 * room, table->room_bytes) <= table->limit_bytes) room *= 2;
    if (room > table->room && grow_entries(table, room) != NS_OK) ns_error_clear(); /* it grows as ids come, or fails then */
}

ns_status ns_id_table_add(ns_id_table *table, ns_hash128 key, const char *text, int32_t n_bytes, bool *full)
{
    *full = false;
    int64_t at = table->n_slots > 0 ? slot_of(table, key, text, n_bytes) : 0, n_slots = table->n_slots;
    if (n_slots > 0 && table->slot[at] != 0) {
        table->entry[table->slot[at] - 1].many = 1;
        return NS_OK;
    }
    NS_TRY(make_room(table, n_bytes, full));
    if (*full) return NS_OK;
    if (table->n_slots != n_slots) at = slot_of(table, key, text, n_bytes);
    if (n_bytes > 0) memcpy(table->bytes + table->n_bytes, text, (size_t)n_bytes);
    table->entry[table->n] = (ns_id_entry){.key = key, .at = table->n_bytes, .n_bytes = n_bytes};
    table->slot[at] = table->n + 1;
    table->n_bytes += n_bytes;
    table->n++;
    return NS_OK;
}

ns_status ns_id_table_keep(ns_id_table *table, uint64_t mask, uint64_t value)
{
    ns_id_table kept = {.limit_bytes = INT64_MAX};
    for (int64_t i = 0; i < table->n; i++) {
        const ns_id_entry *e = &table->entry[i];
        bool full;
        if ((e->key.hi & mask) != value) continue;
        ns_status status = ns_id_table_add(&kept, e->key, text_of(table, e), e->n_bytes, &full);
        if (status != NS_OK) {
            ns_id_table_clear(&kept);
            return status;
        }
        kept.entry[kept.n - 1].many = e->many;
    }
    kept.limit_bytes = table->limit_bytes;
    ns_id_table_clear(table);
    *table = kept;
    return NS_OK;
}

void ns_id_table_clear(ns_id_table *table)
{
    free(table->entry);
    free(table->bytes);
    free(table->slot);
    *table = (ns_id_table){.limit_bytes = table->limit_bytes};
}
