// Random operators: values as random.h defines them, element i by its place in row-major order.
#include "../random.h"
#include <algorithm>
#include <cmath>
#include <numbers>
#include "../cpu.h"
#include "../error.h"
#include "isa/random_kernels.h"
#include "run_kernel.h"
#include "scratch.h"

namespace sinter {

namespace {

const RandomKernels& random_kernels() {
  return isa() == Isa::Avx512 ? v4::kRandom : isa() == Isa::Avx2 ? v3::kRandom : v2::kRandom;
}

/// Hands out the words of a call in order, a block at a time.
class Words {
 public:
  static constexpr int kBlock = 512;
  explicit Words(const KernelArgs& args)
      : counter_(static_cast<uint64_t>(args.scalars[0].to_int64())), seed_(static_cast<uint64_t>(args.scalars[1].to_int64())) {}
  /// The next `n` <= kBlock words; n a multiple of 4 except in the last block.
  const uint32_t* block(int64_t n) {
    random_kernels().words(seed_, counter_, (n + 3) / 4, words_);
    counter_ += static_cast<uint64_t>(n + 3) / 4;
    return words_;
  }

 private:
  uint64_t counter_, seed_;
  alignas(64) uint32_t words_[kBlock];
};

/// Calls body(words, first element, elements) block by block; each element takes `per` words.
template <class Body>
void in_blocks(Words& words, int64_t n, int per, Body body) {
  const int64_t step = Words::kBlock / per;
  for (int64_t i = 0; i < n; i += step) {
    const int64_t count = std::min(step, n - i);
    body(words.block(count * per), i, count);
  }
}

uint64_t join(const uint32_t* w) { return static_cast<uint64_t>(w[0]) << 32 | w[1]; }

void uniform(Words& words, float* out, int64_t n) {
  in_blocks(words, n, 1, [&](const uint32_t* w, int64_t at, int64_t count) { random_kernels().uniform(w, count, out + at); });
}
void uniform(Words& words, double* out, int64_t n) {
  in_blocks(words, n, 2, [&](const uint32_t* w, int64_t at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[at + i] = static_cast<double>(join(w + 2 * i) >> 11) * 0x1p-53;
  });
}

void normal(Words& words, float* out, int64_t n) {
  in_blocks(words, n, 1, [&](const uint32_t* w, int64_t at, int64_t count) {
    const int64_t pairs = count & ~int64_t{1};
    random_kernels().normal(w, pairs, out + at);
    if (pairs == count) return;
    float last[2];
    random_kernels().normal(w + pairs, 2, last);
    out[at + pairs] = last[0];
  });
}
void normal(Words& words, double* out, int64_t n) {
  in_blocks(words, n, 1, [&](const uint32_t* w, int64_t at, int64_t count) {
    for (int64_t i = 0; i < count; i += 2) {
      const double u = (static_cast<double>(w[i]) + 1) * 0x1p-32, v = static_cast<double>(w[i + 1]) * 0x1p-32;
      const double r = std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * v;
      out[at + i] = r * std::cos(angle);
      if (i + 1 < count) out[at + i + 1] = r * std::sin(angle);
    }
  });
}

template <class T>
void integers(Words& words, const KernelArgs& args, T* out, int64_t n) {
  const auto low = static_cast<uint64_t>(args.scalars[2].to_int64());
  const uint64_t range = static_cast<uint64_t>(args.scalars[3].to_int64()) - low;
  if (range == 0) raise<ValueError>("randint(): low must be less than high, both are {}", args.scalars[2].to_int64());
  in_blocks(words, n, 2, [&](const uint32_t* w, int64_t at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[at + i] = static_cast<T>(static_cast<int64_t>(low + join(w + 2 * i) % range));
  });
}

template <class T>
void coins(Words& words, double p, T* out, int64_t n) {
  // u / 2^32 < p as integers (the scaling is exact), by the borrow of a subtraction: a branch would be mispredicted.
  const auto limit = static_cast<uint64_t>(std::ceil(std::clamp(p, 0.0, 1.0) * 0x1p32));
  in_blocks(words, n, 1, [&](const uint32_t* w, int64_t at, int64_t count) {
    for (int64_t i = 0; i < count; ++i) out[at + i] = static_cast<T>(static_cast<int64_t>((w[i] - limit) >> 63));
  });
}

template <class T>
void run_typed(const KernelArgs& args) {
  DenseOutput dense(args.out);
  T* out = static_cast<T*>(dense.data());
  const int64_t n = args.out.numel();
  Words words(args);
  switch (args.op) {
    case Op::randint:
      integers(words, args, out, n);
      break;
    case Op::bernoulli:
      coins(words, args.scalars[2].to_double(), out, n);
      break;
    default:
      if constexpr (std::is_floating_point_v<T>) args.op == Op::rand ? uniform(words, out, n) : normal(words, out, n);
      else raise<DtypeError>("{}(): {} is no floating dtype", op_info(args.op).name, dtype_name(args.out.dtype));
  }
  dense.finish();
}

}  // namespace

void run_random(const KernelArgs& args) {
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
