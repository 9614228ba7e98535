// Every float32 function on every float: error against the C library in float64, and equal bits of eager kernels and generated
// code of every instruction set.
//   math_exhaustive [--step N] [NAME...]
// N: only every N-th bit pattern (default 1: all 2^32 of them, minutes for each function). Prints a line for each function and
// exits with 1 when one is outside its bound or not the same everywhere.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include "engine/dispatch.h"
#include "frontend/sinter/sinter.h"
#include "math_functions.h"
#include "runtime/cpu.h"

using namespace sinter;
using namespace sinter::test;

namespace {

constexpr int64_t kChunk = 1 << 16;

struct Function {
  std::string name;
  std::function<Tensor(const Tensor&)> f;
  double (*reference)(double);
  double bound;
};

std::vector<Function> functions() {
  std::vector<Function> all;
  for (const MathFunction& m : kMathFunctions)
    all.push_back(
        {op_info(m.op).name, [op = m.op](const Tensor& x) { return call1(op, x, 0, Loc::current()); }, m.reference, m.bound});
  all.push_back({"sqrt", [](const Tensor& x) { return sqrt(x); }, std::sqrt, 0.5});
  all.push_back({"reciprocal", [](const Tensor& x) { return reciprocal(x); }, [](double x) { return 1 / x; }, 0.5});
  return all;
}

/// One way to compute a function: eager kernels or generated code of one level.
struct Way {
  std::string name;
  Isa level;
  std::function<Tensor(const Tensor&)> f;
  std::function<bool()> is_compiled;  // ran as a program
  int64_t different = 0;              // inputs on which it is not the first way's bits
  float at = 0;
};

std::vector<Way> ways_of(const Function& function) {
  std::vector<Way> ways;
  for (const Isa level : {Isa::None, Isa::Avx2, Isa::Avx512}) {
    if (level > detected_isa()) continue;
    ways.push_back({std::string("eager ") + isa_name(level), level, function.f, [] { return true; }});
    if (level == Isa::None) continue;
    auto compiled = compile(function.f);
    const auto ran = [compiled] { return compiled.stats().regions_compiled == 1 && compiled.stats().interpreted == 0; };
    ways.push_back({std::string("compiled ") + isa_name(level), level, compiled, ran});
  }
  return ways;
}

struct Worst {
  double error = 0;
  float at = 0;
};

/// Values of the first way into `first`, differences of the others counted.
void run_ways(std::vector<Way>& ways, const Tensor& x, std::vector<float>& first) {
  const auto* in = static_cast<const float*>(x.data_ptr());
  for (size_t w = 0; w < ways.size(); ++w) {
    set_isa_cap(ways[w].level);
    const Tensor y = ways[w].f(x);
    const auto* out = static_cast<const float*>(y.data_ptr());
    if (w == 0) first.assign(out, out + kChunk);
    for (int64_t i = 0; w > 0 && i < kChunk; ++i)
      if (!same_value(out[i], first[static_cast<size_t>(i)])) ++ways[w].different, ways[w].at = in[i];
  }
  set_isa_cap(Isa::Avx512);
}

/// True when the function keeps its bound and is the same everywhere.
bool check(const Function& function, uint64_t step) {
  std::vector<Way> ways = ways_of(function);
  const Tensor x = empty({kChunk});
  auto* in = static_cast<float*>(x.data_ptr());
  std::vector<float> values;
  Worst worst;
  uint64_t inputs = 0;
  for (uint64_t bits = 0; bits >> 32 == 0;) {
    for (int64_t i = 0; i < kChunk; ++i, bits += step) in[i] = std::bit_cast<float>(static_cast<uint32_t>(bits));
    run_ways(ways, x, values);
    inputs += kChunk;
    for (int64_t i = 0; i < kChunk; ++i) {
      const float value = values[static_cast<size_t>(i)];
      const double exact = function.reference(in[i]);
      if (worst.error >= 0.5 && value == static_cast<float>(exact)) continue;  // rounded right
      const double error = ulp_error(value, exact);
      if (!(error <= worst.error)) worst = {error, in[i]};
    }
  }
  bool right = worst.error <= function.bound;
  std::printf("%-11s %10llu inputs: worst %.4f ULP at %.9g (0x%08x), bound %.1f%s", function.name.c_str(),
              static_cast<unsigned long long>(inputs), worst.error, worst.at, std::bit_cast<uint32_t>(worst.at), function.bound,
              right ? "" : " EXCEEDED");
  for (const Way& way : ways) {
    if (way.different > 0)
      std::printf("; %s DIFFERS on %lld inputs, %.9g one of them", way.name.c_str(), static_cast<long long>(way.different),
                  way.at);
    if (!way.is_compiled()) std::printf("; %s NOT COMPILED", way.name.c_str());
    right = right && way.different == 0 && way.is_compiled();
  }
  std::printf("; %zu ways, %s\n", ways.size(), right ? "ok" : "WRONG");
  std::fflush(stdout);
  return right;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t step = 1;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--step" && i + 1 < argc) step = std::strtoull(argv[++i], nullptr, 10);
    else names.push_back(argument);
  }
  if (step == 0) return std::fprintf(stderr, "--step needs a positive number\n"), 2;
  const NoGradGuard no_grad;
  int wrong = 0, matched = 0;
  for (const Function& f : functions()) {
    if (!names.empty() && std::find(names.begin(), names.end(), f.name) == names.end()) continue;
    ++matched;
    wrong += !check(f, step);
  }
  if (matched == 0) return std::fprintf(stderr, "no such function\n"), 2;
  return wrong > 0;
}
