/* Site file, job file and --set to the values of a job (jobs/job_parts.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/job_parts.h"
#include "jobs/words.h"
#include "jobs/yaml.h"

typedef enum layer_kind { LAYER_SITE, LAYER_JOB, LAYER_SET } layer_kind;

/* One source of values. */
typedef struct layer {
    layer_kind kind;
    const char *path, *text, *folder;
} layer;

typedef struct reading {
    ns_job *job;
    ns_problems *problems;
    const layer *layer;
} reading;

enum { MOST_KEY = 256, MOST_PLACE = 1024 };

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "out of memory for the job");
}

/* "readmission.yaml:14", or "--set", which has no lines. */
static void write_place(char out[MOST_PLACE], const layer *from, int32_t line)
{
    if (from->kind == LAYER_SET)
        snprintf(out, MOST_PLACE, "--set");
    else
        snprintf(out, MOST_PLACE, "%s:%d", from->path, (int)line);
}

/* "PLACE: KEY: what"; the key may be empty. */
static ns_status note(reading *r, int32_t line, const char *key, const char *what)
{
    char place[MOST_PLACE], cut[NS_CUT_ROOM];
    write_place(place, r->layer, line);
    ns_cut(cut, key, strlen(key));
    return ns_problems_add(r->problems, (int32_t)r->layer->kind, line, "%s: %s%s%s", place, cut,
                           *key == '\0' ? "" : ": ", what);
}

int32_t ns_option_find(const char *key)
{
    for (int32_t i = 0; i < ns_n_options; i++)
        if (strcmp(ns_options[i].key, key) == 0) return i;
    return -1;
}

static bool is_within(const char *key, const char *section)
{
    size_t n = strlen(section);
    return strncmp(key, section, n) == 0 && key[n] == '.';
}

static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot == NULL ? key : dot + 1;
}

/* A key in the wrong section is near too: the last part alone counts, one worse than a slip of the same size. Of equally near ones
   the one that is nearer as a whole.
 */
static const char *nearest_key(const char *key)
{
    int32_t best = INT32_MAX, best_whole = INT32_MAX, row = 0;
    for (int32_t i = 0; i < ns_n_options; i++) {
        int32_t whole = ns_distance(key, ns_options[i].key);
        int32_t last = ns_distance(last_part(key), last_part(ns_options[i].key)) + 1;
        int32_t distance = whole < last ? whole : last;
        if (distance < best || (distance == best && whole < best_whole)) {
            best = distance;
            best_whole = whole;
            row = i;
        }
    }
    return ns_options[row].key;
}

static ns_status note_unknown(reading *r, const char *key, const ns_yaml_entry *entry)
{
    for (int32_t i = 0; i < ns_n_options; i++) {
        if (is_within(ns_options[i].key, key)) {
            bool nothing = entry->kind == NS_YAML_EMPTY_SECTION ||
                           (entry->kind == NS_YAML_SCALAR && entry->items[0].is_null);
            if (nothing) return NS_OK;
            return note(r, entry->line, key, "is a section: its keys go below it, indented");
        }
        if (is_within(key, ns_options[i].key))
            return note(r, entry->line, ns_options[i].key, "is a value, not a section");
    }
    char what[300];
    const char *rest = is_within(key, "sweep") ? strchr(key + sizeof "sweep", '.') : NULL; /* options stand below this word */
    bool near_grid = rest != NULL && ns_distance(key, "sweep.grid") <= ns_distance(key, "sweep.random");
    snprintf(what, sizeof what, "unknown key; the nearest is %s", rest == NULL ? nearest_key(key) : near_grid ? "sweep.grid" : "sweep.random");
    return note(r, entry->line, key, what);
}

/* A value as it would stand behind a key: what the table's defaults and --set are. Lists and quoted texts are
   YAML, the rest is taken as it is, so that no sign of a path or expression needs a second pair of quotes. */
