// The passes one by one, and which groups fusion makes.
#include "engine/passes/passes.h"
#include "engine/graph/build.h"
#include "engine/passes/fuse/lower.h"
#include "region_tape.h"

using namespace sinter;
using sinter::test::Tape;

namespace {

Graph built(const Tape& t) {
  Graph g;
  REQUIRE(build_graph(t.region, g));
  g.verify();
  return g;
}

Graph passed(const Tape& t) {
  set_verify_passes(true);
  Graph g = built(t);
  run_passes(g);
  return g;
}

int live_nodes(const Graph& g) {
  int n = 0;
  for (const auto& node : g.nodes) n += !node.dead && !node.is_input();
  return n;
}
int count_op(const Graph& g, Op op) {
  int n = 0;
  for (const auto& node : g.nodes) n += !node.dead && !node.is_input() && node.op == op;
  return n;
}

struct Fused {
  Graph graph;
  fuse::Plan plan;
  std::vector<fuse::Lowered> kernels;
  int eager = 0;
};

Fused fused(const Tape& t) {
  Fused f;
  f.graph = passed(t);
  f.plan = fuse::make_plan(f.graph, std::vector<bool>(f.graph.nodes.size(), false));
  for (int32_t g : f.plan.order) {
    bool stored = false;
    for (ValueId v : f.plan.groups[g].nodes) stored |= f.plan.stored[v];
    if (f.plan.groups[g].eager) ++f.eager;
    else if (stored) {
      fuse::Lowered l;
      INFO(f.graph.str());
      REQUIRE(fuse::lower_group(f.graph, f.plan, g, l));
      f.kernels.push_back(std::move(l));
    }
  }
  return f;
}

}  // namespace

TEST_CASE("equal nodes become one, also across commuting reads of views") {
  Tape t;
  const int x = t.input({4, 4});
  const int a = t.unary(Op::exp, t.call(Op::t, {x})), b = t.unary(Op::exp, t.call(Op::t, {x}));
  t.live(t.binary(Op::add, a, b));
  Graph g = built(t);
  REQUIRE(count_op(g, Op::exp) == 2);
  REQUIRE(merge_equal(g));
  g.verify();
  REQUIRE(count_op(g, Op::exp) == 1);
  REQUIRE(count_op(g, Op::t) == 1);
  REQUIRE_FALSE(merge_equal(g));
}

TEST_CASE("different scalars, attributes or types keep nodes apart") {
  Tape t;
  const int x = t.input({4});
  t.live(t.scalar(Op::add, x, 1.0));
  t.live(t.scalar(Op::add, x, 1.0));  // another runtime scalar, whatever its value now
  t.live(t.call(Op::to, {x}, static_cast<uint64_t>(kDouble)));
  t.live(t.call(Op::to, {x}, static_cast<uint64_t>(kLong)));
  Graph g = built(t);
  REQUIRE_FALSE(merge_equal(g));
}

TEST_CASE("nodes that differ anywhere are not merged") {
  const auto two_nodes = [](void (*change)(GraphNode&)) {
    Graph g;
    GraphNode x;
    x.kind = GraphNode::Kind::Input;
    x.input = 0;
    x.meta = {kFloat, {4, 4}, {4, 1}, 0};
    g.add(x);
    GraphNode n;
    n.op = Op::sub;
    n.in = {0};
    n.flags = kScalarRhs;
    n.scalars = {{-1, Scalar(2.0)}};
    n.ints = {3};
    n.compute = kFloat;
    n.meta = x.meta;
    g.add(n);
    change(n);
    g.add(n);
    g.outputs = {{1, 1, -1, n.meta}, {2, 2, -1, n.meta}};
    return g;
  };
  Graph same = two_nodes([](GraphNode&) {});
  REQUIRE(merge_equal(same));
  void (*const changes[])(GraphNode&) = {
      [](GraphNode& n) { n.op = Op::add; },
      [](GraphNode& n) { n.flags = kScalarLhs; },
      [](GraphNode& n) { n.attr = 1; },
      [](GraphNode& n) { n.ints[0] = 4; },
      [](GraphNode& n) { n.scalars[0].constant = Scalar(-2.0); },
      [](GraphNode& n) {
        n.scalars[0] = {0, Scalar()};
      },
      [](GraphNode& n) { n.compute = kDouble; },
      [](GraphNode& n) { n.meta.dtype = kDouble; },
      [](GraphNode& n) {
        n.meta.strides = {1, 4};
      },
      [](GraphNode& n) { n.meta.offset = 4; },
      [](GraphNode& n) {
        n.meta.sizes = {2, 8};
      },
  };
  for (size_t i = 0; i < std::size(changes); ++i) {
    INFO("change " << i);
    Graph g = two_nodes(changes[i]);
    REQUIRE_FALSE(merge_equal(g));
  }
}

