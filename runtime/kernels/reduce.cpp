#include "reduce.h"
#include <algorithm>
#include <cstring>
#include "../cpu.h"
#include "../mutants.h"
#include "../threads.h"
#include "isa/reduce_kernels.h"
#include "pointwise.h"
#include "scratch.h"

namespace sinter {

namespace {

// Bytes 0 and 1: the order does not matter, so memchr and plain loops do.
void any_rows(const uint8_t* in, int64_t rows, int64_t n, int64_t stride, uint8_t* out) {
  for (int64_t r = 0; r < rows; ++r) out[r] = std::memchr(in + r * stride, 1, static_cast<size_t>(n)) != nullptr;
}
void all_rows(const uint8_t* in, int64_t rows, int64_t n, int64_t stride, uint8_t* out) {
  for (int64_t r = 0; r < rows; ++r) out[r] = std::memchr(in + r * stride, 0, static_cast<size_t>(n)) == nullptr;
}
void any_columns(const uint8_t* in, int64_t n, int64_t inner, int64_t stride, uint8_t* out) {
  std::memset(out, 0, static_cast<size_t>(inner));
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < inner; ++c) out[c] |= in[r * stride + c];
}
void all_columns(const uint8_t* in, int64_t n, int64_t inner, int64_t stride, uint8_t* out) {
  std::memset(out, 1, static_cast<size_t>(inner));
  for (int64_t r = 0; r < n; ++r)
    for (int64_t c = 0; c < inner; ++c) out[c] &= in[r * stride + c];
}
int64_t find_byte(const uint8_t* in, int64_t n, uint8_t value) {
  return static_cast<const uint8_t*>(std::memchr(in, value, static_cast<size_t>(n))) - in;
}
constexpr ReduceKernels<uint8_t> kReduceBytes = {nullptr,     any_rows,  all_rows, nullptr, any_columns,
                                                 all_columns, find_byte, nullptr,  nullptr};

template <class T>
constexpr ScalarType kTypeOf = CppType<T>::value;
template <>
constexpr ScalarType kTypeOf<uint8_t> = ScalarType::Bool;

}  // namespace

#define SINTER_BY_LEVEL(table) isa() == Isa::Avx512 ? v4::table : isa() == Isa::Avx2 ? v3::table : v2::table
template <>
const ReduceKernels<float>& reduce_kernels<float>() {
  return SINTER_BY_LEVEL(kReduceFloat);
}
template <>
const ReduceKernels<double>& reduce_kernels<double>() {
  return SINTER_BY_LEVEL(kReduceDouble);
}
template <>
const ReduceKernels<int64_t>& reduce_kernels<int64_t>() {
  return SINTER_BY_LEVEL(kReduceLong);
}
template <>
const ReduceKernels<uint8_t>& reduce_kernels<uint8_t>() {
  return kReduceBytes;
}
#undef SINTER_BY_LEVEL

void ReduceSpace::push(int64_t n, int64_t st, bool red) {
  if (n == 1) return;
  if (rank > 0 && reduced[rank - 1] == red && stride[rank - 1] == st * n) {
    size[rank - 1] *= n;
    stride[rank - 1] = st;
    return;
  }
  size[rank] = n;
  stride[rank] = st;
  reduced[rank++] = red;
}

ReduceSpace reduce_space(IntArrayRef sizes, IntArrayRef strides, uint32_t dims) {
  ReduceSpace s;
  for (size_t i = 0; i < sizes.size(); ++i) s.push(sizes[i], strides[i], dims == 0 || (i < 32 && ((dims >> i) & 1)));
  return s;
}

