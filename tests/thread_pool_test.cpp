// The pool that kernels are split over: every task runs once, whoever calls, and nothing waits for threads that are not there.
#include <pmmintrin.h>
#include <sys/resource.h>
#include <atomic>
#include <barrier>
#include <cmath>
#include <thread>
#include <vector>
#include "child_process.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/threads.h"
#include "sandbox.h"
#include "set_threads.h"
#include "small_stack.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// How often each of `tasks` tasks ran; each takes a little time, so that others get some.
std::vector<int> times_run(int64_t tasks) {
  std::vector<std::atomic<int>> times(static_cast<size_t>(tasks));
  parallel_for(tasks, [&](int64_t task) {
    volatile double x = 1;
    for (int i = 0; i < 500; ++i) x = x * 1.0000001;
    times[static_cast<size_t>(task)].fetch_add(1);
  });
  return {times.begin(), times.end()};
}
bool each_once(int64_t tasks) { return times_run(tasks) == std::vector<int>(static_cast<size_t>(tasks), 1); }

/// Another thread's job that keeps the pool until it is released.
class HeldPool {
 public:
  HeldPool() {
    while (!held_) std::this_thread::yield();
  }
  void release() {
    go_on_ = true;
    holder_.join();
  }

 private:
  std::atomic<bool> held_ = false, go_on_ = false;
  std::thread holder_{[this] {
    parallel_for(2, [this](int64_t) {
      held_ = true;
      while (!go_on_) std::this_thread::yield();
    });
  }};
};

}  // namespace

TEST_CASE("parallel_for runs every task once, for any number of threads") {
  for (int threads : {1, 2, 3, 7, 16}) {
    const SetThreads set(threads);
    for (int64_t tasks : {0, 1, 2, 3, 15, 16, 17, 1000}) {
      INFO(threads << " threads, " << tasks << " tasks");
      REQUIRE(each_once(tasks));
    }
  }
}

TEST_CASE("parallel_for uses several threads, and no worker number twice at a time") {
  const SetThreads set(3);
  std::atomic<int> holders[3] = {};
  std::atomic<bool> clash = false, other = false;
  const std::thread::id caller = std::this_thread::get_id();
  const uint64_t split = thread_stats().split;
  for (int round = 0; round < 1000 && !other; ++round) {
    parallel_for(64, [&](int64_t, int worker) {
      if (holders[worker].fetch_add(1) != 0) clash = true;
      if (std::this_thread::get_id() != caller) other = true;
      std::this_thread::yield();
      holders[worker].fetch_sub(1);
    });
  }
  REQUIRE(other);
  REQUIRE_FALSE(clash);
  REQUIRE(thread_stats().split > split);
}

