// Random kernels against the interpreter, the kernel cache, disassembly.
#include <pthread.h>
#include <catch2/catch.hpp>
#include <thread>
#include "codegen/code_memory.h"
#include "codegen/loop/compile.h"
#include "codegen_random_spec.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

LoopSpec chain(int64_t n, double c) {
  SpecBuilder b(LoopMode::Pointwise, {n});
  b.store(b.compute(Op::add, {b.load(kFloat), b.constant(kFloat, c)}));
  return b.spec;
}

}  // namespace

TEST_CASE("random kernels equal the interpreter") {
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    const RandomSpec random(seed);
    for (Isa isa : levels()) {
      const Check c = check(random.spec(), isa, seed, seed % 2);
      INFO("seed " << seed << "\n" << to_string(random.spec()));
      REQUIRE(c.failure == "");
    }
  }
}

TEST_CASE("kernels that take ranges of a dimension: any division, in any order, equals the whole") {
  int ranges = 0;
  for (uint64_t seed = 0; seed < 250; ++seed) {
    const RandomSpec random(seed);
    LoopSpec spec = random.spec();
    const size_t rank = spec.sizes.size(), reduced = rank - (spec.mode == LoopMode::Column ? 2 : 1);
    for (size_t d = 0; d < rank; ++d) {
      if (spec.mode != LoopMode::Pointwise && d == reduced) continue;
      spec.split = static_cast<int32_t>(d);
      for (Isa isa : levels()) {
        const Check c = check(spec, isa, seed, seed % 2);
        INFO("seed " << seed << "\n" << to_string(spec));
        REQUIRE(c.failure == "");
        ++ranges;
      }
    }
  }
  REQUIRE(ranges > 375);
}

TEST_CASE("the same spec gives the same bytes") {
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const RandomSpec random(seed);
      auto first = get_kernel(random.spec());
      REQUIRE(first);
      const std::vector<uint8_t> code(first->code(), first->code() + first->code_bytes);
      first.reset();
      const auto again = get_kernel(random.spec());
      REQUIRE(std::memcmp(code.data(), again->code(), code.size()) == 0);
    }
  }
}

TEST_CASE("kernels are shared while used and freed afterwards") {
  set_isa_cap(detected_isa());
  const CodeStats before = code_stats();
  {
    const auto a = get_kernel(chain(100, 1.25)), b = get_kernel(chain(100, 1.25)), c = get_kernel(chain(100, -0.0)),
               d = get_kernel(chain(100, 0.0));
    REQUIRE(a == b);
    REQUIRE(c != d);  // constants are compared by bits
    REQUIRE(code_stats().compiled == before.compiled + 3);
    REQUIRE(code_stats().cache_hits == before.cache_hits + 1);
    REQUIRE(code_stats().code_bytes > before.code_bytes);
  }
  REQUIRE(code_stats().code_bytes == before.code_bytes);
  for (int i = 0; i < 3000; ++i) REQUIRE(get_kernel(chain(100, i)));
  REQUIRE(code_stats().code_bytes == before.code_bytes);
}

TEST_CASE("threads that ask for one spec get one kernel") {
  set_isa_cap(detected_isa());
  const size_t before = code_stats().compiled;
  std::vector<std::shared_ptr<const Kernel>> got(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < got.size(); ++i) threads.emplace_back([&got, i] { got[i] = get_kernel(chain(333, 7)); });
  for (std::thread& t : threads) t.join();
  for (const auto& k : got) REQUIRE(k == got[0]);
  REQUIRE(code_stats().compiled == before + 1);
}

TEST_CASE("an instruction-set cap of none gives no kernel") {
  set_isa_cap(Isa::None);
  REQUIRE_FALSE(jit_available());
  REQUIRE(get_kernel(chain(10, 1)) == nullptr);
  set_isa_cap(detected_isa());
}

TEST_CASE("what cannot be emitted is refused, and the caller learns why") {
  set_isa_cap(detected_isa());
  NoKernel why = NoKernel::None;
  SpecBuilder b(LoopMode::Pointwise, {10});
  b.store(b.compute(Op::remainder, {b.load(kLong), b.load(kLong)}));
  REQUIRE(get_kernel(b.spec, &why) == nullptr);
  REQUIRE(why == NoKernel::NotEmittable);
  SpecBuilder c(LoopMode::Row, {10});
  c.store(c.reduce(ReduceKind::Max, c.load(kBool)), {0});
  REQUIRE(get_kernel(c.spec, &why) == nullptr);
  REQUIRE(why == NoKernel::NotEmittable);
  REQUIRE(get_kernel(chain(10, 5), &why));
  REQUIRE(why == NoKernel::None);
  set_isa_cap(Isa::None);
  REQUIRE(get_kernel(chain(10, 5), &why) == nullptr);
  REQUIRE(why == NoKernel::Refused);
  set_isa_cap(detected_isa());
}

