#include "buffers.h"
#include <algorithm>
#include "../../runtime/mutants.h"
#include "../graph/geometry.h"
#include "arena.h"

namespace sinter {

namespace {

class Planner {
 public:
  Planner(const Graph& graph, std::vector<PlannedStep>& steps) : graph_(graph), steps_(steps) {}

  BufferPlan run() {
    plan_.places.resize(graph_.nodes.size());
    input_node_.clear();
    for (size_t v = 0; v < graph_.nodes.size(); ++v)
      if (graph_.nodes[v].is_input()) {
        input_node_.resize(std::max<size_t>(input_node_.size(), graph_.nodes[v].input + 1), -1);
        input_node_[graph_.nodes[v].input] = static_cast<ValueId>(v);
        plan_.places[v] = {BufferPlace::Kind::Input, graph_.nodes[v].input, 0};
      }
    for (const auto& out : graph_.outputs) {
      if (out.input >= 0) continue;
      plan_.places[out.value] = {BufferPlace::Kind::Output, static_cast<int32_t>(plan_.output_bytes.size()), 0};
      plan_.output_bytes.push_back(0);
    }
    find_uses();
    for (const auto& out : graph_.outputs)
      if (out.input >= 0) place_write_back(out);
    find_uses();  // copies were appended
    for (const auto& out : graph_.outputs)
      if (out.input >= 0) place_ahead(out);
    place_temporaries();
    size_buffers(graph_, steps_, plan_);
    return std::move(plan_);
  }

 private:
  template <class Fn>
  void for_reads(const PlannedStep& step, Fn fn) const {
    for (const auto& b : step.lowered.operands)
      if (!b.output && b.base != step.value) fn(b.base);
    if (step.kernel) return;
    if (step.copy_to >= 0) {
      fn(step.value);
    } else {
      for (ValueId operand : graph_[step.value].in)
        if (operand >= 0) fn(fuse::base_of(graph_, operand));
    }
  }
  template <class Fn>
  void for_writes(const PlannedStep& step, Fn fn) const {
    if (step.kernel || step.product) {
      for (const auto& b : step.lowered.operands)
        if (b.output) fn(b.base);
    } else if (step.copy_to < 0) {
      fn(step.value);
    }
  }

  void find_uses() {
    made_.assign(graph_.nodes.size(), -1);
    last_read_.assign(graph_.nodes.size(), -1);
    for (size_t i = 0; i < steps_.size(); ++i) {
      for_reads(steps_[i], [&](ValueId v) { last_read_[v] = static_cast<int32_t>(i); });
      for_writes(steps_[i], [&](ValueId v) { made_[v] = static_cast<int32_t>(i); });
    }
  }

  void place_write_back(const GraphOutput& out) {
    const ValueId old = input_node_[out.input];
    const int32_t w = made_[out.value];
    if (w >= 0 && (last_read_[old] <= w || SINTER_MUTANT(written_before_last_read)) &&
        plan_.places[out.value].kind == BufferPlace::Kind::None && may_overwrite(w, out.value, old)) {
      plan_.places[out.value] = {BufferPlace::Kind::Input, out.input, 0};
      return;
    }
    if (graph_[out.value].numel() == 0) return;
    PlannedStep copy;
    copy.value = out.value;
    copy.copy_to = out.input;
    steps_.push_back(std::move(copy));
  }

  /// A temporary that is last read by the step which writes an input, element by element, may lie in that input's memory once
  /// its old value is not wanted any more: the product that a gradient of zeros is added to, say. One pass over memory less.
  void place_ahead(const GraphOutput& out) {
    const int32_t w = made_[out.value];
    const BufferPlace target{BufferPlace::Kind::Input, out.input, 0};
    if (w < 0 || !steps_[w].kernel || plan_.places[out.value].kind != target.kind || plan_.places[out.value].index != out.input)
      return;
    const ValueId old = input_node_[out.input];
    for (const auto& read : steps_[w].lowered.operands) {
      const ValueId v = read.base;
      if (read.output || plan_.places[v].kind != BufferPlace::Kind::None || last_read_[v] != w || made_[v] < 0) continue;
      if ((last_read_[old] >= made_[v] && !SINTER_MUTANT(temporary_over_wanted_input)) ||
          !same_geometry(graph_[v].meta, graph_[old].meta) || !may_overwrite(w, out.value, v))
        continue;
      plan_.places[v] = target;
      return;
    }
  }

