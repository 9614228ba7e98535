// compile(): options, stances, limits, what a person sees.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include "codegen/kernel.h"
#include "engine/frame/breaks.h"
#include "engine/frame/size_expr.h"
#include "runtime/cpu.h"
#include "runtime/env.h"
#include "runtime/log.h"
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

TEST_CASE("a break line names place, reason and hint") {
  Capture logs("breaks");
  auto g = compile([](const Tensor& x) { return x * x.sum().item<float>(); }, {.name = "reads"});
  g(ones({3}));
  REQUIRE(logs.has("graph break in reads (compile_test.cpp:"));
  REQUIRE(logs.has("value_read"));
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
  auto g = compile([](const Tensor& x) {
    const Tensor h = x.exp();
    const float s = h.sum().item<float>();
    return h * s;
  });
  const Explanation e = explain(g)(randn({4}));
  REQUIRE(e.graph_count == 2);
  REQUIRE(e.graph_break_count == 1);
  REQUIRE(e.op_count == 3);
  REQUIRE(e.regions[0].break_name == "value_read");
  REQUIRE(e.regions[0].live_outs.size() == 2);  // h is still in scope, and the sum
  REQUIRE(e.regions[1].break_name == "frame_end");
  REQUIRE(e.regions[1].guards.size() == 1);
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
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  REQUIRE(std::system(("SINTER_DEBUG_DIR=" + dir.string() + " " + self + " '[debug-child]' > /dev/null 2>&1").c_str()) == 0);
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
  std::filesystem::remove_all(dir);
}
TEST_CASE("child of the test of debug files", "[.][debug-child]") {
  auto g = compile([](const Tensor& x) { return x.tanh() * 2; });
  g(randn({8}));
}

namespace {
/// Runs a hidden test case of this program in a process of its own.
int run_child(const std::string& tag) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  return std::system((self + " '" + tag + "' > /dev/null 2>&1").c_str());
}

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
  // mmap and mprotect with PROT_EXEC fail from here on.
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(filter)), filter};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
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
  constexpr int kSetMdwe = 65, kRefuseExecGain = 1;  // PR_SET_MDWE, Linux 6.3
  if (prctl(kSetMdwe, kRefuseExecGain, 0, 0, 0) != 0) return;
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
