#include "jobs/yaml.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "jobs/words.h"

/* libyaml's events are walked once, recursively: a section inside a section is one level, of which there are
 * few. */
enum { MAX_LEVELS = 8 };

typedef struct ns_yaml_block {
    struct ns_yaml_block *next;
    max_align_t bytes[];
} block;

typedef struct key_seen {
    const char *text;
    int32_t line;
} key_seen;

typedef struct reader {
    yaml_parser_t parser;
    const char *text;
    ns_yaml *yaml;
    ns_yaml_problem *problem;
    const char *keys[MAX_LEVELS]; /* that lead to the node being read */
    int32_t n_keys;
    int32_t key_line;
} reader;

static ns_status no_memory(void)
{
    return ns_fail(NS_ENOMEM, "out of memory while reading YAML");
}

/* Memory that lives as long as the result; NULL where there is none. */
static void *keep(ns_yaml *yaml, size_t n_bytes)
{
    block *b = malloc(sizeof *b + n_bytes);
    if (b == NULL) return NULL;
    b->next = yaml->blocks;
    yaml->blocks = b;
    return b->bytes;
}

static ns_status refuse(ns_yaml_problem *problem, int32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static ns_status refuse(ns_yaml_problem *problem, int32_t line, const char *format, ...)
{
    problem->line = line;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->message, sizeof problem->message, format, arguments);
    va_end(arguments);
    return NS_EINVAL;
}

static int32_t line_of(yaml_mark_t mark)
{
    return mark.line < INT32_MAX ? (int32_t)mark.line + 1 : INT32_MAX;
}

/* libyaml gives an offset for a bad byte, not a line; it would also take UTF-16. */
static ns_status check_utf8(const char *text, ns_yaml_problem *problem)
{
    int32_t line = 1;
    for (const char *s = text; *s != '\0';) {
        size_t n = ns_utf8_length(s);
        if (n == 0) return refuse(problem, line, "not UTF-8 text: byte 0x%02X", (unsigned)(unsigned char)*s);
        if (*s == '\n') line++;
        s += n;
    }
    return NS_OK;
}

/* What libyaml says, with a cure where its words alone have puzzled people. */
static ns_status parser_failed(reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR) return no_memory();
    const char *what = p->problem == NULL ? "cannot be read" : p->problem;
    const char *context = p->context == NULL ? "" : p->context;
    const char *cure = "";
    if (strstr(context, "alias") != NULL || strstr(context, "anchor") != NULL)
        cure = "; a text that begins with * or & goes in quotes";
    else if (strstr(what, "cannot start any token") != NULL)
        cure = "; tabs cannot indent, and a text that begins with % @ or ` goes in quotes";
    else if (strstr(what, "mapping values are not allowed") != NULL)
        cure = "; a text with \": \" in it goes in quotes";
    int32_t line = line_of(p->problem_mark);
    if (p->error == YAML_READER_ERROR) { /* a control character: an offset, no line */
        line = 1;
        for (size_t i = 0; i < p->problem_offset && r->text[i] != '\0'; i++)
            if (r->text[i] == '\n') line++;
    }
    return refuse(r->problem, line, "not YAML: %s%s%s%s", what, *context == '\0' ? "" : " ", context, cure);
}

static ns_status next_event(reader *r, yaml_event_t *event)
{
    return yaml_parser_parse(&r->parser, event) ? NS_OK : parser_failed(r);
}

static ns_status check_node(reader *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_ALIAS_EVENT) anchor = event->data.alias.anchor;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    int32_t line = line_of(event->start_mark);
    if (anchor != NULL)
        return refuse(
            r->problem, line,
            "anchors and aliases (&, *) are not taken: write the value out; a text that begins with * or & "
            "goes in quotes");
    if (tag != NULL)
        return refuse(r->problem, line, "tags (!) are not taken; a text that begins with ! goes in quotes");
    return NS_OK;
}

