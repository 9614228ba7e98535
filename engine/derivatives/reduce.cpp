// Casts, copies and reductions.
#include "../../runtime/mutants.h"
#include "derivative.h"

namespace sinter::derivatives {

/// The gradient as it is: the engine sums and converts it to the operand.
void pass(Derivation& d) { d.out[0] = d.grad; }

void copy_(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.zeros_of(d.sizes(0), d.dtype(0));
  if (d.needs(1)) d.out[1] = d.grad;
}

namespace {
/// The gradient of a reduction spread over the operand's shape.
Tensor spread(const Derivation& d, const Tensor& g) {
  const IntArrayRef sizes = d.sizes(0);
  return d.expand(d.unreduce(g, reduce_dims(d.node.attr), static_cast<int64_t>(sizes.size())), sizes);
}
}  // namespace

void sum(Derivation& d) { d.out[0] = spread(d, d.grad); }

void mean(Derivation& d) {
  const int64_t n = reduced_count(d.sizes(0), reduce_dims(d.node.attr));
  d.out[0] = spread(d, d.div(d.grad, Scalar(static_cast<double>(n))));
}

/// amax and amin: evenly to all elements that equal the result.
void amax(Derivation& d) {
  const Tensor x = d.in(0);
  const uint32_t dims = reduce_dims(d.node.attr);
  const Tensor hit = d.binary(Op::eq, x, d.unreduce(d.result(), dims, x.dim()));
  const Tensor g = d.unreduce(d.grad, dims, x.dim());
  d.out[0] = SINTER_MUTANT(amax_ties_not_shared) ? d.mul(g, hit) : d.div(d.mul(g, hit), d.sum(hit, dims, true));
}

void var(Derivation& d) {
  const Tensor x = d.in(0);
  const uint32_t dims = reduce_dims(d.node.attr);
  const double freedom = static_cast<double>(reduced_count(x.sizes(), dims) - d.node.ints[0]);
  const Tensor centred = d.sub(x, d.mean(x, dims, true));
  d.out[0] = d.mul(d.mul(d.unreduce(d.grad, dims, x.dim()), Scalar(2.0 / freedom)), centred);
}

}  // namespace sinter::derivatives
