// Thread-local free list for small engine objects that come and go with every operator.
#pragma once
#include <cstddef>
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
      --list.count;
      return n;
    }
    void* p = std::aligned_alloc(kAlign, (kSize + kAlign - 1) / kAlign * kAlign);
    if (p == nullptr) throw std::bad_alloc();
    return p;
  }
  static void give(void* p) noexcept {
#if !defined(__SANITIZE_ADDRESS__)  // under ASan every object is really freed, so that stale handles are noticed
    if (!list.closed && list.count < kMostCached) [[likely]] {
      list.head = new (p) Node{list.head};
      ++list.count;
      return;
    }
#endif
    std::free(p);
  }

 private:
  static constexpr size_t kMostCached = 8192;
  struct Node {
    Node* next;
  };
  struct List {
    Node* head = nullptr;
    size_t count = 0;
    bool closed = false;  // the thread is ending: what comes now goes back to malloc
    ~List() {
      closed = true;
      while (head != nullptr) std::free(std::exchange(head, head->next));
    }
  };
  static inline thread_local List list;
};

}  // namespace sinter
