// Conversion between element types: C semantics, with what the processor gives for values that do not fit.
#include "pointwise_loop.h"

namespace sinter::SINTER_LEVEL {

namespace {

/// Elements per step: one vector of the wider type.
template <ScalarType To, ScalarType From>
inline constexpr int kStep = sizeof(Element<To>) > sizeof(Element<From>) ? kLanesOf<To> : kLanesOf<From>;

/// NaN and what lies beyond 63 bits become INT64_MIN: what cvttsd2si gives, said so that no compiler may assume otherwise.
template <ScalarType To, ScalarType From>
inline constexpr bool kMayNotFit = To == ScalarType::Long && (From == ScalarType::Float || From == ScalarType::Double);
template <ScalarType From, class V>
SINTER_MATH_INLINE auto fits(V v) {
  constexpr Element<From> kBound = 9223372036854775808.0;
  return (v >= -kBound) & (v < kBound);
}

template <ScalarType To, ScalarType From>
SINTER_MATH_INLINE Element<To> convert_one(Element<From> v) {
  if constexpr (To == ScalarType::Bool && From != ScalarType::Bool) return v != 0;
  else if constexpr (kMayNotFit<To, From>) return fits<From>(v) ? static_cast<int64_t>(v) : INT64_MIN;
  else return static_cast<Element<To>>(v);
}

template <ScalarType To, ScalarType From>
SINTER_MATH_INLINE void convert_vectors(Element<To>*& dst, const Element<From>*& src, int64_t& n) {
  typedef Element<From> In __attribute__((vector_size(kStep<To, From> * sizeof(Element<From>))));
  typedef Element<To> Out __attribute__((vector_size(kStep<To, From> * sizeof(Element<To>))));
  for (; n >= kStep<To, From>; n -= kStep<To, From>) {
    In in;
    Out out;
    __builtin_memcpy(&in, src, sizeof in);
    if constexpr (To == From) out = in;
    else if constexpr (To == ScalarType::Bool) out = __builtin_convertvector(in != 0, Out) & 1;
    else if constexpr (kMayNotFit<To, From>) {
      const auto fit = fits<From>(in);
      out = __builtin_convertvector(fit ? in : In{}, Out);
      out = __builtin_convertvector(fit, Out) ? out : Out{} + INT64_MIN;
    } else out = __builtin_convertvector(in, Out);
    __builtin_memcpy(dst, &out, sizeof out);
    src += kStep<To, From>;
    dst += kStep<To, From>;
  }
}

template <ScalarType To>
SINTER_MATH_INLINE void fill_vectors(Element<To>*& dst, Element<To> value, int64_t& n) {
  const Vec<To> copies = Native::splat<To>(value);
  for (; n >= kLanesOf<To>; n -= kLanesOf<To>, dst += kLanesOf<To>) store<To>(dst, copies);
}

template <ScalarType To, ScalarType From>
void convert(void* to, int64_t dst_stride, const void* from, int64_t src_stride, int64_t n) {
  auto* dst = static_cast<Element<To>*>(to);
  auto* src = static_cast<const Element<From>*>(from);
  if (dst_stride == 1 && src_stride == 1) convert_vectors<To, From>(dst, src, n);
  if (dst_stride == 1 && src_stride == 0) fill_vectors<To>(dst, convert_one<To, From>(*src), n);
  for (; n > 0; --n, dst += dst_stride, src += src_stride) *dst = convert_one<To, From>(*src);
}

template <ScalarType To>
ConvertFn find_from(ScalarType from) {
  switch (from) {
    case ScalarType::Bool:
      return &convert<To, ScalarType::Bool>;
    case ScalarType::Long:
      return &convert<To, ScalarType::Long>;
    case ScalarType::Float:
      return &convert<To, ScalarType::Float>;
    case ScalarType::Double:
      return &convert<To, ScalarType::Double>;
    default:
      return nullptr;
  }
}

}  // namespace

ConvertFn find_convert(ScalarType dst, ScalarType src) {
  switch (dst) {
    case ScalarType::Bool:
      return find_from<ScalarType::Bool>(src);
    case ScalarType::Long:
      return find_from<ScalarType::Long>(src);
    case ScalarType::Float:
      return find_from<ScalarType::Float>(src);
    case ScalarType::Double:
      return find_from<ScalarType::Double>(src);
    default:
      return nullptr;
  }
}

}  // namespace sinter::SINTER_LEVEL
