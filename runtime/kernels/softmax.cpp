#include "softmax.h"
#include <algorithm>
#include "../cpu.h"
#include "../threads.h"
#include "isa/softmax_kernels.h"
#include "scratch.h"

namespace sinter {

namespace {

#define SINTER_BY_LEVEL(table) isa() == Isa::Avx512 ? v4::table : isa() == Isa::Avx2 ? v3::table : v2::table
template <class T>
const SoftmaxKernels<T>& softmax_kernels();
template <>
const SoftmaxKernels<float>& softmax_kernels<float>() {
  return SINTER_BY_LEVEL(kSoftmaxFloat);
}
template <>
const SoftmaxKernels<double>& softmax_kernels<double>() {
  return SINTER_BY_LEVEL(kSoftmaxDouble);
}
#undef SINTER_BY_LEVEL

constexpr int64_t kRowBytes = 12, kFlops = 24;  // for each element, roughly

int row_of_table(Op op) {
  switch (op) {
    case Op::_softmax:
      return 0;
    case Op::_log_softmax:
      return 1;
    case Op::_softmax_backward_data:
      return 2;
    default:
      return 3;
  }
}

template <class T>
void run_typed(const KernelArgs& args) {
  const TensorView& x = args.in[0];
  int64_t outer = 1, n = 1, inner = 1;
  for (size_t i = 0; i < x.sizes.size(); ++i) (i < args.attr ? outer : i == args.attr ? n : inner) *= x.sizes[i];
  if (outer * n * inner == 0) return;
  Scratch a_copy, b_copy, room;
  DenseOutput dense(args.out);
  const T* a = static_cast<const T*>(dense_input(x, x.dtype, a_copy));
  const T* b = args.in.size() > 1 ? static_cast<const T*>(dense_input(args.in[1], x.dtype, b_copy)) : nullptr;
  T* out = static_cast<T*>(dense.data());
  const int which = row_of_table(args.op);
  const SoftmaxKernels<T>& k = softmax_kernels<T>();
  if (inner == 1) {
    parallel_ranges(outer, 1, estimated_ns(outer * n * kRowBytes, outer * n * kFlops), [&](int64_t begin, int64_t end) {
      k.rows[which](a + begin * n, b ? b + begin * n : nullptr, out + begin * n, end - begin, n);
    });
    return dense.finish();
  }
  // Strips of columns narrow enough to stay in the cache over the sweeps.
  const int64_t strip = std::min(inner, std::max<int64_t>(64, 131072 / static_cast<int64_t>(sizeof(T)) / n / 16 * 16));
  const int threads = get_num_threads();
  T* temps = room.get<T>(2 * strip * threads);
  const int64_t strips = (inner + strip - 1) / strip, all = outer * n * inner;
  parallel_ranges(
      outer * strips, 1, estimated_ns(all * kRowBytes, all * kFlops),
      [&](int64_t begin, int64_t end, int worker) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t c = i % strips * strip, at = i / strips * n * inner + c, width = std::min(strip, inner - c);
          k.columns[which](a + at, b ? b + at : nullptr, out + at, n, width, inner, temps + 2 * strip * worker);
        }
      },
      threads);
  dense.finish();
}

}  // namespace

void run_softmax(const KernelArgs& args) {
  args.out.dtype == ScalarType::Float ? run_typed<float>(args) : run_typed<double>(args);
}

}  // namespace sinter
