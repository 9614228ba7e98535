// Splitting work over threads: one pool for the process, given to one job at a time; whoever finds it busy runs alone, nobody
// waits.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace sinter {

/// How many threads one kernel may use, the caller among them: SINTER_NUM_THREADS, by default the cores this process may run on
/// (at most 64). Results do not depend on it.
int get_num_threads();
/// Sets it for all threads of the process, from the next kernel on. @throws ValueError unless 1 <= n <= 256.
void set_num_threads(int n);

namespace detail {
extern constinit std::atomic<int> thread_count;  // 0: not looked at yet
int find_thread_count();
using TaskFn = void (*)(void* f, int64_t task, int worker) noexcept;
void run_tasks(int64_t tasks, TaskFn fn, void* f, int threads);
}  // namespace detail

inline int get_num_threads() {
  const int n = detail::thread_count.load(std::memory_order_relaxed);
  return n > 0 ? n : detail::find_thread_count();
}

/// Work of less time stays whole: handing a job to a thread that sleeps and waiting for it takes some 10 us.
inline constexpr int64_t kSplitNs = 20000;
/// A rough time on one core: 16 bytes and 32 floating-point operations a nanosecond, whatever is slower. Overflows for nobody:
/// sizes are below 2^47.
constexpr int64_t estimated_ns(int64_t bytes, int64_t flops) { return bytes / 16 > flops / 32 ? bytes / 16 : flops / 32; }

/// Into how many pieces to cut work of `ns` nanoseconds that can be cut into at most `most`: 1 below kSplitNs or with one thread,
/// else up to four a thread, so that a thread that came late leaves its share to the others.
inline int64_t pieces_for(int64_t ns, int64_t most) {
  if (ns < kSplitNs || most < 2) return 1;
  const int threads = get_num_threads();
  if (threads == 1) return 1;
  const int64_t pieces = ns / (kSplitNs / 2) < 4 * threads ? ns / (kSplitNs / 2) : 4 * threads;
  return pieces < most ? pieces : most;
}

/// Calls f(task) or f(task, worker) once for each task in [0, tasks), in no order, on up to `threads` threads; returns when all
/// are done. `worker` is in [0, threads), and no two tasks run with one worker number at a time. Tasks must not throw. They run
/// with the caller's rounding mode, flush-to-zero and denormals-are-zero. One after another on the caller: inside another task,
/// while the pool works for another thread, when its threads cannot be started (said once). The result of a computation must not
/// depend on which thread runs what: cut by shapes and layout alone, or where bits do not care.
template <class F>
void parallel_for(int64_t tasks, F&& f, int threads = get_num_threads()) {
  using Callable = std::remove_reference_t<F>;
  const detail::TaskFn call = [](void* p, int64_t task, int worker) noexcept {
    if constexpr (std::is_invocable_v<Callable&, int64_t, int>) (*static_cast<Callable*>(p))(task, worker);
    else (void)worker, (*static_cast<Callable*>(p))(task);
  };
  void* p = const_cast<void*>(static_cast<const void*>(std::addressof(f)));
  if (tasks == 1) return call(p, 0, 0);
  detail::run_tasks(tasks, call, p, threads);
}

/// Calls f(begin, end) or f(begin, end, worker) for ranges that make up [0, n), on several threads where work of `ns` nanoseconds
/// is worth it. Ranges begin at multiples of `step`. Otherwise as parallel_for.
template <class F>
void parallel_ranges(int64_t n, int64_t step, int64_t ns, F&& f, int threads = get_num_threads()) {
  const int64_t rounds = (n + step - 1) / step, pieces = pieces_for(ns, rounds);
  const auto range = [&](int64_t begin, int64_t end, int worker) {
    if constexpr (std::is_invocable_v<F&, int64_t, int64_t, int>) f(begin, end, worker);
    else (void)worker, f(begin, end);
  };
  if (pieces <= 1) return range(0, n, 0);
  parallel_for(
      pieces,
      [&](int64_t piece, int worker) {
        const int64_t end = rounds * (piece + 1) / pieces * step;
        range(rounds * piece / pieces * step, end < n ? end : n, worker);
      },
      threads);
}

/// Jobs that were split over threads, and those that found the pool busy, since the start (tests, benchmarks).
struct ThreadStats {
  uint64_t split, busy;
};
ThreadStats thread_stats();

}  // namespace sinter
