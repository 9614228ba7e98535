// The 16 virtual lanes of reduce_order.h over this level's vectors.
// Included only by files of this folder: everything lives in the level's namespace, so that no inline code is shared.
#pragma once
// GCC 12 takes the undefined operand inside AVX-512 intrinsics for a variable of ours (bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#include <cstdint>
#include <utility>
#include "../../mutants.h"
#include "../reduce_order.h"

namespace sinter::SINTER_LEVEL::lanes {

#if defined(SINTER_LEVEL_v4)
inline constexpr int kVecBytes = 64;
#elif defined(SINTER_LEVEL_v3)
inline constexpr int kVecBytes = 32;
#else
inline constexpr int kVecBytes = 16;
#endif

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVecBytes)));
};
template <class T>
using Vec = typename VecOf<T>::type;
template <class T>
inline constexpr int kWidth = kVecBytes / static_cast<int>(sizeof(T));
/// Native vectors that make up the 16 lanes.
template <class T>
inline constexpr int kLaneVecs = kReduceLanes / kWidth<T>;

template <class T>
[[gnu::always_inline]] inline Vec<T> load_vec(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
/// One element at any address: operands may be foreign memory.
template <class T>
[[gnu::always_inline]] inline T load_one(const T* p) {
  T v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
[[gnu::always_inline]] inline void store_vec(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}
template <class T>
[[gnu::always_inline]] inline Vec<T> splat(T x) {
  return x - Vec<T>{};
}  // x - 0 keeps -0

template <class T>
inline constexpr T kLowest = static_cast<T>(-__builtin_inf());
template <>
inline constexpr int64_t kLowest<int64_t> = INT64_MIN;
template <class T>
inline constexpr T kHighest = static_cast<T>(__builtin_inf());
template <>
inline constexpr int64_t kHighest<int64_t> = INT64_MAX;

// Combine steps, for vectors and for single values alike.
template <class T>
struct SumStep {
  static constexpr bool kTwoLevels = true;
  static constexpr T kStart = 0;
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    return a + b;
  }
};
/// int64 sums wrap: done in unsigned arithmetic.
template <>
struct SumStep<int64_t> {
  static constexpr bool kTwoLevels = false;
  static constexpr int64_t kStart = 0;
  [[gnu::always_inline]] static Vec<int64_t> combine(Vec<int64_t> a, Vec<int64_t> b) {
    return (Vec<int64_t>)((Vec<uint64_t>)a + (Vec<uint64_t>)b);
  }
  [[gnu::always_inline]] static int64_t combine(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
// The greater or smaller of both, `a` when they are equal or one is NaN: the instruction that emitted code has. A comparison
// would keep a subnormal that the CPU is told to take for zero.
template <class V>
[[gnu::always_inline]] inline V greater_of(V b, V a) {
  return b > a ? b : a;
}
template <class V>
[[gnu::always_inline]] inline V smaller_of(V b, V a) {
  return b < a ? b : a;
}
#if defined(SINTER_LEVEL_v4)
#define SINTER_EXTREME(op, type) _mm512_##op##_##type
#elif defined(SINTER_LEVEL_v3)
#define SINTER_EXTREME(op, type) _mm256_##op##_##type
#else
#define SINTER_EXTREME(op, type) _mm_##op##_##type
#endif
template <>
[[gnu::always_inline]] inline Vec<float> greater_of(Vec<float> b, Vec<float> a) {
  return (Vec<float>)SINTER_EXTREME(max, ps)(b, a);
}
template <>
[[gnu::always_inline]] inline Vec<double> greater_of(Vec<double> b, Vec<double> a) {
  return (Vec<double>)SINTER_EXTREME(max, pd)(b, a);
}
template <>
[[gnu::always_inline]] inline Vec<float> smaller_of(Vec<float> b, Vec<float> a) {
  return (Vec<float>)SINTER_EXTREME(min, ps)(b, a);
}
template <>
[[gnu::always_inline]] inline Vec<double> smaller_of(Vec<double> b, Vec<double> a) {
  return (Vec<double>)SINTER_EXTREME(min, pd)(b, a);
}
#undef SINTER_EXTREME
template <>
[[gnu::always_inline]] inline float greater_of(float b, float a) {
  return _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(b), _mm_set_ss(a)));
}
template <>
[[gnu::always_inline]] inline double greater_of(double b, double a) {
  return _mm_cvtsd_f64(_mm_max_sd(_mm_set_sd(b), _mm_set_sd(a)));
}
template <>
[[gnu::always_inline]] inline float smaller_of(float b, float a) {
  return _mm_cvtss_f32(_mm_min_ss(_mm_set_ss(b), _mm_set_ss(a)));
}
template <>
[[gnu::always_inline]] inline double smaller_of(double b, double a) {
  return _mm_cvtsd_f64(_mm_min_sd(_mm_set_sd(b), _mm_set_sd(a)));
}

template <class T>
struct MaxStep {
  static constexpr bool kTwoLevels = false;
  static constexpr T kStart = kLowest<T>;
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    const V t = b == b ? greater_of(b, a) : b;  // b when it is greater or NaN
    return a == a ? t : a;
  }
};
template <class T>
struct MinStep {
  static constexpr bool kTwoLevels = false;
  static constexpr T kStart = kHighest<T>;
  template <class V>
  [[gnu::always_inline]] static V combine(V a, V b) {
    const V t = b == b ? smaller_of(b, a) : b;
    return a == a ? t : a;
  }
};

