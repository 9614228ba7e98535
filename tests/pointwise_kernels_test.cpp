// Every pointwise row in every compute type against scalar references written apart from the kernels: lengths, strides,
// broadcasting, conversions, in-place, special values, all instruction-set levels.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>
#include "pointwise_reference.h"
#include "runtime/cpu.h"
#include "runtime/error.h"
#include "runtime/kernels/pointwise.h"

using namespace sinter;
using pointwise_reference::close;
using pointwise_reference::reference;

namespace {

/// One operand's bytes with guard bytes around, and a view of them.
struct Buffer {
  ScalarType dtype;
  std::vector<char> bytes;
  std::vector<int64_t> sizes, strides;
  int64_t offset = 0;

  Buffer(ScalarType t, std::vector<int64_t> s, std::vector<int64_t> st = {}, int64_t elements = -1)
      : dtype(t), sizes(std::move(s)), strides(std::move(st)) {
    int64_t n = 1;
    if (strides.size() != sizes.size()) {
      strides.assign(sizes.size(), 0);
      for (size_t d = sizes.size(); d-- > 0; n *= sizes[d]) strides[d] = n;
    }
    if (elements < 0) {
      elements = 1;
      for (size_t d = 0; d < sizes.size(); ++d) elements += std::max<int64_t>(sizes[d] - 1, 0) * strides[d];
    }
    bytes.assign(static_cast<size_t>(elements) * element_size(t) + 2 * kGuard, '\x5A');
  }
  TensorView view() { return {data(), dtype, sizes, strides}; }
  char* data() { return bytes.data() + kGuard; }
  double get(int64_t i) {
    switch (dtype) {
      case ScalarType::Bool:
        return reinterpret_cast<uint8_t*>(data())[i];
      case ScalarType::Long:
        return static_cast<double>(reinterpret_cast<int64_t*>(data())[i]);
      case ScalarType::Float:
        return reinterpret_cast<float*>(data())[i];
      default:
        return reinterpret_cast<double*>(data())[i];
    }
  }
  void set(int64_t i, double v) {
    switch (dtype) {
      case ScalarType::Bool:
        reinterpret_cast<uint8_t*>(data())[i] = v != 0;
        break;
      case ScalarType::Long:
        reinterpret_cast<int64_t*>(data())[i] = static_cast<int64_t>(v);
        break;
      case ScalarType::Float:
        reinterpret_cast<float*>(data())[i] = static_cast<float>(v);
        break;
      default:
        reinterpret_cast<double*>(data())[i] = v;
    }
  }
  bool guards_intact() const {
    for (size_t i = 0; i < kGuard; ++i)
      if (bytes[i] != '\x5A' || bytes[bytes.size() - 1 - i] != '\x5A') return false;
    return true;
  }
  static constexpr size_t kGuard = 64;
};

std::mt19937_64 rng(12345);

double random_value(ScalarType t, bool nonzero) {
  static const double kSpecial[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, -1e-42, 1, -1, 0.5, 3e38, -3e38, 88, -104, 2};
  if (t == ScalarType::Bool) return static_cast<double>(rng() & 1);
  if (t == ScalarType::Long) {
    const double v = static_cast<double>(static_cast<int64_t>(rng() % 41) - 20);
    return nonzero && v == 0 ? 7 : v;
  }
  if (rng() % 4 == 0) return kSpecial[rng() % std::size(kSpecial)];
  return std::uniform_real_distribution<double>(-4, 4)(rng);
}

void fill_random(Buffer& b, bool nonzero = false) {
  const size_t n = (b.bytes.size() - 2 * Buffer::kGuard) / element_size(b.dtype);
  for (size_t i = 0; i < n; ++i) b.set(static_cast<int64_t>(i), random_value(b.dtype, nonzero));
}

struct Case {
  Op op;
  ScalarType compute;
  int n_in;
  uint64_t attr = 0;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const auto add = [&](Op op, int n, uint64_t attr = 0) {
    for (const ScalarType t : {kBool, kLong, kFloat, kDouble})
      if (pointwise_takes(op, t) && !(t == kBool && op == Op::neg)) cases.push_back({op, t, n, attr});
  };
#define UNARY(name) \
  if (Op::name != Op::pow) add(Op::name, 1);
#define BINARY(name) \
  if (Op::name != Op::clamp) add(Op::name, 2);
#define TERNARY(name) add(Op::name, 3, Op::name == Op::clamp ? kClampMin | kClampMax : 0);
#define QUATERNARY(name) add(Op::name, 4);
  SINTER_POINTWISE_UNARY(UNARY)
  SINTER_POINTWISE_BINARY(BINARY)
  SINTER_POINTWISE_TERNARY(TERNARY)
  SINTER_POINTWISE_QUATERNARY(QUATERNARY)
  add(Op::clamp, 2, kClampMin);
  add(Op::clamp, 2, kClampMax);
  for (const double e : {0.0, 1.0, 2.0, 3.0, 5.0}) add(Op::pow, 1, std::bit_cast<uint64_t>(e));
  for (const double e : {0.5, -0.5, -1.0, -2.0, 2.5})
    for (const ScalarType t : {kFloat, kDouble}) cases.push_back({Op::pow, t, 1, std::bit_cast<uint64_t>(e)});
  return cases;
}

bool integer_division(Op op) { return op == Op::div_trunc || op == Op::floor_divide || op == Op::remainder; }

ScalarType operand_type(const Case& c, int i) { return c.op == Op::where && i == 0 ? kBool : c.compute; }
ScalarType result_type(const Case& c) { return pointwise_gives_bool(c.op) ? kBool : c.compute; }

KernelArgs arguments(const Case& c, const TensorView& out, std::span<const TensorView> in) {
  KernelArgs args;
  args.op = c.op;
  args.compute = c.compute;
  args.attr = c.attr;
  args.out = out;
  args.in = in;
  return args;
}

const Isa kLevels[] = {Isa::None, Isa::Avx2, Isa::Avx512};

struct IsaCap {
  explicit IsaCap(Isa cap) { set_isa_cap(cap); }
  ~IsaCap() { set_isa_cap(Isa::Avx512); }
};

}  // namespace

