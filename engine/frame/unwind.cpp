// What is undone when memory runs out: a call that did not become an event, a region that never came to its close.
#include <algorithm>
#include "context.h"
#include "verify.h"

namespace sinter {

/// The open region's events, the last first.
template <class F>
void Context::for_each_event(F&& f) const {
  for (size_t i = recording_.size(); i-- > 0;) f(*recording_[i]);
  for (const Event* e = recording_.empty() ? last : recording_base_; e != nullptr && e != &tries_->root; e = e->info->parent)
    f(*e);
}

/// After an operator threw: `last` is the last event that happened, and nothing of a later one stays. Does nothing when the
/// operator became an event before it threw (its autograd node could not be had), or ended the region.
void Context::undo_call() noexcept {
  while (!recording_.empty() && recording_.back() != last) recording_.pop_back();
  const EventInfo* at = last != nullptr ? last->info : nullptr;
  n_slots_ = at != nullptr ? at->n_slots_after : 0;
  n_scalars_ = at != nullptr ? at->n_scalars_after : 0;
  n_inputs_ = at != nullptr ? at->n_inputs_after : 0;
  const auto slots_kept = static_cast<size_t>(n_slots_);
  if (slot_roots_.size() > slots_kept) slot_roots_.resize(slots_kept);
  if (dynamic_slots_.size() > slots_kept) dynamic_slots_.resize(slots_kept);
  if (bound_impls_.size() > static_cast<size_t>(n_inputs_)) {
    bound_impls_.resize(static_cast<size_t>(n_inputs_));
    sums_.reset();  // it may know one more input
  }
  bound_.forget_from(n_slots_);
  while (!foreign_inputs_.empty() && !is_bound(foreign_inputs_.back().impl())) foreign_inputs_.pop_back();
  while (!aliases_.empty() && aliases_.back().slot >= n_slots_) aliases_.pop_back();
  while (!borrowed_inputs_.empty() && !is_bound(borrowed_inputs_.back())) borrowed_inputs_.pop_back();
  if (free_ints_.empty()) return;
  size_t ints = 0;
  for_each_event([&](const Event& e) { ints += e.info->free_ints != 0 ? e.info->ints.size() : 0; });
  free_ints_.resize(std::min(free_ints_.size(), ints));
}

/// The frame ends and the region could not be closed: results that somebody holds will never have values and say so when read;
/// inputs keep the bytes they had.
void Context::fail_region() noexcept {
  for (Storage* s : written_inputs_) s->pending_in.store(nullptr, std::memory_order_release);
  const auto for_each_held = [&](auto&& f) {
    for_each_event([&](const Event& e) {
      if (!e.info->inplace && pooled[e.id] != nullptr && pooled[e.id]->count() != 0) f(e);
    });
  };
  for_each_held([&](const Event& e) {
    Storage* s = pooled[e.id]->storage;
    if (!s->is_pending()) return;
    s->set(Storage::kFailed);
    s->pending_in.store(nullptr, std::memory_order_release);
  });
  for (Storage* s : dirty_pooled_)
    if (s->is_pending()) s->version.store(0, std::memory_order_relaxed), s->writes.store(0, std::memory_order_relaxed);
  for_each_held([&](const Event& e) {  // views first: they take their references while the base still has the storage
    if (e.info->view) release_pooled(e);
  });
  for_each_held([&](const Event& e) {
    if (!e.info->view) release_pooled(e);
  });
  for_each_event([&](const Event& e) {
    if (!e.info->view && !e.info->inplace) renew_storage(e);
  });
}

}  // namespace sinter