/// Lane l of the result is lane l + S of v (the last S lanes are of no interest).
template <int S, class V, int... I>
[[gnu::always_inline]] inline V shift_lanes(V v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, ((I + S) % static_cast<int>(sizeof...(I)))...);
}
/// The tree inside one vector: lane l takes lane l + s for s = width / 2 .. 1.
template <class T, class Step, int S = kWidth<T> / 2>
[[gnu::always_inline]] inline T fold_vec(Vec<T> v) {
  if constexpr (S == 0) {
    return v[0];
  } else {
    const Vec<T> moved = shift_lanes<S>(v, std::make_integer_sequence<int, kWidth<T>>{});
    return fold_vec<T, Step, S / 2>(Step::combine(v, moved));
  }
}

// The first `count` < width elements; loads give 0 in the other lanes and touch no byte beyond.
#if defined(SINTER_LEVEL_v4)
template <class T>
[[gnu::always_inline]] inline Vec<T> load_part(const T* p, int count) {
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
  else return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), p);
}
template <class T>
[[gnu::always_inline]] inline void store_part(T* p, Vec<T> v, int count) {
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), (Vec<float>)v);
  else _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << count) - 1), (Vec<double>)v);
}
#elif defined(SINTER_LEVEL_v3)
inline constexpr int32_t kPartMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
template <class T>
[[gnu::always_inline]] inline __m256i part_mask(int count) {
  const int words = count * static_cast<int>(sizeof(T) / 4);
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kPartMask + 8 - words));
}
template <class T>
[[gnu::always_inline]] inline Vec<T> load_part(const T* p, int count) {
  return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), part_mask<T>(count));
}
template <class T>
[[gnu::always_inline]] inline void store_part(T* p, Vec<T> v, int count) {
  _mm256_maskstore_ps(reinterpret_cast<float*>(p), part_mask<T>(count), (Vec<float>)v);
}
#else
template <class T>
[[gnu::always_inline]] inline Vec<T> load_part(const T* p, int count) {
  Vec<T> v{};
  for (int i = 0; i < count; ++i) v[i] = load_one(p + i);
  return v;
}
template <class T>
[[gnu::always_inline]] inline void store_part(T* p, Vec<T> v, int count) {
  for (int i = 0; i < count; ++i) {
    const T x = v[i];
    __builtin_memcpy(p + i, &x, sizeof x);
  }
}
#endif

/// Whether any lane of a comparison's result is set.
template <class M>
[[gnu::always_inline]] inline bool any_lane(M mask) {
#if defined(SINTER_LEVEL_v4)
  return _mm512_test_epi64_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(SINTER_LEVEL_v3)
  return _mm256_movemask_epi8((__m256i)mask) != 0;
#else
  return _mm_movemask_epi8((__m128i)mask) != 0;
#endif
}

/// Lanes l < count as a mask.
template <class T, int... I>
[[gnu::always_inline]] inline auto first_lanes(int count, std::integer_sequence<int, I...>) {
  using Index = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  return Vec<Index>{I...} < splat<Index>(count);
}

