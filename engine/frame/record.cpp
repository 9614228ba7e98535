// Recording: where a call leaves what was recorded, events are appended to a private chain until the close.
#include <algorithm>
#include "../../runtime/env.h"
#include "../../runtime/in_deleter.h"
#include "../../runtime/intern.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "../../runtime/stress.h"
#include "../autograd/meta.h"
#include "../autograd/node.h"
#include "../eager.h"
#include "compiled_state.h"
#include "context.h"
#include "reason.h"

namespace sinter {

/// Stress tests close regions at random places.
static bool stress_closes(int32_t depth) {
  const uint64_t seed = stress().close_seed;
  return seed != 0 && stress_draw(seed, static_cast<uint64_t>(depth)) % 4 == 0;
}

bool Context::refused(Entry& entry, const OpCall& c) {
  if (entry.variants.load(std::memory_order_relaxed) == 0) return false;
  if (stance() == Stance::FailOnRecompile && deleters_running == 0 && !SINTER_MUTANT(fail_on_recompile_ignored))
    raise<RecompileError>("{} would recompile under stance fail_on_recompile: {}", owner_->where(), miss_reason_);
  if (stance() == Stance::EagerOnRecompile && !SINTER_MUTANT(eager_on_recompile_ignored)) return true;
  if (stance() == Stance::FailOnRecompile && deleters_running != 0) return true;
  const bool own = entry.variants.load() >= env().recompile_limit && !SINTER_MUTANT(recompile_limit_ignored);
  const bool all = accumulated_variants.load() >= env().accumulated_recompile_limit && !SINTER_MUTANT(accumulated_limit_ignored);
  if (!own && !all && (tries_->event_count() < env().node_limit || SINTER_MUTANT(node_limit_ignored))) return false;
  struct Limit {
    const char *name, *variable;
    int64_t value;
  };
  const Limit limit =
      own   ? Limit{"recompile_limit", "SINTER_RECOMPILE_LIMIT", env().recompile_limit}
      : all ? Limit{"accumulated_recompile_limit", "SINTER_ACCUMULATED_RECOMPILE_LIMIT", env().accumulated_recompile_limit}
            : Limit{"node_limit", "SINTER_NODE_LIMIT", env().node_limit};
  const bool fails = env().fail_on_recompile_limit && deleters_running == 0;
  const std::string text = fmt::format(
      "{} hit {} ({})\n   function: {}\n   last reason: {}\n   {}SINTER_LOGS=recompiles shows every reason, {} raises the limit.",
      op_info(c.op).name, limit.name, limit.value, owner_->where(), miss_reason_,
      fails ? "" : "The rest of this region runs eager. ", limit.variable);
  if (fails) throw RecompileError(text);
  if (!entry.warned.exchange(true)) warn(text);
  return true;
}

bool Context::begin_recording(const OpCall& c, uint64_t key) {
  miss_reason_ = explain_miss(c, key, first_candidate(), last, *this);
  recording_entry_ = last != nullptr ? last->info->entry : tries_->entry_of(key, interned(c.loc));
  if (refused(*recording_entry_, c)) return false;
  recording_base_ = last != nullptr ? last : &tries_->root;
  shadow_parent_ = recording_base_;
  slot_roots_.clear();
  varying_.clear();
  n_slots_ = last != nullptr ? last->info->n_slots_after : 0;
  n_scalars_ = last != nullptr ? last->info->n_scalars_after : 0;
  n_inputs_ = last != nullptr ? last->info->n_inputs_after : 0;
  dynamic_slots_.assign(static_cast<size_t>(n_slots_), 0);
  for (const Event* e = last; e != nullptr && e != &tries_->root; e = e->info->parent) {
    if (e->info->dynamic) dynamic_slots_[static_cast<size_t>(e->out)] = 1;
    for (const InputGuard& g : e->info->guards)
      if (g.free_dims != 0) dynamic_slots_[static_cast<size_t>(g.slot)] = 1;
  }
  return true;
}

Tensor Context::run_eager_from_here(const OpCall& c) {
  count(counters.eager_fallbacks);
  close_region(Break::recompile_limit, c.loc);
  eager_until_break_ = true;
  cursor = &kNoEvent;  // no event may match while operators run eager
  return call_inside(c);
}

Tensor Context::diverge(const OpCall& c, uint64_t key) {
  const TensorMeta meta = infer(c, default_dtype());  // throws as eager would, with the cursor unmoved
  for (TensorImpl* t : c.operands()) {
    FrameBase* pending = t != nullptr ? t->storage->pending_in.load(std::memory_order_acquire) : nullptr;
    if (pending != nullptr && pending != this)  // written by another thread since this call began
      raise<ForeignThreadError>(
          "{}: an operand is pending in another thread's compiled call; it was written there at the same time", describe(c));
    if (t != nullptr && t->storage->has(Storage::kFailed) && !SINTER_MUTANT(failed_operand_recorded))
      (void)t->storage->bytes(c.loc);  // says so
  }
  if (recording_.empty() && !begin_recording(c, key)) return run_eager_from_here(c);
  const Event* const shadow_before = shadow_parent_;
  const size_t varying_before = varying_.size();
  Event* e = nullptr;
  try {
    e = record(c, key, meta);
    recording_.push_back(e);
    return commit(e, c);
  } catch (...) {
    if (last != e && (recording_.empty() || recording_.back() == e)) {  // it did not become part of the region
      shadow_parent_ = shadow_before;
      varying_.resize(std::min(varying_.size(), varying_before));
    }
    throw;
  }
}

Event* Context::record(const OpCall& c, uint64_t key, const TensorMeta& meta) {
  Event* e = tries_->new_event();
  EventInfo& info = *e->info;
  e->attr = c.attr;
  info.loc = interned(c.loc);
  info.ints = c.ints.vec();
  info.entry = recording_entry_;
  info.inplace = is_inplace(c);
  info.view = is_view(c.op) && !info.inplace;
  info.depth = last != nullptr ? last->info->depth + 1 : 1;
  info.close_after = info.depth >= env().region_ops || stress_closes(info.depth);
  info.first_scalar = e->first_scalar = n_scalars_;
  info.n_scalars = c.n_scalars;
  n_scalars_ += c.n_scalars;
  reserve_scalars(n_scalars_);
  if (op_info(c.op).kind == OpKind::Pointwise) info.compute = compute_dtype(c, default_dtype());
  e->key = key;
  fill_operands(e, c);
  reserve_slots(n_slots_ + 1);
  e->out = info.inplace ? info.in[0] : n_slots_++;
  info.root = info.inplace || info.view ? root_of_slot(info.in[0]) : e->out;
  info.meta = meta;
  if (info.view && !SINTER_MUTANT(view_at_recorded_offset)) info.meta.offset -= c.in[0]->offset;
  slot_roots_.resize(static_cast<size_t>(n_slots_), -1);
  slot_roots_[static_cast<size_t>(e->out)] = info.root;
  info.inferred = info.view && strides_differ_ && !SINTER_MUTANT(other_strides_recorded_for_all);
  generalise(e, c);
  dynamic_slots_.resize(static_cast<size_t>(n_slots_), 0);
  if (info.dynamic && !info.inplace) dynamic_slots_[static_cast<size_t>(e->out)] = 1;
  e->head = head::make(meta.dtype, meta.sizes.size(), head::kPooled, 1);
  if (needs_node(c) && !SINTER_MUTANT(tracked_event_not_marked)) e->key |= event_key::kTracked;
  if (!info.guards.empty() || info.view || info.inplace || info.dynamic || info.close_after || c.n_scalars > 1 ||
      !c.ints.empty() || (op_info(c.op).checked && !SINTER_MUTANT(checked_event_is_plain)) || c.n_in > 3)
    e->key |= event_key::kCareful;
  note_guard_only(e, c);
  if (info.view && info.guards.empty() && !info.dynamic && !info.inferred && !info.close_after && c.ints.empty())
    e->key |= event_key::kViewOnly;
  info.n_slots_after = n_slots_;
  info.n_scalars_after = n_scalars_;
  info.n_inputs_after = n_inputs_;
  return e;
}

/// Marks an event whose only care is the first use of inputs (of an in-place call: and the write), so that its replay can go
/// straight to the comparing.
void Context::note_guard_only(Event* e, const OpCall& c) {
  EventInfo& info = *e->info;
  if ((info.guards.empty() || c.n_scalars > 0) && !info.inplace) return;
  if (info.view || info.dynamic || info.close_after || !c.ints.empty() ||
      (op_info(c.op).checked && !SINTER_MUTANT(checked_first_use_is_plain)) || c.n_in > 3)
    return;
  for (const InputGuard& g : info.guards) {
    if (g.free_dims != 0 || g.sizes.size() > SizeVec::kInline) {
      info.fast_guards.clear();
      return;
    }
    FastGuard f{g.head, g.operand, g.slot, static_cast<int32_t>(g.sizes.size()), {}, {}};
    std::copy(g.sizes.begin(), g.sizes.end(), f.sizes);
    std::copy(g.strides.begin(), g.strides.end(), f.strides);
    info.fast_guards.push_back(f);
  }
  e->key |= event_key::kGuardOnly;
}

int32_t Context::root_of_slot(int32_t slot) {
  if (slot_roots_.size() <= static_cast<size_t>(slot)) slot_roots_.resize(static_cast<size_t>(slot) + 1, -1);
  int32_t& root = slot_roots_[static_cast<size_t>(slot)];
  if (root >= 0) return root;
  // Not from this recording: look it up along the replayed prefix; inputs own their storage as far as we know.
  for (const Event* e = recording_base_; e != nullptr && e != &tries_->root; e = e->info->parent)
    if (e->out == slot && !e->info->inplace) return root = e->info->root;
  return root = slot;
}

void Context::fill_operands(Event* e, const OpCall& c) {
  EventInfo& info = *e->info;
  info.in.resize(c.n_in, -1);
  for (int i = 0; i < c.n_in; ++i) {
    TensorImpl* t = c.in[i];
    if (t == nullptr) continue;
    int32_t slot = known_slot(t);
    for (int j = 0; j < i && slot < 0; ++j)
      if (c.in[j] == t) slot = info.in[static_cast<size_t>(j)];
    if (slot < 0) {
      slot = n_slots_++;
      ++n_inputs_;
      InputGuard g;
      g.operand = i;
      g.slot = slot;
      g.head = guard_head(t);
      g.sizes = t->sizes;
      g.strides = t->strides;
      info.guards.push_back(std::move(g));
    }
    info.in[static_cast<size_t>(i)] = slot;
    if (i < 3) e->in[i] = slot;
  }
}

int32_t Context::known_slot(TensorImpl* t) const {
  const int32_t n = last != nullptr ? last->info->n_slots_after : 0;
  for (int32_t s = n - 1; s >= 0; --s)  // recent results are the likely operands
    if (slots[s] == t) return s;
  return -1;
}

const Event* Context::shadow_of(const Event& draft) const {
  if (shadow_parent_ == nullptr) return nullptr;
  const Event* found = nullptr;
  for (const Event* s = shadow_parent_->next.load(std::memory_order_acquire); s != nullptr;
       s = s->info->sibling.load(std::memory_order_acquire)) {
    if (((s->key ^ draft.key) & ~event_key::kEventBits) != 0 || s->attr != draft.attr || s->info->in != draft.info->in) continue;
    const auto& a = s->info->guards;
    const auto& b = draft.info->guards;
    const bool comparable = std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const InputGuard& x, const InputGuard& y) {
      return x.operand == y.operand && x.head == y.head && x.sizes.size() == y.sizes.size() && x.sizes.size() <= 64;
    });
    if (comparable && s->info->ints.size() == draft.info->ints.size()) found = s;  // the newest is the most general
  }
  return found;
}

