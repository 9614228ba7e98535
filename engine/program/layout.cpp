#include "layout.h"
#include "../../runtime/mutants.h"
#include "arena.h"
#include "cache.h"
#include "product_node.h"
#include "scalar_bits.h"
#include "split.h"
#include "symbolic_sizes.h"

namespace sinter {

namespace {

class LayoutBuilder {
 public:
  LayoutBuilder(const Graph& graph, const BufferPlan& buffers, size_t region_inputs, bool emits_products)
      : graph_(graph), buffers_(buffers), n_inputs_(region_inputs), emits_products_(emits_products) {}

  Layout run(const std::vector<PlannedStep>& steps) {
    out_.output_bytes = buffers_.output_bytes;
    out_.arena_bytes = buffers_.arena_bytes;
    out_.scratch_offset = buffers_.scratch_offset;
    out_.order.reserve(steps.size());
    for (const PlannedStep& step : steps) {
      if (step.kernel) add_kernel(step);
      else if (!runs(graph_, step)) continue;
      else if (auto product = product_of(step)) add_product(step, std::move(product));
      else add_eager(step);
    }
    out_.arena_bytes = std::max(out_.arena_bytes, out_.scratch_offset + Arena::aligned(product_scratch_));
    return std::move(out_);
  }

 private:
  Layout::Address address_of(ValueId base, int64_t byte_offset) const {
    const BufferPlace& p = buffers_.places[base];
    switch (p.kind) {
      case BufferPlace::Kind::Input:
        return {p.index, byte_offset};
      case BufferPlace::Kind::Output:
        return {static_cast<int32_t>(n_inputs_) + p.index, byte_offset};
      case BufferPlace::Kind::Arena:
        return {static_cast<int32_t>(n_inputs_ + out_.output_bytes.size()), p.offset + byte_offset};
      case BufferPlace::Kind::None:
        break;
    }
    return {};
  }

  /// Addresses and scalars of a kernel.
  Layout::KernelStep arguments_of(const fuse::Lowered& l) {
    Layout::KernelStep k{};
    k.first_address = static_cast<uint32_t>(out_.addresses.size());
    k.n_addresses = static_cast<uint32_t>(l.operands.size());
    k.first_scalar = static_cast<uint32_t>(out_.scalar_slots.size());
    k.n_scalars = static_cast<uint32_t>(l.scalars.size());
    k.first_number = static_cast<uint32_t>(out_.numbers.size());
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const fuse::Binding& b = l.operands[i];
      const auto size = static_cast<int64_t>(element_size(l.spec.operands[i].dtype));
      out_.addresses.push_back(address_of(b.base, SINTER_MUTANT(kernel_arguments_without_offset) ? 0 : b.offset * size));
    }
    for (size_t i = 0; i < l.scalars.size(); ++i) {
      const ScalarType type = l.kernel_spec().scalars[i];
      const int32_t input = l.scalars[i];
      const uint64_t bits = input < 0 ? scalar_bits(Scalar(l.counts[static_cast<size_t>(-1 - input)]), type) : 0;
      out_.scalar_slots.push_back({input, type, bits});
    }
    return k;
  }

  void add_kernel(const PlannedStep& step) {
    const fuse::Lowered& l = step.lowered;
    Layout::KernelStep k = arguments_of(l);
    if (const codegen::LoopSpec& spec = l.kernel_spec(); spec.split >= 0) {
      k.ns = estimated_ns(spec);
      k.extent = spec.sizes[static_cast<size_t>(spec.split)];
      k.step = step.kernel->split_step;
      out_.split_scratch = std::max(out_.split_scratch, Arena::aligned(static_cast<int64_t>(step.kernel->scratch_bytes)));
    }
    for (int64_t n : codegen::size_values(l.kernel_spec(), l.spec.sizes, l.spec.operands)) out_.numbers.push_back(n);
    k.n_numbers = static_cast<uint32_t>(out_.numbers.size()) - k.first_number;
    out_.order.push_back({Layout::Step::Kernel, static_cast<uint32_t>(out_.kernels.size())});
    out_.kernels.push_back(k);
  }

  /// What `get(why)` makes, at the cost of the least recently used programs when code memory is full.
  template <class Get>
  static auto code_for(Get get) {
    codegen::NoKernel why{};
    auto code = get(why);
    while (!code && why == codegen::NoKernel::CodeMemoryFull && ProgramCache::get().evict_one()) code = get(why);
    return code;
  }
  /// Null: no matrix product, or one that needs copies of its operands or has no code. Its eager kernel gives the same bits.
  std::shared_ptr<const codegen::ProductKernel> product_of(const PlannedStep& step) const {
    SettledProduct settled;
    if (step.product || !emits_products_ || step.copy_to >= 0 || !settle_node(graph_, step.value, settled)) return step.product;
    return code_for([&](codegen::NoKernel& why) { return codegen::get_product(settled, why); });
  }

