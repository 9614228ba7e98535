// Eager kernels: what they are given, how they are found.
#pragma once
#include <span>
#include "../dtype.h"
#include "../ops/ops.h"
#include "../scalar.h"
#include "../sizes.h"

namespace sinter {

/// Memory of one operand: address of its first element, strides in elements. `data` null = undefined operand.
struct TensorView {
  void* data = nullptr;
  ScalarType dtype = ScalarType::Undefined;
  IntArrayRef sizes, strides;
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
  int64_t numel() const { return numel_of(sizes); }
};

/// A call ready to run: the result is allocated, all bytes are there. In place: out is in[0].
struct KernelArgs {
  Op op;
  uint8_t flags = 0;
  uint8_t n_scalars = 0;
  ScalarType compute = ScalarType::Undefined;  // pointwise: the type to compute in
  TensorView out;
  std::span<const TensorView> in;
  uint64_t attr = 0;
  IntArrayRef ints;
  const Scalar* scalars = nullptr;
};

/// Runs any operator of the vocabulary except views. Never allocates results; may allocate scratch (OutOfMemoryError).
/// Value errors were found by check_values before.
void run_kernel(const KernelArgs& args);

/// The value check of a checked operator (index out of range, integer division by zero, bad target).
/// @throws IndexError or ValueError with the offending value; reads the index operands only.
void check_values(const KernelArgs& args);

}  // namespace sinter
