// Random regions: chains of operators, views, in-place calls and live sets, program against eager kernels.
#include "codegen/kernel.h"
#include "engine/passes/passes.h"
#include "region_tape.h"
#include "runtime/cpu.h"
#include "runtime/error.h"

using namespace sinter;
using sinter::test::check_tape;
using sinter::test::Tape;

namespace {

class Generator {
 public:
  explicit Generator(uint64_t seed) : tape(seed) {
    tape.specials = seed % 3 == 0;
    for (int i = 0; i < 3; ++i) slots_.push_back(tape.input(shape(), type()));
    const int64_t n = pick(6) + 1, m = pick(20) + 1;
    slots_.push_back(tape.input({n, m}, kFloat, {1, n}));
    slots_.push_back(tape.input({m, n}));
    const int steps = 3 + static_cast<int>(pick(25));
    for (int i = 0; i < steps; ++i) try_step();
    for (size_t s = 0; s < slots_.size(); ++s)
      if (tape.region.slots[tape.root(slots_[s])].input < 0 && pick(3) == 0) add_live(tape.root(slots_[s]));
    std::sort(tape.region.live.begin(), tape.region.live.end());
  }
  Tape tape;

 private:
  int64_t pick(int64_t n) { return static_cast<int64_t>(tape.random() % static_cast<uint64_t>(n)); }
  ScalarType type() { return pick(4) ? kFloat : static_cast<ScalarType>(pick(4)); }
  SizeVec shape() {
    static const SizeVec shapes[] = {{4, 17}, {17}, {4, 1}, {}, {3, 4, 17}, {17, 4}, {4, 4}};
    return shapes[pick(7)];
  }
  int any() { return slots_[static_cast<size_t>(pick(static_cast<int64_t>(slots_.size())))]; }
  void add_live(int root) {
    if (std::find(tape.region.live.begin(), tape.region.live.end(), root) == tape.region.live.end())
      tape.region.live.push_back(root);
  }
  void try_step() {
    try {
      const int s = step();
      if (s >= 0) slots_.push_back(s);
    } catch (const Error&) {}  // shapes or types that eager refuses
  }
  int step() {
    static const Op kUnary[] = {Op::neg, Op::sign, Op::exp, Op::sin, Op::tanh, Op::relu, Op::sigmoid, Op::sqrt, Op::logical_not};
    static const Op kBinary[] = {Op::add, Op::sub, Op::mul, Op::div, Op::maximum, Op::lt, Op::eq, Op::mm, Op::threshold_backward};
    static const Op kReduce[] = {Op::sum, Op::amax, Op::mean, Op::amin};
    const int a = any();
    const auto rank = static_cast<int64_t>(tape.meta(a).sizes.size());
    switch (pick(16)) {
      case 0:
      case 1:
        return tape.unary(kUnary[pick(9)], a);
      case 2:
      case 3:
        return tape.binary(kBinary[pick(9)], a, any());
      case 4:
        return tape.scalar(kBinary[pick(5)], a, pick(2) ? Scalar(1.25) : Scalar(pick(4)));
      case 5:
        return tape.call(
            kReduce[pick(4)], {a},
            reduce_attr(static_cast<uint32_t>(pick(1 << rank)), pick(2) != 0, static_cast<uint8_t>(ScalarType::Undefined)));
      case 6:
        return rank == 0 ? -1 : tape.call(pick(2) ? Op::_softmax : Op::_log_softmax, {a}, static_cast<uint64_t>(pick(rank)));
      case 7:
        return view(a, rank);
      case 8:
        return tape.call(kBinary[pick(5)], {a, any()}, 0, {}, {}, kInplace);
      case 9:
        return pick(2) ? tape.call(Op::copy_, {a, any()}) : tape.call(Op::mul, {a}, 0, {}, {Scalar(0.5)}, kInplace | kScalarRhs);
      case 11:
        return library(a, rank);
      case 12:
        return tape.call(Op::where, {tape.binary(Op::gt, a, any()), any(), any()});
      case 13:
        return tape.call(Op::clamp, {a}, 3, {}, {Scalar(-0.5), Scalar(0.5)});
      case 14:
        return tape.call(Op::add, {a, any()}, 0, {}, {Scalar(0.1)}, static_cast<uint8_t>(kHasAlpha | (pick(2) ? kInplace : 0)));
      case 10:
        return tape.call(Op::to, {a}, static_cast<uint64_t>(pick(4)));
      default:
        return tape.call(Op::clone, {a}, static_cast<uint64_t>(pick(2)));
    }
  }
  int library(int a, int64_t rank) {
    if (rank == 0) return -1;
    const std::vector<Scalar> eps{Scalar(1e-5)};
    switch (pick(5)) {
      case 0:
        return tape.call(Op::layer_norm, {a}, static_cast<uint64_t>(1 + pick(rank)), {}, eps);
      case 1:
        return tape.call(Op::layer_norm_backward_input, {a, a}, 1, {}, eps);
      case 2:
        return tape.call(Op::layer_norm_backward_weight, {a, any()}, 1, {}, eps);
      case 3:
        return tape.call(Op::cat, {a, a}, static_cast<uint64_t>(pick(rank)));
      default:
        return tape.call(Op::_softmax_backward_data, {a, a}, static_cast<uint64_t>(rank - 1));
    }
  }
  int view(int a, int64_t rank) {
    if (rank == 0) return tape.call(Op::unsqueeze, {a}, 0);
    const auto d = static_cast<uint64_t>(pick(rank));
    const int64_t n = tape.meta(a).sizes[d];
    switch (pick(6)) {
      case 0:
        return rank == 2 ? tape.call(Op::t, {a}) : tape.call(Op::transpose, {a}, d);
      case 1:
        return tape.call(Op::select, {a}, d, {pick(n)});
      case 2:
        return tape.call(Op::slice, {a}, d, {pick(n), n, 1 + pick(2)});
      case 3:
        return tape.call(Op::unsqueeze, {a}, d);
      case 4: {
        std::vector<int64_t> sizes{3};
        for (int64_t s : tape.meta(a).sizes) sizes.push_back(s);
        return tape.call(Op::expand, {a}, 0, sizes);
      }
      default:
        return tape.call(Op::view, {a}, 0, {numel_of(tape.meta(a).sizes)});
    }
  }
  std::vector<int> slots_;
};

}  // namespace

