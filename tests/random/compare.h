// Compares what two runs of a program left: everything that somebody could see.
#pragma once
#include "run.h"

namespace sinter::test {

/// Empty when both tensors are the same in bits (any NaN equals any other), sizes, strides, offset, flags, version, gradients;
/// else what differs. Strides of dimensions of size 1 are not compared.
std::string difference(const Tensor& a, const Tensor& b, const std::string& name);
/// The same for two runs and their inputs, and for which of the tensors share memory or are one object.
std::string difference(const Run& a, const std::vector<Tensor>& a_inputs, const Run& b, const std::vector<Tensor>& b_inputs);

}  // namespace sinter::test
