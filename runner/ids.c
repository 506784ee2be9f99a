#include "runner/ids.h"

#include <stdlib.h>

ns_status ns_id_reader_open(ns_id_reader *reader, ns_cohort *cohort, int32_t column, int64_t room)
{
    bool is_text = column >= 0 && ns_cohort_column(cohort, column)->is_text;
    *reader = (ns_id_reader){.cohort = cohort, .column = column, .use = malloc((size_t)room)};
    if (!is_text) reader->number = malloc((size_t)room * sizeof *reader->number);
    return reader->use == NULL || (!is_text && reader->number == NULL) ? ns_fail(NS_ENOMEM, "no memory for the ids of a slab") : NS_OK;
}

void ns_id_reader_close(ns_id_reader *reader)
{
    free(reader->use);
    free(reader->number);
    ns_texts_destroy(&reader->text);
}

ns_status ns_id_reader_read(ns_id_reader *reader, int64_t first, int64_t n)
{
    if (reader->column < 0) return NS_OK;
    if (reader->number != NULL) return ns_cohort_read_id_int(reader->cohort, reader->column, first, n, reader->number);
    ns_texts_clear(&reader->text);
    return ns_cohort_read_id_text(reader->cohort, reader->column, first, n, &reader->text);
}

ns_id_piece ns_id_reader_piece(ns_id_reader *reader, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++) reader->use[i] = reader->use[i] && ns_id_reader_has(reader, i);
    ns_id_piece piece = {.first = at, .n = n, .number = reader->number, .use = reader->use};
    if (reader->number == NULL) piece.text = &reader->text;
    return piece;
}
