#include "data/infer.h"

#include "data/values.h"

static bool all_numbers(const ns_cells *cells)
{
    ns_cells_walk walk = {0};
    const char *text;
    int64_t n_bytes;
    while (ns_cells_next_text(cells, &walk, &text, &n_bytes)) {
        ns_number_text number;
        if (ns_value_number(text, n_bytes, &number) != NS_VALUE_OK || number.leading_zero || !number.fits)
            return false;
    }
    return true;
}

static bool all_times(const ns_cells *cells)
{
    ns_cells_walk walk = {0};
    const char *text;
    int64_t n_bytes, seconds;
    bool has_zone;
    while (ns_cells_next_text(cells, &walk, &text, &n_bytes))
        if (ns_value_time(text, n_bytes, &seconds, &has_zone) != NS_VALUE_OK) return false;
    return true;
}

bool ns_infer_int64(const ns_cells *cells)
{
    ns_cells_walk walk = {0};
    const char *text;
    int64_t n_bytes, value;
    while (ns_cells_next_text(cells, &walk, &text, &n_bytes))
        if (!ns_value_int64(text, n_bytes, &value)) return false;
    return true;
}

ns_column_kind ns_infer_kind(const ns_cells *cells)
{
    int64_t n_values = ns_cells_n_rows(cells) - ns_cells_n_missing(cells);
    int64_t n_distinct = ns_cells_n_distinct(cells);
    if (all_numbers(cells)) return NS_COL_NUMBER;
    if (all_times(cells)) return NS_COL_TIME;
    if (n_distinct > NS_INFER_LEVELS) return NS_COL_ID;
    return n_values > NS_INFER_FEW && n_distinct > n_values - n_distinct ? NS_COL_ID : NS_COL_CATEGORY;
}
