// Random kernels, the kernel cache, code memory, what instructions kernels are made of.
#include <Zydis/Zydis.h>
#include <catch2/catch.hpp>
#include <set>
#include <thread>
#include "codegen_reference.h"

using namespace sinter;
using namespace sinter::codegen;
using namespace sinter::codegen::reference;

namespace {

constexpr ScalarType kTypes[] = {kBool, kLong, kFloat, kDouble};
constexpr ScalarType kNumbers[] = {kLong, kFloat, kDouble};

/// A random kernel: values of every type, random strides, reductions and what follows them.
class RandomSpec {
 public:
  explicit RandomSpec(uint64_t seed) : rng_(seed), mode_(static_cast<LoopMode>(pick(3))), b_(mode_, sizes()) { build(); }
  const LoopSpec& spec() const { return b_.spec; }

 private:
  uint64_t pick(uint64_t n) { return rng_() % n; }
  SizeVec sizes() {
    static constexpr int64_t lengths[] = {1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 40, 65, 100};
    const size_t rank = 1 + pick(3) + (mode_ == LoopMode::Column);
    SizeVec s;
    for (size_t d = 0; d < rank; ++d)
      s.push_back(d + 1 < rank ? 1 + static_cast<int64_t>(pick(4)) : lengths[pick(std::size(lengths))]);
    if (mode_ == LoopMode::Column) s[rank - 2] = lengths[pick(std::size(lengths))];
    return s;
  }
  size_t axis() const { return b_.spec.sizes.size() - (mode_ == LoopMode::Column ? 2 : 1); }

  SizeVec strides() {
    SizeVec s = b_.dense();
    const uint64_t kind = pick(6);
    if (kind == 0) {  // reversed order of dimensions
      int64_t step = 1;
      for (size_t d = 0; d < s.size(); ++d) {
        s[d] = step;
        step *= b_.spec.sizes[d];
      }
    } else if (kind == 1) {
      for (size_t d = 0; d < s.size(); ++d) s[d] *= 2;
    } else if (kind == 2) {
      for (size_t d = 0; d < s.size(); ++d)
        if (pick(2)) s[d] = 0;
    }
    return s;
  }

  int add_node() {
    if (nodes_.size() < 3 || pick(6) == 0) {
      const uint64_t kind = pick(8);
      if (kind == 0) return b_.scalar(kTypes[pick(4)]);
      if (kind == 1) return b_.constant(kTypes[pick(4)], static_cast<double>(pick(7)) - 3);
      if (kind == 2) return b_.iota(static_cast<int>(pick(b_.spec.sizes.size())), kNumbers[pick(3)]);
      return b_.load(kTypes[pick(4)], strides());
    }
    const int x = any();
    if (pick(6) == 0) return b_.cast_to(kTypes[pick(4)], x);
    if (mode_ != LoopMode::Pointwise && pick(5) == 0 && type(x) != kBool) return b_.reduce(static_cast<ReduceKind>(pick(3)), x);
    static constexpr Op ops[] = {Op::add,     Op::sub,  Op::mul,   Op::div,  Op::minimum, Op::maximum,     Op::eq,
                                 Op::lt,      Op::ge,   Op::exp,   Op::tanh, Op::sin,     Op::log,         Op::relu,
                                 Op::neg,     Op::abs,  Op::where, Op::sqrt, Op::sigmoid, Op::logical_and, Op::logical_not,
                                 Op::addcmul, Op::gelu, Op::erf,   Op::sign, Op::cos,     Op::rsqrt};
    const Op op = ops[pick(std::size(ops))];
    const OpInfo& info = op_info(op);
    std::vector<int> in;
    for (int i = 0; i < info.min_in + (info.min_in == 1 && info.max_in == 2); ++i)
      in.push_back(of_type(op == Op::where && i == 0 ? kBool : type(x)));
    return can_emit(op, type(x)) ? b_.compute(op, in) : x;
  }

  ScalarType type(int n) const { return b_.spec.nodes[static_cast<size_t>(n)].dtype; }
  int any() { return nodes_[nodes_.size() - 1 - pick(std::min<size_t>(nodes_.size(), reach_))]; }
  int of_type(ScalarType t) {
    for (int tries = 0; tries < 6; ++tries)
      if (const int n = any(); type(n) == t) return n;
    return b_.cast_to(t, any());
  }

  void build() {
    const bool large = pick(5) == 0;  // more values than registers
    const size_t count = large ? 40 + pick(160) : 4 + pick(28);
    reach_ = large ? 60 : 8;
    while (nodes_.size() < count) nodes_.push_back(add_node());
    const size_t stores = 1 + pick(large ? 9 : 3);
    for (size_t i = 0; i < stores; ++i) {
      const int n = nodes_[nodes_.size() - 1 - pick(std::min<size_t>(nodes_.size(), (large ? 12 : 1) * i + 1))];
      SizeVec s = b_.dense();
      if (!varies(n) && mode_ != LoopMode::Pointwise && pick(4)) {  // once per row or column
        SizeVec kept = b_.spec.sizes;
        kept[axis()] = 1;
        s = contiguous_strides(kept);
        s[axis()] = 0;
      }
      b_.store(n, s);
    }
  }