namespace {

/// Returns whether the region had a program.
bool check_seed(uint64_t seed) {
  INFO("PROGRAM_TEST_SEED=" << seed);
  Generator g(seed);
  try {
    sinter::test::Interpreted alone(g.tape);
  } catch (const DtypeError&) {
    return false;  // an operator that eager has no kernel for in this type
  }
  const Isa cap = isa();
  if (seed % 2 && cap == Isa::Avx512) set_isa_cap(Isa::Avx2);
  const bool compiled = check_tape(g.tape) != nullptr;
  set_isa_cap(cap);
  return compiled;
}

}  // namespace

/// PROGRAM_TEST_SEED=n checks one seed, PROGRAM_TEST_COUNT=m so many from there on.
TEST_CASE("random regions") {
  set_verify_passes(true);
  const char *first_text = std::getenv("PROGRAM_TEST_SEED"), *count_text = std::getenv("PROGRAM_TEST_COUNT");
  const uint64_t first = first_text ? std::strtoull(first_text, nullptr, 10) : 1;
  const uint64_t count = count_text ? std::strtoull(count_text, nullptr, 10) : first_text ? 1 : 600;
  uint64_t compiled = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) compiled += check_seed(seed);
  if (codegen::jit_available() && count > 100) REQUIRE(compiled > count / 2);  // the others write through parts of their base
}

TEST_CASE("seeds that once found something") {
  check_seed(114813);  // spill slots of strided stores in kernels with many values
}
