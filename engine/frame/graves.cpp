#include "graves.h"
#include <algorithm>
#include <utility>
#include "context.h"
#include "registry.h"

namespace sinter {

std::atomic<uint64_t> Graves::now_{1};

void Graves::add(Grave g) {
  std::lock_guard lock(mutex_);
  g.tensor->head.fetch_add(1, std::memory_order_relaxed);  // the grave owns it now
  graves_.push_back(g);
  vacant_.store(false, std::memory_order_relaxed);
}

bool Graves::pass_on(Grave g, const Context* except) {
  ContextRegistry& registry = ContextRegistry::get();
  if (!registry.several_threads()) return false;
  bool taken = false;
  registry.for_each([&](const ContextRegistry::Entry& e) {
    const uint64_t opened = e.context->graves.opened_at_.load(std::memory_order_acquire);
    if (taken || e.context == except || opened == 0 || opened > g.time) return;
    e.context->graves.add(g);
    taken = true;
  });
  return taken;
}

bool Graves::bury(TensorImpl* t) {
  const Grave g{t, now_.fetch_add(1, std::memory_order_relaxed)};
  if (Context* own = current_context()) {
    own->graves.add(g);
    return true;
  }
  return pass_on(g, nullptr);
}

void Graves::clear(Context& self) {
  std::vector<Grave> taken;
  {
    std::lock_guard lock(mutex_);
    taken.swap(graves_);
    vacant_.store(true, std::memory_order_relaxed);
  }
  const HiddenFrame hidden;  // deleters run eager
  for (const Grave& g : taken) {
    g.tensor->head.fetch_sub(1, std::memory_order_relaxed);
    if (pass_on(g, &self)) continue;
    g.tensor->set(head::kBound, false);
    dispose(g.tensor);
  }
}

}  // namespace sinter
