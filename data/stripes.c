#include "data/stripes.h"

int64_t ns_n_waves(const ns_stripes *stripes)
{
    int64_t wave_rows = stripes->slab_rows * stripes->n_ranks;
    return (stripes->n_rows + wave_rows - 1) / wave_rows;
}

ns_piece ns_wave_piece(const ns_stripes *stripes, int64_t wave, int rank)
{
    int64_t first = (wave * stripes->n_ranks + rank) * stripes->slab_rows;
    int64_t left = stripes->n_rows - first;
    if (left <= 0) return (ns_piece){.first_row = stripes->n_rows, .n_rows = 0};
    return (ns_piece){.first_row = first, .n_rows = left < stripes->slab_rows ? left : stripes->slab_rows};
}
