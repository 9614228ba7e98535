// Thread-local free list for small engine objects that come and go with every operator.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace sinter {

/// operator new/delete for objects of one size. Objects may be freed on another thread; they join that thread's list.
template <class Tag, size_t kSize, size_t kAlign = 64>
class ObjectCache {
 public:
  static void* take() {
    if (list.head != nullptr) [[likely]] {
      Node* n = list.head;
      list.head = n->next;
      ++list.room;
      return n;
    }
    void* p = std::aligned_alloc(kAlign, (kSize + kAlign - 1) / kAlign * kAlign);
    if (p == nullptr) throw std::bad_alloc();
    return p;
  }
  static void give(void* p) noexcept {
#if !defined(__SANITIZE_ADDRESS__)  // under ASan every object is really freed, so that stale handles are noticed
    if (list.room != 0 || open()) [[likely]] {
      list.head = new (p) Node{list.head};
      --list.room;
      return;
    }
#endif
    std::free(p);
  }

 private:
  static constexpr uint32_t kMostCached = 8192;
  struct Node {
    Node* next;
  };
  /// Trivially destructible: other thread-local objects give theirs back when this thread's list has been closed. Stores into an
  /// object that is being destroyed would not be seen then: compilers leave them out.
  struct List {
    Node* head;
    uint32_t room;  // 0: full, not open yet, or closed
    bool opened;
  };
  struct Closer {
    ~Closer() {
      list.room = 0;
      while (list.head != nullptr) std::free(std::exchange(list.head, list.head->next));
    }
  };
  /// At the thread's first object: from here the list is emptied when the thread ends. False: full, or the thread is ending.
  [[gnu::noinline]] static bool open() {
    if (std::exchange(list.opened, true)) return false;
    static thread_local Closer closer;
    (void)&closer;
    list.room = kMostCached;
    return true;
  }
  static inline constinit thread_local List list{};
};

}  // namespace sinter
