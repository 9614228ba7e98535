#include <algorithm>
#include <queue>
#include "../../../runtime/mutants.h"
#include "../../../runtime/stress.h"
#include "fusion.h"

namespace sinter::fuse {

namespace {

constexpr int kTooDear = 1000;
constexpr int kMaxRecomputeCost = 6;       // operators computed twice rather than stored
constexpr int kMaxRecomputeCostSmall = 2;  // the same where the user is larger than the value
constexpr int kMaxRecomputeLoads = 2;      // full-size operands read again

/// What computing a value again inside another kernel would take.
struct Cost {
  int ops = 0, loads = 0;
};

class StoreDecision {
 public:
  StoreDecision(const Graph& graph, Plan& plan) : graph_(graph), plan_(plan) {}

  void run() {
    const size_t n = graph_.nodes.size();
    must_.assign(n, false);
    crosses_.assign(n, false);
    larger_user_.assign(n, false);
    cost_.assign(n, {});
    plan_.stored.assign(n, false);
    for (const auto& out : graph_.outputs) must_[base_of(graph_, out.value)] = true;
    for (size_t c = 0; c < n; ++c) note_uses(static_cast<ValueId>(c));
    for (size_t v = 0; v < n; ++v)
      if (plan_.group_of[v] >= 0) plan_.stored[v] = decide(static_cast<ValueId>(v));
  }

 private:
  void note_uses(ValueId c) {
    const int32_t g = plan_.group_of[c];
    if (g < 0) return;
    for (ValueId operand : graph_[c].in) {
      if (operand < 0) continue;
      const ValueId base = base_of(graph_, operand);
      if (plan_.group_of[base] < 0 || plan_.group_of[base] == g) continue;
      DimMap place = kNoDims, unused;
      if ((plan_.groups[g].eager && !SINTER_MUTANT(eager_operand_not_stored)) || !base_place(graph_, operand, place, unused))
        must_[base] = true;
      crosses_[base] = true;
      const GraphNode& user = graph_[c];
      const int64_t user_numel = is_reduction(user) ? graph_[user.in[0]].numel() : user.numel();
      if (user_numel > graph_[base].numel()) larger_user_[base] = true;
    }
  }

  bool decide(ValueId v) {
    cost_[v] = cost_of(v);
    if (plan_.groups[plan_.group_of[v]].eager || must_[v]) return true;
    if (!crosses_[v]) return false;
    if (!stress().fuse) return true;
    const int limit = larger_user_[v] ? kMaxRecomputeCostSmall : kMaxRecomputeCost;
    return cost_[v].ops > limit || cost_[v].loads > kMaxRecomputeLoads;
  }

  Cost cost_of(ValueId v) const {
    const GraphNode& n = graph_[v];
    if (!is_cheap(n)) return {kTooDear, 0};
    Cost c{1, 0};
    for (ValueId operand : n.in) {
      if (operand < 0) continue;
      const ValueId base = base_of(graph_, operand);
      if (plan_.group_of[base] < 0 || plan_.stored[base]) {
        c.loads += graph_[operand].numel() >= n.numel() && n.numel() > 1;
        continue;
      }
      c.ops = std::min(c.ops + cost_[base].ops, kTooDear);
      c.loads += cost_[base].loads;
    }
    return c;
  }

  const Graph& graph_;
  Plan& plan_;
  std::vector<bool> must_, crosses_, larger_user_;
  std::vector<Cost> cost_;
};

}  // namespace

void decide_stores(const Graph& graph, Plan& plan) { StoreDecision(graph, plan).run(); }

void order_groups(const Graph& graph, Plan& plan) {
  const size_t n = plan.groups.size();
  std::vector<std::vector<int32_t>> users(n);
  std::vector<int32_t> waits(n, 0), seen(n, -1);
  for (size_t g = 0; g < n; ++g) {
    for (ValueId v : plan.groups[g].nodes)
      for (ValueId operand : graph[v].in) {
        const int32_t h = operand < 0 ? -1 : plan.group_of[base_of(graph, operand)];
        if (h < 0 || h == static_cast<int32_t>(g) || seen[h] == static_cast<int32_t>(g)) continue;
        seen[h] = static_cast<int32_t>(g);
        users[h].push_back(static_cast<int32_t>(g));
        waits[g] += !SINTER_MUTANT(kernels_in_any_order);
      }
  }
  // The group whose last event is earliest goes first: reads of an input then tend to precede its update.
  const auto later = [&](int32_t a, int32_t b) { return plan.groups[a].nodes.back() > plan.groups[b].nodes.back(); };
  std::priority_queue<int32_t, std::vector<int32_t>, decltype(later)> ready(later);
  for (size_t g = 0; g < n; ++g)
    if (!plan.groups[g].merged && waits[g] == 0) ready.push(static_cast<int32_t>(g));
  plan.order.clear();
  while (!ready.empty()) {
    const int32_t g = ready.top();
    ready.pop();
    plan.order.push_back(g);
    for (int32_t u : users[g])
      if (--waits[u] == 0) ready.push(u);
  }
}

}  // namespace sinter::fuse
