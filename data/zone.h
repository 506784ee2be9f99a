#ifndef NIGHTSHIFT_DATA_ZONE_H
#define NIGHTSHIFT_DATA_ZONE_H
/*
 * Time zones by name, from the time zone database of the system: the TZif files (RFC 9636) under TZDIR, else
 * /usr/share/zoneinfo. They are read by ourselves, since the C library has one zone for the whole process and
 * guesses at the hours that a clock change leaves out or repeats.
 *
 * A local time that occurs twice (clocks went back) means its first occurrence; one that never occurs (clocks
 * went forward) means nothing. Before a zone's first transition its first local time holds, after the last the
 * rule at the end of the file, to the end of 2201.
 */
#include <stdbool.h>
#include <stdint.h>

#include "cluster/status.h"

typedef struct ns_zone ns_zone;

/*
 *   name  in  "Europe/Vienna"; "UTC" needs no database
 * NS_EINVAL: no such zone, or none can be since there is no database: the message names the zone and the folder,
 * and is to be put behind "FILE:LINE: ". NS_EIO, NS_ENOMEM.
 */
ns_status ns_zone_open(ns_zone **out, const char *name);
void ns_zone_close(ns_zone **zone);

/* Seconds since 1970 UTC of a local time, given as what a clock at UTC would have shown since 1970. False: this time
   never occurs. Pure. */
bool ns_zone_utc(const ns_zone *zone, int64_t local, int64_t *seconds);

/* The same for the bytes of a TZif file; for tests. what: for messages. NS_EFORMAT, NS_ENOMEM. */
ns_status ns_zone_parse(ns_zone **out, const void *bytes, int64_t n_bytes, const char *what);
#endif
