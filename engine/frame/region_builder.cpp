#include "region_builder.h"
#include <algorithm>
#include <chrono>
#include "../../codegen/kernel.h"
#include "../../runtime/env.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "compiled_state.h"
#include "element_runs.h"
#include "report.h"

namespace sinter {
namespace {

/// Whether the byte ranges that two inputs may touch meet; used to find inputs that overlap in a region that writes.
bool memory_overlaps(const TensorImpl& a, const TensorImpl& b) {
  if (a.numel == 0 || b.numel == 0) return false;
  const ByteSpan x = byte_span(a), y = byte_span(b);
  return x.lo < y.hi && y.lo < x.hi;
}

void fill_slot(RegionSlot& slot, TensorImpl* t, int32_t root, TensorImpl* root_tensor) {
  slot.meta.dtype = t->dtype();
  slot.meta.sizes = t->sizes;
  slot.meta.strides = t->strides;
  slot.meta.offset = SINTER_MUTANT(program_views_without_offset) ? 0 : t->offset - root_tensor->offset;
  slot.root = root;
  slot.wrapped = t->has(head::kWrapped);
}

/// True when an input the region writes shares memory with another input. Two that are only read may overlap.
bool overlapping_writes(const Leaf& leaf, TensorImpl* const* slots) {
  if (!leaf.writes || leaf.aliases.empty()) return false;
  std::vector<bool> written(static_cast<size_t>(leaf.end->info->n_slots_after), false);
  for (const Event* e : leaf.path)
    if (e->info->inplace) written[static_cast<size_t>(e->info->root)] = true;
  // Relations are kept to the first input of a storage only; which two of them overlap is found here.
  for (int32_t a : leaf.inputs) {
    if (!written[static_cast<size_t>(a)]) continue;
    for (int32_t b : leaf.inputs)
      if (a != b && !SINTER_MUTANT(overlap_of_inputs_not_found) && memory_overlaps(*slots[a], *slots[b])) return true;
  }
  return false;
}

}  // namespace

Region build_region(const Leaf& leaf, TensorImpl* const* slots, const Scalar* scalars, const std::vector<int64_t>& free_ints,
                    const RootBits& live, const std::string& name) {
  Region r;
  r.name = name;
  r.slots.resize(static_cast<size_t>(leaf.end->info->n_slots_after));
  r.inputs = leaf.inputs;
  for (size_t i = 0; i < leaf.inputs.size(); ++i) {
    const int32_t s = leaf.inputs[i];
    fill_slot(r.slots[static_cast<size_t>(s)], slots[s], s, slots[s]);
    r.slots[static_cast<size_t>(s)].input = static_cast<int32_t>(i);
  }
  for (size_t i = 0; i < leaf.roots.size(); ++i)
    if (has_root(live, i)) r.live.push_back(leaf.roots[i]);
  for (int32_t i = 0; i < leaf.end->info->n_scalars_after; ++i) r.scalars.push_back(scalars[i].type());
  const int64_t* next_int = free_ints.data();
  r.events.reserve(leaf.path.size());
  for (const Event* e : leaf.path) {
    const EventInfo& info = *e->info;
    RegionEvent v;
    v.op = op_of(*e);
    v.flags = static_cast<uint8_t>(e->key >> event_key::kFlagShift);
    if (info.inplace) v.flags |= kInplace;
    v.in = info.in;
    v.out = e->out;
    v.attr = e->attr;
    v.ints = info.ints;
    if (info.free_ints != 0) {
      if (!SINTER_MUTANT(program_keeps_integers)) v.ints.assign(next_int, next_int + info.ints.size());
      next_int += info.ints.size();
    }
    v.n_scalars = static_cast<uint8_t>(info.n_scalars);
    v.first_scalar = info.first_scalar;
    for (int i = 0; i < info.n_scalars; ++i) v.scalar_types[i] = scalars[info.first_scalar + i].type();
    v.compute = info.compute;
    v.loc = info.loc;
    if (!info.inplace) fill_slot(r.slots[static_cast<size_t>(e->out)], slots[e->out], info.root, slots[info.root]);
    r.events.push_back(std::move(v));
  }
  r.overlapping_writes = overlapping_writes(leaf, slots);
  return r;
}

namespace {
bool time_to_compile(const Leaf& leaf, const Entry& entry, int seen) {
  return entry.variants.load(std::memory_order_relaxed) <= 1 || seen >= 2 || leaf.programs.load() != nullptr;
}

/// Sizes of a generalised region that has programs for others are compiled the second time: some never come again.
bool seen_before(Leaf& leaf, const std::vector<int64_t>& sizes_key) {
  constexpr size_t kMostRemembered = 512;
  if (const auto at = std::find(leaf.seen_once.begin(), leaf.seen_once.end(), sizes_key); at != leaf.seen_once.end()) {
    leaf.seen_once.erase(at);
    return true;
  }
  if (leaf.seen_once.size() == kMostRemembered) leaf.seen_once.erase(leaf.seen_once.begin());
  leaf.seen_once.push_back(sizes_key);
  return false;
}

double us_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

void count_compile(Context& context, Leaf& leaf, std::chrono::steady_clock::time_point start, bool& compiled_now) {
  leaf.compile_us.store(leaf.compile_us.load() + us_since(start));
  context.count(context.counters.regions_compiled);
  compiled_now = true;
}

/// Compiles again what was evicted.
bool restore(Context& context, Leaf& leaf, ProgramEntry& entry, bool& compiled_now) {
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<const Program> program;
  if (entry.layouts) {
    if (const auto region = context.symbolic_region_of(leaf, entry.live, entry.symbols)) program = compile_region(*region);
    if (program && program->shape != entry.shape) return false;  // its layouts are of another program
  } else {
    program = compile_region(context.region_of(leaf, entry.live));
  }
  if (!program) return false;  // interpreted this time
  entry.program.set(program);
  count_compile(context, leaf, start, compiled_now);
  return true;
}

ProgramEntry* publish(Leaf& leaf, std::unique_ptr<ProgramEntry> made) {
  for (size_t i = 0; i < leaf.roots.size(); ++i)
    if (has_root(made->live, i)) made->live_roots.push_back(static_cast<int32_t>(i));
  made->next = leaf.programs.load(std::memory_order_relaxed);
  leaf.owned.push_back(std::move(made));
  ProgramEntry* result = leaf.owned.back().get();
  leaf.programs.store(result, std::memory_order_release);
  return result;
}

/// The layout of an entry for the sizes of this call. Empty: it is no program for them.
Obtained lay_out(Context& context, Leaf& leaf, ProgramEntry& entry, const std::vector<int64_t>& key, bool& compiled_now) {
  if (const Layout* known = entry.layouts->find(key)) return {&entry, known, nullptr};
  const std::shared_ptr<const Program> program = entry.program.share();
  if (!program) return {};
  Obtained found{&entry, nullptr, program->lay_out(context.region_of(leaf, entry.live))};
  if (!found.own_layout) return {};
  found.layout = found.own_layout.get();
  if (const Layout* kept = entry.layouts->add(key, found.own_layout)) found.layout = kept;
  if (!compiled_now) context.count(context.counters.layouts);
  return found;
}

/// A program of this leaf for many sizes, these among them.
Obtained find_symbolic(Context& context, Leaf& leaf, const WantedProgram& wanted, bool& compiled_now) {
  for (ProgramEntry* e = leaf.programs.load(std::memory_order_acquire); e != nullptr; e = e->next) {
    if (!e->layouts || e->isa != isa() || !covers_live(*e, wanted.live, nullptr)) continue;
    if (e->interpreted.load(std::memory_order_relaxed)) return {e, nullptr, nullptr};
    if (!e->usable() && !restore(context, leaf, *e, compiled_now)) continue;
    if (Obtained found = lay_out(context, leaf, *e, wanted.symbols_key, compiled_now); found.entry != nullptr) return found;
  }
  return {};
}

/// A new program of this leaf for many sizes. Empty: there is none for these.
Obtained compile_symbolic(Context& context, Leaf& leaf, const WantedProgram& wanted, bool& compiled_now) {
  constexpr int kMostSymbolicPrograms = 32;
  if (leaf.free_dims.empty() || leaf.symbolic_programs >= kMostSymbolicPrograms || SINTER_MUTANT(sizes_never_symbols)) return {};
  auto made = std::make_unique<ProgramEntry>();
  made->isa = isa();
  made->live = wanted.live;
  for (ProgramEntry* e = leaf.programs.load(std::memory_order_acquire); e != nullptr; e = e->next)
    for (size_t i = 0; i < made->live.size() && e->layouts && e->isa == isa(); ++i) made->live[i] |= e->live[i];
  for (const bool ones : {true, false}) {  // sizes of 1 as symbols, or as what is broadcast
    const auto start = std::chrono::steady_clock::now();
    const auto region = context.symbolic_region_of(leaf, made->live, ones);
    bool for_now = false;
    const std::shared_ptr<const Program> program = region != nullptr ? compile_region(*region, &for_now) : nullptr;
    if (for_now) return {};
    const Region now = context.region_of(leaf, made->live);
    std::unique_ptr<const Layout> layout = program != nullptr ? program->lay_out(now) : nullptr;
    ++leaf.symbolic_programs;
    if (layout == nullptr) continue;
    made->symbols = region->dims;
    made->shape = program->shape;
    made->layouts = std::make_unique<LayoutTable>();
    const Layout* first = made->layouts->add(wanted.symbols_key, layout);
    made->program.set(program);
    count_compile(context, leaf, start, compiled_now);
    ProgramEntry* entry = publish(leaf, std::move(made));
    report_compiled(context, leaf, now, program.get());
    return {entry, first, nullptr};
  }
  return {};
}

/// A program for the sizes of this call alone.
ProgramEntry* compile_exact(Context& context, Leaf& leaf, const WantedProgram& w, RootBits wanted, bool& compiled_now) {
  const auto start = std::chrono::steady_clock::now();
  auto made = std::make_unique<ProgramEntry>();
  made->isa = isa();
  made->sizes_key = w.sizes_key;
  if (w.saves != nullptr) {
    SavePlan plan = context.plan_saves(leaf, wanted, *w.saves);
    made->deferred = std::move(plan.deferred);
    made->kept = std::move(plan.kept);
    made->recipe = std::move(plan.recipe);
    for (size_t i = 0; i < made->deferred.size(); ++i) wanted[i] = (wanted[i] & ~made->deferred[i]) | made->kept[i];
  }
  made->live = std::move(wanted);
  const Region region = context.region_of(leaf, made->live);
  bool for_now = false;
  const std::shared_ptr<const Program> program = compile_region(region, &for_now);
  if (for_now && codegen::jit_available()) return nullptr;  // interpreted this time
  made->interpreted = program == nullptr;
  if (program) made->program.set(program);
  count_compile(context, leaf, start, compiled_now);
  if (made->recipe) leaf.defers.store(true, std::memory_order_relaxed);
  ProgramEntry* entry = publish(leaf, std::move(made));
  report_compiled(context, leaf, region, program.get());
  return entry;
}

}  // namespace

Obtained obtain_program(Context& context, Leaf& leaf, const WantedProgram& wanted, bool fresh_leaf, bool& compiled_now) {
  Entry& entry = *leaf.end->info->entry;
  if (fresh_leaf) report_recompile(context, leaf, context.tries()->count_variant(entry));
  const int seen = leaf.seen.fetch_add(1) + 1;
  std::lock_guard lock(leaf.compiling);
  if (Obtained found = find_symbolic(context, leaf, wanted, compiled_now); found.entry != nullptr) return found;
  // The union of what was wanted before at these sizes, so that one program serves all.
  RootBits live = wanted.live;
  int others = 0;
  bool known = false;  // these sizes have a program
  bool fits = false;   // or are among those of one that does not cover what is live
  ProgramEntry* evicted = nullptr;
  for (ProgramEntry* e = leaf.programs.load(std::memory_order_acquire); e != nullptr; e = e->next, ++others) {
    if (e->layouts && e->isa == isa()) fits |= e->layouts->find(wanted.symbols_key) != nullptr;
    if (e->layouts || e->sizes_key != wanted.sizes_key || e->isa != isa()) continue;
    known = true;
    const bool covers = covers_live(*e, wanted.live, wanted.saves != nullptr ? &wanted.saves->only : nullptr);
    if (covers && e->usable()) return {e, nullptr, nullptr};  // another thread compiled it while we waited
    if (covers && evicted == nullptr) evicted = e;
    for (size_t i = 0; i < live.size(); ++i) live[i] |= e->kept.empty() ? e->live[i] : e->live[i] & ~e->kept[i];
  }
  constexpr int kMostProgramsPerLeaf = 256;
  if (others >= kMostProgramsPerLeaf) return {};
  if (!time_to_compile(leaf, entry, seen)) return {};
  const auto count_recompile = [&] {
    if (entry.variants.load() > 1 && others == 0) context.count(context.counters.recompiles);
  };
  if (leaf.dynamic && !known) {
    if (others > 0 && !fits && !seen_before(leaf, wanted.sizes_key)) return {};
    Obtained found = compile_symbolic(context, leaf, wanted, compiled_now);
    if (found.entry != nullptr) return count_recompile(), std::move(found);
  }
  if (evicted != nullptr) {
    if (!restore(context, leaf, *evicted, compiled_now)) return {};
    return {evicted, nullptr, nullptr};
  }
  ProgramEntry* exact = compile_exact(context, leaf, wanted, std::move(live), compiled_now);
  if (exact != nullptr) count_recompile();
  return {exact, nullptr, nullptr};
}

}  // namespace sinter
