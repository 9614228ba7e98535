#include "autograd.h"
#include "../../runtime/out_of_memory.h"
#include "../derivatives/calculator.h"
#include "run.h"

namespace sinter::autograd {
namespace {

constinit thread_local bool thread_is_ending = false;
struct ThreadRun : Run {
  ~ThreadRun() { thread_is_ending = true; }
};
Run& run_of_thread() {
  thread_local ThreadRun run;
  return run;
}

/// The pass object of this thread; a backward called from a hook of another needs its own, and so does one from a destructor that
/// runs after the thread's.
class RunHandle {
 public:
  RunHandle() {
    if (thread_is_ending || run_of_thread().active()) own_ = std::make_unique<Run>();
    run_ = own_ ? own_.get() : &run_of_thread();
  }
  Run* operator->() const { return run_; }

 private:
  std::unique_ptr<Run> own_;
  Run* run_;
};

Root make_root(const Tensor& output, const Tensor& grad, size_t index) {
  if (!output.defined()) raise<AutogradError>("element {} of tensors is an undefined tensor", index);
  Root root;
  root.edge = gradient_edge(output.impl());
  if (!root.edge) raise<AutogradError>("element {} of tensors does not require grad and does not have a grad_fn", index);
  if (grad.defined()) {
    if (!(grad.sizes() == output.sizes()))
      raise<ShapeError>("Mismatch in shape: grad_output[{}] has a shape of {} and output[{}] has a shape of {}.", index,
                        to_string(grad.sizes()), index, to_string(output.sizes()));
    root.grad = grad;
    return root;
  }
  if (output.numel() != 1)
    raise<AutogradError>("grad can be implicitly created only for scalar outputs; element {} of tensors has shape {}", index,
                         to_string(output.sizes()));
  return root;
}

std::vector<Root> make_roots(const std::vector<Tensor>& outputs, const std::vector<Tensor>& grads) {
  if (!grads.empty() && grads.size() != outputs.size())
    raise<AutogradError>("got {} tensors and {} gradients", outputs.size(), grads.size());
  std::vector<Root> roots;
  roots.reserve(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) roots.push_back(make_root(outputs[i], grads.empty() ? Tensor() : grads[i], i));
  return roots;
}

}  // namespace

void backward(const std::vector<Tensor>& tensors, const std::vector<Tensor>& grad_tensors, std::optional<bool> retain_graph,
              bool create_graph, const std::vector<Tensor>& inputs, Loc loc) try {
  const AutoGradMode mode(create_graph);
  std::vector<Root> roots = make_roots(tensors, grad_tensors);
  std::vector<Edge> targets;
  for (const Tensor& t : inputs) {
    targets.push_back(t.defined() ? gradient_edge(t.impl()) : Edge());
    if (!targets.back().is_leaf())
      raise<AutogradError>("One of the differentiated Tensors given as 'inputs' to backward is not a leaf Tensor");
  }
  RunHandle()->execute(roots, targets, {retain_graph.value_or(create_graph), true, loc});
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& grad_outputs, std::optional<bool> retain_graph, bool create_graph,
                         bool allow_unused, Loc loc) try {
  if (inputs.empty()) raise<AutogradError>("grad requires non-empty inputs.");
  const AutoGradMode mode(create_graph);
  std::vector<Root> roots = make_roots(outputs, grad_outputs);
  std::vector<Edge> targets;
  for (const Tensor& t : inputs) {
    targets.push_back(t.defined() ? gradient_edge(t.impl()) : Edge());
    if (!targets.back()) raise<AutogradError>("One of the differentiated Tensors does not require grad");
  }
  std::vector<Tensor> results = RunHandle()->execute(roots, targets, {retain_graph.value_or(create_graph), false, loc});
  for (const Tensor& t : results)
    if (!t.defined() && !allow_unused)
      raise<AutogradError>(
          "One of the differentiated Tensors appears to not have been used in the graph. "
          "Set allow_unused=True if this is the desired behavior.");
  return results;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

unsigned register_hook(const Tensor& t, TensorHook hook) {
  if (!t.defined() || !requires_grad(t.impl()))
    raise<AutogradError>("cannot register a hook on a tensor that doesn't require gradient");
  const unsigned id = need_meta(t.impl()).need_extra().next_hook++;
  hooks_of(t.impl()).push_back({id, std::move(hook)});
  return id;
}

void remove_hook(const Tensor& t, unsigned pos) {
  if (!t.defined() || !requires_grad(t.impl())) raise<AutogradError>("remove_hook: the tensor has no hooks");
  auto& hooks = hooks_of(t.impl());
  if (std::erase_if(hooks, [&](const HookEntry& h) { return h.id == pos; }) == 0)
    raise<AutogradError>("remove_hook: there is no hook {}", pos);
}

void retain_grad(const Tensor& t) {
  if (!t.defined() || !requires_grad(t.impl())) raise<AutogradError>("can't retain_grad on Tensor that has requires_grad=False");
  const Edge edge = gradient_edge(t.impl());
  if (edge.is_leaf()) return;
  NodeExtra& of_node = edge.node()->need_extra();
  auto& mine = need_meta(t.impl()).need_extra().retained;
  if (!mine) mine = std::make_shared<Tensor>();
  of_node.retained = mine;
}

bool retains_grad(const Tensor& t) {
  const AutogradMeta* m = t.defined() ? meta_of(t.impl()) : nullptr;
  return m != nullptr && m->extra != nullptr && m->extra->retained != nullptr;
}

void detach_in_place(const Tensor& t) {
  if (!t.defined()) raise<AutogradError>("detach_(): the tensor is undefined");
  AutogradMeta* m = meta_of(t.impl());
  if (m == nullptr) return;
  if (m->is_view()) raise<AutogradError>("Can't detach views in-place. Use detach() instead.");
  m->grad_fn = NodeRef();
  t.impl()->set(head::kRequiresGrad, false);
}

std::string grad_fn_name(const Tensor& t) {
  const Edge edge = t.defined() ? gradient_edge(t.impl()) : Edge();
  if (!edge) return "";
  return edge.is_leaf() ? "AccumulateGrad" : edge.node()->name();
}

}  // namespace sinter::autograd
