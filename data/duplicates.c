#include "data/duplicates.h"

/*
 * Where all ids may not fit, it is looked first whether they stand in order. If not, two filters come first: bits that ids fall on by a hash, with a second plane for
 * bits that were hit twice. An id that hits no such bit stands alone. The first filter sees all ids, the
 * second those that hit the first twice, by other bits of the hash; few ids but the true duplicates remain,
 * and only they go into a table of distinct ids. Each id's owner (by hash) then says which of them stand on
 * several ranks, and a last reading marks the rows.
 *
 * Where there are more ids than a filter can tell apart they are taken in classes (hash modulo a number), and
 * where a table is full the class is halved by bits of the hash, the same on all ranks, until it fits.
 */

#include <omp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/agree.h"
#include "cluster/reduce.h"
#include "cluster/stop.h"
#include "data/hash.h"
#include "data/id_order.h"
#include "data/id_table.h"

enum {
    MERGE_WORDS = 1 << 17, /* of a filter in one reduction: 1 MB */
    LEAST_SLOTS_LOG = 16,
    MOST_HALVINGS = 31
};

const ns_duplicates_limits ns_duplicates_default = {.memory_bytes = INT64_C(64) << 20, .hash_bits = 128};

/* word[2 w] has the bits that were hit, word[2 w + 1] those hit twice. */
typedef struct filter {
    uint64_t *word;
    uint64_t slot_mask;
    int shift; /* of the hash */
} filter;

/* Ids with hi % n_classes == class and (hi >> 32 & mask) == half. */
typedef struct part {
    uint64_t n_classes, class;
    uint64_t mask, half;
} part;

typedef struct search {
    const ns_id_source *source;
    ns_duplicates_limits limits;
    MPI_Comm comm;
    int n_ranks;
    ns_hash128 *key; /* of a piece */
    int64_t room;
    uint8_t *duplicate;
    int64_t n_marked; /* on this rank */
    filter filter; /* the newest */
    bool filtered;
    ns_id_table table;
} search;

