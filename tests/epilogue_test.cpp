// Programs in which matrix products take over what is done to their elements: the bits of eager, one step where there were two.
#include "codegen/kernel.h"
#include "region_tape.h"
#include "runtime/allocator.h"
#include "runtime/cpu.h"
#include "support.h"

using namespace sinter;
using sinter::test::check_tape;
using sinter::test::same_bits;
using sinter::test::Tape;

namespace {

/// Kernels and products of the region's program, which gives eager's bits; {-1, -1} without generated code.
struct Steps {
  int kernels, products;
  friend bool operator==(const Steps&, const Steps&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Steps& s) {
    return out << s.kernels << " kernels, " << s.products << " products";
  }
};
constexpr Steps kNone = {-1, -1};

Steps steps_of(const Tape& t, std::string* listing = nullptr) {
  const auto p = check_tape(t);
  if (!p) return kNone;
  if (listing) *listing = p->str();
  INFO(p->str());
  REQUIRE(p->n_eager == 0);
  return {p->n_kernels, p->n_products};
}

bool compiles() { return codegen::jit_available(); }

/// x [m, k] times a weight [n, k].
int linear(Tape& t, int64_t m, int64_t n, int64_t k, bool bias = true, ScalarType type = kFloat) {
  std::vector<int> in = {t.input({m, k}, type), t.input({n, k}, type)};
  if (bias) in.push_back(t.input({n}, type));
  return t.call(Op::linear, in);
}

}  // namespace

TEST_CASE("activations, scales, clamps and rows end in the product's registers") {
  if (!compiles()) return;
  struct Act {
    const char* name;
    int (*make)(Tape&, int, int64_t);
    bool is_long = false;
  };
  const Act acts[] = {
      {"relu", [](Tape& t, int z, int64_t) { return t.unary(Op::relu, z); }},
      {"gelu", [](Tape& t, int z, int64_t) { return t.unary(Op::gelu, z); }, true},
      {"tanh", [](Tape& t, int z, int64_t) { return t.unary(Op::tanh, z); }, true},
      {"sigmoid", [](Tape& t, int z, int64_t) { return t.unary(Op::sigmoid, z); }, true},
      {"silu", [](Tape& t, int z, int64_t) { return t.binary(Op::mul, z, t.unary(Op::sigmoid, z)); }, true},
      {"scale", [](Tape& t, int z, int64_t) { return t.scalar(Op::mul, z, Scalar(0.125)); }},
      {"clamp",
       [](Tape& t, int z, int64_t) {
         return t.call(Op::clamp, {z}, 3, {}, {Scalar(-0.5), Scalar(0.75)});
       }},
      {"row", [](Tape& t, int z, int64_t n) { return t.unary(Op::relu, t.binary(Op::mul, z, t.input({n}))); }},
      {"view",
       [](Tape& t, int z, int64_t n) {
         return t.unary(Op::neg, t.call(Op::view, {z}, 0, {3, t.meta(z).sizes[0] / 3, n}));
       }},
  };
  for (const Act& act : acts)
    for (const int64_t m : {9, 33, 66})
      for (const int64_t n : {1, 17, 48}) {
        Tape t(static_cast<uint64_t>(m * n));
        t.specials = m == 33;
        t.live(act.make(t, linear(t, m, n, 20), n));
        INFO(act.name << " of " << m << " x " << n);
        CHECK(steps_of(t) == Steps{n == 1 && (act.is_long || m < 65), 1});  // sums along lanes, few and one by one
      }
}

TEST_CASE("few rows: short epilogues only, and both forms of a batch") {
  if (!compiles()) return;
  for (const int64_t m : {1, 3, 8}) {
    Tape t, u;
    t.live(t.unary(Op::relu, linear(t, m, 100, 100)));
    CHECK(steps_of(t) == Steps{0, 1});
    u.live(u.unary(Op::gelu, linear(u, m, 100, 100)));
    CHECK(steps_of(u) == Steps{1, 1});  // a kernel computes whole vectors
  }
  Tape b;
  const int p = b.binary(Op::bmm, b.input({3, 20, 30}), b.input({3, 30, 40}));
  b.live(b.binary(Op::add, b.unary(Op::tanh, p), b.input({3, 20, 40})));
  CHECK(steps_of(b) == Steps{0, 1});
}

TEST_CASE("residuals and derivatives are read as the product's elements leave") {
  if (!compiles()) return;
  Tape t;
  const int z = t.binary(Op::mm, t.input({40, 64}), t.input({64, 48}));
  t.live(t.binary(Op::add, t.input({40, 48}), z));
  CHECK(steps_of(t) == Steps{0, 1});
  Tape u;
  const int g = u.binary(Op::mm, u.input({40, 64}), u.input({64, 48}));
  u.live(u.binary(Op::threshold_backward, g, u.input({40, 48})));
  CHECK(steps_of(u) == Steps{0, 1});
  Tape two;  // the later product takes the earlier one's result as its residual
  const int a = two.binary(Op::mm, two.input({40, 64}), two.input({64, 48})),
            b = two.binary(Op::mm, two.input({40, 32}), two.input({32, 48}));
  two.live(two.unary(Op::tanh, two.binary(Op::add, a, b)));
  CHECK(steps_of(two) == Steps{0, 2});
}

