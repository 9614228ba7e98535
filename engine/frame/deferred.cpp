#include "deferred.h"
#include <mutex>
#include <unordered_map>
#include "../../runtime/at_fork.h"
#include "../../runtime/mutants.h"
#include "../dispatch.h"
#include "context.h"

namespace sinter {

constinit thread_local DeferredAgain* DeferredAgain::current_ = nullptr;

namespace {

/// Held while a deferred value comes or goes, and while one is computed: storages may be shared by threads. User code never runs
/// under it.
constinit std::mutex deferred_mutex;
[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::deferred, [] { return &deferred_mutex; });

/// Who reads a storage; guarded by the mutex. Never destroyed: tensors may outlive static objects.
std::unordered_multimap<Storage*, Deferred*>& readers() {
  static auto* all = new std::unordered_multimap<Storage*, Deferred*>();
  return *all;
}

void forget_reader(Storage* s, Deferred* d) {
  auto [it, end] = readers().equal_range(s);
  bool others = false;
  while (it != end) {
    others |= it->second != d;
    it = it->second == d ? readers().erase(it) : std::next(it);
  }
  if (!others) s->clear(Storage::kSource);
}

/// Shares memory and geometry, and nothing else: what becomes of the tensor itself is none of our business.
Tensor alias_of(const TensorImpl* t) {
  t->storage->retain();
  return Tensor::adopt(TensorImpl::make(t->dtype(), t->sizes, t->strides, t->offset, t->storage));
}

}  // namespace

Deferred::Deferred(std::shared_ptr<const Recipe> recipe)
    : FrameBase(0),
      id_([] {
        static std::atomic<uint64_t> next{1};
        return next.fetch_add(1, std::memory_order_relaxed);
      }()),
      recipe_(std::move(recipe)) {}

std::unique_ptr<Deferred> Deferred::prepare(std::shared_ptr<const Recipe> recipe, TensorImpl* const* slots,
                                            const Scalar* scalars) {
  std::unique_ptr<Deferred> d(new Deferred(std::move(recipe)));
  d->attached_.reserve(d->recipe_->outputs.size());
  for (int32_t s : d->recipe_->scalars) d->scalars_.push_back(scalars[s]);
  for (int32_t s : d->recipe_->sources) {
    d->sources_.push_back(alias_of(slots[s]));
    Storage* storage = slots[s]->storage;
    const std::lock_guard lock(deferred_mutex);
    if (SINTER_MUTANT(deferred_sources_not_watched)) continue;
    readers().emplace(storage, d.get());
    storage->set(Storage::kSource);
  }
  return d;
}

Deferred::~Deferred() {
  const std::lock_guard lock(deferred_mutex);
  for (const Tensor& t : sources_) forget_reader(t.impl()->storage, this);
}

void Deferred::attach(size_t i, Storage* s) {
  const Recipe::Output& out = recipe_->outputs[i];
  attached_.push_back({s, out.value, &out.meta});
  s->set(Storage::kDeferred);
  s->pending_in.store(this, std::memory_order_release);
}

void Deferred::release(std::unique_ptr<Deferred> d) {
  if (!d->attached_.empty()) (void)d.release();
}

std::vector<Tensor> Deferred::run(const Recipe& recipe, std::vector<Tensor> values, const std::vector<Scalar>& scalars,
                                  Tensor (*one)(const OpCall&)) {
  std::vector<TensorImpl*> in;
  for (const Recipe::Step& step : recipe.steps) {
    in.clear();
    for (int32_t v : step.in) in.push_back(v < 0 ? nullptr : values[static_cast<size_t>(v)].impl());
    OpCall c{.op = step.op, .flags = step.flags, .n_scalars = step.n_scalars};
    c.n_in = static_cast<uint16_t>(in.size());
    c.in = in.data();
    c.attr = step.attr;
    c.ints = step.ints;
    c.loc = step.loc;
    for (int i = 0; i < step.n_scalars; ++i) c.scalars[i] = scalars[static_cast<size_t>(step.first_scalar + i)];
    values.push_back(one(c));
  }
  return values;
}

/// The caller holds the mutex. Afterwards nothing is attached, and the caller frees the object once it holds the mutex no more.
void Deferred::compute() {
  const HiddenFrame hidden;
  const UnderMode mode(recipe_->mxcsr);
  const struct Ambient {
    uint32_t before = std::exchange(ambient::word, 0);
    ~Ambient() { ambient::word = before; }
  } restore;
  ambient::word = recipe_->ambient;
  std::vector<Tensor> values = run(*recipe_, sources_, scalars_, run_eager);
  for (const Attached& a : attached_) {
    Storage* from = values[static_cast<size_t>(a.value)].impl()->storage;
    a.storage->data = std::exchange(from->data, nullptr);
    a.storage->nbytes = std::exchange(from->nbytes, 0);
    a.storage->clear(Storage::kDeferred);
    a.storage->pending_in.store(nullptr, std::memory_order_release);
  }
  attached_.clear();
}

void Deferred::settle(Storage& s) {
  std::unique_ptr<Deferred> done;  // freed after the lock: its sources' last references may be among it
  const std::lock_guard lock(deferred_mutex);
  if (!s.has(Storage::kDeferred)) return;
  auto* d = static_cast<Deferred*>(s.pending_in.load(std::memory_order_relaxed));
  d->compute();
  done.reset(d);
}

void Deferred::settle_dependents(Storage& source) {
  std::vector<std::unique_ptr<Deferred>> done;
  const std::lock_guard lock(deferred_mutex);
  auto [it, end] = readers().equal_range(&source);
  for (; it != end; ++it) {
    Deferred* d = it->second;
    if (d->attached_.empty()) continue;
    done.reserve(done.size() + 1);
    d->compute();
    done.emplace_back(d);
  }
}

void Deferred::forget(Storage& s) {
  std::unique_ptr<Deferred> done;
  const std::lock_guard lock(deferred_mutex);
  if (!s.has(Storage::kDeferred)) return;
  auto* d = static_cast<Deferred*>(s.pending_in.load(std::memory_order_relaxed));
  std::erase_if(d->attached_, [&](const Attached& a) { return a.storage == &s; });
  if (d->attached_.empty()) done.reset(d);
}

Tensor Deferred::again(TensorImpl* saved) {
  DeferredAgain* const pass = DeferredAgain::current_;
  const Context* frame = current_context();
  // A second derivative needs the tensor with its history.
  if (pass == nullptr || frame == nullptr || grad_mode()) return Tensor::share(saved);
  uint64_t id = 0;
  size_t output = 0;
  // Of a first use in the pass: steps are called without the lock.
  std::shared_ptr<const Recipe> recipe;
  std::vector<Tensor> sources;
  std::vector<Scalar> scalars;
  {
    const std::lock_guard lock(deferred_mutex);
    if (!saved->storage->has(Storage::kDeferred)) return Tensor::share(saved);
    const auto* d = static_cast<const Deferred*>(saved->storage->pending_in.load(std::memory_order_relaxed));
    const Attached* a = d->attached_.data();
    while (a->storage != saved->storage) ++a;
    const TensorMeta& meta = *a->meta;
    const bool same = meta.dtype == saved->dtype() && saved->offset == 0 && meta.sizes == saved->sizes &&
                      same_strides(meta.sizes, meta.strides, saved->strides);
    const bool mode = ((d->recipe_->ambient ^ ambient::word) & ambient::kDefaultDouble) == 0 &&
                      ((d->recipe_->mxcsr ^ (frame->mode.bits() >> ambient::kMxcsrShift)) & CpuMode::kResults) == 0;
    if (!same || !mode) return Tensor::share(saved);
    while (d->recipe_->outputs[output].value != a->value) ++output;
    id = d->id_;
    bool known = false;
    for (const DeferredAgain::Values& v : pass->all_) known |= v.id == id;
    if (!known) recipe = d->recipe_, sources = d->sources_, scalars = d->scalars_;
  }
  if (recipe) {
    const std::vector<Tensor> values = run(*recipe, std::move(sources), scalars, call);
    DeferredAgain::Values mine{id, {}};
    for (const Recipe::Output& out : recipe->outputs) mine.outputs.push_back(values[static_cast<size_t>(out.value)]);
    pass->all_.push_back(std::move(mine));
  }
  for (const DeferredAgain::Values& v : pass->all_)
    if (v.id == id) return v.outputs[output];
  return Tensor::share(saved);
}

struct DeferredHooks {
  static bool set() {
    Storage::settle_dependents = &Deferred::settle_dependents;
    Storage::forget_deferred = &Deferred::forget;
    return true;
  }
};
namespace {
[[maybe_unused]] const bool hooks_are_set = DeferredHooks::set();
}  // namespace

}  // namespace sinter
