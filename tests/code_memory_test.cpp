// Own code memory: what is installed runs, what is freed traps, nothing leaks, and full is told apart from refused.
#include <catch2/catch.hpp>
#include <csignal>
#include <random>
#include <thread>
#include "child_process.h"
#include "code_bytes.h"
#include "codegen/code_block.h"
#include "codegen/code_mapping.h"
#include "codegen/kernel.h"
#include "runtime/cpu.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::test;

namespace {

bool all_int3(const void* p, size_t n) {
  const auto* b = static_cast<const uint8_t*>(p);
  return std::all_of(b, b + n, [](uint8_t x) { return x == 0xcc; });
}

/// Everything that could leak.
struct Footprint {
  size_t bytes, mapped, descriptors, maps;
  static Footprint now() {
    const CodeMemoryStats s = code_memory_stats();
    return {s.bytes_in_use, s.bytes_mapped, open_descriptors(), mappings("", "sinter code")};
  }
  friend bool operator==(const Footprint&, const Footprint&) = default;
};

/// Fills what is mapped to the last granule: the next install needs a new block.
std::vector<Installed> fill_blocks() {
  std::vector<Installed> all;
  for (size_t n = kMaxKernelBytes; n >= kCodeGranule; n /= 2) {
    do {
      fail_mapping_after(1);
      all.emplace_back(1, n);
    } while (all.back().at);
    all.pop_back();
  }
  fail_mapping_after(0);
  return all;
}

}  // namespace

TEST_CASE("installed code runs; everything around it is int3") {
  REQUIRE(code_memory_works());
  const size_t before = code_memory_stats().bytes_in_use;
  Installed a(1, 16), b(2, 100), c(3, 64), d(4, 5000);
  for (const Installed* i : {&a, &b, &c, &d}) {
    REQUIRE(i->works());
    const auto at = reinterpret_cast<uintptr_t>(i->at);
    REQUIRE(at % 64 == 0);
    const size_t end = i->bytes.size();
    REQUIRE(all_int3(static_cast<uint8_t*>(i->at) + end, (kCodeGranule - end % kCodeGranule) % kCodeGranule));
  }
  REQUIRE(code_memory_stats().bytes_in_use == before + 64 + 128 + 64 + 5056);
  void* hole = b.at;
  b.free();
  REQUIRE(all_int3(hole, 128));
  REQUIRE((a.works() && c.works() && d.works()));
  Installed e(5, 128);  // takes the hole
  REQUIRE(e.at == hole);
  REQUIRE(e.works());
  for (Installed* i : {&a, &c, &d, &e}) i->free();
  REQUIRE(code_memory_stats().bytes_in_use == before);
}

TEST_CASE("executing freed code traps") {
  Installed keep(1, 64), gone(2, 64);
  auto* fn = reinterpret_cast<uint32_t (*)()>(gone.at);
  gone.free();
  REQUIRE(in_child([fn] { return fn() == 2; }) == by_signal(SIGTRAP));
  keep.free();
}

TEST_CASE("a block's map of granules: first fit, joined holes, no overlap") {
  CodeMapping mapping;
  REQUIRE(map_code(kCodeBlockBytes, mapping) == 0);
  CodeBlock block(mapping);
  struct Piece {
    uint8_t* at;
    size_t n;
  };
  std::vector<Piece> pieces;
  std::vector<bool> taken(kCodeBlockBytes / kCodeGranule, false);
  std::mt19937 rng(1);
  for (int step = 0; step < 20000; ++step) {
    if (rng() % 2 || pieces.empty()) {
      const size_t n = 1 + rng() % (rng() % 8 ? 3000 : 200000), granules = granules_bytes(n) / kCodeGranule;
      const std::vector<uint8_t> bytes(n, 0x90);
      size_t run = 0, expected = taken.size();  // first fit, the slow way
      for (size_t g = 0; g < taken.size() && expected == taken.size(); ++g) {
        run = taken[g] ? 0 : run + 1;
        if (run == granules) expected = g + 1 - granules;
      }
      auto* at = static_cast<uint8_t*>(block.install(bytes.data(), n));
      REQUIRE((at == nullptr) == (expected == taken.size()));
      if (!at) continue;
      REQUIRE(at == mapping.rx + expected * kCodeGranule);
      for (size_t g = 0; g < granules; ++g) taken[expected + g] = true;
      pieces.push_back({at, n});
    } else {
      std::swap(pieces[rng() % pieces.size()], pieces.back());
      const Piece p = pieces.back();
      pieces.pop_back();
      block.free(p.at, p.n);
      for (size_t g = 0; g < granules_bytes(p.n) / kCodeGranule; ++g)
        taken[static_cast<size_t>(p.at - mapping.rx) / kCodeGranule + g] = false;
    }
  }
  for (const Piece& p : pieces) block.free(p.at, p.n);
  REQUIRE(block.empty());
  REQUIRE(all_int3(mapping.rx, kCodeBlockBytes));
}

