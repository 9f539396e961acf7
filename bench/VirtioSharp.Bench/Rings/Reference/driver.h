/* The driver end. */
#pragma once
#include "ring.h"

struct inflight { uint32_t sequence, writable; uint16_t slots; };

struct driver {
    struct ring r;
    uint64_t tables_addr;
    struct entry *tables;
    struct inflight *chains;                                                          /* private: what claims are checked against */
    uint16_t *next;                                                                   /* split: free list; packed: stack of ids */
    uint32_t free, added, shown, in_flight;
    /* split */
    uint16_t first_free, next_avail, published, next_used;
    /* packed */
    uint32_t free_ids, avail, used;
    bool avail_wrap, used_wrap;
    int32_t batch_start;
    uint16_t batch_flags;

    uint64_t notifications, checksum, sequence, answered;
    uint64_t *tokens;
};

static inline void note_added(struct driver *v, uint16_t id, uint32_t slots, const struct buffer *b, int readable, int count)
{
    uint64_t writable = 0;
    for (int i = readable; i < count; i++)
        writable += b[i].length;
    v->chains[id] = (struct inflight){ v->added++, writable > UINT32_MAX ? UINT32_MAX : (uint32_t)writable, slots };
    v->free -= slots;
}

static inline uint16_t split_flags(int i, int readable, int count) { return (i >= readable ? WRITE : 0) | (i + 1 < count ? NEXT : 0); }

static inline int split_add(struct driver *v, const struct buffer *b, int readable, int count)
{
    bool indirect = v->tables && count > 1 && count <= MAX_TABLE;
    uint32_t slots = indirect ? 1 : count;
    if (slots > v->free)
        return FULL;
    uint16_t id = v->first_free;
    if (indirect) {
        struct entry *t = v->tables + (size_t)id * MAX_TABLE;
        for (int i = 0; i < count; i++)
            t[i] = (struct entry){ b[i].addr, split_rest(b[i].length, split_flags(i, readable, count), i + 1 < count ? i + 1 : 0) };
        v->r.desc[id] = (struct entry){ v->tables_addr + (uint64_t)id * MAX_TABLE * sizeof *t, split_rest(count * sizeof *t, INDIRECT, 0) };
        v->first_free = v->next[id];
    } else {
        uint16_t index = id;
        for (int i = 0; i < count; i++) {
            uint16_t next = v->next[index];
            v->r.desc[index] = (struct entry){ b[i].addr, split_rest(b[i].length, split_flags(i, readable, count), i + 1 < count ? next : 0) };
            index = next;
        }
        v->first_free = index;
    }
    note_added(v, id, slots, b, readable, count);
    avail_ring(&v->r)[v->next_avail & v->r.mask] = id;
    v->next_avail++;
    return id;
}

static inline void driver_show(struct driver *v)
{
    v->in_flight += v->added - v->shown;
    v->shown = v->added;
}

static inline bool split_driver_publish(struct driver *v)
{
    uint16_t old = v->published;
    if (v->next_avail == old)
        return false;
    STORE_RELEASE(avail_idx(&v->r), v->next_avail);                                   /* §2.7.13.3 */
    v->published = v->next_avail;
    driver_show(v);
    FULL_FENCE();                                                                     /* §2.7.13.4.1 */
    if (v->r.event_idx)
        return passed(LOAD_ONCE(avail_event(&v->r)), v->next_avail, old);
    return !(LOAD_ONCE(u16_at(v->r.device, 0)) & 1);
}

/* Takes back the chain the device claims to have used: it must be one that it was shown and has not used before. */
static inline int take(struct driver *v, uint32_t id, uint32_t *length, uint32_t *slots)
{
    if (unlikely(id >= v->r.size))
        return BROKEN;
    struct inflight *c = &v->chains[id];
    if (unlikely(c->slots == 0 || (int32_t)(c->sequence - v->shown) >= 0))
        return BROKEN;
    if (*length > c->writable)
        *length = c->writable;
    *slots = c->slots;
    c->slots = 0;
    v->in_flight--;
    v->free += *slots;
    return (int)id;
}

/* The id of a used chain, FULL when there is none, BROKEN. */
static inline int split_get(struct driver *v, uint32_t *length)
{
    uint16_t count = LOAD_ACQUIRE(used_idx(&v->r)) - v->next_used;
    if (count == 0)
        return FULL;
    if (unlikely(count > v->in_flight))
        return BROKEN;
    struct used_elem *e = &used_ring(&v->r)[v->next_used & v->r.mask];
    uint32_t slots;
    *length = LOAD_ONCE(&e->len);
    int id = take(v, LOAD_ONCE(&e->id), length, &slots);
    if (unlikely(id < 0))
        return id;
    v->next_used++;
    uint16_t last = id;
    for (uint32_t i = 1; i < slots; i++)
        last = v->next[last];
    v->next[last] = v->first_free;
    v->first_free = id;
    return id;
}

