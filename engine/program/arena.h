// Where temporaries lie in one block of memory: ranges are taken and given back in the order of execution.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace sinter {

/// First fit over a growing range; freed ranges merge with their neighbours.
class Arena {
 public:
  static constexpr int64_t kAlign = 64;
  static int64_t aligned(int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

  int64_t take(int64_t bytes) {
    bytes = std::max(aligned(bytes), kAlign);
    for (size_t i = 0; i < free_.size(); ++i) {
      if (free_[i].bytes < bytes) continue;
      const int64_t at = free_[i].at;
      free_[i].at += bytes;
      free_[i].bytes -= bytes;
      if (free_[i].bytes == 0) free_.erase(free_.begin() + static_cast<long>(i));
      return at;
    }
    int64_t at = size_;
    if (!free_.empty() && free_.back().at + free_.back().bytes == size_) {  // the last free range grows
      at = free_.back().at;
      free_.pop_back();
    }
    size_ = at + bytes;
    return at;
  }
  void give(int64_t at, int64_t bytes) {
    bytes = std::max(aligned(bytes), kAlign);
    auto it = std::find_if(free_.begin(), free_.end(), [&](const Range& r) { return r.at > at; });
    it = free_.insert(it, {at, bytes});
    if (it + 1 != free_.end() && it->at + it->bytes == (it + 1)->at) {
      it->bytes += (it + 1)->bytes;
      it = free_.erase(it + 1) - 1;
    }
    if (it != free_.begin() && (it - 1)->at + (it - 1)->bytes == it->at) {
      (it - 1)->bytes += it->bytes;
      free_.erase(it);
    }
  }
  int64_t size() const { return size_; }

 private:
  struct Range {
    int64_t at, bytes;
  };
  std::vector<Range> free_;
  int64_t size_ = 0;
};

}  // namespace sinter
