/* The device end. */
#pragma once
#include "ring.h"

struct device {
    struct ring r;
    /* region lookup, with the last hit */
    uint64_t start, length;
    uint8_t *host;
    const struct region *regions;
    uint32_t region_count;
    /* the chain at hand */
    struct segment *items;
    uint32_t capacity, count, readable;
    uint64_t bytes;
    int fault;
    uint16_t id, slots;
    /* split */
    uint16_t next_avail, seen_avail, next_used, published;
    bool may_suppress;
    /* packed */
    uint32_t avail, used;
    bool avail_wrap, used_wrap;
    int32_t batch_start;
    uint16_t batch_flags;
    uint16_t event_flags;

    uint64_t notifications, checksum, sequence;
};

static COLD bool aim(struct device *d, uint64_t addr)
{
    int low = 0, high = (int)d->region_count - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        const struct region *g = &d->regions[middle];
        if (addr < g->start) {
            high = middle - 1;
        } else if (addr - g->start >= g->length) {
            low = middle + 1;
        } else {
            d->start = g->start;
            d->length = g->length;
            d->host = g->host;
            return true;
        }
    }
    return false;
}

static inline uint8_t *translate(struct device *d, uint64_t addr, uint32_t len)
{
    uint64_t offset = addr - d->start;
    if (unlikely(offset >= d->length)) {
        if (!aim(d, addr))
            return NULL;
        offset = addr - d->start;
    }
    return likely(len <= d->length - offset) ? d->host + offset : NULL;
}

/* An empty buffer, one that spans regions, or one that is wrong. */
static COLD bool add_unusual(struct device *d, uint64_t addr, uint32_t len, bool writable)
{
    if (d->bytes > UINT32_MAX)
        return d->fault = 1, false;
    while (len > 0) {
        if (!aim(d, addr) || d->count == d->capacity)
            return d->fault = 1, false;
        uint64_t offset = addr - d->start, room = d->length - offset;
        uint32_t piece = len < room ? len : (uint32_t)room;
        d->items[d->count++] = (struct segment){ d->host + offset, piece };
        addr += piece;
        len -= piece;
        if (addr == 0 && len > 0)
            return d->fault = 1, false;
    }
    if (!writable)
        d->readable = d->count;
    return true;
}

static inline bool add_segment(struct device *d, uint64_t addr, uint32_t len, bool writable)
{
    if (!writable && unlikely(d->readable != d->count))                               /* §2.7.4.2 */
        return d->fault = 1, false;
    d->bytes += len;
    uint8_t *host;
    if (unlikely(len == 0 || d->bytes > UINT32_MAX || d->count == d->capacity || !(host = translate(d, addr, len))))
        return add_unusual(d, addr, len, writable);
    d->items[d->count++] = (struct segment){ host, len };
    if (!writable)
        d->readable = d->count;
    return true;
}

static inline void clear_chain(struct device *d)
{
    d->count = d->readable = 0;
    d->bytes = 0;
    d->fault = 0;
}

static inline struct entry *find_table(struct device *d, struct entry e, uint16_t flags)
{
    uint32_t len = (uint32_t)e.rest;
    if (!d->r.indirect || (flags & NEXT) || len == 0 || len % sizeof(struct entry) != 0)
        return d->fault = 1, NULL;                                                    /* §2.7.5.3.1 */
    struct entry *table = (struct entry *)translate(d, e.addr, len);
    if (!table)
        d->fault = 1;
    return table;
}

/* 1: popped (perhaps with a fault), 0: nothing available, negative: the ring is broken. */
static inline bool split_has_available(struct device *d, int *error)
{
    if (d->next_avail != d->seen_avail)
        return true;
    d->seen_avail = LOAD_ACQUIRE(avail_idx(&d->r));
    uint16_t ahead = d->seen_avail - d->next_avail;
    if (ahead > d->r.size)
        return *error = BROKEN, false;
    return ahead != 0;
}

