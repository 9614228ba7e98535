// Result types of every operator for every pair of operand types, against LibTorch's.
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include "engine/creation.h"

using namespace sinter;

namespace {

struct Row {
  const char *op, *form, *codes;
};
const Row kRows[] = {
#include "data/promotion_expected.txt"
};

constexpr ScalarType kTypes[] = {kBool, kLong, kFloat, kDouble};

Tensor operand(char form, int type) { return form == 'T' ? ones({2}, kTypes[type]) : ones({}, kTypes[type]); }
Scalar number(int type) { return type == 0 ? Scalar(true) : type == 1 ? Scalar(1) : Scalar(1.0); }

template <class F>
char code_of(F f) {
  try {
    return "blfd"[static_cast<int>(f().dtype())];
  } catch (const Error&) { return 'x'; }
}

using Pair = std::function<Tensor(const Tensor&, const Tensor&)>;
using WithNumber = std::function<Tensor(const Tensor&, Scalar)>;
using Single = std::function<Tensor(const Tensor&)>;
#define PAIR(name, ...)                                                          \
  {                                                                              \
    name, [](const Tensor& a, const Tensor& b) -> Tensor { return __VA_ARGS__; } \
  }
#define NUMBER(name, ...)                                                 \
  {                                                                       \
    name, [](const Tensor& a, Scalar b) -> Tensor { return __VA_ARGS__; } \
  }
#define SINGLE(name, ...)                                       \
  {                                                             \
    name, [](const Tensor& a) -> Tensor { return __VA_ARGS__; } \
  }

const std::map<std::string, Pair> kPairs = {PAIR("add", a.add(b)),
                                            PAIR("sub", a.sub(b)),
                                            PAIR("mul", a.mul(b)),
                                            PAIR("div", a.div(b)),
                                            PAIR("div_trunc", a.div(b, "trunc")),
                                            PAIR("floor_divide", a.floor_divide(b)),
                                            PAIR("remainder", a.remainder(b)),
                                            PAIR("minimum", minimum(a, b)),
                                            PAIR("maximum", maximum(a, b)),
                                            PAIR("pow", pow(a, b)),
                                            PAIR("eq", a.eq(b)),
                                            PAIR("lt", a.lt(b)),
                                            PAIR("logical_and", a.logical_and(b)),
                                            PAIR("logical_xor", a.logical_xor(b)),
                                            PAIR("where", where(a.eq(a), a, b)),
                                            PAIR("addcmul", addcmul(a, b, b)),
                                            PAIR("addcdiv", addcdiv(a, b, b)),
                                            PAIR("add_", a.add_(b)),
                                            PAIR("div_", a.div_(b)),
                                            PAIR("pow_", a.pow_(b)),
                                            PAIR("copy_", a.copy_(b)),
                                            PAIR("mul_", a.mul_(b)),
                                            PAIR("cat", cat({a, b})),
                                            PAIR("stack", stack({a, b}))};
const std::map<std::string, WithNumber> kWithNumber = {NUMBER("add", a.add(b)),
                                                       NUMBER("sub", a.sub(b)),
                                                       NUMBER("rsub", rsub(a, b)),
                                                       NUMBER("mul", a.mul(b)),
                                                       NUMBER("div", a.div(b)),
                                                       NUMBER("div_trunc", a.div(b, "trunc")),
                                                       NUMBER("floor_divide", a.floor_divide(b)),
                                                       NUMBER("remainder", a.remainder(b)),
                                                       NUMBER("rremainder", remainder(b, a)),
                                                       NUMBER("pow", a.pow(b)),
                                                       NUMBER("rpow", pow(b, a)),
                                                       NUMBER("eq", a.eq(b)),
                                                       NUMBER("ge", a.ge(b)),
                                                       NUMBER("clamp_min", clamp(a, b)),
                                                       NUMBER("clamp", clamp(a, b, b)),
                                                       NUMBER("add_", a.add_(b)),
                                                       NUMBER("sub_", a.sub_(b)),
                                                       NUMBER("mul_", a.mul_(b)),
                                                       NUMBER("div_", a.div_(b)),
                                                       NUMBER("pow_", a.pow_(b)),
                                                       NUMBER("clamp_", a.clamp_(b, b)),
                                                       NUMBER("fill_", a.fill_(b)),
                                                       NUMBER("alpha", a.add(a, b)),
                                                       NUMBER("where", where(a.eq(a), a, b)),
                                                       NUMBER("masked_fill", a.masked_fill(a.eq(a), b)),
                                                       NUMBER("addcmul", addcmul(a, a, a, b))};
const std::map<std::string, Single> kSingle = {SINGLE("neg", a.neg()),
                                               SINGLE("abs", a.abs()),
                                               SINGLE("sign", a.sign()),
                                               SINGLE("exp", a.exp()),
                                               SINGLE("log", a.log()),
                                               SINGLE("log1p", a.log1p()),
                                               SINGLE("sqrt", a.sqrt()),
                                               SINGLE("rsqrt", a.rsqrt()),
                                               SINGLE("reciprocal", a.reciprocal()),
                                               SINGLE("sin", a.sin()),
                                               SINGLE("cos", a.cos()),
                                               SINGLE("tanh", a.tanh()),
                                               SINGLE("sigmoid", a.sigmoid()),
                                               SINGLE("erf", a.erf()),
                                               SINGLE("relu", a.relu()),
                                               SINGLE("gelu", gelu(a)),
                                               SINGLE("logical_not", a.logical_not()),
                                               SINGLE("square", a.square()),
                                               SINGLE("sum", a.sum()),
                                               SINGLE("mean", a.mean()),
                                               SINGLE("amax", a.amax()),
                                               SINGLE("amin", amin(a)),
                                               SINGLE("max", a.max()),
                                               SINGLE("argmax", a.argmax()),
                                               SINGLE("var", a.var()),
                                               SINGLE("std", a.std()),
                                               SINGLE("any", a.any()),
                                               SINGLE("all", a.all()),
                                               SINGLE("softmax", a.softmax(0)),
                                               SINGLE("log_softmax", a.log_softmax(0)),
                                               SINGLE("mm", mm(a.view({1, 2}), a.view({2, 1}))),
                                               SINGLE("dot", a.dot(a)),
                                               SINGLE("bmm", bmm(a.view({1, 1, 2}), a.view({1, 2, 1}))),
                                               SINGLE("layer_norm", layer_norm(a, {2})),
                                               SINGLE("relu_", a.relu_()),
                                               SINGLE("exp_", a.exp_()),
                                               SINGLE("abs_", a.abs_()),
                                               SINGLE("neg_", a.neg_()),
                                               SINGLE("mse_loss", mse_loss(a, a)),
                                               SINGLE("dropout", dropout(a, 0.5, true)),
                                               SINGLE("max_dim", std::get<0>(a.max(0))),
                                               SINGLE("clone", a.clone())};

}  // namespace

