// The functions that the argument fuzzer calls, each with arguments of any kind.
#pragma once
#include <optional>
#include <vector>
#include "frontend/sinter/sinter.h"

namespace sinter::test {

/// Arguments of one call; each function takes those it has a place for.
struct Arguments {
  Tensor a, b, c;
  int64_t i = 0, j = 0, k = 0;
  std::vector<int64_t> list;
  Scalar s, r;
  ScalarType dtype = kFloat;
  bool flag = false;

  std::optional<int64_t> maybe(int64_t v) const { return flag ? std::optional(v) : std::nullopt; }
  std::optional<Scalar> maybe(Scalar v) const { return flag ? std::optional(v) : std::nullopt; }
  std::optional<ScalarType> maybe_dtype() const { return flag ? std::optional(dtype) : std::nullopt; }
  std::optional<std::string_view> rounding() const { return flag ? "floor" : "trunc"; }
};

inline Tensor last(const std::vector<Tensor>& list) { return list.empty() ? Tensor() : list.back(); }

struct NamedFunction {
  const char* name;
  Tensor (*call)(const Arguments& x);
};

#define CALL(name, ...)                                            \
  {                                                                \
    name, [](const Arguments& x) -> Tensor { return __VA_ARGS__; } \
  }

inline const NamedFunction kFunctions[] = {
    CALL("neg", neg(x.a)),
    CALL("abs", abs(x.a)),
    CALL("sign", sign(x.a)),
    CALL("exp", exp(x.a)),
    CALL("log", log(x.a)),
    CALL("sqrt", sqrt(x.a)),
    CALL("sin", sin(x.a)),
    CALL("tanh", tanh(x.a)),
    CALL("sigmoid", sigmoid(x.a)),
    CALL("erf", erf(x.a)),
    CALL("relu", relu(x.a)),
    CALL("gelu", gelu(x.a)),
    CALL("silu", silu(x.a)),
    CALL("isnan", isnan(x.a)),
    CALL("square", square(x.a)),
    CALL("logical_not", logical_not(x.a)),
    CALL("reciprocal", reciprocal(x.a)),
    CALL("rsqrt", rsqrt(x.a)),
    CALL("log1p", log1p(x.a)),
    CALL("add", add(x.a, x.b)),
    CALL("add number", add(x.a, x.s)),
    CALL("add alpha", add(x.a, x.b, x.s)),
    CALL("add number alpha", add(x.a, x.s, x.r)),
    CALL("sub", sub(x.a, x.b)),
    CALL("sub alpha", sub(x.a, x.b, x.s)),
    CALL("rsub", rsub(x.a, x.b, x.s)),
    CALL("rsub number", rsub(x.a, x.s, x.r)),
    CALL("mul", mul(x.a, x.b)),
    CALL("mul number", mul(x.a, x.s)),
    CALL("div", div(x.a, x.b)),
    CALL("div number", div(x.a, x.s)),
    CALL("div rounded", div(x.a, x.b, x.rounding())),
    CALL("div number rounded", div(x.a, x.s, x.rounding())),
    CALL("floor_divide", floor_divide(x.a, x.b)),
    CALL("remainder", remainder(x.a, x.b)),
    CALL("remainder number", remainder(x.a, x.s)),
    CALL("number remainder", remainder(x.s, x.a)),
    CALL("pow", pow(x.a, x.b)),
    CALL("pow number", pow(x.a, x.s)),
    CALL("number pow", pow(x.s, x.a)),
    CALL("eq", eq(x.a, x.b)),
    CALL("lt", lt(x.a, x.b)),
    CALL("ge number", ge(x.a, x.s)),
    CALL("minimum", minimum(x.a, x.b)),
    CALL("maximum", maximum(x.a, x.b)),
    CALL("logical_and", logical_and(x.a, x.b)),
    CALL("logical_xor", logical_xor(x.a, x.b)),
    CALL("where", where(x.c, x.a, x.b)),
    CALL("where number", where(x.c, x.s, x.b)),
    CALL("masked_fill", masked_fill(x.a, x.c, x.s)),
    CALL("clamp", clamp(x.a, x.maybe(x.s), x.r)),
    CALL("clamp_min", clamp(x.a, x.s, x.maybe(x.r))),
    CALL("addcmul", addcmul(x.a, x.b, x.c, x.s)),
    CALL("addcdiv", addcdiv(x.a, x.b, x.c, x.s)),
    CALL("to", to(x.a, x.dtype, x.flag)),
    CALL("sum all", sum(x.a, x.maybe_dtype())),
    CALL("sum", sum(x.a, x.list, x.flag, x.maybe_dtype())),
    CALL("mean", mean(x.a, x.list, x.flag, x.maybe_dtype())),
    CALL("amax", amax(x.a, x.list, x.flag)),
    CALL("amin", amin(x.a, x.list, x.flag)),
    CALL("max", max(x.a)),
    CALL("max dim", std::get<0>(max(x.a, x.i, x.flag))),
    CALL("min dim", std::get<1>(min(x.a, x.i, x.flag))),
    CALL("argmax", argmax(x.a, x.maybe(x.i), x.flag)),
    CALL("argmin", argmin(x.a, x.maybe(x.i), x.flag)),
    CALL("var", var(x.a, x.list, x.flag, x.j & 1)),
    CALL("std", std(x.a, x.list, x.flag)),
    CALL("any", any(x.a, x.i, x.flag)),
    CALL("all", all(x.a, x.i, x.flag)),
    CALL("softmax", softmax(x.a, x.i, x.maybe_dtype())),
    CALL("log_softmax", log_softmax(x.a, x.i, x.maybe_dtype())),
    CALL("layer_norm", layer_norm(x.a, x.list, x.flag ? x.b : Tensor(), x.j & 1 ? x.c : Tensor(), 1e-5)),
    CALL("rms_norm", rms_norm(x.a, x.list, x.flag ? x.b : Tensor())),
    CALL("scaled_dot_product_attention",
         scaled_dot_product_attention(x.a, x.b, x.c, x.j & 1 ? x.a : Tensor(), x.s.to_double(), x.flag)),
    CALL("mm", mm(x.a, x.b)),
    CALL("bmm", bmm(x.a, x.b)),
    CALL("addmm", addmm(x.a, x.b, x.c, x.s, x.r)),
    CALL("linear", linear(x.a, x.b, x.flag ? x.c : Tensor())),
    CALL("matmul", matmul(x.a, x.b)),
    CALL("mv", mv(x.a, x.b)),
    CALL("dot", dot(x.a, x.b)),
    CALL("view", view(x.a, x.list)),
    CALL("reshape", reshape(x.a, x.list)),
    CALL("view_as", view_as(x.a, x.b)),
    CALL("t", t(x.a)),
    CALL("transpose", transpose(x.a, x.i, x.j)),
    CALL("permute", permute(x.a, x.list)),
    CALL("expand", expand(x.a, x.list)),
    CALL("expand_as", expand_as(x.a, x.b)),
    CALL("select", select(x.a, x.i, x.j)),
    CALL("slice", slice(x.a, x.i, x.maybe(x.j), x.k, 1)),
    CALL("slice step", slice(x.a, x.i, x.j, x.maybe(x.i), x.k)),
    CALL("narrow", narrow(x.a, x.i, x.j, x.k)),
    CALL("squeeze", squeeze(x.a)),
    CALL("squeeze dim", squeeze(x.a, x.i)),
    CALL("unsqueeze", unsqueeze(x.a, x.i)),
    CALL("flatten", flatten(x.a, x.i, x.j)),
    CALL("split", last(split(x.a, x.j, x.i))),
    CALL("chunk", last(chunk(x.a, x.j, x.i))),
    CALL("detach", detach(x.a)),
    CALL("cat", cat({x.a, x.b, x.c}, x.i)),
    CALL("stack", stack({x.a, x.b}, x.i)),
    CALL("clone", clone(x.a)),
    CALL("contiguous", contiguous(x.a)),
    CALL("gather", gather(x.a, x.i, x.b)),
    CALL("index_select", index_select(x.a, x.i, x.b)),
    CALL("embedding", embedding(x.a, x.b, x.j)),
    CALL("scatter_add", scatter_add(x.a, x.i, x.b, x.c)),
    CALL("index_add", index_add(x.a, x.i, x.b, x.c)),
    CALL("nll_loss", nll_loss(x.a, x.b, x.flag ? x.c : Tensor(), x.i, x.j)),
    CALL("cross_entropy", cross_entropy(x.a, x.b, x.flag ? x.c : Tensor(), x.i, x.j, x.s.to_double())),
    CALL("mse_loss", mse_loss(x.a, x.b, x.i)),
    CALL("l1_loss", l1_loss(x.a, x.b, x.i)),
    CALL("dropout", dropout(x.a, x.s.to_double(), x.flag)),
    CALL("zeros", zeros(x.list, x.dtype)),
    CALL("full", full(x.list, x.s, x.maybe_dtype() ? TensorOptions(x.dtype) : TensorOptions())),
    CALL("arange", arange(x.s, x.r, x.k)),
    CALL("eye", eye(x.i, x.j)),
    CALL("linspace", linspace(x.s, x.r, x.i)),
    CALL("rand", rand(x.list, x.dtype)),
    CALL("randint", randint(x.i, x.j, x.list, x.dtype)),
    CALL("randperm", randperm(x.i)),
    CALL("bernoulli", bernoulli(x.a)),
    CALL("bernoulli p", bernoulli(x.a, x.s.to_double())),
    CALL("tensor", tensor(TensorData(x.s), x.dtype)),
    // in place
    CALL("add_", x.a.add_(x.b)),
    CALL("add_ number", x.a.add_(x.s)),
    CALL("sub_ alpha", x.a.sub_(x.b, x.s)),
    CALL("mul_", x.a.mul_(x.b)),
    CALL("div_", x.a.div_(x.b)),
    CALL("floor_divide_", x.a.floor_divide_(x.b)),
    CALL("remainder_", x.a.remainder_(x.s)),
    CALL("pow_", x.a.pow_(x.s)),
    CALL("exp_", x.a.exp_()),
    CALL("relu_", x.a.relu_()),
    CALL("clamp_", x.a.clamp_(x.maybe(x.s), x.r)),
    CALL("addcmul_", x.a.addcmul_(x.b, x.c, x.s)),
    CALL("masked_fill_", x.a.masked_fill_(x.c, x.s)),
    CALL("copy_", x.a.copy_(x.b)),
    CALL("fill_", x.a.fill_(x.s)),
    CALL("fill_ tensor", x.a.fill_(x.b)),
    CALL("zero_", x.a.zero_()),
    CALL("scatter_add_", x.a.scatter_add_(x.i, x.b, x.c)),
    CALL("index_add_", x.a.index_add_(x.i, x.b, x.c)),
    CALL("uniform_", x.a.uniform_(x.s.to_double(), x.r.to_double())),
    CALL("bernoulli_", x.a.bernoulli_(x.s.to_double())),
    // values read: a break
    CALL("item", scalar_tensor(x.a.item())),
    CALL("equal", scalar_tensor(equal(x.a, x.b))),
    CALL("allclose", scalar_tensor(allclose(x.a, x.b))),
    CALL("size", scalar_tensor(x.a.size(x.i))),
    CALL("stride", scalar_tensor(x.a.size(x.i) == 1 ? 1 : x.a.stride(x.i))),
    CALL("index", x.a[x.i]),
};
#undef CALL

}  // namespace sinter::test
