// An expensive barrier for rare events that lets frequent ones do without: as if every thread had issued a fence.
#pragma once

namespace sinter {

/// Orders the plain stores and loads of all threads of the process around this point (membarrier(2), private expedited).
void process_wide_barrier();
/// False: the system has no membarrier, so the frequent side must issue a fence of its own each time. Settled at the first use.
bool process_wide_barrier_works();

}  // namespace sinter
