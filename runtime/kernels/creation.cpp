// full and arange. arange: element i is start + i * step, in int64 for an integer result, else in double, rounded once to
// the result's type.
#include <algorithm>
#include "pointwise.h"
#include "run_kernel.h"
#include "scratch.h"

namespace sinter {

namespace {

template <class T>
void full(const KernelArgs& args) {
  T value = args.scalars[0].to<T>();
  if (is_non_overlapping_and_dense(args.out.sizes, args.out.strides)) {
    std::fill_n(args.out.as<T>(), args.out.numel(), value);
  } else {
    copy_strided(args.out, {&value, args.out.dtype, {}, {}});
  }
}

template <class T>
void arange(const KernelArgs& args) {
  DenseOutput dense(args.out);
  T* out = static_cast<T*>(dense.data());
  const int64_t n = args.out.numel();
  if constexpr (std::is_floating_point_v<T>) {
    const double start = args.scalars[0].to_double(), step = args.scalars[1].to_double();
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(start + static_cast<double>(i) * step);
  } else {
    const auto start = static_cast<uint64_t>(args.scalars[0].to_int64()),
               step = static_cast<uint64_t>(args.scalars[1].to_int64());
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(start + static_cast<uint64_t>(i) * step);
  }
  dense.finish();
}

template <class T>
void run_typed(const KernelArgs& args) {
  args.op == Op::full ? full<T>(args) : arange<T>(args);
}

}  // namespace

void run_creation(const KernelArgs& args) {
  switch (args.out.dtype) {
    case ScalarType::Float:
      return run_typed<float>(args);
    case ScalarType::Double:
      return run_typed<double>(args);
    case ScalarType::Long:
      return run_typed<int64_t>(args);
    default:
      return run_typed<bool>(args);
  }
}

}  // namespace sinter
