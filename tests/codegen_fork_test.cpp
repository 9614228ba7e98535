// fork(): the code blocks are shared memory, so neither process may write what the other executes; no lock is lost.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include "child_process.h"
#include "code_bytes.h"
#include "codegen_reference.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::test;
using reference::SpecBuilder;

namespace {

std::vector<Installed> install_some(uint32_t first, int count) {
  std::vector<Installed> all;
  for (int i = 0; i < count; ++i) all.emplace_back(first + static_cast<uint32_t>(i), 16 + static_cast<size_t>(i) * 777 % 9000);
  return all;
}

bool all_work(const std::vector<Installed>& all) {
  return std::all_of(all.begin(), all.end(), [](const Installed& i) { return i.works(); });
}

/// Frees every second one and installs others, running what is left between.
bool churn(std::vector<Installed>& all, uint32_t first) {
  bool well = true;
  for (int round = 0; round < 20; ++round) {
    for (size_t i = static_cast<size_t>(round) % 2; i < all.size(); i += 2) {
      all[i].free();
      all[i] = Installed(first++, 16 + i * 555 % 8000);
    }
    well = well && all_work(all);
  }
  return well;
}

bool free_all(std::vector<Installed>& all) {
  for (Installed& i : all) i.free();
  const CodeMemoryStats s = code_memory_stats();
  return s.bytes_in_use == 0 && s.blocks <= 1 && s.sealed_blocks == 0;
}

LoopSpec add_constant(int64_t n, double c) {
  SpecBuilder b(LoopMode::Pointwise, {n});
  b.store(b.compute(Op::add, {b.load(kFloat), b.constant(kFloat, c)}));
  return b.spec;
}

/// Asks for the kernel x + c and runs it.
bool kernel_adds(double c) {
  const auto kernel = get_kernel(add_constant(37, c));
  if (!kernel) return false;
  std::vector<float> x(37, 1.0f), y(37, 0.0f);
  void* operands[] = {x.data(), y.data()};
  kernel->fn(operands, nullptr, nullptr);
  return std::all_of(y.begin(), y.end(), [&](float v) { return v == 1.0f + static_cast<float>(c); });
}

}  // namespace

TEST_CASE("the child runs old code while the parent frees it and installs other") {
  std::vector<Installed> all = install_some(1, 100);
  Turns turns;
  const pid_t child = fork_child([&] {
    bool well = all_work(all);
    turns.wake_parent();
    well = turns.wait_in_child() && well && all_work(all);  // the parent has churned
    std::vector<Installed> own = install_some(1000, 50);
    well = well && all_work(own) && all_work(all);
    turns.wake_parent();
    well = turns.wait_in_child() && well && all_work(own) && all_work(all);  // and has churned again
    return free_all(own) == false && free_all(all) && well;                  // own first: the old code is still in use
  });
  REQUIRE(turns.wait_in_parent());
  REQUIRE(churn(all, 5000));
  turns.wake_child();
  REQUIRE(turns.wait_in_parent());
  REQUIRE(churn(all, 6000));
  turns.wake_child();
  REQUIRE(child_ended_well(child));
  REQUIRE(all_work(all));
  REQUIRE(free_all(all));
}

TEST_CASE("the parent runs old code while the child frees it and installs other") {
  std::vector<Installed> all = install_some(1, 100);
  Turns turns;
  const pid_t child = fork_child([&] {
    bool well = churn(all, 5000);
    turns.wake_parent();
    well = turns.wait_in_child() && well && churn(all, 6000);
    return free_all(all) && well;
  });
  REQUIRE(turns.wait_in_parent());
  REQUIRE(all_work(all));
  std::vector<Installed> own = install_some(1000, 50);
  REQUIRE((all_work(own) && all_work(all)));
  turns.wake_child();
  REQUIRE(child_ended_well(child));
  REQUIRE((all_work(own) && all_work(all)));
  for (Installed& i : own) i.free();
  REQUIRE(free_all(all));
}

