// Life of a context: made, opened for a call, ended, freed.
#include "context.h"
#include "../../runtime/allocator.h"
#include "../../runtime/mutants.h"
#include "../autograd/node.h"
#include "probe_region.h"
#include "region_builder.h"
#include "registry.h"
#include "report.h"
#include "verify.h"

namespace sinter {

SavePlan Context::plan_saves(const Leaf& leaf, const RootBits& live, const SavedResults& saves) const {
  return sinter::plan_saves(leaf, slots, free_ints_, live, saves.only, saves.counts);
}

Region Context::region_of(const Leaf& leaf, const RootBits& live) const {
  return build_region(leaf, slots, scalars, free_ints_, live, region_name(*owner_, leaf));
}

std::unique_ptr<SymbolicRegion> Context::symbolic_region_of(const Leaf& leaf, const RootBits& live, bool ones) const {
  const std::vector<SymbolDim> symbols = symbols_of(leaf, slots, ones);
  return symbols.empty() ? nullptr : symbolic_region_of(leaf, live, symbols);
}

std::unique_ptr<SymbolicRegion> Context::symbolic_region_of(const Leaf& leaf, const RootBits& live,
                                                            const std::vector<SymbolDim>& symbols) const {
  return make_symbolic_region(leaf, symbols, slots, scalars, free_ints_,
                              build_region(leaf, slots, scalars, free_ints_, live, region_name(*owner_, leaf)));
}

void Context::reserve_pooled() {
  pooled_table_.resize(static_cast<size_t>(tries_->event_count()) + 64, nullptr);
  pooled = pooled_table_.data();
  n_pooled = static_cast<int32_t>(pooled_table_.size());
}

CompileStats Context::Counters::read() const {
  const auto of = [](const std::atomic<int64_t>& c) { return c.load(std::memory_order_relaxed); };
  return {of(regions_compiled), of(recompiles), of(replays),  of(interpreted),    of(eager_fallbacks),
          of(backwards_taped),  of(layouts),    of(verified), of(verify_failures)};
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
