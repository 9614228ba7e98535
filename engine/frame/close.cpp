// Closing a region: which results are still wanted, run the program (or interpret), give the live ones away.
#include <algorithm>
#include <optional>
#include <utility>
#include "../../runtime/allocator.h"
#include "../../runtime/env.h"
#include "../../runtime/in_deleter.h"
#include "../../runtime/intern.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "../../runtime/out_of_memory.h"
#include "../autograd/node.h"
#include "../eager.h"
#include "context.h"
#include "deferred.h"
#include "interpret.h"
#include "reason.h"
#include "region_builder.h"
#include "registry.h"
#include "report.h"
#include "save_plan.h"
#include "verify.h"

namespace sinter {

constinit thread_local std::vector<CloseRecord>* Context::listener = nullptr;
constinit thread_local int HiddenFrame::depth = 0;

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
      if (p->root_index >= 0 && !(p->view && SINTER_MUTANT(view_does_not_keep_base)))
        live_[static_cast<size_t>(p->root_index) / 64] |= 1ull << (p->root_index % 64);
    }
  }
  /// Nothing of the region can be seen any more: it need not run.
  bool is_dead() const { return held_.empty() && (!leaf_.writes || SINTER_MUTANT(dead_region_with_writes_skipped)); }
  bool is_live(int32_t root) const { return live_[static_cast<size_t>(root) / 64] >> (root % 64) & 1; }

  const ProgramEntry* covering() {
    const bool defers = leaf_.defers.load(std::memory_order_relaxed);
    for (const ProgramEntry* e = leaf_.programs.load(std::memory_order_acquire); e != nullptr; e = e->next)
      if (covers(*e, defers) && e->usable()) return e;
    return nullptr;
  }
  /// Which live results only autograd holds.
  const SavedResults& saved_results();
  /// The same; null where nothing may be deferred: verification compares every result.
  const SavedResults* saves();

  /// Runs the events by the interpreter / `entry`'s program, which the context holds.
  void interpret_events();
  void run(const ProgramEntry& entry, const Program& program);
  /// Live results and written inputs have their bytes (`failed`: will never have them).
  void publish(bool failed) noexcept;
  /// Live results become plain tensors; the others keep their place in the pool. On the owner's thread only: its handles
  /// count without locked instructions.
  void give_away() noexcept;
  /// Autograd state of results whose last handle another thread dropped.
  void drop_orphaned_autograd();
  const std::vector<uint64_t>& live() const { return live_; }
  /// Of the live results, those that have their bytes.
  std::vector<uint64_t> materialised() const;
  void count_saved_bytes(CloseRecord& record);
  std::vector<int64_t> sizes_key() const;
  void check_inputs_unwritten() const;

 private:
  bool covers(const ProgramEntry& e, bool defers) {
    if (!covers_live(e, live_, nullptr)) {
      if (!defers || e.recipe == nullptr || saves() == nullptr || !covers_live(e, live_, &saves()->only)) return false;
    }
    return e.isa == isa() && (!leaf_.dynamic || SINTER_MUTANT(program_of_other_sizes) || e.sizes_key == sizes_key());
  }
  void run_interpreter();
  std::unique_ptr<Deferred> prepare_deferred(const ProgramEntry& entry);
  void attach_deferred(const ProgramEntry& entry, std::unique_ptr<Deferred> deferred);
  std::optional<SavedResults> saves_;
  std::vector<Storage*> kept_;  // results nobody holds but what is deferred
  Context& c_;
  Leaf& leaf_;
  std::vector<uint64_t>& live_;
  std::vector<int32_t>& held_;  // results something still references, indices into Leaf::pooled
};

const SavedResults* RegionRunner::saves() {
  if (!c_.owner().options.recompute || c_.sums_ != nullptr || isa() == Isa::None) return nullptr;
  return &saved_results();
}

const SavedResults& RegionRunner::saved_results() {
  if (saves_) return *saves_;
  std::vector<TensorImpl*> held;
  for (int32_t i : held_)
    if (TensorImpl* t = c_.slots[leaf_.pooled[static_cast<size_t>(i)].slot]; t->has(head::kAutograd)) held.push_back(t);
  SavedResults saved;  // whole, or not there at all
  saved.counts = count_saved(held, c_.nodes_since_);
  saved.only = live_;
  for (int32_t i : held_) {
    const Leaf::PooledSlot& p = leaf_.pooled[static_cast<size_t>(i)];
    if (p.root_index < 0) continue;
    const TensorImpl* t = c_.slots[p.slot];
    const auto n = saved.counts.find(t);
    if ((n == saved.counts.end() || n->second != t->count()) && !SINTER_MUTANT(held_results_deferred))
      saved.only[static_cast<size_t>(p.root_index) / 64] &= ~(1ull << (p.root_index % 64));
  }
  return saves_.emplace(std::move(saved));
}

