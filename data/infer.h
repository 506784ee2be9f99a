#ifndef NIGHTSHIFT_DATA_INFER_H
#define NIGHTSHIFT_DATA_INFER_H
/*
 * Which kind a column of texts is, decided over all its rows; missing cells have no say. In this order:
 *
 *   number    every value is a plain decimal number, none has a leading zero ("007" is a code), and float32
 *             holds each (data/values.h: whole numbers exactly, so that no id or code changes in silence; of a
 *             measurement with a fraction no more than its whole units). Also a column without any value
 *   time      every value is an ISO 8601 date or time with whole seconds. Dates of other forms are never guessed
 *   id        more than NS_INFER_LEVELS distinct values; or more than NS_INFER_FEW values, over half of them
 *             distinct
 *   category  all others
 */
#include "data/cells.h"
#include "data/cohort.h"

enum { NS_INFER_LEVELS = NS_CELLS_DISTINCT, NS_INFER_FEW = 20 };

/* Pure; facts of a column that was settled (ns_cells_settle). Depends on the multiset of texts alone. */
ns_column_kind ns_infer_kind(const ns_cells_facts *facts);
#endif
