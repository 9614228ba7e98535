#include "graves.h"
#include <algorithm>
#include <utility>
#include "context.h"

namespace sinter {

std::atomic<uint64_t> Graves::now_{1};

namespace {
struct Registry {
  std::mutex mutex;
  std::vector<std::pair<Context*, const TensorPool*>> contexts;
  std::atomic<bool> several_threads{false};  // never back to false: a thread that ended may have left handles elsewhere
};
Registry& registry() {
  static auto* r = new Registry();
  return *r;
}
}  // namespace

void Graves::enroll(Context* c) {
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  if (!r.contexts.empty() && r.contexts.front().second != this_thread_pool) r.several_threads = true;
  r.contexts.emplace_back(c, this_thread_pool);
  bury_bound_tensor = &Graves::bury;
}

void Graves::leave(Context* c) {
  Registry& r = registry();
  {
    std::lock_guard lock(r.mutex);
    std::erase_if(r.contexts, [&](const auto& e) { return e.first == c; });
  }
  c->graves.clear(*c);
}

void Graves::add(Grave g) {
  std::lock_guard lock(mutex_);
  g.tensor->head.fetch_add(1, std::memory_order_relaxed);  // the grave owns it now
  graves_.push_back(g);
  vacant_.store(false, std::memory_order_relaxed);
}

bool Graves::pass_on(Grave g, const Context* except) {
  Registry& r = registry();
  if (!r.several_threads.load(std::memory_order_relaxed)) return false;
  std::lock_guard lock(r.mutex);
  for (const auto& [c, pool] : r.contexts) {
    const uint64_t opened = c->graves.opened_at_.load(std::memory_order_acquire);
    if (c == except || opened == 0 || opened > g.time) continue;
    c->graves.add(g);
    return true;
  }
  return false;
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
