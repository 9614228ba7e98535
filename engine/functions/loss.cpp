// Losses and dropout.
#include "common.h"

namespace sinter {

namespace {

Tensor reduced(const Tensor& x, int64_t reduction, Loc loc) {
  switch (reduction) {
    case Reduction::None:
      return x;
    case Reduction::Mean:
      return mean(x, std::nullopt, loc);
    case Reduction::Sum:
      return sum(x, std::nullopt, loc);
    default:
      raise<ValueError>("{} is not a valid value for reduction", reduction);
  }
}

void check_loss_attributes(const Tensor& self, int64_t reduction, int64_t ignore_index) {
  if (reduction < 0 || reduction > 2)
    fail<ValueError>(NamedCall(Op::nll_loss, self).call, "{} is not a valid value for reduction", reduction);
  if (ignore_index != static_cast<int32_t>(ignore_index))
    fail<ValueError>(NamedCall(Op::nll_loss, self).call, "ignore_index {} does not fit into 32 bits", ignore_index);
}

Tensor call_nll(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, int64_t ignore_index,
                Loc loc) {
  check_loss_attributes(self, reduction, ignore_index);
  const uint64_t attr = loss_attr(static_cast<int>(reduction), ignore_index);
  return weight.defined() ? call3(Op::nll_loss, self, target, weight, attr, loc) : call2(Op::nll_loss, self, target, attr, loc);
}

/// [N, C, d1, ...] -> [N * d1 * ..., C]
Tensor classes_last(const Tensor& self, Loc loc) {
  SizeVec order{0};
  for (int64_t d = 2; d < self.dim(); ++d) order.push_back(d);
  order.push_back(1);
  // Without -1: an empty batch leaves it undetermined.
  const int64_t classes = self.size(1);
  return reshape(permute(self, order, loc), {classes ? self.numel() / classes : 0, classes}, loc);
}

/// Shape [1, C, 1, ...] of a weight per class beside [N, C, ...]; [C] beside [C].
Tensor along_classes(const Tensor& weight, const Tensor& self, Loc loc) {
  SizeVec sizes;
  for (int64_t d = 0; d < self.dim(); ++d) sizes.push_back(1);
  sizes[self.dim() == 1 ? 0 : 1] = weight.numel();
  return view(weight, sizes, loc);
}

Tensor probability_loss(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, double smoothing,
                        Loc loc) {
  const int64_t class_dim = self.dim() == 1 ? 0 : 1;
  if (!(self.sizes() == target.sizes())) {
    TensorImpl* in[] = {self.impl(), target.impl()};
    OpCall c{.op = Op::nll_loss};
    c.n_in = 2, c.in = in;
    fail<ShapeError>(c, "Expected probabilities of the input's shape as target");
  }
  const Tensor logp = log_softmax(self, class_dim, std::nullopt, loc);
  const auto classes = static_cast<double>(self.size(class_dim));
  Tensor p = target;
  if (smoothing > 0) p = add(mul(p, 1 - smoothing, loc), smoothing / classes, loc);
  Tensor terms = mul(logp, p, loc);
  if (weight.defined()) terms = mul(terms, along_classes(weight, self, loc), loc);
  if (reduction == Reduction::None) return neg(sum(terms, class_dim, false, std::nullopt, loc), loc);
  const Tensor total = neg(sum(terms, std::nullopt, loc), loc);
  return reduction == Reduction::Sum ? total : div(total, static_cast<double>(self.numel()) / classes, loc);
}

/// (1 - e) * nll + e / C * (sum of all classes' terms), as PyTorch's cross_entropy_loss_label_smoothing.
Tensor smoothed_loss(const Tensor& logp, const Tensor& target, const Tensor& weight, int64_t reduction, int64_t ignore_index,
                     double smoothing, Loc loc) {
  const int64_t class_dim = logp.dim() == 1 ? 0 : 1;
  const Tensor hard = nll_loss(logp, target, weight, reduction, ignore_index, loc);
  const Tensor weighted = weight.defined() ? mul(logp, along_classes(weight, logp, loc), loc) : logp;
  Tensor smooth = neg(sum(weighted, class_dim, false, std::nullopt, loc), loc);
  const Tensor ignored = eq(target, ignore_index, loc);
  smooth = masked_fill(smooth, ignored, 0, loc);
  if (reduction == Reduction::Sum) smooth = sum(smooth, std::nullopt, loc);
  if (reduction == Reduction::Mean) {
    Tensor counted = to(logical_not(ignored, loc), logp.dtype(), false, loc);
    if (weight.defined()) {
      const Tensor classes = masked_fill(target, ignored, 0, loc);
      counted = mul(counted, reshape(index_select(weight, 0, reshape(classes, -1, loc), loc), target.sizes(), loc), loc);
    }
    smooth = div(sum(smooth, std::nullopt, loc), sum(counted, std::nullopt, loc), loc);
  }
  const auto classes = static_cast<double>(logp.size(class_dim));
  return add(mul(hard, 1 - smoothing, loc), mul(smooth, smoothing / classes, loc), loc);
}

}  // namespace

Tensor nll_loss(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, int64_t ignore_index,
                Loc loc) {
  if (self.dim() <= 2) return call_nll(self, target, weight, reduction, ignore_index, loc);
  const bool fits = target.dim() == self.dim() - 1 && target.size(0) == self.size(0) &&
                    std::equal(target.sizes().begin() + 1, target.sizes().end(), self.sizes().begin() + 2);
  if (!fits) {
    TensorImpl* in[] = {self.impl(), target.impl()};
    OpCall c{.op = Op::nll_loss};
    c.n_in = 2, c.in = in;
    fail<ShapeError>(c, "size mismatch (got input: {}, target: {})", to_string(self.sizes()), to_string(target.sizes()));
  }
  const Tensor loss =
      call_nll(classes_last(self, loc), reshape(target, target.numel(), loc), weight, reduction, ignore_index, loc);
  return reduction == Reduction::None ? view(loss, target.sizes(), loc) : loss;
}

Tensor cross_entropy_loss(const Tensor& self, const Tensor& target, const Tensor& weight, int64_t reduction, int64_t ignore_index,
                          double label_smoothing, Loc loc) {
  if (label_smoothing < 0 || label_smoothing > 1)
    fail<ValueError>(NamedCall(Op::nll_loss, self).call, "label_smoothing must be between 0.0 and 1.0. Got: {}", label_smoothing);
  check_loss_attributes(self, reduction, ignore_index);
  if (is_floating(target.dtype())) return probability_loss(self, target, weight, reduction, label_smoothing, loc);
  const Tensor logp = log_softmax(self, self.dim() == 1 ? 0 : 1, std::nullopt, loc);
  if (label_smoothing == 0) return nll_loss(logp, target, weight, reduction, ignore_index, loc);
  return smoothed_loss(logp, target, weight, reduction, ignore_index, label_smoothing, loc);
}

Tensor mse_loss(const Tensor& self, const Tensor& target, int64_t reduction, Loc loc) {
  return reduced(square(sub(self, target, loc), loc), reduction, loc);
}
Tensor l1_loss(const Tensor& self, const Tensor& target, int64_t reduction, Loc loc) {
  return reduced(abs(sub(self, target, loc), loc), reduction, loc);
}

Tensor dropout(const Tensor& input, double p, bool train, Loc loc) {
  if (!(p >= 0 && p <= 1)) raise<ValueError>("dropout probability has to be between 0 and 1, but got {}", p);
  if (!train || p == 0 || input.numel() == 0) return input;
  if (!is_floating(input.dtype())) fail<DtypeError>(NamedCall(Op::mul, input).call, "dropout needs a floating-point input");
  if (p == 1) return mul(input, zeros_like(input, {}, loc), loc);
  const Tensor mask = bernoulli(input, 1 - p, loc);
  return mul(input, div(mask, 1 - p, loc), loc);
}

}  // namespace sinter
