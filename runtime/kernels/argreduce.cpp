// argmax and argmin: the first of equal values, the first NaN.
#include <bit>
#include "../mutants.h"
#include "isa/reduce_kernels.h"
#include "reduce.h"
#include "scratch.h"

namespace sinter {

namespace {

template <class T>
void rows(const T* in, int64_t count, int64_t n, bool max, int64_t* out) {
  const ReduceKernels<T>& k = reduce_kernels<T>();
  for (int64_t r = 0; r < count; ++r, in += n) {
    T best;
    (max ? k.max_rows : k.min_rows)(in, 1, n, n, &best);
    out[r] = k.find(in, n, best);
  }
}

template <class T>
void columns(const T* in, int64_t n, int64_t inner, bool max, T* best, int64_t* out) {
  for (int64_t c = 0; c < inner; ++c) {
    best[c] = in[c];
    out[c] = 0;
  }
  for (int64_t r = 1; r < n; ++r) {
    const T* row = in + r * inner;
    for (int64_t c = 0; c < inner; ++c) {
      const bool ahead = max ? row[c] > best[c] : row[c] < best[c];
      if ((best[c] == best[c] || SINTER_MUTANT(argmax_takes_last_nan)) && (ahead || row[c] != row[c])) {
        best[c] = row[c];
        out[c] = r;
      }
    }
  }
}

template <class T>
void run_typed(const KernelArgs& args) {
  const TensorView& x = args.in[0];
  const uint32_t dims = reduce_dims(args.attr);
  const size_t dim = dims == 0 ? 0 : static_cast<size_t>(std::countr_zero(dims));
  int64_t outer = 1, n = 1, inner = 1;
  for (size_t i = 0; i < x.sizes.size(); ++i) (dims == 0 || i == dim ? n : i < dim ? outer : inner) *= x.sizes[i];
  if (outer * inner * n == 0) return;
  Scratch copied, values;
  DenseOutput dense(args.out);
  const T* in = static_cast<const T*>(dense_input(x, x.dtype, copied));
  auto* out = static_cast<int64_t*>(dense.data());
  const bool max = args.op == Op::argmax;
  if (inner == 1) {
    rows(in, outer, n, max, out);
  } else {
    T* best = values.get<T>(inner);
    for (int64_t o = 0; o < outer; ++o) columns(in + o * n * inner, n, inner, max, best, out + o * inner);
  }
  dense.finish();
}

}  // namespace

void run_argreduce(const KernelArgs& args) {
  switch (args.in[0].dtype) {
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
