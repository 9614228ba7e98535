// Whether the random programs test anything: how many of their statements are valid, how much of them is fused.
#pragma once
#include <string>
#include "engine/frame/compiled_state.h"
#include "program.h"

namespace sinter::test {

struct Rates {
  int64_t programs = 0, with_backward = 0, calls = 0;
  int64_t statements = 0, moving = 0;  // as written; views and in-place ones of these
  int64_t valid = 0, invalid = 0;      // statements as executed
  int64_t fused = 0, eager = 0, interpreted = 0;

  void count(const Program& p);
  /// Adds the operators of all regions that got a program. Fused: in a kernel, or a view. Eager: a step of its own for an
  /// eager kernel (matrix products, cat, indexing, random numbers, a copy into an input). Interpreted: all operators of a region
  /// that cannot be a program. Operators whose results nobody needs are not counted.
  void count(const CompiledState& state);
  double valid_share() const { return share(valid, invalid); }
  double moving_share() const { return share(moving, statements - moving); }
  double fused_share() const { return share(fused, eager + interpreted); }
  std::string str() const;

 private:
  static double share(int64_t part, int64_t rest) {
    return part + rest == 0 ? 1 : static_cast<double>(part) / static_cast<double>(part + rest);
  }
};

}  // namespace sinter::test
