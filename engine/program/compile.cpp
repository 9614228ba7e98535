#include <chrono>
#include "../../runtime/log.h"
#include "../graph/build.h"
#include "../passes/passes.h"
#include "cache.h"
#include "jit_program.h"

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

/// Kernels of a plan. When one cannot be had, its nodes are marked for their eager kernels and the plan is made again.
bool emit_steps(const Graph& graph, const fuse::Plan& plan, std::vector<bool>& keep_eager, std::vector<PlannedStep>& steps,
                bool& for_now) {
  steps.clear();
  bool complete = true;
  for (int32_t g : plan.order) {
    const fuse::Group& group = plan.groups[g];
    if (group.eager) {
      PlannedStep step;
      step.value = group.nodes[0];
      steps.push_back(std::move(step));
      continue;
    }
    bool needed = false;
    for (ValueId v : group.nodes) needed |= plan.stored[v];
    if (!needed) continue;
    PlannedStep step;
    const bool lowered = fuse::lower_group(graph, plan, g, step.lowered);
    if (lowered) step.kernel = kernel_for(step.lowered.spec, for_now);
    if (step.kernel) {
      steps.push_back(std::move(step));
      continue;
    }
    if (for_now) return false;
    complete = false;
    bool reduces = false;  // most often it is the reduction that does not fit
    for (ValueId v : group.nodes) reduces |= fuse::is_reduction(graph[v]);
    for (ValueId v : group.nodes)
      if (lowered || !reduces || fuse::is_reduction(graph[v])) keep_eager[v] = true;
  }
  return complete;
}

std::shared_ptr<Program> compile_now(const Region& region, bool& for_now) {
  const auto start = std::chrono::steady_clock::now();
  Graph graph;
  if (!build_graph(region, graph)) return nullptr;
  run_passes(graph);
  std::vector<bool> keep_eager(graph.nodes.size(), false);
  std::vector<PlannedStep> steps;
  int round = 0;
  while (!emit_steps(graph, fuse::make_plan(graph, keep_eager), keep_eager, steps, for_now)) {
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