  /// The product's own operands, then its epilogue's arguments.
  void add_product(const PlannedStep& step, std::shared_ptr<const codegen::ProductKernel> kernel) {
    Layout::ProductStep p;
    p.kernel = std::move(kernel);
    const SettledProduct& settled = p.kernel->product;
    const GraphNode& n = graph_[step.value];
    p.a = operand_address(n.in[static_cast<size_t>(settled.a)]);
    p.b = operand_address(n.in[static_cast<size_t>(settled.b)]);
    if (settled.bias >= 0) p.bias = operand_address(n.in[static_cast<size_t>(settled.bias)]);
    p.out = address_of(step.value, 0);
    if (step.product) {
      p.epilogue = arguments_of(step.lowered);
      p.out = out_.addresses[p.epilogue.first_address + static_cast<size_t>(step.lowered.spec.stores[0].operand)];
    }
    product_scratch_ = std::max(product_scratch_, p.kernel->plan.scratch_bytes);
    if (p.b.base < static_cast<int32_t>(n_inputs_)) p.frozen = FrozenStep::plan(*p.kernel);
    if (p.frozen) product_scratch_ = std::max(product_scratch_, p.frozen->scratch_bytes());
    out_.order.push_back({Layout::Step::Product, static_cast<uint32_t>(out_.products.size())});
    out_.products.push_back(std::move(p));
  }
  Layout::Address operand_address(ValueId v) const {
    if (v < 0) return {};
    const auto size = static_cast<int64_t>(element_size(graph_[v].meta.dtype));
    return address_of(fuse::base_of(graph_, v), graph_[v].is_view() ? graph_[v].meta.offset * size : 0);
  }

  static TensorView view_of(const TensorMeta& m) { return {nullptr, m.dtype, m.sizes, m.strides}; }

  void add_eager(const PlannedStep& step) {
    const GraphNode& n = graph_[step.value];
    Layout::EagerStep e;
    std::vector<ValueId> operands;
    e.args.op = n.op;
    if (step.copy_to >= 0) {
      e.args.op = Op::clone;
      e.out = {step.copy_to, 0};
      operands = {step.value};
    } else {
      e.args.flags = static_cast<uint8_t>(n.flags | (step.inplace ? kInplace : 0));
      e.args.n_scalars = static_cast<uint8_t>(n.scalars.size());
      e.args.compute = n.compute;
      e.args.attr = n.attr;
      e.ints = n.ints;
      e.args.ints = e.ints;
      e.out = address_of(step.value, 0);
      e.scalars = n.scalars;
      operands = n.in;
    }
    e.metas.reserve(operands.size() + 1);  // views refer to its elements
    e.metas.push_back(n.meta);
    e.args.out = view_of(e.metas.back());
    for (ValueId v : operands) {
      e.metas.push_back(v < 0 ? TensorMeta() : graph_[v].meta);
      e.views.push_back(v < 0 ? TensorView() : view_of(e.metas.back()));
      e.in.push_back(operand_address(v));
    }
    if (emits_products_) e.attention = attention_of(e);
    out_.order.push_back({Layout::Step::Eager, static_cast<uint32_t>(out_.eager.size())});
    out_.eager.push_back(std::move(e));
  }

  /// The call without data; operands have some address where they are there.
  static KernelArgs geometry_of(const Layout::EagerStep& e, std::vector<TensorView>& views) {
    static char somewhere;
    views = e.views;
    for (size_t i = 0; i < views.size(); ++i) views[i].data = e.in[i].base < 0 ? nullptr : &somewhere;
    KernelArgs args = e.args;
    args.in = views;
    return args;
  }
  /// Code of an attention step that needs no copies of its operands. Without, its eager kernel gives the same bits.
  static std::shared_ptr<const codegen::AttentionKernel> attention_of(const Layout::EagerStep& e) {
    std::vector<TensorView> views;
    AttentionShape shape;
    if (op_info(e.args.op).kind != OpKind::Attention || !settle_attention(geometry_of(e, views), shape)) return nullptr;
    return code_for([&](codegen::NoKernel& why) { return codegen::get_attention(shape, why); });
  }

  const Graph& graph_;
  const BufferPlan& buffers_;
  size_t n_inputs_;
  bool emits_products_;
  int64_t product_scratch_ = 0;
  Layout out_;
};

}  // namespace

Layout make_layout(const Graph& graph, const std::vector<PlannedStep>& steps, const BufferPlan& buffers, size_t region_inputs) {
  return LayoutBuilder(graph, buffers, region_inputs, /*emits_products=*/true).run(steps);
}

Layout make_sized_layout(const Graph& graph, const std::vector<PlannedStep>& steps, const BufferPlan& buffers,
                         size_t region_inputs) {
  return LayoutBuilder(graph, buffers, region_inputs, /*emits_products=*/false).run(steps);
}

}  // namespace sinter
