// compile(): options, stances, limits, what a person sees.
#include <sys/mman.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include "child_process.h"
#include "codegen/kernel.h"
#include "engine/frame/breaks.h"
#include "engine/frame/size_expr.h"
#include "runtime/cpu.h"
#include "runtime/env.h"
#include "runtime/log.h"
#include "sandbox.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

/// Collects log entries and warnings for its lifetime.
class Capture {
 public:
  explicit Capture(const char* topics = "") {
    text().clear();
    set_logs(topics);
    set_log_sink([](std::string_view line) { text() += std::string(line) + "\n"; });
  }
  ~Capture() {
    set_log_sink(nullptr);
    set_logs("");
  }
  static std::string& text() {
    static std::string t;
    return t;
  }
  static bool has(const std::string& part) { return text().find(part) != std::string::npos; }
};

struct WithStance {
  explicit WithStance(Stance s) { set_stance(s); }
  ~WithStance() { set_stance(Stance::Default); }
};

struct WithIsa {
  explicit WithIsa(Isa cap) { set_isa_cap(cap); }
  ~WithIsa() { set_isa_cap(Isa::Avx512); }
};

struct WithVariable {
  WithVariable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~WithVariable() { unsetenv(name_); }
  const char* name_;
};

}  // namespace

TEST_CASE("fullgraph refuses a break and names its place") {
  auto g = compile([](const Tensor& x) { return x * x.sum().item<float>(); }, {.name = "whole", .fullgraph = true});
  try {
    g(ones({3}));
    FAIL("no break was reported");
  } catch (const GraphBreakError& e) {
    const std::string what = e.what();
    REQUIRE(what.find("whole") != std::string::npos);
    REQUIRE(what.find("compile_test.cpp") != std::string::npos);
    REQUIRE(what.find("value was read") != std::string::npos);
  }
  auto ok = compile([](const Tensor& x) { return x * 2 + 1; }, {.fullgraph = true});
  REQUIRE(ok(ones({3})).sum().item<float>() == 9.0f);
}

TEST_CASE("force_eager runs everything eager") {
  auto g = compile([](const Tensor& x) { return x * 2; });
  WithStance stance(Stance::ForceEager);
  g(ones({3}));
  REQUIRE(compiles(g) == 0);
  REQUIRE_FALSE(is_compiling());
}

TEST_CASE("eager_on_recompile keeps what exists") {
  auto g = compile([](const Tensor& x) { return x * 2; });
  g(ones({3}));
  WithStance stance(Stance::EagerOnRecompile);
  REQUIRE(g(ones({3}, kDouble)).sum().item<double>() == 6.0);
  REQUIRE(compiles(g) == 1);
  REQUIRE(g.stats().eager_fallbacks == 1);
  g(ones({3}));
  REQUIRE(g.stats().replays == 1);
}

TEST_CASE("fail_on_recompile throws with the reason") {
  auto g = compile([](const Tensor& x) { return x * 2; }, {.name = "strict", .arg_names = {"x"}});
  g(ones({3}));
  WithStance stance(Stance::FailOnRecompile);
  g(ones({3}));
  REQUIRE_THROWS_WITH(g(ones({3}, kDouble)),
                      Catch::Contains("strict") && Catch::Contains("input 0 'x' dtype was float, now double"));
  g(ones({3}));
}

TEST_CASE("stances by name") {
  set_stance("force_eager");
  REQUIRE(stance() == Stance::ForceEager);
  set_stance("default");
  REQUIRE_THROWS_AS(set_stance("fast"), ValueError);
}

TEST_CASE("a recompile line names function, place, input and both values") {
  Capture logs("recompiles");
  auto g = compile([](const Tensor& x) { return x * 2; }, {.name = "train_step", .arg_names = {"x"}});
  g(ones({10, 3}));
  g(ones({7, 3}));
  REQUIRE(logs.has("recompile #1 of train_step (compile_test.cpp:"));
  REQUIRE(logs.has("input 0 'x' size[0] was 10, now 7"));
}

