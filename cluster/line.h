#ifndef NIGHTSHIFT_CLUSTER_LINE_H
#define NIGHTSHIFT_CLUSTER_LINE_H
/* Messages and log lines hold paths and words of libraries, which may hold any byte. */

/*
 * Makes text one line of valid UTF-8, in place: control characters become spaces, each byte that no character
 * of UTF-8 accounts for (also one cut off at the end) a question mark. Local; cannot fail.
 */
void ns_line_clean(char *text);
#endif
