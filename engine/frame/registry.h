// All contexts of the process: who may be visited, buried at, or asked what it runs.
#pragma once
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>
#include "../../runtime/tensor_impl.h"

namespace sinter {

class Context;
class CompiledState;

class ContextRegistry {
 public:
  struct Entry {
    Context* context;
    const TensorPool* pool;  // identity of the thread
    uint64_t number;         // in the order of enrolling, from 1
  };
  static ContextRegistry& get();

  void enroll(Context* c);
  /// Returns when nobody has the context pinned any more.
  void leave(Context* c);

  /// Calls f(entry) for each context while the registry is locked: f must be quick and take no lock but a graves'.
  template <class F>
  void for_each(F&& f) {
    const std::lock_guard lock(mutex_);
    for (const Entry& e : contexts_) f(e);
  }

  /// Keeps a context from being destroyed. Empty when it is none (any more).
  class Pin {
   public:
    Pin() = default;
    explicit Pin(Context* c) : context_(c) {}
    Pin(Pin&& o) noexcept : context_(std::exchange(o.context_, nullptr)) {}
    Pin& operator=(Pin&& o) noexcept {
      std::swap(context_, o.context_);
      return *this;
    }
    ~Pin();
    Context* context() const { return context_; }

   private:
    Context* context_ = nullptr;
  };
  Pin pin(const void* context);
  /// Those of one Compiled, one after the other: the first with a number above `after`, which becomes its number. Needs no
  /// memory: destructors come here.
  Pin pin_next_of(const CompiledState& owner, uint64_t& after);

  std::mutex& fork_lock() { return mutex_; }

  /// Whether contexts are, or were, on a thread other than this one, which need not have any.
  bool on_other_threads() const { return only_thread_.load(std::memory_order_relaxed) != this_thread_pool; }

 private:
  friend class ForkLocks;
  std::mutex mutex_;
  std::vector<Entry> contexts_;  // ascending numbers
  uint64_t enrolled_ = 0;
  std::atomic<const void*> only_thread_{nullptr};  // the pool of the one thread that ever had contexts; this: of several
};

}  // namespace sinter
