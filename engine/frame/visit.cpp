// Threads that meet a frame of another one: a value of theirs is pending there, or its recordings are to be forgotten.
#include "../../runtime/allocator.h"
#include "context.h"
#include "deferred.h"
#include "registry.h"

namespace sinter {

constinit thread_local Context* Context::open_here = nullptr;

void Context::settle(Storage& storage, Loc loc) {
  const FrameBase* pending = storage.pending_in.load(std::memory_order_acquire);
  if (pending == nullptr) return;
  if (!storage.has(Storage::kDeferred)) {
    if (pending == current_frame) current_context()->close(Break::value_read, loc);
    else visit(storage, loc);
  }
  if (storage.has(Storage::kDeferred)) Deferred::settle(storage);  // maybe since the region was closed
}

void Context::visit(Storage& storage, Loc loc) {
  // Nobody may be waited for from inside the engine: the other thread may be waiting for this one.
  if (open_here != nullptr && open_here->safepoint_.inside())
    raise<ForeignThreadError>("a value is pending in a compiled call that cannot be closed here ({}:{})", loc.file, loc.line);
  const ContextRegistry::Pin pin = ContextRegistry::get().pin(storage.pending_in.load(std::memory_order_acquire));
  Context* c = pin.context();
  if (c == nullptr) {
    if (!storage.is_pending()) return;  // its frame ended meanwhile
    raise<FailedRegionError>("a value is pending in a compiled call whose thread does not exist any more ({}:{})", loc.file,
                             loc.line);
  }
  Safepoint::Visit stopped(c->safepoint_);
  if (storage.pending_in.load(std::memory_order_acquire) != c) return;
  stopped.leave_note();
  c->close_region(Break::foreign_thread, loc);
}

void Context::settle_foreign(const OpCall& c) {
  if (safepoint_.inside()) return;
  for (TensorImpl* t : c.operands()) {
    if (t == nullptr) continue;
    const FrameBase* pending = t->storage->pending_in.load(std::memory_order_acquire);
    if (pending == nullptr || pending == this) continue;
    settle(*t->storage, c.loc);
  }
}

void Context::attend(uint32_t outer) {
  try {
    if (!safepoint_.let_visitors_finish()) return;
    bytes_at_open_ = thread_allocated_bytes();
    if (visited_leaf_ != nullptr) give_away_visited();
  } catch (...) {
    safepoint_.leave(outer);  // Inside is not constructed
    throw;
  }
}

void Context::forget() {
  if (thread_ == this_thread_pool) {
    const Inside inside(*this);  // another thread may be at the same
    if (!is_open_ && is_stale()) free_pooled();
    return;
  }
  if (open_here != nullptr && open_here->safepoint_.inside()) return;  // its thread does it, at its next call or its end
  const Safepoint::Visit stopped(safepoint_);
  if (!is_open_ && is_stale()) free_pooled();  // one made since knows nothing old
}

}  // namespace sinter
