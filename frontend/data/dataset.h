// Data sets: what a data loader draws examples from.
#pragma once
#include <span>
#include "../../engine/tensor.h"

namespace sinter::data {

/// One example, or a batch of them with a leading dimension.
template <class Data = Tensor, class Target = Tensor>
struct Example {
  Data data;
  Target target;
};

namespace datasets {

/// Examples by index. Derive and write `get` and `size`; `get_batch` when the batch can be had faster than by stacking.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual Example<> get(size_t index) = 0;
  virtual size_t size() const = 0;
  /// The examples stacked along a new first dimension.
  virtual Example<> get_batch(std::span<const size_t> indices);
};

/// Row i of `data` with entry i of `target`.
class TensorDataset : public Dataset {
 public:
  /// @throws ShapeError when the first dimensions differ or one has no dimension.
  TensorDataset(Tensor data, Tensor target);
  Example<> get(size_t index) override;
  size_t size() const override { return static_cast<size_t>(data.size(0)); }
  /// Consecutive rows are a view (nothing is copied), others a copy.
  Example<> get_batch(std::span<const size_t> indices) override;

  Tensor data, target;
};

}  // namespace datasets

using datasets::Dataset;
using datasets::TensorDataset;

}  // namespace sinter::data
