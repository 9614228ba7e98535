// Guard rows G47-G64: the state around a call: modes of the thread and of the CPU, options, environment, random numbers.
#include <immintrin.h>
#include <cerrno>
#include <cfenv>
#include <csignal>
#include <cstdlib>
#include <locale>
#include <thread>
#include "child_process.h"
#include "guard_rows.h"
#include "runtime/cpu.h"
#include "runtime/env.h"
#include "set_threads.h"

using namespace sinter;
using namespace sinter::test;

namespace {

void set_ambient(uint32_t bits, bool on) { ambient::word = on ? ambient::word | bits : ambient::word & ~bits; }

/// How a child process that runs `body` ends (end_of_child); floating-point exceptions are not caught.
template <class F>
std::string end_of_fpe_child(F body) {
  return in_child([&] {
    signal(SIGFPE, SIG_DFL);
    body();
    return true;
  });
}

}  // namespace

TEST_CASE("G48 default dtype") {
  const auto f = GIVES(zeros({3}) + arange(3), v[0] / 3, v[1] * full({3}, 1.5), v[1] + rand({3}));
  const auto set = [](ScalarType t) {
    return State{ARGS(m({m.n, 3}, kLong), m({m.n, 3}, kFloat)), [t] { set_default_dtype(t); }};
  };
  check_row({.f = f, .states = {set(kFloat), set(kDouble)}});
}

TEST_CASE("G48 default dtype changed inside the function") {
  static ScalarType inner = kFloat;
  const auto f = [](Tensors& v) {
    const Tensor a = v[0] / 3;
    set_default_dtype(inner);
    const Tensor b = v[0] / 3;
    set_default_dtype(kFloat);
    return tensors(a, b, v[0] / 3, v[1] * b);
  };
  const auto set = [](ScalarType t) { return State{ARGS(m({m.n, 3}, kLong), m({m.n, 3})), [t] { inner = t; }}; };
  check_row({.f = f, .states = {set(kFloat), set(kDouble)}});
}

TEST_CASE("G49 deterministic flag") {
  const auto f = GIVES(v[0].index_add(0, zeros({v[0].size(0)}, kLong), v[0]), v[0].sum(0));
  const auto set = [](bool on) { return State{ARGS(m({m.n, 3})), [on] { set_ambient(ambient::kDeterministic, on); }}; };
  check_row({.f = f, .states = {set(false), set(true)}});
}

TEST_CASE("G51 thread count: between calls, by another thread, between operators and in a nested call") {
  const SetThreads restore(2);
  static int inner = 0;
  const auto make = ARGS(m({m.n, 400}), m({400}));  // enough to be divided
  const auto set = [&](int threads, int between) { return State{make, [=] { set_num_threads(threads), inner = between; }}; };
  const auto by_another = [&](int threads) {
    return State{make, [=] { std::thread([=] { set_num_threads(threads); }).join(); }};
  };
  auto tail = compile([](const Tensor& x) {
    if (inner != 0) set_num_threads(inner);
    Tensor y = x;
    for (int i = 0; i < 32; ++i) y = y.sin();
    return y;
  });
  const auto f = [&](Tensors& v) {
    const Tensor a = (v[0] + v[1]).sum(0) * 3;
    if (inner != 0) set_num_threads(inner + 1);
    return tensors(a, tail(v[0]) * v[1], softmax(tail(v[0]), 1));
  };
  const uint64_t split = thread_stats().split;
  check_row({.f = f, .states = {set(2, 0), set(1, 0), by_another(7), set(2, 4)}, .hit = true});
  REQUIRE(thread_stats().split > split);
}

TEST_CASE("G52 environment: read once, later changes have no effect") {
  const auto set = [](const char* isa, const char* limit) {
    return State{ARGS(m({m.n, 3})), [=] {
                   isa ? setenv("SINTER_ISA", isa, 1) : unsetenv("SINTER_ISA");
                   limit ? setenv("SINTER_RECOMPILE_LIMIT", limit, 1) : unsetenv("SINTER_RECOMPILE_LIMIT");
                 }};
  };
  const std::string before_isa = env().isa;
  const int64_t before_limit = env().recompile_limit;
  check_row({.f = GIVES(v[0].exp() * 2, v[0].sum(0)), .states = {set(nullptr, nullptr), set("none", "0")}, .hit = true});
  REQUIRE(env().isa == before_isa);
  REQUIRE(env().recompile_limit == before_limit);
  setenv("SINTER_RECOMPILE_LIMIT", "3", 1);  // what a process started now would read
  Env fresh;
  REQUIRE(read_env(fresh).empty());
  REQUIRE(fresh.recompile_limit == 3);
  unsetenv("SINTER_RECOMPILE_LIMIT");
}

