// Views and cat: the gradient goes the way back.
#include "../../runtime/mutants.h"
#include "derivative.h"

namespace sinter::derivatives {
namespace {

/// {first..., sizes of operand 0...}
SizeVec with_sizes(IntArrayRef first, IntArrayRef sizes) {
  SizeVec v(first);
  for (const int64_t s : sizes) v.push_back(s);
  return v;
}

Tensor slice_of(const Derivation& d, const Tensor& a, uint64_t dim, int64_t start, int64_t end, int64_t step) {
  return d.with_ints(Op::slice, a, {start, end, step}, dim);
}

}  // namespace

void view(Derivation& d) { d.out[0] = d.reshape(d.grad, d.sizes(0)); }
void t(Derivation& d) { d.out[0] = d.t(d.grad); }
void transpose(Derivation& d) { d.out[0] = d.unary(Op::transpose, d.grad, d.node.attr); }

void permute(Derivation& d) {
  SizeVec back;
  back.resize(d.node.ints.size());
  for (size_t i = 0; i < back.size(); ++i)
    SINTER_MUTANT(permute_gradient_not_inverted) ? back[i] = d.node.ints[i]
                                                 : back[static_cast<size_t>(d.node.ints[i])] = static_cast<int64_t>(i);
  d.out[0] = d.with_ints(Op::permute, d.grad, back);
}

void select(Derivation& d) {
  d.out[0] = d.with_ints(Op::select_backward, d.grad, with_sizes(d.node.ints, d.sizes(0)), d.node.attr);
}
void slice(Derivation& d) {
  d.out[0] = d.with_ints(Op::slice_backward, d.grad, with_sizes(d.node.ints, d.sizes(0)), d.node.attr);
}
void select_backward(Derivation& d) { d.out[0] = d.with_ints(Op::select, d.grad, {d.node.ints[0]}, d.node.attr); }

void slice_backward(Derivation& d) {
  d.out[0] = slice_of(d, d.grad, d.node.attr, d.node.ints[0], d.node.ints[1], d.node.ints[2]);
}

void squeeze(Derivation& d) {
  Tensor g = d.grad;
  for (size_t dim = 0; dim < d.sizes(0).size(); ++dim)
    if (d.node.attr >> dim & 1) g = d.unsqueeze(g, static_cast<int64_t>(dim));
  d.out[0] = g;
}

void unsqueeze(Derivation& d) { d.out[0] = d.unary(Op::squeeze, d.grad, 1ull << d.node.attr); }

/// The node's ints are the operands' sizes along the dimension.
void cat(Derivation& d) {
  int64_t start = 0;
  for (size_t i = 0; i < d.node.n_in; ++i) {
    const int64_t end = start + d.node.ints[i];
    if (d.needs(i))
      d.out[i] = d.sizes(i).size() == d.node.sizes.size() ? slice_of(d, d.grad, d.node.attr, start, end, 1)
                                                          : d.zeros_of(d.sizes(i), d.dtype(i));
    start = end;
  }
}

}  // namespace sinter::derivatives
