#include "explain.h"
#include <chrono>
#include <ostream>
#include "../../runtime/out_of_memory.h"
#include "context.h"
#include "reason.h"
#include "report.h"

namespace sinter {

struct detail::ExplainScope::Impl {
  CompiledState& state;
  std::vector<CloseRecord> records;
  std::vector<CloseRecord>* outer;
  std::chrono::steady_clock::time_point start;
};

detail::ExplainScope::ExplainScope(CompiledState& state)
    : impl_(memory_gate([&] {
        return new Impl{state, {}, Context::listener, std::chrono::steady_clock::now()};
      })) {
  Context::listener = &impl_->records;
}

detail::ExplainScope::~ExplainScope() { Context::listener = impl_->outer; }

namespace {
void describe_leaf(const Leaf& leaf, RegionExplanation& r) {
  for (const Event* e : leaf.path) r.ops.push_back(fmt::format("{} ({})", event_name(*e), place(e->info->loc)));
  r.compile_us = leaf.compile_us;
  const ProgramEntry* entry = leaf.programs.load(std::memory_order_acquire);
  if (entry == nullptr) return;
  if (const std::shared_ptr<const Program> program = entry->program.share()) {
    for (const ProgramStep& s : program->steps()) r.kernels.push_back(s.name);
    r.symbols = program->symbols();
    r.assembly = program->assembly();
  }
}
}  // namespace

Explanation detail::ExplainScope::finish() try {
  Explanation e;
  e.call_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - impl_->start).count();
  e.rates = machine::measured_rates(isa());
  const auto tries = impl_->state.tries();
  const auto leaves = tries->leaves();
  for (CloseRecord& record : impl_->records) {
    RegionExplanation r;
    r.number = record.region;
    r.break_name = break_info(record.reason).name;
    r.break_text = break_info(record.reason).text;
    r.hint = break_info(record.reason).hint;
    r.break_loc = record.loc;
    r.interpreted = record.interpreted;
    r.compiled_now = record.compiled_now;
    r.guards = std::move(record.guards);
    r.live_outs = std::move(record.live_outs);
    r.saved_bytes = record.saved_bytes;
    r.recomputed_bytes = record.deferred_bytes;
    r.costs = std::move(record.costs.steps);
    r.arena_bytes = record.costs.arena_bytes;
    r.output_bytes = record.costs.output_bytes;
    if (static_cast<size_t>(record.region) < leaves.size()) describe_leaf(*leaves[static_cast<size_t>(record.region)], r);
    e.op_count += static_cast<int>(r.ops.size());
    e.regions.push_back(std::move(r));
  }
  for (const RegionExplanation& r : e.regions) {
    e.graph_count += r.number >= 0;
    e.graph_break_count += r.break_name != "frame_end";
  }
  return e;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

namespace {
void list(std::string& out, const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  out += fmt::format("  {}:\n", title);
  for (const std::string& l : lines) out += "    " + l + "\n";
}
}  // namespace

std::string Explanation::str() const try {
  std::string out = fmt::format("Graph Count: {}\nGraph Break Count: {}\nOp Count: {}\nCall: {:.1f} us\n", graph_count,
                                graph_break_count, op_count, call_us);
  for (const RegionExplanation& r : regions) {
    if (r.number < 0) out += "No region (eager)\n";
    else
      out += fmt::format("Region {} ({}{})\n", r.number,
                         r.interpreted ? "interpreted with eager kernels" : fmt::format("compiled in {:.0f} us", r.compile_us),
                         r.compiled_now && !r.interpreted ? ", by this call" : "");
    list(out, "Ops", r.ops);
    list(out, "Guards", r.guards);
    list(out, "Symbols", r.symbols);
    list(out, "Kernels", r.kernels);
    if (!r.costs.empty()) {
      std::vector<std::string> lines;
      for (const StepCost& cost : r.costs) lines.push_back(cost.str(rates));
      list(out, "Costs", lines);
      out += fmt::format("  Planned memory: {} bytes of temporaries, {} bytes of results\n", r.arena_bytes, r.output_bytes);
    }
    list(out, "Materialised because still referenced", r.live_outs);
    if (r.saved_bytes + r.recomputed_bytes > 0)
      out += fmt::format("  Saved for backward: {} bytes; recomputed there: {} bytes\n", r.saved_bytes, r.recomputed_bytes);
    if (r.break_name == "frame_end") continue;
    out += fmt::format("  Break Reason: {} ({}) at {}\n", r.break_text, r.break_name, place(r.break_loc));
    if (!r.hint.empty()) out += fmt::format("  Hint: {}\n", r.hint);
  }
  return out;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

std::ostream& operator<<(std::ostream& out, const Explanation& e) { return out << e.str(); }

}  // namespace sinter
