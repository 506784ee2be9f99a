/* The job as YAML again, and what differs between two such texts (jobs/job.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/instant.h"
#include "jobs/job_parts.h"
#include "jobs/number.h"
#include "jobs/page.h"
#include "jobs/words.h"
#include "jobs/yaml.h"

enum { KEY_ROOM = 128 };

/* Ours reads every value as text; other readers of YAML take these words for something else. */
static bool is_bare(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
    bool begins_well = *text != '\0' && (*text == '/' || *text == '_' || strchr(letters, *text) != NULL);
    if (!begins_well || strspn(text, all) != strlen(text)) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (ns_distance(text, words[i]) == 0) return false; /* in any case of letters */
    return true;
}

static uint32_t code_point(const char *text, size_t n_bytes)
{
    const unsigned char *s = (const unsigned char *)text;
    if (n_bytes == 1) return s[0];
    uint32_t code = s[0] & (0x7Fu >> n_bytes);
    for (size_t i = 1; i < n_bytes; i++) code = code << 6 | (s[i] & 0x3Fu);
    return code;
}

/* What YAML may hold as it is; the rest, and what an editor would not show, is escaped. */
static bool is_printable(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7F && code < 0xA0)) return false;
    return code != 0x2028 && code != 0x2029 && code != 0xFEFF && code != 0xFFFE && code != 0xFFFF;
}

static void write_text(ns_page *page, const char *text)
{
    if (is_bare(text)) {
        ns_page_add(page, "%s", text);
        return;
    }
    ns_page_add(page, "\"");
    for (const char *c = text; *c != '\0';) {
        size_t n = ns_utf8_length(c); /* never 0: all values came as UTF-8 */
        if (n == 0) n = 1;
        uint32_t code = code_point(c, n);
        if (code == '"' || code == '\\')
            ns_page_add(page, "\\%c", *c);
        else if (is_printable(code))
            ns_page_add(page, "%.*s", (int)n, c);
        else
            ns_page_add(page, "\\u%04X", (unsigned)code); /* all beyond U+FFFF is printable */
        c += n;
    }
    ns_page_add(page, "\"");
}

static void write_value(ns_page *page, const ns_option *option, const ns_value *value)
{
    char number[NS_NUMBER_ROOM], time[NS_INSTANT_ROOM];
    switch (option->kind) {
    case NS_OPT_TIME:
        ns_instant_write(time, value->integer);
        write_text(page, time);
        return;
    case NS_OPT_INTEGER:
    case NS_OPT_BYTES:
        ns_page_add(page, "%" PRId64, value->integer);
        return;
    case NS_OPT_NUMBER:
    case NS_OPT_SECONDS:
        ns_number_write(number, value->number);
        ns_page_add(page, "%s%s", number, option->kind == NS_OPT_SECONDS ? "s" : "");
        return;
    case NS_OPT_FLAG:
        ns_page_add(page, "%s", value->flag ? "true" : "false");
        return;
    case NS_OPT_TEXTS:
    case NS_OPT_PATHS:
        ns_page_add(page, "[");
        for (int64_t i = 0; i < value->n_items; i++) {
            ns_page_add(page, "%s", i == 0 ? "" : ", ");
            write_text(page, value->items[i]);
        }
        ns_page_add(page, "]");
        return;
    case NS_OPT_TEXT:
    case NS_OPT_CHOICE:
    case NS_OPT_PATH:
    case NS_OPT_WHERE:
        write_text(page, value->items[0]);
        return;
    }
}

/* "data.label.column: " as the lines "data:", "  label:", "    column: ", without those that stand already:
 * previous is the key before it. */
static void write_key(ns_page *page, const char *key, const char *previous)
{
    size_t shared = 0; /* the part of the key, up to a dot, that it has in common with the key before */
    for (size_t i = 0; key[i] != '\0' && key[i] == previous[i]; i++)
        if (key[i] == '.') shared = i + 1;
    int depth = 0;
    for (const char *part = key;;) {
        const char *dot = strchr(part, '.');
        if (dot == NULL) {
            ns_page_add(page, "%*s%s: ", 2 * depth, "", part);
            return;
        }
        if ((size_t)(dot - key) >= shared)
            ns_page_add(page, "%*s%.*s:\n", 2 * depth, "", (int)(dot - part), part);
        depth++;
        part = dot + 1;
    }
}

/* What a sweep tries; numbers were read, and are written, without quotes. */
static void write_axis(ns_page *page, const ns_sweep_axis *axis)
{
    const ns_option *option = &ns_options[axis->option];
    char number[NS_NUMBER_ROOM];
    bool is_number = option->kind == NS_OPT_INTEGER || option->kind == NS_OPT_NUMBER;
    ns_page_add(page, "[");
    for (int64_t i = 0; i < axis->n_words; i++) {
        ns_page_add(page, "%s", i == 0 ? "" : ", ");
        if (is_number || option->kind == NS_OPT_FLAG) ns_page_add(page, "%s", axis->words[i]);
        else write_text(page, axis->words[i]);
    }
    for (int i = 0; axis->is_range && i < 2; i++) {
        ns_number_write(number, i == 0 ? axis->least : axis->most);
        ns_page_add(page, "%s%s", i == 0 ? "" : ", ", number);
    }
    ns_page_add(page, "%s]\n", axis->is_log ? ", log" : "");
}

