// The threads that parallel_for (threads.h) divides work over. One job at a time; a worker that is late is not waited for.
#pragma once
#include <cstdint>
#include "threads.h"

namespace sinter::thread_pool {

/// Runs the tasks on the caller and up to `threads - 1` workers. False, and nothing done, when another thread's job is running or
/// there is no worker.
bool run(int64_t tasks, detail::TaskFn fn, void* f, int threads, unsigned mxcsr);
/// This thread is in a task.
bool in_task();
ThreadStats stats();

}  // namespace sinter::thread_pool
