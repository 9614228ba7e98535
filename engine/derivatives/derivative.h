// Derivative formulas: each operator's, written once in terms of operators on tensors.
#pragma once
#include "../autograd/node.h"
#include "calculator.h"

namespace sinter::autograd {
class Unpacking;
}

namespace sinter::derivatives {

/// One node being differentiated. Operands are counted as in the call; of those with a scalar on the left
/// (kScalarLhs) operand 0 is the second argument.
class Derivation : public Calculator {
 public:
  Derivation(autograd::Node& node, const Tensor& grad, Tensor* out) : Calculator(node.loc), node(node), grad(grad), out(out) {}

  autograd::Node& node;
  const Tensor& grad;  // of the result, with its shape and type
  Tensor* out;         // per operand. The engine sums broadcast dimensions away and converts to the operand's type.
  autograd::Unpacking* unpacking = nullptr;  // set when hooks have packed what the node saved

  bool needs(size_t i) const { return i < node.n_in && static_cast<bool>(node.edge(i)); }
  /// Shape and type of an operand that needs a gradient.
  IntArrayRef sizes(size_t i) const { return node.edge(i).sizes(); }
  ScalarType dtype(size_t i) const { return node.edge(i).dtype(); }
  bool has(CallFlag f) const { return node.flags & f; }
  /// A saved operand, or the saved result; undefined when the operand was. @throws AutogradError when it was freed or changed
  /// since.
  Tensor in(size_t i) const;
  Tensor result() const;
};

/// One operator's derivative. save[p]: operand p is kept when an operand of this mask needs a gradient; save_result likewise.
/// Bits and p count arguments: with kScalarLhs operand 0 is argument 1.
struct Row {
  void (*run)(Derivation&) = nullptr;
  uint8_t save[autograd::Node::kInlineEdges] = {};
  uint8_t save_result = 0;
};

/// run is null when the operator has no formula.
const Row& row(Op op);

// By family; see table.cpp.
void add(Derivation&);
void sub(Derivation&);
void mul(Derivation&);
void div(Derivation&);
void remainder(Derivation&);
void zero(Derivation&);
void minimum(Derivation&);
void maximum(Derivation&);
void pow(Derivation&);
void where(Derivation&);
void clamp(Derivation&);
void addcmul(Derivation&);
void addcdiv(Derivation&);

void neg(Derivation&);
void abs(Derivation&);
void exp(Derivation&);
void log(Derivation&);
void log1p(Derivation&);
void sqrt(Derivation&);
void rsqrt(Derivation&);
void reciprocal(Derivation&);
void sin(Derivation&);
void cos(Derivation&);
void tanh(Derivation&);
void sigmoid(Derivation&);
void erf(Derivation&);
void relu(Derivation&);
void silu(Derivation&);
void gelu(Derivation&);
void sigmoid_backward(Derivation&);
void tanh_backward(Derivation&);
void threshold_backward(Derivation&);
void gelu_backward(Derivation&);

void pass(Derivation&);
void copy_(Derivation&);
void sum(Derivation&);
void mean(Derivation&);
void amax(Derivation&);
void var(Derivation&);

void softmax(Derivation&);
void log_softmax(Derivation&);
void softmax_backward_data(Derivation&);
void log_softmax_backward_data(Derivation&);
void layer_norm(Derivation&);

void mm(Derivation&);
void bmm(Derivation&);
void addmm(Derivation&);
void linear(Derivation&);
void attention(Derivation&);

void view(Derivation&);
void t(Derivation&);
void transpose(Derivation&);
void permute(Derivation&);
void select(Derivation&);
void slice(Derivation&);
void squeeze(Derivation&);
void unsqueeze(Derivation&);
void cat(Derivation&);
void select_backward(Derivation&);
void slice_backward(Derivation&);

void gather(Derivation&);
void index_select(Derivation&);
void embedding(Derivation&);
void scatter_add(Derivation&);
void index_add(Derivation&);
void embedding_dense_backward(Derivation&);
void nll_loss(Derivation&);
void nll_loss_backward(Derivation&);

}  // namespace sinter::derivatives