std::vector<uint64_t> RegionRunner::materialised() const {
  std::vector<uint64_t> bits = live_;
  for (size_t r = 0; r < leaf_.roots.size(); ++r)
    if (c_.slots[leaf_.roots[r]]->storage->has(Storage::kDeferred)) bits[r / 64] &= ~(1ull << (r % 64));
  return bits;
}

void RegionRunner::count_saved_bytes(CloseRecord& record) {
  const SavedResults& saved = saved_results();
  for (size_t r = 0; r < leaf_.roots.size(); ++r) {
    const TensorImpl* t = c_.slots[leaf_.roots[r]];
    const int64_t bytes = t->numel * static_cast<int64_t>(element_size(t->dtype()));
    if (t->storage->has(Storage::kDeferred)) record.deferred_bytes += bytes;
    else if (saved.only[r / 64] >> (r % 64) & 1) record.saved_bytes += bytes;
  }
  for (const Storage* s : kept_) record.saved_bytes += static_cast<int64_t>(s->nbytes);
}

std::unique_ptr<Deferred> RegionRunner::prepare_deferred(const ProgramEntry& entry) {
  bool any = false;
  for (size_t i = 0; i < live_.size(); ++i) any |= (live_[i] & entry.deferred[i]) != 0;
  if (!any) return nullptr;
  auto deferred = Deferred::prepare(entry.recipe, c_.slots, c_.scalars);
  for (int32_t r : entry.kept) {
    if (is_live(r)) continue;
    kept_.push_back(c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage);
    live_[static_cast<size_t>(r) / 64] |= 1ull << (r % 64);
  }
  return deferred;
}

void RegionRunner::attach_deferred(const ProgramEntry& entry, std::unique_ptr<Deferred> deferred) {
  for (size_t i = 0; i < entry.recipe->outputs.size(); ++i)
    if (const int32_t r = entry.recipe->outputs[i].root; is_live(r))
      deferred->attach(i, c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage);
  Deferred::release(std::move(deferred));
}

std::vector<int64_t> RegionRunner::sizes_key() const {
  std::vector<int64_t> key;
  if (!leaf_.dynamic) return key;
  for (int32_t s : leaf_.inputs)
    for (int64_t d : c_.slots[s]->sizes) key.push_back(d);
  for (const Leaf::PooledSlot& p : leaf_.pooled) {  // runtime integers show in the results' geometry
    for (int64_t d : c_.slots[p.slot]->sizes) key.push_back(d);
    if (!p.view) continue;
    for (int64_t d : c_.slots[p.slot]->strides) key.push_back(d);
    key.push_back(c_.slots[p.slot]->offset - c_.slots[p.event->info->root]->offset);
  }
  key.insert(key.end(), c_.free_ints_.begin(), c_.free_ints_.end());
  return key;
}

void RegionRunner::check_inputs_unwritten() const {
  for (uint32_t i : c_.bound_.used()) {
    const BoundStorages::Entry& b = c_.bound_.at(i);
    if (b.storage->writes.load(std::memory_order_relaxed) == b.writes || SINTER_MUTANT(write_counters_not_checked)) continue;
    TensorImpl* t = c_.slots[b.first_slot];
    raise<ConcurrentWriteError>("{}: input {}{} was written by someone else between its use in the region and the region's end",
                                c_.owner().where(), dtype_name(t->dtype()), to_string(t->sizes));
  }
  if (c_.sums_ != nullptr) [[unlikely]]
    c_.sums_->check(c_.owner(), leaf_, c_.slots);
}

void RegionRunner::run_interpreter() {
  try {
    std::vector<bool> wanted(static_cast<size_t>(leaf_.end->info->n_slots_after), false);
    for (size_t r = 0; r < leaf_.roots.size(); ++r)
      wanted[static_cast<size_t>(leaf_.roots[r])] = is_live(static_cast<int32_t>(r));
    interpret(leaf_.path.data(), leaf_.path.size(), c_.slots, c_.scalars, c_.free_ints_.data(), &wanted);
  } catch (...) {
    for (const Leaf::PooledSlot& p : leaf_.pooled)
      if (!p.view) c_.slots[p.slot]->storage->release_bytes();
    throw;
  }
}

void RegionRunner::interpret_events() {
  Context::count(c_.counters.interpreted);
  run_interpreter();
  for (const Leaf::PooledSlot& p : leaf_.pooled)
    if (!p.view && !is_live(p.root_index)) c_.slots[p.slot]->storage->release_bytes();
}

