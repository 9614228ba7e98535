// What finds code again while somebody uses it.
#pragma once
#include <algorithm>
#include <memory>
#include <unordered_map>

namespace sinter::codegen {

/// Does not own: an entry that died is dropped when its key is looked up or the table has doubled. The caller holds a lock.
template <class Key, class Code, class Hasher>
class WeakCache {
 public:
  std::shared_ptr<const Code> find(const Key& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : found->second.lock();
  }
  void put(Key key, const std::shared_ptr<const Code>& code) {
    if (entries_.size() >= sweep_at_) drop_dead();
    entries_[std::move(key)] = code;
  }
  void drop_dead() {
    std::erase_if(entries_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(256, entries_.size() * 2);
  }
  size_t alive() const {
    return static_cast<size_t>(
        std::count_if(entries_.begin(), entries_.end(), [](const auto& entry) { return !entry.second.expired(); }));
  }

 private:
  std::unordered_map<Key, std::weak_ptr<const Code>, Hasher> entries_;
  size_t sweep_at_ = 256;
};

}  // namespace sinter::codegen