TEST_CASE("a fork closes the blocks for writing and new code, on both sides") {
  std::vector<Installed> all = install_some(1, 10);
  REQUIRE(code_memory_stats().sealed_blocks == 0);
  const auto sealed = [] { return code_memory_stats().sealed_blocks == 1 && mappings("w", "sinter code") == 0; };
  REQUIRE(child_ended_well(fork_child(sealed)));
  REQUIRE(sealed());
  std::vector<Installed> later = install_some(100, 10);  // in a block of its own
  REQUIRE(code_memory_stats().blocks == 2);
  REQUIRE(mappings("w", "sinter code") == 1);
  const uint8_t* first = static_cast<const uint8_t*>(all[0].at);
  all[0].free();
  REQUIRE(first[0] == 0xf3);  // not filled: the other process may be running it
  all[0] = Installed(7, 64);
  REQUIRE(code_memory_stats().blocks == 2);
  for (Installed& i : all) i.free();
  REQUIRE(code_memory_stats().sealed_blocks == 0);
  REQUIRE(free_all(later));
}

TEST_CASE("repeated forks leak no blocks") {
  Installed(1, 64).free();
  const size_t descriptors = open_descriptors();
  for (uint32_t i = 0; i < 200; ++i) {
    Installed one(i, 5000);
    REQUIRE(child_ended_well(fork_child([&] {
      const bool well = one.works();
      one.free();
      return well && code_memory_stats().blocks == 0;
    })));
    REQUIRE(one.works());
    one.free();
    REQUIRE(code_memory_stats().blocks == 0);
  }
  std::vector<Installed> kept;  // one lives through each fork
  for (uint32_t i = 0; i < 20; ++i) {
    kept.emplace_back(i, 5000);
    REQUIRE(child_ended_well(fork_child([&] { return all_work(kept) && free_all(kept); })));
  }
  REQUIRE(code_memory_stats().sealed_blocks == 20);
  REQUIRE(free_all(kept));
  Installed(1, 64).free();
  REQUIRE(mappings("", "sinter code") == 2);
  REQUIRE(open_descriptors() == descriptors);
}

TEST_CASE("children of children") {
  std::vector<Installed> all = install_some(1, 30);
  REQUIRE(child_ended_well(fork_child([&] {
    std::vector<Installed> own = install_some(100, 30);
    const bool well = child_ended_well(fork_child([&] { return churn(own, 900) && churn(all, 700) && all_work(own); }));
    return well && all_work(all) && all_work(own) && churn(all, 300) && all_work(own);
  })));
  REQUIRE(all_work(all));
  REQUIRE(free_all(all));
}

#if !defined(__SANITIZE_ADDRESS__)  // whose allocator, before GCC 14, leaves its own locks taken in the child
TEST_CASE("a fork while other threads compile: the child compiles too") {
  if (!jit_available()) return;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) wrong += !kernel_adds(t * 100000 + i % 1000);
    });
  bool well = true;
  for (int i = 0; i < 60 && well; ++i)
    well = child_ended_well(fork_child([&] { return kernel_adds(500000 + i) && kernel_adds(1) && code_stats().compiled > 0; }));
  stop = true;
  for (std::thread& t : threads) t.join();
  REQUIRE(well);
  REQUIRE(wrong == 0);
}

TEST_CASE("a fork while another thread is the first to ask for code memory") { REQUIRE(run_child("[first-child]") == 0); }
TEST_CASE("child: the first question and a fork", "[.][first-child]") {
  std::atomic<bool> go{false};
  std::thread first([&] {
    while (!go) {}
    jit_available();
  });
  go = true;
  const bool well = child_ended_well(
      fork_child([] { return jit_available() == (isa() != Isa::None) && (isa() == Isa::None || kernel_adds(3)); }));
  first.join();
  REQUIRE(well);
}
#endif
