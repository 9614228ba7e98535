#include "process_barrier.h"
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <chrono>
#include <thread>

namespace sinter {

namespace {
bool membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }
}  // namespace

bool process_wide_barrier_works() {
  // No static of the function's own: a thread that makes one during a fork() would lock it for ever in the child.
  enum : int { kUnknown, kWorks, kMissing };
  static constinit std::atomic<int> state{kUnknown};
  if (state.load(std::memory_order_relaxed) == kUnknown) {
    const bool works = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    state.store(works ? kWorks : kMissing, std::memory_order_relaxed);
  }
  return state.load(std::memory_order_relaxed) == kWorks;
}

void process_wide_barrier() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!process_wide_barrier_works()) return;
  if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return;
  // The registration was lost (a fork by an old kernel): made anew.
  if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return;
  // Forbidden since (a sandbox entered late). What is left is time: a store buffer drains within microseconds, and with every
  // interrupt and task switch.
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace sinter
