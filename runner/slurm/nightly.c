#include "runner/slurm/nightly.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct field {
    const char *name;
    int least, most;
    const char *words; /* three letters each, for least, least + 1, … */
} fields[5] = {{"minute", 0, 59, ""},
               {"hour", 0, 23, ""},
               {"day of month", 1, 31, ""},
               {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
               {"day of week", 0, 7, "sunmontuewedthufrisat"}};

/* A number or a name. False: neither, or out of range. */
static bool read_value(const struct field *f, const char **at, int *value)
{
    for (size_t i = 0; f->words[3 * i] != '\0'; i++)
        if (strncasecmp(*at, f->words + 3 * i, 3) == 0) {
            *value = f->least + (int)i;
            *at += 3;
            return true;
        }
    int n = 0, digits = 0;
    while (**at >= '0' && **at <= '9' && digits < 3) {
        n = 10 * n + (*(*at)++ - '0');
        digits++;
    }
    *value = n;
    return digits > 0 && n >= f->least && n <= f->most;
}

/* One field into a set of bits; at stands behind it afterwards. */
static bool read_field(const struct field *f, const char **at, uint64_t *set)
{
    *set = 0;
    for (;;) {
        int first = f->least, last = f->most, step = 1;
        bool open = **at == '*';
        if (open) (*at)++;
        else {
            if (!read_value(f, at, &first)) return false;
            last = first;
            if (**at == '-') {
                (*at)++;
                if (!read_value(f, at, &last) || last < first) return false;
                open = true;
            }
        }
        if (**at == '/') {
            (*at)++;
            const struct field steps = {"", 1, f->most, ""};
            if (!open || !read_value(&steps, at, &step)) return false;
        }
        for (int i = first; i <= last; i += step) *set |= UINT64_C(1) << i;
        if (**at != ',') return **at == '\0' || **at == ' ' || **at == '\t';
        (*at)++;
    }
}

ns_status ns_nightly_check(bool *clock_change, const char *when)
{
    uint64_t sets[5];
    const char *at = when;
    for (int i = 0; i < 5; i++) {
        at += strspn(at, " \t");
        if (*at == '\0' || !read_field(&fields[i], &at, &sets[i]))
            return ns_fail(NS_EINVAL, "--nightly: '%.60s' is not a time as cron takes it: its %s is wrong (\"30 3 * * *\" is 03:30 every night)", when,
                           fields[i].name);
    }
    if (at[strspn(at, " \t")] != '\0') return ns_fail(NS_EINVAL, "--nightly: '%.60s' has more than five fields", when);
    *clock_change = (sets[1] & 6) != 0;
    return NS_OK;
}

/* A word for the shell; percent: what a % must be (a bare one ends a line of crontab). */
static void put_word(FILE *to, const char *word, const char *percent)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+:@,=-";
    bool bare = *word != '\0' && strspn(word, plain) == strlen(word);
    if (!bare) fputc('\'', to);
    for (const char *c = word; *c != '\0'; c++)
        if (*c == '%') fputs(percent, to);
        else if (*c == '\'') fputs("'\\''", to);
        else fputc(*c, to);
    if (!bare) fputc('\'', to);
}

static void put_command(FILE *to, const ns_nightly *nightly, const char *percent)
{
    fprintf(to, "%s ", nightly->when);
    put_word(to, nightly->program, percent);
    for (const char *const *word = nightly->words; *word != NULL; word++) {
        fputc(' ', to);
        put_word(to, *word, percent);
    }
    fputc('\n', to);
}

ns_status ns_nightly_lines(char **out, const ns_nightly *nightly)
{
    size_t n = 0;
    *out = NULL;
    for (const char *const *word = nightly->words; *word != NULL; word++)
        if (strpbrk(*word, "\r\n") != NULL) return ns_fail(NS_EINVAL, "--nightly: a word has a line end, which no crontab can hold");
    FILE *to = open_memstream(out, &n);
    if (to == NULL) return ns_fail(NS_ENOMEM, "no memory for the lines");
    fputs("# crontab -e, on a host where sbatch works and that has this time zone\n", to);
    put_command(to, nightly, "\\%");
    fputs("# scrontab -e, on a cluster that has it\n#SCRON --time=00:30:00 --job-name=nightshift-submit\n", to);
    if (nightly->partition != NULL) fprintf(to, "#SCRON --partition=%s\n", nightly->partition);
    if (nightly->account != NULL) fprintf(to, "#SCRON --account=%s\n", nightly->account);
    put_command(to, nightly, "%");
    bool failed = ferror(to) != 0;
    if (fclose(to) == 0 && !failed) return NS_OK;
    free(*out);
    *out = NULL;
    return ns_fail(NS_ENOMEM, "no memory for the lines");
}