static inline int split_pop(struct device *d)
{
    int error = 0;
    if (!split_has_available(d, &error))
        return error;
    uint16_t head = LOAD_ONCE(&avail_ring(&d->r)[d->next_avail & d->r.mask]);
    if (unlikely(head >= d->r.size))
        return BROKEN;
    d->next_avail++;
    d->id = head;
    clear_chain(d);

    uint32_t index = head;
    for (uint32_t left = d->r.size; left > 0; left--) {
        struct entry e = copy_entry(&d->r.desc[index]);
        uint16_t flags = e.rest >> 32;
        if (flags & INDIRECT) {
            struct entry *table = find_table(d, e, flags);
            if (!table)
                return 1;
            uint32_t count = (uint32_t)e.rest / sizeof(struct entry), at = 0;
            for (uint32_t rest = count < d->capacity ? count : d->capacity; rest > 0; rest--) {
                e = copy_entry(&table[at]);
                flags = e.rest >> 32;
                if (flags & INDIRECT)
                    return d->fault = 1;
                if (!add_segment(d, e.addr, (uint32_t)e.rest, flags & WRITE) || !(flags & NEXT))
                    return 1;
                at = e.rest >> 48;
                if (at >= count)
                    return d->fault = 1;
            }
            return d->fault = 1;
        }
        if (!add_segment(d, e.addr, (uint32_t)e.rest, flags & WRITE) || !(flags & NEXT))
            return 1;
        index = e.rest >> 48;
        if (unlikely(index >= d->r.size))
            return BROKEN;
    }
    return BROKEN;                                                                    /* it loops */
}

static inline void split_push(struct device *d, uint32_t written)
{
    used_ring(&d->r)[d->next_used & d->r.mask] = (struct used_elem){ d->id, written };
    d->next_used++;
}

static inline bool split_publish(struct device *d)
{
    uint16_t old = d->published;
    if (d->next_used == old)
        return false;
    STORE_RELEASE(used_idx(&d->r), d->next_used);
    d->published = d->next_used;
    FULL_FENCE();                                                                     /* index before event: §2.7.10.1 */
    if (!d->r.event_idx)
        return !(LOAD_ONCE(u16_at(d->r.driver, 0)) & 1);
    bool notify = !d->may_suppress || passed(LOAD_ONCE(used_event(&d->r)), d->next_used, old);
    d->may_suppress = true;
    return notify;
}

static inline bool packed_has_available(struct device *d)
{
    uint16_t flags = LOAD_ACQUIRE(flags_of(&d->r, d->avail));
    return (flags & (AVAIL | USED)) == (d->avail_wrap ? AVAIL : USED);                /* §2.8.1 */
}

static inline int packed_pop(struct device *d)
{
    if (!packed_has_available(d))
        return 0;
    clear_chain(d);
    uint32_t index = d->avail;
    for (uint32_t slots = 1; slots <= d->r.size; slots++) {
        struct entry e = copy_entry(&d->r.desc[index]);
        uint16_t flags = e.rest >> 48, id = e.rest >> 32;
        if (++index == d->r.size)
            index = 0;
        if (likely(!d->fault)) {
            if (flags & INDIRECT) {
                struct entry *table = find_table(d, e, flags);
                uint32_t count = (uint32_t)e.rest / sizeof(struct entry);
                if (count > d->capacity)
                    d->fault = 1;
                else if (table)
                    for (uint32_t i = 0; i < count; i++) {
                        struct entry t = copy_entry(&table[i]);
                        if (!add_segment(d, t.addr, (uint32_t)t.rest, (t.rest >> 48) & WRITE))
                            break;
                    }
            } else {
                add_segment(d, e.addr, (uint32_t)e.rest, flags & WRITE);
            }
        }
        if (flags & NEXT)
            continue;
        if (unlikely(id >= d->r.size))
            return BROKEN;
        if (index <= d->avail)
            d->avail_wrap = !d->avail_wrap;
        d->avail = index;
        d->id = id;
        d->slots = (uint16_t)slots;
        return 1;
    }
    return BROKEN;                                                                    /* it does not end */
}

