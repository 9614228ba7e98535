#include "storage.h"
#include <memory>
#include "allocator.h"
#include "error.h"
#include "frozen_weight.h"
#include "in_deleter.h"
#include "mutants.h"
#include "object_cache.h"

namespace sinter {

constinit thread_local FrameBase* current_frame = nullptr;
constinit thread_local int deleters_running = 0;
void (*settle_pending)(Storage&, Loc) = nullptr;
void (*Storage::settle_dependents)(Storage&) = nullptr;
void (*Storage::forget_deferred)(Storage&) = nullptr;

namespace {
using StorageCache = ObjectCache<Storage, sizeof(Storage)>;
}

void* Storage::operator new(size_t) { return StorageCache::take(); }
void Storage::operator delete(void* p) { StorageCache::give(p); }

Storage* Storage::empty() { return new Storage(); }

Storage* Storage::allocate(size_t nbytes) {
  Storage* s = new Storage();
  try {
    s->acquire_bytes(nbytes);
  } catch (...) {
    delete s;
    throw;
  }
  return s;
}

Storage* Storage::borrow(void* data, size_t nbytes, std::function<void(void*)> deleter) {
  auto kept = deleter ? std::make_unique<std::function<void(void*)>>(std::move(deleter)) : nullptr;
  Storage* s = new Storage();
  s->data = data;
  s->nbytes = nbytes;
  s->set(kBorrowed);
  s->deleter_ = kept.release();
  return s;
}

void Storage::acquire_bytes(size_t n) {
  data = allocate_bytes(n);
  nbytes = n;
}

void Storage::release_bytes() noexcept {
  if (data != nullptr && (!has(kBorrowed) || SINTER_MUTANT(borrowed_memory_is_freed))) free_bytes(data, nbytes);
  data = nullptr;
  nbytes = 0;
}

void Storage::settle(Loc loc) {
  if (is_pending() && !SINTER_MUTANT(pending_value_is_read)) settle_pending(*this, loc);
  if (has(kFailed) && !SINTER_MUTANT(failed_value_is_read))
    raise<FailedRegionError>("this tensor is the result of a compiled region that failed; its value does not exist ({}:{})",
                             loc.file, loc.line);
}

void Storage::destroy() {
  if (has(kDeferred)) forget_deferred(*this);
  if (frozen.load(std::memory_order_relaxed) != nullptr && !SINTER_MUTANT(frozen_panels_outlive_weight)) [[unlikely]]
    drop_frozen(*this);
  if (deleter_ != nullptr) {
    ++deleters_running;
    (*deleter_)(data);
    --deleters_running;
    delete deleter_;
  } else {
    release_bytes();
  }
  delete this;
}

}  // namespace sinter
