#include "runner/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/log.h"
#include "data/durable.h"
#include "runner/json.h"
#include "runner/writable.h"

enum { KEPT_CHECKPOINTS = 2, MOST_CHECKPOINTS = 4096 };

char *ns_path_join(const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path != NULL) snprintf(path, n, "%s/%s", folder, name);
    return path;
}

/* run.json of earlier lives; a torn or foreign one is begun anew (it is a record, not state). */
static json_t *read_document(const char *path)
{
    char *file = ns_path_join(path, "run.json"), *text = NULL;
    size_t n = 0;
    bool found = false;
    json_t *document = NULL;
    if (file != NULL && ns_read_whole(file, &text, &n, &found) == NS_OK && found) document = json_loadb(text, n, 0, NULL);
    ns_error_clear();
    free(text);
    free(file);
    if (json_is_array(json_object_get(document, "lives"))) return document;
    json_decref(document);
    return json_pack("{s:s, s:i, s:[]}", "kind", "run", "format", 1, "lives");
}

/* Names that only a killed life can have left, since this one has the lock: of the run's own files those with .tmp. */
static bool is_leftover(const char *name)
{
    static const char *const ours[] = {"bundle.", "job.yaml.", "run.json.", "log.jsonl.", "late."};
    bool mine = name[strspn(name, "0123456789")] == '.' && name[0] != '.'; /* of a checkpoint */
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) mine = mine || strncmp(name, ours[i], strlen(ours[i])) == 0;
    return mine && strstr(name, ".tmp") != NULL;
}

/* What cannot be removed stays and hurts nobody. */
static void remove_leftovers(const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) return;
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (!is_leftover(entry->d_name)) continue;
        char *path = ns_path_join(folder, entry->d_name);
        if (path != NULL && ns_durable_remove(path, "leftover") != NS_OK) ns_error_clear();
        free(path);
    }
    closedir(dir);
}

ns_status ns_run_folder_open(ns_run_folder *out, const char *path, const char *life)
{
    memset(out, 0, sizeof *out);
    out->path = strdup(path);
    if (out->path == NULL) return ns_fail(NS_ENOMEM, "no memory for the run folder");
    ns_status status = ns_writable_folder(path, "the run folder");
    out->n_made = ns_writable_n_missing(path);
    if (status == NS_OK) status = ns_durable_mkdir(path, "run");
    if (status != NS_OK) return status;
    char *lock_path = ns_path_join(path, "lock"), taken_over[256] = "";
    if (lock_path == NULL) return ns_fail(NS_ENOMEM, "no memory for the run folder");
    status = ns_lock_take(&out->lock, lock_path, "the run folder", taken_over, sizeof taken_over);
    free(lock_path);
    if (status != NS_OK) return status;
    if (taken_over[0] != '\0') ns_log_event(NS_LOG_WARN, "lock", "taken_over=\"%s\"", taken_over);
    remove_leftovers(path);
    char *checkpoints = ns_path_join(path, "checkpoints");
    if (checkpoints != NULL) remove_leftovers(checkpoints);
    free(checkpoints);
    out->document = read_document(path);
    out->life = json_pack("{s:s}", "life", life);
    if (out->document == NULL || out->life == NULL ||
        json_array_append_new(json_object_get(out->document, "lives"), out->life) != 0)
        return ns_fail(NS_ENOMEM, "no memory for run.json");
    return NS_OK;
}

ns_status ns_run_folder_set_aside(const char *path)
{
    if (!ns_path_exists(path)) return NS_OK;
    ns_run_folder held;
    ns_status status = ns_run_folder_open(&held, path, "");
    if (status == NS_OK) {
        size_t room = strlen(path) + 16;
        char *aside = malloc(room);
        if (aside == NULL) status = ns_fail(NS_ENOMEM, "no memory for the run folder");
        for (int i = 1; status == NS_OK; i++) {
            snprintf(aside, room, "%s.%d", path, i);
            if (ns_path_exists(aside)) continue;
            ns_lock_release(&held.lock);
            status = ns_durable_rename(path, aside, "run");
            char quoted[1200];
            if (status == NS_OK) ns_log_event(NS_LOG_INFO, "restart", "old_run=%s", ns_log_value(quoted, sizeof quoted, aside));
            break;
        }
        free(aside);
    }
    ns_run_folder_close(&held);
    return status;
}

