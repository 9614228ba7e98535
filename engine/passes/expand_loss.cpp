#include <cmath>
#include "../../runtime/mutants.h"
#include "expand.h"

namespace sinter {

namespace {

constexpr int64_t kMaxClasses = 1024;  // every class of a row is looked at; beyond, picking by index wins

/// Rows whose target counts, as bool; [N] or [].
ValueId counted(Expansion& x, ValueId target, const GraphNode& n) {
  return x.with_constant(Op::ne, target, SINTER_MUTANT(loss_ignore_index_lost) ? int64_t{-1} : loss_ignore_index(n.attr));
}

/// True where the column is the row's target; [N, C] or [C].
ValueId one_hot(Expansion& x, ValueId target, int64_t classes) {
  return x.binary(Op::eq, x.iota(classes), x.unsqueeze_last(target));
}

/// The number of rows that count, in the loss's type.
ValueId row_count(Expansion& x, ValueId target, const GraphNode& n) {
  x.set_type(ScalarType::Long);
  const ValueId count = x.reduce(Op::sum, counted(x, target, n), 0, false);
  x.set_type(n.meta.dtype);
  return x.cast(count, n.meta.dtype);
}

ValueId forward(Expansion& x, const GraphNode& n) {
  const ValueId in = n.in[0], target = n.in[1];
  const auto rank = x.meta(in).sizes.size();
  const ValueId masked = x.where(one_hot(x, target, x.meta(in).sizes.back()), in, x.constant(-INFINITY, x.type()));
  const ValueId picked = x.reduce(Op::amax, masked, 1u << (rank - 1), false);  // the one element, its sign and NaN kept
  const ValueId each = x.where(counted(x, target, n), x.unary(Op::neg, picked), x.constant(0.0, x.type()));
  if (loss_reduction(n.attr) == 0) return each;
  const ValueId total = x.reduce(Op::sum, each, 0, false);
  return loss_reduction(n.attr) == 2 ? total : x.binary(Op::div, total, row_count(x, target, n));
}

ValueId backward(Expansion& x, const GraphNode& n) {
  const ValueId target = n.in[2];
  ValueId g = n.in[0];
  if (loss_reduction(n.attr) == 1) g = x.binary(Op::div, g, row_count(x, target, n));
  g = x.unary(Op::neg, g);
  if (!x.meta(g).sizes.empty()) g = x.unsqueeze_last(g);
  const ValueId rows = x.unsqueeze_last(counted(x, target, n));
  const ValueId hit = x.binary(Op::logical_and, one_hot(x, target, x.meta(n.in[1]).sizes.back()), rows);
  return x.where(hit, g, x.constant(0.0, x.type()));
}

}  // namespace

// The formulas are those of runtime/kernels/loss.cpp; with weights the eager kernel is used.
ValueId expand_loss(Expansion& x, const GraphNode& n) {
  const bool is_forward = n.op == Op::nll_loss;
  const size_t plain = is_forward ? 2 : 3;
  if (n.in.size() > plain && n.in[plain] >= 0) return -1;
  const TensorMeta& in = x.meta(n.in[is_forward ? 0 : 1]);
  if (in.dtype != n.meta.dtype || numel_of(in.sizes) == 0 || in.sizes.back() > kMaxClasses) return -1;
  // [C] with a target of shape [1] instead of []: rows and columns below would change places.
  if (x.meta(n.in[is_forward ? 1 : 2]).sizes.size() + 1 != in.sizes.size()) return -1;
  if (!is_forward && x.meta(n.in[0]).dtype != n.meta.dtype) return -1;
  return is_forward ? forward(x, n) : backward(x, n);
}

}  // namespace sinter