namespace {

/// Values that all live from the start to the end.
LoopSpec hoard(LoopMode mode, int count) {
  SpecBuilder b(mode, {3, 40});
  std::vector<int> values;
  for (int i = 0; i < count; ++i) values.push_back(b.compute(Op::sin, {b.load(kFloat)}));
  int sum = b.constant(kFloat, 0);
  for (int v : values) sum = b.compute(Op::add, {sum, mode == LoopMode::Pointwise ? v : b.reduce(ReduceKind::Sum, v)});
  for (size_t i = values.size(); i-- > 0;) sum = b.compute(Op::sub, {sum, values[i]});
  b.store(sum);
  return b.spec;
}

/// Calls a kernel on operands of its own.
void run_on_zeros(const Kernel& kernel) {
  std::vector<float> memory(3 * 40, 0.5f);
  std::vector<void*> operands(kernel.spec.operands.size(), memory.data());
  std::unique_ptr<void, void (*)(void*)> scratch(std::aligned_alloc(64, (kernel.scratch_bytes + 64) / 64 * 64), std::free);
  kernel.fn(operands.data(), nullptr, scratch.get());
}

}  // namespace

TEST_CASE("kernels fit on small stacks, or are refused") {
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    NoKernel why = NoKernel::None;
    REQUIRE(get_kernel(hoard(LoopMode::Column, 400), &why) == nullptr);  // frames of more than 100 KiB
    REQUIRE(why == NoKernel::NotEmittable);
    std::vector<std::shared_ptr<const Kernel>> kernels;
    for (LoopMode mode : {LoopMode::Pointwise, LoopMode::Row, LoopMode::Column})
      for (int count = 4; count < 400; count += count / 4)
        if (const auto k = get_kernel(hoard(mode, count))) kernels.push_back(k);
    REQUIRE(kernels.size() > 20);
    pthread_attr_t small;
    pthread_attr_init(&small);
    REQUIRE(pthread_attr_setstacksize(&small, 64 << 10) == 0);
    const auto run_all = [](void* all) -> void* {
      for (const auto& k : *static_cast<decltype(kernels)*>(all)) run_on_zeros(*k);
      return nullptr;
    };
    pthread_t thread;
    REQUIRE(pthread_create(&thread, &small, run_all, &kernels) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    pthread_attr_destroy(&small);
  }
}

TEST_CASE("more code than a kernel may have is refused") {
  set_isa_cap(detected_isa());
  SpecBuilder b(LoopMode::Pointwise, {1000, 7});
  int v = b.load(kFloat);
  for (int i = 0; i < 2000; ++i) v = b.compute(Op::gelu, {v});
  b.store(v);
  CompiledLoop loop;
  std::string reason;
  compile_loop(b.spec, isa(), loop, reason);
  REQUIRE(reason == "");
  REQUIRE(loop.code.size() > kMaxKernelBytes);
  NoKernel why = NoKernel::None;
  const CodeStats before = code_stats();
  REQUIRE(get_kernel(b.spec, &why) == nullptr);
  REQUIRE(why == NoKernel::NotEmittable);
  REQUIRE(code_stats().code_bytes == before.code_bytes);
}

TEST_CASE("large outputs stream, whatever their alignment") {
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    const int64_t n = (int64_t{9} << 20) + 5;
    const auto k = get_kernel(chain(n, 1.5));
    REQUIRE(k);
    REQUIRE(disassemble(*k, {}).find("vmovntps") != std::string::npos);
    REQUIRE(disassemble(*k, {}).find("sfence") != std::string::npos);  // else another thread may see the old bytes
    std::vector<float> x(static_cast<size_t>(n) + 32), y(x.size(), -1.0f);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1000);
    for (size_t offset : {0, 1, 3}) {
      const size_t align = (64 - reinterpret_cast<uintptr_t>(y.data()) % 64) / 4 % 16 + offset;
      void* operands[] = {x.data(), y.data() + align};
      std::fill(y.begin(), y.end(), -1.0f);
      k->fn(operands, nullptr, nullptr);
      size_t wrong = 0;
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) wrong += y[align + i] != x[i] + 1.5f;
      REQUIRE(wrong == 0);
      REQUIRE(y[align + static_cast<size_t>(n)] == -1.0f);
      REQUIRE((align == 0 || y[align - 1] == -1.0f));
    }
  }
}

TEST_CASE("rows that are not all aligned do not stream") {
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    const int64_t rows = 520'000, columns = 17;
    SpecBuilder b(LoopMode::Pointwise, {rows, columns});
    b.store(b.compute(Op::add, {b.load(kFloat, {0, 1}), b.constant(kFloat, 1)}));
    const auto k = get_kernel(b.spec);
    REQUIRE(k);
    std::vector<float> x(static_cast<size_t>(columns), 2.0f), y(static_cast<size_t>(rows * columns) + 16);
    const size_t align = (64 - reinterpret_cast<uintptr_t>(y.data()) % 64) / 4 % 16;
    void* operands[] = {x.data(), y.data() + align};
    k->fn(operands, nullptr, nullptr);
    REQUIRE(std::all_of(y.begin() + static_cast<long>(align), y.end() - static_cast<long>(16 - align),
                        [](float v) { return v == 3; }));
  }
}