TEST_CASE("what no output needs is dead") {
  Tape t;
  const int x = t.input({4});
  t.unary(Op::exp, t.unary(Op::sin, x));
  t.live(t.unary(Op::cos, x));
  Graph g = built(t);
  REQUIRE(remove_dead(g));
  REQUIRE(live_nodes(g) == 1);
  REQUIRE_FALSE(remove_dead(g));
}

TEST_CASE("views of views fold") {
  Tape t;
  const int x = t.input({4, 6});
  const int flat = t.call(Op::view, {x}, 0, {24});
  t.call(Op::mul, {flat}, 0, {}, {Scalar(2.0)}, kInplace | kScalarRhs);  // x is now a view of the product
  const int back = t.call(Op::t, {x});
  t.live(t.unary(Op::neg, back));
  const Graph g = passed(t);
  for (const auto& n : g.nodes)
    if (!n.dead && n.is_view()) REQUIRE_FALSE(g[n.in[0]].is_view());
}

TEST_CASE("copies that change nothing go, layout changes stay") {
  Tape t;
  const int x = t.input({4, 6});
  t.live(t.unary(Op::exp, t.call(Op::clone, {x})));
  REQUIRE(count_op(passed(t), Op::clone) == 0);
  Tape u;
  u.live(u.call(Op::clone, {u.call(Op::t, {u.input({4, 6})})}, 1));
  REQUIRE(count_op(passed(u), Op::clone) == 1);
}

TEST_CASE("no rule touches signed zeros or NaN") {
  Tape t;
  const int x = t.input({4});
  t.live(t.scalar(Op::add, x, 0.0));
  t.live(t.scalar(Op::mul, x, 0.0));
  t.live(t.binary(Op::sub, x, x));
  REQUIRE(live_nodes(passed(t)) == 3);
}

TEST_CASE("neg(neg(x)), relu(relu(x)), where(c, a, a)") {
  Tape t;
  const int x = t.input({4}), c = t.input({4}, kBool);
  t.live(t.unary(Op::exp, t.unary(Op::neg, t.unary(Op::neg, x))));
  t.live(t.unary(Op::relu, t.unary(Op::relu, x)));
  t.live(t.unary(Op::sin, t.call(Op::where, {c, x, x})));
  const Graph g = passed(t);
  REQUIRE(count_op(g, Op::neg) == 0);
  REQUIRE(count_op(g, Op::relu) == 1);
  REQUIRE(count_op(g, Op::where) == 0);
}

TEST_CASE("outputs that are inputs, views or shared get copies") {
  Tape t;
  const int x = t.input({4}), y = t.input({4});
  const int e = t.unary(Op::exp, x);
  const int copy = t.call(Op::clone, {e});
  t.live(e);
  t.live(copy);
  t.live(t.call(Op::clone, {y}));
  t.call(Op::copy_, {y, y});
  const Graph g = passed(t);
  REQUIRE(count_op(g, Op::exp) == 1);
  REQUIRE(count_op(g, Op::clone) == 2);
  REQUIRE(g.outputs.size() == 3);  // y.copy_(y) writes nothing back
}

TEST_CASE("library operators decompose") {
  Tape t;
  const int x = t.input({4, 6});
  t.live(t.call(Op::_softmax, {x}, 1));
  t.live(t.call(Op::layer_norm, {x, t.input({6}), t.input({6})}, 1, {}, {Scalar(1e-5)}));
  t.live(t.call(Op::_softmax, {x}, 0));  // not along rows: stays
  const Graph g = passed(t);
  REQUIRE(count_op(g, Op::_softmax) == 1);
  REQUIRE(count_op(g, Op::layer_norm) == 0);
  REQUIRE(count_op(g, Op::rsqrt) == 1);
}

TEST_CASE("pointwise chains with two sources are one kernel") {
  Tape t;
  const int x = t.input({100, 3}), y = t.input({100, 3});
  t.live(t.binary(Op::add, t.unary(Op::sin, x), t.unary(Op::cos, y)));
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 1);
  REQUIRE(f.kernels[0].spec.mode == codegen::LoopMode::Pointwise);
  REQUIRE(f.kernels[0].spec.sizes == SizeVec{300});  // collapsed
  REQUIRE(f.kernels[0].operands.size() == 3);
}

