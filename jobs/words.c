#include "jobs/words.h"

#include <string.h>

enum { CUT = 60, MAX_WORD = 100 };

const char *ns_cut(char out[NS_CUT_ROOM], const char *text, size_t n_bytes)
{
    if (n_bytes <= CUT) {
        memcpy(out, text, n_bytes);
        out[n_bytes] = '\0';
        return out;
    }
    size_t n = CUT;
    while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80) n--; /* never inside a UTF-8 character */
    memcpy(out, text, n);
    memcpy(out + n, "...", 4);
    return out;
}

size_t ns_utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80) return 0; /* a terminating 0 ends here too */
    /* overlong forms, surrogates, and what lies beyond U+10FFFF */
    if (s[0] == 0xE0 && s[1] < 0xA0) return 0;
    if (s[0] == 0xED && s[1] > 0x9F) return 0;
    if (s[0] == 0xF0 && s[1] < 0x90) return 0;
    if (s[0] == 0xF4 && s[1] > 0x8F) return 0;
    return n;
}

static size_t lower(char out[MAX_WORD], const char *word)
{
    size_t n = 0;
    for (; n < MAX_WORD && word[n] != '\0'; n++)
        out[n] = (char)(word[n] >= 'A' && word[n] <= 'Z' ? word[n] + ('a' - 'A') : word[n]);
    return n;
}

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

int32_t ns_distance(const char *a, const char *b)
{
    char x[MAX_WORD], y[MAX_WORD];
    size_t n = lower(x, a), m = lower(y, b);
    int32_t rows[3][MAX_WORD + 1]; /* of the table d[i][j]; row i stands at i % 3 */
    for (size_t j = 0; j <= m; j++) rows[0][j] = (int32_t)j;
    for (size_t i = 1; i <= n; i++) {
        int32_t *here = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        here[0] = (int32_t)i;
        for (size_t j = 1; j <= m; j++) {
            int32_t replace = up[j - 1] + (x[i - 1] == y[j - 1] ? 0 : 1);
            here[j] = least(replace, least(up[j], here[j - 1]) + 1);
            if (i > 1 && j > 1 && x[i - 1] == y[j - 2] && x[i - 2] == y[j - 1])
                here[j] = least(here[j], up2[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}