TEST_CASE("100,000 installs and frees leave nothing behind") {
  Installed(1, 64).free();  // the spare block
  const Footprint before = Footprint::now();
  std::mt19937 rng(2);
  std::vector<Installed> alive;
  for (int i = 0; i < 100000; ++i) {
    if (alive.size() > 60) {
      std::swap(alive[rng() % alive.size()], alive.back());
      REQUIRE(alive.back().works());
      alive.back().free();
      alive.pop_back();
    }
    alive.emplace_back(rng(), 16 + rng() % (i % 50 ? 4000 : 250000));
    if (!alive.back().at) FAIL("not installed");
    const CodeMemoryStats s = code_memory_stats();
    if (s.bytes_in_use > s.bytes_mapped || s.bytes_mapped > s.bytes_limit) FAIL("out of bounds");
  }
  for (Installed& i : alive) {
    REQUIRE(i.works());
    i.free();
  }
  REQUIRE(Footprint::now() == before);
}

TEST_CASE("threads install, run and free at the same time") {
  Installed(1, 64).free();
  const Footprint before = Footprint::now();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([t, &wrong] {
      std::mt19937 rng(t);
      std::vector<Installed> alive;
      for (int i = 0; i < 5000; ++i) {
        alive.emplace_back(rng(), 16 + rng() % 20000);
        Installed& one = alive[rng() % alive.size()];
        wrong += !one.works();
        if (alive.size() < 20) continue;
        std::swap(one, alive.back());
        alive.back().free();
        alive.pop_back();
      }
      for (Installed& i : alive) i.free();
    });
  for (std::thread& t : threads) t.join();
  REQUIRE(wrong == 0);
  REQUIRE(Footprint::now() == before);
}

TEST_CASE("more than a kernel may have is refused, whatever is free") {
  const Footprint before = Footprint::now();
  Installed most(1, kMaxKernelBytes), more(2, kMaxKernelBytes + 1);
  REQUIRE(most.works());
  REQUIRE(more.at == nullptr);
  REQUIRE(more.why == NoCode::TooLarge);
  most.free();
  REQUIRE(Footprint::now().bytes == before.bytes);
}

TEST_CASE("each system call of a new block may fail: refused, nothing leaks, the next one works") {
  std::vector<Installed> all = fill_blocks();
  const Footprint before = Footprint::now();
  for (int nth = 1; nth <= 4; ++nth) {
    fail_mapping_after(nth);
    const Installed refused(1, kMaxKernelBytes);
    REQUIRE(refused.at == nullptr);
    REQUIRE(refused.why == NoCode::Refused);
    REQUIRE(Footprint::now() == before);
  }
  fail_mapping_after(5);  // a block takes four calls
  Installed fifth(1, kMaxKernelBytes);
  fail_mapping_after(0);
  REQUIRE(fifth.works());
  REQUIRE(code_memory_works());
  for (const Installed& i : all) REQUIRE(i.works());
  fifth.free();
  for (Installed& i : all) i.free();
}

TEST_CASE("code memory is full at SINTER_CODE_BYTES, and has room again after a free") {
  REQUIRE(run_child("[full-child]", "SINTER_CODE_BYTES=3000000") == 0);  // two whole blocks
}
TEST_CASE("child: a bound of two blocks", "[.][full-child]") {
  REQUIRE(code_memory_stats().bytes_limit == 3000000);
  std::vector<Installed> all;
  for (uint32_t i = 0; i < 8; ++i) all.emplace_back(i, kMaxKernelBytes);
  for (const Installed& i : all) REQUIRE(i.works());
  REQUIRE(code_memory_stats().bytes_mapped == 2 * kCodeBlockBytes);
  const Installed full(9, 64);
  REQUIRE(full.at == nullptr);
  REQUIRE(full.why == NoCode::Full);
  all[3].free();
  all[3] = Installed(10, 4096);
  REQUIRE(all[3].works());
  const Installed still(9, kMaxKernelBytes);
  REQUIRE(still.why == NoCode::Full);
  LoopSpec spec;  // y = x
  spec.sizes = {1000};
  spec.operands = {{kFloat, false, {1}}, {kFloat, true, {1}}};
  spec.nodes.emplace_back();
  spec.nodes[0].kind = LoopKind::Load;
  spec.nodes[0].dtype = kFloat;
  spec.nodes[0].index = 0;
  spec.stores = {{0, 1}};
  NoKernel why = NoKernel::Refused;
  if (isa() == Isa::None) return;
  REQUIRE(get_kernel(spec, &why));
  REQUIRE(why == NoKernel::None);
  all.emplace_back(11, kMaxKernelBytes - 4096);
  if (!all.back().at) all.pop_back();
  while (all.emplace_back(12, 64).at) {}
  REQUIRE(get_kernel(spec, &why) == nullptr);
  REQUIRE(why == NoKernel::CodeMemoryFull);
  REQUIRE(jit_available());
  all[0].free();
  REQUIRE(get_kernel(spec, &why));
  REQUIRE(why == NoKernel::None);
}

TEST_CASE("a shortage at the first try is not remembered") { REQUIRE(run_child("[shortage-child]") == 0); }
TEST_CASE("child: the first block cannot be mapped", "[.][shortage-child]") {
  for (int nth = 1; nth <= 4; ++nth) {
    fail_mapping_after(nth);
    const char* why = "";
    REQUIRE_FALSE(code_memory_works(&why));
    REQUIRE(std::string(why) == "Cannot allocate memory");
    REQUIRE(code_memory_stats().blocks == 0);
  }
  REQUIRE(code_memory_works());
}
