#include "frame.h"
#include <unordered_map>
#include "../../runtime/env.h"
#include "../../runtime/error.h"
#include "../../runtime/intern.h"
#include "../../runtime/log.h"
#include "../../runtime/mutants.h"
#include "../../runtime/out_of_memory.h"
#include "compiled.h"
#include "compiled_states.h"
#include "context.h"
#include "registry.h"
#include "report.h"

namespace sinter {
namespace {

std::atomic<uint64_t> g_next_id{1};
std::atomic<Stance> g_stance{Stance::Default};

/// This thread's contexts, one per Compiled it has called.
constinit thread_local bool t_contexts_are_gone = false;
struct Contexts {
  ~Contexts() { t_contexts_are_gone = true; }  // destructors that run later call compiled functions eager
  struct Slot {
    std::unique_ptr<Context> context;
    std::shared_ptr<CompiledState> state;
    uint64_t generation;
  };
  std::unordered_map<uint64_t, Slot> by_id;
  uint64_t last_id = 0, last_generation = 0;
  Context* last = nullptr;

  Context* find(const std::shared_ptr<CompiledState>& state) {
    const uint64_t generation = state->generation();
    if (last_id == state->id && last_generation == generation) [[likely]]
      return last;
    return look_up(state, generation);
  }
  /// Of the compiled function with this id: without a lock where this thread has called it. Null: it is gone.
  std::shared_ptr<CompiledState> state_of(uint64_t id) {
    if (const auto it = by_id.find(id); it != by_id.end()) return it->second.state->retired() ? nullptr : it->second.state;
    return CompiledStates::get().find(id);
  }
  Context* look_up(const std::shared_ptr<CompiledState>& state, uint64_t generation) {
    last = nullptr;
    last_id = 0;
    auto it = by_id.find(state->id);
    if (it == by_id.end() || it->second.generation != generation) {
      // A new context is rare: the moment to let go of those whose Compiled is gone.
      std::erase_if(by_id, [](const auto& e) { return e.second.state->retired(); });
      Slot slot{std::make_unique<Context>(state, state->tries(), generation), state, generation};
      it = by_id.insert_or_assign(state->id, std::move(slot)).first;
    }
    last_id = state->id;
    last_generation = generation;
    return last = it->second.context.get();
  }
};
thread_local Contexts t_contexts;

}  // namespace

// -- CompiledState

namespace {
CompileOptions with_name(CompileOptions o) {
  if (o.name.empty()) o.name = kDefaultName;
  return o;
}
}  // namespace

CompiledState::CompiledState(CompileOptions o, Loc l)
    : options(with_name(std::move(o))), loc(interned(l)), id(g_next_id.fetch_add(1)), tries_(std::make_shared<Tries>()) {}

std::shared_ptr<Tries> CompiledState::tries() const {
  std::lock_guard lock(mutex_);
  return tries_;
}

void CompiledState::reset() {
  replace_tries(memory_gate([] { return std::make_shared<Tries>(); }));
  if (backward_is_made_.load(std::memory_order_acquire)) backward_->reset();
}

std::shared_ptr<CompiledState> CompiledState::backward() {
  if (backward_is_made_.load(std::memory_order_acquire)) return backward_;
  auto made = std::make_shared<CompiledState>(
      CompileOptions{.name = options.name + "_backward", .recompute = options.recompute, .dynamic = options.dynamic}, loc);
  CompiledStates::get().add(made);
  {
    std::lock_guard lock(mutex_);
    if (!retired() && backward_ == nullptr) {
      backward_ = made;
      backward_is_made_.store(true, std::memory_order_release);
      return made;
    }
  }
  CompiledStates::get().remove(made->id);
  return retired() ? nullptr : backward_;
}

CompileStats CompiledState::backward_stats() const {
  return backward_is_made_.load(std::memory_order_acquire) ? backward_->stats() : CompileStats{};
}

void CompiledState::replace_tries(std::shared_ptr<Tries> fresh) {
  {
    std::lock_guard lock(mutex_);
    tries_.swap(fresh);
    past_ = {};
    generation_.fetch_add(1, std::memory_order_release);
  }
  uint64_t after = 0;
  for (auto pin = ContextRegistry::get().pin_next_of(*this, after); pin.context() != nullptr;
       pin = ContextRegistry::get().pin_next_of(*this, after))
    pin.context()->forget();
}

void CompiledState::retire() {
  retired_.store(true, std::memory_order_relaxed);
  replace_tries(nullptr);  // in a destructor: memory may be out
  CompiledStates::get().remove(id);
  if (!backward_is_made_.load(std::memory_order_acquire)) return;
  backward_->retire();
}

std::string CompiledState::where() const { return fmt::format("{} ({})", options.name, place(loc)); }

namespace {
void add(CompileStats& to, const CompileStats& s) {
  to.regions_compiled += s.regions_compiled;
  to.recompiles += s.recompiles;
  to.replays += s.replays;
  to.interpreted += s.interpreted;
  to.eager_fallbacks += s.eager_fallbacks;
  to.backwards_taped += s.backwards_taped;
  to.layouts += s.layouts;
  to.verified += s.verified;
  to.verify_failures += s.verify_failures;
}
}  // namespace

CompileStats CompiledState::stats() const {
  CompileStats sum;
  {
    std::lock_guard lock(mutex_);
    sum = past_;
  }
  ContextRegistry::get().for_each([&](const ContextRegistry::Entry& e) {
    if (&e.context->owner() == this && e.context->generation() == generation()) add(sum, e.context->counters.read());
  });
  return sum;
}

void CompiledState::add_stats(const CompileStats& s, uint64_t of) {
  std::lock_guard lock(mutex_);
  if (of == generation_.load()) add(past_, s);
}

CompiledHandle::Retire::~Retire() { state->retire(); }

CompiledHandle CompiledHandle::make(CompileOptions options, Loc loc) try {
  CompiledHandle h;
  h.state_ = std::make_shared<CompiledState>(std::move(options), loc);
  h.retire_ = std::make_shared<Retire>();
  h.retire_->state = h.state_;
  CompiledStates::get().add(h.state_);
  return h;
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

// -- FrameScope

/// Whether a compiled call that starts now is a frame.
static bool frames_may_open() {
  return current_frame == nullptr && HiddenFrame::depth == 0 &&
         (g_stance.load(std::memory_order_relaxed) != Stance::ForceEager || SINTER_MUTANT(force_eager_ignored)) &&
         !env().disable && !t_contexts_are_gone;
}

FrameScope::FrameScope(const CompiledHandle& handle, TensorImpl* const* arguments, int n) {
  if (frames_may_open()) open(handle.shared(), arguments, n);
}

FrameScope::FrameScope(BackwardOf nodes) {
  if (nodes.id == 0 || !frames_may_open()) return;
  memory_gate([&] {
    if (const std::shared_ptr<CompiledState> state = t_contexts.state_of(nodes.id))
      if (const std::shared_ptr<CompiledState> own = state->backward()) open(own, nullptr, 0);
  });
}

void FrameScope::open(const std::shared_ptr<CompiledState>& state, TensorImpl* const* arguments, int n) {
  Context* c = nullptr;
  do {
    if (state->retired()) return;  // a backward pass whose function another thread has just dropped
    c = memory_gate([&] { return t_contexts.find(state); });
  } while (!c->open());  // forgotten since it was found
  c->arguments = arguments;
  c->n_arguments = n;
  context_ = c;
}

FrameScope::~FrameScope() {
  try {
    abandon();  // only when finish was not reached
  } catch (const std::exception&) {}
}

void FrameScope::finish() { std::exchange(context_, nullptr)->finish(Break::frame_end, {}); }

void FrameScope::abandon() {
  if (context_ != nullptr) std::exchange(context_, nullptr)->finish(Break::exception, {});
}

// -- free functions

void set_stance(Stance s) { g_stance.store(s); }
Stance stance() { return g_stance.load(std::memory_order_relaxed); }

void set_stance(const std::string& name) {
  if (name == "default") return set_stance(Stance::Default);
  if (name == "force_eager") return set_stance(Stance::ForceEager);
  if (name == "eager_on_recompile") return set_stance(Stance::EagerOnRecompile);
  if (name == "fail_on_recompile") return set_stance(Stance::FailOnRecompile);
  raise<ValueError>("set_stance: unknown stance '{}', expected default, force_eager, eager_on_recompile or fail_on_recompile",
                    name);
}

void graph_break(Loc loc) {
  if (Context* c = current_context(); c != nullptr && !SINTER_MUTANT(graph_break_ignored)) c->close(Break::user_break, loc);
}
void sync(Loc loc) { graph_break(loc); }
bool is_compiling() { return current_frame != nullptr; }

void reset() try {
  std::vector<std::shared_ptr<CompiledState>> all;
  {
    std::lock_guard lock(CompiledStates::get().mutex);
    for (auto& [id, weak] : CompiledStates::get().by_id)
      if (auto s = weak.lock()) all.push_back(std::move(s));
  }
  for (auto& s : all) s->reset();
  clear_program_cache();
} catch (const std::bad_alloc&) { throw_out_of_memory(); }

void frame_mutable_pointer(TensorImpl* t, Loc loc) {
  if (Context* c = current_context()) c->mutable_pointer(t, loc);
}
void frame_value_read() {
  if (Context* c = current_context()) c->value_read();
}
void frame_metadata_change(Loc loc) {
  if (Context* c = current_context()) c->close(Break::metadata_change, loc);
}
void frame_borrowed(TensorImpl* t) {
  if (Context* c = current_context(); c != nullptr && !SINTER_MUTANT(borrowed_memory_not_noted)) c->borrowed_here(t);
}

}  // namespace sinter
