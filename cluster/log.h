#ifndef NIGHTSHIFT_CLUSTER_LOG_H
#define NIGHTSHIFT_CLUSTER_LOG_H
/*
 * The log on stderr: one line an event, key=value or (log.format: json) one object a line, time always UTC.
 * Only rank 0 speaks. No value, id or key of a patient's row and no level name ever goes into it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ns_log_level { NS_LOG_INFO, NS_LOG_WARN } ns_log_level;
typedef enum ns_log_format { NS_LOG_TEXT, NS_LOG_JSON, NS_LOG_UNDECIDED } ns_log_format;

/*
 * Opens the log of this process. Every line carries run and verb. While the format is undecided, since a job has still to say
 * it, the first few events are held, and written with their own times when the log is opened again.
 *   speaks  in  rank 0 passes true; false silences the process
 *   quiet   in  true drops info lines, keeps warnings
 */
typedef struct ns_log_setup {
    const char *verb; /* copied */
    char run[17];     /* hex id of this life */
    ns_log_format format;
    bool speaks, quiet;
} ns_log_setup;
void ns_log_open(const ns_log_setup *setup);

/* Where the format is undecided still, it is text. */
void ns_log_settle(void);

/*
 * One event: ns_log_event(NS_LOG_INFO, "publish", "path=%s rows=%lld", …). The text after the event is
 * key=value pairs separated by single spaces. A value that may hold a space or a quote (every path and
 * message) goes through ns_log_value. With log.format json a bare value that is a number becomes one; quoted
 * values stay texts.
 */
void ns_log_event(ns_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same from any rank and thread, at once: for what rank 0 may be unable to say. */
void ns_log_from_any(ns_log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* text as a value for ns_log_event: in quotes, with \" and \\ where needed, cut to size bytes. Returns out.
 */
char *ns_log_value(char *out, size_t size, const char *text);

/*
 * Where a long phase stands: at level info, at most one line a second (the others are dropped), with done, of, rate_per_s and
 * left_s before the given pairs. On a terminal a bar stands in its place, redrawn ten times a second; it is gone before the
 * next event.
 *   event        in  the phase; another one than last time begins its clock anew
 *   done, total  in  0 <= done <= total
 */
void ns_log_progress(const char *event, int64_t done, int64_t total, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Seconds on a clock that never runs backwards; for rates and time limits, never for anything published. */
double ns_seconds(void);

/* "2026-11-21T02:30:07Z": now. buffer holds at least 21 bytes. Returns buffer. */
char *ns_utc_now(char *buffer);
#endif