void RegionRunner::run(const ProgramEntry& entry, const Program& program) {
  const uint64_t now = program_clock.load(std::memory_order_relaxed);
  if (program.use.last.load(std::memory_order_relaxed) != now) program.use.last.store(now, std::memory_order_relaxed);
  constexpr size_t kFew = 64;
  void* few_inputs[kFew];
  Storage* few_outputs[kFew];
  std::vector<void*> many_inputs;
  std::vector<Storage*> many_outputs;
  void** inputs = few_inputs;
  Storage** outputs = few_outputs;
  if (leaf_.inputs.size() > kFew) many_inputs.resize(leaf_.inputs.size()), inputs = many_inputs.data();
  if (entry.live_roots.size() > kFew) many_outputs.resize(entry.live_roots.size()), outputs = many_outputs.data();
  for (size_t i = 0; i < leaf_.inputs.size(); ++i) inputs[i] = c_.slots[leaf_.inputs[i]]->address();
  for (size_t i = 0; i < entry.live_roots.size(); ++i)
    outputs[i] = c_.slots[leaf_.roots[static_cast<size_t>(entry.live_roots[i])]]->storage;
  std::unique_ptr<Deferred> deferred;
  if (entry.recipe != nullptr) [[unlikely]]
    deferred = prepare_deferred(entry);
  const Program::Launch launch{inputs, c_.scalars, outputs};
  if (c_.sums_ == nullptr) [[likely]]
    program.run(launch);
  else run_verified({c_, leaf_, entry, program, c_.slots, c_.scalars, c_.free_ints_, live_, launch});
  for (int32_t r : entry.live_roots)  // the program made it for an earlier live set; nobody wants it now
    if (!is_live(r)) c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage->release_bytes();
  if (deferred) attach_deferred(entry, std::move(deferred));
}

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

void RegionRunner::publish(bool failed) noexcept {
  for (Storage* s : c_.written_inputs_)
    if (!SINTER_MUTANT(written_input_stays_pending)) s->pending_in.store(nullptr, std::memory_order_release);
  for (int32_t index : held_) {
    const Leaf::PooledSlot& p = leaf_.pooled[static_cast<size_t>(index)];
    if (p.root_index < 0) continue;  // a view of an input
    Storage* s = c_.slots[p.slot]->storage;
    if (s->has(Storage::kDeferred)) continue;
    if (failed && !SINTER_MUTANT(failed_result_not_marked)) s->set(Storage::kFailed);
    s->pending_in.store(nullptr, std::memory_order_release);
  }
  for (Storage* s : kept_) s->pending_in.store(nullptr, std::memory_order_release);
}

void RegionRunner::drop_orphaned_autograd() {
  for (const Leaf::PooledSlot& p : leaf_.pooled) {
    TensorImpl* t = c_.slots[p.slot];
    const uint64_t h = t->head.load(std::memory_order_acquire);
    if (static_cast<uint32_t>(h) == 0 && (h & head::kPooled) && (h & head::kAutograd)) dispose(t);
  }
}

void RegionRunner::give_away() noexcept {
  for (Storage* s : c_.dirty_pooled_)  // those that stay in the pool
    if (s->is_pending() && !SINTER_MUTANT(version_not_reset_at_close))
      s->version.store(0, std::memory_order_relaxed), s->writes.store(0, std::memory_order_relaxed);
  for (int32_t index : held_)  // views first: they take their references while the base still has the storage
    if (leaf_.pooled[static_cast<size_t>(index)].view) c_.release_pooled(*leaf_.pooled[static_cast<size_t>(index)].event);
  for (int32_t index : held_)
    if (!leaf_.pooled[static_cast<size_t>(index)].view) c_.release_pooled(*leaf_.pooled[static_cast<size_t>(index)].event);
  for (const Leaf::PooledSlot& p : leaf_.pooled)
    if (!p.view && is_live(p.root_index)) c_.renew_storage(*p.event);
  c_.dirty_pooled_.clear();
  c_.restore_strides();
}

// -- Context

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
    entry = obtain_program(*this, leaf, runner.live(), runner.saves(), runner.sizes_key(), made, compiled_now);
    made = false;
    if (entry != nullptr && !compiled_now) count(counters.replays);  // another thread compiled it meanwhile
  }
  return entry;
} catch (const std::bad_alloc&) { return nullptr; } catch (const OutOfMemoryError&) {
  return nullptr;
}

