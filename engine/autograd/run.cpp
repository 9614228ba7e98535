#include "run.h"
#include <algorithm>
#include <optional>
#include "../../runtime/mutants.h"
#include "../ambient.h"
#include "../derivatives/calculator.h"
#include "../frame/backward_tape.h"
#include "../frame/deferred.h"
#include "../frame/frame.h"
#include "anomaly.h"
#include "autograd_context.h"

namespace sinter::autograd {

namespace {
size_t hash(uintptr_t key) { return static_cast<size_t>((key >> 4) * 0x9E3779B97F4A7C15ull >> 20); }
}  // namespace

uint32_t Run::task_of(uintptr_t key, bool& is_new) {
  const size_t mask = table_.size() - 1;
  size_t i = hash(key) & mask;
  while (table_[i].pass == pass_ && table_[i].key != key) i = (i + 1) & mask;
  is_new = table_[i].pass != pass_;
  if (!is_new) return table_[i].task;
  const auto index = static_cast<uint32_t>(tasks_.size());
  table_[i] = {key, pass_, index};
  tasks_.emplace_back();
  tasks_.back().key = key;
  if (tasks_.size() * 2 > table_.size()) grow();
  return index;
}

uint32_t Run::known_task(uintptr_t key) const {
  const size_t mask = table_.size() - 1;
  size_t i = hash(key) & mask;
  while (table_[i].key != key || table_[i].pass != pass_) i = (i + 1) & mask;
  return table_[i].task;
}

void Run::grow() {
  const size_t size = table_.size() * 2;
  table_.assign(size, {});
  for (uint32_t t = 0; t < tasks_.size(); ++t) {
    size_t i = hash(tasks_[t].key) & (size - 1);
    while (table_[i].pass == pass_) i = (i + 1) & (size - 1);
    table_[i] = {tasks_[t].key, pass_, t};
  }
}

void Run::discover(const std::vector<Root>& roots) {
  bool is_new = false;
  frame_owner_ = 0;
  for (const Root& r : roots) {
    const uint32_t t = task_of(r.edge.key(), is_new);
    ++tasks_[t].waiting;
    if (is_new && !r.edge.is_leaf()) stack_.push_back(t);
  }
  while (!stack_.empty()) {
    const Node* n = tasks_[stack_.back()].node();
    stack_.pop_back();
    if (frame_owner_ == 0) frame_owner_ = n->frame_owner;
    for (uint32_t i = 0; i < n->n_in; ++i) {
      const Edge& e = n->edge(i);
      if (!e) continue;
      const uint32_t t = task_of(e.key(), is_new);
      ++tasks_[t].waiting;
      if (is_new && !e.is_leaf()) stack_.push_back(t);
    }
  }
}

/// Only nodes on a way to a target run. Edges lead to smaller sequence numbers, so ascending order meets operands first.
void Run::restrict_to(const std::vector<Edge>& targets) {
  bool is_new = false;
  for (const Edge& e : targets) tasks_[task_of(e.key(), is_new)].target = true;
  std::vector<uint32_t> order;
  for (uint32_t t = 0; t < tasks_.size(); ++t) {
    if (tasks_[t].is_leaf()) tasks_[t].wanted = tasks_[t].target;
    else order.push_back(t);
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return tasks_[a].node()->seq < tasks_[b].node()->seq; });
  for (uint32_t t : order) {
    const Node* n = tasks_[t].node();
    tasks_[t].runs = false;
    for (uint32_t i = 0; i < n->n_in && !tasks_[t].runs; ++i)
      if (n->edge(i)) tasks_[t].runs = tasks_[known_task(n->edge(i).key())].wanted;
    tasks_[t].wanted = tasks_[t].target || tasks_[t].runs;
  }
}

