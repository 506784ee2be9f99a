#include "runner/package.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/durable.h"
#include "data/hash.h"
#include "runner/json.h"

enum { FORMAT = 1 };

static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (path != NULL) snprintf(path, n, "%s/%s", folder, name);
    return path;
}

static ns_status write_file(const char *folder, const ns_package_file *file, const char *label)
{
    char *path = join(folder, file->name), step[128];
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", folder);
    snprintf(step, sizeof step, "%s/%s", label, file->name);
    ns_status status = ns_durable_write(path, file->bytes, file->n_bytes, step);
    free(path);
    return status;
}

static ns_status list_files(json_t *manifest, const ns_package_file *files, int n_files)
{
    json_t *list = json_array();
    for (int i = 0; i < n_files; i++) {
        char hex[65];
        ns_sha256_hex(hex, files[i].bytes, files[i].n_bytes);
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "name", files[i].name, "bytes", (json_int_t)files[i].n_bytes,
                                              "sha256", hex));
    }
    if (json_object_set_new(manifest, "files", list) != 0) return ns_fail(NS_ENOMEM, "no memory for a manifest");
    return NS_OK;
}

/* Everything into the temporary folder, the manifest last. */
static ns_status fill(const char *folder, const ns_package_file *files, int n_files, const char *manifest, const char *label)
{
    NS_TRY(ns_durable_remove(folder, label));
    NS_TRY(ns_durable_mkdir(folder, label));
    for (int i = 0; i < n_files; i++) NS_TRY(write_file(folder, &files[i], label));
    ns_package_file last = {"manifest.json", manifest, strlen(manifest)};
    NS_TRY(write_file(folder, &last, label));
    return ns_durable_sync(folder, label);
}

/* The temporary folder as a reader would see it: a disk that lied is noticed before anything is published. */
static ns_status read_back(const char *folder, const char *kind)
{
    ns_package package;
    ns_status status = ns_package_read(&package, folder, kind);
    ns_package_destroy(&package);
    if (status == NS_OK) return NS_OK;
    ns_error_clear();
    return ns_fail(NS_EIO, "'%s' does not read back as it was written", folder);
}

/* Removes what a failure left; the failure that is told is the first. */
static void remove_quietly(const char *folder, const char *label)
{
    ns_error first = *ns_last_error();
    ns_error_clear();
    ns_durable_remove(folder, label);
    *ns_last_error() = first;
}

/* FOLDER with a suffix; NULL without memory. */
static char *beside(const char *folder, const char *suffix)
{
    size_t n = strlen(folder) + strlen(suffix) + 1;
    char *path = malloc(n);
    if (path != NULL) snprintf(path, n, "%s%s", folder, suffix);
    return path;
}

