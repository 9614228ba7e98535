// In which order a data loader takes the examples.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

namespace sinter::data::samplers {

/// Hands out index batches of one epoch after the other.
class Sampler {
 public:
  virtual ~Sampler() = default;
  /// Starts a new epoch, over `size` examples from then on when it is given.
  virtual void reset(std::optional<size_t> size = std::nullopt) = 0;
  /// The next at most `batch_size` indices; nothing at the epoch's end.
  virtual std::optional<std::vector<size_t>> next(size_t batch_size) = 0;
};

/// 0, 1, 2, ...
class SequentialSampler : public Sampler {
 public:
  explicit SequentialSampler(size_t size) : size_(size) {}
  void reset(std::optional<size_t> size = std::nullopt) override;
  std::optional<std::vector<size_t>> next(size_t batch_size) override;
  size_t index() const { return index_; }

 private:
  size_t size_, index_ = 0;
};

/// A new random order each epoch, drawn from the default generator (manual_seed).
class RandomSampler : public Sampler {
 public:
  explicit RandomSampler(size_t size);
  void reset(std::optional<size_t> size = std::nullopt) override;
  std::optional<std::vector<size_t>> next(size_t batch_size) override;
  size_t index() const { return index_; }

 private:
  std::vector<size_t> order_;
  size_t index_ = 0;
};

}  // namespace sinter::data::samplers