TEST_CASE("every pointwise row of ops.def has an expression and a kernel") {
  for (int i = 0; i < kOpCount; ++i) {
    const Op op = static_cast<Op>(i);
    bool any = false;
    for (const ScalarType t : {kBool, kLong, kFloat, kDouble}) any |= pointwise_takes(op, t);
    INFO(op_info(op).name);
    CHECK(any == (op_info(op).kind == OpKind::Pointwise));
    CHECK(pointwise_gives_bool(op) ==
          (op_info(op).promotion == Promotion::Compare || op_info(op).promotion == Promotion::Logical));
  }
}

TEST_CASE("rows against scalar references, lengths 0 to 49, every level") {
  for (const Isa isa_level : kLevels) {
    const IsaCap cap(isa_level);
    for (const Case& c : all_cases()) {
      int wrong = 0;
      std::string first;
      for (int64_t n = 0; n < 50; ++n) {
        std::vector<Buffer> operands;
        std::vector<TensorView> in;
        for (int i = 0; i < c.n_in; ++i) {
          operands.emplace_back(operand_type(c, i), std::vector<int64_t>{n}, std::vector<int64_t>{}, n);
          fill_random(operands.back(), integer_division(c.op) && i == 1);
        }
        for (Buffer& b : operands) in.push_back(b.view());
        Buffer out(result_type(c), {n}, {}, n);
        run_pointwise(arguments(c, out.view(), in));
        wrong += !out.guards_intact();
        for (int64_t i = 0; i < n; ++i) {
          double v[4];
          for (int k = 0; k < c.n_in; ++k) v[k] = operands[static_cast<size_t>(k)].get(i);
          const double want = reference(c.op, c.compute, c.attr, v, c.n_in);
          if (close(c.op, result_type(c), out.get(i), want, v[0])) continue;
          if (!wrong++) first = fmt::format("n {} i {}: ({}, {}, {}) gave {}, not {}", n, i, v[0], v[1], v[2], out.get(i), want);
        }
      }
      INFO(op_info(c.op).name << " " << dtype_name(c.compute) << " operands " << c.n_in << " attr " << c.attr << " level "
                              << isa_name(isa_level) << ": " << first);
      CHECK(wrong == 0);
    }
  }
}