namespace {

/// The innermost reduced group of a space: dimensions [0, outer) | one reduced dimension | at most one inner one.
struct Step {
  int outer = 0;
  int64_t n = 1, n_stride = 1, inner = 1;
  bool fits = false;  // strides as the kernels want them
};

Step innermost_step(const ReduceSpace& s) {
  Step st;
  int e = s.rank - 1;
  while (e >= 0 && !s.reduced[e]) --e;
  st.outer = e;
  if (e < 0) return st;
  st.n = s.size[e];
  st.n_stride = s.stride[e];
  const bool one_group = e == 0 || !s.reduced[e - 1];
  if (e == s.rank - 1) {
    st.fits = one_group && st.n_stride == 1;
  } else {
    st.inner = s.size[e + 1];
    st.fits = one_group && e == s.rank - 2 && s.stride[e + 1] == 1;
  }
  return st;
}

/// Whether the step can be taken and leaves nothing to reduce.
bool is_last(const ReduceSpace& s, const Step& st) {
  for (int d = 0; d < st.outer; ++d)
    if (s.reduced[d] && !SINTER_MUTANT(outer_dims_not_reduced)) return false;
  return st.fits;
}

/// Calls body(offset, index) for every index of dimensions [0, n) in row-major order.
template <class Body>
void for_each_offset(const ReduceSpace& s, int n, Body body) {
  int64_t at[kMaxRank];
  std::fill_n(at, n, 0);
  int64_t offset = 0;
  for (int64_t index = 0;; ++index) {
    body(offset, index);
    int d = n - 1;
    for (; d >= 0; --d) {
      offset += s.stride[d];
      if (++at[d] < s.size[d]) break;
      offset -= s.stride[d] * s.size[d];
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

constexpr int64_t kAligned = 16;  // results a thread starts at multiples of

template <class T>
int64_t step_ns(int64_t elements) {
  return estimated_ns(elements * static_cast<int64_t>(sizeof(T)), elements);
}

/// One step; `center` (squares) and `out` are dense over [outer dimensions, inner].
template <class T>
void reduce_step(const ReduceSpace& s, const Step& st, const T* in, ReduceKind kind, const T* center, T* out) {
  const ReduceKernels<T>& k = reduce_kernels<T>();
  if (st.outer + 1 == s.rank) {
    const bool many = st.outer > 0;
    const int64_t rows = many ? s.size[st.outer - 1] : 1, stride = many ? s.stride[st.outer - 1] : 0;
    for_each_offset(s, many ? st.outer - 1 : 0, [&](int64_t offset, int64_t i) {
      parallel_ranges(rows, kAligned, step_ns<T>(rows * st.n), [&](int64_t begin, int64_t end) {
        const T* from = in + offset + begin * stride;
        T* to = out + i * rows + begin;
        if (center) return k.square_rows(from, end - begin, st.n, stride, center + i * rows + begin, to);
        const auto fn = kind == ReduceKind::Sum ? k.sum_rows : kind == ReduceKind::Max ? k.max_rows : k.min_rows;
        fn(from, end - begin, st.n, stride, to);
      });
    });
    return;
  }
  for_each_offset(s, st.outer, [&](int64_t offset, int64_t i) {
    parallel_ranges(st.inner, kAligned, step_ns<T>(st.n * st.inner), [&](int64_t begin, int64_t end) {
      const T* from = in + offset + begin;
      T* to = out + i * st.inner + begin;
      if (center) return k.square_columns(from, st.n, end - begin, st.n_stride, center + i * st.inner + begin, to);
      const auto fn = kind == ReduceKind::Sum ? k.sum_columns : kind == ReduceKind::Max ? k.max_columns : k.min_columns;
      fn(from, st.n, end - begin, st.n_stride, to);
    });
  });
}

/// Row-major strides in place of s's own; neighbours of one kind merge.
ReduceSpace dense_space(const ReduceSpace& s, int64_t* strides) {
  int64_t step = 1;
  for (int d = s.rank - 1; d >= 0; --d) {
    strides[d] = step;
    step *= s.size[d];
  }
  ReduceSpace dense;
  for (int d = 0; d < s.rank; ++d) dense.push(s.size[d], strides[d], s.reduced[d]);
  return dense;
}

int64_t numel_of_space(const ReduceSpace& s) {
  int64_t n = 1;
  for (int d = 0; d < s.rank; ++d) n *= s.size[d];
  return n;
}

template <class T>
const T* make_dense(ReduceSpace& s, const T* in, Scratch& scratch) {
  const auto rank = static_cast<size_t>(s.rank);
  T* copy = scratch.get<T>(numel_of_space(s));
  int64_t strides[kMaxRank];
  const ReduceSpace dense = dense_space(s, strides);
  const IntArrayRef sizes(s.size, rank);
  copy_strided({copy, kTypeOf<T>, sizes, {strides, rank}}, {const_cast<T*>(in), kTypeOf<T>, sizes, {s.stride, rank}});
  s = dense;
  return copy;
}

}  // namespace

template <class T>
void reduce_to(const ReduceSpace& space, const T* in, ReduceKind kind, T* out) {
  const Step st = innermost_step(space);
  if (!st.fits) {
    if (space.rank == 0) {
      *out = *in;
      return;
    }
    Scratch scratch;
    ReduceSpace dense = space;
    const T* data = make_dense(dense, in, scratch);
    if (st.outer < 0) {
      std::memcpy(out, data, static_cast<size_t>(numel_of_space(dense)) * sizeof(T));
      return;
    }
    return reduce_to<T>(dense, data, kind, out);
  }
  if (is_last(space, st)) return reduce_step<T>(space, st, in, kind, nullptr, out);

  ReduceSpace left;  // what the next step sees: outer dimensions and inner, dense
  int64_t count = st.inner;
  for (int d = 0; d < st.outer; ++d) count *= space.size[d];
  int64_t stride = count;
  for (int d = 0; d < st.outer; ++d) left.push(space.size[d], stride /= space.size[d], space.reduced[d]);
  left.push(st.inner, 1, false);
  Scratch scratch;
  T* part = scratch.get<T>(count);
  reduce_step<T>(space, st, in, kind, nullptr, part);
  reduce_to<T>(left, part, kind, out);
}
template void reduce_to<float>(const ReduceSpace&, const float*, ReduceKind, float*);
template void reduce_to<double>(const ReduceSpace&, const double*, ReduceKind, double*);
template void reduce_to<int64_t>(const ReduceSpace&, const int64_t*, ReduceKind, int64_t*);
template void reduce_to<uint8_t>(const ReduceSpace&, const uint8_t*, ReduceKind, uint8_t*);

namespace {

/// squares[i] = (in[i] - mean of its kept index)^2 over a dense space.
template <class T>
void centred_squares(const ReduceSpace& s, const T* in, const T* mean, T* squares) {
  ReduceSpace kept = s;
  int64_t step = 1;
  for (int d = s.rank - 1; d >= 0; --d) {
    kept.stride[d] = s.reduced[d] ? 0 : step;
    if (!s.reduced[d]) step *= s.size[d];
  }
  for_each_offset(kept, kept.rank, [&](int64_t offset, int64_t i) {
    const T d = in[i] - mean[offset];
    squares[i] = d * d;
  });
}

template <class T>
void divide(T* values, int64_t count, T by) {
  for (int64_t i = 0; i < count; ++i) values[i] /= by;
}

/// Sum of the centred squares, means being known.
template <class T>
void sum_squares(const ReduceSpace& space, const T* in, const T* mean, T* out) {
  if (const Step st = innermost_step(space); is_last(space, st)) return reduce_step<T>(space, st, in, ReduceKind::Sum, mean, out);
  ReduceSpace s = space;
  Scratch copied, room;
  in = make_dense(s, in, copied);
  if (const Step st = innermost_step(s); is_last(s, st)) return reduce_step<T>(s, st, in, ReduceKind::Sum, mean, out);
  T* squares = room.get<T>(numel_of_space(s));
  centred_squares(s, in, mean, squares);
  reduce_to<T>(s, squares, ReduceKind::Sum, out);
}

template <class T>
void run_typed(const KernelArgs& args) {
  const TensorView& x = args.in[0];
  const int64_t n_out = args.out.numel(), n_in = x.numel();
  DenseOutput dense(args.out);
  T* out = static_cast<T*>(dense.data());
  const bool is_max = args.op == Op::amax || args.op == Op::any || args.out.dtype == ScalarType::Bool;
  const bool is_min = args.op == Op::amin || args.op == Op::all;
  const ReduceKind kind = is_min ? ReduceKind::Min : is_max ? ReduceKind::Max : ReduceKind::Sum;
  const int64_t reduced = n_out ? n_in / n_out : 0;
  if (n_in == 0) {
    for (int64_t i = 0; i < n_out; ++i) out[i] = static_cast<T>(args.op == Op::all);
    if constexpr (std::is_floating_point_v<T>) {
      if (args.op == Op::mean || args.op == Op::var) divide(out, n_out, T(0));
    }
    return dense.finish();
  }
  Scratch converted;
  SizeVec row_major;
  IntArrayRef strides = x.strides;
  const T* in = static_cast<const T*>(x.data);
  if (x.dtype != kTypeOf<T>) {
    in = static_cast<const T*>(dense_input(x, kTypeOf<T>, converted));
    row_major = contiguous_strides(x.sizes);
    strides = row_major;
  }
  const ReduceSpace space = reduce_space(x.sizes, strides, reduce_dims(args.attr));
  if constexpr (std::is_floating_point_v<T>) {
    if (args.op == Op::var) {
      Scratch means;
      T* mean = means.get<T>(n_out);
      reduce_to<T>(space, in, ReduceKind::Sum, mean);
      divide(mean, n_out, static_cast<T>(reduced));
      sum_squares<T>(space, in, mean, out);
      divide(out, n_out, static_cast<T>(std::max<int64_t>(reduced - args.ints[0], 0)));
      return dense.finish();
    }
  }
  reduce_to<T>(space, in, kind, out);
  if constexpr (std::is_floating_point_v<T>) {
    if (args.op == Op::mean) divide(out, n_out, static_cast<T>(reduced));
  }
  dense.finish();
}

}  // namespace

void run_reduce(const KernelArgs& args) {
  if (args.op == Op::argmax || args.op == Op::argmin) return run_argreduce(args);
  switch (args.out.dtype) {
    case ScalarType::Float:
      return run_typed<float>(args);
    case ScalarType::Double:
      return run_typed<double>(args);
    case ScalarType::Long:
      return run_typed<int64_t>(args);
    default:
      return run_typed<uint8_t>(args);
  }
}

}  // namespace sinter
