#include "runner/models/gbdt_file.h"

#include <stdlib.h>
#include <string.h>

#include "runner/json.h"

typedef struct importance {
    const char *name;
    double gain;
    int64_t n_splits;
} importance;

static int by_gain_then_name(const void *a, const void *b)
{
    const importance *x = a, *y = b;
    if (x->gain != y->gain) return x->gain > y->gain ? -1 : 1;
    return strcmp(x->name, y->name);
}

json_t *ns_gbdt_importance(const ns_gbdt_model *model)
{
    int32_t n = model->n_features;
    importance *list = calloc((size_t)n + 1, sizeof *list);
    if (list == NULL) return NULL;
    for (int32_t f = 0; f < n; f++) list[f].name = model->names[f];
    for (int64_t i = 0; i < model->trees->n_nodes; i++) {
        const ns_node *node = &model->trees->nodes[i];
        if (node->feature < 0) continue;
        list[node->feature].gain += node->gain;
        list[node->feature].n_splits++;
    }
    qsort(list, (size_t)n, sizeof *list, by_gain_then_name);

    ns_status status = NS_OK;
    json_t *array = json_array();
    for (int32_t i = 0; i < n; i++) {
        json_t *one = json_object();
        ns_json_add(&status, one, "feature", json_string(list[i].name));
        ns_json_add(&status, one, "gain", ns_json_real(list[i].gain));
        ns_json_add(&status, one, "splits", json_integer(list[i].n_splits));
        ns_json_append(&status, array, one);
    }
    free(list);
    if (status == NS_OK) return array;
    json_decref(array);
    return NULL;
}
