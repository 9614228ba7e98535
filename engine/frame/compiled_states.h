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
  static CompiledStates& get() {
    static auto* all = new CompiledStates();  // never destroyed: compiled functions may be static objects
    return *all;
  }
};

}  // namespace sinter
