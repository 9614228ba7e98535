// Making the graph: what happens to autograd's state at each differentiable call.
#include "../../runtime/frame_base.h"
#include "../../runtime/intern.h"
#include "../../runtime/mutants.h"
#include "../derivatives/derivative.h"
#include "../dispatch.h"
#include "../frame/context.h"
#include "meta.h"

namespace sinter {
namespace {

using autograd::AutogradMeta;
using autograd::Edge;
using autograd::make_node;
using autograd::meta_of;
using autograd::need_meta;
using autograd::next_seq;
using autograd::Node;
using autograd::NodeRef;
using autograd::Saved;

/// The value operand 0 had before an in-place call whose derivative reads it; made by check_inplace, taken by record_node.
/// Trivially destructible: tensors may be written after thread_locals are gone.
struct Original {
  TensorImpl* of;
  TensorImpl* copy;  // a counted reference; left over when the call failed
};
constinit thread_local Original original{};

void drop_original() {
  original.of = nullptr;
  if (original.copy != nullptr) std::exchange(original.copy, nullptr)->release();
}
struct OriginalCloser {
  ~OriginalCloser() { drop_original(); }
};
thread_local OriginalCloser original_closer;

/// Bit i: argument i needs a gradient (from bit 31 on: one of the rest). With a scalar on the left operand 0 is argument 1.
uint32_t wanted(const OpCall& call) {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < call.n_in; ++i) {
    TensorImpl* t = call.in[i];
    if (t != nullptr && autograd::requires_grad(t)) mask |= 1u << std::min(i, 31u);
  }
  return call.has(kScalarLhs) && !SINTER_MUTANT(scalar_left_saves_wrong_operand) ? mask << 1 : mask;
}

Saved save(TensorImpl* t) {
  t->retain();
  return {t, t->storage->version.load(std::memory_order_relaxed)};
}

/// A second identity of a result: a node that kept the result itself would keep itself alive.
Tensor shadow(const Tensor& result, Loc loc) {
  if (current_frame != nullptr) return call1(Op::detach, result, 0, loc);
  TensorImpl* t = result.impl();
  t->storage->retain();  // the new tensor's
  return Tensor::adopt(TensorImpl::make(t->dtype(), t->sizes, t->strides, t->offset, t->storage));
}

void save_operands(Node* n, const OpCall& call, const derivatives::Row& row, uint32_t needs, bool inplace) {
  const uint32_t shift = call.has(kScalarLhs) ? 1 : 0;
  const uint32_t count = std::min<uint32_t>(call.n_in, Node::kInlineEdges - shift);
  for (uint32_t i = 0; i < count; ++i) {
    TensorImpl* t = call.in[i];
    if (t == nullptr || !(row.save[i + shift] & needs)) continue;
    if (inplace && i == 0 && original.of == t) {
      TensorImpl* copy = std::exchange(original.copy, nullptr);
      n->saved[0] = {copy, copy->storage->version.load(std::memory_order_relaxed)};
      original.of = nullptr;
      continue;
    }
    if (!inplace || t->storage != call.in[0]->storage) {
      n->saved[i] = save(t);
      continue;
    }
    // It was overwritten by this very call: the version from before makes a backward that needs it fail. A shadow, as the
    // operand itself is about to own this node.
    n->saved[i] = save(shadow(Tensor::share(t), call.loc).impl());
    if (!SINTER_MUTANT(overwritten_operand_is_used)) --n->saved[i].version;
  }
}

/// Operator, attributes and result; the node has no edges yet.
NodeRef begin_node(const OpCall& call, const TensorImpl* result) {
  NodeRef n = NodeRef::adopt(make_node());
  if (const Context* c = current_context()) n->event = c->last, n->region = c->region_id();
  n->op = call.op;
  n->flags = call.flags;
  n->n_scalars = call.n_scalars;
  n->attr = call.attr;
  n->loc = interned(call.loc);
  n->dtype = result->dtype();
  n->sizes.assign(result->sizes);
  n->ints.assign(call.ints);
  if (call.n_in > Node::kInlineEdges) n->need_extra().edges.resize(call.n_in);
  n->n_in = call.n_in;
  for (int i = 0; i < call.n_scalars; ++i) n->scalars[i] = call.scalars[i];
  return n;
}

void set_edges(Node* n, const OpCall& call) {
  uint64_t above = 0;
  for (uint32_t i = 0; i < call.n_in; ++i) {
    TensorImpl* t = call.in[i];
    if (t == nullptr || !autograd::requires_grad(t)) continue;
    Edge e = autograd::edge_of(t);
    if (!e.is_leaf()) above = std::max(above, e.node()->seq);
    n->edge(i) = std::move(e);
  }
  n->seq = next_seq(SINTER_MUTANT(sequence_ignores_operands) ? 0 : above);
}

/// The edges of an in-place call were taken as they were before it; views of the changed storage must not count as up to
/// date with what it makes of their base.
void outdate_views(const OpCall& call) {
  const Storage* changed = call.in[0]->storage;
  const uint32_t before = changed->version.load(std::memory_order_relaxed) - 1;
  for (TensorImpl* t : call.operands()) {
    if (t == nullptr || t->storage != changed) continue;
    for (AutogradMeta* m = meta_of(t); m != nullptr && m->is_view(); m = meta_of(m->parent.impl()))
      m->version.store(before, std::memory_order_relaxed);
  }
}

void record_view(const OpCall& call, Tensor& result) {
  TensorImpl* base = call.in[0];
  TensorImpl* view = result.impl();
  if (call.op == Op::detach || view == base || !is_floating(view->dtype())) return;
  NodeRef n = begin_node(call, view);
  if (autograd::requires_grad(base)) {
    set_edges(n.get(), call);
    n->refs.store(2, std::memory_order_relaxed);
    autograd::set_grad_fn(view, NodeRef::adopt(n.get()));
  }
  AutogradMeta& m = need_meta(view);
  m.recipe = std::move(n);
  m.parent = Tensor::share(base);
  m.root = autograd::root_of(base);
  m.version.store(view->storage->version.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

/// Sizes along the dimension of cat, which the derivative needs of every operand.
void note_cat_sizes(Node* n, const OpCall& call) {
  n->ints.resize(call.n_in);
  for (uint32_t i = 0; i < call.n_in; ++i) {
    const TensorImpl* t = call.in[i];
    const bool skipped = t->rank() == 1 && t->numel == 0;  // cat ignores these whatever the others' rank
    n->ints[i] = skipped ? 0 : t->sizes[call.attr];
  }
}

}  // namespace

void check_inplace(const OpCall& call) {
  TensorImpl* self = call.in[0];
  drop_original();
  if (autograd::requires_grad(self)) {
    for (TensorImpl* t = self;; t = meta_of(t)->parent.impl()) {
      const AutogradMeta* m = meta_of(t);
      if (m == nullptr) break;
      if (m->grad_fn && m->grad_fn->is_custom_output() && m->grad_fn->extra->shares_memory)
        raise<AutogradError>(
            "Output {} of {} is a view and is being modified inplace. This view was created inside a custom Function (or because "
            "an "
            "input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward "
            "associated "
            "with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by cloning "
            "the "
            "output of the custom Function.",
            m->grad_fn->extra->output, m->grad_fn->name());
      if (t->has(head::kRequiresGrad) && !m->grad_fn && !(m->is_view() && autograd::requires_grad(m->parent.impl())) &&
          !SINTER_MUTANT(leaf_written_in_place))
        raise<AutogradError>("{}: a {}leaf Variable that requires grad is being used in an in-place operation.", describe(call),
                             t == self ? "" : "view of a ");
      if (!m->is_view()) break;
    }
  }
  const derivatives::Row& row = derivatives::row(call.op);
  if ((row.save[call.has(kScalarLhs) ? 1 : 0] & wanted(call)) && !SINTER_MUTANT(overwritten_operand_not_kept)) {
    (void)&original_closer;
    original.copy = call1(Op::clone, Tensor::share(self), 0, call.loc).release_impl();
    original.of = self;
  }
}

Node* record_node(const OpCall& call, Tensor& result) {
  if (is_view(call.op)) return record_view(call, result), nullptr;
  if (!is_floating(result.impl()->dtype())) return nullptr;
  const uint32_t needs = wanted(call);
  if (needs == 0) return nullptr;
  const bool inplace = is_inplace(call);
  NodeRef owner = begin_node(call, result.impl());
  Node* n = owner.get();
  set_edges(n, call);
  if (inplace && !SINTER_MUTANT(views_not_outdated)) outdate_views(call);
  const derivatives::Row& row = derivatives::row(call.op);
  save_operands(n, call, row, needs, inplace);
  if (row.save_result & needs) {
    Tensor s = shadow(result, call.loc);
    n->saved_result = save(s.impl());
    n->saved_self = true;
  }
  if (call.op == Op::cat) note_cat_sizes(n, call);
  const AutogradMeta* m = inplace ? meta_of(result.impl()) : nullptr;
  if (m != nullptr && m->is_view() && !SINTER_MUTANT(view_write_unknown_to_base))
    autograd::rebase_view(result.impl(), std::move(owner));
  else autograd::set_grad_fn(result.impl(), std::move(owner));
  return n;
}

}  // namespace sinter