/// Whether the guard's size is within bounds.
static bool is_in(const DimMark& r, const InputGuard& g) {
  const int64_t size = g.sizes[static_cast<size_t>(r.dim)];
  return size >= r.min && size <= r.max;
}

/// Dimensions that mark_dynamic or the option asks for. `first`: there is no branch to compare with.
void Context::free_asked_dims(EventInfo& info, const OpCall& c, bool first) {
  for (InputGuard& g : info.guards) {
    const TensorImpl* t = c.in[g.operand];
    if (!is_contiguous(g.sizes, g.strides) || g.sizes.size() > 64) continue;
    const uint64_t before = g.free_dims;
    for (size_t d = 0; d < g.sizes.size() && owner_->options.dynamic == true; ++d)
      if (g.sizes[d] > 1) g.free_dims |= uint64_t{1} << d;
    if (t->marks && owner_->options.dynamic != false)
      for (const DimMark& m : *t->marks) {
        if (static_cast<size_t>(m.dim) >= g.sizes.size() || !is_in(m, g)) continue;
        g.free_dims |= uint64_t{1} << m.dim;
        if ((m.min > 0 || m.max < INT64_MAX) && std::find(g.ranges.begin(), g.ranges.end(), m) == g.ranges.end())
          g.ranges.push_back(m);
      }
    for (size_t d = 0; d < g.sizes.size() && first; ++d)
      if ((g.free_dims & ~before) >> d & 1) varying_.push_back({g.slot, static_cast<int32_t>(d), g.sizes[d], g.sizes[d]});
  }
}

