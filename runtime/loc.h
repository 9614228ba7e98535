// Source location of a user's call, taken as a defaulted argument.
#pragma once
#include <cstdint>

namespace sinter {

/// File and line of the caller. `__builtin_FILE` instead of std::source_location: Debian's clang 14 lacks the latter.
struct Loc {
  const char* file = "";
  int32_t line = 0;
  static constexpr Loc current(const char* f = __builtin_FILE(), int32_t l = __builtin_LINE()) { return {f, l}; }
};

}  // namespace sinter