  bool varies(int n) const {
    const LoopNode& x = b_.spec.nodes[static_cast<size_t>(n)];
    if (x.kind == LoopKind::Load) return b_.spec.operands[static_cast<size_t>(x.index)].strides[axis()] != 0;
    if (x.kind == LoopKind::Iota) return static_cast<size_t>(x.index) == axis();
    if (x.kind == LoopKind::Reduce) return false;
    for (int i = 0; i < x.n_in; ++i)
      if (varies(x.in[i])) return true;
    return false;
  }

  std::mt19937_64 rng_;
  LoopMode mode_;
  size_t reach_ = 8;  // how far back operands are taken from
  SpecBuilder b_;
  std::vector<int> nodes_;
};

/// Decodes all of a kernel's instructions; returns the first complaint.
std::string decode(const Kernel& k, Isa isa) {
  static const std::set<ZydisMnemonic> banned = {ZYDIS_MNEMONIC_VPTERNLOGD, ZYDIS_MNEMONIC_VPTERNLOGQ, ZYDIS_MNEMONIC_VPERMT2PS,
                                                 ZYDIS_MNEMONIC_VPERMI2PS,  ZYDIS_MNEMONIC_VPBLENDVB,  ZYDIS_MNEMONIC_LDMXCSR};
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  bool first = true;
  uint32_t expected = 0;
  for (const CodeRange& range : k.ranges) {
    if (range.begin != expected) return "ranges leave a gap";
    expected = range.end;
    for (uint32_t at = range.begin; at < range.end;) {
      ZydisDecodedInstruction inst;
      ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
      if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, k.code() + at, range.end - at, &inst, operands))) return "undecodable";
      const std::string name = ZydisMnemonicGetString(inst.mnemonic);
      if (first && inst.mnemonic != ZYDIS_MNEMONIC_ENDBR64) return "no endbr64 at the entry";
      first = false;
      if (isa == Isa::Avx2 && inst.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) return name + " is EVEX";
      if (isa == Isa::Avx2 && name[0] == 'k') return name + " is AVX-512";
      const bool legacy_sse = inst.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
                              operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
                              ZydisRegisterGetClass(operands[0].reg.value) == ZYDIS_REGCLASS_XMM;
      if (legacy_sse) return name + " is legacy SSE";
      if (banned.count(inst.mnemonic) ||
          (inst.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && inst.avx.rounding.mode != ZYDIS_ROUNDING_MODE_INVALID))
        return name + " is banned";
      at += inst.length;
    }
  }
  return "";
}

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
      const auto kernel = get_kernel(random.spec());
      REQUIRE(decode(*kernel, isa) == "");
    }
  }
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

TEST_CASE("what cannot be emitted is refused") {
  set_isa_cap(detected_isa());
  SpecBuilder b(LoopMode::Pointwise, {10});
  b.store(b.compute(Op::remainder, {b.load(kLong), b.load(kLong)}));
  REQUIRE(get_kernel(b.spec) == nullptr);
  SpecBuilder c(LoopMode::Row, {10});
  c.store(c.reduce(ReduceKind::Max, c.load(kBool)), {0});
  REQUIRE(get_kernel(c.spec) == nullptr);
}

TEST_CASE("no page is writable and executable") {
  set_isa_cap(detected_isa());
  const auto k = get_kernel(chain(10, 2));
  FILE* maps = std::fopen("/proc/self/maps", "r");
  char line[512];
  int executable = 0;
  while (std::fgets(line, sizeof line, maps)) {
    char perms[8];
    unsigned long begin, end;
    REQUIRE(std::sscanf(line, "%lx-%lx %7s", &begin, &end, perms) == 3);
    REQUIRE_FALSE((perms[1] == 'w' && perms[2] == 'x'));
    const auto at = reinterpret_cast<unsigned long>(k->code());
    if (at >= begin && at < end) executable += perms[2] == 'x' && perms[1] != 'w';
  }
  std::fclose(maps);
  REQUIRE(executable == 1);
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

TEST_CASE("disassembly names nodes") {
  set_isa_cap(detected_isa());
  const auto k = get_kernel(chain(64, 3));
  const std::string text = disassemble(*k, {"%0 input", "", "%2 = add  # model.cpp:12"});
  REQUIRE(text.find("; %2 = add  # model.cpp:12") != std::string::npos);
  REQUIRE(text.find("vaddps") != std::string::npos);
  REQUIRE(text.find("cannot decode") == std::string::npos);
  REQUIRE(kernel_name(k->spec) == "add");
}
