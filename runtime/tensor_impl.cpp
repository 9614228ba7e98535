#include "tensor_impl.h"
#include "mutants.h"
#include "object_cache.h"

namespace sinter {

constinit thread_local TensorPool* this_thread_pool = nullptr;
bool (*bury_bound_tensor)(TensorImpl*) = nullptr;

namespace {
using ImplCache = ObjectCache<TensorImpl, sizeof(TensorImpl)>;
}

void* TensorImpl::operator new(size_t) { return ImplCache::take(); }
void TensorImpl::operator delete(void* p) { ImplCache::give(p); }

TensorImpl* TensorImpl::make(ScalarType t, IntArrayRef sz, IntArrayRef st, int64_t off, Storage* s) {
  try {
    return new TensorImpl(t, sz, st, off, s);
  } catch (...) {
    if (s != nullptr) s->release();
    throw;
  }
}

void dispose(TensorImpl* t) {
  const uint64_t h = t->head.load(std::memory_order_acquire);
  if (h & head::kPooled) {
    // The pool keeps the object; what it kept alive through autograd goes now, as the value may die before the close.
    if ((h & head::kAutograd) && !SINTER_MUTANT(dropped_result_keeps_its_node)) {
      AutogradMetaBase* meta = t->autograd;
      t->autograd = nullptr;
      t->head.fetch_and(~head::kAutograd, std::memory_order_relaxed);
      delete meta;
    }
    return;
  }
  if ((h & head::kBound) && !SINTER_MUTANT(dropped_input_is_destroyed) && bury_bound_tensor(t)) return;
  if (t->autograd != nullptr) {
    AutogradMetaBase* meta = t->autograd;
    t->autograd = nullptr;
    delete meta;
  }
  if (t->storage != nullptr) t->storage->release();
  delete t;
}

}  // namespace sinter
