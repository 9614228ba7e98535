#include "at_fork.h"
#include <pthread.h>
#include <atomic>

namespace sinter::at_fork {

namespace {

struct Watched {
  std::mutex* (*mutex)();
  void (*lock)();
  void (*unlock)();
  void (*in_child)();
};
constexpr auto kRanks = static_cast<size_t>(Rank::kCount);
constinit Watched watched[kRanks] = {};  // filled before main
constinit std::atomic<uint32_t> forks{0};
constinit std::mutex forking;  // one fork at a time: what is locked for it is noted in one place

void before() {
  forking.lock();
  for (const Watched& w : watched) {
    if (w.mutex != nullptr) w.mutex()->lock();
    if (w.lock != nullptr) w.lock();
  }
}
void after() {
  for (size_t i = kRanks; i-- > 0;) {
    if (watched[i].unlock != nullptr) watched[i].unlock();
    if (watched[i].mutex != nullptr) watched[i].mutex()->unlock();
  }
  forking.unlock();
}
void after_in_child() {
  forks.fetch_add(1, std::memory_order_relaxed);
  for (const Watched& w : watched)
    if (w.in_child != nullptr) w.in_child();
  after();
}

void install() {
  static const bool once = pthread_atfork(before, after, after_in_child) == 0;
  (void)once;
}

}  // namespace

bool watch(Rank rank, std::mutex* (*mutex)(), void (*in_child)()) {
  watched[static_cast<size_t>(rank)] = {mutex, nullptr, nullptr, in_child};
  install();
  return true;
}

bool watch(Rank rank, void (*lock)(), void (*unlock)(), void (*in_child)()) {
  watched[static_cast<size_t>(rank)] = {nullptr, lock, unlock, in_child};
  install();
  return true;
}

uint32_t generation() { return forks.load(std::memory_order_relaxed); }

}  // namespace sinter::at_fork
