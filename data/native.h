#ifndef NIGHTSHIFT_DATA_NATIVE_H
#define NIGHTSHIFT_DATA_NATIVE_H
/* Stored cells in memory: byte order, and the lossless widening that H5Dread would do. */
#include <stdint.h>

#include "data/chunks.h"

/* What a reader asks for. Wide floats only HDF5 converts. */
typedef enum ns_memory { NS_AS_INT64, NS_AS_UINT64, NS_AS_FLOAT, NS_AS_DOUBLE, NS_AS_LONG_DOUBLE } ns_memory;

/* The same as an HDF5 memory type, and its bytes. */
hid_t ns_memory_type(ns_memory memory);
size_t ns_memory_bytes(ns_memory memory);

/* Turns n cells to this machine's byte order, in place; nothing to do where cell->swapped is false. cells: aligned to them. */
void ns_cells_turn(void *cells, const ns_cell *cell, int64_t n);

/*
 * out[i] = cells[i], n of them, in this machine's byte order, widened without loss: signed integers and unsigned ones below
 * 8 bytes to int64, those of 8 bytes to uint64, floats of 2, 4 or 8 bytes to a float at least as wide. Another pair is a
 * mistake of the caller.
 */
void ns_cells_widen(void *out, ns_memory memory, const void *cells, const ns_cell *cell, int64_t n);
#endif
