#ifndef NIGHTSHIFT_JOBS_WORDS_H
#define NIGHTSHIFT_JOBS_WORDS_H
/* What messages and pages need to know about a text: cut to a length that keeps them readable, its
   characters, and how near it is to another. */
#include <stddef.h>
#include <stdint.h>

enum { NS_CUT_ROOM = 72 };

/* text, or its first 60 bytes (whole characters) and "..." in out. Returns out. */
const char *ns_cut(char out[NS_CUT_ROOM], const char *text, size_t n_bytes);

/* The number of bytes of the UTF-8 character at text, 0 where there is none (a terminating 0 is one of 1
 * byte). */
size_t ns_utf8_length(const char *text);

/* Insertions, removals, replacements and swaps of neighbours between two words; case counts not. Looks at the
   first 100 bytes. */
int32_t ns_distance(const char *a, const char *b);
#endif
