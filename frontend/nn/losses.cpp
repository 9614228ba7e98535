#include "losses.h"
#include <ostream>

namespace sinter::nn {

void MSELossImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::MSELoss()"; }
void NLLLossImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::NLLLoss()"; }
void CrossEntropyLossImpl::pretty_print(std::ostream& out) const { out << "sinter::nn::CrossEntropyLoss()"; }

// The weight is a buffer, so the registered tensor is used and not the one in the options: to() may have converted it.
Tensor NLLLossImpl::forward(const Tensor& input, const Tensor& target, Loc loc) {
  return sinter::nll_loss(input, target, weight, options.reduction(), options.ignore_index(), loc);
}

Tensor CrossEntropyLossImpl::forward(const Tensor& input, const Tensor& target, Loc loc) {
  return sinter::cross_entropy(input, target, weight, options.reduction(), options.ignore_index(), options.label_smoothing(),
                               loc);
}

}  // namespace sinter::nn
