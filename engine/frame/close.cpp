// Closing a region: which results are still wanted, run the program (or interpret), give the live ones away.
#include <algorithm>
#include <bit>
#include <utility>
#include "../../runtime/allocator.h"
#include "../../runtime/env.h"
#include "../../runtime/log.h"
#include "compiled_state.h"
#include "context.h"
#include "interpret.h"
#include "region_builder.h"
#include "report.h"

namespace sinter {

std::atomic<int64_t> accumulated_variants{0};
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
      if (c_.slots[p->slot]->count() == 0) continue;
      held_.push_back(i);
      if (p->root_index >= 0) live_[static_cast<size_t>(p->root_index) / 64] |= 1ull << (p->root_index % 64);
    }
  }
  /// Nothing of the region can be seen any more: it need not run.
  bool is_dead() const { return held_.empty() && !leaf_.writes; }
  bool is_live(int32_t root) const { return live_[static_cast<size_t>(root) / 64] >> (root % 64) & 1; }

  const ProgramEntry* covering() const {
    for (const ProgramEntry* e = leaf_.programs.load(std::memory_order_acquire); e != nullptr; e = e->next)
      if (covers(*e)) return e;
    return nullptr;
  }

  /// Runs `entry`'s program, or the events by the interpreter when it has none (or entry is null).
  void run(const ProgramEntry* entry);
  /// Live results become plain tensors; the others keep their place in the pool. `failed`: their bytes never came.
  void give_away(bool failed);
  const std::vector<uint64_t>& live() const { return live_; }
  std::vector<int64_t> sizes_key() const;
  void check_inputs_unwritten() const;

 private:
  bool covers(const ProgramEntry& e) const {
    for (size_t i = 0; i < live_.size(); ++i)
      if (live_[i] & ~e.live[i]) return false;
    return e.isa == isa() && (!leaf_.dynamic || e.sizes_key == sizes_key());
  }
  void release(const Leaf::PooledSlot& p);
  void renew_storages();
  void run_interpreter();
  Context& c_;
  Leaf& leaf_;
  std::vector<uint64_t>& live_;
  std::vector<int32_t>& held_;  // results something still references, indices into Leaf::pooled
};

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
    if (b.storage->writes.load(std::memory_order_relaxed) == b.writes) continue;
    TensorImpl* t = c_.slots[b.first_slot];
    raise<ConcurrentWriteError>("{}: input {}{} was written by someone else between its use in the region and the region's end",
                                c_.owner().where(), dtype_name(t->dtype()), to_string(t->sizes));
  }
}

void RegionRunner::run_interpreter() {
  try {
    interpret(leaf_.path.data(), leaf_.path.size(), c_.slots, c_.scalars, c_.free_ints_.data());
  } catch (...) {
    for (const Leaf::PooledSlot& p : leaf_.pooled)
      if (!p.view) c_.slots[p.slot]->storage->release_bytes();
    throw;
  }
}

void RegionRunner::run(const ProgramEntry* entry) {
  if (entry == nullptr || entry->program == nullptr) {
    c_.owner().interpreted.fetch_add(1, std::memory_order_relaxed);
    run_interpreter();
    for (const Leaf::PooledSlot& p : leaf_.pooled)
      if (!p.view && !is_live(p.root_index)) c_.slots[p.slot]->storage->release_bytes();
    return;
  }
  constexpr size_t kFew = 64;
  void* few_inputs[kFew];
  Storage* few_outputs[kFew];
  std::vector<void*> many_inputs;
  std::vector<Storage*> many_outputs;
  void** inputs = few_inputs;
  Storage** outputs = few_outputs;
  if (leaf_.inputs.size() > kFew) many_inputs.resize(leaf_.inputs.size()), inputs = many_inputs.data();
  if (entry->live_roots.size() > kFew) many_outputs.resize(entry->live_roots.size()), outputs = many_outputs.data();
  for (size_t i = 0; i < leaf_.inputs.size(); ++i) {
    TensorImpl* t = c_.slots[leaf_.inputs[i]];
    inputs[i] = static_cast<char*>(t->storage->data) + t->offset * static_cast<int64_t>(element_size(t->dtype()));
  }
  for (size_t i = 0; i < entry->live_roots.size(); ++i)
    outputs[i] = c_.slots[leaf_.roots[static_cast<size_t>(entry->live_roots[i])]]->storage;
  entry->program->run({inputs, c_.scalars, outputs});
  for (int32_t r : entry->live_roots)  // the program made it for an earlier live set; nobody wants it now
    if (!is_live(r)) c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage->release_bytes();
}