void Run::deliver(const Edge& edge, Tensor grad, bool fresh) {
  const uint32_t index = known_task(edge.key());
  if (!tasks_[index].wanted) return;
  if (grad.defined()) {
    grad = conform(std::move(grad), edge.sizes(), edge.dtype(), fresh, options_.loc);
    if (Tensor& sum = tasks_[index].grad; sum.defined() && !SINTER_MUTANT(gradients_of_uses_not_summed)) {
      sum = call2(Op::add, sum, grad, 0, options_.loc);
      tasks_[index].fresh = true;
    } else {
      sum = std::move(grad);
      tasks_[index].fresh = fresh;
    }
  }
  Task& task = tasks_[index];
  if (--task.waiting > 0 && !SINTER_MUTANT(node_runs_too_early)) return;
  if (task.is_leaf()) return finish_leaf(task);
  if (!task.runs) return;
  ready_.push_back({task.node()->seq, index});
  std::push_heap(ready_.begin(), ready_.end());
}

void Run::finish_leaf(Task& task) {
  if (!options_.accumulate || !task.grad.defined()) return;
  const AutogradMeta* m = meta_of(task.leaf());
  if (m != nullptr && m->extra != nullptr && !m->extra->hooks.empty()) {
    task.grad = run_hooks(m->extra->hooks, std::move(task.grad));
    task.fresh = false;  // a hook may have kept it
  }
  accumulate_grad(task.leaf(), std::move(task.grad), task.fresh, options_.loc);
}

void Run::run_node(uint32_t index) {
  Task& task = tasks_[index];
  Node& node = *task.node();
  const bool keep = task.target && !options_.accumulate;
  Tensor grad = keep ? task.grad : std::move(task.grad);
  bool fresh = task.fresh && !keep;
  if (node.extra != nullptr) [[unlikely]] {
    if (!node.extra->hooks.empty() && grad.defined()) grad = run_hooks(node.extra->hooks, std::move(grad)), fresh = false;
    if (node.extra->retained && grad.defined()) *node.extra->retained = grad, fresh = false;
    if (node.is_custom_output()) return gather(node, std::move(grad));
  }
  differentiate(node, grad, fresh);
  if (!options_.retain_graph && !SINTER_MUTANT(graph_not_freed)) node.release_saved();
}

/// The gradient of an output of a custom function waits for those of the others.
void Run::gather(const Node& output, Tensor grad) {
  const Edge& call = output.edges[0];
  if (grad.defined() && tasks_[known_task(call.key())].wanted) {
    std::vector<Tensor>& of_outputs = gathered_[call.node()];
    const auto i = static_cast<size_t>(output.extra->output);
    if (of_outputs.size() <= i) of_outputs.resize(i + 1);
    // An output that was saved has a second node where a second derivative goes through it.
    of_outputs[i] = of_outputs[i].defined() ? call2(Op::add, of_outputs[i], grad, 0, options_.loc) : std::move(grad);
  }
  deliver(call, {}, false);
}

/// A call of a custom function has no gradient of its own.
void Run::derive_custom(Node& node, Tensor* out) {
  if (!node.is_custom_call()) return;
  auto gathered = gathered_.extract(&node);
  run_custom(node, gathered ? std::move(gathered.mapped()) : std::vector<Tensor>(), out);
}

/// In anomaly mode. Gradients are brought to their final shape first: summing may be what makes a NaN.
void Run::differentiate_watched(Node& node, const Tensor& grad, Tensor* out) {
  const auto is_wanted = [&](uint32_t i) {
    return node.edge(i) && out[i].defined() && tasks_[known_task(node.edge(i).key())].wanted;
  };
  try {
    if (grad.defined()) run_derivative(node, grad, out);
    else derive_custom(node, out);
    bool fresh = false;
    for (uint32_t i = 0; i < node.n_in; ++i)
      if (is_wanted(i)) out[i] = conform(std::move(out[i]), node.edge(i).sizes(), node.edge(i).dtype(), fresh, options_.loc);
  } catch (...) { rethrow_with_forward_call(node); }
  if (!AnomalyMode::should_check_nan()) return;
  for (uint32_t i = 0; i < node.n_in; ++i)
    if (is_wanted(i)) check_nan(node, i, out[i]);
}

