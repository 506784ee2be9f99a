/* How much was read in which way, and which files are slow. */
#include <inttypes.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster/agree.h"
#include "cluster/log.h"
#include "cluster/reduce.h"
#include "data/cohort_private.h"

/* Chunks for each thread in one call: with one alone, each call would last as long as its slowest thread. */
enum { CHUNKS_A_THREAD = 4, MAX_STRETCH_ROWS = 1 << 21 };

int64_t ns_cohort_stretch(void)
{
    int64_t n_threads = omp_get_max_threads(), rows = n_threads * CHUNKS_A_THREAD * NS_PIECE_ROWS;
    if (n_threads == 1) return NS_PIECE_ROWS;
    return rows < MAX_STRETCH_ROWS ? rows : MAX_STRETCH_ROWS;
}

void ns_cohort_note_slow(ns_cohort *cohort, int32_t file, int64_t n_bytes, ns_slow why)
{
    ns_table_file *at = &cohort->files[file];
    cohort->reading.hdf5_bytes += n_bytes;
    if (n_bytes > 0 && why > at->slow) at->slow = why;
}

ns_reading ns_cohort_reading(const ns_cohort *cohort)
{
    return cohort->reading;
}

/* One line a file. Nobody is told of what he asked for. */
static void name_slow_file(ns_table_file *file, ns_slow slow)
{
    if (slow <= NS_SLOW_ASKED || file->slow_named) return;
    file->slow_named = true;
    char path[1200], why[200], command[2600], cure[2800];
    const char *words = ns_slow_cure(slow);
    if (words[0] != '\0')
        snprintf(command, sizeof command, "h5repack -l CHUNK=%" PRId64 " %s %s OUT.h5",
                 file->n_rows < NS_PIECE_ROWS ? file->n_rows : NS_PIECE_ROWS, words, file->path);
    else if (slow == NS_SLOW_MATRIX)
        snprintf(command, sizeof command, "write its columns as data sets of their own (data/README.md)");
    else if (slow == NS_SLOW_TEXTS)
        snprintf(command, sizeof command, "write it again with strings of fixed length (Python: numpy.array(values, dtype='S'))");
    else
        snprintf(command, sizeof command, "write it again as float32, float64 or integers of 1, 2, 4 or 8 bytes");
    ns_log_event(NS_LOG_WARN, "slow_file", "path=%s why=%s cure=%s", ns_log_value(path, sizeof path, file->path),
                 ns_log_value(why, sizeof why, ns_slow_words(slow)), ns_log_value(cure, sizeof cure, command));
}

ns_reading ns_cohort_reading_of_all(const ns_cohort *cohort)
{
    return cohort->all_reading;
}

double ns_reading_share(const ns_reading *reading)
{
    int64_t all = reading->fast_bytes + reading->hdf5_bytes;
    return all > 0 ? (double)reading->fast_bytes / (double)all : 1.0;
}

/* What came since the last report. */
static void log_reading(const ns_reading *before, const ns_reading *now)
{
    ns_reading since = {.fast_bytes = now->fast_bytes - before->fast_bytes,
                        .hdf5_bytes = now->hdf5_bytes - before->hdf5_bytes,
                        .seconds = now->seconds - before->seconds};
    int64_t n_bytes = since.fast_bytes + since.hdf5_bytes;
    if (n_bytes == 0) return;
    ns_log_event(NS_LOG_INFO, "reading", "bytes=%" PRId64 " past_hdf5=%.4f seconds=%.3f mb_per_s=%.1f", n_bytes, ns_reading_share(&since),
                 since.seconds, since.seconds > 0 ? (double)n_bytes / since.seconds / 1e6 : 0.0);
}

ns_status ns_cohort_report_reading(ns_cohort *cohort, MPI_Comm comm)
{
    ns_reading mine = cohort->reading, before = cohort->all_reading;
    int64_t sums[3] = {mine.fast_bytes, mine.hdf5_bytes, mine.stored_bytes};
    int64_t microseconds = (int64_t)(mine.seconds * 1e6);
    int64_t *slow = calloc((size_t)cohort->n_files + 1, sizeof *slow);
    ns_status status = ns_agree(slow == NULL ? ns_fail(NS_ENOMEM, "no memory for %d files", cohort->n_files) : NS_OK, comm);
    if (status != NS_OK) goto done;
    for (int32_t f = 0; f < cohort->n_files; f++) slow[f] = cohort->files[f].slow;
    ns_sum_i64(sums, 3, comm);
    ns_max_i64(&microseconds, 1, comm);
    ns_max_i64(slow, cohort->n_files, comm);
    cohort->all_reading = (ns_reading){.fast_bytes = sums[0], .hdf5_bytes = sums[1], .stored_bytes = sums[2],
                                       .seconds = (double)microseconds * 1e-6};
    log_reading(&before, &cohort->all_reading);
    for (int32_t f = 0; f < cohort->n_files; f++) name_slow_file(&cohort->files[f], (ns_slow)slow[f]);
done:
    free(slow);
    return status;
}