TEST_CASE("the recompile line of a region that ended earlier says where and why") {
  Capture logs("recompiles");
  auto g = compile(
      [](const Tensor& x, bool stop) {
        Tensor y = x * 2;
        if (stop) throw std::logic_error("stop");
        return y + 1;
      },
      {.name = "stops"});
  g(ones({3}), false);
  g(ones({4}), false);  // a reason that is not the next one's
  REQUIRE_THROWS_AS(g(ones({3}), true), std::logic_error);
  REQUIRE(logs.has("recompile #2 of stops (compile_test.cpp:"));
  REQUIRE(logs.has("the region ended at compile_test.cpp:"));
  REQUIRE(logs.has("an exception passed through"));
}

TEST_CASE("a limit's message says which variable raises it, and nothing about eager where it is thrown") {
  REQUIRE(run_child("[limit-child]", "SINTER_RECOMPILE_LIMIT=1") == 0);
  REQUIRE(run_child("[limit-child]", "SINTER_RECOMPILE_LIMIT=1 SINTER_FAIL_ON_RECOMPILE_LIMIT=1") == 0);
}
TEST_CASE("child: one variant", "[.][limit-child]") {
  Capture logs;
  auto g = compile([](const Tensor& x, int n) { return n ? x.exp().sin() : x.exp().cos(); });
  std::string text;
  try {
    for (int n : {0, 1}) g(ones({3}), n);
    text = logs.text();
  } catch (const RecompileError& e) { text = e.what(); }
  REQUIRE(text.find("SINTER_RECOMPILE_LIMIT raises the limit") != std::string::npos);
  REQUIRE((text.find("runs eager") != std::string::npos) == (env().fail_on_recompile_limit == 0));
}

TEST_CASE("a break line names place, reason and hint") {
  Capture logs("breaks");
  auto g = compile([](const Tensor& x) { return x * x.sum().item<float>(); }, {.name = "reads"});
  g(ones({3}));
  REQUIRE(logs.has("graph break in reads (compile_test.cpp:"));
  REQUIRE(logs.has("value_read"));
  REQUIRE(logs.has(" Hint: read values after the compiled call"));
  const std::string first = logs.text();
  g(ones({3}));
  REQUIRE(logs.text() == first);  // once
}

TEST_CASE("guards, graph, program and assembly can be seen") {
  if (isa() == Isa::None) return;
  Capture logs("guards,graph,program,asm");
  sinter::reset();
  auto g = compile([](const Tensor& x) { return (x.sin() + 1) * 2; }, {.name = "seen", .arg_names = {"x"}});
  g(randn({11, 13}));
  REQUIRE(logs.has("input 0 'x'"));
  REQUIRE(logs.has("f32[11, 13]"));
  REQUIRE(logs.has("sin("));
  REQUIRE(logs.has("compile_test.cpp:"));
  REQUIRE(logs.has("zmm") != logs.has("ymm0"));
}

TEST_CASE("an unknown log topic warns") {
  Capture logs;
  REQUIRE_FALSE(set_logs("graphs"));
  REQUIRE(logs.has("unknown topic 'graphs'"));
}

TEST_CASE("explain tells regions, breaks, guards, live-outs") {
  sinter::reset();
  auto g = compile(
      [](const Tensor& x) {
        const Tensor h = x.exp();
        const float s = h.sum().item<float>();
        return h * s;
      },
      {.arg_names = {"x"}});
  const Explanation e = explain(g)(randn({4}));
  REQUIRE(e.graph_count == 2);
  REQUIRE(e.graph_break_count == 1);
  REQUIRE(e.op_count == 3);
  REQUIRE(e.regions[0].break_name == "value_read");
  REQUIRE(e.regions[0].live_outs.size() == 2);  // h is still in scope, and the sum
  REQUIRE(e.regions[1].break_name == "frame_end");
  REQUIRE(e.regions[0].guards.size() == 1);
  REQUIRE(e.regions[0].guards[0].find("input 0 'x': f32[4], first used at compile_test.cpp:") == 0);
  REQUIRE(e.regions[1].guards.size() == 1);
  REQUIRE(e.regions[1].guards[0].find("captured input 0: f32[4]") == 0);
  const std::string text = e.str();
  REQUIRE(text.find("Graph Break Count: 1") != std::string::npos);
  REQUIRE(text.find("exp (compile_test.cpp:") != std::string::npos);
}

