/* What a run used, as Prometheus reads it. */
#include "tests/check.h"

#include "runner/used.h"

static json_t *spread(double least, double median, double most)
{
    return json_pack("{s:f, s:f, s:f}", "least", least, "median", median, "most", most);
}

static json_t *some_use(void)
{
    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:i, s:f}", "wall_s", 12.5, "cpu_s", spread(1, 2, 4), "waiting_share",
                     spread(0, 0.25, 0.5), "peak_bytes", spread(1e6, 2e6, 3e6), "read_bytes", spread(0, 0, 0), "sent_bytes", spread(8, 8, 8),
                     "phases", "read", spread(1, 1, 1), "train", spread(2, 3, 5), "gpus", 0, "gpu_hours", 0.0);
}

static void says_it_in_prometheus_words(void **state)
{
    (void)state;
    json_t *used = some_use();
    char *text = ns_used_prometheus(used, "readmission-30d", "train", 75, 1.7e9);
    assert_non_null(text);
    static const char *const lines[] = {
        "# TYPE nightshift_exit_code gauge\nnightshift_exit_code{job_name=\"readmission-30d\",verb=\"train\"} 75\n",
        "nightshift_ended_timestamp_seconds{job_name=\"readmission-30d\",verb=\"train\"} 1700000000\n",
        "nightshift_wall_seconds{job_name=\"readmission-30d\",verb=\"train\"} 12.5\n",
        "nightshift_cpu_seconds{job_name=\"readmission-30d\",verb=\"train\",rank=\"median\"} 2\n",
        "nightshift_waiting_ratio{job_name=\"readmission-30d\",verb=\"train\",rank=\"most\"} 0.5\n",
        "nightshift_phase_seconds{job_name=\"readmission-30d\",verb=\"train\",phase=\"train\"} 5\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (strstr(text, lines[i]) == NULL) fail_msg("no '%s' in:\n%s", lines[i], text);
    assert_null(strstr(text, "_cost"));
    assert_true(text[strlen(text) - 1] == '\n');
    free(text);
    json_decref(used);
}

/* Each line is a comment or NAME{labels} NUMBER, and each name has its help and type before its first value. */
static void every_line_has_its_form(void **state)
{
    (void)state;
    json_t *used = some_use();
    json_object_set_new(used, "cost", json_real(1.5));
    json_object_set_new(used, "gpu_utilization", spread(0.1, 0.5, 0.9));
    json_object_set_new(used, "gpu_energy_j", json_real(1234.5));
    char *text = ns_used_prometheus(used, "a", "score", 0, 1), *rest = text, help[100] = "", type[100] = "";
    assert_non_null(text);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char name[100], labels[200], end;
        double value;
        if (sscanf(line, "# HELP %99s", name) == 1) {
            memcpy(help, name, sizeof help);
        } else if (sscanf(line, "# TYPE %99s gauge", name) == 1) {
            assert_string_equal(name, help);
            memcpy(type, name, sizeof type);
        } else {
            if (sscanf(line, "%99[a-z_]{%199[^}]} %lf%c", name, labels, &value, &end) != 3) fail_msg("'%s'", line);
            assert_string_equal(name, type);
        }
    }
    assert_string_equal(type, "nightshift_cost");
    free(text);
    json_decref(used);
}

static void labels_are_escaped(void **state)
{
    (void)state;
    json_t *used = some_use();
    char *text = ns_used_prometheus(used, "a \"b\" \\ c", "train", 0, 0);
    assert_non_null(text);
    assert_non_null(strstr(text, "{job_name=\"a \\\"b\\\" \\\\ c\",verb=\"train\"}"));
    free(text);
    json_decref(used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_it_in_prometheus_words),
        cmocka_unit_test(every_line_has_its_form),
        cmocka_unit_test(labels_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
