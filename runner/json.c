#include "runner/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void ns_json_add(ns_status *status, json_t *object, const char *key, json_t *value)
{
    if (*status != NS_OK) {
        json_decref(value);
        return;
    }
    if (json_object_set_new(object, key, value) != 0)
        *status = ns_fail(NS_ENOMEM, "no memory for '%s' of a JSON document", key);
}

void ns_json_append(ns_status *status, json_t *array, json_t *value)
{
    if (*status != NS_OK) {
        json_decref(value);
        return;
    }
    if (json_array_append_new(array, value) != 0)
        *status = ns_fail(NS_ENOMEM, "no memory for a list of a JSON document");
}

json_t *ns_json_real(double value)
{
    bool finite = value - value == 0.0; /* infinities and NaN give NaN */
    return finite ? json_real(value) : json_null();
}

json_t *ns_json_path(const char *path)
{
    json_t *value = json_string(path);
    char *plain = value == NULL ? strdup(path) : NULL;
    for (char *c = plain; c != NULL && *c != '\0'; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    if (plain != NULL) value = json_string(plain);
    free(plain);
    return value;
}

ns_status ns_json_dump(const json_t *json, char **text)
{
    *text = NULL;
    char *body = json == NULL
                     ? NULL
                     : json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17) | JSON_PRESERVE_ORDER);
    size_t n = body == NULL ? 0 : strlen(body);
    char *whole = body == NULL ? NULL : realloc(body, n + 2);
    if (whole == NULL) {
        free(body);
        return ns_fail(NS_ENOMEM, "no memory for a JSON document");
    }
    whole[n] = '\n';
    whole[n + 1] = '\0';
    *text = whole;
    return NS_OK;
}
