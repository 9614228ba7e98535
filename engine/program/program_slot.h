// Where a leaf keeps its program, which may be evicted at any time; and how a thread holds on to the one it runs.
#pragma once
#include <atomic>
#include <memory>

namespace sinter {

class Program;

/// A program that can be taken away. Readers go through RunningProgram::hold or share().
class ProgramSlot {
 public:
  ProgramSlot() = default;
  ~ProgramSlot();
  ProgramSlot(const ProgramSlot&) = delete;
  ProgramSlot& operator=(const ProgramSlot&) = delete;

  void set(std::shared_ptr<const Program> program);
  /// Null: empty, or evicted.
  std::shared_ptr<const Program> share() const;
  bool empty() const { return current_.load(std::memory_order_acquire) == nullptr; }

 private:
  friend class RunningProgram;
  friend class ProgramCache;
  std::atomic<const Program*> current_{nullptr};
  std::shared_ptr<const Program> owner_;  // guarded by the cache's mutex
};

/// The program a context is running. Holding costs two plain stores; whoever evicts issues a process-wide barrier and then
/// looks at all of these.
class RunningProgram {
 public:
  RunningProgram();
  ~RunningProgram();
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;

  /// The slot's program, not freed until release(). Null: it was evicted.
  const Program* hold(const ProgramSlot& slot) {
    for (;;) {
      const Program* p = slot.current_.load(std::memory_order_acquire);
      program_.store(p, std::memory_order_relaxed);
      if (fence_) [[unlikely]]
        std::atomic_thread_fence(std::memory_order_seq_cst);
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (slot.current_.load(std::memory_order_acquire) == p) return p;
    }
  }
  void release() { program_.store(nullptr, std::memory_order_release); }

 private:
  friend class ProgramCache;
  std::atomic<const Program*> program_{nullptr};
  bool fence_;
};

/// How recently a program ran, in compilations since; for choosing what to evict.
extern std::atomic<uint64_t> program_clock;

}  // namespace sinter
