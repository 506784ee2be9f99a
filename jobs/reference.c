/* The option table as a page and as --help prints it (jobs/job.h). */
#include <string.h>

#include "jobs/job_parts.h"
#include "jobs/page.h"

static const char opening[] =
    "# The job file\n"
    "\n"
    "This page is written by the program from its option table (`jobs/options.c`); a test fails when it is "
    "stale, and\n"
    "`test_reference --write` brings it up to date.\n"
    "\n"
    "A job file is YAML: sections of keys, as in `model:` with `rounds: 500` below it. Below a key is "
    "written with its\n"
    "sections, `model.rounds`; `--set model.rounds=500` says the same on the command line. One file serves "
    "`train`,\n"
    "`evaluate` and `score`.\n"
    "\n"
    "- **Who wins.** Defaults, then the site file (`/etc/nightshift/site.yaml`, or the file in "
    "`NIGHTSHIFT_SITE`), then the\n"
    "  job file, then `--set`, the last one last. A key with nothing behind it, or `~`, is unset: it has its "
    "default again.\n"
    "- **Values are text** until an option says otherwise: `positive: NO` is the text NO, `id: 00123` keeps "
    "its zeros.\n"
    "  Lists are `[a, b]`, or one `- a` a line; where a list is taken, a single value may stand for a list "
    "of one.\n"
    "- **Paths** of a job file count from its folder, those of `--set` from the current one. `${NAME}` is "
    "replaced by that\n"
    "  environment variable, in paths only; `{as_of}` by the date of the night.\n"
    "- **`--set`** takes the text behind `=` as it is; a list goes in brackets, as in\n"
    "  `--set 'data.label.positive=[\"<30\", \">30\"]'`, and `--set data.where=` unsets.\n"
    "- **Mistakes** are told in one line with file, line and key: unknown and duplicate keys, values out of "
    "range, YAML that\n"
    "  cannot be read. Anchors, aliases, tags and a second document are not taken. `nightshift check` tells "
    "all at once.\n"
    "\n"
    "In the last column, *model* marks what decides the model: it stands in the bundle, and a run that was "
    "stopped\n"
    "continues only where it is unchanged. *site* marks what a site file may decide.\n";

static const char closing[] =
    "\n"
    "## Kinds of value\n"
    "\n"
    "| kind | is written |\n"
    "| --- | --- |\n"
    "| text, texts | as it is; in quotes where it holds `: `, ` #` or begins with a sign of YAML such as "
    "`*`, `&`, `!`, `[`, `{`, `%`, `@` |\n"
    "| choice | one of the words listed |\n"
    "| whole number, number | `500`, `-3`; `0.05`, `1e-3`; always with a point, whatever the locale |\n"
    "| time span | `60`, `60s`, `5m`, `2h`, `1d` |\n"
    "| time | `2024-03-01`, `2024-03-01T08:30`, with `Z` or `+01:00` behind it; none means UTC |\n"
    "| size | bytes, or `512MiB`, `4GiB` (powers of 1024), `2GB` (powers of 1000) |\n"
    "| path, paths | a file or folder; for cohorts also a pattern with `*`, `?` and `[ ]` |\n"
    "| expression | see below |\n"
    "\n"
    "## Who belongs to a cohort: `where`\n"
    "\n"
    "    age >= 18 and disposition not in ('11', '13')\n"
    "    (unit == 'ICU' or lactate > 4) and admitted_at >= '2024-03-01'\n"
    "    `length of stay` <= 30 and not (weight is missing)\n"
    "\n"
    "- Comparisons are `==` (or `=`), `!=`, `<`, `<=`, `>`, `>=`, `in (...)`, `not in (...)`, `is missing`, "
    "`is not missing`;\n"
    "  they are joined by `not`, `and`, `or` (in this order of strength) and brackets. Words may be in "
    "capitals.\n"
    "- A column stands by its name; a name with blanks or signs, or one that is a word of the language, in "
    "backquotes. A text\n"
    "  stands in `'...'` or `\"...\"`; a quote within its own kind is doubled.\n"
    "- Every comparison with a missing value is false; `!=` and `not in` are negations, so they are true for "
    "it.\n"
    "- A category compares by its text: `in (11, 13)` means the levels `11` and `13`, and `<` is an error. A "
    "number column\n"
    "  compares with numbers as float32, an id of whole numbers with whole numbers, a time column with times "
    "in quotes:\n"
    "  `'2024-03-01'`, `'2024-03-01T08:30'`, with `Z` or `+01:00` behind it; none means UTC.\n"
    "\n";

