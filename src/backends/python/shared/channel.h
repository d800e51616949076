// What the server and a Python worker share: rings of messages, bells to wake each other, and blocks in two regions. Plain C, since the
// worker's extension (python/nereid_worker/core.c) includes it too.
//
// Each side allocates in its own region only and keeps what it knows about it (arena.h) in private memory, so that a worker that dies or
// writes nonsense cannot harm the server's books. A message is one block: packed data first, then the tensors, each 64-aligned; a tensor
// may also lie in a block of its own. A block's first word counts who still reads it: whoever has done so takes one off, and at 0 the block
// is its sender's again; nobody has to be told.
#ifndef NEREID_BACKENDS_PYTHON_SHARED_CHANNEL_H_
#define NEREID_BACKENDS_PYTHON_SHARED_CHANNEL_H_

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  kChannelVersion = 3,
  kRingEntries = 1024,  // a power of two
  kCells = 4096,
  kEvents = 17,       // the tender's, and one for each home
  kBlockHeader = 64,  // bytes before a block's content
  kBlockAlign = 64,
};

// The content of a block: where in the sender's region, how long.
typedef struct {
  uint64_t offset, length;
} ChannelEntry;

// One producer (or several behind one lock), one consumer. The indices run on and wrap at 2^32.
typedef struct {
  _Alignas(64) uint32_t tail;  // the producer's
  _Alignas(64) uint32_t head;  // the consumer's
  _Alignas(64) ChannelEntry entries[kRingEntries];
} ChannelRing;

// Who rings pays for a system call only when somebody sleeps.
typedef struct {
  _Alignas(64) uint32_t word;
  uint32_t sleepers;
} ChannelBell;

// A request's own words. The server writes.
typedef struct {
  uint64_t request;  // whose they are
  uint32_t cancelled;
  uint32_t blocked;  // the client reads too slowly: send() waits here until it is 0
} ChannelCell;

// The control region: both sides write.
typedef struct {
  uint32_t version;
  ChannelBell worker_bell;     // calls for the worker's main thread
  ChannelBell reply_bell;      // answers for the worker's reply thread
  ChannelBell room_bell;       // the worker waits for room in from_worker
  uint32_t told[kEvents];      // the event was written, and the server has not looked since
  ChannelRing calls, replies;  // server to worker; blocks lie in the server's region
  ChannelRing from_worker;     // blocks lie in the worker's region
  ChannelCell cells[kCells];   // one for each request without a last answer; the server hands them out
} ChannelControl;

static inline uint32_t BellRead(const ChannelBell* bell) {
  return __atomic_load_n(&bell->word, __ATOMIC_ACQUIRE);
}

static inline void FutexWake(uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE, 0x7fffffff, (void*)0, (void*)0, 0);
}

// Returns at once when *word is not `seen`; may return early.
static inline void FutexWait(uint32_t* word, uint32_t seen, const struct timespec* limit) {
  syscall(SYS_futex, word, FUTEX_WAIT, seen, limit, (void*)0, 0);
}

static inline void BellRing(ChannelBell* bell) {
  __atomic_add_fetch(&bell->word, 1, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&bell->sleepers, __ATOMIC_SEQ_CST)) FutexWake(&bell->word);
}

// Sleeps until the bell rang since `seen` was read, or `limit` (relative; null: none) is over.
static inline void BellWait(ChannelBell* bell, uint32_t seen, const struct timespec* limit) {
  __atomic_add_fetch(&bell->sleepers, 1, __ATOMIC_SEQ_CST);
  FutexWait(&bell->word, seen, limit);
  __atomic_sub_fetch(&bell->sleepers, 1, __ATOMIC_RELAXED);
}

// 0: full.
static inline int RingPush(ChannelRing* ring, ChannelEntry entry) {
  uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
  if (tail - __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE) >= kRingEntries) return 0;
  ring->entries[tail % kRingEntries] = entry;
  __atomic_store_n(&ring->tail, tail + 1, __ATOMIC_RELEASE);
  return 1;
}

// 1: `out` is the next entry; 0: empty; -1: the indices make no sense, so the other side is broken.
static inline int RingPop(ChannelRing* ring, ChannelEntry* out) {
  uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_RELAXED);
  uint32_t count = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) - head;
  if (count == 0) return 0;
  if (count > kRingEntries) return -1;
  *out = ring->entries[head % kRingEntries];
  __atomic_store_n(&ring->head, head + 1, __ATOMIC_RELEASE);
  return 1;
}

static inline uint64_t AlignBlock(uint64_t bytes) {
  return (bytes + kBlockAlign - 1) & ~(uint64_t)(kBlockAlign - 1);
}

// The words of blocks lie where other blocks had their content before. That the worker has let go of it meanwhile ThreadSanitizer cannot
// see, so that it must not look at them (SharedOrder in ../channel.h).
#define BLOCK_WORD
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef BLOCK_WORD
#define BLOCK_WORD __attribute__((noinline, disable_sanitizer_instrumentation))
#endif
#endif

// A block of so many bytes, its header included; one reads it.
BLOCK_WORD static inline void BlockBegin(char* block, uint64_t bytes) {
  ((uint64_t*)block)[1] = bytes;
  __atomic_store_n((uint32_t*)block, 1, __ATOMIC_RELAXED);
}

// Whether nobody reads it any more.
BLOCK_WORD static inline int BlockIsFree(const char* block) {
  return __atomic_load_n((const uint32_t*)block, __ATOMIC_ACQUIRE) == 0;
}

// One more reads the block. Any thread that has it.
BLOCK_WORD static inline void BlockKeep(char* content) {
  __atomic_add_fetch((uint32_t*)(content - kBlockHeader), 1, __ATOMIC_RELAXED);
}

// One less. Any thread; the last thing done with the block.
BLOCK_WORD static inline void BlockRelease(char* content) {
  __atomic_sub_fetch((uint32_t*)(content - kBlockHeader), 1, __ATOMIC_RELEASE);
}

#ifdef __cplusplus
}
#endif

#endif  // NEREID_BACKENDS_PYTHON_SHARED_CHANNEL_H_
