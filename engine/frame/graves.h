// Inputs that lost their last handle while a region still reads them.
//
// Binding an input takes no reference: a locked instruction per input would double its cost. Instead a tensor that was
// ever bound (head::kBound) is not destroyed at count 0 while a frame that may have bound it is open: it is buried in that
// frame's graves and destroyed when the region closes. Whoever drops the last handle has, through the counter, seen the opening
// of every frame that bound the tensor.
#pragma once
#include <atomic>
#include <cstdint>
#include <mutex>

namespace sinter {

struct TensorImpl;
class Context;

class Graves {
 public:
  void open() { opened_at_.store(now_.load(std::memory_order_relaxed), std::memory_order_release); }
  void close(Context& self) {
    opened_at_.store(0, std::memory_order_release);
    empty(self);
  }
  /// Destroys what no other open frame may need; called when the region has been closed.
  void empty(Context& self) {
    if (!vacant_.load(std::memory_order_relaxed)) [[unlikely]]
      clear(self);
  }
  /// bury_bound_tensor: see runtime/tensor_impl.h.
  static bool bury(TensorImpl* t);

 private:
  void add(TensorImpl* t);
  void clear(Context& self);
  static bool pass_on(TensorImpl* t, const Context* except);
  static std::atomic<uint64_t> now_;

  std::atomic<uint64_t> opened_at_{0};  // 0 = closed
  std::atomic<bool> vacant_{true};
  std::mutex mutex_;
  TensorImpl *first_ = nullptr, *last_ = nullptr;  // in the order of dying
};

}  // namespace sinter
