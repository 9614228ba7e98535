// Makes chosen allocations of the calling thread fail, and counts the heap's blocks and bytes. Only in programs linked with
// fault_injection.cpp and its --wrap options (tests/CMakeLists.txt).
#pragma once
#include <cstdint>

namespace sinter::test {

/// While it lives, allocations of this thread are numbered from 1: malloc, calloc, realloc, aligned_alloc, mmap, memfd_create and
/// fallocate called from this program (the library, AsmJit and Zydis are part of it), and operator new from anywhere. Exceptions
/// themselves are not counted: the C++ runtime has a reserve for them.
class FaultScope {
 public:
  enum Mode { kOne, kAllFrom };  // only the k-th fails, or all from the k-th on
  /// k = 0: nothing fails.
  explicit FaultScope(int64_t k, Mode mode = kOne);
  ~FaultScope();
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;
  int64_t allocations() const;
  bool fired() const;
};

/// The tests' own work inside a scope.
class FaultPause {
 public:
  FaultPause();
  ~FaultPause();

 private:
  bool before_;
};

/// Blocks allocated and not yet freed, all threads.
int64_t live_blocks();
/// Their bytes, as the heap rounds them.
int64_t live_bytes();
/// The most that live_bytes() was since the last reset_peak_bytes().
int64_t peak_bytes();
void reset_peak_bytes();

}  // namespace sinter::test
