#include "modules.h"
#include <cmath>
#include <ostream>
#include "init.h"

namespace sinter::nn {

namespace {

const char* text(bool b) { return b ? "true" : "false"; }

std::string join(const std::vector<int64_t>& v) {
  std::string out;
  for (int64_t n : v) out += (out.empty() ? "" : ", ") + std::to_string(n);
  return out;
}

}  // namespace

// -- Linear

void LinearImpl::reset() {
  weight = register_parameter("weight", sinter::empty({options.out_features(), options.in_features()}));
  bias = options.bias() ? register_parameter("bias", sinter::empty({options.out_features()}))
                        : register_parameter("bias", {}, /*requires_grad=*/false);
  reset_parameters();
}

void LinearImpl::reset_parameters() {
  init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (!bias.defined()) return;
  const double bound = options.in_features() > 0 ? 1 / std::sqrt(static_cast<double>(options.in_features())) : 0.0;
  init::uniform_(bias, -bound, bound);
}

void LinearImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::Linear(in_features=" << options.in_features() << ", out_features=" << options.out_features()
      << ", bias=" << text(options.bias()) << ")";
}

// -- modules without parameters

void IdentityImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::Identity()"; }

Tensor FlattenImpl::forward(const Tensor& input, Loc loc) {
  return sinter::flatten(input, options.start_dim(), options.end_dim(), loc);
}

void FlattenImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::Flatten(start_dim=" << options.start_dim() << ", end_dim=" << options.end_dim() << ")";
}

void ReLUImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::ReLU(" << (options.inplace() ? "inplace=true" : "") << ")";
}

void GELUImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::GELU(";
  if (options.approximate() != "none") out << "approximate=" << options.approximate();
  out << ")";
}

void TanhImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::Tanh()"; }
void SiLUImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::SiLU()"; }
void SigmoidImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::Sigmoid()"; }
void SoftmaxImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::Softmax(dim=" << options.dim() << ")"; }
void LogSoftmaxImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::LogSoftmax(dim=" << options.dim() << ")"; }

// -- Dropout

DropoutImpl::DropoutImpl(const DropoutOptions& options) : options(options) {
  if (!(options.p() >= 0 && options.p() <= 1)) {
    raise<ValueError>("dropout probability has to be between 0 and 1, but got {}", options.p());
  }
}

Tensor DropoutImpl::forward(const Tensor& input, Loc loc) {
  return functional::dropout(
      input, functional::DropoutFuncOptions().p(options.p()).training(is_training()).inplace(options.inplace()), loc);
}

void DropoutImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::Dropout(p=" << options.p() << ", inplace=" << text(options.inplace()) << ")";
}

// -- Embedding

EmbeddingImpl::EmbeddingImpl(EmbeddingOptions given) : options(std::move(given)) {
  if (options.padding_idx()) {
    const int64_t n = options.num_embeddings(), idx = *options.padding_idx();
    if (idx < -n || idx >= n) raise<IndexError>("Embedding: padding_idx {} must be within num_embeddings {}", idx, n);
    if (idx < 0) options.padding_idx(idx + n);
  }
  EmbeddingImpl::reset();
}

void EmbeddingImpl::reset() {
  const std::vector<int64_t> shape = {options.num_embeddings(), options.embedding_dim()};
  if (options._weight().defined()) {
    if (!(options._weight().sizes() == IntArrayRef(shape))) {
      raise<ShapeError>("Embedding: the shape of _weight is {}, num_embeddings and embedding_dim give {}",
                        to_string(options._weight().sizes()), to_string(shape));
    }
    weight = register_parameter("weight", options._weight());
    return;
  }
  weight = register_parameter("weight", sinter::empty(shape));
  reset_parameters();
}

void EmbeddingImpl::reset_parameters() {
  init::normal_(weight);
  if (!options.padding_idx()) return;
  NoGradGuard no_grad;
  init::zeros_(weight.select(0, *options.padding_idx()));
}

Tensor EmbeddingImpl::forward(const Tensor& indices, Loc loc) {
  return functional::embedding(indices, weight, functional::EmbeddingFuncOptions().padding_idx(options.padding_idx()), loc);
}

void EmbeddingImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::Embedding(num_embeddings=" << options.num_embeddings() << ", embedding_dim=" << options.embedding_dim();
  if (options.padding_idx()) out << ", padding_idx=" << *options.padding_idx();
  out << ")";
}

// -- LayerNorm

LayerNormImpl::LayerNormImpl(LayerNormOptions given) : options(std::move(given)) { LayerNormImpl::reset(); }

void LayerNormImpl::reset() {
  if (options.elementwise_affine()) {
    weight = register_parameter("weight", sinter::empty(options.normalized_shape()));
    bias = register_parameter("bias", sinter::empty(options.normalized_shape()));
  } else {
    weight = register_parameter("weight", {}, /*requires_grad=*/false);
    bias = register_parameter("bias", {}, /*requires_grad=*/false);
  }
  reset_parameters();
}

void LayerNormImpl::reset_parameters() {
  if (!options.elementwise_affine()) return;
  init::ones_(weight);
  init::zeros_(bias);
}

Tensor LayerNormImpl::forward(const Tensor& input, Loc loc) {
  return sinter::layer_norm(input, options.normalized_shape(), weight, bias, options.eps(), loc);
}

void LayerNormImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::LayerNorm([" << join(options.normalized_shape()) << "], eps=" << options.eps()
      << ", elementwise_affine=" << text(options.elementwise_affine()) << ")";
}

// -- RMSNorm

RMSNormImpl::RMSNormImpl(RMSNormOptions given) : options(std::move(given)) { RMSNormImpl::reset(); }

void RMSNormImpl::reset() {
  const bool affine = options.elementwise_affine();
  weight = register_parameter("weight", affine ? sinter::empty(options.normalized_shape()) : Tensor(), affine);
  reset_parameters();
}

void RMSNormImpl::reset_parameters() {
  if (options.elementwise_affine()) init::ones_(weight);
}

Tensor RMSNormImpl::forward(const Tensor& input, Loc loc) {
  return sinter::rms_norm(input, options.normalized_shape(), weight, options.eps(), loc);
}

void RMSNormImpl::pretty_print(std::ostream& out) const {
  out << "sinter::nn::RMSNorm([" << join(options.normalized_shape()) << "], eps=";
  options.eps() ? out << *options.eps() : out << "None";
  out << ", elementwise_affine=" << text(options.elementwise_affine()) << ")";
}

}  // namespace sinter::nn
