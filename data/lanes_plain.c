#include <stddef.h>

#include "data/blake2b_lanes.h"
#include "data/cell_loops.h"

const ns_blake2b_lanes *ns_blake2b_lanes_here(void)
{
    return NULL;
}

const ns_cell_loops *ns_cell_loops_here(void)
{
    return &ns_cell_loops_baseline;
}
