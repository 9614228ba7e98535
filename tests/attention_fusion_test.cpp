// Attention in its primitive spelling becomes one operator: when, when not, and always to the bit.
#include "engine/frame/compiled.h"
#include "engine/graph/build.h"
#include "engine/passes/passes.h"
#include "kernel_buffers.h"
#include "region_tape.h"
#include "runtime/ops/attention.h"
#include "support.h"

using namespace sinter;
using sinter::test::check_tape;
using sinter::test::EachIsa;
using sinter::test::Tape;

namespace {

enum class Scale { None, Times, Over };
enum class Mask { None, Added, Filled };

/// What a spelling consists of.
struct Spelling {
  int64_t batch = 2, heads = 3, queries = 17, keys = 20, depth = 12, width = 10;
  Scale scale = Scale::Times;
  Mask mask = Mask::None;
  ScalarType type = kFloat;
  bool four_dimensions = true;  // softmax and mask over [batch, heads, queries, keys]
  SizeVec mask_sizes = {2, 1, 1, 20};
  enum { Nothing, ScoresLive, WeightsLive, ScoresTwice, OtherDim, Alpha, MaskFirst } odd = Nothing;
};

/// Heads of a [batch, rows, heads * n] input as [batch * heads, rows, n]; of one batch a view.
int heads_of(Tape& t, const Spelling& s, int64_t rows, int64_t n) {
  int x = t.call(Op::view, {t.input({s.batch, rows, s.heads * n}, s.type)}, 0, {s.batch, rows, s.heads, n});
  x = t.call(Op::transpose, {x}, 1 | 2 << 8);
  if (s.batch > 1) x = t.call(Op::clone, {x}, 1);
  return t.call(Op::view, {x}, 0, {s.batch * s.heads, rows, n});
}

int masked(Tape& t, const Spelling& s, int x) {
  if (s.mask == Mask::Filled) {
    const int fill = t.call(Op::full, {}, static_cast<uint64_t>(s.type), {}, {Scalar(-1.5)});
    return t.call(Op::where, {t.input(s.mask_sizes, kBool), fill, x});
  }
  if (s.mask == Mask::None) return x;
  const int mask = t.input(s.mask_sizes, s.type);
  if (s.odd == Spelling::Alpha) return t.call(Op::add, {x, mask}, 0, {}, {Scalar(2.0)}, kHasAlpha);
  return s.odd == Spelling::MaskFirst ? t.binary(Op::add, mask, x) : t.binary(Op::add, x, mask);
}

Tape write_down(const Spelling& s, uint64_t seed) {
  Tape t(seed);
  const int q = heads_of(t, s, s.queries, s.depth), k = heads_of(t, s, s.keys, s.depth), v = heads_of(t, s, s.keys, s.width);
  const int scores = t.call(Op::bmm, {q, t.call(Op::transpose, {k}, 1 | 2 << 8)});
  int x = scores;
  if (s.four_dimensions) x = t.call(Op::view, {x}, 0, {s.batch, s.heads, s.queries, s.keys});
  if (s.scale == Scale::Times) x = t.scalar(Op::mul, x, Scalar(0.3));
  if (s.scale == Scale::Over) x = t.scalar(Op::div, x, Scalar(3.7));
  x = masked(t, s, x);
  const uint64_t last = s.four_dimensions ? 3 : 2;
  const int weights = t.call(Op::_softmax, {x}, s.odd == Spelling::OtherDim ? last - 1 : last);
  const int flat = s.four_dimensions ? t.call(Op::view, {weights}, 0, {s.batch * s.heads, s.queries, s.keys}) : weights;
  t.live(t.call(Op::bmm, {flat, v}));
  if (s.odd == Spelling::ScoresLive) t.live(scores);
  if (s.odd == Spelling::WeightsLive) t.live(weights);
  if (s.odd == Spelling::ScoresTwice) t.live(t.unary(Op::exp, scores));
  return t;
}

/// Attention operators in the region's program, which gives eager's bits on every level.
int fused(const Spelling& s, uint64_t seed = 1) {
  const Tape t = write_down(s, seed);
  int count = -1;
  for (const Isa level : EachIsa()) {
    if (level == Isa::None) continue;
    set_isa_cap(level);
    INFO(isa_name(level));
    const auto program = check_tape(t);
    REQUIRE(program);
    count = 0;
    for (const GraphNode& n : program->graph.nodes) count += !n.dead && n.op == Op::scaled_dot_product_attention;
  }
  return count;
}

}  // namespace