namespace {
constexpr unsigned kMxcsrDefault = 0x1f80, kFtz = 0x8000, kDaz = 0x40, kControl = 0xffc0;
constexpr unsigned kUsualTraps = 0x0680;  // invalid, division by zero, overflow
constexpr unsigned kOtherTraps = 0x0900;  // denormal operand, underflow
constexpr unsigned kDown = 1 << 13, kUp = 2 << 13, kZero = 3 << 13;

/// Small numbers whose products are subnormal, and ordinary ones.
State with_mxcsr(unsigned extra) {
  return {ARGS(m.track(randn({m.n, 7}) * 1e-30), m({m.n, 7})), [extra] { _mm_setcsr(kMxcsrDefault | extra); }};
}
std::string mxcsr() { return std::to_string(_mm_getcsr() & kControl); }
}  // namespace

TEST_CASE("G53 rounding mode, flush to zero, denormals are zero: results as eager's, the mode is left as it was") {
  const auto f = GIVES(v[0] * 1e-10 + v[0] * v[1], (v[1] / 3).exp() + v[1].sin() * v[1].tanh(), softmax(v[1], 1).sum(0),
                       mm(v[1], v[1].t()) * 0.1, v[1].abs().log() - v[1].sigmoid(), v[1].to(kLong).to(kFloat) / 7);
  for (const unsigned extra : {kDown, kUp, kZero, kFtz, kDaz, kFtz | kDaz | kUp})
    check_row({.f = f, .states = {with_mxcsr(0), with_mxcsr(extra)}, .observe = mxcsr});
  _mm_setcsr(kMxcsrDefault);
}

TEST_CASE("G53 the mode changed inside the function, between operators") {
  static unsigned inner = 0;
  static bool back = true;
  const auto f = [](Tensors& v) {
    const Tensor before = v[0] * 1e-10 + v[1] / 3;
    _mm_setcsr(kMxcsrDefault | inner);
    const Tensor under = v[0] * 1e-10 + (v[1] / 3).exp();
    if (back) _mm_setcsr(kMxcsrDefault);
    return tensors(before, under, v[1] / 3 + v[0] * 1e-10);
  };
  std::vector<State> states;
  for (const unsigned extra : {0u, kDown, kUp, kZero, kFtz, kDaz, kFtz | kDaz | kUp})
    states.push_back({with_mxcsr(0).make, [extra] { _mm_setcsr(kMxcsrDefault), inner = extra; }});
  for (const bool b : {true, false}) {
    back = b;
    check_pairs({.f = f, .states = states, .observe = mxcsr});
  }
  _mm_setcsr(kMxcsrDefault);
}

TEST_CASE("G53 sticky exception flags have no effect") {
  const auto set = [](unsigned flags) { return State{ARGS(m({m.n, 7})), [flags] { _mm_setcsr(kMxcsrDefault | flags); }}; };
  check_row({.f = GIVES(v[0].exp(), v[0].sum(0)), .states = {set(0), set(0x3f)}, .hit = true});
  _mm_setcsr(kMxcsrDefault);
}

TEST_CASE("G53 unmasked floating-point exceptions: a fault exactly where eager has one") {
  const auto ends = [](bool compiled, const std::function<Tensor(const Tensor&)>& f, double value, int64_t n, unsigned trapped) {
    return end_of_fpe_child([&] {
      auto g = compile(f);
      const Tensor fine = full({n}, 0.5), x = full({n}, value);
      for (int i = 0; i < 2; ++i) compiled ? g(fine) : f(fine);
      _mm_setcsr(kMxcsrDefault & ~trapped);
      Tensor r = compiled ? g(x) : f(x);
      _mm_setcsr(kMxcsrDefault);
    });
  };
  const std::function<Tensor(const Tensor&)> divide = [](const Tensor&x) { return (1.0 / x + 1) * 2; },
                                             many = [](const Tensor&x) { return softmax(x.exp() + x.sin() * x.tanh(), 0); },
                                             grow = [](const Tensor&x) { return x * 1e38 * x; };
  for (const auto& f : {divide, many, grow})
    for (const double value : {0.5, 0.0, 1e3, -2.0})
      for (const int64_t n : {37, 64})  // 37: the unused lanes of the last vector may fault, in eager too
        for (const unsigned trapped : {kUsualTraps, kOtherTraps}) {
          INFO("value " << value << ", " << n << " elements");
          REQUIRE(ends(true, f, value, n, trapped) == ends(false, f, value, n, trapped));
        }
  REQUIRE(ends(false, divide, 0.0, 64, kUsualTraps) == by_signal(SIGFPE));
  REQUIRE(ends(false, divide, 0.5, 64, kUsualTraps) == "");
  REQUIRE(ends(false, divide, 0.5, 64, kOtherTraps) == "");
}

