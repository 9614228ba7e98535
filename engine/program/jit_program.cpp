#include "jit_program.h"
#include <alloca.h>
#include <bit>
#include <cstring>
#include <unordered_map>
#include "../../runtime/allocator.h"
#include "../../runtime/mutants.h"
#include "../../runtime/threads.h"
#include "arena.h"
#include "split.h"

namespace sinter {

namespace {

constexpr int64_t kStackArena = 4096;  // smaller arenas live on the stack
constexpr size_t kMostScalars = 256;   // of a kernel
constexpr size_t kStackTable = 1024;   // entries of a table that may live on the stack

[[gnu::always_inline]] inline uint64_t scalar_bits(const Scalar& s, ScalarType t) {
  switch (t) {
    case ScalarType::Float:
      return std::bit_cast<uint32_t>(static_cast<float>(s.to_double()));
    case ScalarType::Double:
      return std::bit_cast<uint64_t>(s.to_double());
    case ScalarType::Bool:
      return s.to_bool();
    default:
      return static_cast<uint64_t>(s.to_int64());
  }
}

/// Memory of one run; given back when it ends, however it ends.
struct Block {
  void* data;
  size_t bytes;
  explicit Block(size_t n) : data(allocate_bytes(n)), bytes(n) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { free_bytes(data, bytes); }
};

}  // namespace

JitProgram::JitProgram(Graph g, std::vector<PlannedStep> steps, size_t region_inputs)
    : n_inputs_(region_inputs), planned_(std::move(steps)) {
  graph = std::move(g);
  buffers_ = plan_buffers(graph, planned_);
  output_bytes = buffers_.output_bytes;
  arena_bytes = buffers_.arena_bytes;
  order_.reserve(planned_.size());
  eager_.reserve(planned_.size());  // its elements hold references to themselves
  for (const PlannedStep& step : planned_) {
    if (step.kernel) add_kernel(step);
    else if (runs(step)) add_eager(step);
  }
  n_kernels = number_kernels();
  n_eager = static_cast<int>(eager_.size() + products_.size());
}

JitProgram::Address JitProgram::address_of(ValueId base, int64_t byte_offset) const {
  const BufferPlace& p = buffers_.places[base];
  switch (p.kind) {
    case BufferPlace::Kind::Input:
      return {p.index, byte_offset};
    case BufferPlace::Kind::Output:
      return {static_cast<int32_t>(n_inputs_) + p.index, byte_offset};
    case BufferPlace::Kind::Arena:
      return {static_cast<int32_t>(n_inputs_ + output_bytes.size()), p.offset + byte_offset};
    case BufferPlace::Kind::None:
      break;
  }
  return {};
}

int JitProgram::number_kernels() {
  std::unordered_map<const codegen::Kernel*, int> numbers;
  for (const PlannedStep& step : planned_)
    kernel_numbers_.push_back(step.kernel ? numbers.try_emplace(step.kernel.get(), static_cast<int>(numbers.size())).first->second
                                          : -1);
  return static_cast<int>(numbers.size());
}

void JitProgram::add_kernel(const PlannedStep& step) {
  KernelStep k;
  k.fn = step.kernel->fn;
  k.first_address = static_cast<uint32_t>(addresses_.size());
  k.n_addresses = static_cast<uint32_t>(step.lowered.operands.size());
  k.first_scalar = static_cast<uint32_t>(scalar_slots_.size());
  k.elements = step.lowered.elements;
  if (const codegen::LoopSpec& spec = step.lowered.spec; spec.split >= 0) {
    k.ns = estimated_ns(spec);
    k.extent = spec.sizes[static_cast<size_t>(spec.split)];
    k.step = step.kernel->split_step;
    split_scratch_ = std::max(split_scratch_, Arena::aligned(static_cast<int64_t>(step.kernel->scratch_bytes)));
  }
  for (size_t i = 0; i < step.lowered.operands.size(); ++i) {
    const fuse::Binding& b = step.lowered.operands[i];
    const auto size = static_cast<int64_t>(element_size(step.lowered.spec.operands[i].dtype));
    addresses_.push_back(address_of(b.base, SINTER_MUTANT(kernel_arguments_without_offset) ? 0 : b.offset * size));
  }
  for (size_t i = 0; i < step.lowered.scalars.size(); ++i)
    scalar_slots_.push_back({step.lowered.scalars[i], step.lowered.spec.scalars[i]});
  order_.push_back({Step::Kernel, static_cast<uint32_t>(kernels_.size())});
  kernels_.push_back(k);
}

TensorView JitProgram::view_of(ValueId v) const {
  const TensorMeta& m = graph[v].meta;
  return {nullptr, m.dtype, m.sizes, m.strides};
}

void JitProgram::add_eager(const PlannedStep& step) {
  const GraphNode& n = graph[step.value];
  EagerStep e;
  e.args.op = n.op;
  e.args.out = view_of(step.value);
  const auto operand = [&](ValueId v) {
    if (v < 0) {
      e.views.emplace_back();
      e.in.emplace_back();
      return;
    }
    const GraphNode& o = graph[v];
    const auto size = static_cast<int64_t>(element_size(o.meta.dtype));
    e.views.push_back(view_of(v));
    e.in.push_back(address_of(fuse::base_of(graph, v), o.is_view() ? o.meta.offset * size : 0));
  };
  if (step.copy_to >= 0) {
    e.args.op = Op::clone;
    e.out = {step.copy_to, 0};
    operand(step.value);
  } else {
    e.args.flags = static_cast<uint8_t>(n.flags | (step.inplace ? kInplace : 0));
    e.args.n_scalars = static_cast<uint8_t>(n.scalars.size());
    e.args.compute = n.compute;
    e.args.attr = n.attr;
    e.args.ints = n.ints;
    e.out = address_of(step.value, 0);
    e.scalars = n.scalars;
    for (ValueId v : n.in) operand(v);
  }
  if (ProductStep p; settles(e, p)) {
    order_.push_back({Step::Product, static_cast<uint32_t>(products_.size())});
    products_.push_back(p);
    return;
  }
  order_.push_back({Step::Eager, static_cast<uint32_t>(eager_.size())});
  eager_.push_back(std::move(e));
}

bool JitProgram::settles(const EagerStep& e, ProductStep& p) const {
  std::vector<TensorView> views = e.views;
  static char somewhere;  // an operand that is there
  for (size_t i = 0; i < views.size(); ++i) views[i].data = e.in[i].base < 0 ? nullptr : &somewhere;
  KernelArgs args = e.args;
  args.in = views;
  if (!settle_product(args, p.product)) return false;
  p.a = e.in[0], p.b = e.in[1], p.out = e.out;
  if (e.in.size() > 2) p.bias = e.in[2];
  return true;
}

void JitProgram::run(const Launch& launch) const {
  const size_t n_out = output_bytes.size(), n_bases = n_inputs_ + n_out + 1;
  size_t acquired = 0;
  try {
    if (launch.costs != nullptr) [[unlikely]]
      *launch.costs = planned_costs();
    for (; acquired < n_out; ++acquired) launch.outputs[acquired]->acquire_bytes(static_cast<size_t>(output_bytes[acquired]));
    const int threads = get_num_threads();
    const int64_t arena_all = arena_bytes + (SINTER_MUTANT(threads_share_scratch) ? 0 : (threads - 1) * split_scratch_);
    const auto with_bases = [&](char** bases, char* arena) {
      std::memcpy(bases, launch.inputs, n_inputs_ * sizeof(void*));
      for (size_t i = 0; i < n_out; ++i) bases[n_inputs_ + i] = static_cast<char*>(launch.outputs[i]->data);
      bases[n_bases - 1] = arena;
      run_steps(bases, launch.scalars, arena, threads, launch.costs != nullptr ? launch.costs->steps.data() : nullptr);
    };
    const size_t tables = n_bases + addresses_.size() + scalar_slots_.size();
    if (arena_all <= kStackArena && tables <= kStackTable) [[likely]] {
      alignas(64) char local[kStackArena];
      with_bases(static_cast<char**>(alloca(n_bases * sizeof(char*))), local);
    } else {
      // The arena, then the table of bases.
      const Block block(static_cast<size_t>(arena_all) + n_bases * sizeof(char*));
      auto* arena = static_cast<char*>(block.data);
      with_bases(reinterpret_cast<char**>(arena + arena_all), arena);
    }
  } catch (...) {
    for (size_t i = 0; i < acquired && !SINTER_MUTANT(failed_outputs_keep_memory); ++i) launch.outputs[i]->release_bytes();
    throw;
  }
}

void JitProgram::run_steps(char* const* bases, const Scalar* scalars, char* arena, int threads, StepCost* costs) const {
  char* scratch = arena + buffers_.scratch_offset;
  for (const Step& step : order_) {
    const StepTimer timer(costs);
    if (step.kind == Step::Product) {
      const ProductStep& p = products_[step.index];
      p.product.run(p.product, at(bases, p.a), at(bases, p.b), at(bases, p.bias), at(bases, p.out));
      continue;
    }
    if (step.kind == Step::Eager) [[unlikely]] {
      run_eager(eager_[step.index], bases, scalars);
      continue;
    }
    // At most kMaxGroupNodes nodes with four operands each: these tables are small.
    const KernelStep& k = kernels_[step.index];
    const size_t next = step.index + 1 < kernels_.size() ? kernels_[step.index + 1].first_scalar : scalar_slots_.size();
    void* arguments[512];
    uint64_t values[kMostScalars + 2];
    const Address* address = addresses_.data() + k.first_address;
    for (uint32_t i = 0; i < k.n_addresses; ++i) arguments[i] = bases[address[i].base] + address[i].offset;
    for (size_t i = k.first_scalar; i < next; ++i)
      values[i - k.first_scalar] = scalar_bits(scalars[scalar_slots_[i].input], scalar_slots_[i].type);
    values[next - k.first_scalar] = static_cast<uint64_t>(k.elements);
    if (k.ns != 0) [[unlikely]]
      run_split(k, arguments, values, next - k.first_scalar, scratch, threads);
    else k.fn(arguments, values, scratch);
  }
}

void JitProgram::run_split(const KernelStep& k, void* const* arguments, uint64_t* values, size_t n_scalars, char* scratch,
                           int threads) const {
  parallel_ranges(
      k.extent, k.step, k.ns,
      [&](int64_t begin, int64_t end, int worker) {
        uint64_t own[kMostScalars + 2];
        std::memcpy(own, values, n_scalars * sizeof(uint64_t));
        own[n_scalars] = static_cast<uint64_t>(begin);
        own[n_scalars + 1] = static_cast<uint64_t>(end);
        k.fn(arguments, own, scratch + worker * (SINTER_MUTANT(threads_share_scratch) ? 0 : split_scratch_));
      },
      threads);
}

void JitProgram::run_eager(const EagerStep& step, char* const* bases, const Scalar* scalars) const {
  const size_t n = step.views.size();
  const auto call = [&](TensorView* views) {
    for (size_t i = 0; i < n; ++i) {
      views[i] = step.views[i];
      if (step.in[i].base >= 0) views[i].data = bases[step.in[i].base] + step.in[i].offset;
    }
    Scalar values[kMaxScalars];
    for (size_t i = 0; i < step.scalars.size(); ++i)
      values[i] = step.scalars[i].input >= 0 ? scalars[step.scalars[i].input] : step.scalars[i].constant;
    KernelArgs args = step.args;
    args.in = {views, n};
    args.scalars = values;
    args.out.data = bases[step.out.base] + step.out.offset;
    if (args.flags & kInplace) views[0].data = args.out.data;
    run_kernel(args);
  };
  if (n <= 16) [[likely]] {
    TensorView views[16];
    call(views);
  } else {
    std::vector<TensorView> views(n);  // a long cat
    call(views.data());
  }
}

}  // namespace sinter