TEST_CASE("attention in its primitive spelling is one operator with the same bits") {
  set_verify_passes(true);
  Spelling s;
  s.type = GENERATE(kFloat, kDouble);
  s.batch = GENERATE(1, 2);
  s.scale = GENERATE(Scale::None, Scale::Times, Scale::Over);
  s.mask = GENERATE(Mask::None, Mask::Added, Mask::Filled);
  s.four_dimensions = GENERATE(true, false);
  s.mask_sizes = {s.batch, 1, 1, s.keys};
  if (!s.four_dimensions) s.mask_sizes = {s.queries, 1};
  CHECK(fused(s) == 1);
}

TEST_CASE("masks of every shape that broadcasts, long keys and deep queries") {
  set_verify_passes(true);
  Spelling s;
  s.mask = GENERATE(Mask::Added, Mask::Filled);
  for (const SizeVec& sizes : {SizeVec{}, {1}, {20}, {17, 1}, {17, 20}, {3, 17, 20}, {3, 1, 1}, {2, 3, 17, 20}, {2, 1, 17, 1}}) {
    s.mask_sizes = sizes;
    INFO(to_string(sizes));
    CHECK(fused(s) == 1);
  }
  s.keys = 1300, s.heads = 1, s.mask_sizes = {1300};
  CHECK(fused(s) == 1);
  s.keys = 20, s.depth = 1100, s.mask_sizes = {20};
  CHECK(fused(s) == 1);
}

TEST_CASE("attention whose scores or weights something else needs stays as it is") {
  set_verify_passes(true);
  Spelling s;
  s.mask = Mask::Added;
  for (const auto odd : {Spelling::ScoresLive, Spelling::WeightsLive, Spelling::ScoresTwice, Spelling::OtherDim, Spelling::Alpha,
                         Spelling::MaskFirst}) {
    s.odd = odd;
    INFO(odd);
    CHECK(fused(s) == 0);
  }
}

TEST_CASE("products of few rows are summed in lanes, which the operator does not do") {
  set_verify_passes(true);
  Spelling s;
  s.batch = 1;
  for (const int64_t few : {1, 8}) {
    s.queries = few, s.keys = 20;
    CHECK(fused(s) == 0);
    s.queries = 17, s.keys = few;
    CHECK(fused(s) == 0);
  }
  s.queries = s.keys = 9;
  CHECK(fused(s) == 1);
}

TEST_CASE("a compiled function's attention is fused, unless a backward pass needs its weights") {
  manual_seed(1);
  const auto attend = [](const Tensor& x) {
    const Tensor h = x.view({1, 16, 2, 8}).transpose(1, 2);
    return matmul(softmax(matmul(h, h.transpose(-2, -1)) * 0.5, -1), h).transpose(1, 2).reshape({1, 16, 16});
  };
  auto f = compile(attend);
  const Tensor x = randn({1, 16, 16});
  for (int i = 0; i < 3; ++i) CHECK(sinter::test::same_bits(f(x), attend(x)));
  CHECK_THAT(explain(f)(x).str(), Catch::Contains("attention_16x16x8"));
  Tensor a = x.clone().requires_grad_(), b = x.clone().requires_grad_();
  auto g = compile(attend);
  for (int i = 0; i < 3; ++i) {
    const Tensor y = g(a), z = attend(b);
    CHECK(sinter::test::same_bits(y, z));
    y.pow(2).sum().backward();
    z.pow(2).sum().backward();
    CHECK(sinter::test::same_bits(a.grad(), b.grad()));
  }
}

TEST_CASE("a program for many sizes is not used where products are summed in another order") {
  manual_seed(2);
  const NoGradGuard no_grad;
  const auto attend = [](const Tensor& x) {
    const Tensor h = x.view({x.size(0), x.size(1), 2, 8}).transpose(1, 2);
    return matmul(softmax(matmul(h, h.transpose(-2, -1)) / 3, -1), h).transpose(1, 2).reshape(x.sizes());
  };
  auto f = compile(attend);
  for (const int64_t batch : {1, 2})
    for (const int64_t length : {16, 24, 40, 100, 9, 8, 5, 1, 33, 3}) {
      const Tensor x = randn({batch, length, 16});
      INFO(batch << " x " << length);
      CHECK(sinter::test::same_bits(f(x), attend(x)));
    }
}