void Run::differentiate(Node& node, const Tensor& grad, bool fresh) {
  constexpr uint32_t kFew = Node::kInlineEdges;
  Tensor few[kFew];
  std::vector<Tensor> many(node.n_in > kFew ? node.n_in : 0);
  Tensor* out = node.n_in > kFew ? many.data() : few;
  if (AnomalyMode::is_enabled()) [[unlikely]]
    differentiate_watched(node, grad, out);
  else if (grad.defined()) [[likely]] run_derivative(node, grad, out);
  else derive_custom(node, out);
  const Storage* const arrived = grad.defined() ? grad.impl()->storage : nullptr;
  bool fresh_out[kFew] = {};
  for (uint32_t i = 0; i < node.n_in && i < kFew; ++i) {
    if (!out[i].defined()) continue;
    // Alone in its memory: made here, or handed on to this operand only. Of cat's many operands, and of what a custom function
    // returns, none is.
    const Storage* s = out[i].impl()->storage;
    fresh_out[i] = node.n_in <= kFew && arrived != nullptr && (s != arrived || fresh);
    for (uint32_t j = 0; j < node.n_in && j < kFew; ++j)
      if (j != i && out[j].defined() && out[j].impl()->storage == s) fresh_out[i] = false;
  }
  for (uint32_t i = 0; i < node.n_in; ++i)
    if (node.edge(i)) deliver(node.edge(i), std::move(out[i]), i < kFew && fresh_out[i]);
}

void Run::drain() {
  while (!ready_.empty()) {
    std::pop_heap(ready_.begin(), ready_.end());
    const uint32_t index = ready_.back().task;
    ready_.pop_back();
    run_node(index);
  }
}

void Run::reset() {
  for (Task& t : tasks_) t.grad.reset();
  gathered_.clear();
  tasks_.clear();
  ready_.clear();
  stack_.clear();
  active_ = false;
}

std::vector<Tensor> Run::execute(std::vector<Root>& roots, const std::vector<Edge>& targets, const Options& options) {
  struct Cleanup {
    Run& run;
    ~Cleanup() { run.reset(); }
  } cleanup{*this};
  active_ = true;
  options_ = options;
  if (table_.empty() || ++pass_ == 0) {
    table_.assign(256, {});
    pass_ = 1;
  }
  std::optional<TapedBackward> taped;
  if (current_frame != nullptr && targets.empty() && options.accumulate && roots.size() == 1 && !roots[0].grad.defined() &&
      !roots[0].edge.is_leaf() && !grad_mode()) {
    taped.emplace(roots[0].edge.node(), options.retain_graph);
    if (taped->replay(options.loc)) return {};
  }
  discover(roots);
  FrameScope frame(BackwardOf{frame_owner_});
  if (!frame.is_open()) {
    std::vector<Tensor> results = run(roots, targets);
    if (taped) taped->record();
    return results;
  }
  try {
    std::vector<Tensor> results = run(roots, targets);
    frame.finish();
    return results;
  } catch (...) {
    frame.abandon();
    throw;
  }
}

std::vector<Tensor> Run::run(std::vector<Root>& roots, const std::vector<Edge>& targets) {
  if (!targets.empty() && (!options_.accumulate || !SINTER_MUTANT(backward_reaches_all_leaves))) restrict_to(targets);
  for (Root& r : roots) {
    const bool fresh = !r.grad.defined();
    if (fresh) r.grad = derivatives::Calculator(options_.loc).full(r.edge.sizes(), Scalar(1.0), r.edge.dtype());
    deliver(r.edge, std::move(r.grad), fresh);
  }
  const DeferredAgain again;  // ends before the frame does
  drain();
  std::vector<Tensor> results;
  if (!options_.accumulate)
    for (const Edge& e : targets) results.push_back(tasks_[known_task(e.key())].grad);
  for (Task& t : tasks_) t.grad.reset();  // else the frame would keep what arrived where nothing was wanted
  return results;
}

}  // namespace sinter::autograd