static inline void packed_push(struct device *d, uint32_t written)
{
    uint8_t *entry = (uint8_t *)&d->r.desc[d->used];
    uint16_t flags = (d->used_wrap ? AVAIL | USED : 0) | (written ? WRITE : 0);
    *(uint32_t *)(entry + 8) = written;
    *(uint16_t *)(entry + 12) = d->id;
    if (d->batch_start < 0) {
        d->batch_start = d->used;                                                     /* its flags are written last */
        d->batch_flags = flags;
    } else {
        *(uint16_t *)(entry + 14) = flags;
    }
    d->used += d->slots;
    if (d->used >= d->r.size) {
        d->used -= d->r.size;
        d->used_wrap = !d->used_wrap;
    }
}

static inline bool packed_publish(struct device *d)
{
    if (d->batch_start < 0)
        return false;
    int old = d->batch_start;
    STORE_RELEASE(flags_of(&d->r, old), d->batch_flags);
    d->batch_start = -1;
    FULL_FENCE();                                                                     /* §2.8.21.3.1, seen from here */
    uint16_t want = LOAD_ONCE(u16_at(d->r.driver, 2)) & 3;
    if (want != EVENT_DESC || !d->r.event_idx)
        return want != EVENT_DISABLE;
    return packed_passed(d->r.size, LOAD_ONCE(u16_at(d->r.driver, 0)), d->used, d->used_wrap, old);
}

static inline void device_suppress(struct device *d, bool packed)
{
    if (packed) {
        if (d->event_flags != EVENT_DISABLE)
            STORE_RELEASE(u16_at(d->r.device, 2), d->event_flags = EVENT_DISABLE);
    } else if (!d->r.event_idx) {
        STORE_RELEASE(u16_at(d->r.device, 0), 1);
    }
}

static inline bool device_rearm(struct device *d, bool packed, int *error)
{
    if (packed) {
        if (d->r.event_idx)
            STORE_RELEASE(u16_at(d->r.device, 0), (uint16_t)(d->avail | d->avail_wrap << 15));
        STORE_RELEASE(u16_at(d->r.device, 2), d->event_flags = d->r.event_idx ? EVENT_DESC : EVENT_ENABLE);
    } else if (d->r.event_idx) {
        STORE_RELEASE(avail_event(&d->r), d->next_avail);
    } else {
        STORE_RELEASE(u16_at(d->r.device, 0), 0);
    }
    FULL_FENCE();
    return packed ? packed_has_available(d) : split_has_available(d, error);
}

static inline int device_pop(struct device *d, bool packed) { return packed ? packed_pop(d) : split_pop(d); }
static inline void device_push(struct device *d, bool packed, uint32_t written) { if (packed) packed_push(d, written); else split_push(d, written); }
static inline bool device_publish(struct device *d, bool packed) { return packed ? packed_publish(d) : split_publish(d); }

EXPORT struct device *ref_device_new(bool packed, int size, void *desc, void *driver, void *device, bool indirect, bool event_idx,
                                     const struct region *regions, int region_count)
{
    struct device *d = aligned_alloc(256, (sizeof *d + 255) & ~255u);
    memset(d, 0, sizeof *d);
    d->r = (struct ring){ desc, driver, device, size, size - 1, packed, indirect, event_idx };
    d->regions = regions;
    d->region_count = region_count;
    d->capacity = size > 1024 ? size : 1024;
    d->items = aligned_alloc(256, d->capacity * sizeof *d->items);
    d->avail_wrap = d->used_wrap = true;
    d->batch_start = -1;
    d->event_flags = 0xFFFF;
    return d;
}

EXPORT void ref_device_free(struct device *d)
{
    free(d->items);
    free(d);
}

