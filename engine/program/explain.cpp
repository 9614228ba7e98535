// A program as text: the plan, its steps, annotated assembly.
#include <fmt/format.h>
#include <algorithm>
#include "jit_program.h"

namespace sinter {

std::string JitProgram::step_name(size_t i) const {
  const PlannedStep& step = planned_[i];
  if (step.kernel) return fmt::format("k{}_{}", kernel_numbers_[i], codegen::kernel_name(step.lowered.spec));
  if (const auto* product = product_at(i)) return product->name();
  if (const auto* attention = attention_at(i)) return attention->name();
  if (step.copy_to >= 0) return fmt::format("copy into input {}", step.copy_to);
  return fmt::format("{} (eager kernel)", op_info(graph[step.value].op).name);
}

std::string JitProgram::place_text(ValueId v) const {
  const BufferPlace& p = buffers_.places[v];
  switch (p.kind) {
    case BufferPlace::Kind::Input:
      return fmt::format("input {}", p.index);
    case BufferPlace::Kind::Output:
      return fmt::format("output {}", p.index);
    case BufferPlace::Kind::Arena:
      return sizes_ ? "arena" : fmt::format("arena+{}", p.offset);
    case BufferPlace::Kind::None:
      break;
  }
  return "nowhere";
}

namespace {

const char* mode_text(codegen::LoopMode mode) {
  switch (mode) {
    case codegen::LoopMode::Pointwise:
      return "pointwise";
    case codegen::LoopMode::Row:
      return "row";
    case codegen::LoopMode::Column:
      return "column";
  }
  return "";
}

}  // namespace

std::string JitProgram::operands_text(const PlannedStep& step) const {
  std::string s;
  for (size_t k = 0; k < step.lowered.operands.size(); ++k) {
    const fuse::Binding& b = step.lowered.operands[k];
    if (b.base == step.value) continue;  // the product
    s += fmt::format("    {} %{}{} {} strides {} at {}\n", b.output ? "writes" : "reads ", b.base,
                     b.offset ? fmt::format("[{}...]", b.offset) : "", dtype_short_name(step.lowered.spec.operands[k].dtype),
                     graph.text_of(step.lowered.spec.operands[k].strides), place_text(b.base));
  }
  return s;
}

std::string JitProgram::str() const {
  std::string s = fmt::format(
      "program {}: {} kernels, {} products, {} eager steps, arena {}, {} outputs, compiled in {:.0f} us\n", graph.name, n_kernels,
      n_products, n_eager, sizes_ ? "by size" : fmt::format("{} bytes", arena_bytes), output_bytes.size(), compile_us);
  for (const std::string& symbol : symbols()) s += fmt::format("  {}\n", symbol);
  for (size_t i = 0; i < planned_.size(); ++i) {
    const PlannedStep& step = planned_[i];
    s += fmt::format("  {}", step_name(i));
    if (step.kernel) {
      s += fmt::format("  {} over {}, {} bytes of code{}\n", mode_text(step.lowered.spec.mode),
                       graph.text_of(step.lowered.spec.sizes), step.kernel->code_bytes, step.lowered.any ? ", for any size" : "");
      s += operands_text(step);
    } else if (step.product) {
      s += fmt::format("  {} in registers, then\n", graph.str(step.value)) + operands_text(step);
    } else if (step.copy_to >= 0) {
      s += fmt::format("  from %{} at {}\n", step.value, place_text(step.value));
    } else {
      s += fmt::format("  {} -> {}\n", graph.str(step.value), place_text(step.value));
    }
  }
  return s;
}

RunCosts JitProgram::planned_costs(const Layout& layout) const {
  RunCosts all;
  all.steps = layout.costs;
  for (size_t i = 0; i < planned_.size() && !sizes_; ++i) {
    if (!runs(graph, planned_[i])) continue;
    all.steps.push_back(cost_of(graph, planned_[i]));
    all.steps.back().name = step_name(i);
  }
  all.arena_bytes = layout.arena_bytes;
  for (const int64_t bytes : layout.output_bytes) all.output_bytes += bytes;
  return all;
}

std::vector<std::string> JitProgram::symbols() const {
  std::vector<std::string> names;
  if (sizes_)
    for (const SymbolDim& d : sizes_->dims)
      names.push_back(fmt::format("s{} = dimension {} of input {}", d.symbol, d.dim, d.input));
  return names;
}

std::string JitProgram::node_note(ValueId v) const { return v < 0 ? std::string() : graph.str(v); }

const Layout::Step* JitProgram::layout_step(size_t i) const {
  if (sizes_ || planned_[i].kernel || !runs(graph, planned_[i])) return nullptr;
  const auto before = std::count_if(planned_.begin(), planned_.begin() + static_cast<long>(i),
                                    [&](const PlannedStep& s) { return runs(graph, s); });
  return &layout_.order[static_cast<size_t>(before)];
}

const codegen::ProductKernel* JitProgram::product_at(size_t i) const {
  const Layout::Step* step = layout_step(i);
  return step && step->kind == Layout::Step::Product ? layout_.products[step->index].kernel.get() : nullptr;
}

const codegen::AttentionKernel* JitProgram::attention_at(size_t i) const {
  const Layout::Step* step = layout_step(i);
  return step && step->kind == Layout::Step::Eager ? layout_.eager[step->index].attention.get() : nullptr;
}

bool JitProgram::is_first_product(size_t i) const {
  const auto emitted = [&](size_t k) { return product_at(k) != nullptr || attention_at(k) != nullptr; };
  if (!emitted(i)) return false;
  for (size_t k = 0; k < i; ++k)
    if (emitted(k) && step_name(k) == step_name(i)) return false;
  return true;
}

std::string JitProgram::product_listing(size_t i) const {
  const auto* product = product_at(i);
  return product ? product->disassembly() : attention_at(i)->disassembly();
}

std::vector<std::pair<std::string, std::string>> JitProgram::assembly() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (size_t i = 0; i < planned_.size(); ++i) {
    const PlannedStep& step = planned_[i];
    if (kernel_numbers_[i] != static_cast<int>(all.size())) continue;  // eager, or listed already
    std::vector<std::string> notes;
    for (ValueId v : step.lowered.node_values) notes.push_back(node_note(v));
    all.emplace_back(step_name(i), codegen::disassemble(*step.kernel, notes));
  }
  for (size_t i = 0; i < planned_.size(); ++i)
    if (is_first_product(i)) all.emplace_back(step_name(i), product_listing(i));
  return all;
}

std::vector<ProgramStep> JitProgram::steps() const {
  std::vector<ProgramStep> all;
  auto listings = assembly();
  size_t next = 0;
  for (size_t i = 0; i < planned_.size(); ++i) {
    ProgramStep step{step_name(i), ""};
    if (planned_[i].kernel && planned_[i].lowered.any)
      step.name += sizes_ ? " over " + graph.text_of(planned_[i].lowered.spec.sizes)
                          : fmt::format(" over {} elements", planned_[i].lowered.spec.sizes[0]);
    if (kernel_numbers_[i] == static_cast<int>(next)) step.assembly = std::move(listings[next++].second);
    else if (is_first_product(i)) step.assembly = product_listing(i);
    all.push_back(std::move(step));
  }
  return all;
}

}  // namespace sinter
