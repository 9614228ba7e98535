#include <atomic>
#include <chrono>
#include "../../runtime/log.h"
#include "../../runtime/stress.h"
#include "passes.h"

namespace sinter {

namespace {

struct Pass {
  const char* name;
  bool (*run)(Graph&);
};

constexpr Pass kPasses[] = {
    {"remove_dead", remove_dead},        // nothing below looks at what nobody needs
    {"fold_views", fold_views},          //
    {"fuse_attention", fuse_attention},  // what decompose would take apart
    {"decompose", decompose},            // library operators into primitive ones
    {"simplify", simplify},              //
    {"fold_views", fold_views},          // simplify and decompose made new ones
    {"merge_equal", merge_equal},        // forward and backward often compute the same
    {"settle_outputs", settle_outputs},  //
    {"remove_dead", remove_dead},        //
};

std::atomic<bool> verify_on{false};

}  // namespace

bool verify_passes() { return verify_on.load(std::memory_order_relaxed); }
void set_verify_passes(bool on) { verify_on.store(on, std::memory_order_relaxed); }

std::vector<const char*> pass_names() {
  std::vector<const char*> names;
  for (const Pass& pass : kPasses) names.push_back(pass.name);
  return names;
}

void run_passes(Graph& graph) {
  using Clock = std::chrono::steady_clock;
  const bool logs = log_enabled(LogTopic::Graph);
  if (logs) log_line(LogTopic::Graph, "built\n" + graph.str());
  if (verify_passes()) graph.verify();
  for (size_t i = 0; i < std::size(kPasses); ++i) {
    if (stress().skip_passes >> i & 1) continue;
    const Pass& pass = kPasses[i];
    const auto start = Clock::now();
    const bool changed = pass.run(graph);
    if (logs) {
      const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
      log(LogTopic::Graph, "{}: {} in {:.1f} us\n{}", pass.name, changed ? "changed" : "no change", us,
          changed ? graph.str() : "");
    }
    if (verify_passes()) graph.verify();
  }
}

}  // namespace sinter
