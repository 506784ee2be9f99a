#include "data/infer.h"

ns_column_kind ns_infer_kind(const ns_cells_facts *facts)
{
    int64_t n_values = facts->n_rows - facts->n_missing;
    if (facts->all_numbers) return NS_COL_NUMBER;
    if (facts->all_times) return NS_COL_TIME;
    if (facts->many_texts) return NS_COL_ID;
    return n_values > NS_INFER_FEW && facts->n_distinct > n_values - facts->n_distinct ? NS_COL_ID : NS_COL_CATEGORY;
}
