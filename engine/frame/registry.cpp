#include "registry.h"
#include <thread>
#include "context.h"

namespace sinter {

ContextRegistry& ContextRegistry::get() {
  static auto* r = new ContextRegistry();  // never destroyed: threads may end after static destruction
  return *r;
}

void ContextRegistry::enroll(Context* c) {
  const std::lock_guard lock(mutex_);
  const void* const thread = only_thread_.load(std::memory_order_relaxed);
  only_thread_.store(thread == nullptr || thread == this_thread_pool ? static_cast<const void*>(this_thread_pool) : this,
                     std::memory_order_relaxed);
  contexts_.push_back({c, this_thread_pool, enrolled_ + 1});
  ++enrolled_;
}

void ContextRegistry::leave(Context* c) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(contexts_, [&](const Entry& e) { return e.context == c; });
  }
  while (c->pins.load(std::memory_order_acquire) != 0) std::this_thread::yield();
}

ContextRegistry::Pin::~Pin() {
  if (context_ != nullptr) context_->pins.fetch_sub(1, std::memory_order_release);
}

ContextRegistry::Pin ContextRegistry::pin(const void* context) {
  const std::lock_guard lock(mutex_);
  for (const Entry& e : contexts_)
    if (e.context == context) {
      e.context->pins.fetch_add(1, std::memory_order_relaxed);
      return Pin(e.context);
    }
  return {};
}

ContextRegistry::Pin ContextRegistry::pin_next_of(const CompiledState& owner, uint64_t& after) {
  const std::lock_guard lock(mutex_);
  for (const Entry& e : contexts_) {
    if (e.number <= after || &e.context->owner() != &owner) continue;
    after = e.number;
    e.context->pins.fetch_add(1, std::memory_order_relaxed);
    return Pin(e.context);
  }
  return {};
}

}  // namespace sinter
