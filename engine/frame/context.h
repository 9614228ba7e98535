// The state of one Compiled on one thread: where the replay stands, what its slots hold, the pooled results.
#pragma once
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>
#include "../ambient.h"
#include "../program/costs.h"
#include "../program/program_slot.h"
#include "../tensor.h"
#include "compiled_state.h"
#include "cpu_mode.h"
#include "graves.h"
#include "safepoint.h"

namespace sinter {

class RegionRunner;
struct SavedResults;
struct SavePlan;
class InputSums;
namespace autograd {
struct Node;
}

/// Tag of a thread: pooled tensors carry it, so that their thread may drop them without a locked instruction.
struct TensorPool {};

/// What happened at one close, collected while explain() listens.
struct CloseRecord {
  static constexpr int32_t kNoRegion = -1;  // operators that ran eager where none was open
  Break reason;
  Loc loc;
  int32_t region;
  int32_t n_ops;
  bool interpreted, compiled_now;
  std::vector<std::string> guards, live_outs;
  int64_t saved_bytes = 0, deferred_bytes = 0;  // of results only autograd holds: kept, computed again
  bool listening = false;                       // somebody wants to know:
  RunCosts costs{};                             // of the program's run
};

/// Storages of the inputs bound in the open region, found by address. Reset in O(1).
class BoundStorages {
 public:
  struct Entry {
    Storage* storage;
    uint64_t epoch;   // 64 bits: 32 are used up within hours
    uint32_t writes;  // the storage's write counter, as this region expects it at the close
    int32_t first_slot;
  };
  BoundStorages() : table_(64) {}
  Entry* find(Storage* s) {
    for (size_t i = home(s);; i = (i + 1) & mask_) {
      Entry& e = table_[i];
      if (e.epoch != epoch_) return nullptr;
      if (e.storage == s) return &e;
    }
  }
  /// Adds a storage that is not there.
  void insert(Storage* s, int32_t slot) { (void)try_insert(s, slot); }
  /// False when it is there.
  bool try_insert(Storage* s, int32_t slot) {
    if (used_.size() * 2 >= table_.size()) [[unlikely]]
      grow();
    size_t i = home(s);
    for (; table_[i].epoch == epoch_; i = (i + 1) & mask_)
      if (table_[i].storage == s) return false;
    used_.push_back(static_cast<uint32_t>(i));
    table_[i] = {s, epoch_, s->writes.load(std::memory_order_relaxed), slot};
    return true;
  }
  /// Removes the storages that were inserted last, those first bound to `slot` or a later one.
  void forget_from(int32_t slot) noexcept {
    for (; !used_.empty() && table_[used_.back()].first_slot >= slot; used_.pop_back()) table_[used_.back()].epoch = 0;
  }
  void clear() { ++epoch_, used_.clear(); }
  const std::vector<uint32_t>& used() const { return used_; }
  Entry& at(uint32_t i) { return table_[i]; }

 private:
  size_t home(Storage* s) const { return (reinterpret_cast<uintptr_t>(s) >> 6) * 0x9e3779b97f4a7c15ull >> shift_; }
  void grow();
  std::vector<Entry> table_;
  std::vector<uint32_t> used_;  // indices of this epoch's entries
  uint64_t epoch_ = 1;          // 0 in entries that were removed
  int shift_ = 58;
  size_t mask_ = 63;
};

class Context final : public FrameBase {
 public:
  Context(std::shared_ptr<CompiledState> owner, std::shared_ptr<Tries> tries, uint64_t generation);
  ~Context();

  // -- the replay path (replay.cpp); public because dispatch inlines its first compare
  Event* cursor = nullptr;        // next expected event; never null (a sentinel that matches nothing)
  TensorImpl** slots = nullptr;   // what each slot of the open region is
  TensorImpl** pooled = nullptr;  // result object of each event, by event id
  int32_t n_pooled = 0;
  Scalar* scalars = nullptr;  // value scalars of the open region
  Event* last = nullptr;      // last event of the open region, null when it is empty
  CpuMode mode;               // of the open region
  /// The thread's state that is part of every event.
  uint32_t ambient_bits() const { return ambient::word | mode.bits(); }

