#ifndef NIGHTSHIFT_TESTS_E2E_WHOLE_H
#define NIGHTSHIFT_TESTS_E2E_WHOLE_H
/*
 * What stands in a published place is whole: checked here without the program's own reader. `when` begins the message of a
 * test that fails.
 */

/*
 * Of a run folder, where they are there: bundle, bundle.1, … and checkpoints/NNNNNN hold every file that their manifest
 * names, with its size and SHA-256, and no other; run.json is JSON; job.yaml and every finished line of log.jsonl too.
 * Returns the number of checkpoints.
 */
int whole_run(const char *run, const char *when);

/* OUT, OUT.1, … and OUT.held are score files that `inspect` reads to their end; a manifest beside one vouches for its bytes. */
void whole_scores(const char *out, const char *when);

/* Names in a folder and below it that contain a text. */
int whole_count_names(const char *folder, const char *part);
#endif
