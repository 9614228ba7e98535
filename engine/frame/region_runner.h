// One close of a region: which results are wanted, running what makes them, giving them away.
#pragma once
#include <memory>
#include <optional>
#include <vector>
#include "../../runtime/mutants.h"
#include "context.h"
#include "deferred.h"
#include "region_builder.h"
#include "save_plan.h"

namespace sinter {

/// One close, from the live check to the give-away. Lives on the stack; the context is out of sight (current_frame is
/// null), so that deleters and hooks that enter the engine run eager.
class RegionRunner {
 public:
  RegionRunner(Context& c, Leaf& leaf) : c_(c), leaf_(leaf), live_(c.live_words_), held_(c.held_) {}

  void find_live() {
    live_.assign((leaf_.roots.size() + 63) / 64, 0);
    held_.clear();
    const Leaf::PooledSlot* p = leaf_.pooled.data();
    for (int32_t i = 0; i < static_cast<int32_t>(leaf_.pooled.size()); ++i, ++p) {
      TensorImpl* t = c_.slots[p->slot];
      const uint64_t h = t->head.load(std::memory_order_acquire);
      if (static_cast<uint32_t>(h) == 0 && !SINTER_MUTANT(dropped_results_are_live)) {
        // Another thread dropped the last handle: what the result kept alive through autograd is the owner's to drop.
        if ((h & head::kAutograd) && t->pool == this_thread_pool) dispose(t);
        continue;
      }
      held_.push_back(i);
      if (p->root_index >= 0 && !(p->view && SINTER_MUTANT(view_does_not_keep_base))) add_root(live_, p->root_index);
    }
  }
  /// Nothing of the region can be seen any more: it need not run.
  bool is_dead() const { return held_.empty() && (!leaf_.writes || SINTER_MUTANT(dead_region_with_writes_skipped)); }
  bool is_live(int32_t root) const { return has_root(live_, root); }

  /// The program for what is live, and these sizes.
  const ProgramEntry* covering() {
    const bool defers = leaf_.defers.load(std::memory_order_relaxed);
    for (const ProgramEntry* e = leaf_.programs.load(std::memory_order_acquire); e != nullptr; e = e->next)
      if (covers(*e, defers) && e->usable()) return e;
    return nullptr;
  }
  /// The same after a search that may have made it.
  const ProgramEntry* take(Obtained found) {
    layout_ = found.layout;
    own_layout_ = std::move(found.own_layout);
    return found.entry;
  }
  WantedProgram wanted() { return {live_, saves(), sizes_key(), symbols_key()}; }
  /// Which live results only autograd holds.
  const SavedResults& saved_results();
  /// The same; null where nothing may be deferred: verification compares every result.
  const SavedResults* saves();

  /// Runs the events by the interpreter / `entry`'s program, which the context holds. `costs`: of the run, may be null.
  void interpret_events();
  void run(const ProgramEntry& entry, const Program& program, RunCosts* costs);
  /// Live results and written inputs have their bytes (`failed`: will never have them).
  void publish(bool failed) noexcept;
  /// Live results become plain tensors; the others keep their place in the pool. On the owner's thread only: its handles
  /// count without locked instructions.
  void give_away() noexcept;
  /// Autograd state of results whose last handle another thread dropped.
  void drop_orphaned_autograd();
  const RootBits& live() const { return live_; }
  /// Of the live results, those that have their bytes.
  RootBits materialised() const;
  void count_saved_bytes(CloseRecord& record);
  void check_inputs_unwritten() const;

 private:
  bool covers(const ProgramEntry& e, bool defers) {
    if (!covers_live(e, live_, nullptr)) {
      if (!defers || e.recipe == nullptr || saves() == nullptr || !covers_live(e, live_, &saves()->only)) return false;
    }
    if (e.isa != isa()) return false;
    if (!leaf_.dynamic || SINTER_MUTANT(program_of_other_sizes)) return true;
    if (!e.layouts) return e.sizes_key == sizes_key();
    layout_ = e.layouts->find(symbols_key());
    return layout_ != nullptr || e.interpreted.load(std::memory_order_relaxed);
  }
  const std::vector<int64_t>& sizes_key();
  const std::vector<int64_t>& symbols_key();
  void run_interpreter();
  std::unique_ptr<Deferred> prepare_deferred(const ProgramEntry& entry);
  void attach_deferred(const ProgramEntry& entry, std::unique_ptr<Deferred> deferred);
  std::optional<SavedResults> saves_;
  std::optional<std::vector<int64_t>> sizes_key_;    // of a generalised region: all geometry and integers
  std::optional<std::vector<int64_t>> symbols_key_;  // what they follow from
  const Layout* layout_ = nullptr;                   // of a program for many sizes
  std::unique_ptr<const Layout> own_layout_;
  std::vector<Storage*> kept_;  // results nobody holds but what is deferred
  Context& c_;
  Leaf& leaf_;
  RootBits& live_;
  std::vector<int32_t>& held_;  // results something still references, indices into Leaf::pooled
};

}  // namespace sinter
