// Sums, maxima and minima of contiguous rows and columns, in the order of reduce_order.h.
#include "lanes.h"
#include "reduce_kernels.h"

namespace sinter::SINTER_LEVEL::lanes {
namespace {

/// Rows taken together, so that the add latency of one chain is hidden where registers allow.
template <class T>
constexpr int kRowsAtOnce = kLaneVecs<T> == 1   ? 4
                            : kLaneVecs<T> == 2 ? 2
                                                : 1;

/// Rows of at most 16 * 64 elements need one level only: several side by side.
template <class T, class Step>
void short_rows(const T* in, int64_t n, int64_t stride, T* out) {
  constexpr int kRows = kRowsAtOnce<T>, kW = kWidth<T>;
  Lanes<T, Step> acc[kRows];
#pragma GCC unroll 4
  for (auto& a : acc) a.reset();
  int64_t i = 0;
  for (; i + kReduceLanes <= n; i += kReduceLanes) {
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < kLaneVecs<T>; ++j) acc[r].acc[j] = Step::combine(acc[r].acc[j], load_vec(in + r * stride + i + j * kW));
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
    const T* last = in + r * stride + i;
    if (i < n)
      acc[r].tail(
          static_cast<int>(n - i), [&](int j, int count) __attribute__((always_inline)) {
            return count == kW ? load_vec(last + j) : load_part(last + j, count);
          });
    out[r] = acc[r].tree();
  }
}

/// A row of more than one block. Blocks do not depend on each other until they are folded: several side by side.
template <class T>
T long_row_sum(const T* in, int64_t n, int64_t block) {
  using Step = SumStep<T>;
  constexpr int kBlocks = kRowsAtOnce<T>, kW = kWidth<T>;
  const int64_t span = block * kReduceLanes;
  Lanes<T, Step> total, acc[kBlocks];
  total.reset();
  for (; n >= kBlocks * span; n -= kBlocks * span, in += kBlocks * span) {
#pragma GCC unroll 4
    for (auto& a : acc) a.reset();
    for (int64_t i = 0; i < span; i += kReduceLanes) {
#pragma GCC unroll 4
      for (int r = 0; r < kBlocks; ++r) {
#pragma GCC unroll 8
        for (int j = 0; j < kLaneVecs<T>; ++j) acc[r].acc[j] += load_vec(in + r * span + i + j * kW);
      }
    }
#pragma GCC unroll 4
    for (auto& a : acc) total.fold(a);
  }
  while (n > 0) {
    const int64_t count = n < span ? n : span, whole = count / kReduceLanes * kReduceLanes;
    acc[0].reset();
    for (int64_t i = 0; i < whole; i += kReduceLanes) {
#pragma GCC unroll 8
      for (int j = 0; j < kLaneVecs<T>; ++j) acc[0].acc[j] += load_vec(in + i + j * kW);
    }
    const auto part = [&](int j, int have) __attribute__((always_inline)) {
      return have == kW ? load_vec(in + whole + j) : load_part(in + whole + j, have);
    };
    if (whole < count) acc[0].tail(static_cast<int>(count - whole), part);
    total.fold(acc[0]);
    n -= count;
    in += count;
  }
  return total.tree();
}

template <class T, class Step>
void rows_of(const T* in, int64_t rows, int64_t n, int64_t stride, T* out) {
  int64_t r = 0;
  if (n <= kReduceLanes * 64 || !Step::kTwoLevels) {
    for (; r + kRowsAtOnce<T> <= rows; r += kRowsAtOnce<T>) short_rows<T, Step>(in + r * stride, n, stride, out + r);
  }
  if constexpr (Step::kTwoLevels) {
    const int64_t block = reduce_block_steps_of((n + kReduceLanes - 1) / kReduceLanes);
    if (n > block * kReduceLanes)
      for (; r < rows; ++r) out[r] = long_row_sum(in + r * stride, n, block);
  }
  for (; r < rows; ++r) {
    const auto same = [](Vec<T> v) __attribute__((always_inline)) { return v; };
    out[r] = reduce_lanes<T, Step>(n, static_cast<T*>(nullptr), same, in + r * stride);
  }
}

template <class T>
void square_rows(const T* in, int64_t rows, int64_t n, int64_t stride, const T* center, T* out) {
  for (int64_t r = 0; r < rows; ++r) {
    const Vec<T> c = splat<T>(center[r]);
    const auto square = [&](Vec<T> v) __attribute__((always_inline)) { return (v - c) * (v - c); };
    out[r] = reduce_lanes<T, SumStep<T>>(n, static_cast<T*>(nullptr), square, in + r * stride);
  }
}

struct NoCenter {
  template <class V>
  [[gnu::always_inline]] V operator()(V x, V) const {
    return x;
  }
};
struct FromCenter {
  template <class V>
  [[gnu::always_inline]] V operator()(V x, V c) const {
    const V d = x - c;
    return d * d;
  }
};

/// acc[c] takes rows 0..n of column c in turn.
template <class T, class Step, class Map>
void add_rows(const T* in, int64_t n, int64_t width, int64_t stride, const T* center, T* acc, Map map) {
  constexpr int kW = kWidth<T>;
  int64_t r = 0;
  for (; r + 4 <= n; r += 4) {
    const T* p = in + r * stride;
    int64_t c = 0;
    for (; c + kW <= width; c += kW) {
      const Vec<T> m = load_vec(center + c);
      Vec<T> a = load_vec(acc + c);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) a = Step::combine(a, map(load_vec(p + j * stride + c), m));
      store_vec(acc + c, a);
    }
    for (; c < width; ++c) {
      T a = acc[c];
      for (int j = 0; j < 4; ++j) a = Step::combine(a, map(p[j * stride + c], center[c]));
      acc[c] = a;
    }
  }
  for (; r < n; ++r) {
    const T* p = in + r * stride;
    int64_t c = 0;
    for (; c + kW <= width; c += kW)
      store_vec(acc + c, Step::combine(load_vec(acc + c), map(load_vec(p + c), load_vec(center + c))));
    for (; c < width; ++c) acc[c] = Step::combine(acc[c], map(p[c], center[c]));
  }
}