namespace {

/// Runs the case on strided or broadcast operands and on dense copies of them; the bits must be equal.
void check_layout(const Case& c, std::vector<int64_t> sizes, std::vector<Buffer>& operands, Buffer& out) {
  std::vector<TensorView> in, dense_in;
  std::vector<Buffer> dense;
  for (Buffer& b : operands) {
    in.push_back(b.view());
    dense.emplace_back(b.dtype, sizes);
  }
  for (size_t k = 0; k < operands.size(); ++k) {
    copy_strided(dense[k].view(), operands[k].view());
    dense_in.push_back(dense[k].view());
  }
  Buffer dense_out(out.dtype, sizes), result(out.dtype, sizes);
  run_pointwise(arguments(c, dense_out.view(), dense_in));
  run_pointwise(arguments(c, out.view(), in));
  copy_strided(result.view(), out.view());
  INFO(op_info(c.op).name << " " << dtype_name(c.compute) << " operands " << c.n_in);
  CHECK(std::memcmp(result.data(), dense_out.data(), result.bytes.size() - 2 * Buffer::kGuard) == 0);
  CHECK(out.guards_intact());
}

}  // namespace

TEST_CASE("strides and broadcasting give the bits of dense operands") {
  struct Layout {
    std::vector<int64_t> sizes, strides;
  };
  const std::vector<int64_t> sizes = {3, 5, 37};
  const Layout layouts[] = {{{3, 5, 37}, {}},
                            {{3, 5, 37}, {1, 3, 15}},
                            {{3, 5, 37}, {400, 80, 2}},
                            {{5, 37}, {1, 5}},
                            {{37}, {3}},
                            {{3, 1, 37}, {}},
                            {{5, 1}, {1, 1}},
                            {{}, {}},
                            {{1, 1, 1}, {7, 7, 7}},
                            {{3, 5, 37}, {0, 37, 1}}};
  const Layout outs[] = {{{3, 5, 37}, {}}, {{3, 5, 37}, {1, 3, 15}}, {{3, 5, 37}, {370, 74, 2}}};
  for (const Case& c : all_cases()) {
    for (size_t l = 0; l < std::size(layouts); ++l) {
      std::vector<Buffer> operands;
      for (int i = 0; i < c.n_in; ++i) {
        const Layout& layout = layouts[(l + static_cast<size_t>(i) * 3) % std::size(layouts)];
        operands.emplace_back(operand_type(c, i), layout.sizes, layout.strides);
        fill_random(operands.back(), integer_division(c.op) && i == 1);
      }
      const Layout& o = outs[l % std::size(outs)];
      Buffer out(result_type(c), o.sizes, o.strides);
      check_layout(c, sizes, operands, out);
    }
  }
}

TEST_CASE("operands that run against the result's memory order") {
  const std::vector<int64_t> sizes = {2, 70, 41};
  for (const Case& c : all_cases()) {
    if (c.n_in < 2) continue;
    std::vector<Buffer> operands;
    operands.emplace_back(operand_type(c, 0), sizes, std::vector<int64_t>{70 * 41, 1, 70});
    operands.emplace_back(operand_type(c, 1), std::vector<int64_t>{70, 41}, std::vector<int64_t>{1, 70});
    for (int i = 2; i < c.n_in; ++i) operands.emplace_back(operand_type(c, i), sizes);
    for (size_t i = 0; i < operands.size(); ++i) fill_random(operands[i], integer_division(c.op) && i == 1);
    Buffer out(result_type(c), sizes);
    check_layout(c, sizes, operands, out);
  }
}

