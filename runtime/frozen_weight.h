// A frozen weight: panels made of its bytes once, for matrix products, and until when they hold.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include "storage.h"

namespace sinter {

/// What panels are made of, an operand b of k x n elements in a storage, and how wide they are. Strides and offset in bytes.
struct PanelKey {
  int64_t offset, k_stride, n_stride;
  int64_t k, n;
  int64_t width;    // elements
  int32_t element;  // bytes
  friend bool operator==(const PanelKey&, const PanelKey&) = default;
};

/// Belongs to the storage it is made of. It goes, or is replaced, only while no program reads that storage.
class FrozenWeight {
 public:
  /// False until the first weight of the process is frozen: what a run costs where nothing is.
  static std::atomic<bool> any;
  /// Bytes that all panels of the process take now.
  static std::atomic<int64_t> all_bytes;
  /// Panels packed since the start of the process, a product's operand each.
  static std::atomic<int64_t> all_packed;

  explicit FrozenWeight(const Storage& storage) : data_(storage.data), writes_(storage.writes.load(std::memory_order_relaxed)) {}
  FrozenWeight(const FrozenWeight&) = delete;
  FrozenWeight& operator=(const FrozenWeight&) = delete;
  ~FrozenWeight();

  /// Panels of `storage`, whose frozen weight this is: [panel][k][width], the last one's rest being zeros, 64-byte aligned. The
  /// first call with a key packs them, later ones take no lock. Null where the weight lies as it must be read: it was written
  /// since it was frozen, there is no memory, or it has as many sets of panels as one may have. Thread-safe.
  const void* panels(const Storage& storage, const PanelKey& key) noexcept;
  static int64_t bytes_of(const PanelKey& key);

 private:
  struct Panels {
    PanelKey key;
    void* data;
    Panels* next;
    ~Panels();
  };
  static constexpr int kMostPanels = 4;

  bool holds(const Storage& storage) noexcept;
  const void* find(const PanelKey& key) const;
  const void* pack(const Storage& storage, const PanelKey& key) noexcept;

  std::atomic<Panels*> first_{nullptr};
  std::atomic<bool> full_{false};     // no more panels are made
  std::atomic<bool> written_{false};  // and it was said in the log
  const void* const data_;
  const uint32_t writes_;
};

/// Frees what a storage's freezing made.
void drop_frozen(Storage& storage) noexcept;

}  // namespace sinter
