#include <chrono>
#include "../../runtime/log.h"
#include "../graph/build.h"
#include "../passes/passes.h"
#include "cache.h"
#include "jit_program.h"
#include "split.h"

namespace sinter {

namespace {

constexpr int kMaxRounds = 8;  // plans tried; each leaves more to the eager kernels

/// The kernel of a spec, at the cost of the least recently used programs when code memory is full. `for_now`: there is none, but
/// there may be one another time.
std::shared_ptr<const codegen::Kernel> kernel_for(const codegen::LoopSpec& spec, bool& for_now) {
  for (;;) {
    codegen::NoKernel why{};
    auto kernel = codegen::get_kernel(spec, &why);
    if (kernel || why == codegen::NoKernel::NotEmittable) return kernel;
    if (why == codegen::NoKernel::CodeMemoryFull && ProgramCache::get().evict_one()) continue;
    for_now = true;
    return nullptr;
  }
}

/// A plan whose steps are lowered one by one, then given their kernels.
class StepEmitter {
 public:
  StepEmitter(const Graph& graph, std::vector<bool>& keep_eager, std::vector<PlannedStep>& steps, bool& for_now)
      : graph_(graph), keep_eager_(keep_eager), steps_(steps), for_now_(for_now) {}

  /// False when a kernel cannot be had: its nodes are marked for their eager kernels, and the plan is to be made again.
  bool run(const fuse::Plan& plan) {
    steps_.clear();
    std::vector<const fuse::Group*> groups;  // of the steps
    std::vector<fuse::Lowered*> lowered;
    steps_.reserve(plan.order.size());  // `lowered` points into it
    bool complete = true;
    for (int32_t g : plan.order) {
      const fuse::Group& group = plan.groups[g];
      bool needed = group.eager;
      for (ValueId v : group.nodes) needed |= plan.stored[v];
      if (!needed) continue;
      PlannedStep& step = steps_.emplace_back();
      groups.push_back(&group);
      if (group.eager) {
        step.value = group.nodes[0];
      } else if (fuse::lower_group(graph_, plan, g, step.lowered)) {
        lowered.push_back(&step.lowered);
      } else {
        give_up(group, /*lowered=*/false);
        complete = false;
      }
    }
    if (!complete) return false;
    fuse::share_kernels(lowered);
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (groups[i]->eager) continue;
      choose_split(steps_[i].lowered.spec);
      steps_[i].kernel = kernel_for(steps_[i].lowered.spec, for_now_);
      if (for_now_) return false;
      if (steps_[i].kernel) continue;
      give_up(*groups[i], /*lowered=*/true);
      complete = false;
    }
    return complete;
  }

 private:
  /// Most often it is the reduction that could not be lowered.
  void give_up(const fuse::Group& group, bool lowered) {
    bool reduces = false;
    for (ValueId v : group.nodes) reduces |= fuse::is_reduction(graph_[v]);
    for (ValueId v : group.nodes)
      if (lowered || !reduces || fuse::is_reduction(graph_[v])) keep_eager_[v] = true;
  }

  const Graph& graph_;
  std::vector<bool>& keep_eager_;
  std::vector<PlannedStep>& steps_;
  bool& for_now_;
};

std::shared_ptr<Program> compile_now(const Region& region, bool& for_now) {
  const auto start = std::chrono::steady_clock::now();
  Graph graph;
  if (!build_graph(region, graph)) return nullptr;
  run_passes(graph);
  std::vector<bool> keep_eager(graph.nodes.size(), false);
  std::vector<PlannedStep> steps;
  int round = 0;
  StepEmitter emitter(graph, keep_eager, steps, for_now);
  while (!emitter.run(fuse::make_plan(graph, keep_eager))) {
    if (for_now || ++round == kMaxRounds) return nullptr;
  }
  auto program = std::make_shared<JitProgram>(std::move(graph), std::move(steps), region.inputs.size());
  program->compile_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  if (log_enabled(LogTopic::Program)) log_line(LogTopic::Program, program->str());
  if (log_enabled(LogTopic::Asm))
    for (const auto& [name, text] : program->assembly()) log_line(LogTopic::Asm, name + "\n" + text);
  return program;
}

}  // namespace

std::shared_ptr<const Program> compile_region(const Region& region, bool* for_now) {
  bool passing = !codegen::jit_available();
  std::shared_ptr<const Program> program;
  if (!passing)
    program = ProgramCache::get().obtain(
        region_key(region), [&](bool& none_now) { return compile_now(region, none_now); }, passing);
  if (for_now != nullptr) *for_now = passing;
  return program;
}

ProgramCacheStats program_cache_stats() { return ProgramCache::get().stats(); }
void clear_program_cache() { ProgramCache::get().clear(); }

}  // namespace sinter
