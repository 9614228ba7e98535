#include "epilogues.h"
#include <algorithm>
#include "../../runtime/mutants.h"
#include "../../runtime/stress.h"
#include "product_node.h"

namespace sinter {

namespace {

class Absorber {
 public:
  Absorber(const Graph& graph, std::vector<PlannedStep>& steps) : graph_(graph), steps_(steps) {}

  void run() {
    made_.assign(graph_.nodes.size(), -1);
    readers_.assign(graph_.nodes.size(), 0);
    for (size_t i = 0; i < steps_.size(); ++i) count(steps_[i], static_cast<int32_t>(i));
    for (const GraphOutput& out : graph_.outputs) ++readers_[static_cast<size_t>(fuse::base_of(graph_, out.value))];
    for (size_t i = 0; i < steps_.size(); ++i)
      if (!steps_[i].lowered.operands.empty()) absorb_into(i);
  }

 private:
  void count(const PlannedStep& step, int32_t i) {
    if (step.value >= 0) {
      made_[static_cast<size_t>(step.value)] = i;
      for (const ValueId v : graph_[step.value].in)
        if (v >= 0) ++readers_[static_cast<size_t>(fuse::base_of(graph_, v))];
      return;
    }
    for (const fuse::Binding& b : step.lowered.operands)
      if (!b.output) ++readers_[static_cast<size_t>(b.base)];
  }

  /// The product that is made last, so that whatever else the kernel reads is there by then.
  void absorb_into(size_t kernel) {
    const fuse::Lowered& l = steps_[kernel].lowered;
    int32_t best = -1, latest = -1;
    for (size_t i = 0; i < l.operands.size(); ++i) {
      const fuse::Binding& b = l.operands[i];
      if (b.output || b.offset != 0 || made_[static_cast<size_t>(b.base)] <= latest || !is_only_reader(b.base)) continue;
      latest = made_[static_cast<size_t>(b.base)];
      best = static_cast<int32_t>(i);
    }
    if (best >= 0 && !l.any) merge(kernel, best, static_cast<size_t>(latest));
  }
  /// One operand of one kernel.
  bool is_only_reader(ValueId v) const {
    return op_info(graph_[v].op).kind == OpKind::Gemm && !graph_[v].is_input() &&
           (readers_[static_cast<size_t>(v)] == 1 || SINTER_MUTANT(epilogue_of_product_read_twice));
  }

  void merge(size_t kernel, int32_t operand, size_t product) {
    PlannedStep& to = steps_[kernel];
    const ValueId value = to.lowered.operands[static_cast<size_t>(operand)].base;
    SettledProduct settled;
    if (graph_[value].numel() == 0 || !settle_node(graph_, value, settled)) return;
    auto epilogue = codegen::make_epilogue(to.lowered.spec, operand, settled.batch * settled.shape.m, settled.shape.n);
    if (!epilogue) return;
    codegen::NoKernel why{};
    auto code = codegen::get_product(settled, why, std::move(epilogue));
    if (!code) return;
    to.product = std::move(code);
    to.value = value;
    steps_[product].value = -1;
  }

  const Graph& graph_;
  std::vector<PlannedStep>& steps_;
  std::vector<int32_t> made_;     // per value: the eager step that makes it
  std::vector<int32_t> readers_;  // per value: operands of steps, and outputs
};

}  // namespace

void absorb_epilogues(const Graph& graph, std::vector<PlannedStep>& steps) {
  if (stress().fuse) Absorber(graph, steps).run();
}

}  // namespace sinter