static ns_status read_inline(ns_yaml **yaml, ns_yaml_entry *entry, ns_yaml_scalar *scalar, char **trimmed,
                             const char *text)
{
    *yaml = NULL;
    *trimmed = NULL;
    const char *blanks = " \t\r\n";
    const char *start = text + strspn(text, blanks);
    if (*start == '[' || *start == '"' || *start == '\'') {
        ns_yaml_problem problem;
        ns_status status = ns_yaml_read(yaml, start, &problem);
        if (status == NS_ENOMEM) return status;
        if (status == NS_OK && (*yaml)->n_entries == 1 && (*yaml)->entries[0].n_keys == 0) {
            *entry = (*yaml)->entries[0];
            return NS_OK;
        }
        ns_yaml_destroy(yaml);
    }
    size_t n = strlen(start);
    while (n > 0 && strchr(blanks, start[n - 1]) != NULL) n--;
    *trimmed = strndup(start, n);
    if (*trimmed == NULL) return no_memory();
    *scalar = (ns_yaml_scalar){.text = *trimmed, .line = 1, .is_null = n == 0 || strcmp(*trimmed, "~") == 0};
    *entry = (ns_yaml_entry){.line = 1, .kind = NS_YAML_SCALAR, .items = scalar, .n_items = 1};
    return NS_OK;
}

static void clear_slot(job_slot *slot)
{
    ns_value_clear(&slot->value);
    free(slot->place);
    *slot = (job_slot){0};
}

static ns_status set_default(job_slot *slot, const ns_option *option)
{
    clear_slot(slot);
    if (option->fallback == NULL) return NS_OK;
    ns_yaml *yaml;
    ns_yaml_entry entry;
    ns_yaml_scalar scalar;
    char *trimmed;
    NS_TRY(read_inline(&yaml, &entry, &scalar, &trimmed, option->fallback));
    ns_yaml_problem problem;
    ns_status status = ns_value_read(&slot->value, option, &entry, "", &problem);
    if (status == NS_EINVAL) status = ns_fail(NS_EINVAL, "default of %s: %s", option->key, problem.message);
    slot->set = status == NS_OK;
    free(trimmed);
    ns_yaml_destroy(&yaml);
    return status;
}

/* Puts what an entry says into the slot of its option, or notes why it cannot. */
static ns_status take(reading *r, int32_t row, const ns_yaml_entry *entry)
{
    const ns_option *option = &ns_options[row];
    job_slot *slot = &r->job->slots[row];
    if (r->layer->kind == LAYER_SITE && !(option->flags & NS_OPT_SITE))
        return note(r, entry->line, option->key, "cannot stand in a site file, only in a job file");
    bool broken = slot->broken;
    if (entry->kind == NS_YAML_SCALAR && entry->items[0].is_null) {
        ns_status status = set_default(slot, option);
        slot->broken = broken;
        return status;
    }
    ns_value value;
    ns_yaml_problem problem;
    ns_status status = ns_value_read(&value, option, entry, r->layer->folder, &problem);
    if (status == NS_EINVAL) {
        slot->broken = true;
        return note(r, r->layer->kind == LAYER_SET ? entry->line : problem.line, option->key,
                    problem.message);
    }
    if (status != NS_OK) return status;
    bool has_line = entry->kind == NS_YAML_SCALAR && r->layer->kind != LAYER_SET;
    int32_t line = has_line ? entry->items[0].line : entry->line;
    char place[MOST_PLACE];
    write_place(place, r->layer, line);
    clear_slot(slot);
    *slot = (job_slot){.value = value,
                       .set = true,
                       .given = true,
                       .broken = broken,
                       .source = (int32_t)r->layer->kind,
                       .line = line,
                       .place = strdup(place)};
    return slot->place == NULL ? no_memory() : NS_OK;
}

/* The same for what a sweep tries, which is no row of the table. */
static ns_status take_axis(reading *r, const char *key, const ns_yaml_entry *entry)
{
    if (r->layer->kind == LAYER_SITE) return note(r, entry->line, key, "cannot stand in a site file, only in a job file");
    ns_sweep_axis axis;
    ns_yaml_problem problem;
    ns_status status = ns_sweep_axis_read(&axis, key, entry, &problem);
    if (status == NS_EINVAL) {
        r->job->axis_broken = true;
        return note(r, r->layer->kind == LAYER_SET ? entry->line : problem.line, key, problem.message);
    }
    if (status != NS_OK || axis.option < 0) return status;
    char place[MOST_PLACE];
    write_place(place, r->layer, entry->line);
    axis.source = (int32_t)r->layer->kind;
    axis.line = entry->line;
    axis.place = strdup(place);
    if (axis.place != NULL) return ns_sweep_put(r->job, &axis);
    ns_sweep_axis_clear(&axis);
    return no_memory();
}