  /// Whether the step that makes `value` may write it over `old`, which it may be reading.
  bool may_overwrite(int32_t w, ValueId value, ValueId old) {
    PlannedStep& step = steps_[w];
    bool reads = false;
    for_reads(step, [&](ValueId v) { reads |= v == old; });
    if (!reads) return true;
    if (!step.kernel && !step.product) return run_in_place(step, old);
    if (step.product && product_reads(step, old)) return false;
    const auto& spec = step.lowered.spec;
    const auto& operands = step.lowered.operands;
    size_t out = 0;
    while (!operands[out].output || operands[out].base != value) ++out;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (operands[i].output || operands[i].base != old) continue;
      if (operands[i].offset != operands[out].offset) return false;
      for (size_t d = 0; d < spec.sizes.size(); ++d)
        if (spec.sizes[d] != 1 && spec.operands[i].strides[d] != spec.operands[out].strides[d] &&
            !SINTER_MUTANT(overwritten_in_other_order))
          return false;
    }
    return true;  // the emitter stores what may share memory with a load of the same strides last
  }

  /// A product reads all of its operands for each of its elements.
  bool product_reads(const PlannedStep& step, ValueId old) const {
    const std::vector<ValueId>& in = graph_[step.value].in;
    return !SINTER_MUTANT(epilogue_over_product_operand) &&
           std::any_of(in.begin(), in.end(), [&](ValueId v) { return v >= 0 && fuse::base_of(graph_, v) == old; });
  }

  /// self.index_add_ and self.scatter_add_ work on self's memory when no other operand reads it.
  bool run_in_place(PlannedStep& step, ValueId old) {
    const GraphNode& n = graph_[step.value];
    if ((n.op != Op::index_add && n.op != Op::scatter_add) || n.in[0] != old) return false;
    for (size_t i = 1; i < n.in.size(); ++i)
      if (fuse::base_of(graph_, n.in[i]) == old && !SINTER_MUTANT(index_add_over_its_source)) return false;
    step.inplace = true;
    return true;
  }

  void place_temporaries() {
    std::vector<std::vector<ValueId>> dying(steps_.size());
    for (size_t i = 0; i < steps_.size(); ++i) {
      const auto at = static_cast<int32_t>(i);
      for_writes(steps_[i], [&](ValueId v) {
        if (plan_.places[v].kind != BufferPlace::Kind::None) return;
        plan_.places[v] = {BufferPlace::Kind::Arena, -1, 0};
        plan_.moves.push_back({v, true});
        dying[SINTER_MUTANT(temporary_freed_early) ? at : std::max(last_read_[v], at)].push_back(v);
      });
      for (ValueId v : dying[i]) plan_.moves.push_back({v, false});
    }
  }

  const Graph& graph_;
  std::vector<PlannedStep>& steps_;
  BufferPlan plan_;
  std::vector<ValueId> input_node_;
  std::vector<int32_t> made_, last_read_;
};

}  // namespace

void size_buffers(const Graph& graph, const std::vector<PlannedStep>& steps, BufferPlan& plan) {
  for (size_t v = 0; v < graph.nodes.size(); ++v)
    if (const BufferPlace& p = plan.places[v]; p.kind == BufferPlace::Kind::Output)
      plan.output_bytes[static_cast<size_t>(p.index)] = buffer_bytes(graph.nodes[v].meta);
  Arena arena;
  for (const BufferPlan::Move& m : plan.moves) {
    const int64_t bytes = buffer_bytes(graph[m.value].meta);
    if (m.take) plan.places[m.value].offset = arena.take(bytes);
    else arena.give(plan.places[m.value].offset, bytes);
  }
  int64_t scratch = 0;
  for (const PlannedStep& step : steps)
    if (step.kernel) scratch = std::max(scratch, static_cast<int64_t>(step.kernel->scratch_for(step.lowered.spec.sizes.back())));
  plan.scratch_offset = arena.size();
  plan.arena_bytes = arena.size() + Arena::aligned(scratch);
}

BufferPlan plan_buffers(const Graph& graph, std::vector<PlannedStep>& steps) { return Planner(graph, steps).run(); }

}  // namespace sinter
