/* What both ends know of a ring, and how they read and write it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define COLD __attribute__((noinline, cold))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define LOAD_ACQUIRE(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define LOAD_ONCE(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define STORE_RELEASE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define FULL_FENCE() __atomic_thread_fence(__ATOMIC_SEQ_CST)

enum { NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 1 << 7, USED = 1 << 15 };          /* §2.7.5, §2.8.1 */
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };                         /* §2.8.14 */
enum { MAX_TABLE = 16, TEST_SLOTS = 256, TEST_DATA = 64 };
enum { BROKEN = -1, WRONG_CONTENT = -2, FULL = -3, FAULTY = -4 };

struct entry { uint64_t addr, rest; };                                                /* a descriptor of either format */
struct used_elem { uint32_t id, len; };
struct region { uint64_t start, length; uint8_t *host; };
struct segment { uint8_t *host; uint32_t length; };
struct buffer { uint64_t addr; uint8_t *host; int32_t length; };

/* split: len:32 flags:16 next:16 -- packed: len:32 id:16 flags:16 */
static inline uint64_t split_rest(uint32_t len, uint16_t flags, uint16_t next) { return len | (uint64_t)flags << 32 | (uint64_t)next << 48; }
static inline uint64_t packed_rest(uint32_t len, uint16_t id, uint16_t flags) { return len | (uint64_t)id << 32 | (uint64_t)flags << 48; }

/* The only read of a descriptor: everything after looks at the copy. */
static inline struct entry copy_entry(const struct entry *p) { return (struct entry){ LOAD_ONCE(&p->addr), LOAD_ONCE(&p->rest) }; }

/* What both ends know of the ring. */
struct ring {
    struct entry *desc;
    uint8_t *driver, *device;
    uint32_t size;
    uint16_t mask;
    bool packed, indirect, event_idx;
};

static inline uint16_t *u16_at(uint8_t *area, size_t offset) { return (uint16_t *)(area + offset); }
static inline uint16_t *avail_idx(struct ring *r) { return u16_at(r->driver, 2); }
static inline uint16_t *avail_ring(struct ring *r) { return u16_at(r->driver, 4); }
static inline uint16_t *used_event(struct ring *r) { return u16_at(r->driver, 4 + 2 * (size_t)r->size); }
static inline uint16_t *used_idx(struct ring *r) { return u16_at(r->device, 2); }
static inline struct used_elem *used_ring(struct ring *r) { return (struct used_elem *)(r->device + 4); }
static inline uint16_t *avail_event(struct ring *r) { return u16_at(r->device, 4 + 8 * (size_t)r->size); }
static inline uint16_t *flags_of(struct ring *r, uint32_t i) { return (uint16_t *)((uint8_t *)&r->desc[i] + 14); }

static inline bool passed(uint16_t event, uint16_t new, uint16_t old) { return (uint16_t)(new - event - 1) < (uint16_t)(new - old); }

static inline bool packed_passed(uint32_t size, uint16_t event, int new, bool wrap, int old)
{
    int at = event & 0x7FFF;
    if ((event >> 15) != wrap)
        at -= size;
    if (new <= old)
        old -= size;
    return (uint16_t)(new - at - 1) < (uint16_t)(new - old);
}

