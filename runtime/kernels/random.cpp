// Random operators: values as random.h defines them, element i by its place in row-major order.
#include "../random.h"
#include <cmath>
#include <numbers>
#include "../error.h"
#include "run_kernel.h"
#include "scratch.h"

namespace sinter {

namespace {

/// Hands out the words of a call in order.
class Words {
 public:
  explicit Words(const KernelArgs& args)
      : counter_(static_cast<uint64_t>(args.scalars[0].to_int64())), seed_(static_cast<uint64_t>(args.scalars[1].to_int64())) {}
  uint32_t next() {
    if (used_ == kBuffered) {
      for (int i = 0; i < kBuffered; i += 4) philox4x32(seed_, counter_++, words_ + i);
      used_ = 0;
    }
    return words_[used_++];
  }
  uint64_t next64() {
    const uint64_t high = next();
    return high << 32 | next();
  }

 private:
  static constexpr int kBuffered = 16;  // four counters at a time: independent chains
  uint64_t counter_, seed_;
  int used_ = kBuffered;
  uint32_t words_[kBuffered];
};

void uniform(Words& words, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(words.next() >> 8) * 0x1p-24f;
}
void uniform(Words& words, double* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<double>(words.next64() >> 11) * 0x1p-53;
}

template <class T> void normal(Words& words, T* out, int64_t n) {
  for (int64_t i = 0; i < n; i += 2) {
    const double u = (static_cast<double>(words.next()) + 1) * 0x1p-32, v = static_cast<double>(words.next()) * 0x1p-32;
    const double r = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * v;
    out[i] = static_cast<T>(r * std::cos(angle));
    if (i + 1 < n) out[i + 1] = static_cast<T>(r * std::sin(angle));
  }
}

template <class T> void integers(Words& words, const KernelArgs& args, T* out, int64_t n) {
  const auto low = static_cast<uint64_t>(args.scalars[2].to_int64());
  const uint64_t range = static_cast<uint64_t>(args.scalars[3].to_int64()) - low;
  if (range == 0) raise<ValueError>("randint(): low must be less than high, both are {}", args.scalars[2].to_int64());
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(static_cast<int64_t>(low + words.next64() % range));
}

template <class T> void coins(Words& words, double p, T* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<T>(static_cast<double>(words.next()) * 0x1p-32 < p);
}

template <class T> void run_typed(const KernelArgs& args) {
  DenseOutput dense(args.out);
  T* out = static_cast<T*>(dense.data());
  const int64_t n = args.out.numel();
  Words words(args);
  switch (args.op) {
    case Op::randint: integers(words, args, out, n); break;
    case Op::bernoulli: coins(words, args.scalars[2].to_double(), out, n); break;
    default:
      if constexpr (std::is_floating_point_v<T>) args.op == Op::rand ? uniform(words, out, n) : normal(words, out, n);
      else raise<DtypeError>("{}(): {} is no floating dtype", op_info(args.op).name, dtype_name(args.out.dtype));
  }
  dense.finish();
}

}  // namespace

void run_random(const KernelArgs& args) {
  switch (args.out.dtype) {
    case ScalarType::Float: return run_typed<float>(args);
    case ScalarType::Double: return run_typed<double>(args);
    case ScalarType::Long: return run_typed<int64_t>(args);
    default: return run_typed<bool>(args);
  }
}

}  // namespace sinter
