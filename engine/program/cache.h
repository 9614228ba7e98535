// Programs by region: found again while somebody uses them, compiled once per key, evicted when code memory is full.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>
#include "program.h"
#include "program_slot.h"
#include "region_key.h"

namespace sinter {

class ProgramCache {
 public:
  static ProgramCache& get();

  /// Makes a program. Null: this region has none, ever, or only `for_now`.
  using Compile = std::function<std::shared_ptr<const Program>(bool& for_now)>;
  /// The program of `key`; `compile` makes it when there is none. Of several threads that ask at once one compiles, the others
  /// wait. That a region has none is remembered, unless it is for now.
  std::shared_ptr<const Program> obtain(std::vector<uint64_t> key, const Compile& compile, bool& for_now);
  /// Takes the least recently run program out of its slots. Its code is freed now, or when no thread runs it any more. False:
  /// there is none.
  bool evict_one();
  void clear();
  ProgramCacheStats stats();
  /// In a fork's child: nobody compiles any more. The lock is held.
  void forget_other_threads();
  std::mutex& fork_lock() { return mutex_; }

 private:
  friend class ProgramSlot;
  friend class RunningProgram;
  struct Item {
    std::weak_ptr<const Program> program;
    bool none = false, compiling = false;
  };
  struct KeyHash {
    size_t operator()(const std::vector<uint64_t>& key) const { return hash_words(key); }
  };
  using Map = std::unordered_map<std::vector<uint64_t>, Item, KeyHash>;
  void shrink();
  void drop_unused();
  bool runs(const Program* p) const;

  std::mutex mutex_;
  std::condition_variable compiled_;
  Map programs_;
  std::vector<RunningProgram*> running_;
  std::vector<std::shared_ptr<const Program>> limbo_;  // evicted while a thread ran them
  size_t hits_ = 0, misses_ = 0, evicted_ = 0;
};

}  // namespace sinter
