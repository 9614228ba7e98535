// How another thread gets in between the operators of a frame without a locked instruction on the owner's path.
//
// The owner marks itself inside the engine with plain stores. A visitor asks, issues membarrier(2), which makes every thread of
// the process order its stores, and waits until the owner is outside: from then on the owner stops at its next way in. The
// owner is inside only for the engine's own work, never while user code runs, so nobody waits for user code.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

namespace sinter {

class Safepoint {
 public:
  Safepoint();

  // -- owner
  uint32_t depth() const { return depth_.load(std::memory_order_relaxed); }
  bool inside() const { return depth() != 0; }
  /// Nests: `outer` is the depth before, which leave() is given again. True: let_visitors_finish() must be called.
  [[nodiscard]] bool enter(uint32_t outer) {
    depth_.store(outer + 1, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return attention_.load(std::memory_order_acquire) != 0;
  }
  void leave(uint32_t outer) { depth_.store(outer, std::memory_order_release); }
  /// After enter(): lets visitors finish. True when one changed something; said once. Nested: false, visitors wait for the
  /// outermost leave().
  bool let_visitors_finish();

  // -- fork(): nobody is in the middle of a visit; in the child nobody is asking for one
  void lock_visits() { visitors_.lock(); }
  void unlock_visits() { visitors_.unlock(); }
  void forget_visitors() { attention_.fetch_and(~uint32_t{kAsked}, std::memory_order_relaxed); }  // their notes stay

  // -- visitor, from any thread that is not inside a safepoint of its own
  class Visit {
   public:
    explicit Visit(Safepoint& s);
    ~Visit();
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    /// The owner has something to look at when it comes back.
    void leave_note() { safepoint_.attention_.fetch_or(kNote, std::memory_order_release); }

   private:
    Safepoint& safepoint_;
    std::unique_lock<std::mutex> lock_;
  };

 private:
  enum : uint32_t { kAsked = 1, kNote = 2, kNoBarrier = 4 };
  std::atomic<uint32_t> depth_{0};
  std::atomic<uint32_t> attention_{0};
  std::mutex visitors_;
};

}  // namespace sinter