TEST_CASE("large results, written past the caches") {
  const int64_t n = (int64_t{5} << 20) + 13;
  Buffer x(kFloat, {n});
  for (int64_t i = 0; i < n; ++i) x.set(i, static_cast<double>(i % 1000) - 500);
  std::vector<char> room(static_cast<size_t>(n) * 4 + 128);
  for (const Isa isa_level : kLevels) {
    const IsaCap cap(isa_level);
    for (const uintptr_t misalignment : {0, 4}) {
      float* out = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(room.data()) + 63) / 64 * 64 + misalignment);
      const TensorView in[] = {x.view()};
      run_pointwise(arguments({Op::neg, kFloat, 1}, {out, kFloat, x.sizes, x.strides}, in));
      int64_t wrong = 0;
      for (int64_t i = 0; i < n; ++i) wrong += out[i] != static_cast<float>(500 - i % 1000);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("operands and results of other types are converted, also over many blocks") {
  for (const int64_t n : {7, 1500}) {
    for (const ScalarType a : {kBool, kLong, kFloat, kDouble})
      for (const ScalarType b : {kBool, kLong, kFloat, kDouble})
        for (const ScalarType compute : {kLong, kFloat, kDouble}) {
          Buffer x(a, {n}), y(b, {n}), out(kDouble, {n});
          for (int64_t i = 0; i < n; ++i) x.set(i, static_cast<double>(i % 19 - 9)), y.set(i, static_cast<double>(i % 7 - 3));
          const TensorView in[] = {x.view(), y.view()};
          run_pointwise(arguments({Op::sub, compute, 2}, out.view(), in));
          int wrong = 0;
          for (int64_t i = 0; i < n; ++i) wrong += out.get(i) != x.get(i) - y.get(i);
          INFO(dtype_name(a) << " - " << dtype_name(b) << " in " << dtype_name(compute));
          CHECK(wrong == 0);
        }
  }
}

TEST_CASE("value scalars: right, left, alpha, value; converted to the compute type") {
  const int64_t n = 21;
  Buffer x(kFloat, {n}), y(kFloat, {n}), z(kFloat, {n}), out(kFloat, {n});
  for (int64_t i = 0; i < n; ++i) x.set(i, 0.25 * static_cast<double>(i)), y.set(i, 3.0 - static_cast<double>(i)), z.set(i, 0.5);
  const auto run = [&](Op op, uint8_t flags, std::vector<TensorView> in, std::vector<Scalar> scalars) {
    KernelArgs args = arguments({op, kFloat, 0}, out.view(), in);
    args.flags = flags;
    args.n_scalars = static_cast<uint8_t>(scalars.size());
    args.scalars = scalars.data();
    run_pointwise(args);
  };
  run(Op::sub, kScalarRhs, {x.view()}, {2});
  for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == x.get(i) - 2);
  run(Op::sub, kScalarLhs, {x.view()}, {2.5});
  for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == 2.5 - x.get(i));
  run(Op::sub, kScalarLhs | kHasAlpha, {x.view()}, {2.5, 3});
  for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == 2.5 - 3 * x.get(i));
  run(Op::add, kHasAlpha, {x.view(), y.view()}, {0.1});
  for (int64_t i = 0; i < n; ++i)
    CHECK(static_cast<float>(out.get(i)) == static_cast<float>(x.get(i)) + 0.1f * static_cast<float>(y.get(i)));
  run(Op::addcmul, 0, {x.view(), y.view(), z.view()}, {2});
  for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == x.get(i) + 2 * y.get(i) * z.get(i));
  KernelArgs clamp = arguments({Op::clamp, kFloat, 0, kClampMax}, out.view(), {});
  const TensorView in[] = {y.view()};
  const Scalar bound = 1;
  clamp.in = in, clamp.scalars = &bound, clamp.n_scalars = 1;
  run_pointwise(clamp);
  for (int64_t i = 0; i < n; ++i) CHECK(out.get(i) == std::min(y.get(i), 1.0));
}

TEST_CASE("in place, contiguous, transposed and of another compute type") {
  for (const std::vector<int64_t>& strides : {std::vector<int64_t>{29, 1}, {1, 23}, {60, 2}}) {
    Buffer x(kFloat, {23, 29}, strides), y(kDouble, {29}), before(kFloat, {23, 29});
    fill_random(x), fill_random(y);
    copy_strided(before.view(), x.view());
    const TensorView in[] = {x.view(), y.view()};
    run_pointwise(arguments({Op::mul, kDouble, 2}, x.view(), in));
    int wrong = 0;
    for (int64_t i = 0; i < 23; ++i)
      for (int64_t j = 0; j < 29; ++j) {
        const float want = static_cast<float>(before.get(i * 29 + j) * y.get(j));
        const float got = static_cast<float>(x.get(i * strides[0] + j * strides[1]));
        wrong += !(got == want || (std::isnan(got) && std::isnan(want)));
      }
    CHECK(wrong == 0);
  }
}

