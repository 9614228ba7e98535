// One call of a walk: the function's blocks, run under the world's ambient state.
#pragma once
#include <exception>
#include "world.h"

namespace sinter::test {

/// What the blocks of one call share.
struct Call {
  World& w;
  const Tensor &x, &y;
  Tensor h, loss;
  std::vector<Tensor> out = {};

  /// h as the module takes it: its dtype, six columns.
  Tensor features(const Tensor& t) const;
  /// y where there is one.
  const Tensor& other() const { return y.defined() ? y : x; }
  /// Host code that throws when it is this point's turn.
  void point() const;
  /// The second function, called inside this one.
  std::vector<Tensor> nested() const;
  double first_number(const Tensor& t) const;
  void second_derivative();
};

/// One level deeper for a scope: functions call each other once.
struct Deeper {
  explicit Deeper(int& depth) : depth_(++depth) {}
  ~Deeper() { --depth_; }
  int& depth_;
};

/// Calls function `which` on the thread and in the ambient state that the world's knobs say. Empty, or what was thrown.
std::string call_in_ambience(World& w, int which, const Tensor& x, const Tensor& y, std::vector<Tensor>& results);
std::string describe(const std::exception& e);

// -- the table of blocks
int block_count();
const char* block_name(int block);
const char* block_code(int block);
int block_weight(int block);
bool is_pure(const std::vector<uint8_t>& blocks);
/// Which path a call takes depends on values.
bool branches_on_values(const std::vector<uint8_t>& blocks);

}  // namespace sinter::test
