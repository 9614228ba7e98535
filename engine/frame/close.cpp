// Closing a region: the program for what is still wanted is found or made and run (or the interpreter), live results are given
// away.
#include <algorithm>
#include <utility>
#include "../../runtime/allocator.h"
#include "../../runtime/in_deleter.h"
#include "../../runtime/intern.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "../../runtime/out_of_memory.h"
#include "../autograd/node.h"
#include "../eager.h"
#include "context.h"
#include "reason.h"
#include "region_builder.h"
#include "region_runner.h"
#include "report.h"
#include "verify.h"

namespace sinter {

constinit thread_local std::vector<CloseRecord>* Context::listener = nullptr;
constinit thread_local int HiddenFrame::depth = 0;

void Context::release_pooled(const Event& e) noexcept {
  TensorImpl* t = pooled[e.id];
  if (e.info->view && !SINTER_MUTANT(given_view_without_storage)) t->storage->retain();
  // One atomic step makes it a plain tensor: another thread that drops the last handle at this moment either still saw it
  // pooled (then the count we get back is 0 and it stays ours) or destroys it as usual.
  const uint64_t before = t->head.fetch_sub(head::kPooled, std::memory_order_acq_rel);
  if (static_cast<uint32_t>(before) == 0) {
    if (e.info->view) t->storage->release();
    t->head.fetch_or(head::kPooled, std::memory_order_relaxed);
    if (before & head::kAutograd) dispose(t);
    return;
  }
  if (!SINTER_MUTANT(given_away_tensor_reused)) pooled[e.id] = nullptr;
}

/// Where only views of a result live on, they keep its storage and the pool gets a fresh one.
void Context::renew_storage(const Event& e) noexcept {
  TensorImpl* t = pooled[e.id];
  if (t == nullptr || t->storage->pending_in.load(std::memory_order_relaxed) == this ||
      SINTER_MUTANT(storage_of_live_view_reused))
    return;
  Storage* const given = t->storage;
  try {
    t->storage = Storage::empty();
    t->storage->pending_in.store(this, std::memory_order_relaxed);
  } catch (const std::bad_alloc&) {  // the pool goes without
    pooled[e.id] = nullptr;
    delete t;
  }
  given->release();
}

/// Views that stay in the pool get the strides that a replay expects them to have.
void Context::restore_strides() noexcept {
  for (const Event* e : restrided_)
    if (TensorImpl* t = pooled[e->id]; t != nullptr && !SINTER_MUTANT(views_keep_other_strides))
      t->strides = e->info->meta.strides;
  restrided_.clear();
}

void Context::value_read() {
  if (!eager_until_break_) return;
  const Inside inside(*this);
  resume();
}

void Context::mutable_pointer(TensorImpl* t, Loc loc) {
  close(Break::data_pointer, loc);
  if (!SINTER_MUTANT(data_ptr_does_not_expose)) t->storage->immediate_in_frame.store(serial_, std::memory_order_relaxed);
}

void Context::resume() {
  eager_until_break_ = false;
  reset_region(nullptr);
}

void Context::close(Break reason, Loc loc) {
  {
    const Inside inside(*this);
    close_region(reason, loc);
  }
  // Buried inputs run their deleters, user code: outside.
  if (!safepoint_.inside()) graves.empty(*this);
}

namespace {
void log_break(const CompiledState& owner, const Leaf& leaf, Break reason, Loc loc) {
  log(LogTopic::Breaks, "graph break in {} at {}: {} ({}). Operators in the region before it: {}.{}", owner.where(), place(loc),
      break_info(reason).text, break_info(reason).name, leaf.path.size(), hint_sentence(reason));
}
}  // namespace

bool Context::refuses_breaks() const {
  return owner_->options.fullgraph && deleters_running == 0 && !SINTER_MUTANT(fullgraph_allows_breaks);
}

void Context::refuse_break(Break reason, Loc loc) const {
  raise<GraphBreakError>("{} is compiled with fullgraph, but there is a graph break at {}:{}: {}.{}", owner_->where(), loc.file,
                         loc.line, break_info(reason).text, hint_sentence(reason));
}

Tensor Context::run_outside(const OpCall& c, Break reason, autograd::Node** made) {
  close(reason, c.loc);
  // Where no region was open, this is the only trace of the break; said once for a row of such operators.
  if (std::vector<CloseRecord>* records = current_listener(); records && (records->empty() || records->back().reason != reason))
    records->push_back({reason, interned(c.loc), CloseRecord::kNoRegion, 0, true, false, {}, {}});
  if (refuses_breaks()) refuse_break(reason, c.loc);
  const HiddenFrame hidden;
  return eager_call(c, made);
}

/// By the owner, or by a visitor while the owner is outside.
void Context::close_region(Break reason, Loc loc) try {
  if (eager_until_break_) return reason == Break::frame_end || reason == Break::recompile_limit ? void() : resume();
  if (last == nullptr) return;
  const bool visited = is_open_ && current_frame != this;
  loc = loc.line == 0 ? last->info->loc : interned(loc);  // an exception, the frame's end: after this operator
  const bool recorded = !recording_.empty();
  if (recorded) {
    // Where another thread was first, its event stands for ours, and our result object moves to its place.
    last = tries_->merge(
        recording_base_, recording_, [&] { reserve_pooled(); },
        [&](Event* draft, Event* existing) { std::swap(pooled[draft->id], pooled[existing->id]); });
    recording_.clear();
  }
  bool made = false;
  if (aliases_.size() > 1)
    std::sort(aliases_.begin(), aliases_.end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
  Leaf* leaf = tries_->leaf_of(last, aliases_, reason, loc, made);
  if (made && !recorded && log_enabled(LogTopic::Recompiles)) miss_reason_ = explain_end(*leaf);
  std::vector<CloseRecord>* const records = current_listener();
  const HiddenFrame hidden;
  RegionRunner runner(*this, *leaf);
  runner.find_live();
  // From here the region is consumed: whatever happens below, its events are not executed a second time.
  CloseRecord record{reason, loc, leaf->number, static_cast<int32_t>(leaf->path.size()), false, false, {}, {}};
  record.listening = records != nullptr;
  std::exception_ptr failure;
  try {
    const bool first_of_its_kind = (made || reason != leaf->reason) && reason != Break::frame_end;
    execute(runner, *leaf, reason, made, record);
    // Said before the results are given away: where there is no memory for it, the region counts as failed.
    if (records != nullptr) {
      record.guards = describe_guards(*this, *leaf);
      record.live_outs = name_live_outs(*leaf, runner.materialised());
      runner.count_saved_bytes(record);
      records->push_back(std::move(record));
    }
    if (first_of_its_kind && log_enabled(LogTopic::Breaks)) [[unlikely]]
      log_break(*owner_, *leaf, reason, loc);
  } catch (...) { failure = std::current_exception(); }
  runner.publish(failure != nullptr);
  if (visited) visited_leaf_ = leaf;
  else runner.give_away();
  reset_region(leaf);
  if (failure) std::rethrow_exception(failure);
  if (reason != Break::frame_end && reason != Break::exception && refuses_breaks()) refuse_break(reason, loc);
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

/// What a visitor's close left to the owner.
void Context::give_away_visited() {
  const HiddenFrame hidden;
  RegionRunner runner(*this, *std::exchange(visited_leaf_, nullptr));
  runner.drop_orphaned_autograd();  // first: what is given away may be gone the next moment
  runner.give_away();
}

/// The program that covers the live set, found or made. Null: the interpreter's turn, also when there is no memory for a program.
const ProgramEntry* Context::find_program(RegionRunner& runner, Leaf& leaf, Break reason, bool& made, bool& compiled_now) try {
  const ProgramEntry* entry = runner.covering();
  if (entry != nullptr) {
    count(counters.replays);
  } else if (reason != Break::recompile_limit) {  // at the limit the prefix is interpreted, nothing new is kept
    entry = runner.take(obtain_program(*this, leaf, runner.wanted(), made, compiled_now));
    made = false;
    if (entry != nullptr && !compiled_now) count(counters.replays);  // another thread compiled it meanwhile
  }
  return entry;
} catch (const std::bad_alloc&) { return nullptr; } catch (const OutOfMemoryError&) {
  return nullptr;
}

/// Without memory for it the next region is not verified.
void Context::choose_verification(bool closed) try {
  if (verify_interval.load(std::memory_order_relaxed) != 0 || sums_ != nullptr) [[unlikely]]
    sums_ = choose_next_region(closed);
} catch (const std::bad_alloc&) { sums_.reset(); }

/// The region's effects: its program found or compiled, and run.
void Context::execute(RegionRunner& runner, Leaf& leaf, Break reason, bool made, CloseRecord& record) {
  if (!runner.is_dead()) runner.check_inputs_unwritten();
  const UnderMode of_region(CpuMode::of_key(leaf.end->key));
  for (;;) {
    const ProgramEntry* entry = find_program(runner, leaf, reason, made, record.compiled_now);
    record.interpreted = entry == nullptr || entry->interpreted.load(std::memory_order_relaxed);
    if (runner.is_dead()) return;
    if (record.interpreted) return runner.interpret_events();
    struct Held {
      RunningProgram& running;
      const Program* program;
      ~Held() { running.release(); }
    } held{running_, running_.hold(entry->program)};
    if (held.program == nullptr) continue;  // evicted between finding and holding it
    if (!held.program->is_withdrawn()) [[likely]]
      return runner.run(*entry, *held.program, record.listening ? &record.costs : nullptr);
    entry->interpreted.store(true, std::memory_order_relaxed);
  }
}

void Context::reset_region(Leaf* leaf) {
  last = nullptr;
  recording_.clear();
  recording_base_ = nullptr;
  shadow_parent_ = nullptr;
  slot_roots_.clear();
  if (!SINTER_MUTANT(free_integers_not_forgotten)) free_ints_.clear();
  if (!SINTER_MUTANT(bound_inputs_not_forgotten)) bound_.clear();
  bound_impls_.clear();
  borrowed_inputs_.clear();
  foreign_inputs_.clear();
  if (!SINTER_MUTANT(aliases_not_forgotten)) aliases_.clear();
  written_inputs_.clear();
  if (visited_leaf_ == nullptr) dirty_pooled_.clear(), restore_strides();
  close_after_call_ = strides_differ_ = false;
  choose_verification(leaf != nullptr);
  bytes_at_open_ = thread_allocated_bytes();
  nodes_since_ = autograd::seq_now();
  ++regions_;
  if (leaf != nullptr && previous_leaf_ != nullptr &&
      previous_leaf_->successor.load(std::memory_order_relaxed) != leaf->path.front())
    previous_leaf_->successor.store(leaf->path.front(), std::memory_order_relaxed);
  if (leaf != nullptr && previous_leaf_ == nullptr) entry_hint_ = leaf->path.front();
  previous_leaf_ = leaf;
  Event* hint = leaf != nullptr ? leaf->successor.load(std::memory_order_relaxed) : nullptr;
  cursor = hint != nullptr ? hint : &kNoEvent;
}

}  // namespace sinter
