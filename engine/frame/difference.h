// Where two tensors of the same geometry differ, in units in the last place.
#pragma once
#include <optional>
#include <string>
#include "../../runtime/tensor_impl.h"

namespace sinter {

struct Difference {
  int64_t count = 0;                 // elements that differ
  std::vector<int64_t> first;        // index of the first in logical order
  std::string compiled, eager;       // its two values, with their bits
  uint64_t ulps = 0, most_ulps = 0;  // of the first, of the worst; integers and bool: the plain difference
};

/// Compares elements by bits, but any NaN equals any other. With `ulp_bound` > 0 floating elements may also be that many
/// units in the last place of the tensor's largest magnitude apart. Sizes, strides and dtypes must be equal.
std::optional<Difference> find_difference(const TensorImpl& compiled, const TensorImpl& eager, int64_t ulp_bound);

}  // namespace sinter
