#include "runner/night/night_record.h"

#include <stdlib.h>
#include <string.h>

#include "cluster/again.h"
#include "cluster/log.h"
#include "data/durable.h"
#include "data/hash.h"
#include "runner/json.h"
#include "runner/run_folder.h"
#include "runner/writable.h"

/* A record that is torn or not ours is begun anew. */
static ns_status read_document(ns_night_record *record)
{
    char *path = ns_path_join(record->night->record, "night.json"), *text = NULL;
    size_t n = 0;
    bool found = false;
    ns_status status = path == NULL ? ns_fail(NS_ENOMEM, "no memory for the record of the night") : ns_read_whole(path, &text, &n, &found);
    if (status == NS_OK && found) record->document = json_loadb(text, n, 0, NULL);
    if (status == NS_OK && (!json_is_array(json_object_get(record->document, "bundles")) || !json_is_array(json_object_get(record->document, "lives")))) {
        json_decref(record->document);
        const char *as_of = record->night->as_of;
        record->document = json_pack("{s:s, s:i, s:s, s:o, s:[], s:[]}", "kind", "night", "format", 1, "as_of", as_of != NULL ? as_of : "", "out",
                                     ns_json_path(record->night->out), "bundles", "lives");
        if (record->document == NULL) status = ns_fail(NS_ENOMEM, "no memory for the record of the night");
    }
    free(text);
    free(path);
    return status;
}

/* What was written down for this name of a bundle; NULL: nothing. */
static json_t *find_asked(const ns_night_record *record)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(record->document, "bundles"), i, entry) {
        const char *asked = json_string_value(json_object_get(entry, "asked"));
        if (asked != NULL && strcmp(asked, record->night->bundle) == 0) return entry;
    }
    return NULL;
}

/* Whether the bundle at a path has this id, as far as its manifest tells; the rest is verified when it is loaded. */
static bool has_id(const char *path, const char *id)
{
    char *manifest = ns_path_join(path, "manifest.json"), *text = NULL, hex[65] = "";
    size_t n = 0;
    bool found = false;
    if (manifest != NULL && ns_read_whole(manifest, &text, &n, &found) == NS_OK && found) ns_sha256_hex(hex, text, n);
    ns_error_clear();
    free(text);
    free(manifest);
    return strcmp(hex, id) == 0;
}

static ns_status take(ns_night_record *record, const char *path)
{
    record->bundle = strdup(path);
    return record->bundle == NULL ? ns_fail(NS_ENOMEM, "no memory for the paths") : NS_OK;
}

static ns_status find_bundle(ns_night_record *record)
{
    const ns_night_job *night = record->night;
    const json_t *entry = night->as_of != NULL ? find_asked(record) : NULL;
    const char *path = json_string_value(json_object_get(entry, "path")), *id = json_string_value(json_object_get(entry, "bundle_id"));
    char *now, quoted[2][1200];
    int tries = 0;
    do now = realpath(night->bundle, NULL);
    while (now == NULL && ns_again(&tries));
    ns_status status = NS_OK;
    if (path == NULL || id == NULL || strlen(id) != 64 || (now != NULL && strcmp(now, path) == 0)) {
        status = take(record, now != NULL ? now : night->bundle);
        if (now != NULL && strcmp(now, night->bundle) != 0)
            ns_log_event(NS_LOG_INFO, "bundle", "asked=%s path=%s", ns_log_value(quoted[0], sizeof quoted[0], night->bundle),
                         ns_log_value(quoted[1], sizeof quoted[1], now));
    } else if (has_id(path, id)) {
        record->kept = true;
        status = take(record, path);
        ns_log_event(NS_LOG_INFO, "bundle", "kept=%s bundle_id=%.16s as_of=%s now=%s", ns_log_value(quoted[0], sizeof quoted[0], path), id, night->as_of,
                     ns_log_value(quoted[1], sizeof quoted[1], now != NULL ? now : "nowhere"));
    } else if (now != NULL && has_id(now, id)) { /* the same bundle, at another place */
        record->kept = true;
        status = take(record, now);
    } else {
        status = ns_fail(NS_EINVAL, "the night of %s was begun with bundle %.16s, which is no longer at '%s'; bring it back, or name another with score.bundle",
                         night->as_of, id, path);
    }
    free(now);
    return status;
}

