#include "kernel.h"
#include <algorithm>
#include <chrono>
#include <mutex>
#include "../runtime/at_fork.h"
#include "../runtime/cpu.h"
#include "../runtime/log.h"
#include "../runtime/mutants.h"
#include "../runtime/stress.h"
#include "code_memory.h"
#include "loop/compile.h"
#include "weak_cache.h"

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
  uint64_t stress;  // Stress::kernel_seed
  friend bool operator==(const Key&, const Key&) = default;
};

struct Hasher {
  size_t operator()(const Key& k) const { return kernel_hash(k.spec, k.isa); }
};

/// What a mutant leaves out of the key.
void forget_parts(Key& key) {
  LoopSpec& s = key.spec;
  if (SINTER_MUTANT(kernel_key_without_isa)) key.isa = Isa::None;
  if (SINTER_MUTANT(kernel_key_without_sizes)) s.sizes = {};
  if (SINTER_MUTANT(kernel_key_without_mode)) s.mode = LoopMode::Pointwise;
  if (SINTER_MUTANT(kernel_key_without_stores)) s.stores.clear();
  if (SINTER_MUTANT(kernel_key_without_split)) s.split = -1;
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

struct Cache {
  WeakCache<Key, Kernel, Hasher> kernels;
  size_t compiled = 0, hits = 0;
};

/// Held while a kernel is emitted, so that threads asking for one spec get one kernel. Taken before code memory's.
constinit std::mutex cache_mutex;

/// The caller holds the mutex. Never destroyed: threads may compile while the process ends.
Cache& cache() {
  static constinit Cache* c = nullptr;
  if (!c) c = new Cache;
  return *c;
}

[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::kernels, [] { return &cache_mutex; });

/// What is said about a kernel that cannot be had, once no lock is held.
struct Refusal {
  NoKernel reason = NoKernel::None;
  std::string why;
};

std::shared_ptr<const Kernel> build(const LoopSpec& spec, Isa isa, Refusal& refusal) {
  const auto start = std::chrono::steady_clock::now();
  CompiledLoop loop;
  if (!compile_loop(spec, isa, loop, refusal.why)) {
    refusal.reason = NoKernel::NotEmittable;
    return nullptr;
  }
  auto kernel = std::make_shared<LoopKernel>();
  kernel->name = kernel_name(spec);
  kernel->spec = spec;
  kernel->code_bytes = loop.code.size();
  kernel->scratch_bytes = loop.scratch_bytes;
  kernel->element_flops = loop.element_flops;
  kernel->row_flops = loop.row_flops;
  kernel->split_step = loop.split_step;
  kernel->ranges = std::move(loop.ranges);
  NoCode why;
  kernel->fn = reinterpret_cast<KernelFn>(install_code(loop.code.data(), loop.code.size(), why));
  if (!kernel->fn) {
    refusal.reason = why == NoCode::Full       ? NoKernel::CodeMemoryFull
                     : why == NoCode::TooLarge ? NoKernel::NotEmittable
                                               : NoKernel::Refused;
    refusal.why = why == NoCode::Full ? "code memory is full" : std::to_string(loop.code.size()) + " bytes of code";
    return nullptr;
  }
  kernel->compile_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  return kernel;
}

std::shared_ptr<const Kernel> find_or_build(const LoopSpec& spec, Refusal& refusal) {
  const std::lock_guard lock(cache_mutex);
  Cache& c = cache();
  const Isa level = isa();  // once: the cap may be changed meanwhile
  Key key{spec, level, stress().kernel_seed};
  forget_parts(key);
  if (auto kernel = c.kernels.find(key)) {
    ++c.hits;
    return kernel;
  }
  auto kernel = build(spec, level, refusal);
  if (!kernel) return nullptr;
  ++c.compiled;
  c.kernels.put(std::move(key), kernel);
  return kernel;
}

}  // namespace

uint64_t kernel_hash(const LoopSpec& spec, Isa isa) {
  uint64_t h = static_cast<uint64_t>(isa) * 31 + static_cast<uint64_t>(spec.mode) + static_cast<uint64_t>(spec.split + 1) * 97;
  const auto mix = [&h](uint64_t v) { h = (h ^ v) * 0x9e3779b97f4a7c15u, h ^= h >> 29; };
  for (int64_t s : spec.sizes) mix(static_cast<uint64_t>(s));
  for (const LoopOperand& o : spec.operands) {
    mix(static_cast<uint64_t>(o.dtype) * 2 + o.output);
    for (int64_t s : o.strides) mix(static_cast<uint64_t>(s));
  }
  for (const LoopNode& n : spec.nodes) {
    mix(static_cast<uint64_t>(n.kind) << 32 | static_cast<uint64_t>(n.op) << 8 | static_cast<uint64_t>(n.dtype));
    mix(static_cast<uint64_t>(static_cast<uint32_t>(n.index)) ^ n.bits);
    for (int i = 0; i < n.n_in; ++i) mix(static_cast<uint64_t>(n.in[i]));
  }
  for (const LoopStore& s : spec.stores) mix(static_cast<uint64_t>(s.node) << 32 | static_cast<uint64_t>(s.operand));
  return h;
}

bool jit_available() {
  if (isa() == Isa::None) return false;
  const char* why = "";
  if (code_memory_works(&why)) return true;
  warn(fmt::format("the system refuses executable memory ({}): compiled regions run eager kernels", why), "code_memory");
  return false;
}

std::shared_ptr<const Kernel> get_kernel(const LoopSpec& spec, NoKernel* why) {
  Refusal refusal{NoKernel::Refused, {}};
  std::shared_ptr<const Kernel> kernel;
  if (jit_available()) {
    refusal.reason = NoKernel::None;
    kernel = find_or_build(spec, refusal);
    if (refusal.reason == NoKernel::Refused) {
      warn("no executable memory for generated code: eager kernels are used instead", "code_memory");
    } else if (!kernel) {
      log(LogTopic::Program, "kernel {} not generated: {}", kernel_name(spec), refusal.why);
    }
  }
  if (why) *why = refusal.reason;
  return kernel;
}

void forget_dead_kernels() {
  const std::lock_guard lock(cache_mutex);
  cache().kernels.drop_dead();
}

CodeStats code_stats() {
  const std::lock_guard lock(cache_mutex);
  const Cache& c = cache();
  return {c.kernels.alive(), code_memory_stats().bytes_in_use, c.compiled, c.hits};
}

}  // namespace sinter::codegen
