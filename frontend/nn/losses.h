// Loss modules; options and defaults of LibTorch.
#pragma once
#include "functional.h"
#include "module_holder.h"
#include "options.h"

namespace sinter::nn {

/// Mean (or sum, or none) of the squared differences.
class MSELossImpl : public Cloneable<MSELossImpl> {
 public:
  explicit MSELossImpl(MSELossOptions options = {}) : options(std::move(options)) {}
  void reset() override {}
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, const Tensor& target, Loc loc = Loc::current()) {
    return functional::mse_loss(input, target, options, loc);
  }

  MSELossOptions options;
};
SINTER_MODULE(MSELoss);

/// Negative log-likelihood of log-probabilities [N, C] at int64 targets [N].
class NLLLossImpl : public Cloneable<NLLLossImpl> {
 public:
  explicit NLLLossImpl(NLLLossOptions options = {}) : options(std::move(options)) { NLLLossImpl::reset(); }
  void reset() override { weight = register_buffer("weight", options.weight()); }
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, const Tensor& target, Loc loc = Loc::current());

  NLLLossOptions options;
  Tensor weight;
};
SINTER_MODULE(NLLLoss);

/// log_softmax over the classes, then NLLLoss.
class CrossEntropyLossImpl : public Cloneable<CrossEntropyLossImpl> {
 public:
  explicit CrossEntropyLossImpl(CrossEntropyLossOptions options = {}) : options(std::move(options)) {
    CrossEntropyLossImpl::reset();
  }
  void reset() override { weight = register_buffer("weight", options.weight()); }
  void pretty_print(std::ostream& out) const override;
  Tensor forward(const Tensor& input, const Tensor& target, Loc loc = Loc::current());

  CrossEntropyLossOptions options;
  Tensor weight;
};
SINTER_MODULE(CrossEntropyLoss);

}  // namespace sinter::nn