TEST_CASE("Types promote as in PyTorch") {
  for (const Row& row : kRows) {
    const std::string form = row.form;
    std::string codes;
    for (int i = 0; i < 4; ++i) {
      if (form.size() == 1) codes += code_of([&] { return kSingle.at(row.op)(operand('T', i)); });
      else if (form[1] == 'S')
        for (int j = 0; j < 3; ++j) codes += code_of([&] { return kWithNumber.at(row.op)(operand(form[0], i), number(j)); });
      else
        for (int j = 0; j < 4; ++j) codes += code_of([&] { return kPairs.at(row.op)(operand(form[0], i), operand(form[1], j)); });
    }
    CAPTURE(row.op, form);
    CHECK(codes == row.codes);
  }
}

TEST_CASE("A default of double makes integers double in floating operators") {
  set_default_dtype(kDouble);
  CHECK((ones({2}, kLong) / 2).dtype() == kDouble);
  CHECK((ones({2}, kLong) * 1.5).dtype() == kDouble);
  CHECK((ones({2}, kFloat) * 1.5).dtype() == kFloat);
  CHECK(tensor({1.5}).dtype() == kDouble);
  CHECK(zeros({1}).dtype() == kDouble);
  set_default_dtype(kFloat);
  CHECK_THROWS_AS(set_default_dtype(kLong), DtypeError);
  CHECK(get_default_dtype() == kFloat);
}