/// Accumulators of one row.
template <class T, class Step>
struct Lanes {
  Vec<T> acc[kLaneVecs<T>];
  [[gnu::always_inline]] void reset() {
#pragma GCC unroll 8
    for (auto& a : acc) a = splat<T>(Step::kStart);
  }
  [[gnu::always_inline]] void fold(const Lanes& o) {
#pragma GCC unroll 8
    for (int j = 0; j < kLaneVecs<T>; ++j) acc[j] = Step::combine(acc[j], o.acc[j]);
  }
  /// One more element for each of lanes 0..count; the others stay as they are. values(offset, n): n <= width elements.
  template <class Values>
  [[gnu::always_inline]] void tail(int count, Values values) {
    constexpr int kW = kWidth<T>;
#pragma GCC unroll 8
    for (int j = 0; j < kLaneVecs<T>; ++j) {
      const int n = count - j * kW;
      if (n <= 0) break;
      const Vec<T> next = Step::combine(acc[j], values(j * kW, n < kW ? n : kW));
      acc[j] =
          first_lanes<T>(SINTER_MUTANT(eager_reduction_tail) ? kW : n, std::make_integer_sequence<int, kW>{}) ? next : acc[j];
    }
  }
  /// The tree: lane l takes lane l + s for s = 8, 4, 2, 1.
  [[gnu::always_inline]] T tree() const {
    Vec<T> a[kLaneVecs<T>];
#pragma GCC unroll 8
    for (int j = 0; j < kLaneVecs<T>; ++j) a[j] = acc[j];
#pragma GCC unroll 4
    for (int h = kLaneVecs<T> / 2; h > 0; h /= 2) {
#pragma GCC unroll 4
      for (int j = 0; j < h; ++j) a[j] = Step::combine(a[j], a[j + h]);
    }
    return fold_vec<T, Step>(a[0]);
  }
};

/// Reduces f(in[i]...) for i < n in row order; f takes and gives vectors. `keep` non-null: the values are stored there.
template <class T, class Step, class F, class... Ptr>
[[gnu::always_inline]] inline T reduce_lanes(int64_t n, T* keep, F f, const Ptr*... in) {
  constexpr int kW = kWidth<T>;
  const auto full = [&](int64_t i) __attribute__((always_inline)) {
    const Vec<T> v = f(load_vec(in + i)...);
    if (keep) store_vec(keep + i, v);
    return v;
  };
  const auto part = [&](int64_t i, int count) __attribute__((always_inline)) {
    if (count == kW) return full(i);
    const Vec<T> v = f(load_part(in + i, count)...);
    if (keep) store_part(keep + i, v, count);
    return v;
  };
  if (n == 1) return part(0, 1)[0];  // no reduced dimension: the element itself
  const int64_t groups = n / kReduceLanes, rest = n % kReduceLanes;
  const int64_t block =
      Step::kTwoLevels ? reduce_block_steps_of((n + kReduceLanes - 1) / kReduceLanes) : INT64_MAX / kReduceLanes;
  Lanes<T, Step> acc0, acc1;
  acc0.reset();
  acc1.reset();
  const bool two = Step::kTwoLevels && n > kReduceLanes * block && !SINTER_MUTANT(eager_sums_in_one_level);
  int64_t i = 0;
  for (int64_t g = 0; g < groups;) {
    const int64_t end = groups - g > block ? g + block : groups;
    for (; g < end; ++g, i += kReduceLanes) {
#pragma GCC unroll 8
      for (int j = 0; j < kLaneVecs<T>; ++j) acc0.acc[j] = Step::combine(acc0.acc[j], full(i + j * kW));
    }
    if (two && g < groups) {
      acc1.fold(acc0);
      acc0.reset();
    }
  }
  if (rest) {
    // The loop leaves its last block unfolded; a further visit after a full block must find acc0 empty.
    if (two && groups % block == 0) {
      acc1.fold(acc0);
      acc0.reset();
    }
    acc0.tail(
        static_cast<int>(rest), [&](int j, int count) __attribute__((always_inline)) { return part(i + j, count); });
  }
  if (two) {
    acc1.fold(acc0);
    return acc1.tree();
  }
  return acc0.tree();
}

/// out[i] = f(in[i]...) for i < n; f takes and gives vectors.
template <class T, class F, class... Ptr>
[[gnu::always_inline]] inline void map_lanes(int64_t n, T* out, F f, const Ptr*... in) {
  constexpr int kW = kWidth<T>;
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store_vec(out + i, f(load_vec(in + i)...));
  if (i == n) return;
  const int count = static_cast<int>(n - i);
  store_part(out + i, f(load_part(in + i, count)...), count);
}

}  // namespace sinter::SINTER_LEVEL::lanes
