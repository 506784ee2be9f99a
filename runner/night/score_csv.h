#ifndef NIGHTSHIFT_RUNNER_NIGHT_SCORE_CSV_H
#define NIGHTSHIFT_RUNNER_NIGHT_SCORE_CSV_H
/*
 * The rows of a score file as CSV: a line of names, then id, status (its number), risk (of several
 * classes: risk_CLASS for each; else, where no risk, prediction) and the kept columns, in input order.
 * UTF-8, comma, lines end in a newline; a text with a comma, quote or line end stands in quotes, a quote in it doubled. What
 * is missing, and the risk of a row that was not scored, is empty; an empty text that is there is "". Numbers are the shortest
 * text that reads back to the same float32 (data/float_text.h), times YYYY-MM-DDThh:mm:ssZ. Rank 0 only; local.
 */
#include "data/scores.h"

typedef struct ns_score_csv ns_score_csv;

/*
 *   setup  in  of the score file beside it; names, levels and classes are borrowed until close
 * Test hook (data/durable.h): write:csv, sync:csv. NS_EIO, NS_ENOMEM.
 */
ns_status ns_score_csv_open(ns_score_csv **out, const char *path, const ns_scores_setup *setup);
ns_status ns_score_csv_add(ns_score_csv *csv, const ns_scores_block *block);
/* See ns_spool_finish. */
ns_status ns_score_csv_finish(ns_score_csv *csv, char sha256[65], int64_t *n_bytes);
void ns_score_csv_close(ns_score_csv **csv); /* unfinished: deletes the file */
#endif
