#include "dispatch.h"
#include "../runtime/mutants.h"
#include "../runtime/out_of_memory.h"
#include "autograd/node.h"
#include "autograd/packed.h"
#include "eager.h"
#include "frame/context.h"

namespace sinter {

bool needs_node(const OpCall& call) {
  const OpInfo& info = op_info(call.op);
  if (!grad_mode() || !info.differentiable) return false;
  if (info.kind == OpKind::View && !SINTER_MUTANT(views_unknown_to_autograd))
    return true;  // autograd remembers of what a view is a view
  for (TensorImpl* t : call.operands())
    if (t != nullptr && t->has(kTracked)) return true;
  return false;
}

Tensor eager_call(const OpCall& call, autograd::Node** made) {
  const bool tracked = needs_node(call);
  if (is_inplace(call) && grad_mode()) check_inplace(call);
  Tensor result = run_eager(call);
  if (tracked) {
    autograd::Node* node = record_node(call, result);
    if (made != nullptr) *made = node;
  }
  return result;
}

/// A call under ambient::kEager. No event has one of these bits in its key, so that every call under them comes here.
static Tensor eager_mode_call(const OpCall& c) {
  const bool hooked = ambient::word & ambient::kSavedTensorHooks;
  autograd::Node* made = nullptr;
  Context* frame = current_context();
  Tensor result =
      frame != nullptr ? frame->run_outside(c, hooked ? Break::host_callback : Break::anomaly_mode, &made) : eager_call(c, &made);
  if (hooked && made != nullptr) autograd::pack_saved(*made);  // here, where hooks find the frame as the function itself does
  return result;
}

Tensor call(const OpCall& c) try {
  if (ambient::word & ambient::kEager) [[unlikely]]
    return eager_mode_call(c);
  if (Context* frame = current_context()) return frame->call(c);
  return eager_call(c);
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

void call_inplace(const OpCall& c) {
  if (Context* frame = current_context(); frame != nullptr && c.n_in <= 3 && c.ints.empty() && frame->replay_write(c)) return;
  call(c);
}

// The short forms try the plain replay first: the event at the cursor is this very call on these very tensors.
// `differ` of the event at the cursor is 0 for a plain match; kTracked says that the event also builds an autograd node,
// kCareful | kGuardOnly that it is the first use of inputs, or an in-place call (those take call_inplace).

namespace {
/// What mutants leave out of the compare of an event's key, on the short path.
inline uint64_t forgotten_key() {
  uint64_t bits = 0;
  if (SINTER_MUTANT(fast_match_without_op)) bits |= event_key::kOpMask;
  if (SINTER_MUTANT(fast_match_without_scalar_side)) bits |= uint64_t{kScalarLhs | kScalarRhs} << event_key::kFlagShift;
  if (SINTER_MUTANT(fast_match_without_scalar_type)) bits |= 0xffull << event_key::kScalarShift;
  if (SINTER_MUTANT(fast_match_without_grad_mode)) bits |= uint64_t{ambient::kGradMode} << 32;
  if (SINTER_MUTANT(fast_match_without_default_dtype)) bits |= uint64_t{ambient::kDefaultDouble} << 32;
  return bits;
}

constexpr uint64_t kGuarded = event_key::kCareful | event_key::kGuardOnly;
constexpr uint64_t kView = event_key::kCareful | event_key::kViewOnly;

template <int n>
inline bool same_operands(Context* f, const Event* e, TensorImpl* const* in) {
  for (int i = 0; i < n; ++i)
    if (e->in[i] < 0 || (f->slots[e->in[i]] != in[i] && !SINTER_MUTANT(fast_match_without_operands))) return false;
  return true;
}

template <int n>
[[gnu::noinline]] Tensor long_call(Op op, uint8_t flags, TensorImpl* const* in, uint64_t attr, Loc loc) {
  return call({.op = op, .flags = flags, .n_in = n, .in = in, .attr = attr, .loc = loc});
}
template <int n>
[[gnu::noinline]] Tensor tracked_call(Event* e, Op op, uint8_t flags, TensorImpl* const* in, uint64_t attr, Loc loc) try {
  return current_context()->hand_out_tracked(e, {.op = op, .flags = flags, .n_in = n, .in = in, .attr = attr, .loc = loc});
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

/// The event at the cursor is this call: its result. Undefined: it is not, nothing was done.
template <int n>
inline Tensor short_replay(Context* f, Op op, TensorImpl* const* in, uint64_t attr, Loc loc, uint8_t flags) {
  const Context::Inside inside(*f);
  Event* e = f->cursor;
  const uint64_t differ = (e->key ^ event_key::make(op, flags, n, f->ambient_bits())) & ~forgotten_key();
  if (f->mode.changed()) [[unlikely]]
    return {};
  if (differ == 0 && (e->attr == attr || SINTER_MUTANT(fast_match_without_attr)) && same_operands<n>(f, e, in)) [[likely]]
    return f->hand_out(e);
  if ((differ & ~event_key::kEventBits) != 0 || (e->attr != attr && !SINTER_MUTANT(fast_match_without_attr))) return {};
  const uint64_t care = differ & ~event_key::kTracked;
  if (care == kGuarded ? e->info->inplace || !f->bind_inputs(*e, in, n)
                       : (care != 0 && (care != kView || f->strides_differ())) || !same_operands<n>(f, e, in))
    return {};
  Tensor result = differ & event_key::kTracked ? tracked_call<n>(e, op, flags, in, attr, loc)
                  : care == kView              ? f->hand_out_view(e, in[0])
                                               : f->hand_out(e);
  if (f->close_is_due() && !SINTER_MUTANT(fast_close_forgotten)) [[unlikely]]
    f->close_now(loc);
  return result;
}

/// call1, call2 and call3: the plain match, then inputs and autograd nodes, else the long way.
template <int n>
inline Tensor short_call(Op op, TensorImpl* const* in, uint64_t attr, Loc loc, uint8_t flags) {
  if (Context* f = current_context()) {
    Tensor result = short_replay<n>(f, op, in, attr, loc, flags);
    if (result.defined()) [[likely]]
      return result;
  }
  return long_call<n>(op, flags, in, attr, loc);
}
}  // namespace

Tensor call1(Op op, const Tensor& a, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  return short_call<1>(op, in, attr, loc, flags);
}

Tensor call2(Op op, const Tensor& a, const Tensor& b, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl()};
  return short_call<2>(op, in, attr, loc, flags);
}

Tensor call3(Op op, const Tensor& a, const Tensor& b, const Tensor& c, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl(), b.impl(), c.impl()};
  return short_call<3>(op, in, attr, loc, flags);
}

Tensor call1s(Op op, const Tensor& a, Scalar s, uint64_t attr, Loc loc, uint8_t flags) {
  TensorImpl* in[] = {a.impl()};
  const OpCall c{.op = op, .flags = flags, .n_scalars = 1, .n_in = 1, .in = in, .attr = attr, .scalars = {s}, .loc = loc};
  Context* f = current_context();
  if (f == nullptr) return call(c);
  {
    const Context::Inside inside(*f);
    Event* e = f->cursor;
    const uint64_t key = event_key::make(op, flags, 1, f->ambient_bits()) | event_key::scalar_code(s.type())
                                                                                << event_key::kScalarShift;
    const uint64_t differ = (e->key ^ key) & ~forgotten_key();
    if ((differ & ~event_key::kTracked) == 0 && e->attr == attr &&
        (f->slots[e->in[0]] == a.impl() || SINTER_MUTANT(fast_scalar_call_without_operand)) &&
        e->first_scalar < f->scalar_capacity() && !f->mode.changed()) [[likely]] {
      if (!SINTER_MUTANT(fast_scalars_not_updated)) f->scalars[e->first_scalar] = s;
      return differ == 0 ? f->hand_out(e) : memory_gate([&] { return f->hand_out_tracked(e, c); });
    }
  }
  return call(c);
}

}  // namespace sinter
