#include "allocate.h"
#include "../../runtime/out_of_memory.h"

namespace sinter {

size_t extent_bytes(const char* function, ScalarType dtype, IntArrayRef sizes, IntArrayRef strides) {
  if (sizes.size() != strides.size())
    raise<ShapeError>("{}: mismatch in length of strides and shape: {} and {}", function, to_string(strides), to_string(sizes));
  if (sizes.size() > kMaxRank) raise<ShapeError>("{}: a rank of {} is above the limit of {}", function, sizes.size(), kMaxRank);
  int64_t last = 1, elements = 1;
  bool empty = false, overflow = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0)
      raise<ShapeError>("{}: Trying to create tensor with negative dimension {}: {}", function, sizes[i], to_string(sizes));
    if (strides[i] < 0) raise<ShapeError>("{}: negative strides are not supported: {}", function, to_string(strides));
    empty |= sizes[i] == 0;
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(std::max<int64_t>(sizes[i], 1) - 1, strides[i], &reach);
    overflow |= __builtin_add_overflow(last, reach, &last);
    overflow |= __builtin_mul_overflow(elements, std::max<int64_t>(sizes[i], 1), &elements);
  }
  int64_t bytes = 0;
  overflow |= __builtin_mul_overflow(last, static_cast<int64_t>(element_size(dtype)), &bytes);
  if (overflow) raise<ShapeError>("{}: Storage size calculation overflowed with sizes={}", function, to_string(sizes));
  return empty ? 0 : static_cast<size_t>(bytes);
}

Tensor allocate_tensor(const char* function, ScalarType dtype, IntArrayRef sizes, IntArrayRef strides) {
  return memory_gate([&] {
    Storage* storage = Storage::allocate(extent_bytes(function, dtype, sizes, strides));
    return Tensor::adopt(TensorImpl::make(dtype, sizes, strides, 0, storage));
  });
}

Tensor allocate_tensor(const char* function, ScalarType dtype, IntArrayRef sizes) {
  int64_t elements = 1;  // before the strides are multiplied up
  for (int64_t d : sizes)
    if (__builtin_mul_overflow(elements, std::max<int64_t>(d, 1), &elements))
      raise<ShapeError>("{}: Storage size calculation overflowed with sizes={}", function, to_string(sizes));
  return allocate_tensor(function, dtype, sizes, contiguous_strides(sizes));
}

void store_element(TensorImpl* t, int64_t at, Scalar value) {
  void* p = t->storage->data;
  switch (t->dtype()) {
    case kBool:
      static_cast<bool*>(p)[at] = value.to_bool();
      break;
    case kLong:
      static_cast<int64_t*>(p)[at] = value.to_int64();
      break;
    case kFloat:
      static_cast<float*>(p)[at] = static_cast<float>(value.to_double());
      break;
    default:
      static_cast<double*>(p)[at] = value.to_double();
      break;
  }
}

}  // namespace sinter