ns_status ns_night_record_open(ns_night_record *out, const ns_night_job *night)
{
    *out = (ns_night_record){.night = night};
    NS_TRY(ns_writable_folder(night->record, "the run folder"));
    NS_TRY(read_document(out));
    return find_bundle(out);
}

static ns_status publish(const ns_night_record *record, const char *name, const char *label, const json_t *document)
{
    char *path = ns_path_join(record->night->record, name), *text = NULL;
    ns_status status = path == NULL ? ns_fail(NS_ENOMEM, "no memory to write '%s'", name) : ns_json_dump(document, &text);
    if (status == NS_OK) status = ns_durable_publish(path, text, strlen(text), label);
    free(text);
    free(path);
    return status;
}

ns_status ns_night_record_begin(ns_night_record *record, const char *bundle_id, json_t *life)
{
    ns_status status = NS_OK;
    json_t *entry = find_asked(record);
    const char *old = json_string_value(json_object_get(entry, "bundle_id"));
    if (record->night->as_of != NULL && old != NULL && strcmp(old, bundle_id) != 0)
        ns_log_event(NS_LOG_WARN, "bundle", "as_of=%s before=%.16s now=%.16s hint=\"the bundle of this night was replaced in its place\"",
                     record->night->as_of, old, bundle_id);
    if (entry == NULL) {
        entry = json_object();
        json_incref(entry); /* the array keeps one, this function the other until its end */
        ns_json_append(&status, json_object_get(record->document, "bundles"), entry);
    } else {
        json_incref(entry);
    }
    ns_json_add(&status, entry, "asked", ns_json_path(record->night->bundle));
    ns_json_add(&status, entry, "path", ns_json_path(record->bundle));
    ns_json_add(&status, entry, "bundle_id", json_string(bundle_id));
    json_decref(entry);
    ns_json_append(&status, json_object_get(record->document, "lives"), life);
    if (status != NS_OK) return status;
    record->life = life;
    status = ns_durable_mkdir(record->night->record, "night");
    if (status == NS_OK) status = publish(record, "night.json", "night", record->document);
    record->on_disk = status == NS_OK;
    return status;
}

ns_status ns_night_record_unseen(const ns_night_record *record, const json_t *unseen)
{
    if (unseen != NULL) return publish(record, "unseen.json", "unseen", unseen);
    char *path = ns_path_join(record->night->record, "unseen.json");
    if (path == NULL) return ns_fail(NS_ENOMEM, "no memory for the paths");
    ns_status status = ns_durable_remove(path, "old_unseen");
    free(path);
    return status;
}

static const char *ending(ns_status status)
{
    return status == NS_OK ? "done" : status == NS_ESTOPPED ? "stopped" : status == NS_EHELD ? "held" : "failed";
}

ns_status ns_night_record_end(ns_night_record *record, ns_status status, json_t *counts)
{
    char ended[21];
    ns_status written = NS_OK;
    if (!record->on_disk) {
        json_decref(counts);
        return NS_OK;
    }
    ns_json_add(&written, record->life, "ended", json_string(ns_utc_now(ended)));
    ns_json_add(&written, record->life, "status", json_string(ending(status)));
    ns_json_add(&written, record->life, "exit", json_integer(ns_exit_code(status)));
    if (counts != NULL) ns_json_add(&written, record->life, "counts", counts);
    if (written != NS_OK) return written;
    return publish(record, "night.json", "night", record->document);
}

void ns_night_record_tidy(const ns_night_record *record)
{
    static const char *const names[] = {"night.json.tmp", "unseen.json.tmp"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = ns_path_join(record->night->record, names[i]);
        if (path != NULL && ns_durable_remove(path, "leftover") != NS_OK) ns_error_clear();
        free(path);
    }
}

void ns_night_record_close(ns_night_record *record)
{
    json_decref(record->document);
    free(record->bundle);
    *record = (ns_night_record){0};
}
