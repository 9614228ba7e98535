#include "dataset.h"
#include <vector>
#include "../../engine/creation.h"

namespace sinter::data::datasets {

Example<> Dataset::get_batch(std::span<const size_t> indices) {
  std::vector<Tensor> data, target;
  for (size_t i : indices) {
    Example<> example = get(i);
    data.push_back(std::move(example.data));
    target.push_back(std::move(example.target));
  }
  return {stack(data), stack(target)};
}

TensorDataset::TensorDataset(Tensor d, Tensor t) : data(std::move(d)), target(std::move(t)) {
  if (data.dim() == 0 || target.dim() == 0 || data.size(0) != target.size(0)) {
    raise<ShapeError>("TensorDataset: data {} and target {} must have the same first dimension", to_string(data.sizes()),
                      to_string(target.sizes()));
  }
}

Example<> TensorDataset::get(size_t index) {
  const auto i = static_cast<int64_t>(index);
  return {data.select(0, i), target.select(0, i)};
}

Example<> TensorDataset::get_batch(std::span<const size_t> indices) {
  bool consecutive = !indices.empty();
  for (size_t i = 1; i < indices.size(); ++i) consecutive = consecutive && indices[i] == indices[0] + i;
  if (consecutive) {
    const auto start = static_cast<int64_t>(indices[0]), length = static_cast<int64_t>(indices.size());
    return {data.narrow(0, start, length), target.narrow(0, start, length)};
  }
  const Tensor rows = tensor(std::vector<int64_t>(indices.begin(), indices.end()));
  return {data.index_select(0, rows), target.index_select(0, rows)};
}

}  // namespace sinter::data::datasets
