// The object behind a Tensor handle.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>
#include "autograd_meta.h"
#include "dtype.h"
#include "sizes.h"
#include "storage.h"

namespace sinter {

/// Bits of TensorImpl::head. One 64-bit word holds the count and all that a guard compares beside sizes and strides,
/// so that handing out a pooled result is one store and a guard is one masked compare.
namespace head {
inline constexpr uint64_t kCountMask = 0xffffffffull;
inline constexpr uint64_t kPooled = 1ull << 32;        // belongs to a context's pool; not destroyed at count 0
inline constexpr uint64_t kRequiresGrad = 1ull << 33;  // requires_grad() is true (leaf flag or grad_fn)
inline constexpr uint64_t kWrapped = 1ull << 34;       // wrapped number: lowest rank in type promotion
inline constexpr uint64_t kBound = 1ull << 35;         // was an input of a region once: see engine/frame/graves.h
inline constexpr uint64_t kAutograd = 1ull << 36;      // has autograd meta to drop at count 0
inline constexpr uint64_t kInference = 1ull << 37;     // born in inference mode
inline constexpr int kDtypeShift = 48, kRankShift = 56;
inline constexpr uint64_t make(ScalarType t, size_t rank, uint64_t flags, uint32_t count) {
  return count | flags | (static_cast<uint64_t>(t) << kDtypeShift) | (static_cast<uint64_t>(rank) << kRankShift);
}
/// What a guard on an input compares.
inline constexpr uint64_t kGuardMask = (0xffull << kDtypeShift) | (0xffull << kRankShift) | kRequiresGrad | kWrapped | kInference;
}  // namespace head

struct TensorPool;  // engine/frame: owner of pooled tensors

/// What mark_dynamic said of a dimension. No part of what the tensor is: nothing but recording looks at it.
struct DimMark {
  int32_t dim = 0;
  int64_t min = 0, max = INT64_MAX;
  friend bool operator==(const DimMark&, const DimMark&) = default;
};

/// Metadata over a Storage. Intrusively counted; the count lives in `head`.
struct TensorImpl {
  std::atomic<uint64_t> head;
  Storage* storage = nullptr;            // owned, except while kPooled and the tensor is a view
  int64_t offset = 0;                    // in elements
  AutogradMetaBase* autograd = nullptr;  // owned
  TensorPool* pool = nullptr;            // set while kPooled
  int64_t numel = 0;
  SizeVec sizes, strides;
  std::unique_ptr<std::vector<DimMark>> marks;
  // Only while it is buried (engine/frame/graves.h); in the tensor, so that dropping a handle needs no memory.
  TensorImpl* next_buried;
  uint64_t buried_at;

  TensorImpl(ScalarType t, IntArrayRef sz, IntArrayRef st, int64_t off, Storage* s /* takes the reference */)
      : head(head::make(t, sz.size(), 0, 1)), storage(s), offset(off), numel(numel_of(sz)), sizes(sz), strides(st) {}

  /// A new tensor over `s`, whose reference is taken over, also when memory runs out.
  static TensorImpl* make(ScalarType t, IntArrayRef sz, IntArrayRef st, int64_t off, Storage* s);

  ScalarType dtype() const { return static_cast<ScalarType>((head.load(std::memory_order_relaxed) >> head::kDtypeShift) & 0xff); }
  /// Of the elements, packed.
  int64_t nbytes() const { return numel * static_cast<int64_t>(element_size(dtype())); }
  int64_t rank() const { return static_cast<int64_t>(sizes.size()); }
  bool has(uint64_t flag) const { return head.load(std::memory_order_relaxed) & flag; }
  void set(uint64_t flag, bool on) {
    if (on) head.fetch_or(flag, std::memory_order_relaxed);
    else head.fetch_and(~flag, std::memory_order_relaxed);
  }
  uint32_t count() const { return static_cast<uint32_t>(head.load(std::memory_order_acquire)); }
  bool is_contiguous() const { return sinter::is_contiguous(sizes, strides); }
  /// Address of the first element; brings a pending value into being.
  void* data(Loc loc = {}) {
    (void)storage->bytes(loc);
    return address();
  }
  /// The same whatever the storage holds now: for callers that have settled it, or are about to write it. A storage without bytes
  /// has none to point to: integer arithmetic, as pointers would be undefined.
  char* address() const {
    const auto bytes = static_cast<uintptr_t>(offset * static_cast<int64_t>(element_size(dtype())));
    return reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(storage->data) + bytes);
  }

  void retain() { head.fetch_add(1, std::memory_order_relaxed); }
  void release();

  static void* operator new(size_t n);
  static void operator delete(void* p);
};

/// The pool of this thread's open context: its owner may drop a pooled tensor without a locked instruction.
extern constinit thread_local TensorPool* this_thread_pool __attribute__((tls_model("initial-exec")));

/// Count reached 0: destroys the tensor, or hands it to the frame that still reads it, or drops its autograd meta.
void dispose(TensorImpl* t);
/// Set by the engine: takes over a tensor with kBound that may still be an input of an open region. Returns false
/// when nobody needs it.
extern bool (*bury_bound_tensor)(TensorImpl*);

inline void TensorImpl::release() {
  const uint64_t h = head.load(std::memory_order_acquire);
  if (static_cast<uint32_t>(h) == 1) {
    // Sole owner: no locked instruction. A pooled tensor has its pool as a hidden owner, which acts on its own thread only.
    if (!(h & head::kPooled)) {
      head.store(h - 1, std::memory_order_relaxed);
      return dispose(this);
    }
    if (pool == this_thread_pool) {
      head.store(h - 1, std::memory_order_relaxed);
      if (h & head::kAutograd) [[unlikely]]
        dispose(this);
      return;
    }
  }
  const uint64_t before = head.fetch_sub(1, std::memory_order_acq_rel);
  // The last handle to another thread's pooled tensor: its pool finds the count at 0, and may free it from here on.
  if (static_cast<uint32_t>(before) == 1 && !(before & head::kPooled)) dispose(this);
}

}  // namespace sinter