  /// The event at the cursor matched a plain call: its result.
  Tensor hand_out(Event* e) {
    TensorImpl* p = e->id < n_pooled ? pooled[e->id] : nullptr;
    if (p == nullptr) [[unlikely]]
      p = make_pooled(e);
    p->head.store(e->head, std::memory_order_relaxed);
    slots[e->out] = p;
    last = e;
    Event* n = e->next.load(std::memory_order_acquire);
    cursor = n != nullptr ? n : &kNoEvent;
    return Tensor::adopt(p);
  }
  /// The same for a kViewOnly event.
  Tensor hand_out_view(Event* e, const TensorImpl* base) {
    Tensor result = hand_out(e);
    result.impl()->storage = base->storage;  // not counted while pooled: the base is bound or pooled until the close
    result.impl()->offset = base->offset + e->info->meta.offset;
    return result;
  }
  /// The same for an event that builds an autograd node.
  Tensor hand_out_tracked(Event* e, const OpCall& c);
  /// The event at the cursor is this call but for first uses of inputs: compares and binds these. False: nothing was done.
  bool bind_inputs(const Event& e, TensorImpl* const* in, int n);
  /// The event at the cursor is this in-place call, with nothing to be careful about: done. False: nothing was done.
  bool replay_write(const OpCall& c);
  /// Whether the region must be closed after the call being replayed.
  bool close_is_due() const { return close_after_call_; }
  /// Whether views of the open region may have other strides and offsets than the recorded ones.
  bool strides_differ() const { return strides_differ_; }
  void close_now(Loc loc);
  /// An operator that no region may have: ends the open one, says why, and runs eager (eager_call). @throws GraphBreakError under
  /// fullgraph.
  Tensor run_outside(const OpCall& c, Break reason, autograd::Node** made);
  int32_t scalar_capacity() const { return scalar_capacity_; }
  /// Any call: careful replay, else recording.
  Tensor call(const OpCall& c);

  // -- frame
  /// False: what it knew was forgotten (reset), another context is needed.
  bool open();
  void finish(Break reason, Loc loc);  // frame_end or exception; the context is no longer current
  void close(Break reason, Loc loc);
  /// settle_pending: closes the region in which `storage` is pending, in this thread's frame or another's.
  static void settle(Storage& storage, Loc loc);
  /// Regions that fell back to eager are tried again where a value is read.
  void value_read();
  void mutable_pointer(TensorImpl* t, Loc loc);
  void borrowed_here(TensorImpl* t) { t->storage->immediate_in_frame.store(serial_, std::memory_order_relaxed); }
  Graves graves;  // inputs dropped while the region still reads them

  // -- other threads
  /// The owner is in the engine while one of these lives.
  class Inside {
   public:
    explicit Inside(Context& c) : context_(c), outer_(c.safepoint_.depth()) {
      if (c.safepoint_.enter(outer_)) [[unlikely]]
        c.attend(outer_);
    }
    ~Inside() { context_.safepoint_.leave(outer_); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Context& context_;
    const uint32_t outer_;
  };
  /// The context whose frame is open on this thread, also while the frame is hidden.
  static constinit thread_local Context* open_here;
  /// Frees everything recorded, if no frame is open; else the frame does so when it ends. Any thread.
  void forget();
  std::atomic<int> pins{0};  // ContextRegistry

  /// Counters are added up by CompiledState::stats(): a counter shared by threads would be a line they fight for.
  struct Counters {
    std::atomic<int64_t> regions_compiled{0}, recompiles{0}, replays{0}, interpreted{0}, eager_fallbacks{0}, backwards_taped{0},
        layouts{0}, verified{0}, verify_failures{0};
    CompileStats read() const;
  } counters;
  static void count(std::atomic<int64_t>& c) { c.store(c.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed); }
  uint64_t generation() const { return generation_; }
  /// Of the open region: no other region of the process has it.
  uint64_t region_id() const { return uint64_t{serial_} << 32 | regions_; }
  /// The open region is a replay so far, of published events.
  bool may_tape() const { return last != nullptr && recording_.empty() && !eager_until_break_; }

