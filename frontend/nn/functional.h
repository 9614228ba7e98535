// nn::functional: the layers and losses as functions. Options and defaults of LibTorch's torch::nn::functional.
#pragma once
#include "options.h"

namespace sinter::nn::functional {

inline Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias = {}, Loc loc = Loc::current()) {
  return sinter::linear(input, weight, bias, loc);
}
inline Tensor relu(const Tensor& input, bool inplace = false, Loc loc = Loc::current()) {
  return inplace ? input.relu_(loc) : sinter::relu(input, loc);
}
inline Tensor tanh(const Tensor& input, Loc loc = Loc::current()) { return sinter::tanh(input, loc); }
inline Tensor sigmoid(const Tensor& input, Loc loc = Loc::current()) { return sinter::sigmoid(input, loc); }
inline Tensor silu(const Tensor& input, Loc loc = Loc::current()) { return sinter::silu(input, loc); }
/// @throws ValueError for an `approximate` other than none and tanh.
Tensor gelu(const Tensor& input, const GELUFuncOptions& options = {}, Loc loc = Loc::current());

/// `softmax(x, 1)` works as well: options are made from the dimension.
Tensor softmax(const Tensor& input, const SoftmaxFuncOptions& options, Loc loc = Loc::current());
Tensor log_softmax(const Tensor& input, const LogSoftmaxFuncOptions& options, Loc loc = Loc::current());

/// @throws ValueError unless 0 <= p <= 1.
Tensor dropout(const Tensor& input, const DropoutFuncOptions& options = {}, Loc loc = Loc::current());
Tensor layer_norm(const Tensor& input, const LayerNormFuncOptions& options, Loc loc = Loc::current());
Tensor rms_norm(const Tensor& input, const RMSNormFuncOptions& options, Loc loc = Loc::current());
inline Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value,
                                           const Tensor& attn_mask = {}, double dropout_p = 0.0, bool is_causal = false,
                                           std::optional<double> scale = std::nullopt, Loc loc = Loc::current()) {
  return sinter::scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, loc);
}
Tensor embedding(const Tensor& indices, const Tensor& weight, const EmbeddingFuncOptions& options = {}, Loc loc = Loc::current());

Tensor mse_loss(const Tensor& input, const Tensor& target, const MSELossFuncOptions& options = {}, Loc loc = Loc::current());
Tensor nll_loss(const Tensor& input, const Tensor& target, const NLLLossFuncOptions& options = {}, Loc loc = Loc::current());
Tensor cross_entropy(const Tensor& input, const Tensor& target, const CrossEntropyFuncOptions& options = {},
                     Loc loc = Loc::current());

}  // namespace sinter::nn::functional