TEST_CASE("what is needed elsewhere too is stored") {
  if (!compiles()) return;
  Tape live;
  const int z = linear(live, 20, 30, 40);
  live.live(z);
  live.live(live.unary(Op::relu, z));
  CHECK(steps_of(live) == Steps{1, 1});
  Tape twice;
  const int y = linear(twice, 20, 30, 40);
  twice.live(twice.binary(Op::mm, twice.unary(Op::exp, y), twice.call(Op::t, {y})));
  CHECK(steps_of(twice) == Steps{1, 2});
  Tape transposed;
  const int s = transposed.binary(Op::mm, transposed.input({20, 30}), transposed.input({30, 20}));
  transposed.live(transposed.binary(Op::add, s, transposed.call(Op::t, {s})));
  CHECK(steps_of(transposed) == Steps{1, 1});
  Tape square;  // one operand: read once
  const int q = linear(square, 20, 30, 40);
  square.live(square.binary(Op::mul, q, q));
  CHECK(steps_of(square) == Steps{0, 1});
  Tape sum;
  sum.live(sum.sum(sum.unary(Op::relu, linear(sum, 20, 30, 40)), 1));
  CHECK(steps_of(sum) == Steps{1, 1});  // a reduction is a kernel's
}

TEST_CASE("results written over inputs") {
  if (!compiles()) return;
  // x += a b: element by element, in place.
  Tape t;
  const int x = t.input({40, 48}), a = t.input({40, 32}), b = t.input({32, 48});
  t.call(Op::add, {x, t.binary(Op::mm, a, b)}, 0, {}, {}, kInplace);
  CHECK(steps_of(t) == Steps{0, 1});
  // x = relu(x w): every element of x is read by many of the result.
  Tape u;
  const int y = u.input({40, 40}), w = u.input({40, 40});
  u.call(Op::copy_, {y, u.unary(Op::relu, u.binary(Op::mm, y, w))});
  check_tape(u);
  // w -= 0.1 * (x^t g), as an optimizer does it.
  Tape v;
  const int p = v.input({32, 50});
  const int grad = v.binary(Op::mm, v.call(Op::t, {v.input({64, 32})}), v.input({64, 50}));
  v.call(Op::add, {p, grad}, 0, {}, {Scalar(-0.1)}, kInplace | kHasAlpha);
  CHECK(steps_of(v) == Steps{0, 1});
}

TEST_CASE("the listing says what happens in registers") {
  if (!compiles()) return;
  Tape t;
  t.live(t.unary(Op::relu, linear(t, 64, 48, 100)));
  std::string listing;
  REQUIRE(steps_of(t, &listing) == Steps{0, 1});
  CHECK(listing.find("gemm_64x48x100_bias_relu") != std::string::npos);
  CHECK(listing.find("in registers") != std::string::npos);
  const auto p = check_tape(t);
  CHECK(p->assembly().at(0).second.find("vmax") != std::string::npos);
}

TEST_CASE("a compiled model of layers with activations has no kernels of its own, and scalars may change") {
  if (!compiles()) return;
  manual_seed(5);
  nn::Linear fc1(70, 90), fc2(90, 33);
  double factor = 1.5;
  const auto f = [&](const Tensor& x) { return sigmoid(fc2(gelu(fc1(x)) * factor)); };
  auto g = compile(f);
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({20, 70});
    factor += 0.25;
    REQUIRE(same_bits(f(x), g(x)));
  }
  REQUIRE(g.stats().eager_fallbacks == 0);
}

TEST_CASE("out of memory leaves outputs and inputs of a product with an epilogue as they were") {
  Tape t;
  const int z = t.binary(Op::mm, t.unary(Op::exp, t.input({100, 120})), t.input({120, 90}));
  t.live(t.unary(Op::tanh, z));
  const auto program = check_tape(t);
  if (!program) return;
  for (int64_t nth = 1; nth <= 2; ++nth) {
    auto bytes = t.input_bytes;
    void* addresses[2] = {bytes[0].data(), bytes[1].data()};
    Storage* output = Storage::empty();
    fail_allocation_after(nth);
    REQUIRE_THROWS_AS(program->run({addresses, t.scalars.data(), &output}), OutOfMemoryError);
    fail_allocation_after(0);
    REQUIRE(bytes == t.input_bytes);
    REQUIRE(output->data == nullptr);
    output->release();
  }
}
