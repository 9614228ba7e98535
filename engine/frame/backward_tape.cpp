#include "backward_tape.h"
#include <algorithm>
#include <unordered_map>
#include "../../runtime/allocator.h"
#include "../../runtime/env.h"
#include "../../runtime/mutants.h"
#include "../../runtime/out_of_memory.h"
#include "../autograd/meta.h"
#include "../autograd/run.h"
#include "../eager.h"
#include "context.h"

namespace sinter {

using autograd::AutogradMeta;
using autograd::Edge;
using autograd::meta_of;

namespace {

constexpr int kMostTapes = 4;  // after one event
constexpr size_t kMostNodes = 4096;

/// Made by an operator of this region, without anything that a derivative takes from elsewhere.
bool is_plain(const autograd::Node* n, uint64_t region) {
  return n->region == region && n->event != nullptr && n->extra == nullptr && !n->freed;
}

/// What was saved is as it was.
bool is_unchanged(const autograd::Node* n) {
  const auto holds = [](const autograd::Saved& s) {
    return s.impl == nullptr || s.impl->storage->version.load(std::memory_order_relaxed) == s.version;
  };
  return std::all_of(n->saved.begin(), n->saved.end(), holds) && holds(n->saved_result);
}

/// Nobody looks at what arrives.
bool is_plain(const TensorImpl* leaf) {
  const AutogradMeta* m = meta_of(leaf);
  return m == nullptr || (m->extra == nullptr && !m->is_view());
}

TensorImpl* grad_of(const TensorImpl* leaf) {
  const AutogradMeta* m = meta_of(leaf);
  return m != nullptr ? m->grad.impl() : nullptr;
}

}  // namespace

TapedBackward::TapedBackward(autograd::Node* root, bool retain_graph)
    : context_(current_context()),
      root_(root),
      before_(context_ != nullptr && context_->may_tape() ? context_->last : nullptr),
      region_(context_ != nullptr ? context_->region_id() : 0),
      retain_graph_(retain_graph) {}

/// The graph is that of the tape: nodes_ and leaves_ are filled.
bool TapedBackward::finds(const BackwardTape& tape) {
  nodes_.assign(tape.nodes.size(), nullptr);
  leaves_.assign(tape.leaves.size(), nullptr);
  nodes_[0] = root_;
  for (size_t k = 0; k < nodes_.size(); ++k) {
    const autograd::Node* n = nodes_[k];
    const BackwardTape::Node& want = tape.nodes[k];
    if ((n->event != want.event && !SINTER_MUTANT(taped_node_not_compared)) || !is_plain(n, region_) || !is_unchanged(n) ||
        n->n_in != want.edges.size() || n->n_scalars != want.scalars.size() ||
        (!std::equal(want.scalars.begin(), want.scalars.end(), n->scalars) && !SINTER_MUTANT(taped_scalars_not_compared)))
      return false;
    for (uint32_t i = 0; i < n->n_in; ++i) {
      const Edge& e = n->edge(i);
      const int32_t to = want.edges[i];
      if (to == BackwardTape::kNoEdge) {
        if (e) return false;
      } else if (to < 0) {
        TensorImpl*& leaf = leaves_[static_cast<size_t>(-2 - to)];
        if (!e || !e.is_leaf() || (leaf != nullptr && leaf != e.leaf())) return false;
        leaf = e.leaf();
      } else {
        autograd::Node*& node = nodes_[static_cast<size_t>(to)];
        if (!e || e.is_leaf() || (node != nullptr && node != e.node())) return false;
        node = e.node();
      }
    }
  }
  return true;
}

/// The graph as it is; false when it has parts that a tape cannot stand for.
bool TapedBackward::describe(BackwardTape& tape) {
  std::unordered_map<const void*, int32_t> numbers;
  nodes_ = {root_};
  leaves_.clear();
  for (size_t k = 0; k < nodes_.size(); ++k) {
    autograd::Node* n = nodes_[k];
    if (!is_plain(n, region_) || nodes_.size() > kMostNodes) return false;
    BackwardTape::Node node{static_cast<const Event*>(n->event), {}, {n->scalars, n->scalars + n->n_scalars}};
    for (uint32_t i = 0; i < n->n_in; ++i) {
      const Edge& e = n->edge(i);
      if (!e) {
        node.edges.push_back(BackwardTape::kNoEdge);
      } else if (e.is_leaf()) {
        const auto [at, is_new] = numbers.try_emplace(e.leaf(), static_cast<int32_t>(leaves_.size()));
        if (is_new) leaves_.push_back(e.leaf());
        node.edges.push_back(BackwardTape::leaf_edge(at->second));
      } else {
        const auto [at, is_new] = numbers.try_emplace(e.node(), static_cast<int32_t>(nodes_.size()));
        if (is_new && e.node() != root_) nodes_.push_back(e.node());
        node.edges.push_back(at->second);
      }
    }
    tape.nodes.push_back(std::move(node));
  }
  tape.leaves.resize(leaves_.size());
  tape.retain_graph = retain_graph_;
  return std::all_of(leaves_.begin(), leaves_.end(), [](const TensorImpl* t) { return is_plain(t); });
}

bool TapedBackward::replay(Loc loc) {
  if (before_ == nullptr) return false;
  const Context::Inside inside(*context_);
  int tapes = 0;
  for (const BackwardTape* t = before_->info->tape.load(std::memory_order_acquire); t != nullptr; t = t->next.get(), ++tapes) {
    if (t->retain_graph != retain_graph_ || !finds(*t)) continue;
    if (!t->usable) return false;
    if (!may_commit(*t)) continue;
    commit(*t, loc);
    Context::count(context_->counters.backwards_taped);
    return true;
  }
  if (tapes >= kMostTapes) return false;
  auto made = std::make_unique<BackwardTape>();
  if (!describe(*made)) return false;
  for (TensorImpl* t : leaves_) grads_.push_back(grad_of(t));
  making_ = std::move(made);
  return false;
}

/// Binds the new inputs, if everything the tape relies on is so; else nothing is done.
bool TapedBackward::may_commit(const BackwardTape& tape) {
  Context& c = *context_;
  if (c.ambient_bits() != tape.ambient || c.mode.changed() || c.strides_differ_) return false;
  if (thread_allocated_bytes() - c.bytes_at_open_ > env().region_bytes) return false;
  // Events do not say which inputs share memory: a gradient may be that of a saved tensor, which the pass would find overwritten.
  if (!c.aliases_.empty() && !SINTER_MUTANT(taped_over_shared_memory)) return false;
  for (size_t i = 0; i < leaves_.size(); ++i) {
    const BackwardTape::Leaf& want = tape.leaves[i];
    const TensorImpl* grad = grad_of(leaves_[i]);
    if (((grad != nullptr) != want.adds && !SINTER_MUTANT(taped_gradient_not_looked_at)) || !is_plain(leaves_[i])) return false;
  }
  const EventInfo& end = *tape.events.back()->info;
  c.reserve_slots(end.n_slots_after);
  c.reserve_scalars(end.n_scalars_after);
  const int32_t first_slot = before_->info->n_slots_after;
  const auto refuse = [&] {
    c.bound_.forget_from(first_slot);
    return false;
  };
  for (const BackwardTape::NewInput& in : tape.new_inputs) {
    TensorImpl* t = grad_of(leaves_[static_cast<size_t>(in.leaf)]);
    const FastGuard& g = tape.events[static_cast<size_t>(in.event)]->info->fast_guards[0];
    const Storage* s = t->storage;
    if (!c.fast_guard_holds(g, *t) || !c.bindable(t) || s->has(Storage::kBorrowed) || s->has(Storage::kSource) ||
        s->immediate_in_frame.load(std::memory_order_relaxed) == c.serial_ || !c.bound_.try_insert(t->storage, g.slot))
      return refuse();
    c.slots[g.slot] = t;
  }
  for (size_t i = 0; i < leaves_.size(); ++i)
    if (tape.leaves[i].adds && c.slots[tape.leaves[i].grad_slot] != grad_of(leaves_[i])) return refuse();
  return values_hold(tape) || refuse();
}

/// Values that checked operators look at are in range. Where they are not, the pass is to throw in its own time.
bool TapedBackward::values_hold(const BackwardTape& tape) const {
  const int32_t known = before_->info->n_slots_after;
  std::vector<TensorImpl*> in;
  for (const Event* e : tape.checked) {
    const EventInfo& info = *e->info;
    in.clear();
    for (int32_t s : info.in) in.push_back(s >= 0 && s < known ? context_->slots[s] : nullptr);
    OpCall c{.op = op_of(*e), .n_in = static_cast<uint16_t>(in.size()), .in = in.data(), .attr = e->attr, .ints = info.ints};
    try {
      check_call_values(c);
    } catch (const OutOfMemoryError&) { throw; } catch (const Error&) {
      return false;
    }
  }
  return true;
}

void TapedBackward::commit(const BackwardTape& tape, Loc loc) try {
  Context& c = *context_;
  for (const BackwardTape::NewInput& in : tape.new_inputs) {
    const int32_t slot = tape.events[static_cast<size_t>(in.event)]->info->fast_guards[0].slot;
    c.take_input(c.slots[slot], slot, nullptr);
  }
  const Scalar* scalar = tape.scalars.data();
  for (Event* e : tape.events) {
    const EventInfo& info = *e->info;
    for (int i = 0; i < info.n_scalars; ++i) c.scalars[info.first_scalar + i] = *scalar++;
    if (info.inplace) c.commit_write(e, c.slots[info.in[0]]);
    else c.commit_unheld(e);
  }
  for (size_t i = 0; i < leaves_.size(); ++i) {
    if (tape.leaves[i].adds) continue;
    Tensor grad = Tensor::share(c.slots[tape.leaves[i].grad_slot]);
    if (!autograd::give_grad(leaves_[i], grad)) autograd::accumulate_grad(leaves_[i], std::move(grad), true, loc);
  }
  if (retain_graph_) return;
  for (autograd::Node* n : nodes_)
    if (!SINTER_MUTANT(taped_graph_not_freed)) n->release_saved();
} catch (const std::bad_alloc&) {
  context_->undo_call();
  throw_out_of_memory();
}

void TapedBackward::record() {
  if (!making_ || context_->region_id() != region_ || !context_->may_tape() || !context_->aliases_.empty()) return;
  const Context::Inside inside(*context_);
  BackwardTape& tape = *making_;
  tape.usable = fill(tape) && fill_leaves(tape);
  if (!tape.usable) tape.events.clear(), tape.checked.clear();
  // Published whole, before those that are being read.
  std::lock_guard lock(context_->tries()->mutex);
  const BackwardTape* first = before_->info->tape.load(std::memory_order_relaxed);
  making_->next = std::unique_ptr<BackwardTape>(const_cast<BackwardTape*>(first));
  before_->info->tape.store(making_.release(), std::memory_order_release);
}

/// The events since. False when one is not to be committed without being looked at.
bool TapedBackward::fill(BackwardTape& tape) const {
  for (Event* e = context_->last; e != before_; e = e->info->parent) {
    if (e == nullptr || e->info->parent == nullptr) return false;
    tape.events.push_back(e);
  }
  if (tape.events.empty()) return false;
  std::reverse(tape.events.begin(), tape.events.end());
  tape.ambient = static_cast<uint32_t>(tape.events[0]->key >> 32);
  for (size_t k = 0; k < tape.events.size(); ++k) {
    const Event& e = *tape.events[k];
    const EventInfo& info = *e.info;
    if (info.dynamic || info.inferred || info.close_after || info.free_ints != 0 || (e.key & event_key::kTracked) ||
        static_cast<uint32_t>(e.key >> 32) != tape.ambient)
      return false;
    if (op_info(op_of(e)).checked) {
      // What the check looks at has to be there before the pass: all but these operators' first operand, the gradient.
      if (op_of(e) != Op::nll_loss_backward && op_of(e) != Op::embedding_dense_backward) return false;
      for (size_t i = 1; i < info.in.size(); ++i)
        if (info.in[i] >= before_->info->n_slots_after) return false;
      tape.checked.push_back(&e);
    }
    for (int i = 0; i < info.n_scalars; ++i) tape.scalars.push_back(context_->scalars[info.first_scalar + i]);
    if (info.inplace && !info.guards.empty()) {
      const auto leaf = std::find(grads_.begin(), grads_.end(), context_->slots[info.guards[0].slot]);
      if (info.fast_guards.size() != 1 || info.fast_guards[0].operand != 0 || leaf == grads_.end()) return false;
      tape.new_inputs.push_back({static_cast<int32_t>(k), static_cast<int32_t>(leaf - grads_.begin())});
    } else if (!info.guards.empty()) {
      return false;
    }
    // What an in-place call writes must not be memory that another operand may share without the events saying so.
    for (size_t i = 1; info.inplace && i < info.in.size(); ++i)
      if (info.in[i] < before_->info->n_slots_after) return false;
  }
  return true;
}

bool TapedBackward::fill_leaves(BackwardTape& tape) const {
  for (size_t i = 0; i < leaves_.size(); ++i) {
    TensorImpl* const now = grad_of(leaves_[i]);
    BackwardTape::Leaf& leaf = tape.leaves[i];
    leaf.adds = grads_[i] != nullptr;
    if (now == nullptr || (leaf.adds && now != grads_[i])) return false;
    leaf.grad_slot = context_->known_slot(now);
    if (leaf.grad_slot < 0) return false;
    // A gradient that is given is a result of the pass itself.
    if (!leaf.adds && leaf.grad_slot < before_->info->n_slots_after) return false;
  }
  return true;
}

}  // namespace sinter
