/*
 * Nothing here is believed: every length is checked against the block it lies in and the file, the tree's depth and node
 * count are bounded, a chunk may stand only once and only on the grid. A wrong step ends in "false", and the data set is
 * read with HDF5, which words what is wrong.
 */
#include "data/chunk_tree.h"

#include <stdlib.h>
#include <string.h>

#include "data/pread.h"

enum { MESSAGE_LAYOUT = 8, MESSAGE_CONTINUATION = 16, MAX_BLOCKS = 64, MAX_BLOCK_BYTES = 1 << 20, MAX_LEVEL = 16 };
enum { LAYOUT_COMPACT = 0, LAYOUT_CHUNKED = 2 };

static uint64_t little(const unsigned char *at, int n)
{
    uint64_t value = 0;
    for (int i = n - 1; i >= 0; i--) value = value << 8 | at[i];
    return value;
}

static bool read_at(const ns_raw_file *file, uint64_t address, void *bytes, uint64_t n)
{
    uint64_t at = file->base + address;
    if (address > file->n_bytes || at > file->n_bytes || n > file->n_bytes - at) return false;
    return ns_pread(file->descriptor, bytes, (size_t)n, (int64_t)at);
}

/* ---- the object header ---- */

/* A stretch of messages: what is left of one block. */
typedef struct block {
    uint64_t address, n_bytes;
} block;

typedef struct header_walk {
    const ns_raw_file *file;
    int version, message_head; /* bytes before a message's data */
    block blocks[MAX_BLOCKS];
    int n_blocks;
    bool found;
    uint64_t layout_at, layout_bytes;     /* of the message's data, relative to base */
    unsigned char layout[64];             /* its beginning */
} header_walk;

static bool add_block(header_walk *walk, uint64_t address, uint64_t n_bytes)
{
    if (walk->n_blocks == MAX_BLOCKS || n_bytes > MAX_BLOCK_BYTES) return false;
    walk->blocks[walk->n_blocks++] = (block){address, n_bytes};
    return true;
}

static bool start_walk(header_walk *walk, uint64_t header)
{
    unsigned char head[16];
    if (!read_at(walk->file, header, head, sizeof head)) return false;
    if (memcmp(head, "OHDR", 4) != 0) {
        walk->version = 1;
        walk->message_head = 8;
        return head[0] == 1 && add_block(walk, header + 16, little(head + 8, 4));
    }
    unsigned flags = head[5];
    walk->version = 2;
    walk->message_head = (flags & 4) != 0 ? 6 : 4;
    uint64_t at = header + 6 + ((flags & 0x20) != 0 ? 16 : 0) + ((flags & 0x10) != 0 ? 4 : 0);
    int width = 1 << (flags & 3);
    unsigned char size[8];
    return head[4] == 2 && read_at(walk->file, at, size, (uint64_t)width) &&
           add_block(walk, at + (uint64_t)width, little(size, width));
}

static bool take_message(header_walk *walk, int type, uint64_t address, const unsigned char *data, uint64_t n)
{
    if (type == MESSAGE_LAYOUT) {
        if (walk->found) return false;
        walk->found = true;
        walk->layout_at = address;
        walk->layout_bytes = n;
        memcpy(walk->layout, data, n < sizeof walk->layout ? (size_t)n : sizeof walk->layout);
        return true;
    }
    if (type != MESSAGE_CONTINUATION) return true;
    if (n < 16) return false;
    uint64_t at = little(data, 8), length = little(data + 8, 8);
    if (walk->version == 1) return add_block(walk, at, length);
    return length >= 8 && add_block(walk, at + 4, length - 8); /* between its signature and its check sum */
}

/* A block of version 2 may end in a gap shorter than a message's head. */
static bool walk_block(header_walk *walk, const block *at)
{
    unsigned char *bytes = malloc((size_t)at->n_bytes + 1);
    bool right = bytes != NULL && read_at(walk->file, at->address, bytes, at->n_bytes);
    uint64_t head = (uint64_t)walk->message_head;
    for (uint64_t i = 0; right && i + head <= at->n_bytes;) {
        int type = (int)(walk->version == 1 ? little(bytes + i, 2) : bytes[i]);
        uint64_t n = little(bytes + i + (walk->version == 1 ? 2 : 1), 2), data = i + head;
        unsigned flags = bytes[i + (walk->version == 1 ? 4 : 3)];
        right = n <= at->n_bytes - data && ((flags & 2) == 0 || type != MESSAGE_LAYOUT); /* 2: kept elsewhere */
        if (right) right = take_message(walk, type, at->address + data, bytes + data, n);
        i = data + n;
    }
    free(bytes);
    return right;
}

