// fork() in a program with threads: the child has only the forking thread, so every lock of the library must be free then, and
// what it guards whole. Before a fork all of them are taken, in one order; after it parent and child free them.
#pragma once
#include <cstdint>
#include <mutex>

namespace sinter::at_fork {

/// The order: a lock is taken before those that may be asked for while it is held.
enum class Rank : uint8_t {
  visits,
  compiled_states,
  contexts,
  views,
  deferred,
  programs,
  kernels,
  tiles,
  code,
  intern,
  packing,
  allocator,
  threads,
  log,
  kCount
};

/// Names the lock of this rank. `mutex` makes what it belongs to, if need be: nothing is half initialised in a child then.
/// `in_child`, if given, is called in the child before the lock is freed there. For namespace-scope constants of the files that
/// own the locks. Returns true.
bool watch(Rank rank, std::mutex* (*mutex)(), void (*in_child)() = nullptr);
/// The same for a group of locks, such as those of all compiled functions.
bool watch(Rank rank, void (*lock)(), void (*unlock)(), void (*in_child)() = nullptr);

/// How many forks lie between the start of the program and this process. A busy mark of an earlier generation belongs to a thread
/// that is not there.
uint32_t generation();

}  // namespace sinter::at_fork
