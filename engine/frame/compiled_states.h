// All compiled functions of the process, for reset() and fork().
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include "compiled_state.h"

namespace sinter {

struct CompiledStates {
  std::mutex mutex;
  std::map<uint64_t, std::weak_ptr<CompiledState>> by_id;
  void add(const std::shared_ptr<CompiledState>& state) {
    std::lock_guard lock(mutex);
    by_id[state->id] = state;
  }
  void remove(uint64_t id) {
    std::lock_guard lock(mutex);
    by_id.erase(id);
  }
  /// Null when it is gone.
  std::shared_ptr<CompiledState> find(uint64_t id) {
    std::lock_guard lock(mutex);
    const auto it = by_id.find(id);
    return it == by_id.end() ? nullptr : it->second.lock();
  }
  static CompiledStates& get() {
    static auto* all = new CompiledStates();  // never destroyed: compiled functions may be static objects
    return *all;
  }
};

}  // namespace sinter
