#include "region_runner.h"
#include "../../runtime/frozen_weight.h"
#include "interpret.h"
#include "verify.h"

namespace sinter {

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
      drop_root(saved.only, p.root_index);
  }
  return saves_.emplace(std::move(saved));
}

RootBits RegionRunner::materialised() const {
  RootBits bits = live_;
  for (size_t r = 0; r < leaf_.roots.size(); ++r)
    if (c_.slots[leaf_.roots[r]]->storage->has(Storage::kDeferred)) drop_root(bits, r);
  return bits;
}

void RegionRunner::count_saved_bytes(CloseRecord& record) {
  const SavedResults& saved = saved_results();
  for (size_t r = 0; r < leaf_.roots.size(); ++r) {
    const TensorImpl* t = c_.slots[leaf_.roots[r]];
    if (t->storage->has(Storage::kDeferred)) record.deferred_bytes += t->nbytes();
    else if (has_root(saved.only, r)) record.saved_bytes += t->nbytes();
  }
  for (const Storage* s : kept_) record.saved_bytes += static_cast<int64_t>(s->nbytes);
}

std::unique_ptr<Deferred> RegionRunner::prepare_deferred(const ProgramEntry& entry) {
  bool any = false;
  for (size_t i = 0; i < live_.size(); ++i) any |= (live_[i] & entry.deferred[i]) != 0;
  if (!any) return nullptr;
  auto deferred = Deferred::prepare(entry.recipe, c_.slots, c_.scalars);
  for (int32_t r : entry.recipe->source_roots) {
    if (is_live(r)) continue;  // somebody holds it anyway, this time
    kept_.push_back(c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage);
    add_root(live_, r);
  }
  return deferred;
}

void RegionRunner::attach_deferred(const ProgramEntry& entry, std::unique_ptr<Deferred> deferred) {
  for (size_t i = 0; i < entry.recipe->outputs.size(); ++i)
    if (const int32_t r = entry.recipe->outputs[i].root; is_live(r))
      deferred->attach(i, c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage);
  Deferred::release(std::move(deferred));
}

const std::vector<int64_t>& RegionRunner::symbols_key() {
  if (symbols_key_) return *symbols_key_;
  std::vector<int64_t>& key = symbols_key_.emplace();
  for (const auto& [slot, dim] : leaf_.free_dims) key.push_back(c_.slots[slot]->sizes[static_cast<size_t>(dim)]);
  if (leaf_.free_ints) key.insert(key.end(), c_.free_ints_.begin(), c_.free_ints_.end());
  return key;
}

const std::vector<int64_t>& RegionRunner::sizes_key() {
  if (sizes_key_) return *sizes_key_;
  std::vector<int64_t>& key = sizes_key_.emplace();
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

void RegionRunner::run(const ProgramEntry& entry, const Program& program, RunCosts* costs) {
  const uint64_t now = program_clock.load(std::memory_order_relaxed);
  if (program.use.last.load(std::memory_order_relaxed) != now) program.use.last.store(now, std::memory_order_relaxed);
  constexpr size_t kFew = 64;
  void* few_inputs[kFew];
  Storage *few_outputs[kFew], *few_storages[kFew];
  std::vector<void*> many_inputs;
  std::vector<Storage*> many_outputs, many_storages;
  void** inputs = few_inputs;
  Storage **outputs = few_outputs, **storages = nullptr;
  if (leaf_.inputs.size() > kFew) many_inputs.resize(leaf_.inputs.size()), inputs = many_inputs.data();
  if (entry.live_roots.size() > kFew) many_outputs.resize(entry.live_roots.size()), outputs = many_outputs.data();
  for (size_t i = 0; i < leaf_.inputs.size(); ++i) inputs[i] = c_.slots[leaf_.inputs[i]]->address();
  if (FrozenWeight::any.load(std::memory_order_relaxed)) [[unlikely]] {
    storages = few_storages;
    if (leaf_.inputs.size() > kFew) many_storages.resize(leaf_.inputs.size()), storages = many_storages.data();
    for (size_t i = 0; i < leaf_.inputs.size(); ++i) storages[i] = c_.slots[leaf_.inputs[i]]->storage;
  }
  for (size_t i = 0; i < entry.live_roots.size(); ++i)
    outputs[i] = c_.slots[leaf_.roots[static_cast<size_t>(entry.live_roots[i])]]->storage;
  std::unique_ptr<Deferred> deferred;
  if (entry.recipe != nullptr) [[unlikely]]
    deferred = prepare_deferred(entry);
  const Program::Launch launch{inputs, c_.scalars, outputs, costs, layout_, storages};
  if (c_.sums_ == nullptr) [[likely]]
    program.run(launch);
  else run_verified({c_, leaf_, entry, program, c_.slots, c_.scalars, c_.free_ints_, live_, launch});
  for (int32_t r : entry.live_roots)  // the program made it for an earlier live set; nobody wants it now
    if (!is_live(r)) c_.slots[leaf_.roots[static_cast<size_t>(r)]]->storage->release_bytes();
  if (deferred) attach_deferred(entry, std::move(deferred));
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

}  // namespace sinter
