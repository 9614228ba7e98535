#include "threads.h"
#include <sched.h>
#include <unistd.h>
#include <xmmintrin.h>
#include <algorithm>
#include "env.h"
#include "error.h"
#include "thread_pool.h"

namespace sinter {

constinit std::atomic<int> detail::thread_count{0};

namespace {

constexpr int kMostThreads = 256, kMostByDefault = 64;
constexpr unsigned kMasks = 0x1f80;  // of MXCSR: exceptions that are masked

int cores() {
  cpu_set_t set;
  if (sched_getaffinity(getpid(), sizeof(set), &set) != 0) return kMostByDefault;  // a machine of more than 1024 cores
  return std::clamp(CPU_COUNT(&set), 1, kMostByDefault);
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

void detail::run_tasks(int64_t tasks, TaskFn fn, void* f, int threads) {
  const unsigned mxcsr = _mm_getcsr();
  // An exception that is not masked must reach the thread that called.
  const bool alone = threads == 1 || get_num_threads() == 1 || thread_pool::in_task() || (mxcsr & kMasks) != kMasks;
  if (!alone && thread_pool::run(tasks, fn, f, threads, mxcsr)) return;
  for (int64_t task = 0; task < tasks; ++task) fn(f, task, 0);
}

ThreadStats thread_stats() { return thread_pool::stats(); }

}  // namespace sinter