/// Without memory for it the next region is not verified.
inline void Context::choose_verification(bool closed) try {
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
      return runner.run(*entry, *held.program);
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

SavePlan Context::plan_saves(const Leaf& leaf, const std::vector<uint64_t>& live, const SavedResults& saves) const {
  return sinter::plan_saves(leaf, slots, free_ints_, live, saves.only, saves.counts);
}

Region Context::region_of(const Leaf& leaf, const std::vector<uint64_t>& live) const {
  return build_region(leaf, slots, scalars, free_ints_, live, region_name(*owner_, leaf));
}

void Context::reserve_pooled() {
  pooled_table_.resize(static_cast<size_t>(tries_->event_count()) + 64, nullptr);
  pooled = pooled_table_.data();
  n_pooled = static_cast<int32_t>(pooled_table_.size());
}

CompileStats Context::Counters::read() const {
  const auto of = [](const std::atomic<int64_t>& c) { return c.load(std::memory_order_relaxed); };
  return {of(regions_compiled), of(recompiles),      of(replays),  of(interpreted),
          of(eager_fallbacks),  of(backwards_taped), of(verified), of(verify_failures)};
}

namespace {
[[maybe_unused]] const bool hooks_are_set = [] {
  settle_pending = &Context::settle;
  bury_bound_tensor = &Graves::bury;
  return true;
}();
}  // namespace

Context::Context(std::shared_ptr<CompiledState> owner, std::shared_ptr<Tries> tries, uint64_t generation)
    : FrameBase(owner->id), owner_(std::move(owner)), tries_(std::move(tries)), generation_(generation) {
  static thread_local TensorPool pool;
  thread_ = this_thread_pool = &pool;
  cursor = &kNoEvent;
  reserve_slots(64);
  reserve_scalars(16);
  ContextRegistry::get().enroll(this);
}

Context::~Context() {
  ContextRegistry::get().leave(this);
  graves.empty(*this);
  free_pooled();
  owner_->add_stats(counters.read(), generation_);
}

void Context::free_pooled() {
  if (!tries_) return;
  for (TensorImpl* p : pooled_table_)
    if (p != nullptr && p->has(head::kAutograd)) dispose(p);  // another thread dropped its last handle
  {
    std::lock_guard lock(tries_->mutex);  // another thread may be recording; pooled storages run no deleters
    for (size_t id = 0; id < pooled_table_.size(); ++id) {
      TensorImpl* p = pooled_table_[id];
      if (p == nullptr) continue;
      if (!tries_->event(static_cast<int32_t>(id)).info->view) p->storage->release();  // views do not count while pooled
      delete p;
    }
  }
  pooled_table_.clear();
  pooled = nullptr;
  n_pooled = 0;
  cursor = &kNoEvent;
  entry_hint_ = nullptr;
  previous_leaf_ = nullptr;
  tries_.reset();
}

namespace {
/// A number no other frame of the process has; taken in blocks so that a frame costs no locked instruction.
uint32_t next_serial() {
  static std::atomic<uint32_t> blocks{0};
  static thread_local uint32_t next = 0;
  if ((next & 0xfff) == 0) next = blocks.fetch_add(1) << 12 | 1;
  return next++;
}
}  // namespace

bool Context::open() {
  const Inside inside(*this);
  if (!tries_) return false;
  serial_ = next_serial();
  graves.open();
  mode.note();
  bytes_at_open_ = thread_allocated_bytes();
  nodes_since_ = autograd::seq_now();
  regions_ = 0;
  if (entry_hint_ != nullptr) cursor = entry_hint_;
  choose_verification(false);
  previous_leaf_ = nullptr;
  listener_at_open_ = listener;
  is_open_ = true;
  current_frame = open_here = this;
  return true;
}

void Context::finish(Break reason, Loc loc) {
  struct Outside {
    Context& self;
    ~Outside() {
      {
        const HiddenFrame hidden;  // the deleters of buried inputs run now
        self.graves.close(self);
      }
      current_frame = open_here = nullptr;
    }
  } outside{*this};
  const Inside inside(*this);
  struct Ended {
    Context& self;
    ~Ended() { self.end_frame(); }
  } ended{*this};
  if (last != nullptr || eager_until_break_) close_region(reason, loc);
  if (previous_leaf_ != nullptr) previous_leaf_ = nullptr, cursor = &kNoEvent;
}

void Context::end_frame() noexcept {
  if (last != nullptr) fail_region();  // there was no memory for its close
  if (last != nullptr || eager_until_break_) reset_region(nullptr);
  eager_until_break_ = false;
  is_open_ = false;
  if (is_stale()) free_pooled();  // reset, or the Compiled has gone, while the frame was open
}

}  // namespace sinter
