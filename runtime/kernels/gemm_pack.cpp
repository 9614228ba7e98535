#include "gemm_pack.h"
#include <emmintrin.h>
#include <cstring>
#include "../mutants.h"

namespace sinter {

namespace {

/// Blocks of 16 bytes in both directions, transposed in registers.
int64_t transpose_block(const char* from, int64_t v_stride, int64_t k, uint32_t* to, int64_t width) {
  const auto row = [&](int64_t v) { return reinterpret_cast<const float*>(from + v * v_stride); };
  auto* out = reinterpret_cast<float*>(to);
  int64_t q = 0;
  for (; q + 4 <= k; q += 4) {
    __m128 r0 = _mm_loadu_ps(row(0) + q), r1 = _mm_loadu_ps(row(1) + q), r2 = _mm_loadu_ps(row(2) + q),
           r3 = _mm_loadu_ps(row(3) + q);
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(out + q * width, r0);
    _mm_storeu_ps(out + (q + 1) * width, r1);
    _mm_storeu_ps(out + (q + 2) * width, r2);
    _mm_storeu_ps(out + (q + 3) * width, r3);
  }
  return q;
}

int64_t transpose_block(const char* from, int64_t v_stride, int64_t k, uint64_t* to, int64_t width) {
  const auto row = [&](int64_t v) { return reinterpret_cast<const double*>(from + v * v_stride); };
  auto* out = reinterpret_cast<double*>(to);
  int64_t q = 0;
  for (; q + 2 <= k; q += 2) {
    const __m128d r0 = _mm_loadu_pd(row(0) + q), r1 = _mm_loadu_pd(row(1) + q);
    _mm_storeu_pd(out + q * width, _mm_unpacklo_pd(r0, r1));
    _mm_storeu_pd(out + (q + 1) * width, _mm_unpackhi_pd(r0, r1));
  }
  return q;
}

/// A loop of fixed length is what makes the copy of a row a few instructions.
template <size_t kBytes>
void copy_rows_of(const PackSource& from, int64_t k, int64_t step, char* to) {
  for (int64_t q = 0; q < k; ++q) std::memcpy(to + q * step, from.data + q * from.k_stride, kBytes);
}

void copy_rows(const PackSource& from, int64_t k, size_t bytes, int64_t step, char* to) {
  if (bytes == 32) return copy_rows_of<32>(from, k, step, to);
  if (bytes == 64) return copy_rows_of<64>(from, k, step, to);
  if (bytes == 128) return copy_rows_of<128>(from, k, step, to);
  for (int64_t q = 0; q < k; ++q) std::memcpy(to + q * step, from.data + q * from.k_stride, bytes);
}

template <class U>
void pack_typed(const PackSource& from, int64_t k, int64_t columns, int64_t width, U* to) {
  constexpr int64_t kBlock = 16 / sizeof(U);
  const auto at = [&](int64_t q, int64_t v) {
    U x;
    std::memcpy(&x, from.data + q * from.k_stride + v * from.v_stride, sizeof(U));
    return x;
  };
  if (from.v_stride == sizeof(U)) {
    copy_rows(from, k, static_cast<size_t>(columns) * sizeof(U), width * static_cast<int64_t>(sizeof(U)),
              reinterpret_cast<char*>(to));
  } else {
    int64_t v = 0;
    if (from.k_stride == sizeof(U))
      for (; v + kBlock <= columns; v += kBlock)
        for (int64_t q = transpose_block(from.data + v * from.v_stride, from.v_stride, k, to + v, width); q < k; ++q)
          for (int64_t i = 0; i < kBlock; ++i) to[q * width + v + i] = at(q, v + i);
    for (; v < columns; ++v)
      for (int64_t q = 0; q < k; ++q) to[q * width + v] = at(q, v);
  }
  if (columns < width && !SINTER_MUTANT(gemm_packed_rest_left))
    for (int64_t q = 0; q < k; ++q) std::memset(to + q * width + columns, 0, static_cast<size_t>(width - columns) * sizeof(U));
}

}  // namespace

void pack_panel(const PackSource& from, int64_t k, int64_t columns, int64_t width, void* to) {
  if (from.element == 4) pack_typed(from, k, columns, width, static_cast<uint32_t*>(to));
  else pack_typed(from, k, columns, width, static_cast<uint64_t*>(to));
}

}  // namespace sinter