TEST_CASE("conversion between all types, every level, lengths and strides") {
  const double values[] = {0, -0.0, 1, -1, 2.75, -2.75, 1e10, NAN, INFINITY, -INFINITY, 1e-30, 9.3e18, -9.3e18, 16777217, 0.5};
  for (const Isa isa_level : kLevels) {
    const IsaCap cap(isa_level);
    for (const ScalarType from : {kBool, kLong, kFloat, kDouble})
      for (const ScalarType to : {kBool, kLong, kFloat, kDouble})
        for (const int64_t n : {1, 5, 16, 37, 200})
          for (const int64_t stride : {1, 3}) {
            Buffer src(from, {n}, {stride}), dst(to, {n}, {stride == 1 ? 2 : 1});
            const auto value = [&](int64_t i) {
              const double v = values[static_cast<size_t>(i) % std::size(values)];
              return from == kLong && !(std::fabs(v) < 9e18) ? 77.0 : v;
            };
            for (int64_t i = 0; i < n; ++i) src.set(i * stride, value(i));
            KernelArgs args = arguments({Op::to, to, 1}, dst.view(), {});
            const TensorView in[] = {src.view()};
            args.in = in;
            run_cast(args);
            int wrong = 0;
            for (int64_t i = 0; i < n; ++i) {
              const double v = src.get(i * stride), got = dst.get(i * (stride == 1 ? 2 : 1));
              double want = v;
              if (to == kBool) want = v != 0;
              if (to == kLong) want = std::fabs(v) < 9.2e18 ? std::trunc(v) : -9223372036854775808.0;
              if (to == kFloat) want = static_cast<float>(v);
              wrong += !(got == want || (std::isnan(got) && std::isnan(want)));
            }
            INFO(dtype_name(from) << " to " << dtype_name(to) << " n " << n << " stride " << stride << " "
                                  << isa_name(isa_level));
            CHECK(wrong == 0);
            CHECK(dst.guards_intact());
          }
  }
}

TEST_CASE("copy_ broadcasts, transposed copies, fill") {
  Buffer src(kFloat, {70, 45}), dst(kFloat, {45, 70});
  fill_random(src);
  copy_strided(dst.view(), {src.data(), kFloat, dst.sizes, IntArrayRef({1, 45})});
  int wrong = 0;
  for (int64_t i = 0; i < 45; ++i)
    for (int64_t j = 0; j < 70; ++j) wrong += std::memcmp(dst.data() + 4 * (i * 70 + j), src.data() + 4 * (j * 45 + i), 4) != 0;
  CHECK(wrong == 0);

  Buffer row(kLong, {70}), target(kFloat, {45, 70});
  for (int64_t i = 0; i < 70; ++i) row.set(i, static_cast<double>(i));
  const TensorView in[] = {target.view(), row.view()};
  run_cast(arguments({Op::copy_, kFloat, 2}, target.view(), in));
  for (int64_t i = 0; i < 45 * 70; ++i) wrong += target.get(i) != static_cast<double>(i % 70);
  CHECK(wrong == 0);

  for (const ScalarType t : {kBool, kLong, kFloat, kDouble})
    for (const int64_t stride : {1, 2}) {
      Buffer filled(t, {101}, {stride});
      const Scalar value = -3.0;
      KernelArgs args = arguments({Op::fill_, t, 1}, filled.view(), {});
      args.scalars = &value, args.n_scalars = 1;
      run_fill(args);
      for (int64_t i = 0; i < 101; ++i) wrong += filled.get(i * stride) != (t == kBool ? 1 : -3);
      CHECK(wrong == 0);
      CHECK(filled.guards_intact());
    }
}

TEST_CASE("a row without an expression in the type is refused by name") {
  Buffer x(kBool, {3}), out(kBool, {3});
  const TensorView in[] = {x.view()};
  CHECK_THROWS_AS(run_pointwise(arguments({Op::exp, kBool, 1}, out.view(), in)), DtypeError);
  CHECK_THROWS_WITH(run_pointwise(arguments({Op::exp, kBool, 1}, out.view(), in)), Catch::Contains("exp"));
}