static inline void packed_put(struct driver *v, uint64_t addr, uint32_t length, uint16_t id, uint16_t flags)
{
    flags |= v->avail_wrap ? AVAIL : USED;
    uint8_t *e = (uint8_t *)&v->r.desc[v->avail];
    *(uint64_t *)e = addr;
    *(uint32_t *)(e + 8) = length;
    *(uint16_t *)(e + 12) = id;
    if (v->batch_start < 0) {
        v->batch_start = v->avail;
        v->batch_flags = flags;
    } else {
        *(uint16_t *)(e + 14) = flags;
    }
    if (++v->avail == v->r.size) {
        v->avail = 0;
        v->avail_wrap = !v->avail_wrap;
    }
}

static inline int packed_add(struct driver *v, const struct buffer *b, int readable, int count)
{
    bool indirect = v->tables && count > 1 && count <= MAX_TABLE;
    uint32_t slots = indirect ? 1 : count;
    if (slots > v->free)
        return FULL;
    uint16_t id = v->next[--v->free_ids];
    note_added(v, id, slots, b, readable, count);
    if (indirect) {
        struct entry *t = v->tables + (size_t)id * MAX_TABLE;
        for (int i = 0; i < count; i++)
            t[i] = (struct entry){ b[i].addr, packed_rest(b[i].length, 0, i >= readable ? WRITE : 0) };
        packed_put(v, v->tables_addr + (uint64_t)id * MAX_TABLE * sizeof *t, count * sizeof *t, id, INDIRECT);
    } else {
        for (int i = 0; i < count; i++)
            packed_put(v, b[i].addr, b[i].length, id, split_flags(i, readable, count));
    }
    return id;
}

static inline bool packed_driver_publish(struct driver *v)
{
    if (v->batch_start < 0)
        return false;
    int old = v->batch_start;
    STORE_RELEASE(flags_of(&v->r, old), v->batch_flags);                              /* §2.8.20 */
    v->batch_start = -1;
    driver_show(v);
    FULL_FENCE();                                                                     /* §2.8.21.3.1 */
    uint16_t want = LOAD_ONCE(u16_at(v->r.device, 2)) & 3;
    if (want != EVENT_DESC || !v->r.event_idx)
        return want != EVENT_DISABLE;
    return packed_passed(v->r.size, LOAD_ONCE(u16_at(v->r.device, 0)), v->avail, v->avail_wrap, old);
}

static inline int packed_get(struct driver *v, uint32_t *length)
{
    if (v->in_flight == 0)
        return FULL;
    uint16_t flags = LOAD_ACQUIRE(flags_of(&v->r, v->used));
    if ((flags & (AVAIL | USED)) != (v->used_wrap ? AVAIL | USED : 0))
        return FULL;
    uint64_t rest = LOAD_ONCE(&v->r.desc[v->used].rest);
    uint32_t slots;
    *length = (uint32_t)rest;
    int id = take(v, (uint16_t)(rest >> 32), length, &slots);
    if (unlikely(id < 0))
        return id;
    v->used += slots;
    if (v->used >= v->r.size) {
        v->used -= v->r.size;
        v->used_wrap = !v->used_wrap;
    }
    v->next[v->free_ids++] = id;
    return id;
}

static inline int driver_add(struct driver *v, bool packed, const struct buffer *b, int readable, int count) { return packed ? packed_add(v, b, readable, count) : split_add(v, b, readable, count); }
static inline bool driver_publish(struct driver *v, bool packed) { return packed ? packed_driver_publish(v) : split_driver_publish(v); }
static inline int driver_get(struct driver *v, bool packed, uint32_t *length) { return packed ? packed_get(v, length) : split_get(v, length); }

EXPORT struct driver *ref_driver_new(bool packed, int size, void *desc, void *driver, void *device, bool event_idx, uint64_t tables_addr, void *tables)
{
    struct driver *v = aligned_alloc(256, (sizeof *v + 255) & ~255u);
    memset(v, 0, sizeof *v);
    v->r = (struct ring){ desc, driver, device, size, size - 1, packed, tables != NULL, event_idx };
    v->tables_addr = tables_addr;
    v->tables = tables;
    v->chains = calloc(size, sizeof *v->chains);
    v->next = calloc(size, sizeof *v->next);
    v->tokens = calloc(size, sizeof *v->tokens);
    v->free = v->free_ids = size;
    for (int i = 0; i < size; i++)
        v->next[i] = packed ? size - 1 - i : i + 1;
    v->avail_wrap = v->used_wrap = true;
    v->batch_start = -1;
    return v;
}

EXPORT void ref_driver_free(struct driver *v)
{
    free(v->chains);
    free(v->next);
    free(v->tokens);
    free(v);
}

