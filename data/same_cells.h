#ifndef NIGHTSHIFT_DATA_SAME_CELLS_H
#define NIGHTSHIFT_DATA_SAME_CELLS_H
/*
 * Cells that are equal byte by byte, so that what is done to each different text is done once and not for every row. Meant for a
 * column of few levels, whose cells come again and again; where all differ, it costs a few ns a cell. Local. Cannot fail.
 */
#include <stddef.h>
#include <stdint.h>

/*
 *   same   out  [n] which of the rows in `first` has the same cell
 *   first  out  [n] rows of cells that were new, in ascending order; a cell may be new more than once
 *   cells  in   [n][size] bytes
 * Returns how many of `first` there are.
 */
int64_t ns_same_cells(int32_t *same, int32_t *first, const void *cells, size_t size, int64_t n);
#endif
