#include "layers.h"
#include "../random/statements.h"

namespace sinter::test {

namespace F = nn::functional;

Tensor Weights::parameter(size_t i, const std::vector<int64_t>& sizes, double mean) {
  const auto [at, made] = made_.try_emplace({layer_, i});
  if (made) {
    const double spread = sizes.size() == 2 && sizes[0] > 1 ? 1 / std::sqrt(static_cast<double>(sizes[1])) : 0.2;
    at->second = (randn(sizes, dtype_) * spread + mean).requires_grad_(!frozen_);
    parameters_.push_back(at->second);
    if (frozen_) frozen_parameters_.push_back(at->second);
  }
  return at->second;
}

Tensor Weights::buffer(const std::vector<int64_t>& sizes) {
  const auto [at, made] = made_buffers_.try_emplace(layer_);
  if (made) {
    at->second = zeros(sizes, dtype_);
    buffers_.push_back(at->second);
  }
  return at->second;
}

Tensor Weights::tied(int64_t width) const {
  for (const auto& [key, p] : made_)
    if (key.first < layer_ && p.dim() == 2 && p.size(0) > 1 && (p.size(0) == width || p.size(1) == width)) return p;
  return {};
}

Tensor Weights::statement(const Tensor& x, int64_t k, double s) {
  static const std::vector<const Statement*> fitting = [] {
    std::vector<const Statement*> all;
    for (const Statement& row : statements())
      if (row.kind == Kind::Compute || row.kind == Kind::View) all.push_back(&row);
    return all;
  }();
  const Statement& row = *fitting[static_cast<size_t>(k * 7 + static_cast<int64_t>(s * 100)) % fitting.size()];
  Tensor first = x * s, second = parameter(0, {x.size(-1)}, 0), third = x, out;
  try {
    row.run(out, first, second, third, k % 8, k / 8, s);
  } catch (const std::exception&) { return x; }  // does not fit
  return out.defined() && is_floating(out.dtype()) ? x + out.to(x.dtype()).mean().tanh() * 0.1 : x;
}

std::vector<int64_t> Weights::repeated(const Tensor& x, int64_t n) {
  std::vector<int64_t> sizes(x.sizes().begin(), x.sizes().end());
  sizes.insert(sizes.begin(), n);
  return sizes;
}

namespace {

#define LAYER(weight, name, ...)                                                                                          \
  {weight, name, #__VA_ARGS__, [](Tensor& x, Weights& w, [[maybe_unused]] int64_t k, [[maybe_unused]] double s) {         \
     [[maybe_unused]] const int64_t C = x.size(-1);                                                                       \
     [[maybe_unused]] const auto one = [&](size_t i, const std::vector<int64_t>& sizes) { return w.near_one(i, sizes); }; \
     __VA_ARGS__;                                                                                                         \
   }},
constexpr LayerRow kLayers[] = {
#include "layers.inc"
};
#undef LAYER

#define LOSS(weight, name, ...) \
  {weight, name, #__VA_ARGS__,  \
   [](const Tensor& out, [[maybe_unused]] const Tensor& y, [[maybe_unused]] const Tensor& t) { return Tensor(__VA_ARGS__); }},
constexpr LossRow kLosses[] = {
#include "losses.inc"
};
#undef LOSS

}  // namespace

std::span<const LayerRow> layer_rows() { return kLayers; }
std::span<const LossRow> loss_rows() { return kLosses; }

}  // namespace sinter::test
