#include "functional.h"
#include <cmath>

namespace sinter::nn::functional {

Tensor gelu(const Tensor& input, const GELUFuncOptions& options, Loc loc) {
  if (options.approximate() == "none") return sinter::gelu(input, "none", loc);
  if (options.approximate() != "tanh") raise<ValueError>("gelu: approximate must be none or tanh, got {}", options.approximate());
  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), Hendrycks and Gimpel 2016.
  const Tensor cube = sinter::mul(sinter::mul(input, input, loc), input, loc);
  const Tensor inner =
      sinter::mul(sinter::add(input, sinter::mul(cube, 0.044715, loc), loc), std::sqrt(2 / 3.14159265358979323846), loc);
  return sinter::mul(sinter::mul(input, 0.5, loc), sinter::add(sinter::tanh(inner, loc), 1.0, loc), loc);
}

Tensor softmax(const Tensor& input, const SoftmaxFuncOptions& options, Loc loc) {
  return sinter::softmax(options.dtype() ? sinter::to(input, *options.dtype(), false, loc) : input, options.dim(), std::nullopt,
                         loc);
}

Tensor log_softmax(const Tensor& input, const LogSoftmaxFuncOptions& options, Loc loc) {
  return sinter::log_softmax(options.dtype() ? sinter::to(input, *options.dtype(), false, loc) : input, options.dim(),
                             std::nullopt, loc);
}

Tensor dropout(const Tensor& input, const DropoutFuncOptions& options, Loc loc) {
  Tensor result = sinter::dropout(input, options.p(), options.training(), loc);
  return options.inplace() && !result.is_same(input) ? input.copy_(result, loc) : result;
}

Tensor layer_norm(const Tensor& input, const LayerNormFuncOptions& options, Loc loc) {
  return sinter::layer_norm(input, options.normalized_shape(), options.weight(), options.bias(), options.eps(), loc);
}

Tensor rms_norm(const Tensor& input, const RMSNormFuncOptions& options, Loc loc) {
  return sinter::rms_norm(input, options.normalized_shape(), options.weight(), options.eps(), loc);
}

Tensor embedding(const Tensor& indices, const Tensor& weight, const EmbeddingFuncOptions& options, Loc loc) {
  int64_t padding = -1;
  if (options.padding_idx()) {
    padding = *options.padding_idx();
    const int64_t n = weight.size(0, loc);
    if (padding < -n || padding >= n) raise<IndexError>("embedding: padding_idx {} must be within num_embeddings {}", padding, n);
    if (padding < 0) padding += n;
  }
  return sinter::embedding(weight, indices, padding, loc);
}

Tensor mse_loss(const Tensor& input, const Tensor& target, const MSELossFuncOptions& options, Loc loc) {
  return sinter::mse_loss(input, target, options.reduction(), loc);
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const NLLLossFuncOptions& options, Loc loc) {
  return sinter::nll_loss(input, target, options.weight(), options.reduction(), options.ignore_index(), loc);
}

Tensor cross_entropy(const Tensor& input, const Tensor& target, const CrossEntropyFuncOptions& options, Loc loc) {
  return sinter::cross_entropy(input, target, options.weight(), options.reduction(), options.ignore_index(),
                               options.label_smoothing(), loc);
}

}  // namespace sinter::nn::functional
