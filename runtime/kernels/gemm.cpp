#include <algorithm>
#include <utility>
#include "../cpu.h"
#include "gemm_plan.h"
#include "isa/gemm_kernels.h"
#include "pointwise.h"
#include "run_kernel.h"
#include "scratch.h"
#include "settled_product.h"

namespace sinter {

namespace {

#define SINTER_BY_LEVEL(table) isa() == Isa::Avx512 ? v4::table : isa() == Isa::Avx2 ? v3::table : v2::table
template <class T>
const GemmKernels<T>& gemm_kernels();
template <>
const GemmKernels<float>& gemm_kernels<float>() {
  return SINTER_BY_LEVEL(kGemmFloat);
}
template <>
const GemmKernels<double>& gemm_kernels<double>() {
  return SINTER_BY_LEVEL(kGemmDouble);
}
#undef SINTER_BY_LEVEL

/// Sizes and operands of one product or of a batch of equal ones.
template <class T>
struct Product {
  int64_t batch = 1, m = 1, n = 1, k = 1;
  MatrixRef<T> a{}, b{}, bias{};
  int64_t a_batch = 0, b_batch = 0;
  T alpha = 1, beta = 0;
};

/// Both strides as the kernels take them: one is 1, or its dimension has size 1.
template <class T>
bool takes(const MatrixRef<T>& r, int64_t rows, int64_t cols) {
  return r.col_stride == 1 || r.row_stride == 1 || rows == 1 || cols == 1;
}

/// The last two dimensions of `v` as a matrix; false when its strides do not fit.
template <class T>
bool fits_matrix(const TensorView& v, MatrixRef<T>& r) {
  const size_t d = v.sizes.size() - 2;
  r = {v.as<const T>(), v.strides[d], v.strides[d + 1]};
  return takes(r, v.sizes[d], v.sizes[d + 1]);
}

/// The same, copied to `scratch` when the strides do not fit. `batch` (may be null) receives the stride of the first dimension.
template <class T>
MatrixRef<T> matrix_of(const TensorView& v, Scratch& scratch, int64_t* batch) {
  const size_t d = v.sizes.size() - 2;
  MatrixRef<T> r{};
  if (batch) *batch = v.strides[0];
  if (fits_matrix(v, r)) return r;
  r = {static_cast<const T*>(dense_input(v, v.dtype, scratch)), v.sizes[d + 1], 1};
  if (batch) *batch = v.sizes[d] * v.sizes[d + 1];
  return r;
}

/// x[*, in] as a matrix of rows; false when its leading dimensions do not collapse.
template <class T>
bool fits_rows(const TensorView& x, MatrixRef<T>& r) {
  const size_t last = x.sizes.size() - 1;
  r = {x.as<const T>(), x.sizes[last], x.strides[last]};
  int64_t count = 1;  // rows collapsed so far
  bool fits = true;
  for (size_t i = last; i-- > 0;) {
    if (x.sizes[i] == 1) continue;
    if (count == 1) r.row_stride = x.strides[i];
    else fits &= x.strides[i] == r.row_stride * count;
    count *= x.sizes[i];
  }
  return fits && takes(r, count, x.sizes[last]);
}

template <class T>
MatrixRef<T> rows_of(const TensorView& x, Scratch& scratch) {
  MatrixRef<T> r{};
  if (fits_rows(x, r)) return r;
  return {static_cast<const T*>(dense_input(x, x.dtype, scratch)), x.sizes[x.sizes.size() - 1], 1};
}

template <class T>
MatrixRef<T> bias_of(const TensorView& v) {
  const size_t rank = v.sizes.size();
  MatrixRef<T> r{v.as<const T>(), 0, 0};
  if (rank > 0 && v.sizes[rank - 1] != 1) r.col_stride = v.strides[rank - 1];
  if (rank > 1 && v.sizes[rank - 2] != 1) r.row_stride = v.strides[rank - 2];
  return r;
}

/// int64: wraps around, as the sum of products modulo 2^64.
void multiply_wrapping(const Product<int64_t>& p, int64_t* c) {
  for (int64_t i = 0; i < p.m; ++i) {
    for (int64_t j = 0; j < p.n; ++j) {
      uint64_t sum = 0;
      for (int64_t q = 0; q < p.k; ++q)
        sum += static_cast<uint64_t>(p.a.data[i * p.a.row_stride + q * p.a.col_stride]) *
               static_cast<uint64_t>(p.b.data[q * p.b.row_stride + j * p.b.col_stride]);
      sum *= static_cast<uint64_t>(p.alpha);
      if (p.beta != 0)
        sum += static_cast<uint64_t>(p.beta) * static_cast<uint64_t>(p.bias.data[i * p.bias.row_stride + j * p.bias.col_stride]);
      c[i * p.n + j] = static_cast<int64_t>(sum);
    }
  }
}

/// A row of dense elements, the same for every row of the result.
template <class T>
bool is_plain(const MatrixRef<T>& bias, int64_t n) {
  return bias.row_stride == 0 && (bias.col_stride == 1 || n == 1);
}

template <class T>
GemmShape shape_of(const Product<T>& p) {
  return {CppType<T>::value, p.m, p.n, p.k, p.a.row_stride, p.a.col_stride, p.b.row_stride, p.b.col_stride};
}

/// A thread's latest plans: loops ask for the same few products again and again, and a plan takes longer than a small product.
const GemmPlan& planned(const GemmShape& shape, const GemmRegisters& registers, bool bias) {
  struct Entry {
    GemmShape shape;
    const GemmRegisters* registers = nullptr;
    bool bias = false;
    GemmPlan plan;
  };
  constexpr uint64_t kEntries = 8;
  static thread_local Entry entries[kEntries];
  const auto h = static_cast<uint64_t>(shape.m * 31 + shape.n * 7 + shape.k + shape.a_col * 3 + shape.b_col);
  Entry& e = entries[(h ^ h >> 5) % kEntries];
  if (e.registers != &registers || e.bias != bias || e.shape != shape)
    e = {shape, &registers, bias, plan_product(shape, registers, bias)};
  return e.plan;
}

/// With the C++ tiles of this level.
template <class T>
void multiply_in_tiles(const Product<T>& p, const T* bias, T* c) {
  const GemmKernels<T>& kernels = gemm_kernels<T>();
  const GemmPlan& plan = planned(shape_of(p), kernels.registers, bias != nullptr);
  const GemmTileFn fn = plan.dot ? kernels.dot_tile : kernels.chain_tile;
  constexpr int64_t kBytes = sizeof(T);
  Scratch scratch;
  run_products(plan, {{{fn, fn}, {fn, fn}}}, {p.batch, p.a_batch * kBytes, p.b_batch * kBytes}, p.a.data, p.b.data, bias, c,
               scratch.bytes(static_cast<size_t>(plan.scratch_bytes)));
}

/// The batch: in tiles all of it, else one product after another. What tiles cannot add they leave to add_bias.
template <class T>
void multiply(Product<T> p, T* c) {
  const GemmKernels<T>& kernels = gemm_kernels<T>();
  const bool scaled = p.alpha != 1 || (p.beta != 0 && p.beta != 1), tiles = kernels.product == nullptr && p.k > 0;
  const bool plain = tiles && !scaled && p.beta == 1 && is_plain(p.bias, p.n);
  if (tiles) multiply_in_tiles(p, plain ? p.bias.data : nullptr, c);
  for (int64_t i = 0; i < p.batch; ++i, c += p.m * p.n, p.a.data += p.a_batch, p.b.data += p.b_batch) {
    if (p.k == 0) std::fill_n(c, p.m * p.n, T(0));
    else if (!tiles) kernels.product(p.m, p.n, p.k, p.a, p.b, c);
    if (!plain && (scaled || p.beta != 0)) kernels.add_bias(p.m, p.n, c, p.alpha, p.beta, p.bias);
  }
}

void multiply(Product<int64_t> p, int64_t* c) {
  for (int64_t i = 0; i < p.batch; ++i, c += p.m * p.n, p.a.data += p.a_batch, p.b.data += p.b_batch) multiply_wrapping(p, c);
}

template <class T>
void run_typed(const KernelArgs& args) {
  Product<T> p;
  Scratch a_copy, b_copy;
  const std::span<const TensorView> in = args.in;
  const size_t first = args.op == Op::addmm ? 1 : 0;
  const TensorView &a = in[first], &b = in[first + 1];
  if (args.out.numel() == 0) return;
  if (args.op == Op::linear) {
    const size_t last = a.sizes.size() - 1;
    p.k = a.sizes[last];
    p.n = b.sizes[0];
    p.m = args.out.numel() / p.n;
    p.a = rows_of<T>(a, a_copy);
    const MatrixRef<T> w = matrix_of<T>(b, b_copy, nullptr);
    p.b = {w.data, w.col_stride, w.row_stride};
    if (in.size() > 2 && in[2].data) {
      p.bias = bias_of<T>(in[2]);
      p.beta = 1;
    }
  } else {
    const size_t d = a.sizes.size() - 2;
    p.batch = d ? a.sizes[0] : 1;
    p.m = a.sizes[d];
    p.k = a.sizes[d + 1];
    p.n = b.sizes[d + 1];
    p.a = matrix_of<T>(a, a_copy, d ? &p.a_batch : nullptr);
    p.b = matrix_of<T>(b, b_copy, d ? &p.b_batch : nullptr);
  }
  if (args.op == Op::addmm) {
    p.bias = bias_of<T>(in[0]);
    p.beta = args.n_scalars > 0 ? args.scalars[0].to<T>() : T(1);
    p.alpha = args.n_scalars > 1 ? args.scalars[1].to<T>() : T(1);
  }
  DenseOutput out(args.out, first ? in[0].data : nullptr);
  multiply(p, static_cast<T*>(out.data()));
  out.finish();
}

/// By address a bias only has to be there.
template <class T>
bool settle_typed(const KernelArgs& args, SettledProduct& p) {
  const size_t first = args.op == Op::addmm ? 1 : 0;
  const TensorView &a = args.in[first], &b = args.in[first + 1];
  const size_t d = b.sizes.size() - 2;
  MatrixRef<T> x{}, y{};
  if (!fits_matrix(b, y) || !(args.op == Op::linear ? fits_rows(a, x) : fits_matrix(a, x))) return false;
  if (args.op == Op::linear) std::swap(y.row_stride, y.col_stride);
  GemmShape& s = p.shape;
  s.dtype = CppType<T>::value;
  s.n = args.op == Op::linear ? b.sizes[0] : b.sizes[d + 1];
  s.k = a.sizes[a.sizes.size() - 1];
  if (args.op == Op::bmm) {
    p.batch = a.sizes[0];
    p.a_batch = a.strides[0];
    p.b_batch = b.strides[0];
  }
  s.m = args.out.numel() / s.n / p.batch;
  s.a_row = x.row_stride, s.a_col = x.col_stride;
  s.b_row = y.row_stride, s.b_col = y.col_stride;
  p.a = static_cast<int8_t>(first);
  p.b = static_cast<int8_t>(first + 1);
  if (args.op == Op::addmm) p.bias = 0;
  else if (args.op == Op::linear && args.in.size() > 2 && args.in[2].data) p.bias = 2;
  return s.k > 0 && (p.bias < 0 || is_plain(bias_of<T>(args.in[static_cast<size_t>(p.bias)]), s.n));
}

}  // namespace

bool settle_product(const KernelArgs& args, SettledProduct& p) {
  if (op_info(args.op).kind != OpKind::Gemm || args.n_scalars > 0 || args.out.numel() == 0 ||
      !is_contiguous(args.out.sizes, args.out.strides))
    return false;
  if (args.out.dtype == ScalarType::Float) return settle_typed<float>(args, p);
  return args.out.dtype == ScalarType::Double && settle_typed<double>(args, p);
}

void run_gemm(const KernelArgs& args) {
  switch (args.out.dtype) {
    case ScalarType::Float:
      return run_typed<float>(args);
    case ScalarType::Double:
      return run_typed<double>(args);
    default:
      return run_typed<int64_t>(args);
  }
}

}  // namespace sinter
