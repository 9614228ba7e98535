// What the fuzzers found, each by name.
#include <cmath>
#include <limits>
#include "engine/graph/build.h"
#include "engine/passes/passes.h"
#include "region_tape.h"
#include "runtime/cpu.h"
#include "runtime/random.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

TEST_CASE("embedding copies rows of a bool table that are not dense element by element") {  // was 8 bytes each
  const Tensor weight = tensor({{true, false, true, false}, {false, true, true, false}}).t();
  const Tensor rows = embedding(weight, tensor({{2, 0}, {3, 3}}));
  REQUIRE(same_bits(rows, tensor({{{true, true}, {true, false}}, {{false, false}, {false, false}}})));
}

TEST_CASE("randperm of more numbers than there is memory for is refused before any is drawn") {  // was std::bad_alloc
  manual_seed(5);
  const Tensor expected = rand({3});
  manual_seed(5);
  REQUIRE_THROWS_AS(randperm(int64_t{1} << 48), OutOfMemoryError);
  REQUIRE_THROWS_AS(randperm(INT64_MAX), ShapeError);
  REQUIRE(same_bits(rand({3}), expected));
}

TEST_CASE("chunks of huge number") {  // n + chunks - 1 overflowed
  REQUIRE(chunk(ones({5}), INT64_MAX).size() == 5);
  REQUIRE(chunk(ones({0}), INT64_MAX).size() == 1);
  REQUIRE(chunk(ones({5}), 2).size() == 2);
  REQUIRE(split(ones({5}), INT64_MAX).size() == 1);
}

TEST_CASE("in-place scatter_add and index_add refuse to read what they write") {  // eager saw new elements, compiled old ones
  const Tensor index = tensor({1, 2, 0});
  const auto scatter = [&](const Tensor& x) { return x.scatter_add_(0, index, x); };
  const auto add = [&](const Tensor& x) { return x.index_add_(0, index, x); };
  const auto from_view = [&](const Tensor& x) { return x.index_add_(0, index, x.view({3})); };
  const auto from_itself = [&](const Tensor& x) { return x.index_add_(0, x, ones({3}, kLong)); };
  REQUIRE_THROWS_AS(scatter(ones({3})), ValueError);
  REQUIRE_THROWS_AS(compile(scatter)(ones({3})), ValueError);
  REQUIRE_THROWS_AS(add(ones({3})), ValueError);
  REQUIRE_THROWS_AS(compile(add)(ones({3})), ValueError);
  REQUIRE_THROWS_AS(from_view(ones({3})), ValueError);
  REQUIRE_THROWS_AS(compile(from_view)(ones({3})), ValueError);
  REQUIRE_THROWS_AS(from_itself(zeros({3}, kLong)), ValueError);
  const Tensor x = ones({3});
  REQUIRE(same_bits(x.index_add_(0, index, x.clone()), full({3}, 2.0)));
  REQUIRE(same_bits(scatter_add(x, 0, index, x), full({3}, 4.0)));
}

TEST_CASE("an element written several times holds what eager leaves there") {  // strides of 2 over a row of 5, twice
  const auto f = [](const Tensor& x, const Tensor& y) { return x.copy_(y).sigmoid(); };
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) {
    const Tensor a = empty_strided({3, 5, 5, 4}, {5, 2, 2, 6}), b = empty_strided({3, 5, 5, 4}, {5, 2, 2, 6});
    const Tensor y = randn({3, 5, 5, 4});
    REQUIRE(same_bits(f(a, y), g(b, y)));
    REQUIRE(same_bits(a, b));
  }
}

