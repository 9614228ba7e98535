#include "save_plan.h"
#include <algorithm>
#include <limits>
#include <unordered_set>
#include "../../codegen/loop/loop_spec.h"
#include "../../runtime/mutants.h"
#include "../autograd/meta.h"
#include "cpu_mode.h"

namespace sinter {

SavedCounts count_saved(const std::vector<TensorImpl*>& results, uint64_t since) {
  SavedCounts counts;
  std::unordered_set<const autograd::Node*> seen;
  std::vector<const autograd::Node*> stack;
  const auto visit = [&](const autograd::Node* n) {
    if (n != nullptr && n->seq >= since && seen.insert(n).second) stack.push_back(n);
  };
  for (TensorImpl* t : results)
    if (const autograd::AutogradMeta* m = autograd::meta_of(t)) visit(m->grad_fn.get());
  while (!stack.empty()) {
    const autograd::Node* n = stack.back();
    stack.pop_back();
    for (const autograd::Saved& s : n->saved)
      if (s.impl != nullptr) ++counts[s.impl];
    if (n->saved_result.impl != nullptr) ++counts[n->saved_result.impl];
    for (size_t i = 0; i < n->n_in; ++i)
      if (const autograd::Edge& e = n->edge(i); e && !e.is_leaf()) visit(e.node());
  }
  return counts;
}

bool covers_live(const ProgramEntry& e, const RootBits& live, const RootBits* saved_only) {
  for (size_t i = 0; i < live.size(); ++i) {
    uint64_t missing = live[i] & ~e.live[i];
    if (missing != 0 && saved_only != nullptr && !e.deferred.empty()) missing &= ~(e.deferred[i] & (*saved_only)[i]);
    if (missing != 0 && !SINTER_MUTANT(stale_live_set)) return false;
  }
  return true;
}

namespace {

constexpr int64_t kLeastBytes = 16 << 10;  // of a value worth the calls that compute it again
constexpr int64_t kNever = std::numeric_limits<int64_t>::max() / 4;

/// Maximum flow by augmenting paths, shortest first (Dinic 1970).
class FlowNetwork {
 public:
  explicit FlowNetwork(int nodes) : first_(static_cast<size_t>(nodes), -1) {}
  void edge(int from, int to, int64_t capacity) {
    add(from, to, capacity);
    add(to, from, 0);
  }
  void saturate(int source, int sink) {
    while (levels(source, sink)) {
      next_ = first_;
      while (push(source, sink, kNever) > 0) {}
    }
  }
  /// After saturate(): nodes from which flow could still reach the sink.
  std::vector<bool> reaching(int sink) const {
    std::vector<bool> reaches(first_.size(), false);
    std::vector<int> queue{sink};
    reaches[static_cast<size_t>(sink)] = true;
    for (size_t q = 0; q < queue.size(); ++q)
      for (int e = first_[static_cast<size_t>(queue[q])]; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
        const int from = edges_[static_cast<size_t>(e)].to;
        if (edges_[static_cast<size_t>(e ^ 1)].left == 0 || reaches[static_cast<size_t>(from)]) continue;
        reaches[static_cast<size_t>(from)] = true;
        queue.push_back(from);
      }
    return reaches;
  }

 private:
  struct Edge {
    int to, next;
    int64_t left;
  };
  void add(int from, int to, int64_t capacity) {
    edges_.push_back({to, first_[static_cast<size_t>(from)], capacity});
    first_[static_cast<size_t>(from)] = static_cast<int>(edges_.size()) - 1;
  }
  bool levels(int source, int sink) {
    level_.assign(first_.size(), -1);
    level_[static_cast<size_t>(source)] = 0;
    std::vector<int> queue{source};
    for (size_t q = 0; q < queue.size(); ++q)
      for (int e = first_[static_cast<size_t>(queue[q])]; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
        const Edge& x = edges_[static_cast<size_t>(e)];
        if (x.left == 0 || level_[static_cast<size_t>(x.to)] >= 0) continue;
        level_[static_cast<size_t>(x.to)] = level_[static_cast<size_t>(queue[q])] + 1;
        queue.push_back(x.to);
      }
    return level_[static_cast<size_t>(sink)] >= 0;
  }
  /// Depth is bounded by twice the operators of a region.
  int64_t push(int at, int sink, int64_t most) {
    if (at == sink) return most;
    for (int& e = next_[static_cast<size_t>(at)]; e >= 0; e = edges_[static_cast<size_t>(e)].next) {
      Edge& x = edges_[static_cast<size_t>(e)];
      if (x.left == 0 || level_[static_cast<size_t>(x.to)] != level_[static_cast<size_t>(at)] + 1) continue;
      const int64_t sent = push(x.to, sink, std::min(most, x.left));
      if (sent == 0) continue;
      x.left -= sent;
      edges_[static_cast<size_t>(e ^ 1)].left += sent;
      return sent;
    }
    return 0;
  }
  std::vector<Edge> edges_;  // each beside its reverse
  std::vector<int> first_, next_, level_;
};

class Planner {
 public:
  Planner(const Leaf& leaf, TensorImpl* const* slots, const std::vector<int64_t>& free_ints, const RootBits& live,
          const RootBits& saved_only, const SavedCounts& saved)
      : leaf_(leaf), slots_(slots), free_ints_(free_ints), live_(live), saved_only_(saved_only), saved_(saved) {}

