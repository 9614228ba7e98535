#include "process_barrier.h"
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>

namespace sinter {

namespace {
bool membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }
}  // namespace

bool process_wide_barrier_works() {
  static const bool works = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  return works;
}

void process_wide_barrier() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!process_wide_barrier_works()) return;
  // Refused only where the registration was lost (a fork by an old kernel): made anew.
  while (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

}  // namespace sinter
