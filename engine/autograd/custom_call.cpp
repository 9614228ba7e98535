#include "custom_call.h"
#include <cxxabi.h>
#include <algorithm>
#include <cstdlib>
#include "../../runtime/out_of_memory.h"
#include "../ambient.h"
#include "../derivatives/calculator.h"
#include "meta.h"
#include "packed.h"
#include "saved.h"

namespace sinter::autograd {

/// Tensors of save_for_backward, as they were when forward had returned.
struct SavedVariables {
  struct One {
    Tensor value;  // undefined: packed, or undefined from the start
    uint32_t version = 0;
    Packed packed;
    Edge edge;            // where its gradient goes: of packed ones
    int32_t output = -1;  // it is this output of the call
  };
  std::vector<One> all;
};

namespace {

NodeRef make_output_node(Node* call, size_t output) {
  const CustomCall::Output& of = call->extra->custom->outputs[output];
  NodeRef n = make_plain_node(of.sizes, of.dtype);
  n->need_extra().output = static_cast<int32_t>(output);
  n->n_in = 1;
  n->seq = next_seq(call->seq);
  n->edges[0] = Edge::to_node(call);
  return n;
}

bool contains(const variable_list& list, const Tensor& t) {
  return std::any_of(list.begin(), list.end(), [&](const Tensor& l) { return l.is_same(t); });
}

}  // namespace

// -- AutogradContext

bool AutogradContext::needs_input_grad(size_t i) const { return node_ != nullptr && i < node_->n_in && node_->edge(i); }

variable_list AutogradContext::get_saved_variables() const {
  if (node_ != nullptr && node_->freed) freed_error(*node_);
  variable_list list;
  const std::shared_ptr<SavedVariables> saved = saved_;  // a hook may run a backward pass that frees the graph
  if (!saved) return list;
  for (const SavedVariables::One& one : saved->all) {
    if (one.value.defined()) check_version({one.value.impl(), one.version}, one.output >= 0 ? node_ : nullptr);
    Edge edge = one.edge;
    if (one.output >= 0 && grad_mode())  // a new node: the call does not own those of its outputs
      edge = Edge::to_node(make_output_node(const_cast<Node*>(node_), static_cast<size_t>(one.output)).get());
    if (one.packed) list.push_back(unpack(one.packed, edge, {}));
    else list.push_back(edge ? joined_to(edge, one.value, {}) : one.value);
  }
  return list;
}

// -- CustomCall

std::string CustomCall::name() const {
  const std::unique_ptr<char, void (*)(void*)> name(abi::__cxa_demangle(function.type->name(), nullptr, nullptr, nullptr),
                                                    std::free);
  return name ? name.get() : function.type->name();
}

// -- FunctionCall

FunctionCall::FunctionCall(const FunctionType& function)
    : call_(memory_gate([&] { return std::make_shared<CustomCall>(function); })) {}

void FunctionCall::add_tensor(const Tensor& t) {
  memory_gate([&] {
    call_->is_tensor.push_back(true);
    inputs_.push_back(t);
  });
}

void FunctionCall::add_other() {
  memory_gate([&] { call_->is_tensor.push_back(false); });
}

AutogradContext* FunctionCall::begin() {
  if (!grad_mode()) return &call_->context;
  memory_gate([&] {
    std::vector<Edge> edges;
    uint64_t above = 0;
    bool any = false;
    for (const Tensor& t : inputs_) {
      const Edge& e = edges.emplace_back(t.defined() ? gradient_edge(t.impl()) : Edge());
      any |= static_cast<bool>(e);
      if (e.node() != nullptr) above = std::max(above, e.node()->seq);
    }
    if (!any) return;
    node_ = make_plain_node({}, ScalarType::Undefined);
    node_->need_extra().custom = call_;
    if (edges.size() > Node::kInlineEdges) node_->extra->edges.resize(edges.size());
    node_->n_in = static_cast<uint32_t>(edges.size());
    for (uint32_t i = 0; i < node_->n_in; ++i) node_->edge(i) = std::move(edges[i]);
    node_->seq = next_seq(above);
    call_->context.node_ = node_.get();
  });
  return &call_->context;
}

bool FunctionCall::shares_memory(std::span<const Tensor> outputs, size_t i) const {
  for (const Tensor& t : inputs_)
    if (t.defined() && t.is_alias_of(outputs[i])) return true;
  for (size_t k = 0; k < outputs.size(); ++k)
    if (k != i && outputs[k].defined() && outputs[k].is_alias_of(outputs[i])) return true;
  return false;
}

void FunctionCall::finish(std::span<Tensor> outputs) {
  memory_gate([&] {
    AutogradContext& context = call_->context;
    const variable_list raw(outputs.begin(), outputs.end());
    for (const Tensor& t : raw)
      call_->outputs.push_back(t.defined() ? CustomCall::Output{true, t.dtype(), SizeVec(t.sizes())} : CustomCall::Output());
    for (size_t i = 0; i < raw.size(); ++i) {
      if (!raw[i].defined()) continue;
      if (node_ && is_floating(raw[i].dtype()) && !contains(context.non_differentiable_, raw[i])) {
        const NodeRef n = make_output_node(node_.get(), i);
        n->extra->shares_memory = shares_memory(raw, i);
        outputs[i] = joined_to(Edge::to_node(n.get()), raw[i], {});
      } else if (raw[i].requires_grad()) {
        outputs[i] = call1(Op::detach, raw[i], 0, {});
      }
    }
    if (node_) save(raw);
    context.to_save_.clear();
    context.non_differentiable_.clear();
  });
}

void FunctionCall::save(std::span<const Tensor> raw_outputs) {
  AutogradContext& context = call_->context;
  if (context.to_save_.empty()) return;
  auto saved = std::make_shared<SavedVariables>();
  for (const Tensor& t : context.to_save_) {
    SavedVariables::One& one = saved->all.emplace_back();
    if (!t.defined()) continue;
    const bool may_be_output = is_floating(t.dtype()) && !contains(inputs_, t) && !contains(context.non_differentiable_, t);
    for (size_t i = 0; may_be_output && i < raw_outputs.size(); ++i)
      if (raw_outputs[i].is_same(t)) one.output = static_cast<int32_t>(i);
    if (ambient::word & ambient::kSavedTensorHooks) {
      if (one.output < 0) one.edge = gradient_edge(t.impl());
      one.packed = pack(t, {});
    } else {
      one.value = t;
      one.version = t._version();
    }
  }
  context.saved_ = std::move(saved);
}

// -- backward

void run_custom(Node& node, variable_list grad_outputs, Tensor* out) {
  CustomCall& call = *node.extra->custom;
  grad_outputs.resize(call.outputs.size());
  for (size_t i = 0; i < grad_outputs.size() && call.context.materialize_grads_; ++i)
    if (const CustomCall::Output& o = call.outputs[i]; o.defined && !grad_outputs[i].defined())
      grad_outputs[i] = derivatives::Calculator({}).full(o.sizes, Scalar(0.0), o.dtype);
  variable_list grads = call.function.backward(&call.context, std::move(grad_outputs));
  const size_t expected = call.is_tensor.size();
  while (grads.size() > expected && !grads.back().defined()) grads.pop_back();  // too many, but they say nothing
  if (grads.size() != expected)
    raise<AutogradError>("function {} returned an incorrect number of gradients (expected {}, got {})", node.name(), expected,
                         grads.size());
  uint32_t tensor = 0;
  for (size_t i = 0; i < expected; ++i) {
    if (!call.is_tensor[i]) {
      if (grads[i].defined())
        raise<AutogradError>(
            "function {} returned a gradient different that is defined at position {}, but the corresponding forward input was "
            "not a Variable",
            node.name(), i + 1);
      continue;
    }
    const Edge& edge = node.edge(tensor);
    if (edge && grads[i].defined() && !derivatives::expandable(edge.sizes(), grads[i].sizes()))
      raise<AutogradError>("Function {} returned an invalid gradient at index {} - got {} but expected shape compatible with {}",
                           node.name(), tensor, to_string(grads[i].sizes()), to_string(edge.sizes()));
    out[tensor++] = std::move(grads[i]);
  }
}

}  // namespace sinter::autograd