  CompiledState& owner() const { return *owner_; }
  const std::string& miss_reason() const { return miss_reason_; }
  /// What of `live` to keep for backward, in this call's geometry.
  SavePlan plan_saves(const Leaf& leaf, const RootBits& live, const SavedResults& saves) const;
  /// The region of a leaf with the geometry of this call.
  Region region_of(const Leaf& leaf, const RootBits& live) const;
  /// The same with its free dimensions as symbols: those that are equal in this call (`ones`: see make_symbolic_region), or given
  /// ones. Null: it has no such form.
  std::unique_ptr<SymbolicRegion> symbolic_region_of(const Leaf& leaf, const RootBits& live, bool ones) const;
  std::unique_ptr<SymbolicRegion> symbolic_region_of(const Leaf& leaf, const RootBits& live,
                                                     const std::vector<SymbolDim>& symbols) const;
  const std::shared_ptr<Tries>& tries() const { return tries_; }
  static constinit thread_local std::vector<CloseRecord>* listener;  // explain() on this thread
  std::vector<CloseRecord>* current_listener() const { return current_frame == this ? listener : listener_at_open_; }
  TensorImpl* const* arguments = nullptr;  // the call's tensor arguments, for names in reasons
  int n_arguments = 0;
  static Event kNoEvent;

  /// What guards compare of a tensor's head. Another thread's pooled tensor is an input like any other once it has its bytes. A
  /// view learns only when it is used that its base has come to require grad: here.
  static uint64_t guard_head(TensorImpl* t) {
    const uint64_t h = t->head.load(std::memory_order_relaxed);
    if ((h & (head::kAutograd | head::kRequiresGrad)) == head::kAutograd || (h & head::kPooled)) [[unlikely]]
      return unusual_guard_head(t);
    return h & head::kGuardMask;
  }
  static uint64_t unusual_guard_head(TensorImpl* t);

 private:
  friend class RegionRunner;
  friend class TapedBackward;
  friend class ForkLocks;
  static bool fast_guard_holds(const FastGuard& g, TensorImpl& t);
  void commit_unheld(Event* e);
  bool bind_matched_inputs(const Event& e, TensorImpl* const* in, int n);
  TensorImpl* new_pooled(Event* e);
  // replay.cpp
  Tensor call_inside(const OpCall& c);
  bool matches(const Event& e, uint64_t key, const OpCall& c);
  bool guard_holds(const InputGuard& g, TensorImpl* t, const OpCall& c, int operand, const Event& e);
  Tensor commit(Event* e, const OpCall& c);
  Tensor commit_inferred(Event* e, const OpCall& c);
  Tensor finish_call(Event* e, const OpCall& c, Tensor result);
  int views_without_grad(const TensorImpl* written) const;
  void commit_write(Event* e, TensorImpl* self);
  bool write_needs_care(const OpCall& c) const;
  void bind(TensorImpl* t, int32_t slot);
  void take_input(TensorImpl* t, int32_t slot, BoundStorages::Entry* same);
  /// Neither pending elsewhere nor failed: what is, is refused where recording would begin, with eager's error.
  bool bindable(const TensorImpl* t) const {
    const FrameBase* pending = t->storage->pending_in.load(std::memory_order_acquire);
    return (pending == nullptr || pending == this) && !t->storage->has(Storage::kFailed);
  }
  void note_aliases(TensorImpl* t, int32_t slot, BoundStorages::Entry* same_storage);
  TensorImpl* make_pooled(Event* e);
  Event* first_candidate() const;
  // record.cpp
  Tensor diverge(const OpCall& c, uint64_t key);
  Event* record(const OpCall& c, uint64_t key, const TensorMeta& meta);
  void fill_operands(Event* e, const OpCall& c);
  void note_guard_only(Event* e, const OpCall& c);
  void generalise(Event* e, const OpCall& c);
  void generalise_guards(EventInfo& info, const EventInfo& old);
  void generalise_ints(EventInfo& info, const EventInfo& old);
  void free_asked_dims(EventInfo& info, const OpCall& c, bool first);
  void guess_ints(EventInfo& info);
  bool begin_recording(const OpCall& c, uint64_t key);
  const Event* shadow_of(const Event& draft) const;
  bool refused(Entry& entry, const OpCall& c);
  Tensor run_eager_from_here(const OpCall& c);
  bool is_bound(TensorImpl* t) const;
  int32_t known_slot(TensorImpl* t) const;
  int32_t root_of_slot(int32_t slot);
  void reserve_slots(int32_t n) {
    if (n > slot_capacity_) [[unlikely]]
      grow_slots(n);
  }
  void reserve_scalars(int32_t n) {
    if (n > scalar_capacity_) [[unlikely]]
      grow_scalars(n);
  }
  void grow_slots(int32_t n);
  void grow_scalars(int32_t n);
  void reserve_pooled();
  // unwind.cpp
  void undo_call() noexcept;
  void fail_region() noexcept;
  template <class F>
  void for_each_event(F&& f) const;
  // close.cpp
  bool refuses_breaks() const;
  [[noreturn]] void refuse_break(Break reason, Loc loc) const;
  void release_pooled(const Event& e) noexcept;
  void renew_storage(const Event& e) noexcept;
  void restore_strides() noexcept;
  void close_region(Break reason, Loc loc);
  void execute(RegionRunner& runner, Leaf& leaf, Break reason, bool made, CloseRecord& record);
  const ProgramEntry* find_program(RegionRunner& runner, Leaf& leaf, Break reason, bool& made, bool& compiled_now);
  void end_frame() noexcept;
  void reset_region(Leaf* leaf);
  void choose_verification(bool closed);
  void resume();
  // visit.cpp
  void attend(uint32_t outer);
  static void visit(Storage& storage, Loc loc);
  void settle_foreign(const OpCall& c);
  void give_away_visited();
  void free_pooled();
  bool is_stale() const { return generation_ != owner_->generation(); }

