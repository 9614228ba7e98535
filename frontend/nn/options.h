// Option structs of the modules and functionals; names and defaults of LibTorch.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include "../../engine/creation.h"
#include "arg.h"

namespace sinter {

// LibTorch's names for how a loss is reduced: `MSELossOptions(kSum)`.
inline constexpr Reduction::Reduction kNone = Reduction::None, kMean = Reduction::Mean, kSum = Reduction::Sum;

}  // namespace sinter

namespace sinter::nn {

struct LinearOptions {
  LinearOptions(int64_t in_features, int64_t out_features) : in_features_(in_features), out_features_(out_features) {}
  SINTER_ARG(int64_t, in_features);
  SINTER_ARG(int64_t, out_features);
  SINTER_ARG(bool, bias) = true;
};

struct FlattenOptions {
  SINTER_ARG(int64_t, start_dim) = 1;
  SINTER_ARG(int64_t, end_dim) = -1;
};

struct ReLUOptions {
  ReLUOptions(bool inplace = false) : inplace_(inplace) {}
  SINTER_ARG(bool, inplace);
};

struct GELUOptions {
  /// "none": the erf form; "tanh": the approximation by tanh.
  SINTER_ARG(std::string, approximate) = "none";
};

struct SoftmaxOptions {
  SoftmaxOptions(int64_t dim) : dim_(dim) {}
  SINTER_ARG(int64_t, dim);
};
using LogSoftmaxOptions = SoftmaxOptions;

struct DropoutOptions {
  DropoutOptions(double p = 0.5) : p_(p) {}
  SINTER_ARG(double, p);
  SINTER_ARG(bool, inplace) = false;
};

struct EmbeddingOptions {
  EmbeddingOptions(int64_t num_embeddings, int64_t embedding_dim)
      : num_embeddings_(num_embeddings), embedding_dim_(embedding_dim) {}
  SINTER_ARG(int64_t, num_embeddings);
  SINTER_ARG(int64_t, embedding_dim);
  /// This row starts as zeros and gets no gradient.
  SINTER_ARG(std::optional<int64_t>, padding_idx);
  /// A given weight [num_embeddings, embedding_dim] instead of a random one.
  SINTER_ARG(Tensor, _weight);
};

struct LayerNormOptions {
  LayerNormOptions(std::vector<int64_t> normalized_shape) : normalized_shape_(std::move(normalized_shape)) {}
  SINTER_ARG(std::vector<int64_t>, normalized_shape);
  SINTER_ARG(double, eps) = 1e-5;
  SINTER_ARG(bool, elementwise_affine) = true;
};

struct RMSNormOptions {
  RMSNormOptions(std::vector<int64_t> normalized_shape) : normalized_shape_(std::move(normalized_shape)) {}
  SINTER_ARG(std::vector<int64_t>, normalized_shape);
  /// None: the smallest difference from 1 of the input's type.
  SINTER_ARG(std::optional<double>, eps);
  SINTER_ARG(bool, elementwise_affine) = true;
};

struct MSELossOptions {
  MSELossOptions(Reduction::Reduction reduction = Reduction::Mean) : reduction_(reduction) {}
  SINTER_ARG(Reduction::Reduction, reduction);
};

struct NLLLossOptions {
  SINTER_ARG(Tensor, weight);
  SINTER_ARG(int64_t, ignore_index) = -100;
  SINTER_ARG(Reduction::Reduction, reduction) = Reduction::Mean;
};

struct CrossEntropyLossOptions {
  SINTER_ARG(Tensor, weight);
  SINTER_ARG(int64_t, ignore_index) = -100;
  SINTER_ARG(Reduction::Reduction, reduction) = Reduction::Mean;
  SINTER_ARG(double, label_smoothing) = 0.0;
};

namespace functional {

using GELUFuncOptions = GELUOptions;
using MSELossFuncOptions = MSELossOptions;
using NLLLossFuncOptions = NLLLossOptions;
using CrossEntropyFuncOptions = CrossEntropyLossOptions;

struct SoftmaxFuncOptions {
  SoftmaxFuncOptions(int64_t dim) : dim_(dim) {}
  SINTER_ARG(int64_t, dim);
  /// Converted to this type first.
  SINTER_ARG(std::optional<ScalarType>, dtype);
};
using LogSoftmaxFuncOptions = SoftmaxFuncOptions;

struct DropoutFuncOptions {
  SINTER_ARG(double, p) = 0.5;
  SINTER_ARG(bool, training) = true;
  SINTER_ARG(bool, inplace) = false;
};

struct LayerNormFuncOptions {
  LayerNormFuncOptions(std::vector<int64_t> normalized_shape) : normalized_shape_(std::move(normalized_shape)) {}
  SINTER_ARG(std::vector<int64_t>, normalized_shape);
  SINTER_ARG(Tensor, weight);
  SINTER_ARG(Tensor, bias);
  SINTER_ARG(double, eps) = 1e-5;
};

struct RMSNormFuncOptions {
  RMSNormFuncOptions(std::vector<int64_t> normalized_shape) : normalized_shape_(std::move(normalized_shape)) {}
  SINTER_ARG(std::vector<int64_t>, normalized_shape);
  SINTER_ARG(Tensor, weight);
  SINTER_ARG(std::optional<double>, eps);
};

struct EmbeddingFuncOptions {
  SINTER_ARG(std::optional<int64_t>, padding_idx);
};

}  // namespace functional
}  // namespace sinter::nn
