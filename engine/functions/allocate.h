// Tensors with memory of their own, made without an operator call.
#pragma once
#include "../tensor.h"

namespace sinter {

/// Uninitialised; checks that sizes are not negative and the bytes fit 63 bits (ShapeError, naming `function`).
Tensor allocate_tensor(const char* function, ScalarType dtype, IntArrayRef sizes);
/// The same with strides; at least as many bytes as the strides reach.
Tensor allocate_tensor(const char* function, ScalarType dtype, IntArrayRef sizes, IntArrayRef strides);
/// Bytes from the first element to behind the last. Throws ShapeError for negative sizes or strides and on overflow.
size_t extent_bytes(const char* function, ScalarType dtype, IntArrayRef sizes, IntArrayRef strides);
/// Writes one number as the tensor's type into element `at` of its (contiguous) memory.
void store_element(TensorImpl* t, int64_t at, Scalar value);

}  // namespace sinter
