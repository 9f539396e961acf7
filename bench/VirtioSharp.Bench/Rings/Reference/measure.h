/* One end alone, while the other is played by as little code as possible: what both languages are measured against. */
#include "device.h"
#include "driver.h"

/* Plays the driver for a device that is measured alone: makes the same batch of chains available again. */
struct refill { struct entry *ring; const struct entry *turns[2]; uint64_t bytes; uint16_t *avail_idx; uint16_t idx, batch; uint32_t packed, turn; };

static inline void refill(struct refill *f)
{
    if (f->packed) {
        memcpy(f->ring, f->turns[f->turn], f->bytes);                                 /* the ring is one batch long */
        f->turn ^= 1;
    } else {
        f->idx += f->batch;
        STORE_RELEASE(f->avail_idx, f->idx);
    }
}

EXPORT void ref_refill(struct refill *f) { refill(f); }

/* Plays the device for a driver that is measured alone: uses the next batch of chains without looking at them. */
struct null_device { struct ring r; uint32_t batch, slots, written; uint16_t next; bool wrap; };

static inline void use_all(struct null_device *n)
{
    struct ring *r = &n->r;
    for (uint32_t i = 0; i < n->batch; i++) {
        if (!r->packed) {
            used_ring(r)[n->next & r->mask] = (struct used_elem){ avail_ring(r)[n->next & r->mask], n->written };
            n->next++;
            continue;
        }
        uint32_t last = n->next + n->slots - 1;
        uint16_t id = r->desc[last >= r->size ? last - r->size : last].rest >> 32;
        r->desc[n->next].rest = packed_rest(n->written, id, n->wrap ? AVAIL | USED | WRITE : WRITE);
        n->next += n->slots;
        if (n->next >= r->size) {
            n->next -= r->size;
            n->wrap = !n->wrap;
        }
    }
    if (!r->packed)
        STORE_RELEASE(used_idx(r), n->next);
}

EXPORT struct null_device *ref_null_device_new(bool packed, int size, void *desc, void *driver, void *device, int batch, int slots, int written)
{
    struct null_device *n = calloc(1, sizeof *n);
    *n = (struct null_device){ { desc, driver, device, size, size - 1, packed, false, false }, batch, slots, written, 0, true };
    return n;
}

EXPORT void ref_null_device_use(struct null_device *n) { use_all(n); }
EXPORT void ref_null_device_free(struct null_device *n) { free(n); }

/* Looks at every segment and fills none: what is measured is the queue, not memory. */
static inline uint32_t look(struct device *d)
{
    uint64_t sum = 0;
    uint32_t written = 0;
    for (uint32_t i = 0; i < d->readable; i++)
        sum += (uintptr_t)d->items[i].host + d->items[i].length;
    for (uint32_t i = d->readable; i < d->count; i++) {
        sum ^= (uintptr_t)d->items[i].host;
        written += d->items[i].length;
    }
    d->checksum += sum;
    return written;
}

static inline int64_t device_bench(struct device *d, bool packed, struct refill *f, int64_t batches, int batch)
{
    for (int64_t done = 0; done < batches; done++) {
        refill(f);
        for (int i = 0; i < batch; i++) {
            int popped = device_pop(d, packed);
            if (unlikely(popped <= 0))
                return popped < 0 ? popped : FULL;
            if (unlikely(d->fault))
                return FAULTY;
            device_push(d, packed, look(d));
        }
        d->notifications += device_publish(d, packed);
    }
    return batches * batch;
}

EXPORT int64_t ref_device_bench(struct device *d, struct refill *f, int64_t batches, int batch)
{
    return d->r.packed ? device_bench(d, true, f, batches, batch) : device_bench(d, false, f, batches, batch);
}

/* The same below a device model: a call through a pointer per request, suppression and re-arming around each batch. */
typedef void (*on_chain)(void *model, struct device *d, uint32_t *written);

static __attribute__((noinline)) void look_model(void *model, struct device *d, uint32_t *written)
{
    (void)model;
    *written = look(d);
}

static inline int64_t device_serve_model(struct device *d, bool packed, struct refill *f, int64_t batches, on_chain model)
{
    int64_t chains = 0;
    for (int64_t done = 0; done < batches; done++) {
        refill(f);
        int error = 0;
        do {
            device_suppress(d, packed);
            for (int i = 0; i < 64; i++) {
                int popped = device_pop(d, packed);
                if (popped == 0)
                    break;
                if (unlikely(popped < 0))
                    return popped;
                if (unlikely(d->fault))
                    return FAULTY;
                uint32_t written = 0;
                model(d, d, &written);
                device_push(d, packed, written);
                chains++;
            }
            d->notifications += device_publish(d, packed);
        } while (device_rearm(d, packed, &error) && !error);
        if (error)
            return error;
    }
    return chains;
}

EXPORT int64_t ref_device_bench_model(struct device *d, struct refill *f, int64_t batches)
{
    on_chain volatile model = look_model;
    return d->r.packed ? device_serve_model(d, true, f, batches, model) : device_serve_model(d, false, f, batches, model);
}

static inline int64_t driver_bench(struct driver *v, bool packed, struct null_device *n, const struct buffer *b, int readable, int count, int64_t batches, int batch)
{
    for (int64_t done = 0; done < batches; done++) {
        for (int i = 0; i < batch; i++)
            if (unlikely(driver_add(v, packed, b + i * count, readable, count) < 0))
                return FULL;
        v->notifications += driver_publish(v, packed);
        use_all(n);
        for (int i = 0; i < batch; i++) {
            uint32_t length;
            int id = driver_get(v, packed, &length);
            if (unlikely(id < 0))
                return id;
            v->checksum += length ^ id;
        }
    }
    return batches * batch;
}

EXPORT int64_t ref_driver_bench(struct driver *v, struct null_device *n, const struct buffer *b, int readable, int count, int64_t batches, int batch)
{
    return v->r.packed ? driver_bench(v, true, n, b, readable, count, batches, batch) : driver_bench(v, false, n, b, readable, count, batches, batch);
}

