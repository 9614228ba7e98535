// Reads and sums at indices, and the negative log-likelihood loss.
#include "derivative.h"

namespace sinter::derivatives {

void gather(Derivation& d) {
  d.out[0] = call3(Op::scatter_add, d.zeros_of(d.sizes(0), d.dtype(0)), d.in(1), d.grad, d.node.attr, d.loc);
}

void index_select(Derivation& d) {
  d.out[0] = call3(Op::index_add, d.zeros_of(d.sizes(0), d.dtype(0)), d.in(1), d.grad, d.node.attr, d.loc);
}

void scatter_add(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.grad;
  if (d.needs(2)) d.out[2] = d.binary(Op::gather, d.grad, d.in(1), d.node.attr);
}

void index_add(Derivation& d) {
  if (d.needs(0)) d.out[0] = d.grad;
  if (d.needs(2)) d.out[2] = d.binary(Op::index_select, d.grad, d.in(1), d.node.attr);
}

void embedding(Derivation& d) {
  const Tensor indices = d.in(1);
  TensorImpl* in[] = {d.grad.impl(), indices.impl()};
  const int64_t rows[] = {d.sizes(0)[0]};
  d.out[0] =
      call({.op = Op::embedding_dense_backward, .n_in = 2, .in = in, .attr = d.node.attr, .ints = {rows, 1}, .loc = d.loc});
}

/// Sums rows at indices, except those of the padding index.
void embedding_dense_backward(Derivation& d) {
  const Tensor indices = d.in(1);
  const Tensor g = d.binary(Op::embedding, d.grad, indices, d.node.attr);
  if (d.node.attr == 0) {
    d.out[0] = g;
    return;
  }
  const Tensor padding = d.scalar_op(Op::eq, indices, Scalar(static_cast<int64_t>(d.node.attr - 1)));
  d.out[0] = d.where(d.unsqueeze(padding, padding.dim()), d.zeros_of({}, g.dtype()), g);
}

namespace {
Tensor loss_call(const Derivation& d, Op op, std::initializer_list<TensorImpl*> in) {
  const size_t n = *(in.end() - 1) == nullptr ? in.size() - 1 : in.size();  // no class weights
  return call({.op = op, .n_in = static_cast<uint16_t>(n), .in = in.begin(), .attr = d.node.attr, .loc = d.loc});
}
}  // namespace

void nll_loss(Derivation& d) {
  const Tensor x = d.in(0), target = d.in(1), weight = d.in(2);
  d.out[0] = loss_call(d, Op::nll_loss_backward, {d.grad.impl(), x.impl(), target.impl(), weight.impl()});
}

/// The loss is linear in the log-probabilities, so its backward's derivative is the loss itself.
void nll_loss_backward(Derivation& d) {
  const Tensor target = d.in(2), weight = d.in(3);
  if (d.needs(0)) d.out[0] = loss_call(d, Op::nll_loss, {d.grad.impl(), target.impl(), weight.impl()});
  if (d.needs(1)) d.out[1] = d.zeros_of(d.sizes(1), d.dtype(1));
}

}  // namespace sinter::derivatives
