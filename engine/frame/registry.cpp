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
  if (!contexts_.empty() && contexts_.front().pool != this_thread_pool) several_threads_ = true;
  contexts_.push_back({c, this_thread_pool});
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

std::vector<ContextRegistry::Pin> ContextRegistry::pin_all_of(const CompiledState& owner) {
  std::vector<Pin> pins;
  const std::lock_guard lock(mutex_);
  for (const Entry& e : contexts_) {
    if (&e.context->owner() != &owner) continue;
    pins.emplace_back(e.context);
    e.context->pins.fetch_add(1, std::memory_order_relaxed);
  }
  return pins;
}

}  // namespace sinter
