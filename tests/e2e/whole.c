#define _XOPEN_SOURCE 700 /* nftw */
#include "tests/e2e/whole.h"

#include <dirent.h>
#include <ftw.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/e2e/drive.h"

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static json_t *read_json(const char *path, const char *when)
{
    json_error_t error;
    json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL) fail_msg("%s: '%s' is not JSON: %s", when, path, error.text);
    return document;
}

/* One entry of a manifest and the file that it names. */
static void check_file(const char *folder, const json_t *entry, const char *when)
{
    char path[4096], hex[65];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, json_string_value(json_object_get(entry, "name")));
    if (stat(path, &info) != 0) fail_msg("%s: '%s' is missing", when, path);
    if (info.st_size != json_integer_value(json_object_get(entry, "bytes")))
        fail_msg("%s: '%s' has another size than its manifest says", when, path);
    drive_hash(hex, path);
    if (strcmp(hex, json_string_value(json_object_get(entry, "sha256"))) != 0)
        fail_msg("%s: '%s' has another hash than its manifest says", when, path);
}

static void check_package(const char *folder, const char *kind, const char *when)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/manifest.json", folder);
    json_t *manifest = read_json(path, when), *entry;
    const json_t *files = json_object_get(manifest, "files");
    const char *is = json_string_value(json_object_get(manifest, "kind"));
    if (is == NULL || strcmp(is, kind) != 0) fail_msg("%s: '%s' is no %s", when, folder, kind);
    size_t i;
    json_array_foreach(files, i, entry) check_file(folder, entry, when);
    struct dirent **names;
    int n = scandir(folder, &names, NULL, NULL);
    for (int k = 0; k < n; k++) free(names[k]);
    free(names);
    if (n - 3 != (int)json_array_size(files)) /* ., .. and the manifest */
        fail_msg("%s: '%s' holds %d files, its manifest names %d", when, folder, n - 3, (int)json_array_size(files));
    json_decref(manifest);
}

static void check_log(const char *path, const char *when)
{
    char *text = drive_read(path);
    for (char *line = text, *end; line != NULL && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *one = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (one == NULL) fail_msg("%s: '%s' has a broken line", when, path);
        json_decref(one);
    }
    free(text);
}

static int check_checkpoints(const char *run, const char *when)
{
    char folder[2048], path[4096];
    snprintf(folder, sizeof folder, "%s/checkpoints", run);
    struct dirent **names;
    int n = scandir(folder, &names, NULL, alphasort), n_found = 0;
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (name[0] != '.' && name[strspn(name, "0123456789")] == '\0') {
            snprintf(path, sizeof path, "%s/%s", folder, name);
            check_package(path, "checkpoint", when);
            n_found++;
        }
        free(names[i]);
    }
    if (n >= 0) free(names);
    return n_found;
}

int whole_run(const char *run, const char *when)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bundle", run);
    if (is_there(path)) check_package(path, "bundle", when);
    for (int i = 1; i < 4; i++) {
        snprintf(path, sizeof path, "%s/bundle.%d", run, i);
        if (is_there(path)) check_package(path, "bundle", when);
    }
    snprintf(path, sizeof path, "%s/run.json", run);
    if (is_there(path)) json_decref(read_json(path, when));
    snprintf(path, sizeof path, "%s/job.yaml", run);
    char *job = drive_read(path);
    if (job != NULL && (strlen(job) < 100 || job[strlen(job) - 1] != '\n')) fail_msg("%s: '%s' is cut off", when, path);
    free(job);
    snprintf(path, sizeof path, "%s/log.jsonl", run);
    check_log(path, when);
    return check_checkpoints(run, when);
}

static void check_scores(const char *out, const char *when)
{
    char manifest_path[4096], hex[65];
    snprintf(manifest_path, sizeof manifest_path, "%s.manifest.json", out);
    if (is_there(manifest_path)) {
        json_t *manifest = read_json(manifest_path, when);
        drive_hash(hex, out);
        const char *want = json_string_value(json_object_get(manifest, "sha256"));
        if (want == NULL || strcmp(want, hex) != 0) fail_msg("%s: '%s' vouches for other bytes", when, manifest_path);
        json_decref(manifest);
    }
    if (!is_there(out)) return;
    drive_result result = drive_ranks(0, "inspect '%s' --quiet", out);
    if (result.code != 0) fail_msg("%s: inspect of '%s': exit %d: %s", when, out, result.code, result.err);
    drive_free(&result);
}

void whole_scores(const char *out, const char *when)
{
    static const char *const suffixes[] = {"", ".1", ".2", ".held"};
    char path[2048];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(path, sizeof path, "%s%s", out, suffixes[i]);
        check_scores(path, when);
    }
}

static const char *wanted;
static int n_wanted;

static int count_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type;
    if (where->level > 0 && strstr(path + where->base, wanted) != NULL) n_wanted++;
    return 0;
}

int whole_count_names(const char *folder, const char *part)
{
    wanted = part;
    n_wanted = 0;
    nftw(folder, count_one, 16, FTW_PHYS);
    return n_wanted;
}