static ns_status publish(const ns_run_folder *run, const char *name, const char *text)
{
    char *path = ns_path_join(run->path, name);
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", name);
    ns_status status = ns_durable_publish(path, text, strlen(text), name);
    free(path);
    return status;
}

ns_status ns_run_folder_write_job(ns_run_folder *run, const char *echo)
{
    return publish(run, "job.yaml", echo);
}

ns_status ns_run_folder_write_lives(ns_run_folder *run)
{
    char *text = NULL;
    NS_TRY(ns_json_dump(run->document, &text));
    ns_status status = publish(run, "run.json", text);
    free(text);
    return status;
}

ns_status ns_run_folder_log(ns_run_folder *run, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(line);
    if (text == NULL) return ns_fail(NS_ENOMEM, "no memory for a log line");
    size_t n = strlen(text);
    if (run->n_log + n + 2 > run->room_log) {
        size_t room = 2 * (run->room_log + n + 2);
        char *grown = realloc(run->log_lines, room);
        if (grown == NULL) {
            free(text);
            return ns_fail(NS_ENOMEM, "no memory for a log line");
        }
        run->log_lines = grown;
        run->room_log = room;
    }
    memcpy(run->log_lines + run->n_log, text, n);
    run->log_lines[run->n_log + n] = '\n';
    run->log_lines[run->n_log + n + 1] = '\0';
    run->n_log += n + 1;
    free(text);
    return NS_OK;
}

ns_status ns_run_folder_flush_log(ns_run_folder *run)
{
    if (run->n_log == 0) return NS_OK;
    char *path = ns_path_join(run->path, "log.jsonl");
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to write log.jsonl");
    ns_status status = ns_durable_append(path, run->log_lines, "log.jsonl");
    free(path);
    run->n_log = 0;
    return status;
}

ns_status ns_run_folder_cut_log(ns_run_folder *run, int64_t n_rounds)
{
    char *path = ns_path_join(run->path, "log.jsonl"), *text = NULL;
    size_t n = 0, keep = 0;
    bool found = false;
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to read log.jsonl");
    ns_status status = ns_read_whole(path, &text, &n, &found);
    if (status == NS_OK && found) {
        for (int64_t i = 0; i < n_rounds; i++) {
            const char *end = memchr(text + keep, '\n', n - keep);
            if (end == NULL) break;
            keep = (size_t)(end - text) + 1;
        }
        if (keep != n) status = ns_durable_publish(path, text, keep, "log.jsonl");
    }
    free(text);
    free(path);
    return status;
}

/* --- checkpoints --- */

static int newest_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* Rounds of the checkpoint folders, newest first. Names with a suffix (.tmp) are not checkpoints. */
static int list_checkpoints(const char *folder, int64_t *rounds)
{
    DIR *dir = opendir(folder);
    int n = 0;
    if (dir == NULL) return 0;
    for (struct dirent *entry = readdir(dir); entry != NULL && n < MOST_CHECKPOINTS; entry = readdir(dir)) {
        char *end;
        long long value = strtoll(entry->d_name, &end, 10);
        if (end != entry->d_name && *end == '\0' && value >= 0) rounds[n++] = value;
    }
    closedir(dir);
    qsort(rounds, (size_t)n, sizeof *rounds, newest_first);
    return n;
}

static char *checkpoint_path(const ns_run_folder *run, int64_t n_rounds)
{
    char name[48];
    snprintf(name, sizeof name, "checkpoints/%06lld", (long long)n_rounds);
    return ns_path_join(run->path, name);
}

static bool verifies(const char *folder)
{
    ns_package package;
    bool good = ns_package_read(&package, folder, "checkpoint") == NS_OK;
    ns_package_destroy(&package);
    ns_error_clear();
    return good;
}

