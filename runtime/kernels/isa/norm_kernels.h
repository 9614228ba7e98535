// Layer normalisation kernels of one element type at one ISA level, as called by norm.cpp. Formulas: norm.h.
#pragma once
#include <cstdint>

namespace sinter {

/// x: m rows of n elements, everything dense; weight and bias may be null.
template <class T>
struct NormKernels {
  void (*forward)(const T* x, const T* weight, const T* bias, T eps, T* out, int64_t m, int64_t n);
  void (*backward_input)(const T* grad, const T* x, const T* weight, T eps, T* out, int64_t m, int64_t n);
  /// temp: room for max(m, n) elements.
  void (*backward_weight)(const T* grad, const T* x, T eps, T* out, int64_t m, int64_t n, T* temp);
};

#define SINTER_NORM_LEVEL(level)                \
  namespace level {                             \
  extern const NormKernels<float> kNormFloat;   \
  extern const NormKernels<double> kNormDouble; \
  }
SINTER_NORM_LEVEL(v2)
SINTER_NORM_LEVEL(v3)
SINTER_NORM_LEVEL(v4)
#undef SINTER_NORM_LEVEL

}  // namespace sinter
