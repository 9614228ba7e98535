// Scaled dot product attention: the weights are computed again, in operators that can be differentiated in turn.
#include "../../runtime/ops/attention.h"
#include <limits>
#include "derivative.h"

namespace sinter::derivatives {
namespace {

/// Leading dimensions merged: [N, rows, columns].
Tensor as_batch(const Derivation& d, const Tensor& t) {
  const size_t rank = t.sizes().size();
  return d.reshape(t, {numel_of(IntArrayRef(t.sizes().data(), rank - 2)), t.sizes()[rank - 2], t.sizes()[rank - 1]});
}

Tensor count_to(const Derivation& d, int64_t n) {
  return call({.op = Op::arange,
               .n_scalars = 2,
               .attr = static_cast<uint64_t>(kLong),
               .ints = n,
               .scalars = {Scalar(int64_t{0}), Scalar(int64_t{1})},
               .loc = d.loc});
}

Tensor lowest(const Derivation& d, ScalarType t) { return d.full({}, -std::numeric_limits<double>::infinity(), t); }

/// Scores [N, L, S] with their mask, as the forward call had them.
Tensor scores_of(const Derivation& d, const Tensor& q, const Tensor& k, const SizeVec& sizes) {
  Tensor s = d.mul(d.binary(Op::bmm, q, d.transpose(k, 1, 2)), d.node.scalars[0]);
  if (d.node.n_in > 3) {
    const Tensor mask = d.in(3);
    const Tensor shown = mask.dtype() == kBool ? d.where(mask, d.zeros_of({}, s.dtype()), lowest(d, s.dtype())) : mask;
    s = as_batch(d, d.add(d.reshape(s, sizes), shown));
  }
  if (d.node.attr & kAttentionCausal) {
    const Tensor seen = d.binary(Op::ge, d.unsqueeze(count_to(d, s.sizes()[1]), 1), count_to(d, s.sizes()[2]));
    s = d.where(seen, s, lowest(d, s.dtype()));
  }
  return s;
}

/// What dropout multiplied the weights with: the same numbers again.
Tensor dropout_factors(const Derivation& d, const Tensor& weights) {
  const Scalar* given = d.node.scalars;
  const double kept = 1 - given[1].to_double();
  if (!(kept > 0)) return d.zeros_like(weights);
  const Tensor coins = call({.op = Op::bernoulli,
                             .n_scalars = 3,
                             .attr = static_cast<uint64_t>(weights.dtype()),
                             .ints = weights.sizes(),
                             .scalars = {given[2], given[3], Scalar(kept)},
                             .loc = d.loc});
  return d.div(coins, Scalar(kept));
}

}  // namespace

void attention(Derivation& d) {
  const Tensor q = as_batch(d, d.in(0)), k = as_batch(d, d.in(1)), g = as_batch(d, d.grad);
  SizeVec sizes = d.in(0).sizes();
  sizes[sizes.size() - 1] = k.sizes()[1];
  if (numel_of(sizes) == 0) {  // no weight at all
    for (size_t i = 0; i < 4; ++i)
      if (d.needs(i)) d.out[i] = d.zeros_of(d.sizes(i), d.dtype(i));
    return;
  }
  Tensor s = scores_of(d, q, k, sizes);
  // A query that sees no key has weights of 0 and no gradient: -inf would turn into NaN.
  constexpr uint32_t kKeys = 4;  // dimension 2 as a mask
  const Tensor blind = d.binary(
      Op::eq, d.unary(Op::amax, s, reduce_attr(kKeys, true, static_cast<uint8_t>(ScalarType::Undefined))), lowest(d, s.dtype()));
  s = d.where(blind, d.zeros_of({}, s.dtype()), s);
  const Tensor w = d.where(blind, d.zeros_of({}, s.dtype()), d.unary(Op::_softmax, s, 2));
  const bool drops = d.node.attr & kAttentionDropout;
  const Tensor factors = drops ? dropout_factors(d, w) : Tensor();
  if (d.needs(2)) d.out[2] = d.reshape(d.binary(Op::bmm, d.transpose(drops ? d.mul(w, factors) : w, 1, 2), g), d.sizes(2));
  if (!d.needs(0) && !d.needs(1) && !d.needs(3)) return;
  Tensor dw = d.binary(Op::bmm, g, d.transpose(as_batch(d, d.in(2)), 1, 2));
  if (drops) dw = d.mul(dw, factors);
  Tensor ds = d.binary(Op::_softmax_backward_data, dw, w, 2);
  if (d.needs(3)) d.out[3] = d.reshape(ds, sizes);
  if (!d.needs(0) && !d.needs(1)) return;
  ds = d.mul(ds, d.node.scalars[0]);
  if (d.needs(0)) d.out[0] = d.reshape(d.binary(Op::bmm, ds, k), d.sizes(0));
  if (d.needs(1)) d.out[1] = d.reshape(d.binary(Op::bmm, d.transpose(ds, 1, 2), q), d.sizes(1));
}

}  // namespace sinter::derivatives