TEST_CASE("parallel_for returns when the last task is done, whoever does it") {
  const SetThreads set(2);
  const std::thread::id here = std::this_thread::get_id();
  int others = 0;
  for (int round = 0; round < 500 && others < 5; ++round) {
    std::atomic<int> begun = 0, done = 0;
    std::atomic<bool> other = false;
    parallel_for(2, [&](int64_t) {
      ++begun;
      if (std::this_thread::get_id() == here) {  // leaves the second task to the worker
        for (int i = 0; i < 1000 && begun < 2; ++i) std::this_thread::yield();
      } else {
        other = true;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      ++done;
    });
    REQUIRE(done == 2);
    others += other;
  }
  REQUIRE(others > 0);
}

TEST_CASE("parallel_for inside a task runs on that task's thread") {
  const SetThreads set(2);
  std::atomic<int> foreign = 0, total = 0;
  parallel_for(8, [&](int64_t) {
    const std::thread::id here = std::this_thread::get_id();
    parallel_for(8, [&](int64_t, int worker) {
      foreign += std::this_thread::get_id() != here || worker != 0;
      ++total;
    });
  });
  REQUIRE(total == 64);
  REQUIRE(foreign == 0);
}

TEST_CASE("a busy pool: other callers run alone and wait for nobody") {
  const SetThreads set(2);
  HeldPool pool;
  const uint64_t busy = thread_stats().busy;
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<int> foreign = 0;
  parallel_for(16, [&](int64_t) { foreign += std::this_thread::get_id() != here; });
  pool.release();
  REQUIRE(foreign == 0);
  REQUIRE(thread_stats().busy == busy + 1);
}

TEST_CASE("many threads at once, while the number of threads changes") {
  const SetThreads set(2);
  std::atomic<bool> wrong = false;
  std::vector<std::thread> callers;
  for (int t = 0; t < 8; ++t) {
    callers.emplace_back([&, t] {
      for (int round = 0; round < 50; ++round) {
        if (t == 0) set_num_threads(1 + round % 5);
        if (!each_once(1 + round)) wrong = true;
      }
    });
  }
  for (auto& c : callers) c.join();
  REQUIRE_FALSE(wrong);
}

TEST_CASE("tasks compute in the caller's floating-point mode") {
  const SetThreads set(3);
  const unsigned before = _mm_getcsr();
  for (unsigned mode : {0x0000u, 0x2000u, 0x4000u, 0x6000u, 0x8000u, 0x0040u, 0x8040u}) {
    _mm_setcsr(0x1f80 | mode);
    std::atomic<int> wrong = 0;
    for (int round = 0; round < 20; ++round) {
      parallel_for(32, [&](int64_t) {
        wrong += (_mm_getcsr() & 0xffc0) != (0x1f80 | mode);
        std::this_thread::yield();
      });
    }
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    INFO("mode " << mode);
    REQUIRE(wrong == 0);
    REQUIRE((after & 0xffc0) == (0x1f80 | mode));
  }
}

TEST_CASE("an exception that is not masked happens on the thread that called") {
  const SetThreads set(3);
  const unsigned before = _mm_getcsr();
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<int> foreign = 0;
  _mm_setcsr(0x1f80 & ~0x0200u);  // division by zero
  for (int round = 0; round < 100; ++round) parallel_for(32, [&](int64_t) { foreign += std::this_thread::get_id() != here; });
  _mm_setcsr(before);
  REQUIRE(foreign == 0);
}

TEST_CASE("set_num_threads refuses what is no number of threads") {
  const int before = get_num_threads();
  for (int n : {0, -1, 257}) REQUIRE_THROWS_AS(set_num_threads(n), ValueError);
  REQUIRE(get_num_threads() == before);
}

TEST_CASE("signals of the program are not delivered to the pool's threads") {
  const SetThreads set(3);
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<int> open = 0, other = 0;
  for (int round = 0; round < 1000 && other == 0; ++round) {
    parallel_for(64, [&](int64_t) {
      if (std::this_thread::get_id() == here) return std::this_thread::yield();
      ++other;
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      open += !sigismember(&mask, SIGTERM) || !sigismember(&mask, SIGUSR1);
    });
  }
  REQUIRE(other > 0);
  REQUIRE(open == 0);
}

TEST_CASE("a child of fork() makes its own pool, also while another thread's job runs") {
  const SetThreads set(3);
  REQUIRE(each_once(100));
  REQUIRE(in_child([] { return each_once(100); }) == "");
  HeldPool pool;
  const std::string end = in_child([] {
    const uint64_t split = thread_stats().split;
    return each_once(100) && thread_stats().split == split + 1 && in_child([] { return each_once(10); }).empty();
  });
  pool.release();
  REQUIRE(end == "");
  REQUIRE(each_once(100));
}

TEST_CASE("callers with 64 KiB of stack") {
  const SetThreads set(8);
  bool right = false;
  REQUIRE(on_small_stack(64 << 10, [&] { right = each_once(100); }) < (32 << 10));
  REQUIRE(right);
}

TEST_CASE("threads that cannot start: everything runs on the caller, said once") {
  static std::atomic<int> said;  // in the child
  const auto no_threads = [] {
    said = 0;
    set_log_sink([](std::string_view line) { said += line.find("threads cannot be started") != line.npos; });
    const uint64_t split = thread_stats().split;
    alarm(20);
    bool right = refuse_threads();
    for (int threads : {3, 5, 5, 3}) {
      set_num_threads(threads);
      for (int i = 0; i < 3; ++i) right &= each_once(100);
    }
    return right && said == 1 && thread_stats().split == split;
  };
  REQUIRE(in_child(no_threads) == "");
}

// A child that hangs is ended by SIGALRM.
TEST_CASE("a limit on threads, from none to more than enough") {
  for (rlim_t limit = 0; limit <= 24; ++limit) {
    const auto limited = [&] {
      alarm(20);
      if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return true;  // nothing limits root
      const rlimit threads{limit, limit};
      if (setrlimit(RLIMIT_NPROC, &threads) != 0) return false;
      set_log_sink([](std::string_view) {});
      set_num_threads(8);
      return each_once(100) && each_once(100);
    };
    INFO("at most " << limit << " threads of this user");
    REQUIRE(in_child(limited) == "");
  }
}