  SavePlan run() {
    look_at_events();
    bool any = false;
    for (size_t i = 0; i < leaf_.roots.size(); ++i) any |= wanted_again(i);
    // Very long regions: the search for paths goes as deep.
    if (!any || leaf_.path.size() > kMostEvents) return {};
    cut();
    return collect();
  }

 private:
  static constexpr size_t kMostEvents = 1000;
  struct Slot {
    const Event* event = nullptr;  // null: an input
    int32_t root = -1;             // index into Leaf::roots, of a slot with memory of its own
    size_t first_int = 0;          // its runtime integers
    bool written = false, of_product = false;
  };
  Slot& slot(int32_t s) { return slots_of_[static_cast<size_t>(s)]; }
  int64_t bytes(int32_t s) const { return slots_[s]->nbytes(); }

  void look_at_events() {
    slots_of_.resize(static_cast<size_t>(leaf_.end->info->n_slots_after));
    for (size_t i = 0; i < leaf_.roots.size(); ++i) slot(leaf_.roots[i]).root = static_cast<int32_t>(i);
    size_t ints = 0;
    for (const Event* e : leaf_.path) {
      const EventInfo& info = *e->info;
      const size_t first = ints;
      if (info.free_ints != 0) ints += info.ints.size();
      if (info.inplace) {
        slot(info.root).written = true;
        continue;
      }
      slot(e->out).event = e;
      slot(e->out).first_int = first;
      if (op_info(op_of(*e)).kind == OpKind::Gemm)
        for (int32_t s : info.in)
          if (s >= 0) slot(root_of(s)).of_product = true;
    }
  }
  int32_t root_of(int32_t s) {
    const Event* e = slot(s).event;
    return e == nullptr ? s : e->info->root;
  }

  /// A pointwise operator that a kernel can do, on values that are the same after the region.
  bool can_be_done_again(int32_t s) {
    const Event* e = slot(s).event;
    if (e == nullptr || slot(s).written) return false;
    const OpKind kind = op_info(op_of(*e)).kind;
    if (e->info->view) return !slot(e->info->root).written;
    if (kind != OpKind::Cast && (kind != OpKind::Pointwise || !codegen::can_emit(op_of(*e), e->info->compute))) return false;
    if (op_info(op_of(*e)).checked) return false;
    for (int32_t in : e->info->in)
      if (in < 0 || slot(root_of(in)).written) return false;
    return true;
  }
  /// A value only backward needs, and worth computing again.
  bool wanted_again(size_t root) {
    const int32_t s = leaf_.roots[root];
    return has_root(live_, root) && has_root(saved_only_, root) && bytes(s) >= kLeastBytes && can_be_done_again(s) &&
           !slot(s).of_product;
  }
  static bool is_parameter(const TensorImpl* t) {
    const autograd::AutogradMeta* m = autograd::meta_of(t);
    return t->has(head::kRequiresGrad) && (m == nullptr || !m->grad_fn);
  }
  /// Bytes that keeping this value adds.
  int64_t cost(int32_t s) {
    const Slot& x = slot(s);
    if (x.written) return kNever;
    if (x.event == nullptr) {
      const Storage* storage = slots_[s]->storage;
      if (storage->has(Storage::kBorrowed) || (storage->has(Storage::kExposed) && !SINTER_MUTANT(recomputed_from_exposed_memory)))
        return kNever;
      return is_parameter(slots_[s]) || saved_.count(slots_[s]) != 0 ? 0 : bytes(s);
    }
    if (x.event->info->view) return kNever;
    const auto root = static_cast<size_t>(x.root);
    return has_root(live_, root) && !wanted_again(root) ? 0 : bytes(s);
  }