TEST_CASE("softmax, layer norm and their backwards are one kernel each") {
  Tape t;
  const int x = t.input({8, 40}), g = t.input({8, 40}), w = t.input({40}), b = t.input({40});
  SECTION("softmax") { t.live(t.call(Op::_softmax, {x}, 1)); }
  SECTION("log softmax") { t.live(t.call(Op::_log_softmax, {x}, 1)); }
  SECTION("softmax backward") { t.live(t.call(Op::_softmax_backward_data, {g, x}, 1)); }
  SECTION("log softmax backward") { t.live(t.call(Op::_log_softmax_backward_data, {g, x}, 1)); }
  SECTION("layer norm") { t.live(t.call(Op::layer_norm, {x, w, b}, 1, {}, {Scalar(1e-5)})); }
  SECTION("layer norm backward") { t.live(t.call(Op::layer_norm_backward_input, {g, x, w}, 1, {}, {Scalar(1e-5)})); }
  SECTION("with producers and consumers") {
    t.live(t.unary(Op::neg, t.call(Op::_softmax, {t.binary(Op::mul, t.binary(Op::add, x, b), g)}, 1)));
  }
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 1);
  REQUIRE(f.eager == 0);
  REQUIRE(f.kernels[0].spec.mode == codegen::LoopMode::Row);
  REQUIRE(f.kernels[0].spec.sizes == SizeVec{8, 40});
}

TEST_CASE("short rows become a pointwise kernel over the rows") {
  Tape t;
  t.live(t.call(Op::_softmax, {t.input({100, 3})}, 1));
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 1);
  REQUIRE(f.kernels[0].spec.mode == codegen::LoopMode::Pointwise);
  REQUIRE(f.kernels[0].spec.sizes == SizeVec{100});
  REQUIRE(f.kernels[0].operands.size() == 6);  // three elements in, three out
}

TEST_CASE("a bias gradient with its producer and update is one column kernel") {
  Tape t;
  const int g = t.input({32, 10}), z = t.input({32, 10}), p = t.input({10});
  const int d = t.binary(Op::threshold_backward, g, z);
  t.live(d);
  const int grad = t.sum(d, 1);
  t.call(Op::sub, {p, grad}, 0, {}, {Scalar(0.1)}, kInplace | kHasAlpha);
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 1);
  REQUIRE(f.kernels[0].spec.mode == codegen::LoopMode::Column);
}

TEST_CASE("transposed and broadcast reads become strides") {
  Tape t;
  const int x = t.input({5, 7}), row = t.input({7}), col = t.input({5, 1});
  const int xt = t.call(Op::t, {t.input({7, 5})});
  t.live(t.binary(Op::mul, t.binary(Op::add, x, row), t.binary(Op::sub, xt, col)));
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 1);
  std::vector<SizeVec> strides;
  for (const auto& o : f.kernels[0].spec.operands)
    if (!o.output) strides.push_back(o.strides);
  REQUIRE(std::find(strides.begin(), strides.end(), SizeVec{0, 1}) != strides.end());
  REQUIRE(std::find(strides.begin(), strides.end(), SizeVec{1, 0}) != strides.end());
  REQUIRE(std::find(strides.begin(), strides.end(), SizeVec{1, 5}) != strides.end());
}

TEST_CASE("a cheap value is computed twice rather than stored; an expensive one is stored") {
  const auto stores = [](Op op) {
    Tape t;
    const int x = t.input({8, 16}), w = t.input({16, 16});
    const int v = t.unary(op, x);
    t.live(t.sum(v, 1));  // over the rows
    t.live(t.sum(v, 2));  // over the columns
    t.live(t.binary(Op::mm, v, w));
    t.live(t.unary(Op::tanh, x));
    const Fused f = fused(t);
    int n = 0;
    for (const auto& k : f.kernels)
      for (const auto& b : k.operands) n += b.output;
    return n;
  };
  REQUIRE(stores(Op::exp) == 4);
  Tape t;
  const int x = t.input({8, 16});
  const int v = t.unary(Op::relu, x);
  t.live(t.sum(v, 1));
  t.live(t.sum(v, 2));
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 2);
  for (const auto& k : f.kernels) {
    int n = 0;
    for (const auto& b : k.operands) n += b.output;
    REQUIRE(n == 1);
  }
}

TEST_CASE("groups never wait for each other in a circle") {
  Tape t;
  const int x = t.input({8, 8}), w = t.input({8, 8});
  const int a = t.unary(Op::exp, x);
  const int m = t.binary(Op::mm, a, w);  // needs a
  t.live(t.binary(Op::add, a, m));       // must not join a's kernel
  const Fused f = fused(t);
  REQUIRE(f.kernels.size() == 2);
  REQUIRE(f.eager == 1);
  REQUIRE(f.plan.order.size() == 3);
}
