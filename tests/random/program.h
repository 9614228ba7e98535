// Random programs: generated from a seed, run eager and compiled, compared, and reduced when they differ.
#pragma once
#include <cmath>
#include <optional>
#include <random>
#include <string>
#include <vector>
#include "../support.h"

namespace sinter::test {

/// One statement; operands are taken modulo the values that exist, so that any subset of a program is a program.
struct Step {
  int kind = 0;
  uint32_t a = 0, b = 0, c = 0;
  int64_t p = 0, q = 0;
  double s = 0;
};

struct Program {
  uint64_t seed = 0;
  std::vector<Step> steps;
  std::vector<std::vector<int64_t>> shapes;  // of the inputs
  std::vector<ScalarType> dtypes;
  std::vector<int> forms;  // of the inputs: 0 contiguous, 1 transposed, 2 expanded, 3 sliced
  bool backward = false;
};

/// Everything a run did that somebody could see.
struct Outcome {
  std::vector<Tensor> values;       // results still held, then the inputs, then gradients (undefined allowed)
  std::vector<std::string> errors;  // type and place of what was thrown
  int valid = 0, invalid = 0;
};

Program random_program(uint64_t seed);
/// Runs the steps on inputs made from `data_seed`; `scale` changes the value scalars.
Outcome run_program(const Program& p, std::vector<Tensor>& inputs, double scale);
std::vector<Tensor> make_inputs(const Program& p, uint64_t data_seed, int64_t grow);
/// Empty when the outcomes agree; else what differs.
std::string difference(const Outcome& eager, const Outcome& compiled);
/// Runs several calls eager and compiled; empty when all agree. Adds to `valid` and `invalid`.
std::string check_program(const Program& p, int64_t& valid, int64_t& invalid);
/// Drops statements while the difference stays.
Program reduce(Program p);
std::string listing(const Program& p);

}  // namespace sinter::test
