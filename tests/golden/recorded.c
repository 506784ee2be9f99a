#include "tests/golden/recorded.h"

#include <inttypes.h>
#include <stdbool.h>

#include "kernels/numerics.h"
#include "tests/check.h"

enum { MOST = 256 };

typedef struct line {
    int version;
    char name[64], hash[72];
} line;

static int read_lines(line *lines)
{
    const char *path = GOLDEN_FOLDER "/recorded.txt";
    char text[512];
    int n = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("cannot read '%s'", path);
    while (fgets(text, sizeof text, file) != NULL) {
        if (text[0] == '#') continue;
        if (n == MOST || sscanf(text, "%d %63s %71s", &lines[n].version, lines[n].name, lines[n].hash) != 3)
            fail_msg("%s: '%s' is not VERSION NAME HASH, or there are more than %d lines", path, text, (int)MOST);
        n++;
    }
    fclose(file);
    return n;
}

/* The last of n lines with this name; NULL where there is none. */
static const line *last_of(const line *lines, int n, const char *name)
{
    const line *found = NULL;
    for (int i = 0; i < n; i++)
        if (strcmp(lines[i].name, name) == 0) found = &lines[i];
    return found;
}

/* Prints what to do where a hash is not the recorded one. */
static bool is_recorded(const char *name, const char *hash)
{
    static line lines[MOST];
    int n = read_lines(lines);
    const line *last = last_of(lines, n, name);
    if (last != NULL && strcmp(last->hash, hash) == 0) return true;
    print_error("%s is %s; recorded since numerics version %d: %s.\nUnless this was meant, mend what changed it. Where it was: raise "
                "NS_NUMERICS_VERSION in kernels/numerics.h (it is %d) if that version has been published, add the line\n%d %s %s\nto "
                "tests/golden/recorded.txt, and make the version's golden files (tests/golden/README.md).\n",
                name, hash, last != NULL ? last->version : 0, last != NULL ? last->hash : "nothing", NS_NUMERICS_VERSION,
                last != NULL && last->version == NS_NUMERICS_VERSION ? NS_NUMERICS_VERSION + 1 : NS_NUMERICS_VERSION, name, hash);
    return false;
}

void recorded_check(const char *name, const char *hash)
{
    if (!is_recorded(name, hash)) fail_msg("%s: the bits changed, see above", name);
}

void recorded_check_all(const char *name, const uint64_t *hashes, int n)
{
    int n_wrong = 0;
    for (int i = 0; i < n; i++) {
        char one[64], hash[17];
        snprintf(one, sizeof one, "%s/%d", name, i);
        snprintf(hash, sizeof hash, "%016" PRIx64, hashes[i]);
        n_wrong += !is_recorded(one, hash);
    }
    if (n_wrong > 0) fail_msg("%s: the bits of %d of %d changed, see above", name, n_wrong, n);
}

int recorded_lines_of(int version)
{
    static line lines[MOST];
    int n = read_lines(lines), n_of_version = 0;
    for (int i = 0; i < n; i++) {
        const line *before = last_of(lines, i, lines[i].name);
        if (lines[i].version < 1 || lines[i].version > NS_NUMERICS_VERSION)
            fail_msg("recorded.txt: %s is of numerics version %d; NS_NUMERICS_VERSION is %d", lines[i].name, lines[i].version,
                     NS_NUMERICS_VERSION);
        if (before != NULL && (before->version >= lines[i].version || strcmp(before->hash, lines[i].hash) == 0))
            fail_msg("recorded.txt: the line of %s with version %d must have a higher version and another hash than the one before it",
                     lines[i].name, lines[i].version);
        n_of_version += lines[i].version == version;
    }
    return n_of_version;
}
