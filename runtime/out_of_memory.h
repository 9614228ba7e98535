// std::bad_alloc of the library's own containers reaches users as OutOfMemoryError. Gates, the functions through which users
// enter the library, catch it and call this.
#pragma once
#include <new>
#include <utility>

namespace sinter {

/// Throws an OutOfMemoryError made beforehand: needs no memory.
[[noreturn]] void throw_out_of_memory();

/// A gate around `f`.
template <class F>
decltype(auto) memory_gate(F&& f) {
  try {
    return std::forward<F>(f)();
  } catch (const std::bad_alloc&) { throw_out_of_memory(); }
}

}  // namespace sinter
