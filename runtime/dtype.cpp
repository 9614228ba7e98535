#include "dtype.h"
#include "mutants.h"

namespace sinter {

const char* dtype_name(ScalarType t) {
  constexpr const char* names[] = {"bool", "long int", "float", "double", "undefined"};
  return names[static_cast<int>(t)];
}

const char* dtype_short_name(ScalarType t) {
  constexpr const char* names[] = {"bool", "i64", "f32", "f64", "undefined"};
  return names[static_cast<int>(t)];
}

void PromotionState::add(ScalarType t, bool has_dims, bool is_wrapped_number) {
  ScalarType& slot = has_dims ? dim : is_wrapped_number && !SINTER_MUTANT(wrapped_number_promotes) ? wrapped : zero_dim;
  slot = promote_types(slot, t);
}

namespace {
constexpr int category(ScalarType t) {
  if (t == ScalarType::Undefined) return -1;
  return t == ScalarType::Bool ? 0 : t == ScalarType::Long ? 1 : 2;
}
ScalarType combine(ScalarType higher, ScalarType lower) { return category(lower) > category(higher) ? lower : higher; }
}  // namespace

ScalarType PromotionState::result(ScalarType default_dtype) const {
  // A wrapped float takes the default dtype, so that `int_tensor * 1.5` is float32 and not float64.
  const ScalarType w = is_floating(wrapped) ? default_dtype : wrapped;
  ScalarType r = zero_dim == ScalarType::Undefined ? w : combine(zero_dim, w);
  if (dim != ScalarType::Undefined) r = combine(dim, r);
  return r;
}

}  // namespace sinter
