// Element types and PyTorch's type promotion.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sinter {

/// Element type of a tensor. The order is the promotion order: bool < int64 < float32 < float64.
enum class ScalarType : uint8_t { Bool, Long, Float, Double, Undefined };

using Dtype = ScalarType;
inline constexpr ScalarType kBool = ScalarType::Bool;
inline constexpr ScalarType kLong = ScalarType::Long;
inline constexpr ScalarType kInt64 = ScalarType::Long;
inline constexpr ScalarType kFloat = ScalarType::Float;
inline constexpr ScalarType kFloat32 = ScalarType::Float;
inline constexpr ScalarType kDouble = ScalarType::Double;
inline constexpr ScalarType kFloat64 = ScalarType::Double;

/// Bytes of one element; 0 for Undefined.
constexpr size_t element_size(ScalarType t) {
  constexpr size_t sizes[] = {1, 8, 4, 8, 0};
  return sizes[static_cast<int>(t)];
}
constexpr bool is_floating(ScalarType t) { return t == ScalarType::Float || t == ScalarType::Double; }
constexpr bool is_integral(ScalarType t) { return t == ScalarType::Bool || t == ScalarType::Long; }

/// PyTorch's name of the type in messages and printing: "float", "double", "long int", "bool".
const char* dtype_name(ScalarType t);
/// Short name used in graphs and kernels: "f32", "f64", "i64", "bool".
const char* dtype_short_name(ScalarType t);

/// Promotion of two types of the same category (both tensors with rank > 0, say): the larger of the two.
constexpr ScalarType promote_types(ScalarType a, ScalarType b) {
  if (a == ScalarType::Undefined) return b;
  if (b == ScalarType::Undefined) return a;
  return a < b ? b : a;
}

/// Accumulates operands and gives PyTorch's result type (torch.result_type): dimensioned tensors outrank rank-0
/// tensors, which outrank wrapped numbers, unless the lower one is of a higher category (bool, integer, floating).
struct PromotionState {
  ScalarType dim = ScalarType::Undefined, zero_dim = ScalarType::Undefined, wrapped = ScalarType::Undefined;
  void add(ScalarType t, bool has_dims, bool is_wrapped_number);
  ScalarType result(ScalarType default_dtype) const;
};

template <class T>
struct CppType;  // C++ element type -> ScalarType
template <>
struct CppType<bool> {
  static constexpr ScalarType value = ScalarType::Bool;
};
template <>
struct CppType<int64_t> {
  static constexpr ScalarType value = ScalarType::Long;
};
template <>
struct CppType<float> {
  static constexpr ScalarType value = ScalarType::Float;
};
template <>
struct CppType<double> {
  static constexpr ScalarType value = ScalarType::Double;
};

}  // namespace sinter