/// Integers that are the size of a free dimension now are taken to be it always. Guessing is safe: replays compare them.
void Context::guess_ints(EventInfo& info) {
  for (size_t i = 0; i < info.ints.size() && i < 64 && !varying_.empty(); ++i) {
    const auto is_it = [&](const VaryingDim& d) { return d.now == info.ints[i] && d.now > 1; };
    const auto d = std::find_if(varying_.begin(), varying_.end(), is_it);
    if (d == varying_.end()) continue;
    info.free_ints |= uint64_t{1} << i;
    info.expressions.resize(info.ints.size());
    info.expressions[i] = {SizeExpr::Kind::Plus, d->slot, d->dim, 0, 0, 0};
  }
}

void Context::generalise_guards(EventInfo& info, const EventInfo& old_info) {
  for (size_t k = 0; k < info.guards.size(); ++k) {
    InputGuard& g = info.guards[k];
    const InputGuard& old = old_info.guards[k];
    if (!is_contiguous(g.sizes, g.strides) || !is_contiguous(old.sizes, old.strides)) continue;
    g.free_dims = old.free_dims;
    for (const DimMark& r : old.ranges) {
      if (is_in(r, g)) g.ranges.push_back(r);
      else g.free_dims &= ~(uint64_t{1} << r.dim);  // its bounds hold for the others
    }
    for (size_t d = 0; d < g.sizes.size(); ++d) {
      const auto bounded = [&](const DimMark& r) { return static_cast<size_t>(r.dim) == d && !is_in(r, g); };
      if (std::any_of(old.ranges.begin(), old.ranges.end(), bounded)) continue;
      if (g.sizes[d] != old.sizes[d] && !SINTER_MUTANT(sizes_never_generalised)) g.free_dims |= uint64_t{1} << d;
      if (g.free_dims >> d & 1) varying_.push_back({g.slot, static_cast<int32_t>(d), old.sizes[d], g.sizes[d]});
    }
  }
}

