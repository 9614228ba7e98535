// Small vector of sizes or strides, inline up to 6 dimensions.
#pragma once
#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include "out_of_memory.h"

namespace sinter {

/// A view of sizes, strides or dims given by a caller (LibTorch's IntArrayRef).
class IntArrayRef {
 public:
  constexpr IntArrayRef() = default;
  constexpr IntArrayRef(const int64_t* p, size_t n) : data_(p), size_(n) {}
  constexpr IntArrayRef(const int64_t& one) : data_(&one), size_(1) {}
#pragma GCC diagnostic push
#ifndef __clang__
#pragma GCC diagnostic ignored "-Winit-list-lifetime"  // a view of a call's argument list
#endif
  constexpr IntArrayRef(std::initializer_list<int64_t> l) : data_(l.begin()), size_(l.size()) {}
#pragma GCC diagnostic pop
  IntArrayRef(const std::vector<int64_t>& v) : data_(v.data()), size_(v.size()) {}
  constexpr const int64_t* data() const { return data_; }
  constexpr size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr const int64_t* begin() const { return data_; }
  constexpr const int64_t* end() const { return data_ + size_; }
  constexpr int64_t operator[](size_t i) const { return data_[i]; }
  constexpr int64_t front() const { return data_[0]; }
  constexpr int64_t back() const { return data_[size_ - 1]; }
  std::vector<int64_t> vec() const { return {begin(), end()}; }
  // Of few entries, and on every replay: a loop is faster than std::equal's memcmp.
  friend constexpr bool operator==(IntArrayRef a, IntArrayRef b) {
    bool same = a.size_ == b.size_;
    for (size_t i = 0; same && i < a.size_; ++i) same = a.data_[i] == b.data_[i];
    return same;
  }

 private:
  const int64_t* data_ = nullptr;
  size_t size_ = 0;
};

/// Highest rank the library accepts; as PyTorch's.
inline constexpr int kMaxRank = 64;

/// Sizes or strides owned by a tensor: inline up to 6 entries, heap above.
class SizeVec {
 public:
  static constexpr int kInline = 6;
  SizeVec() = default;
  SizeVec(IntArrayRef r) { assign(r); }
  SizeVec(std::initializer_list<int64_t> l) { assign(IntArrayRef(l)); }
  SizeVec(const SizeVec& o) { assign(o); }
  SizeVec(SizeVec&& o) noexcept { *this = std::move(o); }
  SizeVec& operator=(const SizeVec& o) {
    if (this != &o) assign(o);
    return *this;
  }
  SizeVec& operator=(SizeVec&& o) noexcept {
    std::copy_n(o.inline_, kInline, inline_);
    std::swap(heap_, o.heap_);
    std::swap(size_, o.size_);
    std::swap(capacity_, o.capacity_);
    return *this;
  }
  ~SizeVec() { delete[] heap_; }

  void assign(IntArrayRef r) {
    resize(r.size());
    std::copy(r.begin(), r.end(), data());
  }
  /// Keeps the first entries, the new ones are 0.
  void resize(size_t n) {
    if (n > kInline && n > capacity_) {
      int64_t* grown = memory_gate([&] { return new int64_t[n](); });
      std::copy_n(data(), size_, grown);
      delete[] heap_;
      heap_ = grown;
      capacity_ = static_cast<uint32_t>(n);
    } else if (n > size_) {
      std::fill(data() + size_, data() + n, 0);
    }
    size_ = static_cast<uint32_t>(n);
  }
  void push_back(int64_t v) {
    resize(size_ + 1);
    data()[size_ - 1] = v;
  }
  // Once on the heap it stays there, so that shrinking and growing keep one home for the entries.
  int64_t* data() { return heap_ ? heap_ : inline_; }
  const int64_t* data() const { return heap_ ? heap_ : inline_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t* begin() { return data(); }
  int64_t* end() { return data() + size_; }
  const int64_t* begin() const { return data(); }
  const int64_t* end() const { return data() + size_; }
  int64_t& operator[](size_t i) { return data()[i]; }
  int64_t operator[](size_t i) const { return data()[i]; }
  int64_t back() const { return data()[size_ - 1]; }
  operator IntArrayRef() const { return {data(), size_}; }
  friend bool operator==(const SizeVec& a, const SizeVec& b) { return IntArrayRef(a) == IntArrayRef(b); }

 private:
  int64_t inline_[kInline] = {};
  int64_t* heap_ = nullptr;
  uint32_t size_ = 0, capacity_ = 0;
};

/// "[2, 3]"
std::string to_string(IntArrayRef sizes);
/// Product of sizes; throws sinter::Error when it leaves int64 or a size is negative.
int64_t checked_numel(IntArrayRef sizes);
/// Product of sizes known to be valid.
int64_t numel_of(IntArrayRef sizes);
/// Row-major strides; size-0 dimensions count as 1, as in PyTorch.
SizeVec contiguous_strides(IntArrayRef sizes);
/// PyTorch's is_contiguous: row-major, strides of size-1 dimensions free, empty tensors always.
bool is_contiguous(IntArrayRef sizes, IntArrayRef strides);
/// Equal strides, those of size-1 dimensions aside: no element is ever reached through them.
inline bool same_strides(IntArrayRef sizes, IntArrayRef a, IntArrayRef b) {
  for (size_t d = 0; d < sizes.size(); ++d)
    if (a[d] != b[d] && sizes[d] != 1) return false;
  return true;
}
/// True when the elements fill a block of memory without holes or overlap, in any dimension order.
bool is_non_overlapping_and_dense(IntArrayRef sizes, IntArrayRef strides);

}  // namespace sinter
