// The number of threads, for a scope.
#pragma once
#include "runtime/threads.h"

namespace sinter::test {

class SetThreads {
 public:
  explicit SetThreads(int n) : before_(get_num_threads()) { set_num_threads(n); }
  ~SetThreads() { set_num_threads(before_); }
  SetThreads(const SetThreads&) = delete;

 private:
  int before_;
};

}  // namespace sinter::test