  Safepoint safepoint_;
  std::shared_ptr<CompiledState> owner_;
  std::shared_ptr<Tries> tries_;  // null once forgotten
  const uint64_t generation_;     // of the owner
  const TensorPool* thread_ = nullptr;
  RunningProgram running_;
  std::vector<TensorImpl*> slot_table_, pooled_table_;
  std::vector<Scalar> scalar_table_;
  BoundStorages bound_;
  std::vector<TensorImpl*> bound_impls_;      // by input number
  std::vector<TensorImpl*> borrowed_inputs_;  // those over foreign memory
  std::vector<Tensor> foreign_inputs_;        // those from another thread's pool, which must not take them back
  std::vector<AliasRelation> aliases_;
  std::vector<Storage*> written_inputs_, dirty_pooled_;
  std::vector<const Event*> restrided_;   // pooled views that do not have their recorded strides
  std::unique_ptr<InputSums> sums_;       // set: the open region is one that SINTER_VERIFY checks
  std::vector<int32_t> held_;             // of the region being closed; kept for its memory
  RootBits live_words_;                   // of the region being closed; kept for its memory
  std::vector<int64_t> free_ints_;        // runtime integers of the open region, in call order
  Leaf* previous_leaf_ = nullptr;         // of the region before, in this frame
  std::vector<Event*> recording_;         // private until the close
  std::vector<int32_t> slot_roots_;       // while recording: owner of each slot's storage, -1 not looked up yet
  std::vector<char> dynamic_slots_;       // while recording: the slot's sizes are generalised
  Event* recording_base_ = nullptr;       // event (or virtual root) below which the recording grows
  std::vector<VaryingDim> varying_;       // while recording: input dims that differ from the branch left
  const Event* shadow_parent_ = nullptr;  // its children are the branch that recording stays aligned with
  std::string miss_reason_;
  Event* entry_hint_ = nullptr;
  int64_t bytes_at_open_ = 0;
  uint64_t nodes_since_ = 0;  // sequence number of the first autograd node that the open region can have made
  uint32_t serial_ = 0;
  uint32_t regions_ = 0;                                  // opened in this frame
  std::vector<CloseRecord>* listener_at_open_ = nullptr;  // explain() of the owner
  Leaf* visited_leaf_ = nullptr;                          // closed by a visitor; results are still to be given away
  bool is_open_ = false;
  bool close_after_call_ = false;
  bool strides_differ_ = false;  // of an input of the open region, in a dimension of size 1
  bool eager_until_break_ = false;
  int32_t slot_capacity_ = 0, scalar_capacity_ = 0;
  int32_t n_slots_ = 0, n_scalars_ = 0, n_inputs_ = 0;  // of the open region, while recording
  Entry* recording_entry_ = nullptr;
};

/// Takes the open frame out of sight while the engine does its own work: what enters the engine meanwhile (deleters, hooks)
/// runs eager, compiled calls included.
class HiddenFrame {
 public:
  HiddenFrame() : frame_(std::exchange(current_frame, nullptr)) { ++depth; }
  ~HiddenFrame() {
    --depth;
    current_frame = frame_;
  }
  HiddenFrame(const HiddenFrame&) = delete;
  HiddenFrame& operator=(const HiddenFrame&) = delete;
  static constinit thread_local int depth;

 private:
  FrameBase* frame_;
};

inline Context* current_context() { return static_cast<Context*>(current_frame); }

}  // namespace sinter
