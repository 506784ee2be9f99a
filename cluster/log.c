#include "cluster/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cluster/line.h"

enum { LINE = 4096, PAIRS = 3500, MOST_HELD = 8 }; /* LINE, PAIRS: bytes; longer ones are cut */

typedef struct held_event {
    ns_log_level level;
    char ts[21], event[65], *pairs;
} held_event;

static struct {
    ns_log_setup setup;
    char verb[32];
    double last_progress;
    char phase[32];      /* the long phase that ns_log_progress was last called for */
    double phase_began;
    int64_t phase_first; /* done when it began */
    bool bar_stands;     /* a progress bar is the terminal's last line */
    held_event held[MOST_HELD];
    int n_held;
} the_log;

double ns_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

char *ns_utc_now(char *buffer)
{
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(buffer, 21, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return buffer;
}

/* Appends one JSON string. Between quotes of its own the text may hold \\" and \\\\, as JSON has them too. */
static size_t add_string(char *out, size_t at, size_t size, const char *text, size_t length)
{
    if (at < size) out[at++] = '"';
    for (size_t i = 0; i < length && at + 8 < size; i++) {
        char c = text[i];
        bool escape = c == '\\' && i + 1 < length && (text[i + 1] == '"' || text[i + 1] == '\\');
        if (escape) c = text[++i];
        if (c == '"' || c == '\\') out[at++] = '\\';
        out[at++] = c;
    }
    if (at < size) out[at++] = '"';
    return at;
}

static size_t n_digits(const char *text, size_t length, size_t at)
{
    size_t n = 0;
    while (at + n < length && text[at + n] >= '0' && text[at + n] <= '9') n++;
    return n;
}

/* True where a bare value may stand in JSON as a number: -12, 0.5, 1.2e6. */
static bool is_number(const char *text, size_t length)
{
    size_t at = length > 0 && text[0] == '-' ? 1 : 0, whole = n_digits(text, length, at), part;
    if (whole == 0 || (whole > 1 && text[at] == '0')) return false;
    at += whole;
    if (at < length && text[at] == '.') {
        part = n_digits(text, length, at + 1);
        if (part == 0) return false;
        at += 1 + part;
    }
    if (at < length && text[at] == 'e') {
        at++;
        if (at < length && (text[at] == '-' || text[at] == '+')) at++;
        part = n_digits(text, length, at);
        if (part == 0 || part > 2) return false; /* longer ones may be beyond a double, and are ids rather */
        at += part;
    }
    return at == length;
}

/* key=value key="a b" … to ,"key":value,"key":"a b" */
static size_t add_pairs(char *out, size_t at, size_t size, const char *pairs)
{
    const char *c = pairs;
    while (*c != '\0') {
        while (*c == ' ') c++;
        const char *key = c;
        while (*c != '\0' && *c != '=') c++;
        size_t n_key = (size_t)(c - key);
        if (*c != '=' || at + n_key + 24 >= size) break;
        out[at++] = ',';
        at = add_string(out, at, size, key, n_key);
        out[at++] = ':';
        c++;
        bool quoted = *c == '"';
        if (quoted) c++;
        const char *value = c;
        while (*c != '\0' && *c != (quoted ? '"' : ' ')) c += quoted && c[0] == '\\' && c[1] != '\0' ? 2 : 1;
        size_t length = (size_t)(c - value);
        if (!quoted && is_number(value, length) && at + length + 8 < size) {
            memcpy(out + at, value, length);
            at += length;
        } else {
            at = add_string(out, at, size, value, length);
        }
        if (quoted && *c == '"') c++;
    }
    return at;
}

static void write_line(ns_log_level level, const char *ts, const char *event, const char *pairs)
{
    char line[LINE];
    static const char wipe[] = "\r\033[K";
    if (the_log.bar_stands && write(STDERR_FILENO, wipe, sizeof wipe - 1) > 0) the_log.bar_stands = false;
    const char *name = level == NS_LOG_WARN ? "warn" : "info";
    if (the_log.setup.format == NS_LOG_JSON) {
        size_t room = sizeof line - 3; /* behind it the brace, the end of the line, and a 0 */
        int n = snprintf(line, room,
                         "{\"ts\":\"%s\",\"level\":\"%s\",\"run\":\"%s\",\"verb\":\"%s\",\"event\":\"%.64s\"",
                         ts, name, the_log.setup.run, the_log.verb, event);
        size_t at = add_pairs(line, (size_t)n, room, pairs);
        line[at++] = '}';
        line[at] = '\0';
    } else {
        snprintf(line, sizeof line - 1, "ts=%s level=%s run=%s verb=%s event=%.64s%s%s", ts, name,
                 the_log.setup.run, the_log.verb, event, pairs[0] != '\0' ? " " : "", pairs);
    }
    ns_line_clean(line);
    size_t n = strlen(line);
    line[n++] = '\n';
    /* One write, so that lines of several processes do not mix; a log that cannot be written stops nothing.
     */
    if (write(STDERR_FILENO, line, n) < 0) return;
}

/* Keeps an event until the format is known; one that finds no room is written as text. */
static void take_line(ns_log_level level, const char *event, const char *pairs)
{
    char ts[21], *copy = NULL;
    ns_utc_now(ts);
    bool holds = the_log.setup.format == NS_LOG_UNDECIDED && the_log.n_held < MOST_HELD;
    if (holds) copy = strdup(pairs);
    if (copy == NULL) {
        write_line(level, ts, event, pairs);
        return;
    }
    held_event *held = &the_log.held[the_log.n_held++];
    held->level = level;
    held->pairs = copy;
    memcpy(held->ts, ts, sizeof held->ts);
    snprintf(held->event, sizeof held->event, "%s", event);
}

void ns_log_open(const ns_log_setup *setup)
{
    the_log.setup = *setup;
    if (setup->verb != the_log.verb) snprintf(the_log.verb, sizeof the_log.verb, "%s", setup->verb);
    the_log.setup.verb = the_log.verb;
    the_log.last_progress = -1e9;
    if (setup->format == NS_LOG_UNDECIDED) return;
    for (int i = 0; i < the_log.n_held; i++) {
        held_event *held = &the_log.held[i];
        write_line(held->level, held->ts, held->event, held->pairs);
        free(held->pairs);
    }
    the_log.n_held = 0;
}

void ns_log_settle(void)
{
    ns_log_setup setup = the_log.setup;
    if (setup.format != NS_LOG_UNDECIDED) return;
    setup.format = NS_LOG_TEXT;
    ns_log_open(&setup);
}

char *ns_log_value(char *out, size_t size, const char *text)
{
    size_t at = 0;
    if (size < 4) {
        if (size > 0) out[0] = '\0';
        return out;
    }
    out[at++] = '"';
    for (const char *c = text; *c != '\0' && at + 4 < size; c++) {
        if (*c == '"' || *c == '\\') out[at++] = '\\';
        out[at++] = *c;
    }
    out[at++] = '"';
    out[at] = '\0';
    ns_line_clean(out);
    return out;
}

void ns_log_from_any(ns_log_level level, const char *event, const char *format, ...)
{
    char pairs[PAIRS], ts[21];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pairs, sizeof pairs, format, arguments);
    va_end(arguments);
    ns_line_clean(pairs);
    write_line(level, ns_utc_now(ts), event, pairs);
}

