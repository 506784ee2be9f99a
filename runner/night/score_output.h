#ifndef NIGHTSHIFT_RUNNER_NIGHT_SCORE_OUTPUT_H
#define NIGHTSHIFT_RUNNER_NIGHT_SCORE_OUTPUT_H
/* A night's rows on their way into a score file, and a CSV beside it: ids and kept columns are read beside the risks. Rank 0
   only; local. */
#include "data/scores.h"
#include "runner/night/beside.h"
#include "runner/night/night.h"
#include "runner/night/night_job.h"
#include "runner/night/score_csv.h"

typedef struct ns_score_output {
    ns_night *night;          /* borrowed */
    ns_scores_writer *writer;
    ns_score_csv *csv;        /* NULL: not wanted */
    void *cells[NS_MOST_KEEP];/* one slab of each kept column */
    ns_texts keep_texts[NS_MOST_KEEP], id_texts;
    int64_t *id_ints;
    const void *keep[NS_MOST_KEEP];
    ns_scores_block block;    /* being written, on a thread of its own where the process has several */
    ns_beside *writing;
} ns_score_output;

/*
 * Opens the file under `path` itself; the caller renames it.
 *   csv    in  path of the CSV, NULL: none
 *   as_of  in  "" where the night has no date
 * NS_EIO, NS_ENOMEM. Close in either case; start from a zeroed one.
 */
ns_status ns_score_output_open(ns_score_output *out, ns_night *night, const char *path, const char *csv, const char *as_of);

/* An ns_night_take: context is the ns_score_output. NS_EIO, NS_EFORMAT; a failure to write may be told by the next call. */
ns_status ns_score_output_take(void *context, const ns_night_rows *rows);

/* See ns_scores_writer_finish; the CSV is finished by itself (ns_score_csv_finish). */
ns_status ns_score_output_finish(ns_score_output *out, char content[65]);
void ns_score_output_close(ns_score_output *out); /* deletes what is unfinished */
#endif
