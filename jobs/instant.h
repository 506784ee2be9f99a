#ifndef NIGHTSHIFT_JOBS_INSTANT_H
#define NIGHTSHIFT_JOBS_INSTANT_H
/* Times as ISO 8601 text. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Seconds since 1970 UTC of YYYY-MM-DD, or YYYY-MM-DDThh[:mm[:ss]] (a space for the T is taken too) with Z,
 * +hh:mm or -hh:mm behind it; none means UTC. Years 0001 to 9999. False: the whole text is not such a time,
 * or there is no such day or hour.
 */
bool ns_instant_read(const char *text, size_t n_bytes, int64_t *seconds);

enum { NS_INSTANT_ROOM = 24 };

/*
 * The shortest of "YYYY-MM-DD", where it is midnight UTC, and "YYYY-MM-DDThh:mm:ssZ"; read back it is the same time.
 *   seconds  in  one that ns_instant_read gave
 */
void ns_instant_write(char out[NS_INSTANT_ROOM], int64_t seconds);
#endif
