#ifndef NIGHTSHIFT_DATA_ID_TABLE_H
#define NIGHTSHIFT_DATA_ID_TABLE_H
/* Distinct ids with what is known of each: an open-addressing table whose memory has a limit. Local. */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"
#include "data/hash.h"

typedef struct ns_id_entry {
    ns_hash128 key;
    int64_t at;           /* of its text in bytes */
    int32_t n_bytes;      /* of its text; 0 for numbers, whose key is the id itself */
    uint8_t many;         /* 1: seen more than once */
    uint8_t is_duplicate; /* 1: on another row too, after all ranks were asked */
} ns_id_entry;

typedef struct ns_id_table {
    ns_id_entry *entry;
    int64_t n, room;
    char *bytes;
    int64_t n_bytes, room_bytes;
    int64_t *slot; /* [n_slots] index into entry + 1; 0: free */
    int64_t n_slots;
    int64_t limit_bytes;
} ns_id_table;

/* {0} with limit_bytes set is an empty table. */

/* The entry of an id, or NULL. */
ns_id_entry *ns_id_table_find(const ns_id_table *table, ns_hash128 key, const char *text, int32_t n_bytes);

/*
 * Adds an id, or notes that it was seen again. *full: it was not added, since the table would grow beyond its
 * limit. NS_ENOMEM.
 */
ns_status ns_id_table_add(ns_id_table *table, ns_hash128 key, const char *text, int32_t n_bytes, bool *full);

/* Takes memory for n ids at once, or for as many as the limit allows; texts as they come. Without memory nothing changes. */
void ns_id_table_reserve(ns_id_table *table, int64_t n);

/* Keeps the entries whose key has (hi & mask) == value; frees what the others held. NS_ENOMEM: nothing
 * changed. */
ns_status ns_id_table_keep(ns_id_table *table, uint64_t mask, uint64_t value);

void ns_id_table_clear(ns_id_table *table); /* frees all but the limit */
#endif