TEST_CASE("gradients that do not fit are refused by the backward operators themselves") {  // were read out of bounds
  const auto backward = [](Op op, std::vector<Tensor> in, uint64_t attr, std::vector<int64_t> ints) {
    std::vector<TensorImpl*> impls;
    for (const Tensor& t : in) impls.push_back(t.impl());
    OpCall c{.op = op};
    c.n_in = static_cast<uint16_t>(impls.size()), c.in = impls.data(), c.attr = attr, c.ints = ints;
    return infer(c, kFloat);
  };
  const Tensor x = randn({4, 3}), target = zeros({4}, kLong);
  REQUIRE_NOTHROW(backward(Op::nll_loss_backward, {ones({}), x, target}, loss_attr(1, -100), {}));
  REQUIRE_THROWS_AS(backward(Op::nll_loss_backward, {ones({0}), x, target}, loss_attr(1, -100), {}), ShapeError);
  REQUIRE_THROWS_AS(backward(Op::nll_loss_backward, {ones({}), x, target}, loss_attr(0, -100), {}), ShapeError);
  REQUIRE_THROWS_AS(backward(Op::nll_loss_backward, {ones({}, kDouble), x, target}, loss_attr(1, -100), {}), ShapeError);
  REQUIRE_NOTHROW(backward(Op::embedding_dense_backward, {x, target}, 0, {5}));
  REQUIRE_THROWS_AS(backward(Op::embedding_dense_backward, {ones({4, 3}, kBool), target}, 0, {5}), DtypeError);
}

TEST_CASE("outputs settled before a copy goes keep their bytes in another shape") {  // the copy read [17, 1] as [17]
  Tape t;
  const int x = t.input({17}, kLong);
  const int column = t.call(Op::unsqueeze, {x}, 1);
  t.call(Op::copy_, {column, column});
  Graph g;
  REQUIRE(build_graph(t.region, g));
  settle_outputs(g);
  simplify(g);
  settle_outputs(g);
  g.verify();
  for (const GraphOutput& out : g.outputs) {
    const GraphNode& n = g[out.value];
    if (!n.is_input()) REQUIRE(n.meta.sizes == g[n.in[0]].meta.sizes);
  }
}

TEST_CASE("what does not fit into 63 bits becomes the least int64, eager and compiled, at every level") {
  const struct CapBack {
    ~CapBack() { set_isa_cap(Isa::Avx512); }
  } back;
  const double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  const double values[] = {nan, -nan, inf, -inf, 9223372036854775808.0, -9223372036854775808.0, 1e19, -1e19,
                           3.9, -3.9, 0.5, 1e18};
  const int64_t least = INT64_MIN;
  const int64_t want[] = {least, least, least, least, least, least, least, least, 3, -3, 0, 1000000000000000000};
  for (const Isa level : {Isa::Avx512, Isa::Avx2, Isa::None}) {
    set_isa_cap(level);
    for (const ScalarType from : {kDouble, kFloat})
      for (int64_t n : {1, 3, 8, 17, 40}) {
        Tensor x = empty({n}, kDouble);
        for (int64_t i = 0; i < n; ++i) x.data_ptr<double>()[i] = values[i % 12];
        x = x.to(from);
        auto g = compile([](const Tensor& t) { return t.to(kLong) + 0; });
        const Tensor eager = x.to(kLong), compiled = g(x);
        for (int64_t i = 0; i < n; ++i) {
          if (from == kFloat && i % 12 == 11) continue;  // 1e18 is another number in float
          REQUIRE(eager.const_data_ptr<int64_t>()[i] == want[i % 12]);
        }
        REQUIRE(same_bits(eager, compiled));
      }
  }
}

TEST_CASE("a padding row as large as int64 goes is refused") {  // padding_idx + 1 overflowed
  const Tensor weight = randn({3, 2});
  REQUIRE_THROWS_WITH(embedding(weight, tensor({0, 2}), INT64_MAX), Catch::Contains("Padding_idx must be within num_embeddings"));
}

// The address of the pending operand was computed from a null pointer.
TEST_CASE("values of an index are checked beside a pending view of another offset") {
  auto g = compile([](const Tensor& x, const Tensor& i) { return index_select((x * 2).slice(0, 1), 0, i); });
  const Tensor x = randn({4, 2}), i = tensor({int64_t{2}, int64_t{0}});
  for (int k = 0; k < 3; ++k) REQUIRE(same_bits(g(x, i), index_select((x * 2).slice(0, 1), 0, i)));
}