/* A package whose manifest is made already, under a name that is free. */
static ns_status publish_copy(const char *folder, const ns_package *package, const char *kind, const char *label)
{
    char *temporary = beside(folder, ".tmp");
    if (temporary == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", folder);
    ns_status status = fill(temporary, package->files, package->n_files, package->manifest_text, label);
    if (status == NS_OK) status = read_back(temporary, kind);
    if (status == NS_OK) status = ns_durable_rename(temporary, folder, label);
    if (status != NS_OK) remove_quietly(temporary, label);
    free(temporary);
    return status;
}

static bool has_id(const char *folder, const char *kind, const char *id)
{
    ns_package package;
    bool same = ns_package_read(&package, folder, kind) == NS_OK && strcmp(package.id, id) == 0;
    ns_package_destroy(&package);
    ns_error_clear();
    return same;
}

/* The package under FOLDER.1, or the first number that is free or holds it already. */
static ns_status keep(const char *folder, const char *kind, const char *label)
{
    ns_package old;
    char step[64], suffix[16];
    snprintf(step, sizeof step, "kept_%s", label);
    ns_status status = ns_package_read(&old, folder, kind);
    for (int i = 1; status == NS_OK; i++) {
        snprintf(suffix, sizeof suffix, ".%d", i);
        char *kept = beside(folder, suffix);
        if (kept == NULL) status = ns_fail(NS_ENOMEM, "no memory to keep '%s'", folder);
        bool there = kept != NULL && ns_path_exists(kept), done = there && has_id(kept, kind, old.id);
        if (kept != NULL && !there) status = publish_copy(kept, &old, kind, step);
        free(kept);
        if (!there || done) break;
    }
    ns_package_destroy(&old);
    return status;
}

/* Names are exchanged where the file system can, so that FOLDER is never absent; what stood there goes. */
static ns_status exchange(const char *temporary, const char *folder, const char *label)
{
    char *displaced = beside(folder, ".old.tmp");
    if (displaced == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", folder);
    ns_status status = ns_durable_remove(displaced, label);
    if (status == NS_OK) status = ns_durable_replace(temporary, folder, displaced, label);
    /* the new one is published: what cannot be removed now goes with the next life */
    if (status == NS_OK && ns_durable_remove(displaced, label) != NS_OK) ns_error_clear();
    free(displaced);
    return status;
}

typedef enum placing { PUBLISH, REPLACE } placing;

static ns_status place(const char *folder, const ns_package_file *files, int n_files, json_t *manifest, const char *label,
                       char id[65], placing how)
{
    const char *kind = json_string_value(json_object_get(manifest, "kind"));
    char *temporary = beside(folder, ".tmp"), *text = NULL;
    if (temporary == NULL) return ns_fail(NS_ENOMEM, "no memory to write '%s'", folder);
    ns_status status = list_files(manifest, files, n_files);
    if (status == NS_OK) status = ns_json_dump(manifest, &text);
    if (status == NS_OK) {
        ns_sha256_hex(id, text, strlen(text));
        status = fill(temporary, files, n_files, text, label);
    }
    if (status == NS_OK) status = read_back(temporary, kind);
    if (status == NS_OK && how == REPLACE) status = keep(folder, kind, label);
    if (status == NS_OK)
        status = how == REPLACE ? exchange(temporary, folder, label) : ns_durable_rename(temporary, folder, label);
    if (status != NS_OK) remove_quietly(temporary, label);
    free(text);
    free(temporary);
    return status;
}

ns_status ns_package_publish(const char *folder, const ns_package_file *files, int n_files, json_t *manifest, const char *label,
                             char id[65])
{
    return place(folder, files, n_files, manifest, label, id, PUBLISH);
}

ns_status ns_package_replace(const char *folder, const ns_package_file *files, int n_files, json_t *manifest, const char *label,
                             char id[65])
{
    return place(folder, files, n_files, manifest, label, id, REPLACE);
}

static ns_status read_manifest(ns_package *out, const char *folder, const char *kind)
{
    char *path = join(folder, "manifest.json"), *text = NULL;
    size_t n = 0;
    bool found = false;
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to read '%s'", folder);
    ns_status status = ns_read_whole(path, &text, &n, &found);
    free(path);
    if (status == NS_OK && !found)
        status = ns_fail(NS_EINVAL, "there is no %s at '%s' (it has no manifest.json)", kind, folder);
    if (status != NS_OK) return status;
    ns_sha256_hex(out->id, text, n);
    out->manifest = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    out->manifest_text = text;
    const char *is = json_string_value(json_object_get(out->manifest, "kind"));
    if (is == NULL) return ns_fail(NS_EVERIFY, "'%s/manifest.json' is no manifest", folder);
    if (strcmp(is, kind) != 0) return ns_fail(NS_EINVAL, "'%s' is a %.40s, not a %s", folder, is, kind);
    json_int_t format = json_integer_value(json_object_get(out->manifest, "format"));
    if (format > FORMAT)
        return ns_fail(NS_EINVAL, "'%s' is of format %lld; this program reads up to %d", folder, (long long)format, FORMAT);
    return NS_OK;
}

/* A name that stays inside the folder. */
static bool is_plain(const char *name)
{
    return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

static ns_status read_file(ns_package_file *out, const char *folder, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *sha256 = json_string_value(json_object_get(entry, "sha256"));
    json_int_t n_bytes = json_integer_value(json_object_get(entry, "bytes"));
    if (name == NULL || sha256 == NULL || !is_plain(name))
        return ns_fail(NS_EVERIFY, "'%s/manifest.json' has an entry without name or hash", folder);
    char *path = join(folder, name), *bytes = NULL, hex[65];
    bool found = false;
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory to read '%s'", folder);
    ns_status status = ns_read_whole(path, &bytes, &out->n_bytes, &found);
    if (status == NS_OK && !found) status = ns_fail(NS_EVERIFY, "'%s' is missing", path);
    if (status == NS_OK) {
        out->bytes = bytes;
        ns_sha256_hex(hex, bytes, out->n_bytes);
        if ((json_int_t)out->n_bytes != n_bytes)
            status = ns_fail(NS_EVERIFY, "'%s' has %zu bytes, its manifest says %lld", path, out->n_bytes, (long long)n_bytes);
        else if (strcmp(hex, sha256) != 0)
            status = ns_fail(NS_EVERIFY, "'%s' was altered: its SHA-256 is not the manifest's", path);
    }
    out->name = name; /* borrowed from the manifest */
    free(path);
    return status;
}

/* A file that nobody vouches for does not belong into a package. */
static ns_status check_strangers(const ns_package *package, const char *folder)
{
    DIR *dir = opendir(folder);
    if (dir == NULL) return ns_fail(NS_EVERIFY, "'%s' cannot be listed", folder);
    ns_status status = NS_OK;
    for (struct dirent *entry = readdir(dir); entry != NULL && status == NS_OK; entry = readdir(dir)) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "manifest.json") == 0) continue;
        if (strncmp(name, ".nfs", 4) == 0) continue; /* a file that NFS keeps for somebody who has it open */
        if (ns_package_find(package, name) == NULL)
            status = ns_fail(NS_EVERIFY, "'%s' holds '%.80s', which its manifest does not name", folder, name);
    }
    closedir(dir);
    return status;
}

ns_status ns_package_read(ns_package *out, const char *folder, const char *kind)
{
    memset(out, 0, sizeof *out);
    NS_TRY(read_manifest(out, folder, kind));
    const json_t *list = json_object_get(out->manifest, "files");
    size_t n = json_array_size(list);
    if (n == 0 || n > 1000) return ns_fail(NS_EVERIFY, "'%s/manifest.json' names no files", folder);
    out->files = calloc(n, sizeof *out->files);
    if (out->files == NULL) return ns_fail(NS_ENOMEM, "no memory to read '%s'", folder);
    for (size_t i = 0; i < n; i++) {
        out->n_files++;
        NS_TRY(read_file(&out->files[i], folder, json_array_get(list, i)));
    }
    return check_strangers(out, folder);
}

void ns_package_destroy(ns_package *package)
{
    for (int i = 0; i < package->n_files; i++) free((void *)(uintptr_t)package->files[i].bytes);
    free(package->files);
    json_decref(package->manifest);
    free(package->manifest_text);
    memset(package, 0, sizeof *package);
}

const ns_package_file *ns_package_find(const ns_package *package, const char *name)
{
    for (int i = 0; i < package->n_files; i++)
        if (package->files[i].name != NULL && strcmp(package->files[i].name, name) == 0) return &package->files[i];
    return NULL;
}
