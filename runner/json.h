#ifndef NIGHTSHIFT_RUNNER_JSON_H
#define NIGHTSHIFT_RUNNER_JSON_H
/*
 * JSON as every file of ours is written: keys in the order they were set, one blank of indentation a level,
 * doubles as %.17g with a point whatever the locale, a newline at the end. Equal values give equal bytes.
 */
#include <jansson.h>
#include <stdint.h>

#include "cluster/status.h"

/*
 * Adds key: value at the end of object, or value at the end of array; takes the value over in any case.
 *   status  inout  an earlier failure stays, and drops the value; NS_ENOMEM where it is NULL or has no room
 * So a document is built by a run of calls and one look at the status.
 */
void ns_json_add(ns_status *status, json_t *object, const char *key, json_t *value);
void ns_json_append(ns_status *status, json_t *array, json_t *value);

/* null where value is not finite: JSON knows no NaN. NULL without memory. */
json_t *ns_json_real(double value);

/* A path as a text; one whose bytes are not UTF-8 has ? for each byte beyond ASCII. NULL without memory. */
json_t *ns_json_path(const char *path);

/*
 * The text of a document.
 *   json  in   an object or array; jansson holds no number that is not finite, and no text that is not UTF-8
 *   text  out  freed by the caller; NULL on failure
 * Fails with NS_ENOMEM (also where json is NULL: it could not be built).
 */
ns_status ns_json_dump(const json_t *json, char **text);
#endif
