#ifndef NIGHTSHIFT_DATA_ID_ORDER_H
#define NIGHTSHIFT_DATA_ID_ORDER_H
/* Whether ids stand in order, as in most exports: then no id stands twice, and one reading tells so. */
#include "data/duplicates.h"

/*
 * *ascend: within each piece the ids that are used ascend strictly (numbers by value, texts by bytes), and the stretches from a
 * piece's first id to its last do not overlap, whichever ranks hold them. Texts whose first 24 bytes are the same count as
 * overlapping there. A rank reads its pieces in order, up to the first that does not ascend; 48 bytes a piece are held.
 * Collective. NS_ENOMEM, NS_ESTOPPED, and what read gives.
 */
ns_status ns_ids_ascend(const ns_id_source *source, bool *ascend, MPI_Comm comm);
#endif
