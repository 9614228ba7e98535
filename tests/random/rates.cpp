#include "rates.h"
#include <algorithm>
#include "statements.h"

namespace sinter::test {

void Rates::count(const Program& p) {
  ++programs;
  with_backward += p.backward != Backward::None;
  for (const Step& s : p.steps) {
    const Kind kind = test::statements()[static_cast<size_t>(s.statement)].kind;
    ++statements;
    moving += kind == Kind::View || kind == Kind::Inplace || kind == Kind::ThroughView;
  }
}

void Rates::count(const CompiledState& state) {
  for (const Leaf* leaf : state.tries()->leaves()) {
    const ProgramEntry* entry = leaf->programs.load();
    if (entry == nullptr) continue;  // seen once only
    const std::shared_ptr<const sinter::Program> program = entry->program.share();
    if (program == nullptr) {
      interpreted += static_cast<int64_t>(leaf->path.size());
      continue;
    }
    std::vector<bool> needed(leaf->path.size(), false);
    for (size_t i = 0; i < needed.size(); ++i) needed[i] = leaf->path[i]->info->view;
    for (const GraphNode& n : program->graph.nodes)
      if (!n.dead && !n.is_input() && n.event >= 0) needed[static_cast<size_t>(n.event)] = true;
    const int64_t all = std::count(needed.begin(), needed.end(), true);
    const int64_t steps = std::min<int64_t>(program->n_eager + program->n_products, all);
    eager += steps;
    fused += all - steps;
  }
}

std::string Rates::str() const {
  return fmt::format(
      "{} programs ({:.0f} % with backward), {} calls, {} statements; {:.1f} % valid, {:.1f} % views and in place, {:.1f} % of "
      "the "
      "operators fused ({} fused, {} eager, {} interpreted)",
      programs, 100.0 * static_cast<double>(with_backward) / static_cast<double>(std::max<int64_t>(programs, 1)), calls,
      statements, 100 * valid_share(), 100 * moving_share(), 100 * fused_share(), fused, eager, interpreted);
}

}  // namespace sinter::test