  void cut() {
    const int n = static_cast<int>(slots_of_.size()), source = 2 * n, sink = 2 * n + 1;
    FlowNetwork net(2 * n + 2);
    for (int32_t s = 0; s < n; ++s) {
      net.edge(2 * s, 2 * s + 1, cost(s));
      if (!can_be_done_again(s)) {
        net.edge(source, 2 * s, kNever);
      } else {
        for (int32_t in : slot(s).event->info->in) net.edge(2 * in + 1, 2 * s, kNever);
      }
    }
    for (size_t i = 0; i < leaf_.roots.size(); ++i)
      if (wanted_again(i)) net.edge(2 * leaf_.roots[i] + 1, sink, kNever);
    net.saturate(source, sink);
    reaches_ = net.reaching(sink);
  }
  bool is_computed(int32_t s) const { return reaches_[static_cast<size_t>(2 * s)]; }
  bool is_source(int32_t s) const { return !is_computed(s) && reaches_[static_cast<size_t>(2 * s + 1)]; }

  SavePlan collect() {
    SavePlan plan;
    auto recipe = std::make_shared<Recipe>();
    std::vector<int32_t> number(slots_of_.size(), -1);
    int64_t kept_bytes = 0;
    plan.deferred.assign(live_.size(), 0);
    plan.kept.assign(live_.size(), 0);
    int32_t next = 0;
    for (int32_t s = 0; s < static_cast<int32_t>(slots_of_.size()); ++s) {
      if (!is_source(s)) continue;
      number[static_cast<size_t>(s)] = next++;
      recipe->sources.push_back(s);
      const int32_t root = slot(s).root;
      if (slot(s).event == nullptr) continue;
      recipe->source_roots.push_back(root);
      if (has_root(live_, root)) continue;
      add_root(plan.kept, root);
      kept_bytes += bytes(s);
    }
    for (const Event* e : leaf_.path) {
      if (e->info->inplace || !is_computed(e->out)) continue;
      const uint32_t word = static_cast<uint16_t>(e->key >> 32) & ~ambient::kGradMode;
      if (!recipe->steps.empty() && word != recipe->ambient) return {};  // calls under two default dtypes
      recipe->ambient = word;
      recipe->mxcsr = CpuMode::of_key(e->key);
      recipe->steps.push_back(step_of(*e, number, *recipe));
      number[static_cast<size_t>(e->out)] = next++;
    }
    for (size_t i = 0; i < leaf_.roots.size(); ++i) {
      const int32_t s = leaf_.roots[i];
      if (!wanted_again(i) || !is_computed(s)) continue;
      add_root(plan.deferred, i);
      recipe->outputs.push_back({static_cast<int32_t>(i),
                                 number[static_cast<size_t>(s)],
                                 {slots_[s]->dtype(), slots_[s]->sizes, slots_[s]->strides, 0}});
      recipe->bytes += bytes(s);
    }
    if (recipe->bytes - kept_bytes < kLeastBytes) return {};
    plan.recipe = std::move(recipe);
    return plan;
  }

  Recipe::Step step_of(const Event& e, const std::vector<int32_t>& number, Recipe& recipe) {
    const EventInfo& info = *e.info;
    Recipe::Step step;
    step.op = op_of(e);
    step.flags = static_cast<uint8_t>(e.key >> event_key::kFlagShift);
    for (int32_t s : info.in) step.in.push_back(number[static_cast<size_t>(s)]);
    step.attr = e.attr;
    step.ints = info.ints;
    if (info.free_ints != 0)
      std::copy_n(free_ints_.begin() + static_cast<std::ptrdiff_t>(slot(e.out).first_int), info.ints.size(), step.ints.begin());
    step.n_scalars = static_cast<uint8_t>(info.n_scalars);
    step.first_scalar = static_cast<int32_t>(recipe.scalars.size());
    for (int i = 0; i < info.n_scalars; ++i) recipe.scalars.push_back(info.first_scalar + i);
    step.loc = info.loc;
    return step;
  }

  const Leaf& leaf_;
  TensorImpl* const* slots_;
  const std::vector<int64_t>& free_ints_;
  const RootBits &live_, &saved_only_;
  const SavedCounts& saved_;
  std::vector<Slot> slots_of_;
  std::vector<bool> reaches_;
};

}  // namespace

SavePlan plan_saves(const Leaf& leaf, TensorImpl* const* slots, const std::vector<int64_t>& free_ints, const RootBits& live,
                    const RootBits& saved_only, const SavedCounts& saved) {
  return Planner(leaf, slots, free_ints, live, saved_only, saved).run();
}

}  // namespace sinter