static const char time_splits[] =
    "## Splits by time, and labels that come late\n"
    "\n"
    "    data:\n"
    "      time: admitted_at\n"
    "      group: patient_id\n"
    "      label: {column: readmitted_30d, positive: [\"yes\"], window: 30d}\n"
    "      split: {by: time, valid_from: 2023-01-01, test_from: 2023-07-01, until: 2024-01-01}\n"
    "\n"
    "trains on rows before 2023, stops early on the first half of 2023, and tells how good the model is on the second: as if it "
    "had\n"
    "been made at New Year and used since. A date belongs to the part that it opens; without `valid_from` training ends at "
    "`test_from`.\n"
    "\n"
    "- **Outcomes take time.** With `label.window: 30d` a row's outcome is known 30 days after it. Rows of the last 30 days of a "
    "part are\n"
    "  left out: their outcomes happened in the time of the next one.\n"
    "- **Late labels.** At the end of an extract outcomes that came early have their label already, and their absence has none "
    "yet: what\n"
    "  is labelled there is no fair sample. Set `split.until` to the time up to which the table knows outcomes; with "
    "`label.window` the\n"
    "  rows whose window is still open are left out, labelled or not. Both work with every kind of split. A run by time warns of "
    "a part in\n"
    "  which a tenth of the rows has no label.\n"
    "- **Returning patients** of an earlier part are left out of later ones (`split.returning: drop`), so that the test shows "
    "patients never\n"
    "  seen; `keep` leaves them in, as a ward will see them; `error` refuses them.\n"
    "- Rows without a time are left out. Everything left out is counted: in the log, in the summary, in `metrics.json` under "
    "`table`, and by\n"
    "  `check` beforehand, together with the rows of each part. A part without rows is exit 3.\n"
    "\n";

static const char sweeps[] =
    "## Sweeps\n"
    "\n"
    "    sweep:\n"
    "      folds: 5\n"
    "      seeds: 2\n"
    "      grid: {model.max_leaves: [15, 31], model.row_sample: [0.7, 1]}\n"
    "      random: {members: 10, model.l2: [0.1, 10, log], model.min_rows: [5, 50]}\n"
    "\n"
    "tries every combination of the grid with each of ten drawn settings, forty settings; each of them on five folds with two seeds, so that "
    "`nightshift\n"
    "sweep` trains 400 members. One fold is the validation part, the other four are learned from, and the test part stays what it is "
    "and chooses\n"
    "nothing. The setting with the best mean of `sweep.metric` over its members is the best; of equal ones the first.\n"
    "\n"
    "- **What may be swept** are options of `model` and `train` that take one number, choice or flag, but not `model.objective` and "
    "`model.quantile`,\n"
    "  which change the question. Each value is checked when the job is read. Options stand as `model.max_leaves`, or as sections.\n"
    "- **`grid`** lists values. **`random`** takes the two ends of a range of numbers, both included, and `log` behind them where "
    "magnitudes count:\n"
    "  `[0.001, 0.1, log]`; choices are drawn from their list. Numbers are drawn to four digits. A drawn value depends on `train.seed`, the "
    "setting's number\n"
    "  and the option alone, so more settings do not change the first ones.\n"
    "- **Order.** The grid's options count like the digits of a number, in the order of this page, the last one fastest; then drawn "
    "settings, seeds, folds.\n"
    "- A member is what `train` with its settings as `--set` makes, to the byte; `sweep.json` lists them. With `seeds` above 1 they "
    "hold\n"
    "  `data.split.seed` as well, so that all have one test part.\n"
    "\n";

static const char schema_file[] =
    "## The schema file of `import`\n"
    "\n"
    "YAML too. What it does not say is inferred from all rows.\n"
    "\n"
    "```yaml\n"
    "missing: [\"\", \"NA\", \"?\"]          # cells that mean: not known\n"
    "columns:\n"
    "  encounter_id: {kind: id}\n"
    "  admitted_at: {kind: time, format: \"%d.%m.%Y %H:%M\", zone: Europe/Vienna}\n"
    "  diagnosis: {kind: category, prefix: 3}   # the first 3 characters of each cell\n"
    "  lactate: {kind: number, unit: mmol/L, description: first value after admission}\n"
    "  notes: {kind: skip}\n"
    "```\n"
    "\n"
    "| key | is |\n"
    "| --- | --- |\n"
    "| `missing` | texts that mean a missing cell, exactly; not given: `\"\"`, `?`, `NA`, `NaN`, `nan`, `NULL` |\n"
    "| `columns.NAME.kind` | `number`, `category`, `id`, `time` or `skip`; not given: inferred |\n"
    "| `columns.NAME.format` | how a time is written: `%Y` or `%y`, `%m`, `%d`, `%H`, `%M`, `%S` and any other signs for "
    "themselves; not given: ISO 8601; only with kind time |\n"
    "| `columns.NAME.zone` | the time zone of times that name none, such as `America/New_York`; not given: UTC, which is said. "
    "A time that comes twice is the first, one that never comes is a bad value; only with kind time |\n"
    "| `columns.NAME.prefix` | 1 to 1000: only so many first characters of a level count; only with kind "
    "category |\n"
    "| `columns.NAME.unit` | unit of a number, best in UCUM |\n"
    "| `columns.NAME.description` | a sentence about the column |\n";