static ns_status read_scalar(reader *r, const yaml_event_t *event, ns_yaml_scalar *out)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    int32_t line = line_of(event->start_mark);
    if (memchr(value, 0, n) != NULL) return refuse(r->problem, line, "a value holds a zero byte");
    char *text = keep(r->yaml, n + 1);
    if (text == NULL) return no_memory();
    memcpy(text, value, n);
    text[n] = '\0';
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    *out =
        (ns_yaml_scalar){.text = text, .line = line, .is_null = plain && (n == 0 || strcmp(text, "~") == 0)};
    return NS_OK;
}

static ns_status add_entry(reader *r, ns_yaml_kind kind, const ns_yaml_scalar *items, int64_t n_items)
{
    ns_yaml *yaml = r->yaml;
    if (yaml->n_entries == yaml->room) {
        int64_t room = yaml->room * 2 + 32;
        ns_yaml_entry *more = realloc(yaml->entries, (size_t)room * sizeof *more);
        if (more == NULL) return no_memory();
        yaml->entries = more;
        yaml->room = room;
    }
    size_t n_bytes = (size_t)r->n_keys * sizeof(char *);
    const char **keys = keep(yaml, n_bytes);
    ns_yaml_scalar *copy = keep(yaml, (size_t)n_items * sizeof *copy);
    if (keys == NULL || copy == NULL) return no_memory();
    if (r->n_keys > 0) memcpy(keys, r->keys, n_bytes);
    if (n_items > 0) memcpy(copy, items, (size_t)n_items * sizeof *copy);
    yaml->entries[yaml->n_entries++] = (ns_yaml_entry){.keys = keys,
                                                       .n_keys = r->n_keys,
                                                       .line = r->key_line,
                                                       .kind = kind,
                                                       .items = copy,
                                                       .n_items = n_items};
    return NS_OK;
}

static ns_status read_list_items(reader *r, ns_yaml_scalar **items, int64_t *n_items)
{
    for (int64_t room = 0;;) {
        yaml_event_t event;
        NS_TRY(next_event(r, &event));
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        ns_status status = end ? NS_OK : check_node(r, &event);
        if (status == NS_OK && !end && event.type != YAML_SCALAR_EVENT)
            status = refuse(r->problem, line_of(event.start_mark), "a list holds single values only");
        if (status == NS_OK && !end && *n_items == room) {
            room = room * 2 + 16;
            ns_yaml_scalar *more = realloc(*items, (size_t)room * sizeof *more);
            if (more != NULL) *items = more;
            status = more == NULL ? no_memory() : NS_OK;
        }
        if (status == NS_OK && !end) status = read_scalar(r, &event, &(*items)[(*n_items)++]);
        yaml_event_delete(&event);
        if (end || status != NS_OK) return status;
    }
}

static ns_status read_list(reader *r)
{
    ns_yaml_scalar *items = NULL;
    int64_t n_items = 0;
    ns_status status = read_list_items(r, &items, &n_items);
    if (status == NS_OK) status = add_entry(r, NS_YAML_LIST, items, n_items);
    free(items);
    return status;
}

