#ifndef NIGHTSHIFT_RUNNER_SCORE_OUTPUT_H
#define NIGHTSHIFT_RUNNER_SCORE_OUTPUT_H
/* A night's rows on their way into a score file: ids and kept columns are read beside the risks. Rank 0 only; local. */
#include "data/scores.h"
#include "runner/night.h"

enum { NS_MOST_KEEP = 64 };

typedef struct ns_score_output {
    ns_night *night;          /* borrowed */
    ns_scores_writer *writer;
    void *cells[NS_MOST_KEEP];/* one slab of each kept column */
    ns_texts keep_texts[NS_MOST_KEEP], id_texts;
    int64_t *id_ints;
} ns_score_output;

/*
 * Opens the file under `path` itself; the caller renames it.
 *   as_of  in  "" where the night has no date
 * NS_EIO, NS_ENOMEM. Close in either case; start from a zeroed one.
 */
ns_status ns_score_output_open(ns_score_output *out, ns_night *night, const char *path, const char *as_of);

/* An ns_night_take: context is the ns_score_output. NS_EIO, NS_EFORMAT. */
ns_status ns_score_output_take(void *context, int64_t first, int64_t n, const uint8_t *status, const float *risk);

/* See ns_scores_writer_finish. */
ns_status ns_score_output_finish(ns_score_output *out, char content[65]);
void ns_score_output_close(ns_score_output *out); /* unfinished: deletes the file */
#endif
