#include "thread_pool.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>
#include <algorithm>
#include <chrono>
#include "at_fork.h"
#include "log.h"
#include "mutants.h"

namespace sinter::thread_pool {

namespace {

constexpr size_t kStack = 1 << 20;                      // of a worker
constexpr auto kSpin = std::chrono::microseconds(100);  // how long a worker looks for the next job before it sleeps
constexpr unsigned kSticky = 0x3f;                      // of MXCSR: exceptions that happened

/// What is open to workers now, in one word: how many may still join, and how many are inside. What it does not say cannot be
/// joined, so a job's fields are only read by those inside.
struct Door {
  uint32_t seats = 0, inside = 0;
};

struct Pool {
  std::atomic<bool> busy{false};  // whoever turned it on owns the job and what follows it here
  detail::TaskFn fn = nullptr;
  void* f = nullptr;
  int64_t tasks = 0;
  unsigned mxcsr = 0;            // the caller's, without sticky flags
  std::atomic<int64_t> next{0};  // the first task that nobody took
  int workers = 0, wanted = 0;   // there are; were asked for the last time
  std::atomic<Door> door{Door{}};
  std::atomic<int> sleepers{0}, bell{0};
  std::atomic<uint64_t> split{0}, contended{0};
};
constinit Pool pool;
constinit thread_local bool here_in_task = false;

void futex(int operation, int value) {
  syscall(SYS_futex, reinterpret_cast<int*>(&pool.bell), operation | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

/// A child of fork() has none of the threads: it makes its own when it needs them.
void forget_workers() {
  pool.workers = pool.wanted = 0;
  pool.door.store(Door{});
  pool.sleepers.store(0);
  pool.busy.store(false);
}
[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::threads, nullptr, nullptr, forget_workers);

void take_tasks(int worker) {
  here_in_task = true;
  for (;;) {
    const int64_t task = pool.next.fetch_add(1, std::memory_order_relaxed);
    if (task >= pool.tasks) break;
    pool.fn(pool.f, task, worker);
  }
  here_in_task = false;
}

/// Takes a seat and works; false when there is none.
bool join() {
  Door d = pool.door.load(std::memory_order_relaxed);
  do {
    if (d.seats == 0) return false;
  } while (
      !pool.door.compare_exchange_weak(d, {d.seats - 1, d.inside + 1}, std::memory_order_acquire, std::memory_order_relaxed));
  if ((_mm_getcsr() & ~kSticky) != pool.mxcsr && !SINTER_MUTANT(workers_round_their_own_way)) _mm_setcsr(pool.mxcsr);
  take_tasks(static_cast<int>(d.seats));
  d = pool.door.load(std::memory_order_relaxed);
  while (!pool.door.compare_exchange_weak(d, {d.seats, d.inside - 1}, std::memory_order_release, std::memory_order_relaxed)) {}
  return true;
}

void sleep() {
  pool.sleepers.fetch_add(1);
  const int heard = pool.bell.load();
  if (pool.door.load().seats == 0) futex(FUTEX_WAIT, heard);  // a job opened before this look, or the bell rings after it
  pool.sleepers.fetch_sub(1);
}

void* work(void*) {
  cpu_set_t cores;  // of the main thread: the thread that started this one may be tied to a core
  if (sched_getaffinity(getpid(), sizeof(cores), &cores) == 0) sched_setaffinity(0, sizeof(cores), &cores);
  for (;;) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    bool worked = false;
    do {
      for (int i = 0; i < 32 && !worked; ++i) {
        worked = join();
        if (!worked) _mm_pause();
      }
    } while (!worked && std::chrono::steady_clock::now() < until);
    if (!worked) sleep();
  }
}

bool start_worker() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStack);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, work, nullptr) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

/// Starts workers until there are `n`. What could not be started is not tried again until another number is asked for.
void have_workers(int n) {
  if (n <= pool.workers || n == pool.wanted) return;
  pool.wanted = n;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the program's signals are for the program's threads
  while (pool.workers < n && start_worker()) ++pool.workers;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

/// Without memory for it nothing is said.
void say_that_workers_are_missing() {
  static constinit std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  try {
    warn("threads cannot be started: kernels run on fewer, or on their callers alone", "thread pool");
  } catch (const std::exception&) {}
}

/// No worker joins any more; waits for those inside, each of which is in its last task.
void close_door() {
  Door d = pool.door.load(std::memory_order_relaxed);
  while (!pool.door.compare_exchange_weak(d, {0, d.inside}, std::memory_order_relaxed)) {}
  for (int spins = 0; pool.door.load(std::memory_order_acquire).inside != 0 && !SINTER_MUTANT(pool_leaves_before_workers);
       ++spins)
    spins < 1000 ? _mm_pause() : static_cast<void>(sched_yield());
}

}  // namespace

bool run(int64_t tasks, detail::TaskFn fn, void* f, int threads, unsigned mxcsr) {
  if (pool.busy.exchange(true, std::memory_order_acquire)) {
    pool.contended.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  have_workers(threads - 1);
  const auto seats = static_cast<uint32_t>(std::min<int64_t>({threads - 1, pool.workers, tasks - 1}));
  if (seats > 0) {
    pool.fn = fn, pool.f = f, pool.tasks = tasks, pool.mxcsr = mxcsr & ~kSticky;
    pool.next.store(0, std::memory_order_relaxed);
    pool.door.store({seats, 0});
    if (pool.sleepers.load() > 0) {
      pool.bell.fetch_add(1);
      futex(FUTEX_WAKE, static_cast<int>(seats));
    }
    take_tasks(0);
    close_door();
    pool.split.fetch_add(1, std::memory_order_relaxed);
  }
  const bool missing = pool.workers < threads - 1;
  pool.busy.store(false, std::memory_order_release);
  if (missing) [[unlikely]]
    say_that_workers_are_missing();
  return seats > 0;
}

bool in_task() { return here_in_task; }

ThreadStats stats() { return {pool.split.load(std::memory_order_relaxed), pool.contended.load(std::memory_order_relaxed)}; }

}  // namespace sinter::thread_pool
