#include "norm.h"
#include <algorithm>
#include "../cpu.h"
#include "../threads.h"
#include "isa/norm_kernels.h"
#include "scratch.h"

namespace sinter {

namespace {

#define SINTER_BY_LEVEL(table) isa() == Isa::Avx512 ? v4::table : isa() == Isa::Avx2 ? v3::table : v2::table
template <class T>
const NormKernels<T>& norm_kernels();
template <>
const NormKernels<float>& norm_kernels<float>() {
  return SINTER_BY_LEVEL(kNormFloat);
}
template <>
const NormKernels<double>& norm_kernels<double>() {
  return SINTER_BY_LEVEL(kNormDouble);
}
#undef SINTER_BY_LEVEL

constexpr int64_t kRowBytes = 24;  // for each element, roughly: a row is read more than once

template <class T>
void run_typed(const KernelArgs& args) {
  const size_t first = args.op == Op::layer_norm ? 0 : 1;  // which operand is x
  const TensorView& x = args.in[first];
  const size_t split = x.sizes.size() - static_cast<size_t>(args.attr);
  int64_t m = 1, n = 1;
  for (size_t i = 0; i < x.sizes.size(); ++i) (i < split ? m : n) *= x.sizes[i];
  const T eps = args.scalars[0].to<T>();
  Scratch copies[3], room;
  const auto operand = [&](size_t i) -> const T* {
    if (i >= args.in.size() || !args.in[i].data) return nullptr;
    return static_cast<const T*>(dense_input(args.in[i], args.in[i].dtype, copies[i]));
  };
  DenseOutput dense(args.out);
  T* out = static_cast<T*>(dense.data());
  const NormKernels<T>& k = norm_kernels<T>();
  if (m * n == 0) {
    std::fill_n(out, args.out.numel(), T(0));
  } else if (args.op == Op::layer_norm) {
    const T *x_data = operand(0), *weight = operand(1), *bias = operand(2);
    parallel_ranges(m, 1, estimated_ns(m * n * kRowBytes, 0), [&](int64_t begin, int64_t end) {
      k.forward(x_data + begin * n, weight, bias, eps, out + begin * n, end - begin, n);
    });
  } else if (args.op == Op::layer_norm_backward_input) {
    const T *grad = operand(0), *x_data = operand(1), *weight = operand(2);
    parallel_ranges(m, 1, estimated_ns(m * n * kRowBytes, 0), [&](int64_t begin, int64_t end) {
      k.backward_input(grad + begin * n, x_data + begin * n, weight, eps, out + begin * n, end - begin, n);
    });
  } else {
    k.backward_weight(operand(0), operand(1), eps, out, m, n, room.get<T>(std::max(m, n)));
  }
  dense.finish();
}

}  // namespace

void run_norm(const KernelArgs& args) { args.out.dtype == ScalarType::Float ? run_typed<float>(args) : run_typed<double>(args); }

}  // namespace sinter