namespace {
/// The assembly of all programs of g.
template <class G>
std::string code_of(const G& g) {
  std::string all;
  for (const Leaf* leaf : g.state().tries()->leaves())
    for (const ProgramEntry* e = leaf->programs.load(); e != nullptr; e = e->next)
      if (e->program.share())
        for (const auto& [name, text] : e->program.share()->assembly()) all += text;
  return all;
}
struct CapBack {
  ~CapBack() { set_isa_cap(Isa::Avx512); }
};
}  // namespace

TEST_CASE("G54 instruction set lowered at run time") {
  const CapBack back;
  const auto cap = [](Isa isa) { return State{ARGS(m({m.n, 33})), [isa] { set_isa_cap(isa); }}; };
  check_row({.f = GIVES(softmax(v[0], 1), v[0].exp() * 2, mm(v[0], v[0].t())),
             .states = {cap(Isa::Avx512), cap(Isa::Avx2), cap(Isa::None)}});
  // The bits are the same under each, so the code itself is looked at.
  if (detected_isa() != Isa::Avx512) return;
  auto g = compile([](const Tensor& x) { return x.exp() * 2; });
  const Tensor x = randn({100});
  for (int i = 0; i < 3; ++i) g(x);
  REQUIRE(code_of(g).find("zmm") != std::string::npos);
  REQUIRE(compiles(g) == 1);
  set_isa_cap(Isa::Avx2);
  for (int i = 0; i < 3; ++i) g(x);
  REQUIRE(compiles(g) == 2);
  set_isa_cap(Isa::None);
  const auto interpreted = g.stats().interpreted;
  for (int i = 0; i < 3; ++i) g(x);
  REQUIRE(g.stats().interpreted == interpreted + 3);
  set_isa_cap(Isa::Avx2);
  for (int i = 0; i < 3; ++i) g(x);
  REQUIRE(g.stats().interpreted == interpreted + 3);
}

TEST_CASE("G54 started under the lower cap") {
  const CapBack back;
  set_isa_cap(Isa::Avx2);
  sinter::reset();
  auto g = compile([](const Tensor& x) { return x.exp() * 2; });
  for (int i = 0; i < 3; ++i) g(randn({100}));
  REQUIRE(code_of(g).find("zmm") == std::string::npos);
  if (detected_isa() != Isa::None) REQUIRE(code_of(g).find("ymm") != std::string::npos);
}

TEST_CASE("G55 options belong to their compiled object") {
  const auto f = [](const Tensor& x) { return x * x.sum().item<float>(); };
  auto loose = compile(f, {.name = "loose"});
  auto strict = compile(f, {.name = "strict", .fullgraph = true});
  for (int i = 0; i < 4; ++i) {
    const Tensor x = randn({3});
    REQUIRE(same_bits(loose(x), f(x)));
    REQUIRE_THROWS_AS(strict(x), GraphBreakError);
  }
  REQUIRE(compiles(loose) == 2);
}

TEST_CASE("G57 locale, errno, blocked signals have no effect and are left alone") {
  struct Comma : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }
    char do_thousands_sep() const override { return '.'; }
    std::string do_grouping() const override { return "\3"; }
  };
  const auto set = [](bool strange) {
    return State{ARGS(m({m.n, 3})), [strange] {
                   std::locale::global(strange ? std::locale(std::locale::classic(), new Comma) : std::locale::classic());
                   errno = strange ? ERANGE : 0;
                   sigset_t all;
                   sigfillset(&all);
                   sigprocmask(strange ? SIG_BLOCK : SIG_UNBLOCK, &all, nullptr);
                 }};
  };
  const auto left = [] {
    sigset_t now;
    sigprocmask(SIG_BLOCK, nullptr, &now);
    return std::to_string(sigismember(&now, SIGUSR1)) + std::locale().name();
  };
  check_row({.f = GIVES(v[0].exp() * 1234.5, pow(v[0], 2.5)), .states = {set(false), set(true)}, .hit = true, .observe = left});
  set(false).set();
}