void ns_log_event(ns_log_level level, const char *event, const char *format, ...)
{
    if (!the_log.setup.speaks || (the_log.setup.quiet && level == NS_LOG_INFO)) return;
    char pairs[PAIRS];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pairs, sizeof pairs, format, arguments);
    va_end(arguments);
    ns_line_clean(pairs);
    take_line(level, event, pairs);
}

/* "train  [#######.............]  35 %  61 of 174  12.3/s  9 s left", over the bar before it. */
static void draw_bar(const char *event, int64_t done, int64_t total, double rate, double left)
{
    enum { WIDTH = 24 };
    char bar[WIDTH + 1], line[200];
    int64_t full = total > 0 ? done * WIDTH / total : WIDTH;
    for (int i = 0; i < WIDTH; i++) bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = '\0';
    int n = snprintf(line, sizeof line, "\r\033[K%.20s  [%s] %3lld %%  %lld of %lld  %.3g/s  %.0f s left", event, bar,
                     (long long)(total > 0 ? done * 100 / total : 100), (long long)done, (long long)total, rate, left);
    the_log.bar_stands = write(STDERR_FILENO, line, (size_t)n) == n;
}

/* A new phase starts a new clock; its first call has no rate yet. */
static void begin_phase(const char *event, int64_t done, double now)
{
    if (strcmp(the_log.phase, event) == 0 && done >= the_log.phase_first) return;
    snprintf(the_log.phase, sizeof the_log.phase, "%s", event);
    the_log.phase_began = now;
    the_log.phase_first = done;
}

void ns_log_progress(const char *event, int64_t done, int64_t total, const char *format, ...)
{
    if (!the_log.setup.speaks || the_log.setup.quiet) return;
    double now = ns_seconds();
    begin_phase(event, done, now);
    double seconds = now - the_log.phase_began;
    double rate = seconds > 0 ? (double)(done - the_log.phase_first) / seconds : 0;
    double left = rate > 0 ? (double)(total - done) / rate : 0;
    bool on_terminal = the_log.setup.format == NS_LOG_TEXT && isatty(STDERR_FILENO);
    if (now - the_log.last_progress < (on_terminal ? 0.1 : 1.0)) return;
    the_log.last_progress = now;
    if (on_terminal) {
        draw_bar(event, done, total, rate, left);
        return;
    }
    char pairs[PAIRS];
    int n = snprintf(pairs, sizeof pairs, "done=%lld of=%lld rate_per_s=%.3f left_s=%.0f ", (long long)done, (long long)total, rate, left);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pairs + n, sizeof pairs - (size_t)n, format, arguments);
    va_end(arguments);
    size_t length = strlen(pairs);
    if (pairs[length - 1] == ' ') pairs[length - 1] = '\0'; /* no pairs of the caller's */
    ns_line_clean(pairs);
    take_line(NS_LOG_INFO, event, pairs);
}
