// Region to graph: views and writes become values.
#include "engine/graph/build.h"
#include "engine/graph/geometry.h"
#include "region_tape.h"
#include "runtime/error.h"

using namespace sinter;
using sinter::test::Tape;

namespace {
Graph built(const Tape& t) {
  Graph g;
  REQUIRE(build_graph(t.region, g));
  g.verify();
  return g;
}
int count_op(const Graph& g, Op op) {
  int n = 0;
  for (const auto& node : g.nodes) n += !node.dead && !node.is_input() && node.op == op;
  return n;
}
}  // namespace

TEST_CASE("a chain becomes nodes in order") {
  Tape t;
  const int x = t.input({4, 5}), y = t.input({5});
  const int z = t.unary(Op::relu, t.binary(Op::add, x, y));
  t.live(z);
  const Graph g = built(t);
  REQUIRE(g.nodes.size() == 4);
  REQUIRE(g.outputs.size() == 1);
  REQUIRE(g[g.outputs[0].value].op == Op::relu);
  REQUIRE(g.str().find("%2 = add(%0, %1) : f32[4, 5]  # test.cpp:1") != std::string::npos);
}

TEST_CASE("an in-place call on an input makes a new value and a write-back") {
  Tape t;
  const int x = t.input({4});
  t.call(Op::add, {x}, 0, {}, {Scalar(1.0)}, kInplace | kScalarRhs);
  const int y = t.scalar(Op::mul, x, 2.0);
  t.live(y);
  const Graph g = built(t);
  REQUIRE(g.outputs.size() == 2);
  REQUIRE(g.outputs[1].input == 0);
  REQUIRE(g[g.outputs[0].value].in[0] == g.outputs[1].value);  // the read sees the new value
}

TEST_CASE("a view reads the newest value of its base") {
  Tape t;
  const int x = t.input({4, 3});
  const int v = t.call(Op::transpose, {x}, 0 | 1 << 8);
  const int before = t.unary(Op::neg, v);
  t.call(Op::fill_, {x}, 0, {}, {Scalar(2.0)});
  const int after = t.unary(Op::neg, v);
  t.live(before);
  t.live(after);
  const Graph g = built(t);
  const ValueId a = g[g.outputs[0].value].in[0], b = g[g.outputs[1].value].in[0];
  REQUIRE(a != b);
  REQUIRE(g[a].op == Op::transpose);
  REQUIRE(g[g[a].in[0]].is_input());
  REQUIRE(g[g[b].in[0]].op == Op::full);
}

TEST_CASE("a write through a reshaped view of the whole is a new value") {
  Tape t;
  const int x = t.input({4, 3});
  const int flat = t.call(Op::view, {x}, 0, {12});
  t.call(Op::mul, {flat}, 0, {}, {Scalar(3.0)}, kInplace | kScalarRhs);
  const Graph g = built(t);
  REQUIRE(g.outputs.size() == 1);
  REQUIRE(g[g.outputs[0].value].op == Op::view);
}

TEST_CASE("a write through a part, and overlapping inputs, are refused") {
  Tape t;
  const int x = t.input({4, 3});
  const int row = t.call(Op::select, {x}, 0, {1});
  t.call(Op::fill_, {row}, 0, {}, {Scalar(1.0)});
  Graph g;
  REQUIRE_FALSE(build_graph(t.region, g));
  Tape u;
  u.call(Op::neg, {u.input({3})}, 0, {}, {}, kInplace);
  u.region.overlapping_writes = true;
  Graph h;
  REQUIRE_FALSE(build_graph(u.region, h));
}

TEST_CASE("a write that reads other elements of its own memory is refused") {
  Tape t;
  const int x = t.input({4, 4});
  const int column = t.call(Op::select, {x}, 1, {3});
  t.call(Op::copy_, {x, column});
  Graph g;
  REQUIRE_FALSE(build_graph(t.region, g));
}

TEST_CASE("the verifier names the broken node") {
  Tape t;
  t.live(t.unary(Op::exp, t.input({4})));
  Graph g = built(t);
  SECTION("order") { g[1].in[0] = 1; }
  SECTION("operand count") { g[1].in.clear(); }
  SECTION("broadcast") { g[0].meta.sizes = {3}; }
  SECTION("view outside its base") {
    GraphNode v;
    v.op = Op::slice;
    v.in = {1};
    v.meta = g[1].meta;
    v.meta.offset = 1;
    g.add(v);
  }
  REQUIRE_THROWS_AS(g.verify(), Error);
}

TEST_CASE("view_dims follows permutations and broadcasts only") {
  TensorMeta base{kFloat, {2, 3}, {3, 1}, 0};
  int8_t to[8];
  REQUIRE(view_dims({kFloat, {3, 2}, {1, 3}, 0}, base, to));
  REQUIRE(int(to[0]) == 1);
  REQUIRE(int(to[1]) == 0);
  REQUIRE(view_dims({kFloat, {5, 2, 1, 3}, {0, 3, 7, 1}, 0}, base, to));
  REQUIRE(int(to[0]) == -1);
  REQUIRE_FALSE(view_dims({kFloat, {2, 2}, {3, 1}, 0}, base, to));  // a slice
  REQUIRE_FALSE(view_dims({kFloat, {6}, {1}, 0}, base, to));        // a reshape
  REQUIRE_FALSE(view_dims({kFloat, {2, 3}, {3, 1}, 1}, base, to));  // elsewhere
}

TEST_CASE("the same geometry: offset and strides count, those of size-1 dimensions do not") {
  const TensorMeta m{kFloat, {2, 1, 3}, {3, 7, 1}, 2};
  REQUIRE(same_geometry(m, {kFloat, {2, 1, 3}, {3, 1, 1}, 2}));
  REQUIRE_FALSE(same_geometry(m, {kFloat, {2, 1, 3}, {3, 7, 1}, 0}));
  REQUIRE_FALSE(same_geometry(m, {kFloat, {2, 1, 3}, {4, 7, 1}, 2}));
  REQUIRE_FALSE(same_geometry(m, {kDouble, {2, 1, 3}, {3, 7, 1}, 2}));
  REQUIRE_FALSE(same_geometry(m, {kFloat, {2, 3, 1}, {3, 1, 7}, 2}));
}

TEST_CASE("a sum at indices into its own source is refused") {
  Tape t;
  const int x = t.input({3, 2}, kFloat, {4, 1}), i = t.input({3}, kLong, {}, 3);  // with holes: the call itself does not refuse
  t.call(Op::index_add, {x, i, t.call(Op::detach, {x})}, 0, {}, {}, kInplace);
  Graph g;
  REQUIRE_FALSE(build_graph(t.region, g));
}

TEST_CASE("uses are counted and replaced") {
  Tape t;
  const int x = t.input({4});
  const int y = t.binary(Op::mul, x, x);
  t.live(y);
  Graph g = built(t);
  REQUIRE(g.use_counts() == std::vector<int32_t>{2, 1});
  GraphNode n = g[1];
  n.op = Op::add;
  const ValueId v = g.add(n);
  g.replace_all_uses(1, v);
  REQUIRE(g.outputs[0].value == v);
  REQUIRE(count_op(g, Op::add) == 1);
}
