#include "jit_program.h"
#include <alloca.h>
#include <cstring>
#include <unordered_map>
#include "../../runtime/allocator.h"
#include "../../runtime/mutants.h"
#include "../../runtime/threads.h"
#include "../passes/passes.h"
#include "arena.h"
#include "region_key.h"
#include "scalar_bits.h"
#include "split.h"

namespace sinter {

namespace {

constexpr int64_t kStackArena = 4096;  // smaller arenas live on the stack
constexpr size_t kMostScalars = 256;   // of a kernel
constexpr size_t kStackTable = 1024;   // entries of a table that may live on the stack

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

Program::~Program() = default;
std::unique_ptr<const Layout> Program::lay_out(const Region&) const { return nullptr; }

JitProgram::JitProgram(Graph g, std::vector<PlannedStep> steps, size_t region_inputs)
    : n_inputs_(region_inputs), planned_(std::move(steps)) {
  graph = std::move(g);
  buffers_ = plan_buffers(graph, planned_);
  layout_ = make_layout(graph, planned_, buffers_, n_inputs_);
  finish();
}

JitProgram::JitProgram(Graph g, std::vector<PlannedStep> steps, BufferPlan buffers, SymbolicSizes sizes)
    : n_inputs_(sizes.inputs.size()), planned_(std::move(steps)), buffers_(std::move(buffers)) {
  graph = std::move(g);
  sizes_ = std::make_unique<const SymbolicSizes>(std::move(sizes));
  name_sizes();
  finish();
  shape = shape_of_layouts();
}

void JitProgram::finish() {
  output_bytes = buffers_.output_bytes;
  arena_bytes = buffers_.arena_bytes;
  for (const PlannedStep& step : planned_)
    if (step.kernel) kernels_.push_back(step.kernel->fn);
    else ++n_eager;
  if (!sizes_) {
    int attention = 0;
    for (const Layout::EagerStep& e : layout_.eager) attention += e.attention != nullptr;
    n_products = static_cast<int>(layout_.products.size()) + attention;
    n_eager = static_cast<int>(layout_.eager.size()) - attention;
  }
  n_kernels = number_kernels();
}

uint64_t JitProgram::shape_of_layouts() const {
  std::vector<uint64_t> words = {buffers_.moves.size(), output_bytes.size(), sizes_->patches.size()};
  for (const PlannedStep& step : planned_) {
    const codegen::LoopSpec& spec = step.lowered.kernel_spec();
    words.push_back(static_cast<uint64_t>(step.value) << 32 | static_cast<uint32_t>(step.copy_to));
    if (step.kernel) words.push_back(codegen::kernel_hash(spec, Isa::None));
  }
  return hash_words(words);
}

/// For listings: the first probe's numbers stand for terms.
void JitProgram::name_sizes() {
  for (const SizePatch& p : sizes_->patches) {
    const auto at = static_cast<size_t>(p.at), index = static_cast<size_t>(p.index);
    const fuse::Lowered* l = p.where >= SizePatch::StepSize ? &planned_[at].lowered : nullptr;
    const int64_t n = p.where == SizePatch::NodeSize     ? graph.nodes[at].meta.sizes[index]
                      : p.where == SizePatch::NodeStride ? graph.nodes[at].meta.strides[index]
                      : p.where == SizePatch::NodeOffset ? graph.nodes[at].meta.offset
                      : p.where == SizePatch::NodeInt    ? graph.nodes[at].ints[index]
                      : p.where == SizePatch::StepSize   ? l->spec.sizes[index]
                      : p.where == SizePatch::StepStride ? l->spec.operands[index].strides[static_cast<size_t>(p.dim)]
                      : p.where == SizePatch::StepOffset ? l->operands[index].offset
                                                         : l->counts[index];
    graph.size_names.try_emplace(n, p.term.str());
  }
}

std::unique_ptr<const Layout> JitProgram::lay_out(const Region& region) const {
  SymbolValues symbols;
  if (!sizes_ || !sizes_->symbols_of(region, symbols)) return nullptr;
  Graph sized = graph;
  std::vector<PlannedStep> steps = planned_;
  if (!apply(sizes_->patches, symbols, sized, steps) || !fused_attention_fits(sized)) return nullptr;
  BufferPlan buffers = buffers_;
  size_buffers(sized, steps, buffers);
  Layout layout = make_sized_layout(sized, steps, buffers, n_inputs_);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!runs(sized, steps[i])) continue;
    layout.costs.push_back(cost_of(sized, steps[i]));
    layout.costs.back().name = step_name(i);
  }
  return std::make_unique<const Layout>(std::move(layout));
}

int JitProgram::number_kernels() {
  std::unordered_map<const codegen::Kernel*, int> numbers;
  for (const PlannedStep& step : planned_)
    kernel_numbers_.push_back(step.kernel ? numbers.try_emplace(step.kernel.get(), static_cast<int>(numbers.size())).first->second
                                          : -1);
  return static_cast<int>(numbers.size());
}