void RegionRunner::release(const Leaf::PooledSlot& p) {
  TensorImpl* t = c_.slots[p.slot];
  if (p.view) t->storage->retain();
  // One atomic step makes it a plain tensor: another thread that drops the last handle at this moment either still saw it
  // pooled (then the count we get back is 0 and it stays ours) or destroys it as usual.
  const uint64_t before = t->head.fetch_sub(head::kPooled, std::memory_order_acq_rel);
  if (static_cast<uint32_t>(before) == 0) {
    if (p.view) t->storage->release();
    t->head.fetch_or(head::kPooled, std::memory_order_relaxed);
    return;
  }
  c_.pooled[p.event->id] = nullptr;
}

void RegionRunner::give_away(bool failed) {
  for (Storage* s : c_.written_inputs_) s->pending_in.store(nullptr, std::memory_order_release);
  for (int32_t index : held_) {
    const Leaf::PooledSlot& p = leaf_.pooled[static_cast<size_t>(index)];
    if (p.root_index < 0) continue;  // a view of an input
    Storage* s = c_.slots[p.slot]->storage;
    s->pending_in.store(nullptr, std::memory_order_release);
    if (failed) s->flags |= Storage::kFailed;
  }
  for (Storage* s : c_.dirty_pooled_)  // those that stay in the pool
    if (s->is_pending()) s->version.store(0, std::memory_order_relaxed), s->writes.store(0, std::memory_order_relaxed);
  for (int32_t index : held_)  // views first: they take their references while the base still has the storage
    if (leaf_.pooled[static_cast<size_t>(index)].view) release(leaf_.pooled[static_cast<size_t>(index)]);
  for (int32_t index : held_)
    if (!leaf_.pooled[static_cast<size_t>(index)].view) release(leaf_.pooled[static_cast<size_t>(index)]);
  renew_storages();
}

/// Where only views of a result live on, they keep its storage and the pool gets a fresh one.
void RegionRunner::renew_storages() {
  for (size_t w = 0; w < live_.size(); ++w)
    for (uint64_t bits = live_[w]; bits != 0; bits &= bits - 1) {
      TensorImpl* t = c_.slots[leaf_.roots[w * 64 + static_cast<size_t>(std::countr_zero(bits))]];
      if (!t->has(head::kPooled) || t->storage->is_pending()) continue;
      Storage* s = std::exchange(t->storage, Storage::empty());
      t->storage->pending_in.store(&c_, std::memory_order_relaxed);
      s->release();
    }
}

// -- Context

void Context::materialise(Storage& storage, Loc loc) {
  if (current_frame != this)
    raise<ForeignThreadError>(
        "a value was read that is pending in another thread's compiled call; finish that call first ({}:{})", loc.file, loc.line);
  (void)storage;
  close(Break::value_read, loc);
}

void Context::mutable_pointer(TensorImpl* t, Loc loc) {
  close(Break::data_pointer, loc);
  t->storage->immediate_in_frame = serial_;
}

void Context::resume() {
  eager_until_break_ = false;
  reset_region(nullptr);
}

void Context::close(Break reason, Loc loc) {
  if (eager_until_break_) return reason == Break::frame_end || reason == Break::recompile_limit ? void() : resume();
  if (last == nullptr) return;
  if (loc.line == 0) loc = last->info->loc;  // an exception, the frame's end: after this operator
  if (!recording_.empty()) {
    last = tries_->merge(recording_base_, recording_, [&](Event* draft, Event* existing) {
      // Another thread was first: its event stands for ours, our result object moves to its place.
      if (existing->id >= n_pooled || draft->id >= n_pooled) reserve_pooled();
      std::swap(pooled[draft->id], pooled[existing->id]);
    });
  }
  bool made = false;
  if (aliases_.size() > 1)
    std::sort(aliases_.begin(), aliases_.end(), [](const auto& a, const auto& b) { return a.slot < b.slot; });
  Leaf* leaf = tries_->leaf_of(last, aliases_, reason, loc, made);
  const HiddenFrame hidden;
  RegionRunner runner(*this, *leaf);
  runner.find_live();
  // From here the region is consumed: whatever happens below, its events are not executed a second time.
  CloseRecord record{reason, loc, leaf->number, static_cast<int32_t>(leaf->path.size()), false, false, {}};
  std::exception_ptr failure;
  try {
    if (!runner.is_dead()) runner.check_inputs_unwritten();
    const ProgramEntry* entry = runner.covering();
    if (entry == nullptr && reason != Break::recompile_limit) {  // at the limit the prefix is interpreted, nothing new is kept
      bool compiled_now = false;
      entry = obtain_program(*this, *leaf, runner.live(), runner.sizes_key(), made, compiled_now);
      record.compiled_now = compiled_now;
    } else if (entry != nullptr) {
      owner_->replays.fetch_add(1, std::memory_order_relaxed);
    }
    record.interpreted = entry == nullptr || entry->program == nullptr;
    if (listener != nullptr) record.live_outs = name_live_outs(*leaf, runner.live());
    if (!runner.is_dead()) {
      const UnderMode of_region(CpuMode::of_key(leaf->end->key));
      runner.run(entry);
    }
  } catch (...) { failure = std::current_exception(); }
  const bool first_of_its_kind = (made || reason != leaf->reason) && reason != Break::frame_end;
  if (first_of_its_kind && log_enabled(LogTopic::Breaks)) [[unlikely]]  // where() formats
    log(LogTopic::Breaks, "graph break in {} at {}: {} ({}). The region before it has {} operators. {}", owner_->where(),
        place(loc), break_info(reason).text, break_info(reason).name, leaf->path.size(), break_info(reason).hint);
  if (listener != nullptr) listener->push_back(std::move(record));
  runner.give_away(failure != nullptr);
  reset_region(leaf);
  if (failure) std::rethrow_exception(failure);
  if (owner_->options.fullgraph && reason != Break::frame_end && reason != Break::exception)
    raise<GraphBreakError>("{} is compiled with fullgraph, but there is a graph break at {}:{}: {}. {}", owner_->where(),
                           loc.file, loc.line, break_info(reason).text, break_info(reason).hint);
}

