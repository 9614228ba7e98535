#include "cache.h"
#include <algorithm>
#include "../../codegen/gemm/product_kernel.h"
#include "../../codegen/kernel.h"
#include "../../runtime/at_fork.h"
#include "../../runtime/process_barrier.h"

namespace sinter {

std::atomic<uint64_t> program_clock{1};

namespace {
constexpr size_t kMaxPrograms = 4096;  // keys remembered, of dead programs too
[[maybe_unused]] const bool watched = at_fork::watch(
    at_fork::Rank::programs, [] { return &ProgramCache::get().fork_lock(); }, [] { ProgramCache::get().forget_other_threads(); });
}  // namespace

ProgramCache& ProgramCache::get() {
  static auto* c = new ProgramCache;  // never destroyed: threads may compile while the process ends
  return *c;
}

/// Forgets keys whose programs are gone.
void ProgramCache::shrink() {
  if (programs_.size() < kMaxPrograms) return;
  std::erase_if(programs_, [](const auto& e) { return !e.second.compiling && !e.second.none && e.second.program.expired(); });
  if (programs_.size() >= kMaxPrograms) std::erase_if(programs_, [](const auto& e) { return !e.second.compiling; });
}

std::shared_ptr<const Program> ProgramCache::obtain(std::vector<uint64_t> key, const Compile& compile, bool& for_now) {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto it = programs_.find(key);
    if (it == programs_.end()) break;
    if (it->second.compiling) {
      compiled_.wait(lock);
      continue;
    }
    std::shared_ptr<const Program> p = it->second.program.lock();
    if (!p && !it->second.none) break;
    ++hits_;
    return p;
  }
  ++misses_;
  shrink();
  programs_[key].compiling = true;
  // However it ends, those who wait must go on; the iterator may have moved meanwhile.
  const struct Landing {
    ProgramCache& cache;
    const std::vector<uint64_t>& key;
    std::unique_lock<std::mutex>& lock;
    ~Landing() {
      if (!lock.owns_lock()) lock.lock();
      const auto it = cache.programs_.find(key);
      it->second.compiling = false;
      if (!it->second.none && it->second.program.expired()) cache.programs_.erase(it);
      cache.compiled_.notify_all();
    }
  } landing{*this, key, lock};
  lock.unlock();
  program_clock.fetch_add(1, std::memory_order_relaxed);
  std::shared_ptr<const Program> program = compile(for_now);
  lock.lock();
  Item& item = programs_[key];
  item.program = program;
  item.none = !program && !for_now;
  if (!limbo_.empty()) drop_unused();
  return program;
}

bool ProgramCache::runs(const Program* p) const {
  return std::any_of(running_.begin(), running_.end(),
                     [&](const RunningProgram* r) { return r->program_.load(std::memory_order_acquire) == p; });
}

void ProgramCache::drop_unused() {
  process_wide_barrier();
  std::erase_if(limbo_, [&](const auto& p) { return !runs(p.get()); });
}

bool ProgramCache::evict_one() {
  const std::lock_guard lock(mutex_);
  auto oldest = programs_.end();
  uint64_t when = ~0ull;
  for (auto it = programs_.begin(); it != programs_.end(); ++it) {
    const std::shared_ptr<const Program> p = it->second.program.lock();
    if (!p || p->n_kernels == 0 || p->use.slots.empty()) continue;
    const uint64_t used = p->use.last.load(std::memory_order_relaxed);
    if (used < when) when = used, oldest = it;
  }
  if (oldest == programs_.end()) {
    const size_t before = limbo_.size();
    drop_unused();
    return limbo_.size() < before;
  }
  std::shared_ptr<const Program> p = oldest->second.program.lock();
  limbo_.push_back(p);  // before anything is changed: it may throw
  for (ProgramSlot* slot : p->use.slots) {
    slot->current_.store(nullptr, std::memory_order_release);
    slot->owner_.reset();
  }
  p->use.slots.clear();
  p.reset();
  programs_.erase(oldest);
  ++evicted_;
  drop_unused();
  return true;
}

void ProgramCache::forget_other_threads() {
  std::erase_if(programs_, [](const auto& e) { return e.second.compiling; });
  // Those that waited are gone too, which the condition variable cannot know.
  new (&compiled_) std::condition_variable;
}

void ProgramCache::clear() {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(programs_, [](const auto& e) { return !e.second.compiling; });
    drop_unused();
  }
  codegen::forget_dead_kernels();
  codegen::forget_dead_tiles();
}

ProgramCacheStats ProgramCache::stats() {
  const std::lock_guard lock(mutex_);
  size_t alive = 0;
  for (const auto& e : programs_) alive += !e.second.program.expired();
  return {alive, hits_, misses_, evicted_};
}

void ProgramSlot::set(std::shared_ptr<const Program> program) {
  ProgramCache& c = ProgramCache::get();
  std::shared_ptr<const Program> before;  // freed outside the lock
  const std::lock_guard lock(c.mutex_);
  program->use.slots.push_back(this);
  if (owner_) std::erase(owner_->use.slots, this);
  before = std::exchange(owner_, std::move(program));
  current_.store(owner_.get(), std::memory_order_release);
}

ProgramSlot::~ProgramSlot() {
  ProgramCache& c = ProgramCache::get();
  const std::lock_guard lock(c.mutex_);
  if (owner_) std::erase(owner_->use.slots, this);
}

std::shared_ptr<const Program> ProgramSlot::share() const {
  const std::lock_guard lock(ProgramCache::get().mutex_);
  return owner_;
}

RunningProgram::RunningProgram() : fence_(!process_wide_barrier_works()) {
  ProgramCache& c = ProgramCache::get();
  const std::lock_guard lock(c.mutex_);
  c.running_.push_back(this);
}

RunningProgram::~RunningProgram() {
  ProgramCache& c = ProgramCache::get();
  const std::lock_guard lock(c.mutex_);
  std::erase(c.running_, this);
}

}  // namespace sinter
