#include <array>
#include <chrono>
#include "../../runtime/log.h"
#include "../graph/build.h"
#include "../passes/passes.h"
#include "cache.h"
#include "epilogues.h"
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
    if (!lower(plan)) return false;
    absorb_epilogues(graph_, steps_);
    drop_absorbed();
    return find_kernels();
  }

  bool lower(const fuse::Plan& plan) {
    steps_.clear();
    groups_.clear();
    bool complete = true;
    for (int32_t g : plan.order) {
      const fuse::Group& group = plan.groups[g];
      bool needed = group.eager;
      for (ValueId v : group.nodes) needed |= plan.stored[v];
      if (!needed) continue;
      PlannedStep& step = steps_.emplace_back();
      groups_.push_back(&group);
      if (group.eager) {
        step.value = group.nodes[0];
      } else if (!fuse::lower_group(graph_, plan, g, step.lowered)) {
        give_up(group, /*lowered=*/false);
        complete = false;
      }
    }
    return complete;
  }

  /// The plan that was lowered must still be there.
  bool find_kernels() {
    std::vector<fuse::Lowered*> exact;
    for (size_t i = 0; i < steps_.size(); ++i)
      if (needs_kernel(i) && !steps_[i].lowered.any) exact.push_back(&steps_[i].lowered);
    fuse::share_kernels(exact);
    bool complete = true;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (!needs_kernel(i)) continue;
      if (!steps_[i].lowered.any) choose_split(steps_[i].lowered.spec);
      steps_[i].kernel = kernel_for(steps_[i].lowered.kernel_spec(), for_now_);
      if (for_now_) return false;
      if (steps_[i].kernel) continue;
      give_up(*groups_[i], /*lowered=*/true);
      complete = false;
    }
    return complete;
  }

 private:
  bool needs_kernel(size_t i) const { return !groups_[i]->eager && !steps_[i].product; }

  void drop_absorbed() {
    size_t kept = 0;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (groups_[i]->eager && steps_[i].value < 0) continue;
      if (kept != i) steps_[kept] = std::move(steps_[i]), groups_[kept] = groups_[i];
      ++kept;
    }
    steps_.resize(kept);
    groups_.resize(kept);
  }

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
  std::vector<const fuse::Group*> groups_;  // of the steps
  bool& for_now_;
};

void log_program(const Program& program) {
  if (log_enabled(LogTopic::Program)) log_line(LogTopic::Program, program.str());
  if (log_enabled(LogTopic::Asm))
    for (const auto& [name, text] : program.assembly()) log_line(LogTopic::Asm, name + "\n" + text);
}

double us_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

std::shared_ptr<Program> finish_symbolic(ProbedPrograms& programs, SymbolicSizes sizes,
                                         std::chrono::steady_clock::time_point start) {
  std::array<BufferPlan, kProbes> buffers;
  for (size_t j = 0; j < kProbes; ++j) {
    for (size_t i = 0; i < programs.steps[j].size(); ++i) programs.steps[j][i].kernel = programs.steps[0][i].kernel;
    buffers[j] = plan_buffers(programs.graphs[j], programs.steps[j]);
    if (!same_places(buffers[0], buffers[j]) || programs.steps[j].size() != programs.steps[0].size()) return nullptr;
  }
  auto program = std::make_shared<JitProgram>(std::move(programs.graphs[0]), std::move(programs.steps[0]), std::move(buffers[0]),
                                              std::move(sizes));
  program->compile_us = us_since(start);
  log_program(*program);
  return program;
}

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
  program->compile_us = us_since(start);
  log_program(*program);
  return program;
}

/// The region's program at each probe, and what differs between them. Null also where that is more than numbers.
std::shared_ptr<Program> compile_symbolic_now(const SymbolicRegion& region, bool& for_now) {
  const auto start = std::chrono::steady_clock::now();
  ProbedPrograms programs;
  for (size_t j = 0; j < kProbes; ++j) {
    if (!build_graph(region.regions[j], programs.graphs[j])) return nullptr;
    run_passes(programs.graphs[j]);
  }
  const size_t n = programs.graphs[0].nodes.size();
  if (programs.graphs[1].nodes.size() != n || programs.graphs[2].nodes.size() != n) return nullptr;
  std::vector<bool> keep_eager(n, false);
  SymbolicSizes sizes;
  for (int round = 0; round < kMaxRounds; ++round) {
    std::array<fuse::Plan, kProbes> plans;
    std::vector<StepEmitter> emitters;
    bool complete = true;
    for (size_t j = 0; j < kProbes; ++j) {
      plans[j] = fuse::make_plan(programs.graphs[j], keep_eager);
      emitters.emplace_back(programs.graphs[j], keep_eager, programs.steps[j], for_now);
      complete &= emitters.back().lower(plans[j]);
    }
    if (!complete) continue;
    sizes = SymbolicSizes();
    if (!find_terms(region, programs, sizes)) return nullptr;
    if (emitters[0].find_kernels()) return finish_symbolic(programs, std::move(sizes), start);
    if (for_now) return nullptr;
  }
  return nullptr;
}

}  // namespace

namespace {
std::shared_ptr<const Program> obtain(std::vector<uint64_t> key, const ProgramCache::Compile& compile, bool* for_now) {
  bool passing = !codegen::jit_available();
  std::shared_ptr<const Program> program;
  if (!passing) program = ProgramCache::get().obtain(std::move(key), compile, passing);
  if (for_now != nullptr) *for_now = passing;
  return program;
}
}  // namespace

std::shared_ptr<const Program> compile_region(const Region& region, bool* for_now) {
  return obtain(
      region_key(region), [&](bool& none_now) { return compile_now(region, none_now); }, for_now);
}

std::shared_ptr<const Program> compile_region(const SymbolicRegion& region, bool* for_now) {
  return obtain(
      region_key(region), [&](bool& none_now) { return compile_symbolic_now(region, none_now); }, for_now);
}

ProgramCacheStats program_cache_stats() { return ProgramCache::get().stats(); }
void clear_program_cache() { ProgramCache::get().clear(); }

}  // namespace sinter
