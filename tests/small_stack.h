// Running a function on a thread with a small stack.
#pragma once
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <cstring>
#include <functional>
#include <stdexcept>

namespace sinter::test {

/// Runs `f` on a thread whose stack has `bytes`; returns how many of them were used.
inline size_t on_small_stack(size_t bytes, const std::function<void()>& f) {
  constexpr size_t kGuard = 4096;
  constexpr unsigned char kUntouched = 0xa5;
  void* mapped = mmap(nullptr, bytes + kGuard, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::runtime_error("no memory for a stack");
  mprotect(mapped, kGuard, PROT_NONE);  // an overflow ends here
  auto* stack = static_cast<unsigned char*>(mapped) + kGuard;
  std::memset(stack, kUntouched, bytes);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stack, bytes);
  pthread_t thread;
  const int failure = pthread_create(
      &thread, &attributes,
      [](void* p) -> void* {
        (*static_cast<const std::function<void()>*>(p))();
        return nullptr;
      },
      const_cast<void*>(static_cast<const void*>(&f)));
  if (failure != 0) throw std::runtime_error(fmt::format("pthread_create: {}", failure));
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  size_t untouched = 0;
  while (untouched < bytes && stack[untouched] == kUntouched) ++untouched;
  munmap(mapped, bytes + kGuard);
  return bytes - untouched;
}

}  // namespace sinter::test