/* The axes of one section of a sweep; previous is the key before them, and becomes the last of theirs. */
static void write_axes(ns_page *page, const ns_job *job, bool is_random, char previous[KEY_ROOM])
{
    for (int32_t i = 0; i < job->n_axes; i++) {
        char key[KEY_ROOM];
        if (job->axes[i].is_random != is_random) continue;
        snprintf(key, sizeof key, "sweep.%s.%s", is_random ? "random" : "grid", ns_options[job->axes[i].option].key);
        write_key(page, key, previous);
        write_axis(page, &job->axes[i]);
        snprintf(previous, KEY_ROOM, "%s", key);
    }
}

ns_status ns_job_echo(char **out, const ns_job *job, ns_echo what)
{
    ns_page page = {0};
    char previous[KEY_ROOM] = "";
    for (int32_t i = 0; i < ns_n_options; i++) {
        const job_slot *slot = &job->slots[i];
        bool ends_sweep = strcmp(ns_options[i].key, "sweep.random.members") == 0; /* the last of its rows: sections stay together */
        if (ends_sweep && what == NS_ECHO_ALL) {
            write_axes(&page, job, false, previous);
            if (!slot->set) write_axes(&page, job, true, previous);
        }
        if (!slot->set || (what == NS_ECHO_BUNDLE && !(ns_options[i].flags & NS_OPT_BUNDLE))) continue;
        write_key(&page, ns_options[i].key, previous);
        write_value(&page, &ns_options[i], &slot->value);
        ns_page_add(&page, "\n");
        snprintf(previous, sizeof previous, "%s", ns_options[i].key);
        if (ends_sweep) write_axes(&page, job, true, previous);
    }
    return ns_page_take(&page, out);
}

static void join(char key[KEY_ROOM], const ns_yaml_entry *entry)
{
    size_t n = 0;
    key[0] = '\0';
    for (int32_t i = 0; i < entry->n_keys; i++) {
        int wrote = snprintf(key + n, KEY_ROOM - n, "%s%s", i == 0 ? "" : ".", entry->keys[i]);
        if (wrote < 0 || (size_t)wrote >= KEY_ROOM - n) return;
        n += (size_t)wrote;
    }
}

static const ns_yaml_entry *find(const ns_yaml *yaml, const char *key)
{
    char here[KEY_ROOM];
    for (int64_t i = 0; i < yaml->n_entries; i++) {
        join(here, &yaml->entries[i]);
        if (strcmp(here, key) == 0) return &yaml->entries[i];
    }
    return NULL;
}

static bool is_same(const ns_yaml_entry *a, const ns_yaml_entry *b)
{
    if (a == NULL || b == NULL) return a == b;
    if (a->kind != b->kind || a->n_items != b->n_items) return false;
    for (int64_t i = 0; i < a->n_items; i++)
        if (strcmp(a->items[i].text, b->items[i].text) != 0) return false;
    return true;
}

/* The echo of a job without any file: what an option that an older program did not know was, in effect. */
static ns_status read_defaults(ns_yaml **out)
{
    ns_job *job = NULL;
    char *text = NULL;
    ns_yaml_problem problem;
    const ns_job_sources none = {.job_folder = "", .site_folder = "", .working_folder = ""};
    ns_status status = ns_job_parse(&job, &none);
    if (status == NS_OK) status = ns_job_echo(&text, job, NS_ECHO_BUNDLE);
    if (status == NS_OK) status = ns_yaml_read(out, text, &problem);
    free(text);
    ns_job_destroy(&job);
    return status;
}

/* Keys of the table in its order, then keys that only a stands with, then only b. */
static bool find_difference(const ns_yaml *a, const ns_yaml *b, const ns_yaml *defaults, char key[KEY_ROOM])
{
    for (int32_t i = 0; i < ns_n_options; i++) {
        const char *name = ns_options[i].key;
        const ns_yaml_entry *x = find(a, name), *y = find(b, name);
        if (x == NULL) x = find(defaults, name);
        if (y == NULL) y = find(defaults, name);
        if (is_same(x, y)) continue;
        snprintf(key, KEY_ROOM, "%s", name);
        return true;
    }
    const ns_yaml *both[2] = {a, b};
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < both[side]->n_entries; i++) {
            const ns_yaml_entry *entry = &both[side]->entries[i];
            join(key, entry);
            if (ns_option_find(key) < 0 && !is_same(entry, find(both[1 - side], key))) return true;
        }
    key[0] = '\0';
    return false;
}

bool ns_job_differs(const char *bundle_echo_a, const char *bundle_echo_b, char key[KEY_ROOM])
{
    key[0] = '\0';
    if (strcmp(bundle_echo_a, bundle_echo_b) == 0) return false;
    ns_yaml *a = NULL, *b = NULL, *defaults = NULL;
    ns_yaml_problem problem;
    bool differs = true;
    if (ns_yaml_read(&a, bundle_echo_a, &problem) == NS_OK &&
        ns_yaml_read(&b, bundle_echo_b, &problem) == NS_OK && read_defaults(&defaults) == NS_OK)
        differs = find_difference(a, b, defaults, key);
    else
        snprintf(key, KEY_ROOM, "(not readable)");
    ns_yaml_destroy(&a);
    ns_yaml_destroy(&b);
    ns_yaml_destroy(&defaults);
    return differs;
}
