#include "cluster/slurm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/ask.h"
#include "cluster/log.h"

enum { PATIENCE_S = 60 }; /* a controller under load answers late; none at all after this */

bool ns_slurm_time(int64_t *seconds, const char *time)
{
    int64_t parts[3] = {0}, days = 0;
    int n = 0;
    bool has_days = strchr(time, '-') != NULL;
    for (const char *at = time;;) {
        char *end;
        if (*at < '0' || *at > '9') return false;
        int64_t value = strtoll(at, &end, 10);
        if (value > 1000000) return false;
        if (*end == '-') {
            if (n > 0 || days > 0 || at != time) return false;
            days = value;
        } else {
            if (n == 3) return false;
            parts[n++] = value;
        }
        if (*end == '\0') break;
        if (*end != ':' && *end != '-') return false;
        at = end + 1;
    }
    if (has_days) *seconds = days * 86400 + parts[0] * 3600 + parts[1] * 60 + parts[2];
    else if (n == 3) *seconds = parts[0] * 3600 + parts[1] * 60 + parts[2];
    else *seconds = parts[0] * 60 + parts[1]; /* minutes, minutes:seconds */
    return *seconds > 0;
}

ns_status ns_slurm_submit(int64_t *id, const char *script_path, const char *dependency)
{
    char option[2048], *answer;
    const char *words[6] = {"sbatch", "--parsable"};
    int n = 2;
    if (dependency != NULL) {
        if (snprintf(option, sizeof option, "--dependency=%s", dependency) >= (int)sizeof option)
            return ns_fail(NS_EINVAL, "sbatch: too many jobs of this run are in the queue to wait for");
        words[n++] = option;
        words[n++] = "--kill-on-invalid-dep=yes";
    }
    words[n++] = script_path;
    ns_status status = ns_ask(&answer, words, PATIENCE_S);
    if (status != NS_OK) {
        ns_error first = *ns_last_error();
        if (status != NS_EINVAL) return status;
        ns_error_clear();
        static const char *const prefixes[] = {"sbatch: ", "error: ", "Batch job submission failed: "};
        const char *why = first.message;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            if (strncmp(why, prefixes[i], strlen(prefixes[i])) == 0) why += strlen(prefixes[i]);
        if (strstr(why, "timed out") != NULL)
            return ns_fail(NS_EUNAVAILABLE, "sbatch: %.1200s; the job may be in the queue all the same: look with squeue before submitting again", why);
        return ns_fail(NS_EINVAL, "sbatch refused the job: %.1200s", why);
    }
    *id = strtoll(answer, NULL, 10); /* "12" or "12;cluster" */
    free(answer);
    return *id > 0 ? NS_OK : ns_fail(NS_EUNAVAILABLE, "sbatch named no job id");
}

void ns_slurm_cancel(int64_t id)
{
    char number[24], *answer;
    snprintf(number, sizeof number, "%" PRId64, id);
    const char *words[] = {"scancel", number, NULL};
    ns_error first = *ns_last_error(); /* why it is to be cancelled is the failure to tell */
    ns_error_clear();
    if (ns_ask(&answer, words, PATIENCE_S) == NS_OK) free(answer);
    else ns_log_event(NS_LOG_WARN, "still_queued", "job=%" PRId64, id);
    *ns_last_error() = first;
}

ns_status ns_slurm_queue(void (*found)(void *to, int64_t id, const char *state), void *to)
{
    static const char *const words[] = {"squeue", "--noheader", "--format=%F %T", NULL};
    char *answer, *rest = NULL;
    NS_TRY(ns_ask(&answer, words, PATIENCE_S));
    for (char *line = strtok_r(answer, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *state;
        int64_t id = strtoll(line, &state, 10);
        while (*state == ' ') state++;
        state[strcspn(state, " ")] = '\0';
        if (id > 0) found(to, id, state);
    }
    free(answer);
    return NS_OK;
}

int64_t ns_slurm_most_members(void)
{
    static const char *const words[] = {"scontrol", "show", "config", NULL};
    char *answer, *at;
    int64_t size = 0;
    if (ns_ask(&answer, words, PATIENCE_S) != NS_OK) {
        ns_error_clear();
        return INT64_MAX;
    }
    at = strstr(answer, "MaxArraySize"); /* "MaxArraySize            = 1001" */
    if (at != NULL) at = strchr(at, '=');
    if (at != NULL) size = strtoll(at + 1, NULL, 10);
    free(answer);
    return size > 0 ? size - 1 : INT64_MAX;
}

bool ns_slurm_look(ns_slurm_nodes *out, const char *partition)
{
    char option[256], *answer, *rest = NULL;
    const char *words[5] = {"sinfo", "--noheader", "--format=%P %D %c %m"};
    memset(out, 0, sizeof *out);
    if (partition != NULL) {
        snprintf(option, sizeof option, "--partition=%s", partition);
        words[3] = option;
    }
    if (ns_ask(&answer, words, PATIENCE_S) != NS_OK) {
        ns_error_clear();
        return false;
    }
    for (char *line = strtok_r(answer, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *space = strchr(line, ' '), *at = space;
        if (space == NULL || space == line) continue;
        if (partition == NULL && space[-1] != '*') continue; /* the mark of the default partition */
        int64_t numbers[3];
        for (int i = 0; i < 3; i++) {
            numbers[i] = strtoll(at, &at, 10);
            at += *at == '+'; /* "at least" */
        }
        if (numbers[0] <= 0 || numbers[1] <= 0) continue;
        int64_t bytes = numbers[2] << 20;
        if (out->n_nodes == 0 || numbers[1] < out->cpus) out->cpus = numbers[1];
        if (out->n_nodes == 0 || bytes < out->memory_bytes) out->memory_bytes = bytes;
        out->n_nodes += numbers[0];
    }
    free(answer);
    return out->n_nodes > 0;
}
