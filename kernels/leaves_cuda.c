#include "kernels/cuda_forest.h"

/* The quantiles of leaves as kernels/residual.h finds them: three steps for every NS_RESIDUAL_GROUPS leaves, all of them queued. A
   tree with fewer leaves than may be leaves the last of them with nothing to do. */

static ns_status count(ns_cuda_forest *c, const ns_cuda_residual_step *step, size_t n_bytes)
{
    NS_TRY(ns_cuda_zero(c->cuda, c->table, n_bytes));
    return ns_cuda_residual_count(c->cuda, &c->rows, step);
}

static ns_status number(ns_cuda_forest *c)
{
    NS_TRY(ns_cuda_residual_keys(c->cuda, &c->rows));
    return ns_cuda_number_leaves(c->cuda, &c->leaves);
}

ns_status ns_cuda_find_quantiles(ns_forest *f)
{
    ns_cuda_forest *c = f->cuda;
    int32_t most = c->grow.max_splits + 1, groups = most < NS_RESIDUAL_GROUPS ? most : NS_RESIDUAL_GROUPS;
    ns_cuda_residual_step s = {.leaf_number = c->leaves.leaf_number,
                               .n_leaves = &c->grow.control->n_leaves,
                               .found = c->leaves.found,
                               .table = c->table,
                               .scale = ns_residual_scale(f->weight_scale, f->n_train_global)};
    if (c->mine == NS_OK) c->mine = number(c);
    for (s.first = 0; s.first < most; s.first += NS_RESIDUAL_GROUPS) {
        s.shift = 32;
        for (int i = 0; i < NS_RESIDUAL_STEPS; i++) {
            s.bits = ns_residual_bits(i);
            s.shift -= s.bits;
            int64_t n = (int64_t)groups << s.bits;
            if (c->mine == NS_OK) c->mine = count(c, &s, (size_t)n * sizeof *c->table);
            NS_TRY(ns_cuda_reduce(f->device, &c->mine, NS_CUDA_SUM, c->table, n, c->exchange));
            if (c->mine == NS_OK) c->mine = ns_cuda_residual_narrow(c->cuda, &s, f->settings.quantile);
        }
    }
    return NS_OK;
}
