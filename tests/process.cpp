#include "process.h"
#include <fmt/format.h>
#include <sys/mman.h>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

namespace sinter::test {

std::string in_child(const std::function<bool()>& f, bool by_exit) {
  const pid_t child = fork();
  if (child < 0) return "fork failed";
  if (child == 0) {
    alarm(60);
    int result = 2;
    try {
      result = f() ? 0 : 1;
    } catch (const std::exception& e) { fmt::print(stderr, "in the child: {}\n", e.what()); }
    if (by_exit) std::exit(result);
    _exit(result);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return "waitpid failed";
  if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? "" : fmt::format("exit status {}", WEXITSTATUS(status));
  return fmt::format("signal {}", WTERMSIG(status));
}

size_t on_small_stack(size_t bytes, const std::function<void()>& f) {
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
