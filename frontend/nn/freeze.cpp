#include "freeze.h"
#include <algorithm>
#include <memory>
#include "../../engine/frame/frame.h"
#include "../../runtime/frozen_weight.h"
#include "../../runtime/out_of_memory.h"

namespace sinter {

namespace {

bool can_freeze(const TensorImpl& t) {
  const Storage& s = *t.storage;
  return t.rank() >= 2 && is_floating(t.dtype()) && t.numel > 0 && t.offset == 0 && t.is_contiguous() && s.data != nullptr &&
         static_cast<int64_t>(s.nbytes) == t.nbytes() && !s.is_pending() && !s.has(Storage::kBorrowed) &&
         !s.has(Storage::kFailed) && !s.has(Storage::kExposed);
}

/// The storages of parameters that `wanted` chooses, each once.
template <class F>
std::vector<Storage*> storages_of(const nn::Module& model, F wanted) {
  std::vector<Storage*> all;
  for (const Tensor& p : model.parameters())
    if (wanted(*p.impl())) all.push_back(p.impl()->storage);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace

int64_t freeze(const nn::Module& model, Loc loc) {
  return memory_gate([&] {
    frame_metadata_change(loc);  // nothing is pending in this thread's frame afterwards
    const std::vector<Storage*> storages = storages_of(model, can_freeze);
    std::vector<std::unique_ptr<FrozenWeight>> made;
    made.reserve(storages.size());
    for (const Storage* s : storages) made.push_back(std::make_unique<FrozenWeight>(*s));
    for (size_t i = 0; i < storages.size(); ++i)
      delete storages[i]->frozen.exchange(made[i].release(), std::memory_order_acq_rel);
    FrozenWeight::any.store(true, std::memory_order_relaxed);
    return static_cast<int64_t>(storages.size());
  });
}

int64_t unfreeze(const nn::Module& model, Loc loc) {
  return memory_gate([&] {
    frame_metadata_change(loc);
    const auto storages = storages_of(model, [](const TensorImpl& t) { return t.storage->frozen.load() != nullptr; });
    for (Storage* s : storages) drop_frozen(*s);
    return static_cast<int64_t>(storages.size());
  });
}

int64_t frozen_bytes() { return FrozenWeight::all_bytes.load(std::memory_order_relaxed); }

}  // namespace sinter
