// Temporary memory of one kernel call: on the stack when small, else from the caching allocator.
#pragma once
#include <cstdint>
#include "../allocator.h"
#include "kernel.h"

namespace sinter {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (heap_) free_bytes(heap_, nbytes_);
  }
  /// Uninitialised, 64-byte aligned room for n elements; at most one call per object. Throws OutOfMemoryError.
  template <class T>
  T* get(int64_t n) {
    return static_cast<T*>(bytes(static_cast<size_t>(n) * sizeof(T)));
  }
  void* bytes(size_t n) {
    if (n <= sizeof(inline_)) return inline_;
    heap_ = allocate_bytes(n);
    nbytes_ = n;
    return heap_;
  }

 private:
  void* heap_ = nullptr;
  size_t nbytes_ = 0;
  alignas(64) char inline_[1024];
};

/// The elements of `v` as `dtype`, row-major and dense: its own memory, or a converted copy in `scratch`.
const void* dense_input(const TensorView& v, ScalarType dtype, Scratch& scratch);

/// Where to write a row-major dense result for `out`: its own memory, or scratch that finish() copies from.
class DenseOutput {
 public:
  /// `avoid`: memory of an operand that must not be overwritten before the kernel has read it (in-place calls).
  explicit DenseOutput(const TensorView& out, const void* avoid = nullptr);
  void* data() const { return data_; }
  void finish();

 private:
  const TensorView& out_;
  void* data_;
  Scratch scratch_;
};

}  // namespace sinter
