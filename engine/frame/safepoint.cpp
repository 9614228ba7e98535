#include "safepoint.h"
#include <chrono>
#include <thread>
#include "../../runtime/process_barrier.h"

namespace sinter {

Safepoint::Safepoint() {
  if (!process_wide_barrier_works()) attention_.store(kNoBarrier);
}

bool Safepoint::let_visitors_finish() {
  if (depth() > 1) return false;
  for (;;) {
    if (attention_.load(std::memory_order_relaxed) & kNoBarrier) std::atomic_thread_fence(std::memory_order_seq_cst);
    const uint32_t seen = attention_.load(std::memory_order_acquire);
    if (!(seen & kAsked)) break;
    depth_.store(0, std::memory_order_release);
    attention_.wait(seen, std::memory_order_acquire);
    depth_.store(1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  return attention_.fetch_and(~uint32_t{kNote}, std::memory_order_acq_rel) & kNote;
}

Safepoint::Visit::Visit(Safepoint& s) : safepoint_(s), lock_(s.visitors_) {
  s.attention_.fetch_or(kAsked, std::memory_order_seq_cst);
  process_wide_barrier();
  for (int i = 0; s.depth_.load(std::memory_order_acquire) != 0; ++i) {
    if (i < 1000) std::this_thread::yield();
    else std::this_thread::sleep_for(std::chrono::microseconds(50));  // it compiles, or runs kernels
  }
}

Safepoint::Visit::~Visit() {
  safepoint_.attention_.fetch_and(~uint32_t{kAsked}, std::memory_order_release);
  safepoint_.attention_.notify_all();
}

}  // namespace sinter