template <class T, class Step, class Map>
void columns_of(const T* in, int64_t n, int64_t inner, int64_t stride, const T* center, T* out, Map map) {
  constexpr int64_t kTile = 16384 / sizeof(T);
  const int64_t block = Step::kTwoLevels ? reduce_block_steps_of(n) : n;
  T part[kTile];
  for (int64_t c = 0; c < inner; c += kTile) {
    const int64_t width = inner - c < kTile ? inner - c : kTile;
    const T* mid = center ? center + c : in + c;  // without center any readable row will do
    T* total = out + c;
    for (int64_t j = 0; j < width; ++j) total[j] = Step::kStart;
    if (n <= block) {
      add_rows<T, Step>(in + c, n, width, stride, mid, total, map);
      continue;
    }
    for (int64_t r = 0; r < n; r += block) {
      const int64_t rows = n - r < block ? n - r : block;
      for (int64_t j = 0; j < width; ++j) part[j] = Step::kStart;
      add_rows<T, Step>(in + c + r * stride, rows, width, stride, mid, part, map);
      for (int64_t j = 0; j < width; ++j) total[j] = Step::combine(total[j], part[j]);
    }
  }
}

template <class T, class Step>
void plain_columns(const T* in, int64_t n, int64_t inner, int64_t stride, T* out) {
  columns_of<T, Step>(in, n, inner, stride, nullptr, out, NoCenter{});
}
template <class T>
void square_columns(const T* in, int64_t n, int64_t inner, int64_t stride, const T* center, T* out) {
  columns_of<T, SumStep<T>>(in, n, inner, stride, center, out, FromCenter{});
}

template <class T, class Test>
[[gnu::always_inline]] inline int64_t find_if(const T* in, int64_t n, Test test) {
  constexpr int kW = kWidth<T>;
  int64_t i = 0;
  for (; i + 4 * kW <= n; i += 4 * kW) {
    const T* p = in + i;
    if (any_lane(test(load_vec(p)) | test(load_vec(p + kW)) | test(load_vec(p + 2 * kW)) | test(load_vec(p + 3 * kW)))) break;
  }
  while (i + 1 < n && !test(in[i])) ++i;
  return i;
}
template <class T>
int64_t find(const T* in, int64_t n, T value) {
  if (value != value)
    return find_if(
        in, n, [](auto v) __attribute__((always_inline)) { return v != v; });
  const Vec<T> all = splat<T>(value);
  struct Equal {
    Vec<T> vec;
    T one;
    [[gnu::always_inline]] auto operator()(Vec<T> v) const { return v == vec; }
    [[gnu::always_inline]] bool operator()(T v) const { return v == one; }
  };
  return find_if(in, n, Equal{all, value});
}

template <class T>
constexpr ReduceKernels<T> table() {
  ReduceKernels<T> t{rows_of<T, SumStep<T>>,
                     rows_of<T, MaxStep<T>>,
                     rows_of<T, MinStep<T>>,
                     plain_columns<T, SumStep<T>>,
                     plain_columns<T, MaxStep<T>>,
                     plain_columns<T, MinStep<T>>,
                     find<T>,
                     nullptr,
                     nullptr};
  if constexpr (sizeof(T) == 4 || T(0.5) != T(0)) {
    t.square_rows = square_rows<T>;
    t.square_columns = square_columns<T>;
  }
  return t;
}

}  // namespace
}  // namespace sinter::SINTER_LEVEL::lanes

namespace sinter::SINTER_LEVEL {

extern constexpr ReduceKernels<float> kReduceFloat = lanes::table<float>();
extern constexpr ReduceKernels<double> kReduceDouble = lanes::table<double>();
extern constexpr ReduceKernels<int64_t> kReduceLong = lanes::table<int64_t>();

}  // namespace sinter::SINTER_LEVEL
