// The allocator of one region: a growing memfd that its one owner cuts into blocks and the other side gives back (channel.h). Plain C.
// One thread at a time. What is known about blocks lives in private memory; the region itself holds a word a block.
#ifndef NEREID_BACKENDS_PYTHON_SHARED_ARENA_H_
#define NEREID_BACKENDS_PYTHON_SHARED_ARENA_H_

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/python/shared/channel.h"

#ifdef __cplusplus
extern "C" {
#endif

static const uint64_t kMessagesRoom = 1 << 20;

typedef struct {
  uint64_t offset, size;
} ArenaSpan;

typedef struct {
  ArenaSpan* spans;
  uint64_t count, capacity;
} ArenaSpans;

typedef struct {
  char* base;                // of the mapping, which covers `max` bytes
  int fd;                    // a memfd sealed against shrinking
  uint64_t size, max;        // of the file now, and at most
  uint64_t initial, growth;  // what is kept when idle; the step of growth
  uint64_t peak, touched;    // the highest end of a block: since the last trim, since pages were last given back
  ArenaSpans free, used;     // free: by offset, never adjacent; used: oldest first
} Arena;

static inline int ArenaReserve(ArenaSpans* spans) {
  if (spans->count < spans->capacity) return 1;
  uint64_t capacity = spans->capacity ? spans->capacity * 2 : 64;
  ArenaSpan* grown = (ArenaSpan*)realloc(spans->spans, capacity * sizeof(ArenaSpan));
  if (!grown) return 0;
  spans->spans = grown;
  spans->capacity = capacity;
  return 1;
}

static inline void ArenaErase(ArenaSpans* spans, uint64_t at) {
  memmove(spans->spans + at, spans->spans + at + 1, (spans->count - at - 1) * sizeof(ArenaSpan));
  --spans->count;
}

// Keeps the free spans sorted and joins neighbours. 0: no memory for the books; the span is lost until the region ends.
static inline int ArenaAddFree(Arena* arena, ArenaSpan span) {
  ArenaSpans* spans = &arena->free;
  uint64_t low = 0, high = spans->count;
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (spans->spans[middle].offset < span.offset) low = middle + 1;
    else high = middle;
  }
  int left = low > 0 && spans->spans[low - 1].offset + spans->spans[low - 1].size == span.offset;
  int right = low < spans->count && span.offset + span.size == spans->spans[low].offset;
  if (left) {
    spans->spans[low - 1].size += span.size;
    if (right) {
      spans->spans[low - 1].size += spans->spans[low].size;
      ArenaErase(spans, low);
    }
  } else if (right) {
    spans->spans[low].offset = span.offset;
    spans->spans[low].size += span.size;
  } else {
    if (!ArenaReserve(spans)) return 0;
    memmove(spans->spans + low + 1, spans->spans + low, (spans->count - low) * sizeof(ArenaSpan));
    spans->spans[low] = span;
    ++spans->count;
  }
  return 1;
}

// Takes back what the other side has released, among the `most` oldest blocks.
static inline void ArenaReclaim(Arena* arena, uint64_t most) {
  uint64_t kept = 0, end = arena->used.count < most ? arena->used.count : most;
  for (uint64_t i = 0; i < end; ++i) {
    ArenaSpan span = arena->used.spans[i];
    if (BlockIsFree(arena->base + span.offset)) ArenaAddFree(arena, span);
    else arena->used.spans[kept++] = span;
  }
  if (kept == end) return;
  memmove(arena->used.spans + kept, arena->used.spans + end, (arena->used.count - end) * sizeof(ArenaSpan));
  arena->used.count -= end - kept;
}

static inline int ArenaInit(Arena* arena, char* base, int fd, uint64_t initial, uint64_t growth, uint64_t max) {
  memset(arena, 0, sizeof(*arena));
  arena->base = base;
  arena->fd = fd;
  arena->size = arena->initial = initial;
  arena->growth = growth;
  arena->max = max;
  ArenaSpan all = {0, initial};
  return ArenaAddFree(arena, all);
}