/* Options that a sweep names may stand with their dots, as they do on the command line. */
static bool may_have_dots(const ns_yaml_entry *entry, int32_t i)
{
    return i >= 2 && strcmp(entry->keys[0], "sweep") == 0;
}

static ns_status take_entry(reading *r, const ns_yaml_entry *entry)
{
    char key[MOST_KEY];
    size_t n = 0;
    if (entry->n_keys == 0) {
        if (entry->kind == NS_YAML_EMPTY_SECTION ||
            (entry->kind == NS_YAML_SCALAR && entry->items[0].is_null))
            return NS_OK;
        return note(r, entry->line, "",
                    "expected sections with keys, such as 'model:' with 'rounds: 500' below it");
    }
    for (int32_t i = 0; i < entry->n_keys; i++) {
        if (strchr(entry->keys[i], '.') != NULL && !may_have_dots(entry, i))
            return note(r, entry->line, entry->keys[i],
                        "a key has no dots in a file: its section goes on a line above it");
        int wrote = snprintf(key + n, sizeof key - n, "%s%s", i == 0 ? "" : ".", entry->keys[i]);
        if (wrote < 0 || (size_t)wrote >= sizeof key - n) break; /* cut: no option's key is as long */
        n += (size_t)wrote;
    }
    if (ns_sweep_is_axis(key)) return take_axis(r, key, entry);
    int32_t row = ns_option_find(key);
    return row < 0 ? note_unknown(r, key, entry) : take(r, row, entry);
}

static ns_status take_file(reading *r)
{
    if (r->layer->text == NULL) return NS_OK;
    ns_yaml *yaml;
    ns_yaml_problem problem;
    ns_status status = ns_yaml_read(&yaml, r->layer->text, &problem);
    if (status == NS_EINVAL) return note(r, problem.line, "", problem.message);
    if (status != NS_OK) return status;
    for (int64_t i = 0; i < yaml->n_entries && status == NS_OK; i++)
        status = take_entry(r, &yaml->entries[i]);
    ns_yaml_destroy(&yaml);
    return status;
}

/* order: its number among all --set, for the order of messages */
static ns_status take_set(reading *r, const char *set, int32_t order)
{
    char key[MOST_KEY];
    const char *equals = strchr(set, '=');
    size_t n = equals == NULL ? 0 : (size_t)(equals - set);
    if (n == 0 || n >= sizeof key) return note(r, order, set, "write --set section.key=value");
    for (size_t i = 0, length = 1; set[i] != '\0'; i += length) {
        length = ns_utf8_length(set + i);
        if (length == 0) return note(r, order, "", "not UTF-8 text");
    }
    memcpy(key, set, n);
    key[n] = '\0';
    ns_yaml *yaml;
    ns_yaml_entry entry;
    ns_yaml_scalar scalar;
    char *trimmed;
    NS_TRY(read_inline(&yaml, &entry, &scalar, &trimmed, equals + 1));
    entry.line = order;
    int32_t row = ns_option_find(key);
    ns_status status = ns_sweep_is_axis(key) ? take_axis(r, key, &entry)
                       : row < 0             ? note_unknown(r, key, &entry)
                                             : take(r, row, &entry);
    free(trimmed);
    ns_yaml_destroy(&yaml);
    return status;
}

ns_status ns_job_read(ns_job *job, const ns_job_sources *sources, ns_problems *problems)
{
    for (int32_t i = 0; i < ns_n_options; i++) NS_TRY(set_default(&job->slots[i], &ns_options[i]));
    const layer site = {LAYER_SITE, sources->site_path, sources->site_text, sources->site_folder};
    const layer file = {LAYER_JOB, sources->job_path, sources->job_text, sources->job_folder};
    const layer set = {LAYER_SET, NULL, NULL, sources->working_folder};
    reading r = {.job = job, .problems = problems, .layer = &site};
    NS_TRY(take_file(&r));
    r.layer = &file;
    NS_TRY(take_file(&r));
    r.layer = &set;
    for (int32_t i = 0; i < sources->n_sets; i++) NS_TRY(take_set(&r, sources->sets[i], i + 1));
    return NS_OK;
}