void JitProgram::run(const Launch& launch) const {
  const Layout& layout = sizes_ ? *launch.layout : layout_;
  const size_t n_out = layout.output_bytes.size(), n_bases = n_inputs_ + n_out + 1;
  size_t acquired = 0;
  try {
    if (launch.costs != nullptr) [[unlikely]]
      *launch.costs = planned_costs(layout);
    for (; acquired < n_out; ++acquired)
      launch.outputs[acquired]->acquire_bytes(static_cast<size_t>(layout.output_bytes[acquired]));
    const int threads = get_num_threads();
    const int64_t arena_all =
        layout.arena_bytes + (SINTER_MUTANT(threads_share_scratch) ? 0 : (threads - 1) * layout.split_scratch);
    const auto with_bases = [&](char** bases, char* arena) {
      std::memcpy(bases, launch.inputs, n_inputs_ * sizeof(void*));
      for (size_t i = 0; i < n_out; ++i) bases[n_inputs_ + i] = static_cast<char*>(launch.outputs[i]->data);
      bases[n_bases - 1] = arena;
      run_steps(layout, bases, launch, arena, threads, launch.costs != nullptr ? launch.costs->steps.data() : nullptr);
    };
    const size_t tables = n_bases + layout.addresses.size() + layout.scalar_slots.size();
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

void JitProgram::run_steps(const Layout& layout, char* const* bases, const Launch& launch, char* arena, int threads,
                           StepCost* costs) const {
  const Scalar* scalars = launch.scalars;
  char* scratch = arena + layout.scratch_offset;
  for (const Layout::Step& step : layout.order) {
    const StepTimer timer(costs);
    if (step.kind == Layout::Step::Product) {
      const Layout::ProductStep& p = layout.products[step.index];
      const codegen::ProductKernel* kernel = p.kernel.get();
      const void* b = at(bases, p.b);
      if (launch.storages != nullptr && p.frozen) [[unlikely]]
        p.frozen->choose(*launch.storages[p.b.base], kernel, b, costs);
      if (p.epilogue.n_addresses > 0) run_with_epilogue(layout, p, *kernel, b, bases, scalars, scratch);
      else kernel->run(at(bases, p.a), b, at(bases, p.bias), at(bases, p.out), scratch);
    } else if (step.kind == Layout::Step::Eager) [[unlikely]] {
      run_eager(layout.eager[step.index], bases, scalars);
    } else {
      run_kernel_step(layout, step.index, bases, scalars, scratch, threads);
    }
  }
}

[[gnu::noinline]] void JitProgram::run_with_epilogue(const Layout& layout, const Layout::ProductStep& p,
                                                     const codegen::ProductKernel& kernel, const void* b, char* const* bases,
                                                     const Scalar* scalars, char* scratch) {
  const Layout::KernelStep& k = p.epilogue;
  void* arguments[codegen::kMostEpilogueOperands];
  uint64_t values[kMostScalars];
  for (uint32_t i = 0; i < k.n_addresses; ++i) arguments[i] = at(bases, layout.addresses[k.first_address + i]);
  fill_scalars(layout, k, scalars, values);
  kernel.run(at(bases, p.a), b, at(bases, p.bias), at(bases, p.out), scratch, {arguments, values});
}

inline void JitProgram::fill_scalars(const Layout& layout, const Layout::KernelStep& k, const Scalar* scalars, uint64_t* values) {
  const Layout::ScalarSlot* slot = layout.scalar_slots.data() + k.first_scalar;
  for (uint32_t i = 0; i < k.n_scalars; ++i)
    values[i] = slot[i].input < 0 ? slot[i].bits : scalar_bits(scalars[slot[i].input], slot[i].type);
}

inline void JitProgram::run_kernel_step(const Layout& layout, uint32_t index, char* const* bases, const Scalar* scalars,
                                        char* scratch, int threads) const {
  // At most kMaxGroupNodes nodes with four operands each: these tables are small.
  const Layout::KernelStep& k = layout.kernels[index];
  void* arguments[512];
  uint64_t values[kMostScalars + kMostNumbers];
  const Layout::Address* address = layout.addresses.data() + k.first_address;
  for (uint32_t i = 0; i < k.n_addresses; ++i) arguments[i] = bases[address[i].base] + address[i].offset;
  fill_scalars(layout, k, scalars, values);
  const int64_t* number = layout.numbers.data() + k.first_number;
  for (uint32_t i = 0; i < k.n_numbers; ++i) values[k.n_scalars + i] = static_cast<uint64_t>(number[i]);
  if (k.ns != 0) [[unlikely]]
    run_split(layout, index, arguments, values, scratch, threads);
  else kernels_[index](arguments, values, scratch);
}

void JitProgram::run_split(const Layout& layout, uint32_t index, void* const* arguments, const uint64_t* values, char* scratch,
                           int threads) const {
  const Layout::KernelStep& k = layout.kernels[index];
  parallel_ranges(
      k.extent, k.step, k.ns,
      [&](int64_t begin, int64_t end, int worker) {
        uint64_t own[kMostScalars + 2];
        std::memcpy(own, values, k.n_scalars * sizeof(uint64_t));
        own[k.n_scalars] = static_cast<uint64_t>(begin);
        own[k.n_scalars + 1] = static_cast<uint64_t>(end);
        kernels_[index](arguments, own, scratch + worker * (SINTER_MUTANT(threads_share_scratch) ? 0 : layout.split_scratch));
      },
      threads);
}

void JitProgram::run_eager(const Layout::EagerStep& step, char* const* bases, const Scalar* scalars) {
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
    step.attention ? step.attention->run(args) : run_kernel(args);
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