/* Keeps the two newest that verify; older ones and broken ones go. What cannot be removed stays and hurts nobody. */
static void prune(const ns_run_folder *run)
{
    char *folder = ns_path_join(run->path, "checkpoints");
    int64_t *rounds = malloc(MOST_CHECKPOINTS * sizeof *rounds);
    int n = folder != NULL && rounds != NULL ? list_checkpoints(folder, rounds) : 0, kept = 0;
    for (int i = 0; i < n; i++) {
        char *path = checkpoint_path(run, rounds[i]);
        if (path == NULL) break;
        if (kept < KEPT_CHECKPOINTS && verifies(path)) kept++;
        else if (ns_durable_remove(path, "old_checkpoint") != NS_OK) ns_error_clear();
        free(path);
    }
    free(rounds);
    free(folder);
}

ns_status ns_run_folder_save(ns_run_folder *run, int64_t n_rounds, const ns_package_file *files, int n_files, json_t *manifest)
{
    NS_TRY(ns_run_folder_check_lock(run));
    char *folder = ns_path_join(run->path, "checkpoints"), *path = checkpoint_path(run, n_rounds), id[65];
    ns_status status = folder == NULL || path == NULL ? ns_fail(NS_ENOMEM, "no memory for a checkpoint") : NS_OK;
    if (status == NS_OK) status = ns_durable_mkdir(folder, "checkpoints");
    if (status == NS_OK && ns_path_exists(path) && verifies(path)) goto done; /* saved by an earlier life: the same bytes */
    if (status == NS_OK) status = ns_durable_remove(path, "old_checkpoint");
    if (status == NS_OK) status = ns_package_publish(path, files, n_files, manifest, "checkpoint", id);
    if (status == NS_OK) prune(run);
done:
    free(folder);
    free(path);
    return status;
}

ns_status ns_run_folder_newest(ns_package *out, int64_t *n_rounds, const ns_run_folder *run)
{
    memset(out, 0, sizeof *out);
    *n_rounds = -1;
    char *folder = ns_path_join(run->path, "checkpoints");
    int64_t *rounds = malloc(MOST_CHECKPOINTS * sizeof *rounds);
    ns_status status = folder == NULL || rounds == NULL ? ns_fail(NS_ENOMEM, "no memory for the checkpoints") : NS_OK;
    int n = status == NS_OK ? list_checkpoints(folder, rounds) : 0;
    for (int i = 0; i < n && *n_rounds < 0 && status == NS_OK; i++) {
        char *path = checkpoint_path(run, rounds[i]);
        if (path == NULL) status = ns_fail(NS_ENOMEM, "no memory for the checkpoints");
        else if (ns_package_read(out, path, "checkpoint") == NS_OK) *n_rounds = rounds[i];
        else {
            char quoted[1200];
            ns_log_event(NS_LOG_WARN, "checkpoint", "passed_over=%06lld why=%s", (long long)rounds[i],
                         ns_log_value(quoted, sizeof quoted, ns_last_error()->message));
            ns_error_clear();
            ns_package_destroy(out);
        }
        free(path);
    }
    if (status == NS_OK && n > 0 && *n_rounds < 0)
        ns_log_event(NS_LOG_WARN, "checkpoint", "found=%d good=0 begins_at_round=0", n);
    free(rounds);
    free(folder);
    return status;
}

ns_status ns_run_folder_check_lock(const ns_run_folder *run)
{
    if (ns_lock_still_mine(run->lock)) return NS_OK;
    return ns_fail(NS_EINVAL, "the run folder '%s' was taken over by another process; this one writes nothing more", run->path);
}

void ns_run_folder_close(ns_run_folder *run)
{
    if (run->lock != NULL) ns_lock_release(&run->lock);
    if (run->path != NULL) ns_writable_unmake(run->path, run->n_made);
    json_decref(run->document);
    free(run->log_lines);
    free(run->path);
    memset(run, 0, sizeof *run);
}
