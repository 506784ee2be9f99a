#include "cluster/line.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of the character that begins here, 0 where none does: no overlong form, no surrogate, none above
 * U+10FFFF. */
static int character(const unsigned char *c)
{
    if (c[0] < 0x80) return 1;
    int n = c[0] >= 0xC2 && c[0] <= 0xDF   ? 2
            : (c[0] & 0xF0) == 0xE0        ? 3
            : c[0] >= 0xF0 && c[0] <= 0xF4 ? 4
                                           : 0;
    for (int i = 1; i < n; i++)
        if ((c[i] & 0xC0) != 0x80) return 0; /* also the 0 at the end of the text */
    bool overlong = (c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xF0 && c[1] < 0x90);
    bool beyond = (c[0] == 0xED && c[1] > 0x9F) || (c[0] == 0xF4 && c[1] > 0x8F);
    return n > 0 && (overlong || beyond) ? 0 : n;
}

void ns_line_clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c != '\0';) {
        int n = character(c);
        if (n == 1 && (*c < 0x20 || *c == 0x7F)) *c = ' ';
        if (n == 0) *c = '?';
        c += n > 0 ? n : 1;
    }
}
