#include "cluster/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
    ns_log_setup setup;
    char verb[32];
    double last_progress;
} the_log;

void ns_log_open(const ns_log_setup *setup)
{
    the_log.setup = *setup;
    snprintf(the_log.verb, sizeof the_log.verb, "%s", setup->verb);
    the_log.setup.verb = the_log.verb;
    the_log.last_progress = -1e9;
}

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

/* Appends one JSON string; text is UTF-8 and already free of control characters except quotes and backslashes. */
static size_t add_string(char *out, size_t at, size_t size, const char *text, size_t length)
{
    if (at < size) out[at++] = '"';
    for (size_t i = 0; i < length && at + 8 < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') out[at++] = '\\';
        if (c < 0x20)
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", c);
        else
            out[at++] = (char)c;
    }
    if (at < size) out[at++] = '"';
    return at;
}

/* True where a bare value may stand in JSON as a number. */
static bool is_number(const char *text, size_t length)
{
    size_t i = length > 0 && text[0] == '-' ? 1 : 0;
    size_t digits = 0, dots = 0;
    if (length > i + 1 && text[i] == '0' && text[i + 1] != '.') return false;
    for (; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') digits++;
        else if (text[i] == '.' && dots == 0 && digits > 0) dots++;
        else return false;
    }
    return digits > 0 && text[length - 1] != '.';
}

/* key=value key="a b" … to ,"key":value,"key":"a b" */
static size_t add_pairs(char *out, size_t at, size_t size, const char *pairs)
{
    const char *c = pairs;
    while (*c != '\0') {
        while (*c == ' ') c++;
        const char *key = c;
        while (*c != '\0' && *c != '=') c++;
        if (*c != '=' || at + 16 >= size) break;
        out[at++] = ',';
        at = add_string(out, at, size, key, (size_t)(c - key));
        if (at < size) out[at++] = ':';
        c++;
        bool quoted = *c == '"';
        if (quoted) c++;
        const char *value = c;
        while (*c != '\0' && *c != (quoted ? '"' : ' ')) c++;
        size_t length = (size_t)(c - value);
        if (!quoted && is_number(value, length) && at + length < size) {
            memcpy(out + at, value, length);
            at += length;
        } else {
            at = add_string(out, at, size, value, length);
        }
        if (quoted && *c == '"') c++;
    }
    return at;
}

static void write_line(ns_log_level level, const char *event, const char *pairs)
{
    char ts[21], line[4096];
    const char *name = level == NS_LOG_WARN ? "warn" : "info";
    ns_utc_now(ts);
    int n;
    if (the_log.setup.format == NS_LOG_JSON) {
        n = snprintf(line, sizeof line, "{\"ts\":\"%s\",\"level\":\"%s\",\"run\":\"%s\",\"verb\":\"%s\",\"event\":\"%s\"", ts, name,
                     the_log.setup.run, the_log.verb, event);
        size_t at = add_pairs(line, (size_t)n, sizeof line - 3, pairs);
        line[at++] = '}';
        line[at++] = '\n';
        n = (int)at;
    } else {
        n = snprintf(line, sizeof line - 1, "ts=%s level=%s run=%s verb=%s event=%s%s%s", ts, name, the_log.setup.run,
                     the_log.verb, event, pairs[0] != '\0' ? " " : "", pairs);
        if (n > (int)sizeof line - 2) n = (int)sizeof line - 2;
        line[n++] = '\n';
    }
    /* One write, so that lines of several processes do not mix; a log that cannot be written stops nothing. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0) return;
}

void ns_log(ns_log_level level, const char *event, const char *format, ...)
{
    if (!the_log.setup.speaks || (the_log.setup.quiet && level == NS_LOG_INFO)) return;
    char pairs[3500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pairs, sizeof pairs, format, arguments);
    va_end(arguments);
    write_line(level, event, pairs);
}

void ns_log_progress(const char *event, const char *format, ...)
{
    if (!the_log.setup.speaks || the_log.setup.quiet) return;
    double now = ns_seconds();
    if (now - the_log.last_progress < 1.0) return;
    the_log.last_progress = now;
    char pairs[3500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pairs, sizeof pairs, format, arguments);
    va_end(arguments);
    write_line(NS_LOG_INFO, event, pairs);
}