namespace {
State seeded(std::function<void()> reseed) {
  return {[reseed](Maker& m) {
    const Tensor x = m({m.n, 3});
    reseed();
    return tensors(x);
  }};
}
std::vector<State> seeds() {
  return {seeded([] {}), seeded([] { manual_seed(99); }), seeded([] {
            Generator::get_default().set_state({5, 1000});
          }),
          seeded([] {
            Generator::get_default().set_state({5, uint64_t{1} << 40});
          })};
}
}  // namespace

TEST_CASE("G61 seed or state set between calls") {
  check_row({.f = GIVES(dropout(v[0], 0.5, true), v[0] + rand({3}), randn({2, 3}), v[0] * randint(9, {3})),
             .states = seeds(),
             .hit = true});
}

TEST_CASE("G61 seed set inside the function") {
  static uint64_t seed = 1;
  const auto f = [](Tensors& v) {
    const Tensor a = dropout(v[0], 0.5, true);
    manual_seed(seed);
    return tensors(a, dropout(v[0], 0.5, true), rand({3}));
  };
  check_row({.f = f, .states = {{ARGS(m({m.n, 3})), [] { seed = 1; }}, {ARGS(m({m.n, 3})), [] { seed = 2; }}}, .hit = true});
}

namespace {
/// The generator of a row's calls, and another one; set anew before each call.
const Generator ga(1), gb(2);
std::optional<Generator> from;

State drawing(std::function<std::optional<Generator>()> choose, ScalarType t = kFloat) {
  return {[choose, t](Maker& m) {
    ga.set_state({7, 100});
    gb.set_state({8, uint64_t{1} << 40});
    from = choose();
    return tensors(m({m.n, 3}, t));
  }};
}
std::vector<State> generators() {
  return {drawing([] { return ga; }), drawing([] { return gb; }), drawing([] { return std::nullopt; }),
          drawing([] { return Generator(9); }), drawing([] { return ga.clone(); })};
}
std::string counters() {
  return std::to_string(ga.counter()) + " " + std::to_string(gb.counter()) + " " + (from ? std::to_string(from->counter()) : "");
}
}  // namespace

TEST_CASE("G62 another generator object") {
  const auto f = [](Tensors& v) {
    const Tensor a = v[0] + rand({3}, from), b = bernoulli(v[0].sigmoid(), from);
    return tensors(a, b, randn({2, 3}, from), v[0] * randint(9, {3}, from), bernoulli(v[0].detach(), 0.3, from),
                   randperm(5, from) * 2, dropout(v[0], 0.5, true));
  };
  check_row({.f = f, .states = generators(), .hit = true, .observe = counters});
}

TEST_CASE("G62 generators that fill tensors in place") {
  const auto f = [](Tensors& v) {
    const Tensor a = empty({3}).uniform_(-1, 2, from), b = empty({3}).normal_(1, 2, from), c = zeros({3}, kLong).random_(5, from);
    return tensors(v[0] * a + b, c, zeros_like(v[0]).bernoulli_(0.4, from), empty({2}, kDouble).random_(from));
  };
  check_row({.f = f, .states = generators(), .hit = true, .observe = counters});
}

TEST_CASE("G62 two generators by turns") {
  const auto f = [](Tensors& v) {
    Tensor x = v[0];
    for (int i = 0; i < 3; ++i) x = x * rand({3}, i % 2 ? gb : *from) + randn({3}, i % 2 ? *from : gb) + rand({3});
    return tensors(x, dropout(x, 0.5, true));
  };
  check_row({.f = f,
             .states = {drawing([] { return ga; }), drawing([] { return gb; }), drawing([] { return Generator(3); })},
             .hit = true,
             .observe = counters});
}

