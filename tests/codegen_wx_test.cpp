// No page is writable and executable, ever; where the system refuses executable memory, results are the same.
#include <atomic>
#include <mutex>
#include <thread>
#include "child_process.h"
#include "code_bytes.h"
#include "codegen_reference.h"
#include "runtime/log.h"
#include "sandbox.h"
#include "support.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::test;

namespace {

LoopSpec add_constant(int64_t n, double c) {
  reference::SpecBuilder b(LoopMode::Pointwise, {n});
  b.store(b.compute(Op::add, {b.load(kFloat), b.constant(kFloat, c)}));
  return b.spec;
}

std::string& warnings() {
  static std::string text;
  return text;
}

/// Functions of several kernels each, eager against compiled, bit for bit, over several calls.
void require_same_as_eager() {
  const auto f = [](const Tensor& x) { return softmax(x.sin() * 2 + 1, -1); };
  const auto h = [](const Tensor& x) { return x.exp() / (x * x).sum(0, true) + x.max(); };
  auto g = compile(f);
  auto k = compile(h);
  for (int64_t n : {40, 3, 40}) {
    const Tensor x = randn({5, n});
    for (int i = 0; i < 3; ++i) {
      REQUIRE(same_bits(f(x), g(x)));
      REQUIRE(same_bits(h(x), k(x)));
    }
  }
}

void require_interpreted() {
  set_log_sink([](std::string_view line) { warnings() += std::string(line) + "\n"; });
  require_same_as_eager();
  REQUIRE_FALSE(jit_available());
  const std::string first = warnings();
  REQUIRE(first.find("executable memory") != std::string::npos);
  require_same_as_eager();
  REQUIRE(warnings() == first);
  REQUIRE(code_memory_stats().bytes_mapped == 0);
  NoKernel why = NoKernel::None;
  REQUIRE(get_kernel(add_constant(10, 1), &why) == nullptr);
  REQUIRE(why == NoKernel::Refused);
}

void require_compiled() {
  require_same_as_eager();
  REQUIRE(jit_available() == (isa() != Isa::None));
  if (isa() == Isa::None) return;
  REQUIRE(get_kernel(add_constant(10, 1)));
  std::vector<Installed> all;
  for (uint32_t i = 0; i < 30; ++i) all.emplace_back(i, 100000);  // several blocks
  for (Installed& i : all) {
    REQUIRE(i.works());
    i.free();
  }
}

}  // namespace

TEST_CASE("no page is writable and executable while kernels come, run and go") {
  std::atomic<bool> stop{false};
  std::atomic<int> scans{0}, bad{0}, seen{0};
  std::thread scanner([&] {
    while (!stop) {
      bad += static_cast<int>(mappings("wx"));
      seen += static_cast<int>(mappings("x", "sinter code"));
      ++scans;
    }
  });
  const bool jit = jit_available();
  int wrong = 0;
  for (int i = 0; i < 2000 || scans < 100; ++i) {
    std::vector<Installed> big;
    for (uint32_t k = 0; k < 6; ++k) big.emplace_back(k, i % 10 ? 3000 : kMaxKernelBytes);  // every tenth time a new block
    const auto kernel = jit ? get_kernel(add_constant(100, i)) : nullptr;
    std::vector<float> x(100, 2.0f), y(100);
    void* operands[] = {x.data(), y.data()};
    if (kernel) kernel->fn(operands, nullptr, nullptr);
    wrong += kernel && y[99] != 2.0f + static_cast<float>(i);
    for (Installed& k : big) {
      wrong += code_memory_works() && !k.works();
      if (k.at) k.free();
    }
  }
  stop = true;
  scanner.join();
  REQUIRE(bad == 0);
  REQUIRE((seen > 0) == code_memory_works());
  REQUIRE(wrong == 0);
}

TEST_CASE("executable mappings refused: interpreted, said once, same bits") { REQUIRE(run_child("[wx-noexec]") == 0); }
TEST_CASE("child: no executable mapping", "[.][wx-noexec]") {
  REQUIRE(refuse_executable_mappings(false));
  require_interpreted();
}

