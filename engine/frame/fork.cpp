// fork(): the locks of all compiled functions, and what becomes of other threads' frames in the child.
#include <algorithm>
#include "../../codegen/kernel.h"
#include "../../runtime/at_fork.h"
#include "../../runtime/cpu.h"
#include "../../runtime/env.h"
#include "../../runtime/random.h"
#include "compiled_states.h"
#include "context.h"
#include "registry.h"

namespace sinter {

/// Between lock and unlock, kept for the unlocking: who exists then is who was locked. Allocates before the fork; a program that
/// has no memory for that is as good as dead.
class ForkLocks {
 public:
  static ForkLocks& get() {
    static auto* locks = new ForkLocks();
    return *locks;
  }

  /// Other threads may be closing this thread's region, or asking for it.
  void lock_visits() {
    // What another thread may be making now for the first time.
    (void)env(), (void)isa(), (void)Generator::get_default(), (void)codegen::stream_threshold_bytes();
    own_.clear();
    ContextRegistry::get().for_each([&](const ContextRegistry::Entry& e) {
      if (e.pool == this_thread_pool) own_.push_back(e.context);
    });
    for (Context* c : own_) c->safepoint_.lock_visits();
  }
  void unlock_visits() {
    for (Context* c : own_) c->safepoint_.unlock_visits();
  }
  void forget_visitors() {
    for (Context* c : own_) {
      c->safepoint_.forget_visitors();
      c->pins.store(0, std::memory_order_relaxed);
    }
  }

  /// The recordings of a compiled function, and each region that is being compiled.
  void lock_states() {
    CompiledStates::get().mutex.lock();
    for (const auto& [id, weak] : CompiledStates::get().by_id)
      if (std::shared_ptr<CompiledState> state = weak.lock()) {
        state->mutex_.lock();
        if (state->tries_) tries_.push_back(state->tries_);
        states_.push_back(std::move(state));
      }
    for (Context* c : own_)  // a frame may still be open on what reset() has replaced
      if (c->tries_ && std::find(tries_.begin(), tries_.end(), c->tries_) == tries_.end()) tries_.push_back(c->tries_);
    for (const auto& t : tries_) {
      t->mutex.lock();
      for (const auto& leaf : t->leaves_) leaf->compiling.lock();
    }
  }
  void unlock_states() {
    for (const auto& t : tries_) {
      for (const auto& leaf : t->leaves_) leaf->compiling.unlock();
      t->mutex.unlock();
    }
    for (const auto& s : states_) s->mutex_.unlock();
    CompiledStates::get().mutex.unlock();
    // Perhaps the last references: dropped when nothing is locked.
    const auto states = std::exchange(states_, {});
    const auto tries = std::exchange(tries_, {});
  }

  /// Frames of threads that are not there can neither go on nor be closed: what is pending in them says so when read.
  void forget_other_threads() {
    std::erase_if(ContextRegistry::get().contexts_, [](const ContextRegistry::Entry& e) { return e.pool != this_thread_pool; });
  }

 private:
  std::vector<Context*> own_;
  std::vector<std::shared_ptr<CompiledState>> states_;
  std::vector<std::shared_ptr<Tries>> tries_;
};

namespace {
using at_fork::Rank;
[[maybe_unused]] const bool visits = at_fork::watch(
    Rank::visits, [] { ForkLocks::get().lock_visits(); }, [] { ForkLocks::get().unlock_visits(); },
    [] { ForkLocks::get().forget_visitors(); });
[[maybe_unused]] const bool states = at_fork::watch(
    Rank::compiled_states, [] { ForkLocks::get().lock_states(); }, [] { ForkLocks::get().unlock_states(); });
[[maybe_unused]] const bool contexts = at_fork::watch(
    Rank::contexts, [] { return &ContextRegistry::get().fork_lock(); }, [] { ForkLocks::get().forget_other_threads(); });
}  // namespace

}  // namespace sinter
