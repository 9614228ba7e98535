// Running a part of a test in a child process, or on a thread with a small stack.
#pragma once
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <functional>
#include <thread>

namespace sinter::test {

/// Forks; the child runs `f` and ends at once (`by_exit`: through exit(), with static destructors). "" when f returned true, else
/// what became of the child; one that hangs is ended by SIGALRM.
std::string in_child(const std::function<bool()>& f, bool by_exit = false);

/// Runs `f` on a thread whose stack has `bytes`; returns how many of them were used.
size_t on_small_stack(size_t bytes, const std::function<void()>& f);

}  // namespace sinter::test
