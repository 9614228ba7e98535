// The layers. Each `NameImpl` is the module, `Name` its holder; defaults and initial values are LibTorch's.
#pragma once
#include "functional.h"
#include "module_holder.h"
#include "options.h"

namespace sinter::nn {

/// y = x W^T + b over the last dimension; weight [out, in] and bias [out] from U(-1/sqrt(in), 1/sqrt(in)).
class LinearImpl : public Cloneable<LinearImpl> {
 public:
  LinearImpl(int64_t in_features, int64_t out_features) : LinearImpl(LinearOptions(in_features, out_features)) {}
  explicit LinearImpl(const LinearOptions& options) : options(options) { LinearImpl::reset(); }
  void reset() override;
  void reset_parameters();
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return sinter::linear(input, weight, bias, loc); }

  LinearOptions options;
  Tensor weight, bias;  // bias stays undefined without one
};
SINTER_MODULE(Linear);

/// Returns its input.
class IdentityImpl : public Cloneable<IdentityImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input) { return input; }
};
SINTER_MODULE(Identity);

/// Merges the dimensions start_dim .. end_dim into one.
class FlattenImpl : public Cloneable<FlattenImpl> {
 public:
  explicit FlattenImpl(const FlattenOptions& options = {}) : options(options) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current());

  FlattenOptions options;
};
SINTER_MODULE(Flatten);

class ReLUImpl : public Cloneable<ReLUImpl> {
 public:
  explicit ReLUImpl(const ReLUOptions& options = {}) : options(options) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return functional::relu(input, options.inplace(), loc); }

  ReLUOptions options;
};
SINTER_MODULE(ReLU);

class GELUImpl : public Cloneable<GELUImpl> {
 public:
  explicit GELUImpl(GELUOptions options = {}) : options(std::move(options)) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return functional::gelu(input, options, loc); }

  GELUOptions options;
};
SINTER_MODULE(GELU);

/// x * sigmoid(x)
class SiLUImpl : public Cloneable<SiLUImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return sinter::silu(input, loc); }
};
SINTER_MODULE(SiLU);

class TanhImpl : public Cloneable<TanhImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return sinter::tanh(input, loc); }
};
SINTER_MODULE(Tanh);

class SigmoidImpl : public Cloneable<SigmoidImpl> {
 public:
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return sinter::sigmoid(input, loc); }
};
SINTER_MODULE(Sigmoid);

class SoftmaxImpl : public Cloneable<SoftmaxImpl> {
 public:
  explicit SoftmaxImpl(int64_t dim) : SoftmaxImpl(SoftmaxOptions(dim)) {}
  explicit SoftmaxImpl(const SoftmaxOptions& options) : options(options) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return functional::softmax(input, options.dim(), loc); }

  SoftmaxOptions options;
};
SINTER_MODULE(Softmax);

class LogSoftmaxImpl : public Cloneable<LogSoftmaxImpl> {
 public:
  explicit LogSoftmaxImpl(int64_t dim) : LogSoftmaxImpl(LogSoftmaxOptions(dim)) {}
  explicit LogSoftmaxImpl(const LogSoftmaxOptions& options) : options(options) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current()) { return functional::log_softmax(input, options.dim(), loc); }

  LogSoftmaxOptions options;
};
SINTER_MODULE(LogSoftmax);

/// In training mode zeroes each element with probability p and scales the rest by 1 / (1 - p).
class DropoutImpl : public Cloneable<DropoutImpl> {
 public:
  explicit DropoutImpl(double p) : DropoutImpl(DropoutOptions(p)) {}
  /// @throws ValueError unless 0 <= p <= 1.
  explicit DropoutImpl(const DropoutOptions& options = {});
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current());

  DropoutOptions options;
};
SINTER_MODULE(Dropout);

/// Rows of weight [num_embeddings, embedding_dim] (from N(0, 1)) by int64 indices of any shape.
class EmbeddingImpl : public Cloneable<EmbeddingImpl> {
 public:
  EmbeddingImpl(int64_t num_embeddings, int64_t embedding_dim) : EmbeddingImpl(EmbeddingOptions(num_embeddings, embedding_dim)) {}
  /// @throws IndexError for a padding_idx out of range, ShapeError for a given weight of another shape.
  explicit EmbeddingImpl(EmbeddingOptions options);
  void reset() override;
  void reset_parameters();
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& indices, Loc loc = Loc::current());

  EmbeddingOptions options;
  Tensor weight;
};
SINTER_MODULE(Embedding);

/// (x - mean) / sqrt(var + eps) over the trailing dimensions, then weight (ones) and bias (zeros).
class LayerNormImpl : public Cloneable<LayerNormImpl> {
 public:
  explicit LayerNormImpl(std::vector<int64_t> normalized_shape) : LayerNormImpl(LayerNormOptions(std::move(normalized_shape))) {}
  explicit LayerNormImpl(LayerNormOptions options);
  void reset() override;
  void reset_parameters();
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current());

  LayerNormOptions options;
  Tensor weight, bias;
};
SINTER_MODULE(LayerNorm);

/// x / sqrt(mean(x^2) + eps) * weight over the trailing dimensions; weight starts as ones.
class RMSNormImpl : public Cloneable<RMSNormImpl> {
 public:
  explicit RMSNormImpl(std::vector<int64_t> normalized_shape) : RMSNormImpl(RMSNormOptions(std::move(normalized_shape))) {}
  explicit RMSNormImpl(RMSNormOptions options);
  void reset() override;
  void reset_parameters();
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, Loc loc = Loc::current());

  RMSNormOptions options;
  Tensor weight;  // undefined without elementwise_affine
};
SINTER_MODULE(RMSNorm);

}  // namespace sinter::nn
