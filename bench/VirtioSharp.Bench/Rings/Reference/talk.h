/* Driver and device that talk to each other, with content that is checked. */
#include "device.h"
#include "driver.h"

/*
 * A request carries its number in 8 readable bytes; the answer is the number times MAGIC in the first 8 of TEST_DATA
 * writable bytes, and a status byte 0. The driver uses TEST_SLOTS sets of buffers in turn, three buffers in each.
 */
#define MAGIC 0x9E3779B97F4A7C15u

/* -2: the request is not the one that should come next. */
static inline int64_t answer(struct device *d)
{
    if (unlikely(d->fault || d->count != 3 || d->readable != 1 || d->items[0].length != 8 || d->items[1].length != TEST_DATA || d->items[2].length != 1))
        return FAULTY;
    uint64_t number;
    memcpy(&number, d->items[0].host, 8);
    if (unlikely(number != d->sequence))
        return WRONG_CONTENT;
    d->sequence++;
    number *= MAGIC;
    memcpy(d->items[1].host, &number, 8);
    *d->items[2].host = 0;
    return TEST_DATA + 1;
}

static inline int64_t serve(struct device *d, bool packed, int64_t chains, int batch, bool wait)
{
    int64_t done = 0;
    for (int waiting = 0; done < chains;) {
        int popped = device_pop(d, packed);
        if (popped == 0) {
            if (waiting) {
                d->notifications += device_publish(d, packed);
                waiting = 0;
            }
            if (wait)
                continue;
            return done;
        }
        int64_t written = popped < 0 ? popped : answer(d);
        if (unlikely(written < 0))
            return written;
        device_push(d, packed, (uint32_t)written);
        done++;
        if (++waiting == batch || done == chains) {
            d->notifications += device_publish(d, packed);
            waiting = 0;
        }
    }
    return done;
}

/* Serves requests until so many are done; with wait, also those that are yet to come. */
EXPORT int64_t ref_device_serve(struct device *d, int64_t chains, int batch, bool wait)
{
    return d->r.packed ? serve(d, true, chains, batch, wait) : serve(d, false, chains, batch, wait);
}

static inline bool submit(struct driver *v, bool packed, const struct buffer *b)
{
    if (v->sequence - v->answered == TEST_SLOTS)
        return false;
    const struct buffer *set = b + (v->sequence % TEST_SLOTS) * 3;
    memcpy(set[0].host, &v->sequence, 8);
    memset(set[1].host, 0, 8);
    *set[2].host = 0xFF;
    int id = driver_add(v, packed, set, 1, 3);
    if (id < 0)
        return false;
    v->tokens[id] = v->sequence++;
    return true;
}

/* 1: an answer was taken, 0: none is there, negative: it is wrong. */
static inline int collect(struct driver *v, bool packed, const struct buffer *b)
{
    uint32_t length;
    int id = driver_get(v, packed, &length);
    if (id < 0)
        return id == FULL ? 0 : id;
    const struct buffer *set = b + (v->tokens[id] % TEST_SLOTS) * 3;
    uint64_t number;
    memcpy(&number, set[1].host, 8);
    if (unlikely(v->tokens[id] != v->answered || number != v->answered * MAGIC || *set[2].host != 0 || length != TEST_DATA + 1))
        return WRONG_CONTENT;
    v->answered++;
    return 1;
}

static inline int64_t drive(struct driver *v, bool packed, const struct buffer *b, int64_t chains, int depth)
{
    uint64_t end = v->answered + chains;
    while (v->answered < end) {
        while (v->sequence < end && v->sequence - v->answered < (uint64_t)depth && submit(v, packed, b))
            v->notifications += driver_publish(v, packed);
        int got = collect(v, packed, b);
        if (unlikely(got < 0))
            return got;
    }
    return chains;
}

/* Keeps so many requests in flight, each published at once, until so many are answered. */
EXPORT int64_t ref_driver_drive(struct driver *v, const struct buffer *b, int64_t chains, int depth)
{
    return v->r.packed ? drive(v, true, b, chains, depth) : drive(v, false, b, chains, depth);
}

/* Adds up to so many requests, publishes them together, and says how many fitted. */
EXPORT int ref_driver_submit(struct driver *v, const struct buffer *b, int chains)
{
    int done = 0;
    while (done < chains && submit(v, v->r.packed, b))
        done++;
    v->notifications += driver_publish(v, v->r.packed);
    return done;
}

/* Takes and checks the answers that are there. */
EXPORT int64_t ref_driver_collect(struct driver *v, const struct buffer *b)
{
    int64_t done = 0;
    for (;; done++) {
        int got = collect(v, v->r.packed, b);
        if (got <= 0)
            return got < 0 ? got : done;
    }
}