TEST_CASE("every break reason has its text") {
  for (int b = 0; b < static_cast<int>(Break::kCount); ++b)
    REQUIRE(std::string(break_info(static_cast<Break>(b)).text).size() > 5);
}

TEST_CASE("without generated code everything is interpreted, with the same bits") {
  const auto f = [](const Tensor& x) { return softmax((x.sin() + 1) * 2, -1); };
  const Tensor x = randn({5, 7});
  const Tensor expected = f(x);
  WithIsa cap(Isa::None);
  sinter::reset();
  auto g = compile(f);
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(expected, g(x)));
  REQUIRE(g.stats().interpreted == 3);
}

TEST_CASE("the same bits under both instruction sets") {
  const auto f = [](const Tensor& x) { return layer_norm(gelu(x.sin() + x.t().exp()), {33}) * x.sum(0); };
  const Tensor x = randn({33, 33});
  const Tensor expected = f(x);
  for (Isa cap : {Isa::Avx2, Isa::Avx512}) {
    WithIsa with(cap);
    sinter::reset();
    auto g = compile(f);
    REQUIRE(same_bits(expected, g(x)));
    REQUIRE(same_bits(expected, g(x)));
    REQUIRE(same_bits(expected, f(x)));
  }
}

TEST_CASE("environment: malformed and unknown names warn, defaults hold") {
  Env e;
  {
    WithVariable bad("SINTER_RECOMPILE_LIMIT", "many"), typo("SINTER_RECOMPILE_LIMITS", "3");
    const std::string warnings = read_env(e);
    REQUIRE(e.recompile_limit == 8);
    REQUIRE(warnings.find("SINTER_RECOMPILE_LIMIT='many' is not an integer") != std::string::npos);
    REQUIRE(warnings.find("did you mean SINTER_RECOMPILE_LIMIT?") != std::string::npos);
  }
  WithVariable good("SINTER_RECOMPILE_LIMIT", "3");
  REQUIRE(read_env(e).empty());
  REQUIRE(e.recompile_limit == 3);
  REQUIRE(env_table().find("SINTER_LOGS") != std::string::npos);
}

TEST_CASE("debug files hold graph, program and annotated assembly") {
  if (isa() == Isa::None) return;
  // SINTER_DEBUG_DIR is read once at start: a child process has it.
  const auto dir = std::filesystem::temp_directory_path() / "sinter_debug_test";
  std::filesystem::remove_all(dir);
  REQUIRE(run_child("[debug-child]", "SINTER_DEBUG_DIR=" + dir.string()) == 0);
  bool graph = false, assembly = false;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path());
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    graph |= entry.path().filename() == "graph.txt" && text.find("tanh(") != std::string::npos;
    assembly |= entry.path().extension() == ".asm" && text.find("compile_test.cpp:") != std::string::npos;
  }
  REQUIRE(graph);
  REQUIRE(assembly);
  // Functions without a name do not overwrite each other's: the folder says where each was compiled.
  REQUIRE(std::distance(std::filesystem::directory_iterator(dir), {}) == 2);
  std::filesystem::remove_all(dir);
}
TEST_CASE("child of the test of debug files", "[.][debug-child]") {
  auto g = compile([](const Tensor& x) { return x.tanh() * 2; });
  auto h = compile([](const Tensor& x) { return x.sin() * 2; });
  g(randn({8}));
  h(randn({8}));
}

namespace {
void check_against_eager() {
  auto f = [](const Tensor& x) { return softmax(x.sin() * 2 + 1, -1); };
  auto g = compile(f);
  const Tensor x = randn({5, 40});
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(f(x), g(x)));
}
}  // namespace

TEST_CASE("a system that refuses executable memory: interpreted, said once, same bits") {
  REQUIRE(run_child("[no-exec-child]") == 0);
}
TEST_CASE("child: no new executable mapping is allowed", "[.][no-exec-child]") {
  REQUIRE(refuse_executable_mappings(false));
  Capture logs;
  check_against_eager();
  REQUIRE_FALSE(codegen::jit_available());
  const std::string first = logs.text();
  REQUIRE(first.find("executable memory") != std::string::npos);
  check_against_eager();
  REQUIRE(logs.text() == first);
}

