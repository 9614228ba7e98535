#include "verify.h"
#include <cstring>
#include <new>
#include "../../runtime/env.h"
#include "../../runtime/error.h"
#include "../../runtime/log.h"
#include "context.h"
#include "element_runs.h"
#include "interpret.h"
#include "report.h"
#include "verify_report.h"

namespace sinter {
namespace {

constexpr int64_t kGemmUlps = 64;
std::atomic<uint64_t> regions_closed{0};

uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15ull;
  return h ^ h >> 32;
}

/// Four lanes, so that the multiplications overlap.
uint64_t checksum(uint64_t h, const char* p, size_t bytes) {
  uint64_t lane[4] = {h, h + 1, h + 2, h + 3}, word[4];
  for (; bytes >= sizeof word; p += sizeof word, bytes -= sizeof word) {
    std::memcpy(word, p, sizeof word);
    for (int i = 0; i < 4; ++i) lane[i] = mix(lane[i], word[i]);
  }
  std::memset(word, 0, sizeof word);
  std::memcpy(word, p, bytes);
  for (int i = 0; i < 4; ++i) h = mix(h, mix(lane[i], word[i]));
  return h;
}

uint64_t checksum(const TensorImpl& t) {
  uint64_t h = 0;
  const char* p = t.address();
  for_each_run(t, [&](int64_t at, int64_t bytes) { h = checksum(h, p + at, static_cast<size_t>(bytes)); });
  return h;
}

int64_t interval() {
  int64_t n = verify_interval.load(std::memory_order_relaxed);
  if (n >= 0) return n;
  n = env().verify;
  int64_t unset = -1;
  return verify_interval.compare_exchange_strong(unset, n) ? n : unset;
}

}  // namespace

// -- inputs

void InputSums::add(const TensorImpl& t, int32_t slot) {
  if (t.numel <= kMostVerifiedBytes / static_cast<int64_t>(element_size(t.dtype()))) sums_.emplace_back(slot, checksum(t));
}

void InputSums::check(const CompiledState& owner, const Leaf& leaf, TensorImpl* const* slots) const {
  for (const auto& [slot, sum] : sums_) {
    if (checksum(*slots[slot]) == sum) continue;
    for (const Event* e : leaf.path)
      for (const InputGuard& g : e->info->guards)
        if (g.slot == slot)
          warn(fmt::format("SINTER_VERIFY: {}: bytes of the input {}{} of {} ({}) were written through a raw pointer after that "
                           "operator and before the region's end; the operator computes with the new bytes",
                           owner.where(), dtype_short_name(slots[slot]->dtype()), to_string(slots[slot]->sizes), event_name(*e),
                           place(e->info->loc)),
               fmt::format("verify input {} {} {}", owner.id, leaf.number, slot));
  }
}

std::unique_ptr<InputSums> choose_next_region(bool closed) {
  const auto n = static_cast<uint64_t>(interval());
  if (n == 0) return nullptr;
  const uint64_t next =
      closed ? regions_closed.fetch_add(1, std::memory_order_relaxed) + 1 : regions_closed.load(std::memory_order_relaxed);
  return mix(1, next / n) % n == next % n ? std::make_unique<InputSums>() : nullptr;
}

// -- the run

namespace {

/// Roots whose values come from a matrix product, directly or through others.
std::vector<bool> after_products(const Leaf& leaf, const PrivateRegion& copies) {
  std::vector<bool> loose(static_cast<size_t>(leaf.end->info->n_slots_after), false);
  for (const Event* e : leaf.path) {
    bool any = op_info(op_of(*e)).kind == OpKind::Gemm;
    for (int32_t s : e->info->in) any |= s >= 0 && loose[static_cast<size_t>(copies.root(s))];
    if (any) loose[static_cast<size_t>(copies.root(e->out))] = true;
  }
  return loose;
}

class Comparison {
 public:
  Comparison(const VerifiedRun& run, const PrivateRegion& copies)
      : run_(run), copies_(copies), loose_(after_products(run.leaf, copies)) {
    for (const Event* e : run.leaf.path)
      if (e->info->inplace) written_.push_back(copies.root(e->out));
  }

  /// Every difference, as text; empty when there is none.
  std::string differences() const {
    std::string text;
    for_each_outcome([&](const TensorImpl& compiled, const TensorImpl& eager, int32_t slot, const auto& name) {
      const auto d = find_difference(compiled, eager, loose_[static_cast<size_t>(slot)] ? kGemmUlps : 0);
      if (d) text += "\n  " + describe(*d, name(), compiled);
    });
    return text;
  }
  /// Puts the eager values where the program's are.
  void replace() const {
    for_each_outcome(
        [&](const TensorImpl& compiled, const TensorImpl& eager, int32_t, const auto&) { copy_elements(eager, compiled); });
  }

 private:
  /// f(the program's, the interpreter's, slot, name()).
  template <class F>
  void for_each_outcome(F f) const {
    const Leaf& leaf = run_.leaf;
    for (const Leaf::PooledSlot& p : leaf.pooled) {
      if (p.view || !has_root(run_.live, p.root_index)) continue;
      f(*run_.slots[p.slot], *copies_.slots()[p.slot], p.slot,
        [&] { return fmt::format("the result of {} ({})", event_name(*p.event), place(p.event->info->loc)); });
    }
    for (size_t i = 0; i < leaf.inputs.size(); ++i) {
      const int32_t s = leaf.inputs[i];
      const bool written = std::find(written_.begin(), written_.end(), s) != written_.end();
      f(*run_.slots[s], *copies_.slots()[s], s,
        [&] { return fmt::format("input {}, {},", i, written ? "written in place" : "only read"); });
    }
  }

  const VerifiedRun& run_;
  const PrivateRegion& copies_;
  std::vector<bool> loose_;
  std::vector<int32_t> written_;
};

void release_results(const VerifiedRun& run) {
  for (size_t i = 0; i < run.entry.live_roots.size(); ++i) run.launch.outputs[i]->release_bytes();
}

void fail(const VerifiedRun& run, const PrivateRegion& copies, const std::string& what) {
  run.program.withdraw();
  Context::count(run.context.counters.verify_failures);
  report_difference(run, copies, what);
}

/// Interprets on the copies and compares. @throws OutOfMemoryError, std::bad_alloc before the program's values are touched.
void verify(const VerifiedRun& run, const PrivateRegion& copies) {
  const Comparison comparison(run, copies);
  try {
    interpret(run.leaf.path.data(), run.leaf.path.size(), copies.slots(), run.scalars, run.free_ints.data());
  } catch (const OutOfMemoryError&) { throw; } catch (const Error& e) {  // the program has not thrown, eager does
    comparison.replace();
    release_results(run);
    fail(run, copies, fmt::format("\n  eager throws: {}", e.what()));
    throw;
  }
  if (!copies.inputs_unwritten(run.leaf, run.slots)) return;  // by another thread, since they were copied
  Context::count(run.context.counters.verified);
  const std::string what = comparison.differences();
  if (what.empty()) return;
  comparison.replace();  // before the report, which may want memory
  fail(run, copies, what);
}

}  // namespace

void run_verified(const VerifiedRun& run) {
  std::unique_ptr<PrivateRegion> copies;
  try {
    copies = std::make_unique<PrivateRegion>(run.leaf, run.slots, !env().debug_dir.empty());
  } catch (const OutOfMemoryError&) {
  } catch (const std::bad_alloc&) {}
  run.program.run(run.launch);
  if (copies == nullptr) return;
  try {
    verify(run, *copies);
  } catch (const OutOfMemoryError&) {
  } catch (const std::bad_alloc&) {}
}

}  // namespace sinter
