/* Both sides are the same program (ranks compare their builds), so a pack is trusted: positions are only
 * asserted. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "data/cohort_private.h"

void ns_pack_bytes(ns_pack *pack, const void *bytes, size_t n)
{
    if (pack->failed || n == 0) return;
    if (pack->n + n > pack->room) {
        size_t room = pack->room < 4096 ? 4096 : pack->room;
        while (room < pack->n + n) room *= 2;
        char *grown = realloc(pack->bytes, room);
        if (grown == NULL) {
            pack->failed = true;
            return;
        }
        pack->bytes = grown;
        pack->room = room;
    }
    memcpy(pack->bytes + pack->n, bytes, n);
    pack->n += n;
}

void ns_pack_int(ns_pack *pack, int64_t value)
{
    ns_pack_bytes(pack, &value, sizeof value);
}

void ns_pack_text(ns_pack *pack, const char *text)
{
    size_t n = strlen(text) + 1;
    ns_pack_int(pack, (int64_t)n);
    ns_pack_bytes(pack, text, n);
}

void ns_pack_texts(ns_pack *pack, const ns_texts *texts)
{
    ns_pack_int(pack, texts->n);
    for (int64_t i = 0; i < texts->n; i++) {
        int64_t n_bytes;
        const char *text = ns_text_at(texts, i, &n_bytes);
        ns_pack_int(pack, n_bytes);
        ns_pack_bytes(pack, text, (size_t)n_bytes);
    }
}

const void *ns_unpack_bytes(ns_pack *pack, size_t n)
{
    assert(pack->at + n <= pack->n);
    const char *bytes = pack->bytes + pack->at;
    pack->at += n;
    return bytes;
}

int64_t ns_unpack_int(ns_pack *pack)
{
    int64_t value;
    memcpy(&value, ns_unpack_bytes(pack, sizeof value), sizeof value);
    return value;
}

const char *ns_unpack_text(ns_pack *pack)
{
    int64_t n = ns_unpack_int(pack);
    return ns_unpack_bytes(pack, (size_t)n);
}

ns_status ns_unpack_texts(ns_texts *out, ns_pack *pack)
{
    int64_t n = ns_unpack_int(pack);
    for (int64_t i = 0; i < n; i++) {
        int64_t n_bytes = ns_unpack_int(pack);
        NS_TRY(ns_texts_append(out, ns_unpack_bytes(pack, (size_t)n_bytes), n_bytes));
    }
    return NS_OK;
}
