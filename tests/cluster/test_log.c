/* The log as it arrives on stderr, through a pipe. */
#include "tests/check.h"

#include <unistd.h>

#include "cluster/log.h"

static int old_stderr, reading;

/* From here on stderr goes into a pipe. */
static void capture(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    old_stderr = dup(STDERR_FILENO);
    assert_true(old_stderr >= 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reading = ends[0];
}

/* Gives stderr back and returns what was written. */
static void captured(char *out, size_t size)
{
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    size_t at = 0;
    ssize_t n;
    while ((n = read(reading, out + at, size - 1 - at)) > 0) at += (size_t)n;
    out[at] = '\0';
    close(reading);
}

static void open_log(ns_log_format format, bool speaks, bool quiet)
{
    ns_log_setup setup = {
        .verb = "train", .run = "3f9c000000000001", .format = format, .speaks = speaks, .quiet = quiet};
    ns_log_open(&setup);
}

/* The text behind the time, which must have the form of one. */
static const char *behind_time(const char *line, const char *before)
{
    int year, month, day, hour, minute, second, n = 0;
    assert_memory_equal(line, before, strlen(before));
    line += strlen(before);
    assert_int_equal(
        sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2dZ%n", &year, &month, &day, &hour, &minute, &second, &n), 6);
    assert_int_equal(n, 20);
    assert_true(year >= 2024);
    return line + n;
}

static void text_line(void **state)
{
    (void)state;
    char out[8192], value[64];
    open_log(NS_LOG_TEXT, true, false);
    capture();
    ns_log_event(NS_LOG_INFO, "publish", "path=%s rows=%d", ns_log_value(value, sizeof value, "a b\"c\\d"),
                 7);
    captured(out, sizeof out);
    assert_string_equal(
        behind_time(out, "ts="),
        " level=info run=3f9c000000000001 verb=train event=publish path=\"a b\\\"c\\\\d\" rows=7\n");
    capture();
    ns_log_event(NS_LOG_WARN, "start", "%s", "");
    captured(out, sizeof out);
    assert_string_equal(behind_time(out, "ts="), " level=warn run=3f9c000000000001 verb=train event=start\n");
}

static void json_line(void **state)
{
    (void)state;
    char out[8192], value[64];
    open_log(NS_LOG_JSON, true, false);
    capture();
    ns_log_event(NS_LOG_INFO, "x", "a=1 b=-0.5 c=1.2e6 d=007 e=1. f=text g=%s h=\"12\" i= j=-",
                 ns_log_value(value, sizeof value, "a b\"c\\d"));
    captured(out, sizeof out);
    assert_string_equal(behind_time(out, "{\"ts\":\""),
                        "\",\"level\":\"info\",\"run\":\"3f9c000000000001\",\"verb\":\"train\",\"event\":"
                        "\"x\",\"a\":1,\"b\":-0.5,"
                        "\"c\":1.2e6,\"d\":\"007\",\"e\":\"1.\",\"f\":\"text\",\"g\":\"a "
                        "b\\\"c\\\\d\",\"h\":\"12\",\"i\":\"\",\"j\":\"-\"}\n");
}

static void numbers_of_json(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool number;
    } list[] = {
        {"0", true},      {"-0", true},      {"10", true},   {"0.25", true},   {"1e5", true},
        {"1e-05", true},  {"2.5e+10", true}, {"01", false},  {".5", false},    {"5.", false},
        {"e5", false},    {"1e", false},     {"1e+", false}, {"1e999", false}, {"nan", false},
        {"inf", false},   {"0x1", false},    {"1,5", false}, {"--1", false},   {"+1", false},
        {"1.5.2", false},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        char out[8192], want[64];
        open_log(NS_LOG_JSON, true, false);
        capture();
        ns_log_event(NS_LOG_INFO, "x", "a=%s", list[i].value);
        captured(out, sizeof out);
        snprintf(want, sizeof want, list[i].number ? "\"a\":%s}" : "\"a\":\"%s\"}", list[i].value);
        assert_non_null(strstr(out, want));
    }
}

static void control_characters_do_not_make_lines(void **state)
{
    (void)state;
    char out[8192];
    for (int format = NS_LOG_TEXT; format <= NS_LOG_JSON; format++) {
        open_log((ns_log_format)format, true, false);
        capture();
        ns_log_event(NS_LOG_INFO, "x", "path=\"a\nts=forged\x01\xff\"");
        captured(out, sizeof out);
        assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
        assert_non_null(strstr(out, "a ts=forged ?\""));
    }
}

static void long_lines_are_cut_whole(void **state)
{
    (void)state;
    char out[8192], text[6000];
    for (int shift = 0; shift < 2; shift++)
        for (int format = NS_LOG_TEXT; format <= NS_LOG_JSON; format++) {
            memset(text, '"', sizeof text); /* each needs two bytes in JSON */
            for (size_t i = (size_t)shift; i + 2 < sizeof text; i += 2) memcpy(text + i, "\xc3\xa9", 2);
            text[sizeof text - 1] = '\0';
            open_log((ns_log_format)format, true, false);
            capture();
            ns_log_event(NS_LOG_INFO, "x", "a=%s b=1", text);
            captured(out, sizeof out);
            size_t n = strlen(out);
            assert_true(n > 3400 && n <= 4096);
            assert_int_equal(out[n - 1], '\n');
            if (format == NS_LOG_JSON) assert_memory_equal(out + n - 3, "\"}\n", 3);
        }
    /* Quotes double in JSON and overrun the line. */
    memset(text, '\\', sizeof text);
    text[sizeof text - 1] = '\0';
    open_log(NS_LOG_JSON, true, false);
    capture();
    ns_log_event(NS_LOG_INFO, "x", "a=%s", text);
    captured(out, sizeof out);
    size_t n = strlen(out), slashes = 0;
    assert_true(n <= 4096);
    assert_memory_equal(out + n - 3, "\"}\n", 3);
    for (const char *c = out + n - 4; *c == '\\'; c--) slashes++;
    assert_int_equal(slashes % 2, 0); /* the quote at the end is not escaped */
}

static void silence(void **state)
{
    (void)state;
    char out[8192];
    open_log(NS_LOG_TEXT, false, false);
    capture();
    ns_log_event(NS_LOG_WARN, "x", "a=1");
    ns_log_progress("x", 0, 1, "a=1");
    captured(out, sizeof out);
    assert_string_equal(out, "");
    open_log(NS_LOG_TEXT, true, true);
    capture();
    ns_log_event(NS_LOG_INFO, "x", "a=1");
    ns_log_progress("x", 0, 1, "a=2");
    ns_log_event(NS_LOG_WARN, "x", "a=3");
    captured(out, sizeof out);
    assert_null(strstr(out, "a=1"));
    assert_null(strstr(out, "a=2"));
    assert_non_null(strstr(out, "a=3"));
}

static void progress_once_a_second(void **state)
{
    (void)state;
    char out[65536];
    open_log(NS_LOG_TEXT, true, false);
    capture();
    double start = ns_seconds(), last = start;
    long calls = 0;
    while (last - start < 2.2) { /* lines may come at 0, 1 and 2 seconds */
        ns_log_progress("round", 1, 1, "call=%ld", calls++);
        last = ns_seconds();
    }
    captured(out, sizeof out);
    int lines = 0;
    for (const char *c = out; *c != '\0'; c++) lines += *c == '\n';
    assert_true(calls > 10);
    assert_int_equal(lines, 3);
    assert_non_null(strstr(out, "level=info"));
    assert_non_null(strstr(out, "call=0\n"));
}

/* Until the job says how, events wait, with the times at which they came. */
static void undecided(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        char out[8192];
        open_log(NS_LOG_UNDECIDED, true, false);
        capture();
        ns_log_event(NS_LOG_INFO, "start", "ranks=%d", 2);
        ns_log_event(NS_LOG_WARN, "bound", "cores=1");
        if (i == 0) open_log(NS_LOG_JSON, true, false);
        if (i == 1) ns_log_settle();
        if (i == 2) /* more than it holds: those come at once, as text */
            for (int k = 0; k < 7; k++) ns_log_event(NS_LOG_INFO, "more", "k=%d", k);
        captured(out, sizeof out);
        const char *line = i == 0 ? behind_time(out, "{\"ts\":\"") : behind_time(out, "ts=");
        assert_non_null(strstr(line, i == 0 ? "\"event\":\"start\",\"ranks\":2}\n" : i == 1 ? "event=start ranks=2\n" : "event=more k=6\n"));
        if (i < 2) assert_non_null(strstr(line, i == 0 ? "\"event\":\"bound\",\"cores\":1}\n" : "event=bound cores=1\n"));
        else assert_null(strstr(line, "event=start"));
    }
    capture(); /* what waits still is not lost */
    open_log(NS_LOG_TEXT, true, false);
    char rest[8192];
    captured(rest, sizeof rest);
    assert_non_null(strstr(rest, "event=start ranks=2\n"));
    ns_log_settle(); /* decided already: nothing more comes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(undecided), cmocka_unit_test(text_line),
        cmocka_unit_test(json_line),
        cmocka_unit_test(numbers_of_json),
        cmocka_unit_test(control_characters_do_not_make_lines),
        cmocka_unit_test(silence),
        cmocka_unit_test(long_lines_are_cut_whole),
        cmocka_unit_test(progress_once_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
