#include "dispatch.h"
#include "autograd/node.h"
#include "eager.h"
#include "frame/context.h"

namespace sinter {

bool needs_node(const OpCall& call) {
  const OpInfo& info = op_info(call.op);
  if (!grad_mode() || !info.differentiable) return false;
  if (info.kind == OpKind::View) return true;  // autograd remembers of what a view is a view
  for (TensorImpl* t : call.operands())
    if (t != nullptr && t->has(kTracked)) return true;
  return false;
}

Tensor eager_call(const OpCall& call) {
  const bool tracked = needs_node(call);
  if (is_inplace(call) && grad_mode()) check_inplace(call);
  Tensor result = run_eager(call);
  if (tracked) record_node(call, result);
  return result;
}

Tensor call(const OpCall& c) {
  if (Context* frame = current_context()) return frame->call(c);
  return eager_call(c);
}

// The short forms try the plain replay first: the event at the cursor is this very call on these very tensors. Anything
// else (inputs, views, numbers, gradients, another branch, no frame) takes the long way, in a tail call.

namespace {
[[gnu::noinline]] Tensor long_call1(Op op, const Tensor& a, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  return call({.op = op, .flags = flags, .n_in = 1, .in = in, .attr = attr, .loc = loc});
}
[[gnu::noinline]] Tensor long_call2(Op op, const Tensor& a, const Tensor& b, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl()};
  return call({.op = op, .flags = flags, .n_in = 2, .in = in, .attr = attr, .loc = loc});
}
[[gnu::noinline]] Tensor long_call3(Op op, const Tensor& a, const Tensor& b, const Tensor& c, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl(), c.impl()};
  return call({.op = op, .flags = flags, .n_in = 3, .in = in, .attr = attr, .loc = loc});
}
}  // namespace

// `differ` of the event at the cursor is 0 for a plain match, kTracked alone when the event also builds an autograd node.

Tensor call1(Op op, const Tensor& a, uint64_t attr, Loc loc, uint8_t flags) {
  if (Context* f = current_context()) {
    Event* e = f->cursor;
    const uint64_t differ = e->key ^ event_key::make(op, flags, 1, ambient::word);
    if ((differ & ~event_key::kTracked) == 0 && e->attr == attr && f->slots[e->in[0]] == a.impl()) [[likely]] {
      if (differ == 0) [[likely]] return f->hand_out(e);
      TensorImpl* in[] = {a.impl()};
      return f->hand_out_tracked(e, {.op = op, .flags = flags, .n_in = 1, .in = in, .attr = attr, .loc = loc});
    }
  }
  return long_call1(op, a, attr, loc, flags);
}

Tensor call2(Op op, const Tensor& a, const Tensor& b, uint64_t attr, Loc loc, uint8_t flags) {
  if (Context* f = current_context()) {
    Event* e = f->cursor;
    const uint64_t differ = e->key ^ event_key::make(op, flags, 2, ambient::word);
    if ((differ & ~event_key::kTracked) == 0 && e->attr == attr && (e->in[0] | e->in[1]) >= 0 &&
        f->slots[e->in[0]] == a.impl() && f->slots[e->in[1]] == b.impl()) [[likely]] {
      if (differ == 0) [[likely]] return f->hand_out(e);
      TensorImpl* in[] = {a.impl(), b.impl()};
      return f->hand_out_tracked(e, {.op = op, .flags = flags, .n_in = 2, .in = in, .attr = attr, .loc = loc});
    }
  }
  return long_call2(op, a, b, attr, loc, flags);
}

Tensor call3(Op op, const Tensor& a, const Tensor& b, const Tensor& c, uint64_t attr, Loc loc, uint8_t flags) {
  return long_call3(op, a, b, c, attr, loc, flags);
}

Tensor call1s(Op op, const Tensor& a, Scalar s, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  if (Context* f = current_context()) {
    Event* e = f->cursor;
    const uint64_t key = event_key::make(op, flags, 1, ambient::word) | event_key::scalar_code(s.type()) << event_key::kScalarShift;
    const uint64_t differ = e->key ^ key;
    if ((differ & ~event_key::kTracked) == 0 && e->attr == attr && f->slots[e->in[0]] == a.impl()) [[likely]] {
      // The tables are large enough once the event has had its result object; before that the long way is taken.
      if (e->id < f->n_pooled && f->pooled[e->id] != nullptr) [[likely]] {
        f->scalars[e->first_scalar] = s;
        if (differ == 0) [[likely]] return f->hand_out(e);
        return f->hand_out_tracked(e, {.op = op, .flags = flags, .n_scalars = 1, .n_in = 1, .in = in, .attr = attr, .scalars = {s}, .loc = loc});
      }
    }
  }
  return call({.op = op, .flags = flags, .n_scalars = 1, .n_in = 1, .in = in, .attr = attr, .scalars = {s}, .loc = loc});
}

}  // namespace sinter