void Context::generalise_ints(EventInfo& info, const EventInfo& old) {
  info.free_ints = old.free_ints;
  info.expressions = old.expressions;
  for (size_t i = 0; i < info.ints.size() && i < 64; ++i) {
    const bool was_free = old.free_ints >> i & 1;
    if (info.ints[i] == old.ints[i] && !was_free) continue;
    info.free_ints |= uint64_t{1} << i;
    info.expressions.resize(info.ints.size());
    SizeExpr& e = info.expressions[i];
    if (was_free && (e.kind == SizeExpr::Kind::None || e.value(slots) == info.ints[i])) continue;
    e = was_free ? SizeExpr{} : SizeExpr::explain(old.ints[i], info.ints[i], varying_);
  }
}

void Context::generalise(Event* e, const OpCall& c) {
  EventInfo& info = *e->info;
  const Event* shadow = shadow_of(*e);
  shadow_parent_ = shadow;
  for (const InputGuard& g : info.guards) slots[g.slot] = c.in[g.operand];  // expressions may speak of them
  const bool compare = shadow != nullptr && owner_->options.dynamic != false;
  if (compare) generalise_guards(info, *shadow->info);
  free_asked_dims(info, c, !compare);
  if (compare) generalise_ints(info, *shadow->info);
  else guess_ints(info);
  info.dynamic = info.free_ints != 0;
  dynamic_slots_.resize(static_cast<size_t>(n_slots_), 0);
  for (const InputGuard& g : info.guards)
    if (g.free_dims != 0) dynamic_slots_[static_cast<size_t>(g.slot)] = 1;
  for (int i = 0; i < c.n_in; ++i) {
    const int32_t s = info.in[static_cast<size_t>(i)];
    if (s >= 0 && dynamic_slots_[static_cast<size_t>(s)]) info.dynamic = true;
  }
}

}  // namespace sinter
