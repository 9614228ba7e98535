#include "kernel.h"
#include <atomic>
#include <chrono>
#include <mutex>
#include <unordered_map>
#include "../runtime/cpu.h"
#include "../runtime/log.h"
#include "../runtime/mutants.h"
#include "code_memory.h"
#include "loop/compile.h"

namespace sinter::codegen {

namespace {

class LoopKernel : public Kernel {
 public:
  ~LoopKernel() override {
    if (fn && !SINTER_MUTANT(code_never_freed)) free_code(reinterpret_cast<void*>(fn), code_bytes);
  }
};

struct Key {
  LoopSpec spec;
  Isa isa;
  friend bool operator==(const Key&, const Key&) = default;
};

struct Hasher {
  size_t operator()(const Key& k) const {
    uint64_t h = static_cast<uint64_t>(k.isa) * 31 + static_cast<uint64_t>(k.spec.mode);
    const auto mix = [&h](uint64_t v) { h = (h ^ v) * 0x9e3779b97f4a7c15u, h ^= h >> 29; };
    for (int64_t s : k.spec.sizes) mix(static_cast<uint64_t>(s));
    for (const LoopOperand& o : k.spec.operands) {
      mix(static_cast<uint64_t>(o.dtype) * 2 + o.output);
      for (int64_t s : o.strides) mix(static_cast<uint64_t>(s));
    }
    for (const LoopNode& n : k.spec.nodes) {
      mix(static_cast<uint64_t>(n.kind) << 32 | static_cast<uint64_t>(n.op) << 8 | static_cast<uint64_t>(n.dtype));
      mix(static_cast<uint64_t>(static_cast<uint32_t>(n.index)) ^ n.bits);
      for (int i = 0; i < n.n_in; ++i) mix(static_cast<uint64_t>(n.in[i]));
    }
    for (const LoopStore& s : k.spec.stores) mix(static_cast<uint64_t>(s.node) << 32 | static_cast<uint64_t>(s.operand));
    return h;
  }
};

/// What a mutant leaves out of the key.
void forget_parts(Key& key) {
  LoopSpec& s = key.spec;
  if (SINTER_MUTANT(kernel_key_without_isa)) key.isa = Isa::None;
  if (SINTER_MUTANT(kernel_key_without_sizes)) s.sizes = {};
  if (SINTER_MUTANT(kernel_key_without_mode)) s.mode = LoopMode::Pointwise;
  if (SINTER_MUTANT(kernel_key_without_stores)) s.stores.clear();
  for (LoopOperand& o : s.operands) {
    if (SINTER_MUTANT(kernel_key_without_strides)) o.strides = {};
    if (SINTER_MUTANT(kernel_key_without_output)) o.output = false;
  }
  for (LoopNode& n : s.nodes) {
    if (SINTER_MUTANT(kernel_key_without_op)) n.op = Op::kCount;
    if (SINTER_MUTANT(kernel_key_without_bits)) n.bits = 0;
    if (SINTER_MUTANT(kernel_key_without_reduce)) n.reduce = ReduceKind::Sum;
    if (SINTER_MUTANT(kernel_key_without_inputs)) std::fill_n(n.in, 4, 0);
  }
}

/// The cache does not own kernels: one lives as long as a program uses it, and an entry that died is dropped when its
/// key is looked up or the table has doubled.
struct Cache {
  std::mutex mutex;
  std::unordered_map<Key, std::weak_ptr<const Kernel>, Hasher> kernels;
  size_t sweep_at = 256;
  std::atomic<size_t> compiled{0}, hits{0};
};

Cache& cache() {
  static Cache& c = *new Cache;
  return c;
}

std::shared_ptr<const Kernel> build(const LoopSpec& spec, Isa isa) {
  const auto start = std::chrono::steady_clock::now();
  CompiledLoop loop;
  std::string why;
  if (!compile_loop(spec, isa, loop, why)) {
    log(LogTopic::Program, "kernel {} not generated: {}", kernel_name(spec), why);
    return nullptr;
  }
  void* code = install_code(loop.code.data(), loop.code.size());
  if (!code) {
    warn("no executable memory for generated code: eager kernels are used instead", "code_memory");
    return nullptr;
  }
  auto kernel = std::make_shared<LoopKernel>();
  kernel->fn = reinterpret_cast<KernelFn>(code);
  kernel->code_bytes = loop.code.size();
  kernel->scratch_bytes = loop.scratch_bytes;
  kernel->name = kernel_name(spec);
  kernel->spec = spec;
  kernel->ranges = std::move(loop.ranges);
  kernel->compile_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  return kernel;
}

void drop_dead(Cache& c) {
  std::erase_if(c.kernels, [](const auto& entry) { return entry.second.expired(); });
  c.sweep_at = std::max<size_t>(256, c.kernels.size() * 2);
}

}  // namespace

bool jit_available() {
  if (isa() == Isa::None) return false;
  if (code_memory_works()) return true;
  warn("the system refuses executable memory: compiled regions run eager kernels", "code_memory");
  return false;
}

std::shared_ptr<const Kernel> get_kernel(const LoopSpec& spec, NoKernel* why) {
  if (why != nullptr) *why = NoKernel::Refused;
  if (!jit_available()) return nullptr;
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  Key key{spec, isa()};
  forget_parts(key);
  if (const auto found = c.kernels.find(key); found != c.kernels.end()) {
    if (auto kernel = found->second.lock()) {
      ++c.hits;
      return kernel;
    }
  }
  auto kernel = build(spec, isa());
  if (!kernel) return nullptr;
  ++c.compiled;
  if (c.kernels.size() >= c.sweep_at) drop_dead(c);
  c.kernels[std::move(key)] = kernel;
  return kernel;
}

CodeStats code_stats() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  size_t alive = 0;
  for (const auto& entry : c.kernels) alive += !entry.second.expired();
  return {alive, code_bytes_in_use(), c.compiled, c.hits};
}

}  // namespace sinter::codegen