static int by_text_then_line(const void *a, const void *b)
{
    const key_seen *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* Sorting keeps a schema of ten thousand columns fast. */
static ns_status check_duplicates(reader *r, key_seen *seen, int64_t n)
{
    if (n > 1) qsort(seen, (size_t)n, sizeof *seen, by_text_then_line);
    const key_seen *first = NULL, *again = NULL;
    for (int64_t i = 1; i < n; i++)
        if (strcmp(seen[i - 1].text, seen[i].text) == 0 && (again == NULL || seen[i].line < again->line)) {
            first = &seen[i - 1];
            again = &seen[i];
        }
    if (again == NULL) return NS_OK;
    char cut[NS_CUT_ROOM];
    return refuse(r->problem, again->line, "duplicate key '%s': it stands on line %d already",
                  ns_cut(cut, again->text, strlen(again->text)), (int)first->line);
}

static ns_status read_key(reader *r, const yaml_event_t *event, key_seen *out)
{
    int32_t line = line_of(event->start_mark);
    NS_TRY(check_node(r, event));
    if (event->type != YAML_SCALAR_EVENT)
        return refuse(r->problem, line, "a key is one word, not a list or section");
    ns_yaml_scalar key;
    NS_TRY(read_scalar(r, event, &key));
    if (*key.text == '\0') return refuse(r->problem, line, "a key is empty");
    *out = (key_seen){.text = key.text, .line = line};
    return NS_OK;
}

static ns_status read_node(reader *r, const yaml_event_t *event);

/* The pairs of one section up to its end; *seen grows. */
static ns_status read_pairs(reader *r, key_seen **seen, int64_t *n_seen)
{
    for (int64_t room = 0;;) {
        yaml_event_t event;
        NS_TRY(next_event(r, &event));
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return NS_OK;
        }
        ns_status status = NS_OK;
        if (*n_seen == room) {
            room = room * 2 + 16;
            key_seen *more = realloc(*seen, (size_t)room * sizeof *more);
            if (more != NULL) *seen = more;
            status = more == NULL ? no_memory() : NS_OK;
        }
        if (status == NS_OK) status = read_key(r, &event, &(*seen)[*n_seen]);
        yaml_event_delete(&event);
        if (status != NS_OK) return status;
        r->keys[r->n_keys - 1] = (*seen)[*n_seen].text;
        r->key_line = (*seen)[*n_seen].line;
        (*n_seen)++;
        NS_TRY(next_event(r, &event));
        status = read_node(r, &event);
        yaml_event_delete(&event);
        if (status != NS_OK) return status;
    }
}

static ns_status read_section(reader *r, int32_t line)
{
    if (r->n_keys == MAX_LEVELS)
        return refuse(r->problem, line, "sections are nested more than %d deep", MAX_LEVELS);
    key_seen *seen = NULL;
    int64_t n_seen = 0;
    r->n_keys++;
    ns_status status = read_pairs(r, &seen, &n_seen);
    r->n_keys--;
    if (status == NS_OK) status = check_duplicates(r, seen, n_seen);
    if (status == NS_OK && n_seen == 0) status = add_entry(r, NS_YAML_EMPTY_SECTION, NULL, 0);
    free(seen);
    return status;
}

static ns_status read_node(reader *r, const yaml_event_t *event)
{
    NS_TRY(check_node(r, event));
    if (event->type == YAML_MAPPING_START_EVENT) return read_section(r, line_of(event->start_mark));
    if (event->type == YAML_SEQUENCE_START_EVENT) return read_list(r);
    ns_yaml_scalar scalar;
    NS_TRY(read_scalar(r, event, &scalar));
    return add_entry(r, NS_YAML_SCALAR, &scalar, 1);
}

static ns_status read_stream(reader *r)
{
    for (int n_documents = 0;;) {
        yaml_event_t event;
        NS_TRY(next_event(r, &event));
        yaml_event_type_t type = event.type;
        int32_t line = line_of(event.start_mark);
        ns_status status = NS_OK;
        if (type == YAML_DOCUMENT_START_EVENT && ++n_documents > 1)
            status = refuse(r->problem, line, "a second document begins: a file holds one");
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_START_EVENT && type != YAML_DOCUMENT_END_EVENT) {
            r->key_line = line;
            status = read_node(r, &event);
        }
        yaml_event_delete(&event);
        if (status != NS_OK || type == YAML_STREAM_END_EVENT) return status;
    }
}

ns_status ns_yaml_read(ns_yaml **out, const char *text, ns_yaml_problem *problem)
{
    *out = NULL;
    NS_TRY(check_utf8(text, problem));
    reader r = {.text = text, .problem = problem};
    if (!yaml_parser_initialize(&r.parser)) return no_memory();
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, strlen(text));
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    r.yaml = calloc(1, sizeof *r.yaml);
    ns_status status = r.yaml == NULL ? no_memory() : read_stream(&r);
    yaml_parser_delete(&r.parser);
    if (status != NS_OK) ns_yaml_destroy(&r.yaml);
    *out = r.yaml;
    return status;
}

void ns_yaml_destroy(ns_yaml **yaml)
{
    if (*yaml == NULL) return;
    for (block *b = (*yaml)->blocks; b != NULL;) {
        block *next = b->next;
        free(b);
        b = next;
    }
    free((*yaml)->entries);
    free(*yaml);
    *yaml = NULL;
}
