#include "tensor.h"
#include "../runtime/mutants.h"
#include "frame/frame.h"

namespace sinter {

void Tensor::undefined_error() { raise<Error>("an undefined tensor was used: it has no sizes, dtype or values"); }

namespace {

int64_t wrap_own_dim(int64_t d, int64_t rank, const char* method) {
  if (rank == 0) raise<IndexError>("{}: Dimension specified as {} but tensor has no dimensions", method, d);
  if (d < -rank || d >= rank)
    raise<IndexError>("{}: Dimension out of range (expected to be in range of [{}, {}], but got {})", method, -rank, rank - 1, d);
  return d < 0 ? d + rank : d;
}

void check_type(ScalarType have, ScalarType want, const char* method) {
  if (want != ScalarType::Undefined && want != have)
    raise<DtypeError>("{}: expected scalar type {} but found {}", method, dtype_name(want), dtype_name(have));
}

}  // namespace

int64_t Tensor::size(int64_t d, Loc) const { return get()->sizes[static_cast<size_t>(wrap_own_dim(d, dim(), "size"))]; }
int64_t Tensor::stride(int64_t d, Loc) const { return get()->strides[static_cast<size_t>(wrap_own_dim(d, dim(), "stride"))]; }

const void* Tensor::const_data(ScalarType t, Loc loc) const {
  TensorImpl* p = get();
  check_type(p->dtype(), t, "const_data_ptr");
  if (current_frame) frame_value_read();
  return p->data(loc);
}

void* Tensor::mutable_data(ScalarType t, Loc loc) const {
  TensorImpl* p = get();
  check_type(p->dtype(), t, "data_ptr");
  if (current_frame && !SINTER_MUTANT(data_ptr_not_a_break)) frame_mutable_pointer(p, loc);
  if (!p->storage->has(Storage::kExposed)) p->storage->set(Storage::kExposed);
  p->storage->before_write();
  return p->data(loc);
}

Scalar Tensor::item(Loc loc) const {
  TensorImpl* p = get();
  if (p->numel != 1)
    raise<ShapeError>("item({}{}): a Tensor with {} elements cannot be converted to Scalar", dtype_name(p->dtype()),
                      to_string(p->sizes), p->numel);
  const void* at = const_data(ScalarType::Undefined, loc);
  switch (p->dtype()) {
    case kBool:
      return *static_cast<const uint8_t*>(at) != 0;
    case kLong:
      return *static_cast<const int64_t*>(at);
    case kFloat:
      return *static_cast<const float*>(at);
    default:
      return *static_cast<const double*>(at);
  }
}

}  // namespace sinter
