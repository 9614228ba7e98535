// Printing against what LibTorch printed.
#include <catch2/catch.hpp>
#include <limits>
#include "engine/creation.h"
#include "expected.h"

using namespace sinter;

namespace {

const char* const kExpected =
#include "data/print_expected.txt"
    ;

void check_print(const std::string& expression, const Tensor& t) {
  static const auto expected = parse_expected(kExpected);
  const auto found = expected.find(expected_key(expression));
  REQUIRE(found != expected.end());
  CAPTURE(expression);
  std::ostringstream out;
  out << t;
  CHECK(out.str() == found->second);
}
#define CHECK_PRINT(...) check_print(#__VA_ARGS__, __VA_ARGS__)

const double kInf = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("Numbers, vectors and special values") {
  CHECK_PRINT(tensor(3.5));
  CHECK_PRINT(tensor(3));
  CHECK_PRINT(tensor(true));
  CHECK_PRINT(full({}, 1e10));
  CHECK_PRINT(full({}, kNaN));
  CHECK_PRINT(tensor(3.5, kDouble));
  CHECK_PRINT(full({}, 123456.789));
  CHECK_PRINT(full({}, -0.0));
  CHECK_PRINT(full({}, 1e-5));
  CHECK_PRINT(tensor({1.0, 2.0, 3.0}));
  CHECK_PRINT(tensor({1.5, -2.25, 3.0}));
  CHECK_PRINT(tensor({1, 20, 300}));
  CHECK_PRINT(tensor({true, false}));
  CHECK_PRINT(tensor({1e-3, 1.0}));
  CHECK_PRINT(tensor({1e-6, 1.0}));
  CHECK_PRINT(tensor({100000.5, 1.0}));
  CHECK_PRINT(tensor({123456.0, 1.5}));
  CHECK_PRINT(tensor({1234567890.0, 2.0}));
  CHECK_PRINT(tensor({kNaN, kInf, -kInf, 1.0}));
  CHECK_PRINT(tensor({kNaN, 0.5}));
  CHECK_PRINT(tensor({kNaN, kNaN}));
  CHECK_PRINT(tensor({kInf}));
  CHECK_PRINT(tensor({0.0, 0.0}));
  CHECK_PRINT(tensor({0.0, 0.5}));
  CHECK_PRINT(tensor({-5.0, 3.0}));
  CHECK_PRINT(tensor({-500.5, 3.0}));
  CHECK_PRINT(tensor({1e10, 1.5}));
  CHECK_PRINT(zeros({0}));
  CHECK_PRINT(zeros({0, 3}));
  CHECK_PRINT(zeros({2, 0, 3}));
  CHECK_PRINT(zeros({2, 3}));
  CHECK_PRINT(ones({2, 3}) * 0.1);
  CHECK_PRINT(arange(6).view({2, 3}));
  CHECK_PRINT(arange(12, kFloat).view({2, 2, 3}) * 1000.25);
  CHECK_PRINT(arange(24).view({2, 2, 2, 3}));
  CHECK_PRINT(arange(30, kFloat).view({2, 15}));
}

TEST_CASE("Matrices, columns, ranks above two") {
  CHECK_PRINT(arange(60, kDouble).view({2, 30}) * 0.01);
  CHECK_PRINT(arange(100).view({2, 50}) * 100000);
  CHECK_PRINT(arange(40, kFloat).view({1, 40}) * 1e6);
  CHECK_PRINT(tensor({1e100, 1.5}, kDouble));
  CHECK_PRINT(tensor({1e-100, 1.5}, kDouble));
  CHECK_PRINT(tensor({1e300, 1e-300}, kDouble));
  CHECK_PRINT(tensor({{1.5, kNaN}, {kInf, -2.0}}));
  CHECK_PRINT(tensor({{1.0, 2.0}, {3.0, 4.0}}).t());
  CHECK_PRINT(tensor({true, false, true, true}).view({2, 2}));
  CHECK_PRINT(zeros({2, 3, 0}));
  CHECK_PRINT(arange(3 * 2 * 20, kFloat).view({3, 2, 20}) / 7);
  CHECK_PRINT(arange(3).to(kDouble) * 0.25);
  CHECK_PRINT(tensor({-1, -2, -3}));
  CHECK_PRINT(tensor({-100, 5}));
  CHECK_PRINT(tensor({-1.0, -2.0}));
  CHECK_PRINT(tensor({-1e5, 2.5}));
  CHECK_PRINT(tensor({9.0, 10.0, 99.0}));
  CHECK_PRINT(tensor({1e9, 1.0}));
  CHECK_PRINT(tensor({1e10, 1.0}));
  CHECK_PRINT(tensor({-1e10, 1.0}));
  CHECK_PRINT(tensor({0.001, 0.002}));
  CHECK_PRINT(tensor({0.00012, 0.00034}));
  CHECK_PRINT(tensor({99999.5, 10000.25}));
  CHECK_PRINT(tensor({0.1, 0.01, 0.9}));
  CHECK_PRINT(ones({1}));
  CHECK_PRINT(ones({1, 1}));
  CHECK_PRINT(full({2, 2}, 7, kLong));
  CHECK_PRINT(tensor({int64_t(9007199254740993)}));
  CHECK_PRINT(tensor({1e4, 0.5}));
  CHECK_PRINT(arange(20, kFloat).view({2, 10}) * 1e4 + 0.5);
  CHECK_PRINT(zeros({0}, kLong));
  CHECK_PRINT(zeros({0, 2}, kBool));
  CHECK_PRINT(tensor({kNaN, 1.0, 2.0}));
  CHECK_PRINT(tensor({1.0, kInf, 2.5}));
  CHECK_PRINT(arange(26, kFloat).view({1, 26}));
  CHECK_PRINT(arange(27, kFloat).view({1, 27}));
}

TEST_CASE("Scales and notation") {
  CHECK_PRINT(arange(17, kFloat).view({1, 17}) * 0.5);
  CHECK_PRINT(tensor({-kInf, 5.0}));
  CHECK_PRINT(ones({2, 1, 2, 1}));
  CHECK_PRINT(Tensor());
  CHECK_PRINT(ones({2}).requires_grad_(true));
  CHECK_PRINT(tensor({{-1.25e-7, 1.0}, {2.0, 3.0}}));
  CHECK_PRINT(tensor({0.0, 1e-5}));
  CHECK_PRINT(tensor({0.0, 1e5 + 0.5}));
  CHECK_PRINT(tensor({-3.5, -0.25}));
  CHECK_PRINT(tensor({-12345.5, -0.25}));
  CHECK_PRINT(tensor({kNaN}).to(kDouble));
  CHECK_PRINT(full({}, kInf));
  CHECK_PRINT(full({}, -7, kLong));
  CHECK_PRINT(full({}, true, kBool));
  CHECK_PRINT(full({}, 0.1, kDouble));
  CHECK_PRINT(full({}, 1.0f / 3));
  CHECK_PRINT(full({}, 1.0 / 3, kDouble));
  CHECK_PRINT(full({}, 100000.0));
  CHECK_PRINT(full({}, 1234567.0));
  CHECK_PRINT(tensor({{0.001, 0.002}, {0.003, 0.004}}));
  CHECK_PRINT(full({2, 2, 2}, 0.00125));
  CHECK_PRINT((arange(40, kFloat) * 0.0001 + 0.001).view({2, 20}));
  CHECK_PRINT(tensor({{1.5e5, 2.5e5}, {3.5e5, 9.5e5}}));
  CHECK_PRINT(tensor({100000.5, 200000.25}));
  CHECK_PRINT((arange(80, kFloat) * 0.0001 + 0.001).view({2, 2, 20}));
  CHECK_PRINT(tensor({1e99, 2.0}, kDouble));
  CHECK_PRINT(full({2}, kNaN).view({1, 2}));
  CHECK_PRINT(tensor({{kNaN, 1e6}}));
  CHECK_PRINT(tensor({10000.5, 99999.5}));
  CHECK_PRINT(tensor({-100000.5, -200000.25}));
  CHECK_PRINT(tensor({3.0, -500.5}));
  CHECK_PRINT(tensor({1, -300}));
  CHECK_PRINT(tensor({-2.0, -300.25, 7.5}));
  CHECK_PRINT(tensor({0.5, -1e7}));
  CHECK_PRINT((arange(24, kFloat).view({2, 3, 4}) - 5) * 100.5);
  CHECK_PRINT(arange(24, kFloat).view({4, 3, 2}).transpose(0, 2));
  CHECK_PRINT(tensor({{{0.5, 1e-7}, {3.0, 4.0}}, {{5.0, 6.0}, {70.0, 800.0}}, {{1e10, 2.0}, {3.0, 123456.0}}}));
  CHECK_PRINT(tensor({{{0.5, 1.5}}, {{100000.0, 200000.0}}, {{1234567.0, 2.0}}}));
}

TEST_CASE("The stream's precision is used for a lone number, its state is kept") {
  std::ostringstream out;
  out.precision(3);
  out << full({}, 1.0 / 3, kDouble) << '\n' << 1.0 / 3;
  CHECK(out.str() == "0.333\n[ CPUDoubleType{} ]\n0.333");
}