namespace {
/// What a call leaves: the registers that belong to the caller, MXCSR, and the vector registers.
struct Aftermath {
  uint64_t saved[6];
  uint32_t mxcsr;
  alignas(64) uint64_t vectors[16][4];
};
}  // namespace

// call_and_look(fn, operands, after): calls fn with marked registers and stores them afterwards.
extern "C" void call_and_look(KernelFn fn, void* const* operands, Aftermath* after);
asm(R"(
.text
.type call_and_look, @function
call_and_look:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  push %rdx
  mov %rdi, %rax
  mov %rsi, %rdi
  xor %esi, %esi
  xor %edx, %edx
  mov $101, %ebx
  mov $102, %ebp
  mov $103, %r12d
  mov $104, %r13d
  mov $105, %r14d
  mov $106, %r15d
  call *%rax
  pop %rax
  mov %rbx, 0(%rax)
  mov %rbp, 8(%rax)
  mov %r12, 16(%rax)
  mov %r13, 24(%rax)
  mov %r14, 32(%rax)
  mov %r15, 40(%rax)
  stmxcsr 48(%rax)
  vmovups %ymm0, 64(%rax)
  vmovups %ymm1, 96(%rax)
  vmovups %ymm2, 128(%rax)
  vmovups %ymm3, 160(%rax)
  vmovups %ymm4, 192(%rax)
  vmovups %ymm5, 224(%rax)
  vmovups %ymm6, 256(%rax)
  vmovups %ymm7, 288(%rax)
  vmovups %ymm8, 320(%rax)
  vmovups %ymm9, 352(%rax)
  vmovups %ymm10, 384(%rax)
  vmovups %ymm11, 416(%rax)
  vmovups %ymm12, 448(%rax)
  vmovups %ymm13, 480(%rax)
  vmovups %ymm14, 512(%rax)
  vmovups %ymm15, 544(%rax)
  vzeroupper
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size call_and_look, . - call_and_look
)");

TEST_CASE("a kernel leaves the caller's registers as they were") {
  for (Isa isa : levels()) {
    set_isa_cap(isa);
    SpecBuilder b(LoopMode::Pointwise, {100});
    int sum = b.load(kFloat);
    for (int i = 0; i < 14; ++i) sum = b.compute(Op::add, {sum, b.load(kFloat)});  // more operands than free registers
    b.store(sum);
    const auto k = get_kernel(b.spec);
    REQUIRE(k);
    std::vector<float> x(100, 1.0f), y(100);
    std::vector<void*> operands(15, x.data());
    operands.push_back(y.data());
    Aftermath after{};
    const uint32_t mxcsr = __builtin_ia32_stmxcsr();
    call_and_look(k->fn, operands.data(), &after);
    REQUIRE(std::count(y.begin(), y.end(), 15.0f) == 100);
    for (uint64_t i = 0; i < 6; ++i) REQUIRE(after.saved[i] == 101 + i);
    REQUIRE((after.mxcsr & 0xffc0) == (mxcsr & 0xffc0));
    for (const auto& v : after.vectors) REQUIRE((v[2] | v[3]) == 0);  // dirty upper halves slow down all SSE code after it
  }
}

TEST_CASE("kernels of any size write as many elements as they are told") {
  SpecBuilder b(LoopMode::Pointwise, {8});
  b.store(b.compute(Op::add, {b.load(kFloat), b.load(kFloat)}));
  SpecBuilder wide(LoopMode::Pointwise, {8});
  wide.store(wide.cast_to(kFloat, wide.compute(Op::mul, {wide.load(kDouble), wide.load(kDouble)})));
  constexpr int64_t kMost = 150;
  std::vector<float> a(kMost, 1), out(kMost);
  std::vector<double> c(kMost, 2);
  for (const bool doubles : {false, true})
    for (const Isa level : levels()) {
      set_isa_cap(level);
      LoopSpec any;
      REQUIRE(make_sized_at_run_time(doubles ? wide.spec : b.spec, any));
      const auto kernel = get_kernel(any);
      REQUIRE(kernel);
      for (int64_t n = 0; n < kMost - 32; ++n) {
        std::fill(out.begin(), out.end(), -7.0f);
        void* in = doubles ? static_cast<void*>(c.data()) : a.data();
        void* operands[] = {in, in, out.data()};
        const uint64_t count[] = {static_cast<uint64_t>(n)};
        kernel->fn(operands, count, nullptr);
        INFO(isa_name(level) << ", " << n << " elements");
        REQUIRE(std::count(out.begin(), out.end(), doubles ? 4.0f : 2.0f) == n);
        REQUIRE(out[static_cast<size_t>(n)] == -7.0f);
      }
    }
  set_isa_cap(detected_isa());
}

TEST_CASE("disassembly names nodes") {
  set_isa_cap(detected_isa());
  const auto k = get_kernel(chain(64, 3));
  const std::string text = disassemble(*k, {"%0 input", "", "%2 = add  # model.cpp:12"});
  REQUIRE(text.find("; %2 = add  # model.cpp:12") != std::string::npos);
  REQUIRE(text.find("vaddps") != std::string::npos);
  REQUIRE(text.find("cannot decode") == std::string::npos);
  REQUIRE(kernel_name(k->spec) == "add");
}
