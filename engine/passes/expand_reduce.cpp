#include <bit>
#include "../../runtime/mutants.h"
#include "expand.h"

namespace sinter {

namespace {

int64_t reduced_count(const TensorMeta& x, uint32_t dims) {
  int64_t count = 1;
  for (size_t d = 0; d < x.sizes.size(); ++d)
    if (dims == 0 || (dims >> d & 1)) count *= x.sizes[d];
  return count;
}

/// Whether the masked dimensions, sizes of 1 apart, are neighbours: one step of reduce_order.h.
bool one_step(const TensorMeta& x, uint32_t dims) {
  int runs = 0;
  bool in_run = false;
  for (size_t d = 0; d < x.sizes.size(); ++d) {
    if (x.sizes[d] == 1) continue;
    const bool reduced = dims == 0 || (dims >> d & 1);
    runs += reduced && !in_run;
    in_run = reduced;
  }
  return runs <= 1;
}

}  // namespace

ValueId expand_reduce(Expansion& x, const GraphNode& n) {
  if (n.op != Op::mean && n.op != Op::var) return -1;
  const uint32_t dims = reduce_dims(n.attr);
  const TensorMeta in = x.meta(n.in[0]);
  if (!is_floating(n.meta.dtype) || numel_of(in.sizes) == 0 || !one_step(in, dims)) return -1;
  const bool keep = reduce_keepdim(n.attr);
  const ValueId a = x.cast(n.in[0], n.meta.dtype);
  const int64_t count = reduced_count(in, dims);
  if (n.op == Op::mean) return x.with_constant(Op::div, x.reduce(Op::sum, a, dims, keep), count);
  const ValueId d = x.binary(Op::sub, a, x.mean(a, dims));
  const int64_t left = std::max<int64_t>(count - n.ints[0], 0);
  return x.with_constant(Op::div, x.reduce(Op::sum, x.binary(Op::mul, d, d), dims, keep), left);
}

/// clamp = minimum(high, maximum(low, x)), the order of operands of runtime/ops/pointwise.h (it decides about signed zeros).
ValueId expand_clamp(Expansion& x, const GraphNode& n) {
  if (n.compute != n.meta.dtype || n.scalars.empty()) return -1;
  ValueId v = n.in[0];
  size_t next = 0;
  if (n.attr & 1)
    v = SINTER_MUTANT(clamp_low_swapped) ? x.with_scalar(Op::maximum, v, n.scalars[next++])
                                         : x.scalar_with(Op::maximum, n.scalars[next++], v);
  if (n.attr & 2)
    v = SINTER_MUTANT(clamp_high_swapped) ? x.with_scalar(Op::minimum, v, n.scalars[next++])
                                          : x.scalar_with(Op::minimum, n.scalars[next++], v);
  return v == n.in[0] ? -1 : v;
}

}  // namespace sinter
