// Random programs: what one is. Plain data, so that it can be reduced and printed.
#pragma once
#include <string>
#include <vector>
#include "frontend/sinter/sinter.h"

namespace sinter::test {

/// What a statement is for; the share of views and in-place statements is counted.
enum class Kind : uint8_t { Compute, View, Inplace, ThroughView, Other, Refused };

/// One statement. Operands are slots: the inputs, then one slot for each statement's result; an empty slot stands for
/// the next one below that holds a tensor, so that any subset of a program is a program.
struct Step {
  int statement = 0;  // row of statements.inc
  int a = 0, b = 0, c = 0;
  int64_t p = 0, q = 0;
  double s = 0;
  bool drop_a = false;  // the first operand's slot is emptied afterwards
  bool keep = true;     // the result is still held when the function returns
};

constexpr int64_t kN = -1;  // a size that differs from call to call: 3 + Call::grow

struct Input {
  enum Form { Contiguous, Transposed, Expanded, Sliced, Strided };
  std::vector<int64_t> sizes;
  ScalarType dtype = kFloat;
  Form form = Contiguous;
  bool requires_grad = false;
  bool specials = false;  // some elements are NaN, infinities, -0, subnormals
};

/// How one call of the compiled function differs from the first.
struct Call {
  enum Alias { None, Same, Overlap };
  int64_t grow = 0;
  double scale = 1;     // of the value scalars
  uint64_t data = 0;    // seed of the inputs' values
  int cast_input = -1;  // this input has another dtype
  Alias alias = None;   // the second of two inputs is the first, or a view of the same base that overlaps it
  int alias_of = 0, aliased = 1;
  bool reuse = false;           // the inputs are those of the call before, as it left them
  bool no_grad = false;         // called under NoGradGuard
  bool double_default = false;  // the default dtype is double
  int flip_grad = -1;           // this input requires grad where it did not, and the other way round
  friend bool operator==(const Call&, const Call&) = default;
};

enum class Backward : uint8_t { None, Inside, Outside };  // of the compiled call

struct Program {
  uint64_t seed = 0;
  std::vector<Input> inputs;
  std::vector<Step> steps;
  std::vector<Call> calls;
  Backward backward = Backward::None;
  bool escapes = false;  // the first exception leaves the function; else each statement catches its own
  int result_slot(size_t step) const { return static_cast<int>(inputs.size() + step); }
};

}  // namespace sinter::test