TEST_CASE("G62 a generator's state saved and restored, inside and between calls, across breaks and recompiles") {
  static int way = 0;
  static GeneratorState saved;
  const auto f = [](Tensors& v) {
    const GeneratorState before = from->get_state();
    Tensor a = v[0] * rand({3}, from).to(v[0].dtype());
    if (way == 1 && a.sum().item<double>() > 1e9) a = a + 1;  // a break
    const Tensor b = randn({3}, from);
    if (way == 2) from->set_state(before);
    if (way == 3) from->manual_seed(4);
    const Tensor c = rand({3}, from);
    saved = from->get_state();
    return tensors(a, b, c, v[0] + c.to(v[0].dtype()));
  };
  std::vector<State> states;
  for (const int i : {0, 1, 2, 3})
    for (const ScalarType t : {kFloat, kDouble}) states.push_back({drawing([] { return ga; }, t).make, [i] { way = i; }});
  const auto place = [] { return counters() + " " + std::to_string(saved.seed) + " " + std::to_string(saved.counter); };
  check_pairs({.f = f, .states = states, .observe = place});
  // From call to call: what a restored state gives is what came after it was saved.
  auto g = compile([](const Tensor& x) { return x + rand({4}, ga) * randn({4}, gb); });
  const Tensor x = randn({4});
  for (int i = 0; i < 4; ++i) {
    g(x);
    const GeneratorState a = ga.get_state(), b = gb.get_state();
    const std::vector<Tensor> first = {g(x), g(x)};
    ga.set_state(a), gb.set_state(b);
    if (i == 2) g.reset();
    for (const Tensor& want : first) REQUIRE(same_bits(g(x), want));
  }
}

TEST_CASE("G62 threads that draw from one generator get numbers of their own") {
  constexpr int kThreads = 3, kCalls = 200;
  const Generator shared(11);
  auto g = compile([&](const Tensor& x) { return x + rand({4}, shared); });
  const Tensor zero = zeros({4});
  std::vector<std::string> seen[kThreads], all, want;
  std::vector<std::thread> threads;
  for (auto& mine : seen)
    threads.emplace_back([&] {
      for (int i = 0; i < kCalls; ++i) mine.push_back(bits(g(zero)));
    });
  for (std::thread& t : threads) t.join();
  for (const auto& mine : seen) all.insert(all.end(), mine.begin(), mine.end());
  shared.manual_seed(11);
  for (int i = 0; i < kThreads * kCalls; ++i) want.push_back(bits(zero + rand({4}, shared)));
  std::sort(all.begin(), all.end());
  std::sort(want.begin(), want.end());
  REQUIRE(all == want);
}

TEST_CASE("G63 number and order of draws after fusion, unused ones included") {
  static int way = 0;
  const auto f = [](Tensors& v) {
    if (way == 1) rand({17});  // drawn, never used
    const Tensor a = rand_like(v[0]);
    Tensor b = way == 2 ? randn_like(v[0], kDouble) : randn_like(v[0]);
    if (way == 3) std::tie(b) = std::tuple(bernoulli(v[0].sigmoid()));
    return tensors(v[0] * a + b, dropout(v[0], 0.3, way != 4));
  };
  std::vector<State> states;
  for (int i : {0, 1, 2, 3, 4}) states.push_back({ARGS(m({m.n, 3})), [i] { way = i; }});
  check_pairs({.f = f, .states = states});
}

TEST_CASE("G64 compiling, recompiling, missing a guard draw nothing") {
  auto g = compile([](const Tensor& x) { return x.exp() * 2; });
  manual_seed(3);
  const std::vector<Tensor> args = {randn({4}), randn({4}, kDouble), randn({2, 3}), randn({6, 5}), randn({5, 6}).t()};
  const GeneratorState before = default_generator().get_state();
  for (int i = 0; i < 3; ++i)
    for (const Tensor& x : args) g(x);
  g.reset();
  for (const Tensor& x : args) g(x);
  sinter::reset();
  REQUIRE(compiles(g) == 0);
  REQUIRE(default_generator().get_state() == before);
  // Nor do backward passes, inside and outside.
  auto inside = compile([](const Tensor& x) { (x.exp() * 2).sum().backward(); });
  for (int i = 0; i < 3; ++i)
    for (const Tensor& x : args) {
      const Tensor leaf = x.detach().clone().requires_grad_();
      g(leaf).sum().backward();
      inside(leaf);
    }
  REQUIRE(g.backward_stats().regions_compiled > 0);
  REQUIRE(default_generator().get_state() == before);
}