TEST_CASE("shared executable mappings refused: interpreted, said once, same bits") { REQUIRE(run_child("[wx-noshared]") == 0); }
TEST_CASE("child: no shared executable mapping", "[.][wx-noshared]") {
  REQUIRE(refuse_executable_mappings(true));
  require_interpreted();
}

TEST_CASE("memfd_create not permitted, or unknown: interpreted, said once, same bits") {
  REQUIRE(run_child("[wx-memfd-eperm]") == 0);
  REQUIRE(run_child("[wx-memfd-enosys]") == 0);
}
TEST_CASE("child: memfd_create is not permitted", "[.][wx-memfd-eperm]") {
  REQUIRE(refuse_memfd(EPERM));
  require_interpreted();
}
TEST_CASE("child: memfd_create is unknown", "[.][wx-memfd-enosys]") {
  REQUIRE(refuse_memfd(ENOSYS));
  require_interpreted();
}

TEST_CASE("kernels are generated with and without the seal against running the file") {
  REQUIRE(run_child("[wx-old-memfd]") == 0);
  REQUIRE(run_child("[wx-sealed-only]") == 0);
}
TEST_CASE("child: a system that does not know the seal", "[.][wx-old-memfd]") {
  constexpr uint32_t kNoexecSeal = 8;
  REQUIRE(refuse_memfd(EINVAL, kNoexecSeal, kNoexecSeal));
  require_compiled();
}
TEST_CASE("child: a system that insists on the seal", "[.][wx-sealed-only]") {
  constexpr uint32_t kNoexecSeal = 8;
  REQUIRE(refuse_memfd(EACCES, kNoexecSeal, 0));
  require_compiled();
}

TEST_CASE("under memory-deny-write-execute: several blocks of code, and after a fork") { REQUIRE(run_child("[wx-mdwe]") == 0); }
TEST_CASE("child: memory-deny-write-execute from the start", "[.][wx-mdwe]") {
  if (!deny_write_execute()) return;
  REQUIRE(mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
  require_compiled();
  REQUIRE(child_ended_well(fork_child([] {
    Installed one(5, 100);
    return one.works();
  })));
}

TEST_CASE("a system that refuses only later: what is mapped goes on working, then interpreted") {
  REQUIRE(run_child("[wx-later]") == 0);
}
TEST_CASE("child: executable mappings refused after the first kernels", "[.][wx-later]") {
  if (!jit_available()) return;
  const auto f = [](const Tensor& x) { return softmax(x.sin() * 2 + 1, -1); };
  auto g = compile(f);
  const Tensor x = randn({4, 33});
  REQUIRE(same_bits(f(x), g(x)));
  const auto kernel = get_kernel(add_constant(10, 1));
  REQUIRE(refuse_executable_mappings(false));
  set_log_sink([](std::string_view line) { warnings() += std::string(line) + "\n"; });
  REQUIRE(get_kernel(add_constant(10, 2)));  // there is room
  std::vector<Installed> all;
  while (all.emplace_back(1, codegen::kMaxKernelBytes / 32).at) {}
  REQUIRE(all.back().why == NoCode::Refused);
  NoKernel why = NoKernel::None;
  std::vector<std::shared_ptr<const Kernel>> kernels;
  do kernels.push_back(get_kernel(add_constant(10, static_cast<double>(kernels.size()) + 3), &why));
  while (kernels.back());
  REQUIRE(why == NoKernel::Refused);
  REQUIRE(jit_available());
  require_same_as_eager();
  for (int i = 0; i < 3; ++i) REQUIRE(same_bits(f(x), g(x)));
  REQUIRE(warnings().find("executable memory") != std::string::npos);
  REQUIRE(warnings().find("executable memory") == warnings().rfind("executable memory"));
  all.pop_back();
  all.back().free();
  REQUIRE(get_kernel(add_constant(10, -1), &why));
  REQUIRE(why == NoKernel::None);
}
