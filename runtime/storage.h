// The bytes behind tensors, and whether they exist yet.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include "frame_base.h"

namespace sinter {

class FrozenWeight;

/// A block of memory shared by a tensor and its views. States:
///   materialised  data() is the newest value; pending_in == null
///   pending       the newest value exists only as an event of the frame `pending_in`; data may be null
///   borrowed      memory of the user's (from_blob): may overlap other borrowed storages
///   failed        the program that should have written it failed; reading throws FailedRegionError
///   deferred      pending, but in no frame: it is computed again from what `pending_in` keeps when somebody reads it
class Storage {
 public:
  enum Flag : uint8_t {
    kBorrowed = 1,
    kFailed = 2,
    kDeferred = 4,
    kSource = 8,    // deferred values are computed from these bytes: they come into being before the bytes are written
    kExposed = 16,  // a mutable pointer to the bytes was handed out once: they may be written without anybody seeing it
  };

  /// Allocates `nbytes` (64-byte aligned, uninitialised). Throws OutOfMemoryError.
  static Storage* allocate(size_t nbytes);
  /// A storage without bytes, to be filled later (pending results).
  static Storage* empty();
  /// Wraps foreign memory; `deleter` (may be null) runs when the last reference goes.
  static Storage* borrow(void* data, size_t nbytes, std::function<void(void*)> deleter);

  void retain() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

  /// Gives a storage without bytes its memory. Throws OutOfMemoryError; the storage is unchanged then.
  void acquire_bytes(size_t nbytes);
  void release_bytes() noexcept;

  /// The address, bringing a pending value into being first.
  void* bytes(Loc loc = {}) {
    if (is_pending() || has(kFailed)) [[unlikely]]
      settle(loc);
    return data;
  }
  // Acquire: another thread may have brought the bytes into being.
  bool is_pending() const { return pending_in.load(std::memory_order_acquire) != nullptr; }
  bool has(Flag f) const { return flags.load(std::memory_order_relaxed) & f; }
  void set(Flag f) { flags.fetch_or(f, std::memory_order_relaxed); }
  void clear(Flag f) { flags.fetch_and(static_cast<uint8_t>(~f), std::memory_order_relaxed); }
  /// To be called before the bytes are written.
  void before_write() {
    if (has(kSource)) [[unlikely]]
      settle_dependents(*this);
  }

  void* data = nullptr;
  size_t nbytes = 0;
  std::atomic<FrameBase*> pending_in{nullptr};
  /// Autograd version: bumped by every in-place operator, shared by a tensor and its views, as in PyTorch.
  std::atomic<uint32_t> version{0};
  /// Bumped by every write to the bytes; the frame compares it between binding and close.
  std::atomic<uint32_t> writes{0};
  std::atomic<uint8_t> flags{0};
  /// Serial of the frame in which an operator touching this storage ends its region at once: memory borrowed inside
  /// the frame (a local array may die before the frame) or exposed by a mutable pointer.
  std::atomic<uint32_t> immediate_in_frame{0};
  /// Set while the bytes are a frozen weight (frozen_weight.h), owned. Changed only while no program reads them.
  std::atomic<FrozenWeight*> frozen{nullptr};

  /// Set by the engine: computes all that is deferred and reads `source`. @throws OutOfMemoryError.
  static void (*settle_dependents)(Storage& source);
  /// Set by the engine: a deferred storage goes, without ever having been read.
  static void (*forget_deferred)(Storage& deferred);

  static void* operator new(size_t n);
  static void operator delete(void* p);

 private:
  Storage() = default;
  ~Storage() = default;
  void settle(Loc loc);
  void destroy();

  std::atomic<int32_t> refs_{1};
  std::function<void(void*)>* deleter_ = nullptr;
};

}  // namespace sinter
