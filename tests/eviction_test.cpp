// Code memory is bounded: programs that ran longest ago give way, and come back when they are called again.
#include <dirent.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include "codegen/code_memory.h"
#include "codegen/kernel.h"
#include "engine/program/cache.h"
#include "runtime/env.h"
#include "support.h"

using namespace sinter;
using namespace sinter::test;

namespace {

// The least bound there is; before anything reads the environment.
[[maybe_unused]] const int bounded = setenv("SINTER_CODE_BYTES", "1048576", 1);

/// A function whose code no other one shares: its depth and width are in its kernels.
Tensor wide(const Tensor& x, int depth) {
  Tensor y = x;
  for (int i = 0; i < depth; ++i) y = (y + x).tanh().exp().log1p().sigmoid();
  return y;
}

size_t open_descriptors() {
  size_t n = 0;
  DIR* dir = opendir("/proc/self/fd");
  while (readdir(dir) != nullptr) ++n;
  closedir(dir);
  return n;
}

size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
}

struct Footprint {
  size_t code = codegen::code_stats().code_bytes, mapped = codegen::code_memory_stats().bytes_mapped,
         kernels = codegen::code_stats().kernels, programs = program_cache_stats().programs, descriptors = open_descriptors(),
         maps = mappings();
  friend bool operator==(const Footprint&, const Footprint&) = default;
};

/// Compiles, runs and drops, each time something else.
void churn(int64_t cycles) {
  const auto cycle = [](int64_t i) {
    auto g = compile([i](const Tensor& x) { return wide(x, 1 + static_cast<int>(i % 3)); });
    (void)g(ones({1 + i % 61, 2}));
  };
  for (int64_t i = 0; i < 400; ++i) cycle(i);  // what is made once is made here
  const Footprint before;
  for (int64_t i = 0; i < cycles; ++i) cycle(i);
  const Footprint after;
  CHECK(after.code == before.code);
  CHECK(after.mapped == before.mapped);
  CHECK(after.kernels == before.kernels);
  CHECK(after.programs == before.programs);
  CHECK(after.descriptors == before.descriptors);
  CHECK(after.maps <= before.maps + 4);  // the heap's own may come and go
}

}  // namespace

TEST_CASE("the bound on code holds, and what gave way is right when it is called again") {
  if (!codegen::jit_available()) return;
  const auto limit = static_cast<size_t>(env().code_bytes);
  REQUIRE(limit == size_t{1} << 20);
  auto g = compile([](const Tensor& x, int depth) { return wide(x, depth); });
  const auto evicted = program_cache_stats().evicted;
  std::vector<Compiled<Tensor (*)(const Tensor&, int)>> all;
  constexpr int kObjects = 120;
  for (int i = 0; i < kObjects; ++i) all.push_back(compile(&wide));
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < kObjects; ++i) {
      const Tensor x = full({i + 1, 3}, 0.25);
      REQUIRE(same_bits(all[static_cast<size_t>(i)](x, 40), wide(x, 40)));
      REQUIRE(codegen::code_memory_stats().bytes_mapped <= limit);
    }
  REQUIRE(program_cache_stats().evicted > evicted);
}

TEST_CASE("the program that runs all the time stays") {
  if (!codegen::jit_available()) return;
  auto hot = compile(&wide);
  const Tensor h = full({5, 7}, 0.5);
  const Tensor want = wide(h, 3);
  (void)hot(h, 3);
  const auto evicted = program_cache_stats().evicted;
  std::vector<Compiled<Tensor (*)(const Tensor&, int)>> all;
  for (int i = 0; i < 150; ++i) {
    all.push_back(compile(&wide));
    (void)all.back()(full({i + 1, 4}, 0.25), 40);
    REQUIRE(same_bits(hot(h, 3), want));
  }
  REQUIRE(program_cache_stats().evicted > evicted);
  REQUIRE(hot.stats().regions_compiled == 1);
}

TEST_CASE("a program that is taken away costs one more compile, no recompile") {
  if (!codegen::jit_available()) return;
  auto g = compile(&wide);
  const Tensor x = full({6, 5}, 0.5);
  const Tensor want = wide(x, 2);
  REQUIRE(same_bits(g(x, 2), want));
  while (ProgramCache::get().evict_one()) {}
  REQUIRE(same_bits(g(x, 2), want));
  REQUIRE(g.stats().regions_compiled == 2);
  REQUIRE(g.stats().recompiles == 0);
  REQUIRE(same_bits(g(x, 2), want));
  REQUIRE(g.stats().regions_compiled == 2);
}

TEST_CASE("compiling and dropping leaves bytes, descriptors and mappings where they were") { churn(1500); }
TEST_CASE("the same, 100,000 times", "[.][soak]") { churn(100'000); }