void Context::reset_region(Leaf* leaf) {
  last = nullptr;
  recording_.clear();
  recording_base_ = nullptr;
  shadow_parent_ = nullptr;
  slot_roots_.clear();
  free_ints_.clear();
  bound_.clear();
  bound_impls_.clear();
  borrowed_inputs_.clear();
  aliases_.clear();
  written_inputs_.clear();
  dirty_pooled_.clear();
  close_after_call_ = false;
  bytes_at_open_ = thread_allocated_bytes();
  if (leaf != nullptr && previous_leaf_ != nullptr &&
      previous_leaf_->successor.load(std::memory_order_relaxed) != leaf->path.front())
    previous_leaf_->successor.store(leaf->path.front(), std::memory_order_relaxed);
  if (leaf != nullptr && previous_leaf_ == nullptr) entry_hint_ = leaf->path.front();
  previous_leaf_ = leaf;
  Event* hint = leaf != nullptr ? leaf->successor.load(std::memory_order_relaxed) : nullptr;
  cursor = hint != nullptr ? hint : &kNoEvent;
  graves.empty(*this);
}

Region Context::region_of(const Leaf& leaf, const std::vector<uint64_t>& live) const {
  return build_region(leaf, slots, scalars, free_ints_, live, fmt::format("{}_r{}", owner_->options.name, leaf.number));
}

void Context::reserve_pooled() {
  pooled_table_.resize(static_cast<size_t>(tries_->event_count()) + 64, nullptr);
  pooled = pooled_table_.data();
  n_pooled = static_cast<int32_t>(pooled_table_.size());
}

Context::Context(std::shared_ptr<CompiledState> owner, std::shared_ptr<Tries> tries)
    : owner_(std::move(owner)), tries_(std::move(tries)) {
  static thread_local TensorPool pool;
  this_thread_pool = &pool;
  cursor = &kNoEvent;
  reserve_slots(64);
  reserve_scalars(16);
  Graves::enroll(this);
}

Context::~Context() {
  Graves::leave(this);
  std::lock_guard lock(tries_->mutex);  // another thread may be recording; pooled storages run no deleters
  for (size_t id = 0; id < pooled_table_.size(); ++id) {
    TensorImpl* p = pooled_table_[id];
    if (p == nullptr) continue;
    if (!tries_->event(static_cast<int32_t>(id)).info->view) p->storage->release();  // views do not count while pooled
    delete p;
  }
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

void Context::open() {
  serial_ = next_serial();
  graves.open();
  mode.note();
  bytes_at_open_ = thread_allocated_bytes();
  if (entry_hint_ != nullptr) cursor = entry_hint_;
  previous_leaf_ = nullptr;
  current_frame = this;
}

void Context::finish(Break reason, Loc loc) {
  struct Out {
    Context* self;
    ~Out() {
      if (!self->bound_impls_.empty() || self->eager_until_break_)
        self->reset_region(nullptr);  // a call that threw while binding
      self->eager_until_break_ = false;
      {
        const HiddenFrame hidden;  // the deleters of buried inputs run now
        self->graves.close(*self);
      }
      current_frame = nullptr;
    }
  } out{this};
  if (last != nullptr || eager_until_break_) close(reason, loc);
  if (previous_leaf_ != nullptr) previous_leaf_ = nullptr, cursor = &kNoEvent;
}

}  // namespace sinter
