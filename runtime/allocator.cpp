#include "allocator.h"
#include <sys/mman.h>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <utility>
#include "at_fork.h"
#include "error.h"
#include "mutants.h"

namespace sinter {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kLargest = size_t{1} << 46;     // beyond any machine: refused before the system is asked
constexpr size_t kSmallLimit = size_t{1} << 16;  // below: thread-local lists
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostCachedLarge = size_t{1} << 30;

// Size classes: multiples of 64 up to 512, then eight steps to each power of two.
size_t round_to_class(size_t n) {
  if (n <= 512) return n == 0 ? kAlign : (n + kAlign - 1) & ~(kAlign - 1);
  const size_t step = std::bit_floor(n - 1) / 8;
  return (n + step - 1) & ~(step - 1);
}
int class_index(size_t rounded) {
  if (rounded <= 512) return static_cast<int>(rounded / kAlign) - 1;  // 0..7
  const size_t base = std::bit_floor(rounded - 1);
  return 8 + (std::countr_zero(base) - 9) * 8 + static_cast<int>((rounded - base) / (base / 8)) - 1;
}
constexpr int kClasses = 8 + 40 * 8;

std::atomic<int64_t> g_fail_countdown{0};
thread_local int64_t t_allocated = 0;

struct Block {
  Block* next;
};

struct LargeCache {
  std::mutex mutex;
  Block* lists[kClasses] = {};
  size_t bytes = 0;
};
LargeCache& large_cache() {
  static auto* cache = new LargeCache();  // never destroyed: tensors may outlive static destruction
  return *cache;
}

[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::allocator, [] { return &large_cache().mutex; });

void* system_allocate(size_t n) {
  if (n < kHugePage) return std::aligned_alloc(kAlign, n);
  // Huge pages need 2 MiB alignment; page faults are most of the cost of a large result otherwise.
  void* p = nullptr;
  if (posix_memalign(&p, kHugePage, n) != 0) return nullptr;
  madvise(p, n, MADV_HUGEPAGE);
  return p;
}

struct SmallCache {
  static constexpr int kSmallClasses = 8 + 7 * 8 + 1;
  static constexpr uint32_t kMost = 512;
  Block* heads[kSmallClasses];
  uint32_t counts[kSmallClasses];
  void clear() {
    for (int c = 0; c < kSmallClasses; ++c) {
      while (heads[c] != nullptr) std::free(std::exchange(heads[c], heads[c]->next));
      counts[c] = 0;
    }
  }
};

/// A few large blocks of this thread's: compiled calls that repeat find theirs without the lock of the process.
struct LargeOfThread {
  static constexpr int kBlocks = 8;
  static constexpr size_t kMostBytes = size_t{64} << 20;
  struct {
    void* p;
    size_t rounded;
  } blocks[kBlocks];
  size_t bytes;
  void* take(size_t rounded) {
    for (auto& b : blocks)
      if (b.rounded == rounded) {
        bytes -= rounded;
        b.rounded = 0;
        return std::exchange(b.p, nullptr);
      }
    return nullptr;
  }
  bool give(void* p, size_t rounded) {
    if (bytes + rounded > kMostBytes) return false;
    for (auto& b : blocks)
      if (b.p == nullptr) {
        b = {p, rounded};
        bytes += rounded;
        return true;
      }
    return false;
  }
  void clear() {
    for (auto& b : blocks) std::free(std::exchange(b.p, nullptr)), b.rounded = 0;
    bytes = 0;
  }
};

/// What this thread keeps. Trivially destructible, as in object_cache.h: other thread-local objects free theirs after the closer.
enum class Keeping : uint8_t { not_yet, yes, no_more };
constinit thread_local SmallCache t_small{};
constinit thread_local LargeOfThread t_large{};
constinit thread_local Keeping t_keeping = Keeping::not_yet;
struct Closer {
  ~Closer() {
    t_keeping = Keeping::no_more;
    t_small.clear();
    t_large.clear();
  }
};
/// At the first block that this thread frees: from here its caches are emptied when it ends. False: it is ending.
[[gnu::noinline]] bool begin_to_keep() {
  if (t_keeping == Keeping::no_more) return false;
  static thread_local Closer closer;
  (void)&closer;
  t_keeping = Keeping::yes;
  return true;
}

void* allocate_large(size_t rounded, int cls) {
  if (void* p = t_large.take(rounded)) return p;
  LargeCache& cache = large_cache();
  {
    std::lock_guard lock(cache.mutex);
    if (Block* b = cache.lists[cls]) {
      cache.lists[cls] = b->next;
      cache.bytes -= rounded;
      return b;
    }
  }
  void* p = system_allocate(rounded);
  if (p == nullptr) {
    release_cached_memory();
    p = system_allocate(rounded);
  }
  return p;
}

bool allocation_must_fail() {
  if (g_fail_countdown.load(std::memory_order_relaxed) == 0) [[likely]]
    return false;
  return g_fail_countdown.fetch_sub(1) == 1;
}

}  // namespace

void* allocate_bytes(size_t nbytes) {
  if (nbytes > kLargest || allocation_must_fail()) [[unlikely]]
    raise<OutOfMemoryError>("out of memory: {} bytes for a tensor", nbytes);
  const size_t rounded = round_to_class(nbytes);
  if (!SINTER_MUTANT(allocations_not_counted)) t_allocated += static_cast<int64_t>(rounded);
#if !defined(__SANITIZE_ADDRESS__)
  const int cls = class_index(rounded);
  if (rounded <= kSmallLimit) [[likely]] {
    if (Block* b = t_small.heads[cls]) {
      t_small.heads[cls] = b->next;
      --t_small.counts[cls];
      return b;
    }
  } else if (void* p = allocate_large(rounded, cls)) {
    return p;
  }
#endif
  void* p = system_allocate(rounded);
  if (p == nullptr) raise<OutOfMemoryError>("out of memory: {} bytes for a tensor", nbytes);
  return p;
}

void free_bytes(void* p, size_t nbytes) noexcept {
  if (p == nullptr) return;
#if !defined(__SANITIZE_ADDRESS__)
  const size_t rounded = round_to_class(nbytes);
  const int cls = class_index(rounded);
  const bool keeps = t_keeping == Keeping::yes || begin_to_keep();
  if (rounded <= kSmallLimit) {
    if (keeps && t_small.counts[cls] < SmallCache::kMost) {
      t_small.heads[cls] = new (p) Block{t_small.heads[cls]};
      ++t_small.counts[cls];
      return;
    }
  } else {
    if (keeps && t_large.give(p, rounded)) return;
    LargeCache& cache = large_cache();
    std::lock_guard lock(cache.mutex);
    if (cache.bytes + rounded <= kMostCachedLarge) {
      new (p) Block{cache.lists[cls]};
      cache.lists[cls] = static_cast<Block*>(p);
      cache.bytes += rounded;
      return;
    }
  }
#else
  (void)nbytes;
#endif
  std::free(p);
}

void release_cached_memory() {
  t_small.clear();
  t_large.clear();
  LargeCache& cache = large_cache();
  std::lock_guard lock(cache.mutex);
  for (Block*& list : cache.lists)
    while (list != nullptr) std::free(std::exchange(list, list->next));
  cache.bytes = 0;
}

int64_t thread_allocated_bytes() { return t_allocated; }

void fail_allocation_after(int64_t n) { g_fail_countdown.store(n); }

}  // namespace sinter
