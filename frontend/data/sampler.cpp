#include "sampler.h"
#include <algorithm>
#include <utility>
#include "../../runtime/random.h"

namespace sinter::data::samplers {

void SequentialSampler::reset(std::optional<size_t> size) {
  if (size) size_ = *size;
  index_ = 0;
}

std::optional<std::vector<size_t>> SequentialSampler::next(size_t batch_size) {
  if (index_ == size_) return std::nullopt;
  std::vector<size_t> batch(std::min(batch_size, size_ - index_));
  for (size_t& i : batch) i = index_++;
  return batch;
}

RandomSampler::RandomSampler(size_t size) { reset(size); }

void RandomSampler::reset(std::optional<size_t> size) {
  if (size) order_.resize(*size);
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
  // Fisher-Yates; one 64-bit draw an element makes the bias of the remainder negligible (below n / 2^64).
  const Generator& generator = Generator::get_default();
  const uint64_t counter = generator.reserve(order_.size());
  for (size_t i = order_.size(); i > 1; --i) {
    uint32_t words[4];
    philox4x32(generator.current_seed(), counter + (i - 1), words);
    const uint64_t draw = (static_cast<uint64_t>(words[1]) << 32) | words[0];
    std::swap(order_[i - 1], order_[draw % i]);
  }
  index_ = 0;
}

std::optional<std::vector<size_t>> RandomSampler::next(size_t batch_size) {
  if (index_ == order_.size()) return std::nullopt;
  const size_t n = std::min(batch_size, order_.size() - index_);
  const auto first = order_.begin() + static_cast<std::ptrdiff_t>(index_);
  index_ += n;
  return std::vector<size_t>(first, first + static_cast<std::ptrdiff_t>(n));
}

}  // namespace sinter::data::samplers
