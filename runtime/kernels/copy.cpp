// clone, cat and the gradients of select and slice: all are strided copies.
#include <cstring>
#include "pointwise.h"
#include "run_kernel.h"

namespace sinter {

namespace {

/// out from `start` of dimension `dim` on, with the given sizes and strides.
TensorView narrowed(const TensorView& out, size_t dim, int64_t start, IntArrayRef sizes, IntArrayRef strides) {
  char* at = static_cast<char*>(out.data) + start * out.strides[dim] * static_cast<int64_t>(element_size(out.dtype));
  return {at, out.dtype, sizes, strides};
}

void clear(const TensorView& out) {
  if (is_non_overlapping_and_dense(out.sizes, out.strides)) {
    std::memset(out.data, 0, static_cast<size_t>(out.numel()) * element_size(out.dtype));
    return;
  }
  int64_t zero = 0;
  copy_strided(out, {&zero, out.dtype, {}, {}});
}

void cat(const KernelArgs& args) {
  const size_t dim = args.attr;
  int64_t start = 0;
  for (const TensorView& x : args.in) {
    if (x.numel() == 0) continue;  // also PyTorch's legacy empty [0] among tensors of other ranks
    copy_strided(narrowed(args.out, dim, start, x.sizes, args.out.strides), x);
    start += x.sizes[dim];
  }
}

void select_backward(const KernelArgs& args) {
  clear(args.out);
  const size_t dim = args.attr;
  SizeVec strides;
  for (size_t i = 0; i < args.out.sizes.size(); ++i)
    if (i != dim) strides.push_back(args.out.strides[i]);
  copy_strided(narrowed(args.out, dim, args.ints[0], args.in[0].sizes, strides), args.in[0]);
}

void slice_backward(const KernelArgs& args) {
  clear(args.out);
  if (args.in[0].numel() == 0) return;
  const size_t dim = args.attr;
  SizeVec strides(args.out.strides);
  strides[dim] *= args.ints[2];
  copy_strided(narrowed(args.out, dim, args.ints[0], args.in[0].sizes, strides), args.in[0]);
}

}  // namespace

void run_copy(const KernelArgs& args) {
  if (args.out.numel() == 0) return;
  switch (args.op) {
    case Op::cat:
      return cat(args);
    case Op::select_backward:
      return select_backward(args);
    case Op::slice_backward:
      return slice_backward(args);
    default:
      return copy_strided(args.out, args.in[0]);
  }
}

}  // namespace sinter