static bool find_layout(header_walk *walk, const ns_raw_file *file, uint64_t header)
{
    *walk = (header_walk){.file = file};
    if (!start_walk(walk, header)) return false;
    for (int i = 0; i < walk->n_blocks; i++)
        if (!walk_block(walk, &walk->blocks[i])) return false;
    return walk->found && walk->layout_bytes >= 4 && walk->layout[0] == 3;
}

bool ns_compact_find(const ns_raw_file *file, uint64_t header, uint64_t *address, uint64_t *n_bytes)
{
    header_walk walk;
    if (!find_layout(&walk, file, header) || walk.layout[1] != LAYOUT_COMPACT) return false;
    *n_bytes = little(walk.layout + 2, 2);
    *address = file->base + walk.layout_at + 4;
    return *n_bytes <= walk.layout_bytes - 4;
}

/* ---- the tree ---- */

typedef struct tree_walk {
    ns_chunks *chunks;
    const ns_raw_file *file;
    int64_t n_found, n_nodes;
} tree_walk;

static bool take_chunk(tree_walk *walk, const unsigned char *key, uint64_t address)
{
    ns_chunks *chunks = walk->chunks;
    uint64_t row = little(key + 8, 8), rows = (uint64_t)chunks->chunk_rows;
    if (row % rows != 0 || address > walk->file->n_bytes) return false;
    /* Rows that were cut off a shrunk data set may leave chunks behind: they count, and hold nothing. */
    walk->n_found++;
    if (row >= (uint64_t)chunks->n_rows) return true;
    ns_chunk *chunk = &chunks->chunk[row / rows];
    if (chunk->address != NS_CHUNK_ABSENT) return false;
    *chunk = (ns_chunk){.address = walk->file->base + address, .n_bytes = (uint32_t)little(key, 4),
                        .mask = (uint32_t)little(key + 4, 4)};
    return chunk->n_bytes <= walk->file->n_bytes && chunk->address <= walk->file->n_bytes - chunk->n_bytes;
}

/* A node: "TREE", type, level, entries used (2 bytes), two siblings, then key, child, key, child, …, key. A key is the
   stored size, the filter mask, the first row, and an offset in the element. level -1: the root, whatever its level. */
static bool walk_node(tree_walk *walk, uint64_t address, int level)
{
    unsigned char head[24];
    /* No tree has more nodes than chunks, except inner ones over half-full children. */
    if (++walk->n_nodes > 4 * (int64_t)NS_MAX_CHUNKS || !read_at(walk->file, address, head, sizeof head)) return false;
    if (memcmp(head, "TREE", 4) != 0 || head[4] != 1 || head[5] > MAX_LEVEL || (level >= 0 && head[5] != level)) return false;
    uint64_t n = little(head + 6, 2), key_bytes = 24, step = key_bytes + 8;
    unsigned char *entries = malloc((size_t)(n * step) + 1);
    bool right = entries != NULL && read_at(walk->file, address + sizeof head, entries, n * step);
    for (uint64_t i = 0; i < n && right; i++) {
        const unsigned char *key = entries + i * step;
        uint64_t child = little(key + key_bytes, 8);
        right = head[5] == 0 ? take_chunk(walk, key, child) : walk_node(walk, child, head[5] - 1);
    }
    free(entries);
    return right;
}

bool ns_chunk_tree_read(ns_chunks *chunks, const ns_raw_file *file, uint64_t header, int64_t *n_found)
{
    header_walk layout;
    *n_found = 0;
    if (!find_layout(&layout, file, header)) return false;
    /* version 3, class, dimensions with the element's, address of the tree (8), rows of a chunk (4), bytes of an element (4) */
    if (layout.layout[1] != LAYOUT_CHUNKED || layout.layout[2] != 2 || layout.layout_bytes < 19) return false;
    if ((int64_t)little(layout.layout + 11, 4) != chunks->chunk_rows || little(layout.layout + 15, 4) != chunks->cell.n_bytes)
        return false;
    uint64_t root = little(layout.layout + 3, 8);
    if (root == UINT64_MAX) return true; /* no chunk was ever written */
    tree_walk walk = {.chunks = chunks, .file = file};
    bool right = walk_node(&walk, root, -1);
    *n_found = walk.n_found;
    return right;
}
