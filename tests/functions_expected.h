// CHECK_SAME(expression): values, type, sizes, strides and offset are what LibTorch printed for the same expression.
#pragma once
#include <catch2/catch.hpp>
#include "engine/creation.h"
#include "expected.h"

namespace sinter::test {

inline void check_same(const std::string& expression, const Tensor& t) {
  static const auto expected = parse_expected(
#include "data/functions_expected.txt"
  );
  const auto found = expected.find(expected_key(expression));
  REQUIRE(found != expected.end());
  CAPTURE(expression);
  CHECK(t.str() + " " + to_string(t.strides()) + " " + std::to_string(t.storage_offset()) == found->second);
}
#define CHECK_SAME(...) check_same(#__VA_ARGS__, __VA_ARGS__)

/// -2, -1.5, -1, ...
inline Tensor A(const std::vector<int64_t>& sizes) { return (arange(numel_of(sizes), kFloat) * 0.5 - 2).reshape(sizes); }
/// -2, -1, 0, 1, 2, -2, ...
inline Tensor I(const std::vector<int64_t>& sizes) { return (arange(numel_of(sizes), kLong) % 5 - 2).reshape(sizes); }

}  // namespace sinter::test
