// The 16 virtual lanes of reduce_order.h over this level's vectors.
// Included only by files of this folder: everything lives in the level's namespace, so that no inline code is shared.
#pragma once
#include <cstdint>
#include <utility>
#include "../reduce_order.h"

namespace sinter::SINTER_LEVEL::lanes {

#if defined(SINTER_LEVEL_v4)
inline constexpr int kVecBytes = 64;
#elif defined(SINTER_LEVEL_v3)
inline constexpr int kVecBytes = 32;
#else
inline constexpr int kVecBytes = 16;
#endif

template <class T> struct VecOf {
  typedef T type __attribute__((vector_size(kVecBytes)));
};
template <class T> using Vec = typename VecOf<T>::type;
template <class T> inline constexpr int kWidth = kVecBytes / static_cast<int>(sizeof(T));
/// Native vectors that make up the 16 lanes.
template <class T> inline constexpr int kLaneVecs = kReduceLanes / kWidth<T>;

template <class T> [[gnu::always_inline]] inline Vec<T> load_vec(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class T> [[gnu::always_inline]] inline void store_vec(T* p, Vec<T> v) { __builtin_memcpy(p, &v, sizeof v); }
template <class T> [[gnu::always_inline]] inline Vec<T> splat(T x) { return x - Vec<T>{}; }  // x - 0 keeps -0

template <class T> inline constexpr T kLowest = static_cast<T>(-__builtin_inf());
template <> inline constexpr int64_t kLowest<int64_t> = INT64_MIN;
template <class T> inline constexpr T kHighest = static_cast<T>(__builtin_inf());
template <> inline constexpr int64_t kHighest<int64_t> = INT64_MAX;

// Combine steps, for vectors and for single values alike.
template <class T> struct SumStep {
  static constexpr bool kTwoLevels = true;
  static constexpr T kStart = 0;
  template <class V> [[gnu::always_inline]] static V combine(V a, V b) { return a + b; }
};
/// int64 sums wrap: done in unsigned arithmetic.
template <> struct SumStep<int64_t> {
  static constexpr bool kTwoLevels = false;
  static constexpr int64_t kStart = 0;
  [[gnu::always_inline]] static Vec<int64_t> combine(Vec<int64_t> a, Vec<int64_t> b) {
    return (Vec<int64_t>)((Vec<uint64_t>)a + (Vec<uint64_t>)b);
  }
  [[gnu::always_inline]] static int64_t combine(int64_t a, int64_t b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
};
template <class T> struct MaxStep {
  static constexpr bool kTwoLevels = false;
  static constexpr T kStart = kLowest<T>;
  template <class V> [[gnu::always_inline]] static V combine(V a, V b) {
    const V t = b <= a ? a : b;  // b when it is greater or NaN
    return a == a ? t : a;
  }
};
template <class T> struct MinStep {
  static constexpr bool kTwoLevels = false;
  static constexpr T kStart = kHighest<T>;
  template <class V> [[gnu::always_inline]] static V combine(V a, V b) {
    const V t = b >= a ? a : b;
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

/// Accumulators of one row.
template <class T, class Step> struct Lanes {
  Vec<T> acc[kLaneVecs<T>];
  [[gnu::always_inline]] void reset() {
#pragma GCC unroll 8
    for (auto& a : acc) a = splat<T>(Step::kStart);
  }
  [[gnu::always_inline]] void fold(const Lanes& o) {
#pragma GCC unroll 8
    for (int j = 0; j < kLaneVecs<T>; ++j) acc[j] = Step::combine(acc[j], o.acc[j]);
  }
  /// Lanes 0..count take one more element each.
  void tail(const T* values, int count) {
    T lanes[kReduceLanes];
    __builtin_memcpy(lanes, acc, sizeof lanes);
    for (int l = 0; l < count; ++l) lanes[l] = Step::combine(lanes[l], values[l]);
    __builtin_memcpy(acc, lanes, sizeof lanes);
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

/// Reduces n elements in row order. `vec(i)` gives elements i..i+width as a vector; `tail(i, count, values)` writes the
/// last `count` < 16 elements, which begin at i, to `values`.
template <class T, class Step, class VecFn, class TailFn>
[[gnu::always_inline]] inline T reduce_lanes(int64_t n, VecFn vec, TailFn tail) {
  constexpr int kW = kWidth<T>;
  if (n == 1) {  // no reduced dimension: the element itself
    T value[kReduceLanes];
    tail(0, 1, value);
    return value[0];
  }
  const int64_t groups = n / kReduceLanes, rest = n % kReduceLanes;
  const int64_t block = Step::kTwoLevels ? reduce_block_steps_of((n + kReduceLanes - 1) / kReduceLanes) : INT64_MAX / kReduceLanes;
  Lanes<T, Step> acc0, acc1;
  acc0.reset();
  acc1.reset();
  const bool two = Step::kTwoLevels && n > kReduceLanes * block;
  int64_t i = 0;
  for (int64_t g = 0; g < groups;) {
    const int64_t end = groups - g > block ? g + block : groups;
    for (; g < end; ++g, i += kReduceLanes) {
#pragma GCC unroll 8
      for (int j = 0; j < kLaneVecs<T>; ++j) acc0.acc[j] = Step::combine(acc0.acc[j], vec(i + j * kW));
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
    T values[kReduceLanes];
    tail(i, static_cast<int>(rest), values);
    acc0.tail(values, static_cast<int>(rest));
  }
  if (two) {
    acc1.fold(acc0);
    return acc1.tree();
  }
  return acc0.tree();
}

/// out[i] = f(a[i], b[i], ...) with f on vectors; the last, partial vector is padded with zeros.
template <class T, class F, class... Ptr>
[[gnu::always_inline]] inline void map_lanes(int64_t n, T* out, F f, const Ptr*... in) {
  constexpr int kW = kWidth<T>;
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store_vec(out + i, f(load_vec(in + i)...));
  if (i == n) return;
  const auto bytes = static_cast<uint64_t>(n - i) * sizeof(T);
  const auto part = [&](const T* p) __attribute__((always_inline)) {
    Vec<T> v{};
    __builtin_memcpy(&v, p, bytes);
    return v;
  };
  const Vec<T> last = f(part(in + i)...);
  __builtin_memcpy(out + i, &last, bytes);
}

}  // namespace sinter::SINTER_LEVEL::lanes
