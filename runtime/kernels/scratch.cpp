#include "scratch.h"
#include "pointwise.h"

namespace sinter {

namespace {

size_t bytes_of(const TensorView& v, ScalarType dtype) { return static_cast<size_t>(v.numel()) * element_size(dtype); }

}  // namespace

const void* dense_input(const TensorView& v, ScalarType dtype, Scratch& scratch) {
  if (v.dtype == dtype && is_contiguous(v.sizes, v.strides)) return v.data;
  void* copy = scratch.bytes(bytes_of(v, dtype));
  const SizeVec strides = contiguous_strides(v.sizes);
  copy_strided({copy, dtype, v.sizes, strides}, v);
  return copy;
}

DenseOutput::DenseOutput(const TensorView& out, const void* avoid) : out_(out), data_(out.data) {
  if (out.data == avoid || !is_contiguous(out.sizes, out.strides)) data_ = scratch_.bytes(bytes_of(out, out.dtype));
}

void DenseOutput::finish() {
  if (data_ == out_.data) return;
  const SizeVec strides = contiguous_strides(out_.sizes);
  copy_strided(out_, {data_, out_.dtype, out_.sizes, strides});
}

}  // namespace sinter
