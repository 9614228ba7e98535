// Every differentiable operator against finite differences, in several shapes; second derivatives likewise.
#include "gradcheck.h"
#include <catch2/catch.hpp>
#include <set>
#include "engine/frame/compiled.h"
#include "engine/functions.h"
#include "runtime/ops/ops.h"

using namespace sinter;
using gradcheck::check;
using gradcheck::check_second;
using gradcheck::Function;
using gradcheck::values;

namespace {

using In = const std::vector<Tensor>&;

struct Case {
  std::vector<Op> ops;  // the operators this case is there for
  std::string name;
  Function f;
  std::vector<Tensor> inputs;
  bool second = true;
};

Tensor indices(std::vector<int64_t> v, IntArrayRef sizes) { return view(tensor(v), sizes); }

/// A positive input, away from the places where the function is not smooth.
Tensor positive(IntArrayRef sizes, uint64_t seed) { return values(sizes, seed, 0.4, 2.0); }

void binary_cases(std::vector<Case>& cases) {
  struct Pair {
    std::vector<int64_t> a, b;
  };
  const std::vector<Pair> shapes = {{{3, 4}, {3, 4}}, {{3, 4}, {4}}, {{2, 1, 4}, {3, 1}}, {{}, {2, 3}}, {{2, 3}, {}}, {{1}, {5}}};
  for (const Pair& s : shapes) {
    const auto add_case = [&](Op op, const char* name, Function f, Tensor a, Tensor b) {
      cases.push_back({{op}, std::string(name) + to_string(s.a) + to_string(s.b), std::move(f), {a, b}, true});
    };
    add_case(
        Op::add, "add", [](In in) { return in[0] + in[1]; }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::add, "add alpha", [](In in) { return add(in[0], in[1], 2.5); }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::sub, "sub", [](In in) { return in[0] - in[1]; }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::sub, "sub alpha", [](In in) { return sub(in[0], in[1], 3); }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::mul, "mul", [](In in) { return in[0] * in[1]; }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::div, "div", [](In in) { return in[0] / in[1]; }, values(s.a, 1), positive(s.b, 2));
    add_case(
        Op::minimum, "minimum", [](In in) { return minimum(in[0], in[1]); }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::maximum, "maximum", [](In in) { return maximum(in[0], in[1]); }, values(s.a, 1), values(s.b, 2));
    add_case(
        Op::pow, "pow", [](In in) { return pow(in[0], in[1]); }, positive(s.a, 1), values(s.b, 2));
    add_case(
        Op::remainder, "remainder", [](In in) { return remainder(in[0], in[1]); }, values(s.a, 1, 2.1, 2.9),
        values(s.b, 2, 0.7, 0.95));
    add_case(
        Op::div_trunc, "div_trunc", [](In in) { return div(in[0], in[1], "trunc"); }, values(s.a, 1, 2.1, 2.9),
        values(s.b, 2, 3, 4));
    add_case(
        Op::floor_divide, "floor_divide", [](In in) { return floor_divide(in[0], in[1]); }, values(s.a, 1, 2.1, 2.9),
        values(s.b, 2, 3, 4));
  }
}

void scalar_cases(std::vector<Case>& cases) {
  const auto add_case = [&](Op op, const char* name, Function f, Tensor x) {
    cases.push_back({{op}, name, std::move(f), {x}, true});
  };
  const Tensor x = values({2, 3}, 3), p = positive({2, 3}, 4);
  add_case(
      Op::add, "x + s", [](In in) { return in[0] + 2.0; }, x);
  add_case(
      Op::add, "add scalar alpha", [](In in) { return add(in[0], Scalar(2.0), Scalar(3)); }, x);
  add_case(
      Op::sub, "x - s", [](In in) { return in[0] - 2; }, x);
  add_case(
      Op::sub, "s - x", [](In in) { return 2 - in[0]; }, x);
  add_case(
      Op::sub, "rsub alpha", [](In in) { return rsub(in[0], Scalar(2), Scalar(3.0)); }, x);
  add_case(
      Op::mul, "x * s", [](In in) { return in[0] * -1.5; }, x);
  add_case(
      Op::mul, "s * x", [](In in) { return 4 * in[0]; }, x);
  add_case(
      Op::div, "x / s", [](In in) { return in[0] / 3.0; }, x);
  add_case(
      Op::div, "s / x", [](In in) { return 3.0 / in[0]; }, p);
  add_case(
      Op::remainder, "x % s", [](In in) { return in[0] % 0.9; }, values({2, 3}, 5, 1.0, 1.7));
  add_case(
      Op::remainder, "s % x", [](In in) { return 2.5 % in[0]; }, values({2, 3}, 5, 0.9, 1.2));
  for (const double e : {0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -0.5, 2.5})
    cases.push_back({{Op::pow}, "x ^ " + std::to_string(e), [e](In in) { return pow(in[0], e); }, {p}, true});
  add_case(
      Op::pow, "s ^ x", [](In in) { return pow(Scalar(1.7), in[0]); }, x);
  add_case(
      Op::clamp, "clamp both", [](In in) { return clamp(in[0], -0.5, 0.5); }, x);
  add_case(
      Op::clamp, "clamp min", [](In in) { return clamp_min(in[0], 0.1); }, x);
  add_case(
      Op::clamp, "clamp max", [](In in) { return clamp_max(in[0], 0.1); }, x);
}

void unary_cases(std::vector<Case>& cases) {
  for (const std::vector<int64_t>& s : std::vector<std::vector<int64_t>>{{}, {5}, {2, 3, 2}, {0, 3}}) {
    const auto add_case = [&](Op op, Tensor (*f)(const Tensor&, Loc), Tensor x) {
      cases.push_back({{op}, op_info(op).name + to_string(s), [f](In in) { return f(in[0], Loc()); }, {x}, true});
    };
    const Tensor x = values(s, 3), p = positive(s, 4);
    add_case(Op::neg, neg, x);
    add_case(Op::abs, abs, x);
    add_case(Op::sign, sign, x);
    add_case(Op::exp, exp, x);
    add_case(Op::log, log, p);
    add_case(Op::log1p, log1p, p);
    add_case(Op::sqrt, sqrt, p);
    add_case(Op::rsqrt, rsqrt, p);
    add_case(Op::reciprocal, reciprocal, p);
    add_case(Op::sin, sin, x);
    add_case(Op::cos, cos, x);
    add_case(Op::tanh, tanh, x);
    add_case(Op::sigmoid, sigmoid, x);
    add_case(Op::erf, erf, x);
    add_case(Op::relu, relu, x);
    cases.push_back({{Op::silu}, "silu" + to_string(s), [](In in) { return silu(in[0]); }, {x}, true});
    cases.push_back({{Op::gelu}, "gelu" + to_string(s), [](In in) { return gelu(in[0]); }, {x}, true});
  }
  // Through non-contiguous operands.
  cases.push_back({{Op::tanh}, "tanh of a transposed tensor", [](In in) { return tanh(t(in[0])); }, {values({3, 4}, 5)}, true});
  cases.push_back({{Op::exp, Op::slice},
                   "exp of a strided slice",
                   [](In in) { return exp(slice(in[0], 1, 0, 5, 2)); },
                   {values({2, 5}, 6)},
                   true});
}

void backward_operator_cases(std::vector<Case>& cases) {
  const Tensor g = values({2, 3}, 5), y = values({2, 3}, 6, 0.1, 0.9);
  for (const Op op : {Op::sigmoid_backward, Op::tanh_backward, Op::threshold_backward, Op::gelu_backward})
    cases.push_back({{op}, op_info(op).name, [op](In in) { return call2(op, in[0], in[1], 0, Loc()); }, {g, y}, true});
  for (const Op op : {Op::_softmax_backward_data, Op::_log_softmax_backward_data})
    for (const uint64_t dim : {0, 1})
      cases.push_back({{op}, op_info(op).name, [op, dim](In in) { return call2(op, in[0], in[1], dim, Loc()); }, {g, y}, true});
}

void mixed_pointwise_cases(std::vector<Case>& cases) {
  const Tensor mask = tensor({true, false, true});
  cases.push_back(
      {{Op::where}, "where", [mask](In in) { return where(mask, in[0], in[1]); }, {values({2, 3}, 1), values({3}, 2)}, true});
  cases.push_back(
      {{Op::where}, "where scalar", [mask](In in) { return where(mask, in[0], Scalar(2.0)); }, {values({2, 3}, 1)}, true});
  cases.push_back({{Op::addcmul},
                   "addcmul",
                   [](In in) { return addcmul(in[0], in[1], in[2], 0.7); },
                   {values({2, 3}, 1), values({3}, 2), values({2, 1}, 3)},
                   true});
  cases.push_back({{Op::addcdiv},
                   "addcdiv",
                   [](In in) { return addcdiv(in[0], in[1], in[2], -0.7); },
                   {values({3}, 1), values({2, 3}, 2), positive({3}, 3)},
                   true});
  cases.push_back({{Op::to},
                   "to and back",
                   [](In in) { return to(to(in[0], kFloat), kDouble) * 0.0 + in[0] * 2.0; },
                   {values({4}, 1)},
                   true});
  cases.push_back({{Op::copy_},
                   "copy_",
                   [](In in) {
                     Tensor y = in[0] * 1.0;
                     y.copy_(in[1]);
                     return y * in[0];
                   },
                   {values({2, 3}, 1), values({3}, 2)},
                   true});
  cases.push_back({{Op::fill_},
                   "fill_",
                   [](In in) {
                     Tensor y = in[0] * 1.0;
                     y.fill_(3.0);
                     return y * in[0];
                   },
                   {values({2, 3}, 1)},
                   true});
}

void reduction_cases(std::vector<Case>& cases) {
  using Reduce = Tensor (*)(const Tensor&, IntArrayRef, bool);
  const std::vector<std::pair<Op, Reduce>> all = {
      {Op::sum, [](const Tensor& x, IntArrayRef d, bool k) { return sum(x, d, k); }},
      {Op::mean, [](const Tensor& x, IntArrayRef d, bool k) { return mean(x, d, k); }},
      {Op::amax, [](const Tensor& x, IntArrayRef d, bool k) { return amax(x, d, k); }},
      {Op::amin, [](const Tensor& x, IntArrayRef d, bool k) { return amin(x, d, k); }},
      {Op::var, [](const Tensor& x, IntArrayRef d, bool k) { return var(x, d, true, k); }},
  };
  for (const auto& [op, f] : all)
    for (const std::vector<int64_t>& dims : std::vector<std::vector<int64_t>>{{}, {0}, {1}, {-1}, {0, 2}, {0, 1, 2}})
      for (const bool keepdim : {false, true})
        cases.push_back({{op},
                         op_info(op).name + to_string(dims),
                         [f = f, dims, keepdim](In in) { return f(in[0], dims, keepdim); },
                         {values({2, 3, 4}, 8)},
                         true});
  cases.push_back({{Op::sum}, "sum of a number", [](In in) { return sum(in[0]); }, {values({}, 8)}, true});
  cases.push_back({{Op::var}, "biased var", [](In in) { return var(in[0], {0}, false); }, {values({4, 2}, 8)}, true});
  cases.push_back({{Op::var}, "std", [](In in) { return sinter::std(in[0], {1}, true); }, {values({2, 5}, 8)}, true});
}

void norm_cases(std::vector<Case>& cases) {
  for (const int64_t dim : {0, 1, 2}) {
    cases.push_back({{Op::_softmax}, "softmax", [dim](In in) { return softmax(in[0], dim); }, {values({2, 3, 4}, 1)}, true});
    cases.push_back(
        {{Op::_log_softmax}, "log_softmax", [dim](In in) { return log_softmax(in[0], dim); }, {values({2, 3, 4}, 1)}, true});
  }
  cases.push_back({{Op::layer_norm},
                   "layer_norm",
                   [](In in) { return layer_norm(in[0], {4}, in[1], in[2]); },
                   {values({2, 3, 4}, 1), values({4}, 2), values({4}, 3)},
                   true});
  cases.push_back({{Op::layer_norm},
                   "layer_norm, two dimensions",
                   [](In in) {
                     return layer_norm(in[0], {3, 4}, in[1]);
                   },
                   {values({2, 3, 4}, 1), values({3, 4}, 2)},
                   true});
  cases.push_back(
      {{Op::layer_norm}, "layer_norm, no weight", [](In in) { return layer_norm(in[0], {4}); }, {values({3, 4}, 1)}, true});
  const Tensor q = values({2, 3, 4}, 1), k = values({2, 5, 4}, 2), v = values({2, 5, 2}, 3);
  const auto attend = [&](const char* name, Function f, std::vector<Tensor> inputs) {
    cases.push_back({{Op::scaled_dot_product_attention}, name, std::move(f), std::move(inputs), true});
  };
  attend("attention", [](In in) { return scaled_dot_product_attention(in[0], in[1], in[2]); }, {q, k, v});
  attend("attention, causal, scale", [](In in) { return scaled_dot_product_attention(in[0], in[1], in[2], {}, 0, true, 0.7); },
         {q, k, v});
  attend("attention, mask", [](In in) { return scaled_dot_product_attention(in[0], in[1], in[2], in[3]); },
         {q, k, v, values({3, 1}, 4)});
  const Tensor kept = values({3, 5}, 5) > -0.5;
  attend("attention, boolean mask",
         [kept](In in) { return scaled_dot_product_attention(in[0], in[0], in[0], kept.narrow(1, 0, 3)); },
         {values({2, 3, 4}, 1)});
  attend("attention, dropout",
         [](In in) {
           manual_seed(3);
           return scaled_dot_product_attention(in[0], in[1], in[2], {}, 0.4);
         },
         {q, k, v});
}

void gemm_cases(std::vector<Case>& cases) {
  cases.push_back({{Op::mm}, "mm", [](In in) { return mm(in[0], in[1]); }, {values({2, 3}, 1), values({3, 4}, 2)}, true});
  cases.push_back(
      {{Op::mm}, "mm of transposed", [](In in) { return mm(t(in[0]), t(in[1])); }, {values({3, 2}, 1), values({4, 3}, 2)}, true});
  cases.push_back(
      {{Op::bmm}, "bmm", [](In in) { return bmm(in[0], in[1]); }, {values({2, 3, 2}, 1), values({2, 2, 3}, 2)}, true});
  cases.push_back({{Op::addmm},
                   "addmm",
                   [](In in) { return addmm(in[0], in[1], in[2], 0.5, 2.0); },
                   {values({4}, 1), values({2, 3}, 2), values({3, 4}, 3)},
                   true});
  for (const std::vector<int64_t>& s : std::vector<std::vector<int64_t>>{{3}, {2, 3}, {2, 2, 3}})
    cases.push_back({{Op::linear},
                     "linear" + to_string(s),
                     [](In in) { return linear(in[0], in[1], in[2]); },
                     {values(s, 1), values({4, 3}, 2), values({4}, 3)},
                     true});
  cases.push_back({{Op::linear},
                   "linear, no bias",
                   [](In in) { return linear(in[0], in[1]); },
                   {values({2, 3}, 1), values({4, 3}, 2)},
                   true});
  cases.push_back({{Op::bmm},
                   "matmul of batches that broadcast",
                   [](In in) { return matmul(in[0], in[1]); },
                   {values({2, 1, 2, 3}, 1), values({3, 3, 2}, 2)},
                   true});
}

void view_cases(std::vector<Case>& cases) {
  const auto add_case = [&](Op op, const char* name, Function f, Tensor x) {
    const Tensor scale = values(f({x}).sizes(), 21).detach();
    cases.push_back({{op}, name, [f, scale](In in) { return f(in) * scale; }, {x}, true});
  };
  const Tensor x = values({2, 3, 4}, 1);
  add_case(
      Op::view, "view",
      [](In in) {
        return view(in[0], {6, -1});
      },
      x);
  add_case(
      Op::view, "reshape of a transposed tensor",
      [](In in) {
        return reshape(transpose(in[0], 0, 2), {6, 4});
      },
      x);
  add_case(
      Op::t, "t", [](In in) { return t(in[0]); }, values({2, 3}, 1));
  add_case(
      Op::t, "t of a vector", [](In in) { return t(in[0]); }, values({3}, 1));
  add_case(
      Op::transpose, "transpose", [](In in) { return transpose(in[0], -1, 0); }, x);
  add_case(
      Op::permute, "permute",
      [](In in) {
        return permute(in[0], {2, 0, 1});
      },
      x);
  add_case(
      Op::expand, "expand",
      [](In in) {
        return expand(in[0], {4, 2, 3});
      },
      values({2, 1}, 1));
  add_case(
      Op::select, "select", [](In in) { return select(in[0], 1, -1); }, x);
  add_case(
      Op::slice, "slice", [](In in) { return slice(in[0], 2, 1, 4, 2); }, x);
  add_case(
      Op::squeeze, "squeeze", [](In in) { return squeeze(in[0]); }, values({1, 3, 1}, 1));
  add_case(
      Op::squeeze, "squeeze one", [](In in) { return squeeze(in[0], 0); }, values({1, 3, 1}, 1));
  add_case(
      Op::unsqueeze, "unsqueeze", [](In in) { return unsqueeze(in[0], 1); }, x);
  add_case(
      Op::alias, "alias", [](In in) { return call1(Op::alias, in[0], 0, Loc()); }, x);
  add_case(
      Op::clone, "clone", [](In in) { return clone(in[0]); }, x);
  add_case(
      Op::select_backward, "select_backward",
      [](In in) {
        TensorImpl* p[] = {in[0].impl()};
        return call({.op = Op::select_backward, .n_in = 1, .in = p, .attr = 1, .ints = {2, 2, 5, 3}, .loc = {}});
      },
      values({2, 3}, 1));
  add_case(
      Op::slice_backward, "slice_backward",
      [](In in) {
        TensorImpl* p[] = {in[0].impl()};
        return call({.op = Op::slice_backward, .n_in = 1, .in = p, .attr = 0, .ints = {1, 5, 2, 6, 3}, .loc = {}});
      },
      values({2, 3}, 1));
  cases.push_back({{Op::cat},
                   "cat",
                   [](In in) {
                     return cat({in[0], in[1], in[0]}, 1) * 2.0;
                   },
                   {values({2, 3}, 1), values({2, 1}, 2)},
                   true});
  cases.push_back({{Op::cat},
                   "cat of many",
                   [](In in) {
                     return cat({in[0], in[1], in[0], in[1], in[1], in[0]}, -1);
                   },
                   {values({2, 3}, 1), values({2, 1}, 2)},
                   true});
  cases.push_back({{Op::cat}, "stack", [](In in) { return stack({in[0], in[1]}, 1); }, {values({3}, 1), values({3}, 2)}, true});
}

void index_cases(std::vector<Case>& cases) {
  const Tensor grid = indices({0, 2, 2, 1, 1, 0}, {2, 3}), line = indices({2, 0, 2}, {3});
  const auto add_case = [&](Op op, const char* name, Function f, std::vector<Tensor> in) {
    cases.push_back({{op}, name, std::move(f), std::move(in), true});
  };
  add_case(Op::gather, "gather", [grid](In in) { return gather(in[0], 1, grid); }, {values({2, 4}, 1)});
  add_case(Op::index_select, "index_select", [line](In in) { return index_select(in[0], 0, line); }, {values({3, 2}, 1)});
  add_case(Op::embedding, "embedding", [grid](In in) { return embedding(in[0], grid); }, {values({3, 2}, 1)});
  add_case(Op::scatter_add, "scatter_add", [grid](In in) { return scatter_add(in[0], 1, grid, in[1]); },
           {values({2, 4}, 1), values({2, 3}, 2)});
  add_case(Op::index_add, "index_add", [line](In in) { return index_add(in[0], 1, line, in[1]); },
           {values({2, 4}, 1), values({2, 3}, 2)});
  const auto dense = [grid](uint64_t padding) {
    return [grid, padding](In in) {
      TensorImpl* p[] = {in[0].impl(), grid.impl()};
      return call({.op = Op::embedding_dense_backward, .n_in = 2, .in = p, .attr = padding, .ints = {3}, .loc = {}});
    };
  };
  add_case(Op::embedding_dense_backward, "embedding_dense_backward", dense(0), {values({2, 3, 2}, 1)});
  add_case(Op::embedding_dense_backward, "embedding_dense_backward, padding", dense(2), {values({2, 3, 2}, 1)});
  const Tensor target = indices({1, 0, 3}, {3}), weight = values({4}, 9, 0.5, 1.5).detach();
  for (const int64_t reduction : {0, 1, 2}) {
    add_case(Op::nll_loss, "nll_loss", [=](In in) { return nll_loss(in[0], target, {}, reduction); }, {values({3, 4}, 1)});
    add_case(Op::nll_loss, "nll_loss, weights", [=](In in) { return nll_loss(in[0], target, weight, reduction, 3); },
             {values({3, 4}, 1)});
    add_case(Op::nll_loss, "cross_entropy", [=](In in) { return cross_entropy(in[0], target, {}, reduction); },
             {values({3, 4}, 1)});
    const Tensor log_p = values({3, 4}, 1).detach();
    const Tensor g = reduction == 0 ? values({3}, 2) : values({}, 2);
    add_case(
        Op::nll_loss_backward, "nll_loss_backward",
        [=](In in) {
          TensorImpl* p[] = {in[0].impl(), log_p.impl(), target.impl(), weight.impl()};
          return call(
              {.op = Op::nll_loss_backward, .n_in = 4, .in = p, .attr = loss_attr(static_cast<int>(reduction), -100), .loc = {}});
        },
        {g});
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  binary_cases(cases);
  scalar_cases(cases);
  unary_cases(cases);
  backward_operator_cases(cases);
  mixed_pointwise_cases(cases);
  reduction_cases(cases);
  norm_cases(cases);
  gemm_cases(cases);
  view_cases(cases);
  index_cases(cases);
  return cases;
}

}  // namespace

TEST_CASE("derivatives agree with finite differences") {
  for (const Case& c : all_cases()) {
    INFO(c.name);
    std::string text;
    REQUIRE_NOTHROW(text = check(c.f, c.inputs));
    CHECK(text == "");
  }
}

TEST_CASE("second derivatives agree with finite differences") {
  for (const Case& c : all_cases()) {
    if (!c.second) continue;
    INFO(c.name);
    std::string text;
    REQUIRE_NOTHROW(text = check_second(c.f, c.inputs));
    CHECK(text == "");
  }
}

namespace {

/// Gradients of every input, then gradients of the sum of those (second derivatives).
std::vector<Tensor> both_gradients(const Case& c, const Tensor& weights) {
  std::vector<Tensor> wanted;
  for (const Tensor& t : c.inputs)
    if (t.requires_grad()) wanted.push_back(t);
  std::vector<Tensor> all = autograd::grad({c.f(c.inputs)}, wanted, {weights}, true, true, true);
  Tensor total = sum(wanted[0]) * 0.0;
  for (const Tensor& g : all)
    if (g.defined()) total = total + sum(g * g);
  for (const Tensor& g : autograd::grad({total}, wanted, {}, false, false, true)) all.push_back(g);
  return all;
}

}  // namespace

TEST_CASE("gradients inside a compiled call equal eager ones to the bit") {
  for (const Case& c : all_cases()) {
    INFO(c.name);
    const Tensor weights = values(c.f(c.inputs).sizes(), 99, 0.5, 1.5).detach();
    const std::vector<Tensor> eager = both_gradients(c, weights);
    const auto compiled = compile([&] { return both_gradients(c, weights); });
    auto run = compiled;
    for (int turn = 0; turn < 3; ++turn) {
      std::vector<Tensor> got;
      REQUIRE_NOTHROW(got = run());
      REQUIRE(got.size() == eager.size());
      for (size_t i = 0; i < got.size(); ++i) {
        INFO("turn " << turn << " gradient " << i);
        REQUIRE(got[i].defined() == eager[i].defined());
        if (got[i].defined()) CHECK(equal(got[i].detach(), eager[i].detach()));
      }
    }
  }
}

TEST_CASE("every differentiable operator is checked") {
  std::set<Op> seen;
  for (const Case& c : all_cases()) seen.insert(c.ops.begin(), c.ops.end());
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    INFO(op_info(op).name);
    if (op_info(op).differentiable) CHECK(seen.count(op) == 1);
  }
}

TEST_CASE("the check finds a wrong derivative") {
  // detach hides one of the two factors from the derivative.
  const Function wrong = [](In in) { return in[0] * in[0].detach(); };
  CHECK(check(wrong, {values({3}, 1)}) != "");
}