static const char *kind_name(ns_option_kind kind)
{
    switch (kind) {
    case NS_OPT_TEXT:
        return "text";
    case NS_OPT_CHOICE:
        return "choice";
    case NS_OPT_FLAG:
        return "true or false";
    case NS_OPT_INTEGER:
        return "whole number";
    case NS_OPT_NUMBER:
        return "number";
    case NS_OPT_SECONDS:
        return "time span";
    case NS_OPT_BYTES:
        return "size";
    case NS_OPT_PATH:
        return "path";
    case NS_OPT_TEXTS:
        return "texts";
    case NS_OPT_PATHS:
        return "paths";
    case NS_OPT_WHERE:
        return "expression";
    case NS_OPT_TIME:
        return "time";
    }
    return "";
}

static size_t section_length(const char *key)
{
    const char *dot = strchr(key, '.');
    return dot == NULL ? 0 : (size_t)(dot - key);
}

static const char *section_title(const char *section)
{
    static const struct {
        const char *section, *title;
    } titles[] = {
        {"data", "what a model is made from"},
        {"model", "what is learned"},
        {"train", "how it is learned"},
        {"evaluate", "how good it is"},
        {"score", "a night"},
        {"sweep", "trying settings"},
        {"run", "where and with what a run works"},
        {"slurm", "what is asked of Slurm"},
        {"log", "what is told on stderr"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++) {
        size_t n = strlen(titles[i].section);
        if (strncmp(section, titles[i].section, n) == 0 && section[n] == '.') return titles[i].title;
    }
    return "";
}

/* A bar would end the cell of a table. */
static void add_cell(ns_page *page, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) ns_page_add(page, *c == '|' ? "\\|" : "%c", *c);
}

static void add_row(ns_page *page, const ns_option *option)
{
    char range[256];
    ns_option_range(range, option);
    ns_page_add(page, "| `%s` | %s", option->key, kind_name(option->kind));
    if (*range != '\0') ns_page_add(page, ": %s", range);
    bool says_unit = *option->unit != '\0' && option->kind != NS_OPT_SECONDS && option->kind != NS_OPT_BYTES;
    if (says_unit) ns_page_add(page, " %s", option->unit);
    ns_page_add(page, " | ");
    if (option->fallback != NULL) ns_page_add(page, "`%s`", option->fallback);
    ns_page_add(page, " | ");
    add_cell(page, option->help);
    const char *model = option->flags & NS_OPT_BUNDLE ? "model" : "";
    const char *site = option->flags & NS_OPT_SITE ? "site" : "";
    ns_page_add(page, " | %s%s |\n", model, site);
}

ns_status ns_job_reference(char **out)
{
    ns_page page = {0};
    ns_page_add(&page, "%s", opening);
    const char *previous = NULL;
    for (int32_t i = 0; i < ns_n_options; i++) {
        const char *key = ns_options[i].key;
        size_t n = section_length(key);
        bool same = previous != NULL && section_length(previous) == n && strncmp(previous, key, n) == 0;
        if (!same && n > 0) ns_page_add(&page, "\n## %.*s: %s\n", (int)n, key, section_title(key));
        if (!same)
            ns_page_add(&page,
                        "\n| key | takes | default | what it is | |\n| --- | --- | --- | --- | --- |\n");
        add_row(&page, &ns_options[i]);
        previous = key;
    }
    ns_page_add(&page, "%s%s%s%s", closing, time_splits, sweeps, schema_file);
    return ns_page_take(&page, out);
}

/* Words of a sentence, indented, lines of at most 100 characters. */
static void add_wrapped(ns_page *page, const char *text)
{
    enum { INDENT = 6, WIDTH = 100 };
    size_t column = 0;
    for (const char *c = text; *c != '\0';) {
        size_t n = strcspn(c, " ");
        if (column > 0 && column + 1 + n > WIDTH) {
            ns_page_add(page, "\n");
            column = 0;
        }
        ns_page_add(page, "%*s%.*s", column == 0 ? INDENT : 1, "", (int)n, c);
        column += n + (column == 0 ? INDENT : 1);
        c += n + (c[n] == ' ' ? 1 : 0);
    }
    ns_page_add(page, "\n");
}

ns_status ns_job_help(char **out)
{
    ns_page page = {0};
    for (int32_t i = 0; i < ns_n_options; i++) {
        const ns_option *option = &ns_options[i];
        char range[256];
        ns_option_range(range, option);
        ns_page_add(&page, "  %s  (%s%s%s", option->key, kind_name(option->kind), *range == '\0' ? "" : ": ",
                    range);
        if (option->fallback != NULL) ns_page_add(&page, "; default %s", option->fallback);
        ns_page_add(&page, ")\n");
        add_wrapped(&page, option->help);
    }
    return ns_page_take(&page, out);
}