static uint64_t mixed(uint64_t x)
{
    /* The finalizer of splitmix64 (Steele, Lea, Flood 2014): one to one, so that equal keys are equal
     * numbers. */
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static ns_hash128 key_of_text(const char *text, int64_t n_bytes, int bits)
{
    static const unsigned char secret[crypto_shorthash_siphashx24_KEYBYTES] = "nightshift ids";
    unsigned char hash[crypto_shorthash_siphashx24_BYTES];
    ns_hash128 key;
    crypto_shorthash_siphashx24(hash, (const unsigned char *)(n_bytes > 0 ? text : ""),
                                (unsigned long long)n_bytes, secret);
    memcpy(&key.hi, hash, 8);
    memcpy(&key.lo, hash + 8, 8);
    if (bits < 64) return (ns_hash128){mixed(key.hi & ((UINT64_C(1) << bits) - 1)), 0};
    return key;
}

static ns_status read_piece(search *s, int64_t index, ns_id_piece *piece)
{
    NS_TRY(ns_stop_check());
    NS_TRY(s->source->read(s->source->context, index, piece));
    if (piece->n > s->room) {
        ns_hash128 *key = realloc(s->key, (size_t)piece->n * sizeof *key);
        if (key == NULL) return ns_fail(NS_ENOMEM, "no memory to compare ids");
        s->key = key;
        s->room = piece->n;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < piece->n; i++) {
        if (piece->use[i] == 0) continue;
        if (piece->number != NULL) {
            uint64_t x = mixed((uint64_t)piece->number[i] + UINT64_C(0x9e3779b97f4a7c15));
            s->key[i] = (ns_hash128){mixed(x + UINT64_C(0x9e3779b97f4a7c15)), x};
        } else {
            const int64_t *at = piece->text->offset + i;
            s->key[i] = key_of_text(piece->text->bytes + at[0], at[1] - at[0], s->limits.hash_bits);
        }
    }
    return NS_OK;
}

static bool is_in(const part *p, ns_hash128 key)
{
    return key.hi % p->n_classes == p->class && (key.hi >> 32 & p->mask) == p->half;
}

/* --- filters --- */

static ns_status open_filter(filter *f, int slots_log, int shift)
{
    f->slot_mask = (UINT64_C(1) << slots_log) - 1;
    f->shift = shift;
    f->word = calloc((size_t)(f->slot_mask + 1) / 32, sizeof *f->word);
    return f->word != NULL ? NS_OK : ns_fail(NS_ENOMEM, "no memory to compare ids");
}

static void close_filter(filter *f)
{
    free(f->word);
    f->word = NULL;
}

static uint64_t slot_in(const filter *f, ns_hash128 key)
{
    return (key.lo >> f->shift ^ key.hi << (f->shift / 2)) & f->slot_mask;
}

static void hit(filter *f, ns_hash128 key)
{
    uint64_t slot = slot_in(f, key), bit = UINT64_C(1) << (slot & 63), *word = f->word + 2 * (slot >> 6);
    word[1] |= word[0] & bit;
    word[0] |= bit;
}

static bool was_hit_twice(const filter *f, ns_hash128 key)
{
    uint64_t slot = slot_in(f, key);
    return (f->word[2 * (slot >> 6) + 1] >> (slot & 63) & 1) != 0;
}

static void merge_words(void *from, void *into, int *n, MPI_Datatype *type)
{
    (void)type;
    const uint64_t *a = from;
    uint64_t *b = into;
    for (int i = 0; i < *n; i++, a += 2, b += 2) {
        b[1] |= a[1] | (a[0] & b[0]);
        b[0] |= a[0];
    }
}

/* What was hit on any rank, and twice on any rank or once on two. Collective. */
static void merge_filter(filter *f, MPI_Comm comm)
{
    MPI_Datatype pair;
    MPI_Op merge;
    MPI_Type_contiguous(2, MPI_UINT64_T, &pair);
    MPI_Type_commit(&pair);
    MPI_Op_create(merge_words, 1, &merge);
    int64_t n_pairs = (int64_t)((f->slot_mask + 1) / 64);
    for (int64_t at = 0; at < n_pairs; at += MERGE_WORDS / 2) {
        int64_t n = n_pairs - at < MERGE_WORDS / 2 ? n_pairs - at : MERGE_WORDS / 2;
        MPI_Allreduce(MPI_IN_PLACE, f->word + 2 * at, (int)n, pair, merge, comm);
    }
    MPI_Op_free(&merge);
    MPI_Type_free(&pair);
}

/*
 * The bits of a piece. They lie anywhere in tens of megabytes: asked for some rows ahead, and each thread sets those of
 * its own words. A word is hit by all its ids in some order, which does not matter.
 */
static void hit_piece(const search *s, const part *p, const ns_id_piece *piece, const filter *before, filter *f)
{
    enum { AHEAD = 16 };
#pragma omp parallel
    {
        uint64_t thread = (uint64_t)omp_get_thread_num(), n_threads = (uint64_t)omp_get_num_threads();
        for (int64_t r = 0; r < piece->n; r++) {
            if (r + AHEAD < piece->n && piece->use[r + AHEAD] != 0) {
                ns_hash128 key = s->key[r + AHEAD];
                uint64_t word = slot_in(f, key) >> 6;
                if (word % n_threads == thread) {
                    __builtin_prefetch(f->word + 2 * word, 1);
                    if (before != NULL) __builtin_prefetch(before->word + 2 * (slot_in(before, key) >> 6));
                }
            }
            if (piece->use[r] == 0 || !is_in(p, s->key[r]) || (slot_in(f, s->key[r]) >> 6) % n_threads != thread) continue;
            if (before == NULL || was_hit_twice(before, s->key[r])) hit(f, s->key[r]);
        }
    }
}

static ns_status fill_filter(search *s, const part *p, const filter *before, filter *f)
{
    for (int64_t i = 0; i < s->source->n_pieces; i++) {
        ns_id_piece piece;
        NS_TRY(read_piece(s, i, &piece));
        hit_piece(s, p, &piece, before, f);
    }
    return NS_OK;
}

/* The next filter over the ids that hit the one before twice; that one is closed. Collective. */
static ns_status refine(search *s, const part *p, int slots_log, int shift)
{
    filter before = s->filter;
    s->filter.word = NULL;
    ns_status status = open_filter(&s->filter, slots_log, shift);
    if (status == NS_OK) status = fill_filter(s, p, before.word != NULL ? &before : NULL, &s->filter);
    close_filter(&before);
    NS_TRY(ns_agree(status, s->comm));
    merge_filter(&s->filter, s->comm);
    return NS_OK;
}

/* Filters over the ids of a class, each by other bits of the hash. Where the first lets more than one id in sixteen pass by
   chance, a third keeps the table as small as few ids would. Collective. */
static ns_status build_filters(search *s, const part *p, int slots_log, int64_t n_ids)
{
    NS_TRY(refine(s, p, slots_log, 0));
    NS_TRY(refine(s, p, slots_log, 32));
    if (n_ids / (int64_t)p->n_classes > INT64_C(1) << (slots_log - 4)) NS_TRY(refine(s, p, slots_log, 16));
    return NS_OK;
}

/* --- the table of what is left --- */

/* The id of a row as text; a number's key is the number itself. */
static const char *text_at(const ns_id_piece *piece, int64_t row, int32_t *n_bytes)
{
    *n_bytes = 0;
    if (piece->text == NULL) return NULL;
    const int64_t *at = piece->text->offset + row;
    *n_bytes = (int32_t)(at[1] - at[0]);
    return *n_bytes > 0 ? piece->text->bytes + at[0] : "";
}

static bool is_candidate(const search *s, const part *p, const ns_id_piece *piece, int64_t row)
{
    return piece->use[row] != 0 && is_in(p, s->key[row]) &&
           (!s->filtered || was_hit_twice(&s->filter, s->key[row]));
}

/* Distinct candidates of this rank; p is halved as often as the table needs. Local. */
static ns_status collect(search *s, part *p)
{
    if (!s->filtered) ns_id_table_reserve(&s->table, s->source->n_rows);
    for (int64_t i = 0; i < s->source->n_pieces; i++) {
        ns_id_piece piece;
        NS_TRY(read_piece(s, i, &piece));
        for (int64_t r = 0; r < piece.n; r++) {
            int32_t n_bytes;
            bool full = true;
            const char *text = text_at(&piece, r, &n_bytes);
            if (s->filtered && r + 16 < piece.n && piece.use[r + 16] != 0)
                __builtin_prefetch(s->filter.word + 2 * (slot_in(&s->filter, s->key[r + 16]) >> 6));
            while (full && is_candidate(s, p, &piece, r)) {
                NS_TRY(ns_id_table_add(&s->table, s->key[r], text, n_bytes, &full));
                if (!full) break;
                if (p->mask >> MOST_HALVINGS != 0)
                    return ns_fail(NS_ENOMEM, "no memory to compare ids: too many share a hash");
                p->mask = 2 * p->mask + 1;
                NS_TRY(ns_id_table_keep(&s->table, p->mask << 32, p->half << 32));
            }
        }
    }
    return NS_OK;
}

/* An entry on its way to its owner; the text follows in a message of its own. */
typedef struct question {
    uint64_t hi, lo;
    int64_t at; /* at the owner: of its text */
    int32_t n_bytes;
    uint8_t many;
} question;

typedef struct counts {
    int *n_to, *n_from, *first_to, *first_from;
} counts;

static ns_status open_counts(counts *c, int n_ranks)
{
    c->n_to = calloc(4 * (size_t)n_ranks, sizeof *c->n_to);
    if (c->n_to == NULL) return ns_fail(NS_ENOMEM, "no memory to compare ids");
    c->n_from = c->n_to + n_ranks;
    c->first_to = c->n_from + n_ranks;
    c->first_from = c->first_to + n_ranks;
    return NS_OK;
}

/* After n_to is counted: the rest. Returns how many come in. */
static int64_t agree_counts(counts *c, int n_ranks, MPI_Comm comm)
{
    MPI_Alltoall(c->n_to, 1, MPI_INT, c->n_from, 1, MPI_INT, comm);
    int64_t sum = 0;
    for (int i = 1; i < n_ranks; i++) c->first_to[i] = c->first_to[i - 1] + c->n_to[i - 1];
    for (int i = 0; i < n_ranks; i++) {
        c->first_from[i] = (int)sum;
        sum += c->n_from[i];
    }
    return sum;
}

static int owner_of(const search *s, ns_hash128 key)
{
    return (int)(key.lo % (uint64_t)s->n_ranks);
}

typedef struct mail {
    counts questions, texts;
    question *out, *in;
    char *out_text, *in_text;
    uint8_t *answer, *answers; /* by the order of in, and of out */
    int64_t *entry_of;         /* [table.n] which entry each question of out is about */
    int64_t n_in, n_in_text;
} mail;

static void close_mail(mail *m)
{
    free(m->questions.n_to);
    free(m->texts.n_to);
    free(m->out);
    free(m->in);
    free(m->out_text);
    free(m->in_text);
    free(m->answer);
    free(m->answers);
    free(m->entry_of);
}

static ns_status open_mail(search *s, mail *m)
{
    int64_t n = s->table.n + 1;
    ns_status status = open_counts(&m->questions, s->n_ranks);
    if (status == NS_OK) status = open_counts(&m->texts, s->n_ranks);
    m->out = malloc((size_t)n * sizeof *m->out);
    m->out_text = malloc((size_t)s->table.n_bytes + 1);
    m->answers = calloc((size_t)n, 1);
    m->entry_of = malloc((size_t)n * sizeof *m->entry_of);
    if (m->out == NULL || m->out_text == NULL || m->answers == NULL || m->entry_of == NULL)
        status = ns_fail(NS_ENOMEM, "no memory to compare ids");
    return status;
}

/* Sorts this rank's entries by owner and sends them. Collective. */
static ns_status send_questions(search *s, mail *m)
{
    NS_TRY(ns_agree(open_mail(s, m), s->comm));
    const ns_id_table *t = &s->table;
    for (int64_t i = 0; i < t->n; i++) {
        m->questions.n_to[owner_of(s, t->entry[i].key)]++;
        m->texts.n_to[owner_of(s, t->entry[i].key)] += t->entry[i].n_bytes;
    }
    m->n_in = agree_counts(&m->questions, s->n_ranks, s->comm);
    m->n_in_text = agree_counts(&m->texts, s->n_ranks, s->comm);
    int *next = calloc(2 * (size_t)s->n_ranks, sizeof *next);
    m->in = malloc(((size_t)m->n_in + 1) * sizeof *m->in);
    m->in_text = malloc((size_t)m->n_in_text + 1);
    m->answer = calloc((size_t)m->n_in + 1, 1);
    bool lacking = next == NULL || m->in == NULL || m->in_text == NULL || m->answer == NULL;
    ns_status status = ns_agree(lacking ? ns_fail(NS_ENOMEM, "no memory to compare ids") : NS_OK, s->comm);
    for (int64_t i = 0; i < t->n && status == NS_OK; i++) {
        const ns_id_entry *e = &t->entry[i];
        int to = owner_of(s, e->key);
        int64_t place = m->questions.first_to[to] + next[2 * to]++;
        m->out[place] = (question){.hi = e->key.hi, .lo = e->key.lo, .n_bytes = e->n_bytes, .many = e->many};
        m->entry_of[place] = i;
        if (e->n_bytes > 0)
            memcpy(m->out_text + m->texts.first_to[to] + next[2 * to + 1], t->bytes + e->at,
                   (size_t)e->n_bytes);
        next[2 * to + 1] += e->n_bytes;
    }
    free(next);
    if (status != NS_OK) return status;
    MPI_Datatype type;
    MPI_Type_contiguous((int)sizeof(question), MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Alltoallv(m->out, m->questions.n_to, m->questions.first_to, type, m->in, m->questions.n_from,
                  m->questions.first_from, type, s->comm);
    MPI_Type_free(&type);
    MPI_Alltoallv(m->out_text, m->texts.n_to, m->texts.first_to, MPI_CHAR, m->in_text, m->texts.n_from,
                  m->texts.first_from, MPI_CHAR, s->comm);
    return NS_OK;
}

/* The owner's part: which of the ids that came in stand on several rows. Local. */
static ns_status answer_questions(mail *m)
{
    ns_id_table seen = {.limit_bytes = INT64_MAX};
    ns_status status = NS_OK;
    int64_t at = 0;
    bool full;
    for (int64_t i = 0; i < m->n_in && status == NS_OK; i++) {
        question *q = &m->in[i];
        q->at = at;
        at += q->n_bytes;
        status = ns_id_table_add(&seen, (ns_hash128){q->hi, q->lo}, m->in_text + q->at, q->n_bytes, &full);
        if (status == NS_OK && q->many)
            status =
                ns_id_table_add(&seen, (ns_hash128){q->hi, q->lo}, m->in_text + q->at, q->n_bytes, &full);
    }
    for (int64_t i = 0; i < m->n_in && status == NS_OK; i++) {
        const question *q = &m->in[i];
        m->answer[i] =
            ns_id_table_find(&seen, (ns_hash128){q->hi, q->lo}, m->in_text + q->at, q->n_bytes)->many;
    }
    ns_id_table_clear(&seen);
    return status;
}

/* As find_duplicates below, of several ranks. Collective. */
static ns_status ask_owners(search *s, bool *any)
{
    mail m = {0};
    ns_status status = send_questions(s, &m);
    if (status == NS_OK) status = ns_agree(answer_questions(&m), s->comm);
    if (status == NS_OK) {
        MPI_Alltoallv(m.answer, m.questions.n_from, m.questions.first_from, MPI_UINT8_T, m.answers,
                      m.questions.n_to, m.questions.first_to, MPI_UINT8_T, s->comm);
        int64_t n = 0;
        for (int64_t i = 0; i < s->table.n; i++) {
            s->table.entry[m.entry_of[i]].is_duplicate = m.answers[i];
            n += m.answers[i];
        }
        ns_max_i64(&n, 1, s->comm);
        *any = n > 0;
    }
    close_mail(&m);
    return status;
}

static ns_status mark(search *s, const part *p)
{
    for (int64_t i = 0; i < s->source->n_pieces; i++) {
        ns_id_piece piece;
        NS_TRY(read_piece(s, i, &piece));
        for (int64_t r = 0; r < piece.n; r++) {
            if (!is_candidate(s, p, &piece, r)) continue;
            int32_t n_bytes;
            const char *text = text_at(&piece, r, &n_bytes);
            const ns_id_entry *e = ns_id_table_find(&s->table, s->key[r], text, n_bytes);
            if (e == NULL || !e->is_duplicate) continue;
            s->duplicate[(piece.first + r) >> 3] |= (uint8_t)(1u << ((piece.first + r) & 7));
            s->n_marked++;
        }
    }
    return NS_OK;
}

/* Sets is_duplicate of the table's entries. *any: on some rank one is. Collective. */
static ns_status find_duplicates(search *s, bool *any)
{
    if (s->n_ranks > 1) return ask_owners(s, any);
    *any = false;
    for (int64_t i = 0; i < s->table.n; i++) {
        s->table.entry[i].is_duplicate = s->table.entry[i].many;
        *any = *any || s->table.entry[i].many;
    }
    return NS_OK;
}

/* The ids of a part; those halves that did not fit are left for later, their number agreed on. Collective. */
static ns_status search_part(search *s, part *p)
{
    ns_status status = collect(s, p);
    int64_t kept = (int64_t)p->mask, mask = kept;
    NS_TRY(ns_agree(status, s->comm));
    ns_max_i64(&mask, 1, s->comm);
    p->mask = (uint64_t)mask;
    status = mask == kept ? NS_OK : ns_id_table_keep(&s->table, p->mask << 32, p->half << 32);
    NS_TRY(ns_agree(status, s->comm));
    bool any = false;
    NS_TRY(find_duplicates(s, &any));
    return any ? ns_agree(mark(s, p), s->comm) : NS_OK;
}

static ns_status search_class(search *s, part whole)
{
    part todo[MOST_HALVINGS + 2] = {whole};
    int n_todo = 1;
    while (n_todo > 0) {
        part p = todo[--n_todo], from = p;
        ns_status status = search_part(s, &p);
        ns_id_table_clear(&s->table);
        NS_TRY(status);
        for (uint64_t mask = from.mask; mask != p.mask; mask = 2 * mask + 1) {
            from.half = p.half + mask + 1;
            from.mask = 2 * mask + 1;
            todo[n_todo++] = from;
        }
    }
    return NS_OK;
}

/* Filters of a quarter of the memory each, the table with half of it. */
static ns_status search_all(search *s, int64_t n_ids)
{
    int64_t memory = s->limits.memory_bytes;
    int slots_log = LEAST_SLOTS_LOG;
    while (slots_log < 32 && (INT64_C(2) << slots_log) / 4 <= memory / 4) slots_log++; /* two bits a slot */
    s->table.limit_bytes = memory / 2;
    s->filtered = n_ids > memory / 2 / (int64_t)(2 * (sizeof(ns_id_entry) + 2 * sizeof(int64_t)));
    part p = {.n_classes = 1};
    if (s->filtered) {
        bool ascend;
        NS_TRY(ns_ids_ascend(s->source, &ascend, s->comm));
        if (ascend) return NS_OK; /* each stands alone */
        p.n_classes = (uint64_t)(n_ids >> (slots_log - 1)) + 1;
    }
    for (p.class = 0; p.class < p.n_classes; p.class ++) {
        if (s->filtered) NS_TRY(build_filters(s, &p, slots_log, n_ids));
        ns_status status = search_class(s, p);
        close_filter(&s->filter);
        NS_TRY(status);
    }
    return NS_OK;
}

ns_status ns_duplicates_find(const ns_id_source *source, const ns_duplicates_limits *limits,
                             uint8_t *duplicate, int64_t *n_found, MPI_Comm comm)
{
    search s = {.source = source, .limits = *limits, .comm = comm, .duplicate = duplicate};
    int64_t n_ids = source->n_rows;
    MPI_Comm_size(comm, &s.n_ranks);
    ns_sum_i64(&n_ids, 1, comm);
    ns_status status = search_all(&s, n_ids);
    close_filter(&s.filter);
    ns_id_table_clear(&s.table);
    free(s.key);
    *n_found = s.n_marked;
    ns_sum_i64(n_found, 1, comm);
    return status;
}
