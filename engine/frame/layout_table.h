// The layouts of one program for many sizes, by these sizes. Entries are only added: readers take no lock.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <vector>
#include "../../runtime/mutants.h"
#include "../program/layout.h"

namespace sinter {

class LayoutTable {
 public:
  static constexpr size_t kMost = 1024;  // beyond, layouts live for one call

  /// Null: none yet.
  const Layout* find(const std::vector<int64_t>& key) const {
    for (const Item* i = bucket(key).load(std::memory_order_acquire); i != nullptr; i = i->next)
      if (i->key == key || SINTER_MUTANT(layout_of_other_sizes)) return i->layout.get();
    return nullptr;
  }
  /// By one thread at a time. Null, and `layout` is still there: the table is full.
  const Layout* add(const std::vector<int64_t>& key, std::unique_ptr<const Layout>& layout) {
    if (items_.size() >= kMost) return nullptr;
    auto item = std::make_unique<Item>();
    item->key = key;
    std::atomic<Item*>& at = bucket(key);
    item->next = at.load(std::memory_order_relaxed);
    items_.push_back(std::move(item));
    Item* added = items_.back().get();
    added->layout = std::move(layout);
    at.store(added, std::memory_order_release);
    return added->layout.get();
  }
  size_t size() const { return items_.size(); }

 private:
  struct Item {
    std::vector<int64_t> key;
    std::unique_ptr<const Layout> layout;
    Item* next = nullptr;
  };
  static constexpr size_t kBuckets = 64;
  static size_t bucket_of(const std::vector<int64_t>& key) {
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (int64_t v : key) h = (h ^ static_cast<uint64_t>(v)) * 0xff51afd7ed558ccdull + (h >> 29);
    return h >> 58;
  }
  std::atomic<Item*>& bucket(const std::vector<int64_t>& key) { return buckets_[bucket_of(key)]; }
  const std::atomic<Item*>& bucket(const std::vector<int64_t>& key) const { return buckets_[bucket_of(key)]; }
  static_assert(kBuckets == 1 << 6);
  std::array<std::atomic<Item*>, kBuckets> buckets_{};
  std::vector<std::unique_ptr<Item>> items_;  // guarded by whoever adds
};

}  // namespace sinter
