// Verified replay: each call is compared with the recorded event; a match costs a few compares and hands out a pooled tensor.
#include "../../runtime/allocator.h"
#include "../../runtime/env.h"
#include "../../runtime/mutants.h"
#include "../../runtime/ops/infer.h"
#include "../../runtime/out_of_memory.h"
#include "../autograd/meta.h"
#include "../autograd/node.h"
#include "../eager.h"
#include "compiled_state.h"
#include "context.h"
#include "verify.h"

namespace sinter {

Event Context::kNoEvent;

namespace {
/// What mutants leave out of the compare of an input, on the short path.
inline uint64_t forgotten_by_fast_guard() {
  uint64_t bits = 0;
  if (SINTER_MUTANT(fast_guard_without_dtype)) bits |= 0xffull << head::kDtypeShift;
  if (SINTER_MUTANT(fast_guard_without_rank)) bits |= 0xffull << head::kRankShift;
  if (SINTER_MUTANT(fast_guard_without_requires_grad)) bits |= head::kRequiresGrad;
  if (SINTER_MUTANT(fast_guard_without_wrapped)) bits |= head::kWrapped;
  if (SINTER_MUTANT(fast_guard_without_pooled)) bits |= head::kPooled;
  return bits;
}

/// The same on the careful path.
inline uint64_t forgotten_by_guard() {
  uint64_t bits = 0;
  if (SINTER_MUTANT(guard_without_dtype)) bits |= 0xffull << head::kDtypeShift;
  if (SINTER_MUTANT(guard_without_rank)) bits |= 0xffull << head::kRankShift;
  if (SINTER_MUTANT(guard_without_requires_grad)) bits |= head::kRequiresGrad;
  if (SINTER_MUTANT(guard_without_wrapped)) bits |= head::kWrapped;
  if (SINTER_MUTANT(guard_without_pooled)) bits |= head::kPooled;
  return bits;
}

/// What mutants leave out of the compare of an event's key, on the careful path.
inline uint64_t forgotten_key() {
  uint64_t bits = 0;
  if (SINTER_MUTANT(match_without_op)) bits |= event_key::kOpMask;
  if (SINTER_MUTANT(match_without_inplace)) bits |= uint64_t{kInplace} << event_key::kFlagShift;
  if (SINTER_MUTANT(match_without_scalar_side)) bits |= uint64_t{kScalarLhs | kScalarRhs} << event_key::kFlagShift;
  if (SINTER_MUTANT(match_without_operand_count)) bits |= event_key::kMany << event_key::kInShift;
  if (SINTER_MUTANT(match_without_scalar_type)) bits |= 0xffull << event_key::kScalarShift;
  if (SINTER_MUTANT(match_without_default_dtype)) bits |= uint64_t{ambient::kDefaultDouble} << 32;
  return bits;
}
}  // namespace

uint64_t Context::unusual_guard_head(TensorImpl* t) {
  (void)autograd::requires_grad(t);
  const uint64_t h = t->head.load(std::memory_order_relaxed);
  return h & (head::kGuardMask | (t->pool == this_thread_pool ? head::kPooled : 0));
}

void BoundStorages::grow() {
  std::vector<Entry> old;
  for (uint32_t i : used_) old.push_back(table_[i]);
  table_.assign(table_.size() * 2, Entry{});
  --shift_;
  mask_ = table_.size() - 1;
  used_.clear();
  for (const Entry& e : old) {
    size_t i = home(e.storage);
    while (table_[i].epoch == epoch_) i = (i + 1) & mask_;
    table_[i] = e;
    used_.push_back(static_cast<uint32_t>(i));
  }
}

void Context::bind(TensorImpl* t, int32_t slot) {
  BoundStorages::Entry* same = bound_.find(t->storage);
  take_input(t, slot, same);
  if (same == nullptr) bound_.insert(t->storage, slot);
}

/// All of binding but noting the storage. `same`: the earlier input over it.
void Context::take_input(TensorImpl* t, int32_t slot, BoundStorages::Entry* same) {
  Storage* s = t->storage;
  const uint64_t h = t->head.load(std::memory_order_relaxed);
  if ((h & (head::kBound | head::kPooled)) != head::kBound) [[unlikely]] {
    if (h & head::kPooled) foreign_inputs_.push_back(Tensor::share(t));  // its pool must not take it back
    if (!SINTER_MUTANT(inputs_not_marked_bound)) t->set(head::kBound, true);
  }
  slots[slot] = t;
  bound_impls_.push_back(t);
  if ((same != nullptr || s->has(Storage::kBorrowed)) && !SINTER_MUTANT(aliases_not_noted)) [[unlikely]]
    note_aliases(t, slot, same);
  if (sums_ != nullptr) [[unlikely]]
    sums_->add(*t, slot);
  if (s->immediate_in_frame.load(std::memory_order_relaxed) == serial_ && !SINTER_MUTANT(exposed_memory_not_flushed)) [[unlikely]]
    close_after_call_ = true;
  if ((bound_impls_.size() & 31) == 0 && thread_allocated_bytes() - bytes_at_open_ > env().region_bytes &&
      !SINTER_MUTANT(budget_of_bytes_ignored)) [[unlikely]]
    close_after_call_ = true;
}

/// Sizes and strides as recorded; a stride of another value where the size is 1 is for the careful path.
bool Context::fast_guard_holds(const FastGuard& g, TensorImpl& t) {
  if (((Context::guard_head(&t) ^ g.head) & ~forgotten_by_fast_guard()) != 0) return false;
  const int64_t* sizes = t.sizes.data();
  const int64_t* strides = t.strides.data();
  uint64_t differ = 0;
  for (int d = 0; d < g.rank; ++d)
    differ |= static_cast<uint64_t>((SINTER_MUTANT(fast_guard_without_sizes) ? 0 : sizes[d] ^ g.sizes[d]) |
                                    (SINTER_MUTANT(fast_guard_without_strides) ? 0 : strides[d] ^ g.strides[d]));
  return differ == 0;
}

bool Context::bind_inputs(const Event& e, TensorImpl* const* in, int n) try {
  return bind_matched_inputs(e, in, n);
} catch (const std::bad_alloc&) {
  undo_call();
  throw_out_of_memory();
}

inline bool Context::bind_matched_inputs(const Event& e, TensorImpl* const* in, int n) {
  const std::vector<FastGuard>& guards = e.info->fast_guards;
  reserve_slots(e.info->n_slots_after);
  const FastGuard* g = guards.data();
  const FastGuard* const end = g + guards.size();
  for (int i = 0; i < n; ++i) {
    TensorImpl* t = in[i];
    const int32_t s = e.in[i];
    if (t == nullptr || s < 0) {
      if ((t != nullptr || s >= 0) && !SINTER_MUTANT(fast_undefined_not_compared)) {
        if (!guards.empty()) bound_.forget_from(guards.front().slot);
        return false;
      }
    } else if (g != end && g->operand == i) {
      // A tensor over a storage that is bound already may be one of the inputs, or the same operand twice: the careful path
      // decides.
      if (!fast_guard_holds(*g, *t) || (!bindable(t) && !SINTER_MUTANT(fast_guard_takes_failed_values)) ||
          (!bound_.try_insert(t->storage, s) && !SINTER_MUTANT(fast_bound_storage_not_seen))) {
        bound_.forget_from(guards.front().slot);
        return false;
      }
      slots[s] = t;
      ++g;
    } else if (slots[s] != t && !SINTER_MUTANT(fast_operand_beside_inputs)) {
      if (!guards.empty()) bound_.forget_from(guards.front().slot);
      return false;
    }
  }
  for (g = guards.data(); g != end; ++g) take_input(in[g->operand], g->slot, nullptr);
  return true;
}

Event* Context::first_candidate() const {
  // Within a region: the children of the last event, the first one being the cursor. Between regions: all first events.
  return last != nullptr ? last->next.load(std::memory_order_acquire) : tries_->root.next.load(std::memory_order_acquire);
}

/// The operand whose values a checked operator looks at; beyond the operands when it looks at none.
static int checked_operand(const OpCall& c) {
  switch (c.op) {
    case Op::nll_loss_backward:
      return 2;
    case Op::div_trunc:
    case Op::floor_divide:
    case Op::remainder:
      for (const TensorImpl* t : c.operands())
        if (t != nullptr && !is_integral(t->dtype())) return c.n_in;  // only integers have a divisor to check
      return c.has(kScalarLhs) ? 0 : 1;
    default:
      return 1;
  }
}

/// Whether another operand may share memory with what the call writes. Guards say nothing about that, and eager refuses some of
/// it.
static bool may_overlap(const OpCall& c) {
  const TensorImpl* self = c.in[0];
  for (const TensorImpl* t : c.operands()) {
    if (t == nullptr || t == self) continue;
    if (t->storage == self->storage || (t->storage->has(Storage::kBorrowed) && self->storage->has(Storage::kBorrowed)))
      return true;
  }
  return false;
}

Tensor Context::call(const OpCall& c) {
  settle_foreign(c);
  bool closed = false;
  Tensor result = [&] {
    const Inside inside(*this);
    try {
      Tensor r = call_inside(c);
      closed = last == nullptr;
      return r;
    } catch (...) {
      undo_call();
      throw;
    }
  }();
  if (closed && !safepoint_.inside()) graves.empty(*this);  // their deleters are user code: outside
  return result;
}

static Tensor run_hidden(const OpCall& c) {
  const HiddenFrame hidden;  // nothing below may look at the frame: composites would come back here
  return eager_call(c);
}

Tensor Context::call_inside(const OpCall& c) {
  if (eager_until_break_) [[unlikely]]
    return run_hidden(c);
  // A program runs under one floating-point mode: operators under another one belong to the next region.
  if (mode.changed()) [[unlikely]] {
    close_region(Break::cpu_mode, c.loc);
    mode.note();
  }
  // Before anything is matched or recorded: it may throw, or copy the operand (an event of its own).
  if (is_inplace(c)) {
    if (c.in[0] != nullptr) c.in[0]->storage->before_write();
    if (grad_mode() && !SINTER_MUTANT(frame_inplace_not_checked)) check_inplace(c);
    if (eager_until_break_ && !SINTER_MUTANT(replay_after_the_limit)) return run_hidden(c);  // the copy was a variant too many
    if (may_overlap(c)) infer(c, default_dtype());
  }
  if (op_info(c.op).checked) [[unlikely]] {
    infer(c, default_dtype());  // shapes first, as eager does
    const int i = checked_operand(c);
    if (i < c.n_in && c.in[i] != nullptr && c.in[i]->storage->is_pending() && !SINTER_MUTANT(checked_values_left_pending))
      close_region(Break::value_check, c.loc);
    if (i < c.n_in && c.in[i] != nullptr) (void)c.in[i]->storage->bytes(c.loc);  // throws for a value that cannot be had
    if (!SINTER_MUTANT(frame_values_not_checked)) check_call_values(c);
  }
  const uint64_t key = event_key::of(c, ambient_bits());
  // A generalised event is tried after the exact ones, which have their kernels already.
  if (cursor != &kNoEvent && !cursor->info->dynamic && matches(*cursor, key, c)) [[likely]]
    return commit(cursor, c);
  for (Event* e = first_candidate(); e != nullptr; e = e->info->sibling.load(std::memory_order_acquire))
    if ((e != cursor || e->info->dynamic) && matches(*e, key, c)) return commit(e, c);
  return diverge(c, key);
}

bool Context::matches(const Event& e, uint64_t key, const OpCall& c) {
  if ((((e.key & ~event_key::kEventBits) ^ key) & ~forgotten_key()) != 0 ||
      (e.attr != c.attr && !SINTER_MUTANT(match_without_attr)))
    return false;
  const EventInfo& info = *e.info;
  if (info.in.size() != c.n_in && !SINTER_MUTANT(match_without_operand_count)) return false;
  reserve_slots(info.n_slots_after);
  reserve_scalars(info.n_scalars_after);
  size_t next_guard = 0;
  for (int i = 0; i < c.n_in; ++i) {
    TensorImpl* t = c.in[i];
    const int32_t s = info.in[static_cast<size_t>(i)];
    if (s < 0 || t == nullptr) {
      if ((s >= 0 || t != nullptr) && !SINTER_MUTANT(undefined_not_compared)) return false;
      continue;
    }
    if (next_guard < info.guards.size() && info.guards[next_guard].operand == i) {
      if (!guard_holds(info.guards[next_guard], t, c, i, e)) return false;
      slots[s] = t;  // so that a second operand of this call can be compared; forgotten when the match fails later
      ++next_guard;
    } else if (slots[s] != t && !SINTER_MUTANT(match_without_operands)) {
      return false;
    }
  }
  if (info.ints.size() != c.ints.size()) return false;
  for (size_t i = 0; i < info.ints.size(); ++i) {
    if (i < 64 && (info.free_ints >> i & 1)) {
      if (info.expressions[i].kind != SizeExpr::Kind::None && info.expressions[i].value(slots) != c.ints[i]) return false;
    } else if (info.ints[i] != c.ints[i] && !SINTER_MUTANT(match_without_ints)) {
      return false;
    }
  }
  return true;
}

bool Context::guard_holds(const InputGuard& g, TensorImpl* t, const OpCall& c, int operand, const Event& e) {
  if (!bindable(t) && !SINTER_MUTANT(guard_takes_failed_values)) return false;
  if (((guard_head(t) ^ g.head) & ~forgotten_by_guard()) != 0) return false;
  if (g.free_dims == 0) [[likely]] {
    const size_t n = g.sizes.size();
    for (size_t d = 0; d < n; ++d)
      if (t->sizes[d] != g.sizes[d] && !SINTER_MUTANT(guard_without_sizes)) return false;
    for (size_t d = 0; d < n; ++d)
      if (t->strides[d] != g.strides[d] && !SINTER_MUTANT(guard_without_strides)) {
        if (!same_strides(t->sizes, t->strides, g.strides) || SINTER_MUTANT(guard_on_size_1_stride)) return false;
        if (!SINTER_MUTANT(views_of_recorded_strides)) strides_differ_ = true;
      }
  } else {
    for (size_t d = 0; d < g.sizes.size(); ++d)
      if (t->sizes[d] != g.sizes[d] && !(g.free_dims >> d & 1)) return false;
    if (!t->is_contiguous() && !SINTER_MUTANT(free_dims_of_any_layout)) return false;
    for (const DimMark& r : g.ranges)
      if (const int64_t size = t->sizes[static_cast<size_t>(r.dim)];
          (size < r.min || size > r.max) && !SINTER_MUTANT(range_of_a_mark_ignored))
        return false;
  }
  // A tensor that already is an input of this region has its slot; here the event wants a new one.
  if (t->has(head::kBound) && bound_.find(t->storage) != nullptr && is_bound(t)) return false;
  for (int j = 0; j < operand; ++j)
    if (c.in[j] == t && e.info->in[static_cast<size_t>(j)] != g.slot) return false;
  return true;
}

bool Context::is_bound(TensorImpl* t) const {
  for (TensorImpl* b : bound_impls_)
    if (b == t) return true;
  return false;
}

void Context::note_aliases(TensorImpl* t, int32_t slot, BoundStorages::Entry* same_storage) {
  if (same_storage != nullptr)
    aliases_.push_back({slot, same_storage->first_slot,
                        SINTER_MUTANT(alias_offset_not_noted) ? 0 : t->address() - slots[same_storage->first_slot]->address()});
  if (!t->storage->has(Storage::kBorrowed)) return;
  for (TensorImpl* b : borrowed_inputs_) {
    if (b->storage == t->storage) continue;
    const char* lo = static_cast<char*>(t->storage->data);
    const char* other = static_cast<char*>(b->storage->data);
    if (!SINTER_MUTANT(foreign_overlap_not_noted) && lo < other + b->storage->nbytes && other < lo + t->storage->nbytes)
      aliases_.push_back({slot, bound_.find(b->storage)->first_slot, t->address() - b->address()});
  }
  borrowed_inputs_.push_back(t);
}

TensorImpl* Context::make_pooled(Event* e) try {
  return memory_gate([&] { return new_pooled(e); });
} catch (const OutOfMemoryError&) {
  undo_call();
  throw;
}

TensorImpl* Context::new_pooled(Event* e) {
  if (e->id >= n_pooled) reserve_pooled();
  const EventInfo& info = *e->info;
  // Also the place where the tables are made large enough: a plain replay of the event comes here the first time.
  reserve_slots(info.n_slots_after);
  reserve_scalars(info.n_scalars_after);
  Storage* s = nullptr;
  if (!info.view) {
    s = Storage::empty();
    s->pending_in.store(this, std::memory_order_relaxed);
  }
  auto* p = TensorImpl::make(info.meta.dtype, info.meta.sizes, info.meta.strides, info.meta.offset, s);
  p->pool = this_thread_pool;
  return pooled[e->id] = p;
}

Tensor Context::commit(Event* e, const OpCall& c) {
  const EventInfo& info = *e->info;
  if (info.dynamic || info.inferred || (info.view && strides_differ_)) [[unlikely]]
    return commit_inferred(e, c);
  for (const InputGuard& g : info.guards) bind(c.in[g.operand], g.slot);
  for (int i = 0; i < c.n_scalars; ++i)
    if (!SINTER_MUTANT(scalars_not_updated) || recording_.size() > 0) scalars[info.first_scalar + i] = c.scalars[i];
  if (info.inplace) {
    commit_write(e, c.in[0]);
    return finish_call(e, c, Tensor::share(c.in[0]));
  }
  return finish_call(e, c, info.view ? hand_out_view(e, c.in[0]) : hand_out(e));
}

/// As commit, where the result's geometry is inferred anew: sizes or integers are generalised, or it is a view and strides of
/// size-1 dimensions are not the recorded ones (they reach no element, but strides and offsets of views show them).
Tensor Context::commit_inferred(Event* e, const OpCall& c) {
  const EventInfo& info = *e->info;
  TensorMeta meta = infer(c, default_dtype());  // may throw as eager would: before anything is bound
  for (const InputGuard& g : info.guards) bind(c.in[g.operand], g.slot);
  for (int i = 0; i < c.n_scalars; ++i) scalars[info.first_scalar + i] = c.scalars[i];
  if (info.free_ints != 0) free_ints_.insert(free_ints_.end(), c.ints.begin(), c.ints.end());
  if (info.inplace) {
    commit_write(e, c.in[0]);
    return finish_call(e, c, Tensor::share(c.in[0]));
  }
  Tensor result = hand_out(e);
  if (!info.dynamic) restrided_.push_back(e);
  TensorImpl* p = result.impl();
  if (info.view) {
    p->storage = c.in[0]->storage;
    p->offset = meta.offset;
  }
  p->numel = numel_of(meta.sizes);
  if (!SINTER_MUTANT(generalised_result_keeps_sizes)) p->sizes = std::move(meta.sizes);
  p->strides = std::move(meta.strides);
  return finish_call(e, c, std::move(result));
}

void Context::commit_write(Event* e, TensorImpl* self) {
  Storage* s = self->storage;
  BoundStorages::Entry* b = bound_.find(s);
  if (b == nullptr && !SINTER_MUTANT(pooled_version_not_reset)) dirty_pooled_.push_back(s);
  if (b != nullptr && !s->is_pending()) written_inputs_.push_back(s);
  // Nothing below can fail.
  bump_version(self);
  if (SINTER_MUTANT(frame_version_not_raised)) s->version.fetch_sub(1);
  if (SINTER_MUTANT(frame_write_not_counted)) s->writes.fetch_sub(1);
  if (b != nullptr) {
    if (!SINTER_MUTANT(own_writes_not_expected)) ++b->writes;
    if (!SINTER_MUTANT(written_input_not_pending)) s->pending_in.store(this, std::memory_order_release);
  }
  last = e;
  Event* n = e->next.load(std::memory_order_acquire);
  cursor = n != nullptr ? n : &kNoEvent;
}

/// An event of a tape that is not in place: as hand_out and hand_out_view, without a handle.
void Context::commit_unheld(Event* e) {
  const EventInfo& info = *e->info;
  TensorImpl* p = e->id < n_pooled ? pooled[e->id] : nullptr;
  if (p == nullptr) [[unlikely]]
    p = make_pooled(e);
  p->head.store(e->head - 1, std::memory_order_relaxed);
  if (info.view) {
    const TensorImpl* base = slots[info.in[0]];
    p->storage = base->storage;
    p->offset = base->offset + info.meta.offset;
  }
  slots[e->out] = p;
  last = e;
  Event* n = e->next.load(std::memory_order_acquire);
  cursor = n != nullptr ? n : &kNoEvent;
}

/// Whether an in-place call needs more than a replay's compares: eager's check of overlapping operands, another frame to be
/// settled first, values that are computed from what is written. (That autograd has to look at it is in the event's key.)
bool Context::write_needs_care(const OpCall& c) const {
  const TensorImpl* self = c.in[0];
  const FrameBase* pending = self->storage->pending_in.load(std::memory_order_acquire);
  if (pending != nullptr && pending != this) return true;
  if (self->storage->has(Storage::kSource)) return true;
  return may_overlap(c);
}

bool Context::replay_write(const OpCall& c) try {
  const Inside inside(*this);
  Event* e = cursor;
  const uint64_t differ = e->key ^ event_key::of(c, ambient_bits());
  if (differ != (event_key::kCareful | event_key::kGuardOnly) || (e->attr != c.attr && !SINTER_MUTANT(fast_write_without_attr)) ||
      mode.changed() || c.in[0] == nullptr || write_needs_care(c))
    return false;
  reserve_scalars(e->info->n_scalars_after);
  if (!bind_matched_inputs(*e, c.in, c.n_in)) return false;
  for (int i = 0; i < c.n_scalars; ++i)
    if (!SINTER_MUTANT(fast_write_keeps_scalars)) scalars[e->first_scalar + i] = c.scalars[i];
  commit_write(e, c.in[0]);
  if (close_after_call_ && !SINTER_MUTANT(fast_write_close_forgotten)) [[unlikely]]
    close_now(c.loc);
  return true;
} catch (const std::bad_alloc&) {
  undo_call();
  throw_out_of_memory();
}

/// Inputs that share the written tensor's memory and do not require grad yet.
int Context::views_without_grad(const TensorImpl* written) const {
  int n = 0;
  for (TensorImpl* t : bound_impls_) n += t != written && t->storage == written->storage && !autograd::requires_grad(t);
  return n;
}

Tensor Context::finish_call(Event* e, const OpCall& c, Tensor result) {
  if (needs_node(c) && !SINTER_MUTANT(careful_replay_without_node)) {
    const int views = is_inplace(c) && !aliases_.empty() ? views_without_grad(c.in[0]) : 0;
    record_node(c, result);
    // Views of the written tensor require grad from here on, which no guard said of those that are inputs already.
    if (views != 0 && views_without_grad(c.in[0]) != views) [[unlikely]]
      close_region(Break::metadata_change, c.loc);
  }
  if (e->info->close_after && !SINTER_MUTANT(budget_of_operators_ignored)) [[unlikely]]
    close_region(Break::budget_ops, c.loc);
  else if (close_after_call_ && !SINTER_MUTANT(close_after_call_forgotten)) [[unlikely]] close_now(c.loc);
  return result;
}

void Context::close_now(Loc loc) {
  close(thread_allocated_bytes() - bytes_at_open_ > env().region_bytes ? Break::budget_bytes : Break::borrowed_memory, loc);
}

void Context::grow_slots(int32_t n) {
  slot_table_.resize(static_cast<size_t>(n) * 2 + 64, nullptr);
  slots = slot_table_.data();
  slot_capacity_ = static_cast<int32_t>(slot_table_.size());
}

void Context::grow_scalars(int32_t n) {
  scalar_table_.resize(static_cast<size_t>(n) * 2 + 64);
  scalars = scalar_table_.data();
  scalar_capacity_ = static_cast<int32_t>(scalar_table_.size());
}

Tensor Context::hand_out_tracked(Event* e, const OpCall& c) {
  Tensor result = e->key & event_key::kViewOnly ? hand_out_view(e, c.in[0]) : hand_out(e);
  record_node(c, result);
  return result;
}

}  // namespace sinter
