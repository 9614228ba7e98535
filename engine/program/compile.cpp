#include <chrono>
#include <mutex>
#include <unordered_map>
#include "../../runtime/at_fork.h"
#include "../../runtime/log.h"
#include "../graph/build.h"
#include "../passes/passes.h"
#include "jit_program.h"
#include "region_key.h"

namespace sinter {

namespace {

constexpr size_t kMaxPrograms = 1024;
constexpr int kMaxRounds = 8;  // plans tried; each leaves more to the eager kernels

/// Kernels of a plan. When one cannot be had, its nodes are marked for their eager kernels and the plan is made again.
bool emit_steps(const Graph& graph, const fuse::Plan& plan, std::vector<bool>& keep_eager, std::vector<PlannedStep>& steps) {
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
    if (lowered) step.kernel = codegen::get_kernel(step.lowered.spec);
    if (step.kernel) {
      steps.push_back(std::move(step));
      continue;
    }
    complete = false;
    bool reduces = false;  // most often it is the reduction that does not fit
    for (ValueId v : group.nodes) reduces |= fuse::is_reduction(graph[v]);
    for (ValueId v : group.nodes)
      if (lowered || !reduces || fuse::is_reduction(graph[v])) keep_eager[v] = true;
  }
  return complete;
}

std::shared_ptr<Program> compile_now(const Region& region) {
  const auto start = std::chrono::steady_clock::now();
  Graph graph;
  if (!build_graph(region, graph)) return nullptr;
  run_passes(graph);
  std::vector<bool> keep_eager(graph.nodes.size(), false);
  std::vector<PlannedStep> steps;
  int round = 0;
  while (!emit_steps(graph, fuse::make_plan(graph, keep_eager), keep_eager, steps)) {
    if (!codegen::jit_available() || ++round == kMaxRounds) return nullptr;
  }
  auto program = std::make_shared<JitProgram>(std::move(graph), std::move(steps), region.inputs.size());
  program->compile_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  if (log_enabled(LogTopic::Program)) log_line(LogTopic::Program, program->str());
  if (log_enabled(LogTopic::Asm))
    for (const auto& [name, text] : program->assembly()) log_line(LogTopic::Asm, name + "\n" + text);
  return program;
}

struct KeyHash {
  size_t operator()(const std::vector<uint64_t>& key) const { return hash_words(key); }
};

/// Programs by region. Null entries remember regions that have no program.
struct Cache {
  std::mutex mutex;
  std::unordered_map<std::vector<uint64_t>, std::shared_ptr<const Program>, KeyHash> programs;
  size_t hits = 0, misses = 0;

  void shrink() {
    if (programs.size() < kMaxPrograms) return;
    std::erase_if(programs, [](const auto& entry) { return entry.second.use_count() <= 1; });
    if (programs.size() >= kMaxPrograms) programs.clear();  // their users keep them
  }
};

Cache& cache() {
  static auto* c = new Cache;  // never destroyed: threads may compile while the process ends
  return *c;
}

[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::programs, [] { return &cache().mutex; });

}  // namespace

std::shared_ptr<const Program> compile_region(const Region& region) {
  if (!codegen::jit_available()) return nullptr;
  std::vector<uint64_t> key = region_key(region);
  Cache& c = cache();
  {
    const std::lock_guard lock(c.mutex);
    if (const auto it = c.programs.find(key); it != c.programs.end()) {
      ++c.hits;
      return it->second;
    }
    ++c.misses;
  }
  std::shared_ptr<const Program> program = compile_now(region);
  if (!program && !codegen::jit_available()) return nullptr;
  const std::lock_guard lock(c.mutex);
  c.shrink();
  return c.programs.try_emplace(std::move(key), std::move(program)).first->second;  // of two at once, the first stays
}

ProgramCacheStats program_cache_stats() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  return {c.programs.size(), c.hits, c.misses};
}

void clear_program_cache() {
  Cache& c = cache();
  const std::lock_guard lock(c.mutex);
  c.programs.clear();
}

}  // namespace sinter
