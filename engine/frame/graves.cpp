#include "graves.h"
#include <algorithm>
#include <utility>
#include "context.h"
#include "registry.h"

namespace sinter {

std::atomic<uint64_t> Graves::now_{1};

void Graves::add(TensorImpl* t) {
  std::lock_guard lock(mutex_);
  t->head.fetch_add(1, std::memory_order_relaxed);  // the grave owns it now
  t->next_buried = nullptr;
  (first_ == nullptr ? first_ : last_->next_buried) = t;
  last_ = t;
  vacant_.store(false, std::memory_order_relaxed);
}

bool Graves::pass_on(TensorImpl* t, const Context* except) {
  ContextRegistry& registry = ContextRegistry::get();
  if (!registry.on_other_threads()) return false;
  bool taken = false;
  registry.for_each([&](const ContextRegistry::Entry& e) {
    const uint64_t opened = e.context->graves.opened_at_.load(std::memory_order_acquire);
    if (taken || e.context == except || opened == 0 || opened > t->buried_at) return;
    e.context->graves.add(t);
    taken = true;
  });
  return taken;
}

bool Graves::bury(TensorImpl* t) {
  t->buried_at = now_.fetch_add(1, std::memory_order_relaxed);
  if (Context* own = current_context()) {
    own->graves.add(t);
    return true;
  }
  return pass_on(t, nullptr);
}

void Graves::clear(Context& self) {
  TensorImpl* t = nullptr;
  {
    std::lock_guard lock(mutex_);
    t = std::exchange(first_, nullptr);
    vacant_.store(true, std::memory_order_relaxed);
  }
  const HiddenFrame hidden;  // deleters run eager
  while (t != nullptr) {
    TensorImpl* const next = t->next_buried;
    t->head.fetch_sub(1, std::memory_order_relaxed);
    if (!pass_on(t, &self)) {
      t->set(head::kBound, false);
      dispose(t);
    }
    t = next;
  }
}

}  // namespace sinter