TEST_CASE("under memory-deny-write-execute kernels are still generated") {
  if (isa() == Isa::None) return;
  REQUIRE(run_child("[mdwe-child]") == 0);
}
TEST_CASE("child: memory-deny-write-execute", "[.][mdwe-child]") {
  if (!deny_write_execute()) return;
  check_against_eager();
  REQUIRE(codegen::jit_available());
}

TEST_CASE("sizes are explained by input dims") {
  const std::vector<VaryingDim> dims = {{0, 0, 4, 10}, {1, 1, 6, 9}};
  REQUIRE(SizeExpr::explain(4, 10, dims).str() == "s0[0]");
  REQUIRE(SizeExpr::explain(8, 20, dims).str() == "s0[0] * 2");
  REQUIRE(SizeExpr::explain(2, 5, dims).str() == "s0[0] / 2");
  REQUIRE(SizeExpr::explain(3, 9, dims).str() == "s0[0] - 1");
  REQUIRE(SizeExpr::explain(24, 90, dims).str() == "s0[0] * s1[1]");
  REQUIRE(SizeExpr::explain(7, 1000, dims).kind == SizeExpr::Kind::None);
}

TEST_CASE("a generalised region has one program for all sizes") {
  auto f = compile([](const Tensor& x) { return x * 2 + 1; });
  for (int64_t n : {4, 4, 6, 6}) f(randn({n}));
  REQUIRE(compiles(f) == 2);
  REQUIRE(f.stats().interpreted == 1);  // a second variant is compiled on second sight
  for (int64_t n : {9, 10, 11, 12, 10, 12, 4, 6}) f(randn({n}));
  REQUIRE(compiles(f) == 2);
  REQUIRE(f.stats().interpreted == 1);
  REQUIRE(f.stats().layouts == 4);
}

TEST_CASE("a size that no expression explains is compiled the second time it is seen") {
  auto f = compile([](const Tensor& x, int64_t from) { return x.slice(0, from, from + 3) * 2; });
  const Tensor x = randn({40});
  for (int64_t from : {1, 1, 5, 5}) f(x, from);
  REQUIRE(compiles(f) == 2);
  const int64_t interpreted = f.stats().interpreted;
  for (int64_t from : {9, 10, 11}) f(x, from);
  REQUIRE(compiles(f) == 2);
  REQUIRE(f.stats().interpreted == interpreted + 3);
  for (int64_t from : {9, 11, 9, 11}) f(x, from);
  REQUIRE(compiles(f) == 4);
  REQUIRE(f.stats().interpreted == interpreted + 3);
}

TEST_CASE("a view's size that follows an input's size is part of the match") {
  const auto f = [](const Tensor& x) { return x.reshape({x.size(0) * 3, 2}) + 1; };
  auto g = compile(f);
  for (int64_t n : {2, 5, 9, 1, 30}) {
    const Tensor x = randn({n, 6});
    REQUIRE(same_bits(f(x), g(x)));
  }
  REQUIRE(g.stats().recompiles <= 1);
}

TEST_CASE("a nested compiled call joins the outer frame") {
  auto inner = compile([](const Tensor& x) { return x * 2; });
  auto outer = compile([&](const Tensor& x) { return inner(x) + 1; });
  for (int i = 0; i < 3; ++i) REQUIRE(outer(ones({2})).sum().item<float>() == 6.0f);
  REQUIRE(compiles(outer) == 1);
  REQUIRE(compiles(inner) == 0);
}

TEST_CASE("a module is compiled by its forward") {
  nn::Linear layer(4, 2);
  auto g = compile(layer);
  const Tensor x = randn({3, 4});
  REQUIRE(same_bits(layer->forward(x), g(x)));
}

TEST_CASE("a compiled object that dies leaves its results") {
  Tensor r;
  {
    auto g = compile([](const Tensor& x) { return x * 2; });
    r = g(ones({3}));
  }
  REQUIRE(r.sum().item<float>() == 6.0f);
}

TEST_CASE("the operator budget closes a region and loses nothing") {
  const auto f = [](const Tensor& x) {
    Tensor r = x;
    for (int i = 0; i < 9000; ++i) r = r + 1;
    return r;
  };
  auto g = compile(f);
  const Tensor x = zeros({2});
  for (int i = 0; i < 2; ++i) REQUIRE(g(x).select(0, 0).item<float>() == 9000.0f);
}
