#include "frozen_weight.h"
#include <algorithm>
#include <memory>
#include <new>
#include <utility>
#include "allocator.h"
#include "at_fork.h"
#include "error.h"
#include "kernels/gemm_pack.h"
#include "log.h"
#include "mutants.h"

namespace sinter {

constinit std::atomic<bool> FrozenWeight::any{false};
constinit std::atomic<int64_t> FrozenWeight::all_bytes{0};
constinit std::atomic<int64_t> FrozenWeight::all_packed{0};

namespace {

constinit std::mutex packing;  // one for all: a weight is packed once
[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::packing, [] { return &packing; });

void pack_all(const PanelKey& key, const char* from, char* to) {
  for (int64_t v = 0; v < key.n; v += key.width)
    pack_panel({from + v * key.n_stride, key.k_stride, key.n_stride, key.element}, key.k, std::min(key.width, key.n - v),
               key.width, to + v * key.k * key.element);
}

}  // namespace

int64_t FrozenWeight::bytes_of(const PanelKey& key) {
  return (key.n + key.width - 1) / key.width * key.width * key.k * key.element;
}

FrozenWeight::Panels::~Panels() {
  free_bytes(data, static_cast<size_t>(bytes_of(key)));
  all_bytes.fetch_sub(bytes_of(key), std::memory_order_relaxed);
}

FrozenWeight::~FrozenWeight() {
  for (const Panels* p = first_.load(std::memory_order_acquire); p != nullptr;) delete std::exchange(p, p->next);
}

/// A pointer that was handed out may be written through at any time, unseen.
bool FrozenWeight::holds(const Storage& storage) noexcept {
  const bool same = storage.writes.load(std::memory_order_relaxed) == writes_ && storage.data == data_;
  if (same || SINTER_MUTANT(frozen_weight_version_not_checked))
    if (!storage.has(Storage::kExposed) || SINTER_MUTANT(frozen_exposed_ignored)) return true;
  if (!written_.load(std::memory_order_relaxed) && !written_.exchange(true, std::memory_order_relaxed)) {
    try {
      log(LogTopic::Program, "a frozen weight of {} bytes was written: products read it as it lies until it is frozen again",
          storage.nbytes);
    } catch (...) {}  // the products are right without a word
  }
  return false;
}

const void* FrozenWeight::find(const PanelKey& key) const {
  for (const Panels* p = first_.load(std::memory_order_acquire); p != nullptr; p = p->next)
    if (p->key == key || SINTER_MUTANT(frozen_panels_of_another_view)) return p->data;
  return nullptr;
}

const void* FrozenWeight::panels(const Storage& storage, const PanelKey& key) noexcept {
  if (!holds(storage)) return nullptr;
  if (const void* found = find(key)) return found;
  return full_.load(std::memory_order_relaxed) ? nullptr : pack(storage, key);
}

const void* FrozenWeight::pack(const Storage& storage, const PanelKey& key) noexcept {
  const std::lock_guard lock(packing);
  if (const void* found = find(key)) return found;  // another thread was faster
  int count = 1;
  for (const Panels* p = first_.load(std::memory_order_relaxed); p != nullptr; p = p->next) ++count;
  if (count > kMostPanels) {
    full_.store(true, std::memory_order_relaxed);
    return nullptr;
  }
  void* data = nullptr;
  try {
    data = allocate_bytes(static_cast<size_t>(bytes_of(key)));
    auto made = std::unique_ptr<Panels>(new Panels{key, data, first_.load(std::memory_order_relaxed)});
    all_bytes.fetch_add(bytes_of(key), std::memory_order_relaxed);
    all_packed.fetch_add(1, std::memory_order_relaxed);
    pack_all(key, static_cast<const char*>(storage.data) + key.offset, static_cast<char*>(data));
    first_.store(made.release(), std::memory_order_release);
  } catch (const std::exception&) {  // no memory: not again at each call
    if (data != nullptr) free_bytes(data, static_cast<size_t>(bytes_of(key)));
    full_.store(true, std::memory_order_relaxed);
    return nullptr;
  }
  return data;
}

void drop_frozen(Storage& storage) noexcept { delete storage.frozen.exchange(nullptr, std::memory_order_acq_rel); }

}  // namespace sinter
