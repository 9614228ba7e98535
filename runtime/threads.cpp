#include "threads.h"
#include <pthread.h>
#include <pthreadpool.h>
#include <sched.h>
#include <signal.h>
#include <xmmintrin.h>
#include <algorithm>
#include "at_fork.h"
#include "env.h"
#include "error.h"
#include "log.h"
#include "mutants.h"

namespace sinter {

constinit std::atomic<int> detail::thread_count{0};

namespace {

constexpr int kMostThreads = 256, kMostByDefault = 64;
constexpr unsigned kMasks = 0x1f80, kSticky = 0x3f;  // of MXCSR: masked exceptions, flags of those that happened

int cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return kMostByDefault;  // a machine of more than 1024 cores
  return std::clamp(CPU_COUNT(&set), 1, kMostByDefault);
}

/// The threads. Whoever turned `busy` on owns the rest until it turns it off.
struct Pool {
  std::atomic<bool> busy{false};
  pthreadpool_t pool = nullptr;
  int size = 0;    // threads of `pool`, the caller among them
  int failed = 0;  // a size that could not be had
  std::atomic<uint64_t> split{0}, contended{0};
};
constinit Pool the_pool;
thread_local bool in_task = false;

/// A child of fork() has none of the threads: it makes its own when it needs them.
void forget_pool() {
  the_pool.pool = nullptr;
  the_pool.size = the_pool.failed = 0;
  the_pool.busy.store(false, std::memory_order_relaxed);
}
const bool watched = at_fork::watch(at_fork::Rank::threads, nullptr, nullptr, forget_pool);

/// Whether `n` more threads can be started now. They are all there at once, and are gone when this returns.
bool can_start(int n) {
  pthread_t threads[kMostThreads * 2];
  std::atomic<bool> go{false};
  int started = 0;
  const auto body = [](void* p) -> void* {
    static_cast<std::atomic<bool>*>(p)->wait(false);
    return nullptr;
  };
  while (started < n && pthread_create(&threads[started], nullptr, body, &go) == 0) ++started;
  go.store(true);
  go.notify_all();
  for (int i = 0; i < started; ++i) pthread_join(threads[i], nullptr);
  return started == n;
}

/// Makes the pool have `size` threads. pthreadpool waits forever for a thread that did not start, so it is tried before, with
/// twice as many: those of the trial may still count against a limit when the pool starts its own.
bool resize(int size) {
  if (the_pool.size == size) return true;
  if (the_pool.failed == size) return false;
  if (the_pool.pool != nullptr) pthreadpool_destroy(the_pool.pool);
  the_pool.pool = nullptr;
  the_pool.size = 0;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the program's signals are for the program's threads
  if (can_start(2 * (size - 1)) || SINTER_MUTANT(pool_started_without_trial))
    the_pool.pool = pthreadpool_create(static_cast<size_t>(size));
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (the_pool.pool != nullptr) {
    the_pool.size = size;
    return true;
  }
  the_pool.failed = size;
  warn(fmt::format("{} threads cannot be started: kernels run on their callers alone", size - 1), "thread pool");
  return false;
}

/// One job: each participant takes the next task until none is left.
struct Job {
  detail::TaskFn fn;
  void* f;
  int64_t tasks;
  unsigned mxcsr;  // the caller's, without sticky flags
  std::atomic<int64_t> next{0};
  std::atomic<int> done{0};

  void take_part(int worker) {
    const unsigned own = _mm_getcsr();
    if ((own & ~kSticky) != mxcsr && !SINTER_MUTANT(workers_round_their_own_way)) _mm_setcsr(mxcsr);
    const bool outer = in_task;
    in_task = true;
    for (;;) {
      const int64_t task = next.fetch_add(1, std::memory_order_acquire);
      if (task >= tasks) break;
      fn(f, task, worker);
    }
    in_task = outer;
    done.fetch_add(1, std::memory_order_release);
  }
};

void run_alone(int64_t tasks, detail::TaskFn fn, void* f) {
  for (int64_t task = 0; task < tasks; ++task) fn(f, task, 0);
}

/// False when the pool is busy or there is none.
bool run_in_pool(Job& job, int threads) {
  if (the_pool.busy.exchange(true, std::memory_order_acquire)) {
    the_pool.contended.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  const bool there = resize(threads);
  if (there) {
    job.next.store(0, std::memory_order_release);
    pthreadpool_parallelize_1d(
        the_pool.pool, [](void* p, size_t worker) { static_cast<Job*>(p)->take_part(static_cast<int>(worker)); }, &job,
        static_cast<size_t>(threads), 0);
    (void)job.done.load(std::memory_order_acquire);
    the_pool.split.fetch_add(1, std::memory_order_relaxed);
  }
  the_pool.busy.store(false, std::memory_order_release);
  return there;
}

}  // namespace

int detail::find_thread_count() {
  int unknown = 0;
  const auto asked = static_cast<int>(env().num_threads);
  thread_count.compare_exchange_strong(unknown, asked > 0 ? asked : cores());
  return thread_count.load();
}

void set_num_threads(int n) {
  if (n < 1 || n > kMostThreads) raise<ValueError>("set_num_threads: {} is not from 1 to {}", n, kMostThreads);
  detail::thread_count.store(n);
}

void detail::run_tasks(int64_t tasks, TaskFn fn, void* f) {
  const int threads = get_num_threads();
  const unsigned mxcsr = _mm_getcsr();
  // An exception that is not masked must reach the thread that called.
  if (threads == 1 || in_task || (mxcsr & kMasks) != kMasks) return run_alone(tasks, fn, f);
  Job job{fn, f, tasks, mxcsr & ~kSticky};
  if (!run_in_pool(job, threads)) run_alone(tasks, fn, f);
}

ThreadStats thread_stats() {
  return {the_pool.split.load(std::memory_order_relaxed), the_pool.contended.load(std::memory_order_relaxed)};
}

}  // namespace sinter