static inline void ArenaEnd(Arena* arena) {
  free(arena->free.spans);
  free(arena->used.spans);
  memset(arena, 0, sizeof(*arena));
}

// Where blocks with tensors end at most. The rest is for messages without any, so that the word that a tensor does not fit still passes.
static inline uint64_t ArenaTensorsEnd(const Arena* arena) {
  uint64_t rest = arena->max / 8;
  return arena->max - (rest < kMessagesRoom ? rest : kMessagesRoom);
}

static inline char* ArenaTake(Arena* arena, uint64_t need, uint64_t most) {
  for (uint64_t i = 0; i < arena->free.count; ++i) {
    ArenaSpan* span = &arena->free.spans[i];
    if (span->size < need) continue;
    if (span->offset + need > most) return (char*)0;
    if (!ArenaReserve(&arena->used)) return (char*)0;
    ArenaSpan taken = {span->offset, need};
    span->offset += need;
    span->size -= need;
    if (span->size == 0) ArenaErase(&arena->free, i);
    arena->used.spans[arena->used.count++] = taken;
    if (taken.offset + need > arena->peak) arena->peak = taken.offset + need;
    if (arena->peak > arena->touched) arena->touched = arena->peak;
    char* block = arena->base + taken.offset;
    BlockBegin(block, need);
    return block + kBlockHeader;
  }
  return (char*)0;
}

// The content of a new block of `bytes`, 64-aligned; null when the region would outgrow its bound or the system has no memory.
// `tensors`: not a message alone.
static inline char* ArenaAllocate(Arena* arena, uint64_t bytes, int tensors) {
  if (bytes > arena->max) return (char*)0;
  uint64_t need = AlignBlock(bytes) + kBlockHeader;
  uint64_t most = tensors ? ArenaTensorsEnd(arena) : arena->max;
  ArenaReclaim(arena, 8);
  char* block = ArenaTake(arena, need, most);
  if (block) return block;
  ArenaReclaim(arena, arena->used.count);
  if ((block = ArenaTake(arena, need, most))) return block;
  uint64_t tail = 0;  // free bytes at the region's end, which the new ones join
  if (arena->free.count) {
    ArenaSpan last = arena->free.spans[arena->free.count - 1];
    if (last.offset + last.size == arena->size) tail = last.size;
  }
  uint64_t steps = (need - tail + arena->growth - 1) / arena->growth;
  uint64_t grown = arena->size + steps * arena->growth;
  if (grown > most) grown = arena->size + need - tail;
  if (grown > most || ftruncate(arena->fd, (off_t)grown) != 0) return (char*)0;
  ArenaSpan added = {arena->size, grown - arena->size};
  arena->size = grown;
  return ArenaAddFree(arena, added) ? ArenaTake(arena, need, most) : (char*)0;
}

// Gives pages back to the system that no block has used since the last trim, beyond the initial size. Returns whether there may be more
// to give back later.
static inline int ArenaTrim(Arena* arena) {
  const uint64_t page = 4096;
  ArenaReclaim(arena, arena->used.count);
  uint64_t end = 0;
  for (uint64_t i = 0; i < arena->used.count; ++i) {
    uint64_t last = arena->used.spans[i].offset + arena->used.spans[i].size;
    if (last > end) end = last;
  }
  uint64_t keep = arena->peak > arena->initial ? arena->peak : arena->initial;
  keep = (keep + page - 1) & ~(page - 1);
  arena->peak = end;
  if (arena->touched > keep) {
    fallocate(arena->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)keep, (off_t)(arena->touched - keep));
    arena->touched = keep;
  }
  return arena->touched > arena->initial;
}

#ifdef __cplusplus
}
#endif

#endif  // NEREID_BACKENDS_PYTHON_SHARED_ARENA_H_
