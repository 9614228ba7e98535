// Kernels read and write their operands' bytes and no others: every operand flush with pages that fault, at every length and
// alignment; every output element is written; registers, flags and stack are the caller's again afterwards.
#include <catch2/catch.hpp>
#include "any_size_spec.h"
#include "codegen/code_memory.h"
#include "codegen_random_spec.h"
#include "guarded_operands.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

/// Up to three vectors and one element, then what the unrolled loops need.
std::vector<int64_t> lengths() {
  std::vector<int64_t> all;
  for (int64_t n = 0; n <= 3 * 16 + 1; ++n) all.push_back(n);
  for (int64_t n : {63, 64, 65, 79, 127, 128, 129, 143, 200, 257}) all.push_back(n);
  return all;
}

/// Both ends, and elements from every `step`-th address of a cache line on.
std::vector<Placement> placements(int step) {
  std::vector<Placement> all = {{Placement::End}, {Placement::Start}, {Placement::Odd}};
  for (int s = 0; s < 16; s += step) all.push_back({Placement::Offset, s});
  return all;
}

void require_inside(const LoopSpec& spec, const std::vector<std::pair<int, int>>& shared, uint64_t seed,
                    const std::vector<Placement>& where, const std::string& name) {
  GuardedRun run(spec, shared, seed);
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    const auto kernel = get_kernel(spec);
    INFO(name << " " << isa_name(isa) << "\n" << to_string(spec));
    REQUIRE(kernel);
    REQUIRE(run.check(*kernel, where) == "");
    for (const bool all : {true, false}) {
      const LoopSpec any = any_sized(spec, all, seed);
      INFO("for any size\n" << to_string(any));
      const auto for_any_size = get_kernel(any);
      REQUIRE(for_any_size);
      REQUIRE(run.check(*for_any_size, where) == "");
    }
  }
}

void require_inside(const std::vector<Family>& families, const std::vector<Placement>& where) {
  for (const Family& f : families)
    for (int64_t n : lengths()) require_inside(f.make(n), f.shared, static_cast<uint64_t>(n) + 1, where, f.name);
}

}  // namespace

TEST_CASE("pointwise kernels stay inside their operands") { require_inside(pointwise_families(), placements(1)); }
TEST_CASE("reductions stay inside their operands") { require_inside(reduction_families(), placements(5)); }
TEST_CASE("strided, broadcast and gathered operands") { require_inside(strided_families(), placements(5)); }

TEST_CASE("random kernels stay inside their operands") {
  for (uint64_t seed = 5000; seed < 5400; ++seed)
    require_inside(RandomSpec(seed).spec(), {}, seed, placements(7), "seed " + std::to_string(seed));
}

TEST_CASE("kernels with randomly chosen registers, lanes and unrolling stay inside their operands") {
  const StressedKernels stressed;
  for (const auto& families : {pointwise_families(), reduction_families(), strided_families()})
    for (const Family& f : families)
      for (int64_t n : {1, 3, 15, 16, 17, 33, 47, 49, 65, 143}) {
        stressed.next();
        require_inside(f.make(n), f.shared, static_cast<uint64_t>(n) + 1, placements(15), f.name);
      }
  for (uint64_t seed = 6000; seed < 6400; ++seed) {
    stressed.next();
    require_inside(RandomSpec(seed).spec(), {}, seed, placements(15), "seed " + std::to_string(seed));
  }
}

TEST_CASE("the caller's rounding mode and flush-to-zero are there again afterwards") {
  for (uint32_t mxcsr : {0x1f80u, 0x3f80u, 0x5f80u, 0x7f80u, 0x9f80u, 0x1fc0u, 0xffc0u})
    for (const Family& f : pointwise_families()) {
      const LoopSpec spec = f.make(37);
      for (Isa isa : levels()) {
        set_isa_cap(isa);
        const auto kernel = get_kernel(spec);
        REQUIRE(kernel);
        std::vector<std::vector<uint8_t>> memory;
        std::vector<void*> operands;
        for (const LoopOperand& o : spec.operands) {
          memory.emplace_back(1024);
          operands.push_back(memory.back().data());
          REQUIRE(extent_of(spec, o).elements * 8 <= 1024);
        }
        const uint64_t scalars[4] = {};
        INFO(f.name << " " << isa_name(isa));
        REQUIRE(test::watched_call(*kernel, operands.data(), scalars, nullptr, 0, mxcsr) == "");
      }
    }
}

TEST_CASE("the watched call sees what a kernel leaves wrong") {
  struct Bad {
    std::vector<uint8_t> code;
    const char* complaint;
  };
  const Bad bad[] = {
      {{0x31, 0xdb, 0xc3}, "rbx changed"},                                                                // xor ebx, ebx
      {{0x31, 0xed, 0xc3}, "rbp changed"},                                                                // xor ebp, ebp
      {{0x45, 0x31, 0xff, 0xc3}, "r15 changed"},                                                          // xor r15d, r15d
      {{0xc5, 0xf8, 0x77, 0xfd, 0xc3}, "direction flag set"},                                             // vzeroupper; std
      {{0xc5, 0xf8, 0x77, 0xc2, 0x08, 0x00}, "rsp changed"},                                              // ret 8
      {{0xc5, 0xf8, 0x77, 0x68, 0xc0, 0x7f, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x58, 0xc3}, "MXCSR changed"},  // push; ldmxcsr; pop
      {{0x90, 0x90, 0x90, 0x90, 0x90, 0xc3}, "upper half of vector register 0 in use"},
      {{0xc5, 0xf8, 0x77, 0xc3, 0x90, 0xc3}, ""},
  };
  for (const Bad& b : bad) {
    NoCode why;
    Kernel kernel;
    void* code = install_code(b.code.data(), b.code.size(), why);
    REQUIRE(code);
    kernel.fn = reinterpret_cast<KernelFn>(code);
    kernel.code_bytes = b.code.size();
    REQUIRE(test::watched_call(kernel, nullptr, nullptr, nullptr, 0x7ff8dead7ff8dead) == b.complaint);
    free_code(code, b.code.size());
  }
}
