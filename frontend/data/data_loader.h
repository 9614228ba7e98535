// DataLoader: iterates over a data set in batches. Single-threaded.
#pragma once
#include <iterator>
#include <memory>
#include <optional>
#include "../nn/arg.h"
#include "dataset.h"
#include "sampler.h"

namespace sinter::data {

struct DataLoaderOptions {
  DataLoaderOptions(size_t batch_size = 1) : batch_size_(batch_size) {}
  SINTER_ARG(size_t, batch_size);
  /// Leaves out a last batch that is smaller than batch_size.
  SINTER_ARG(bool, drop_last) = false;
};

/// `for (auto& batch : loader)` goes through one epoch; batch.data and batch.target have a leading batch dimension.
class DataLoader {
 public:
  /// One pass over the data: an input iterator.
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Example<>;
    using difference_type = std::ptrdiff_t;
    using pointer = Example<>*;
    using reference = Example<>&;

    Iterator() = default;
    explicit Iterator(DataLoader* loader) : loader_(loader) { ++*this; }
    Example<>& operator*() { return batch_; }
    Example<>* operator->() { return &batch_; }
    Iterator& operator++();
    bool operator==(const Iterator& o) const { return loader_ == o.loader_; }

   private:
    DataLoader* loader_ = nullptr;  // null at the end
    Example<> batch_;
  };

  /// @throws ValueError for a batch size of 0.
  DataLoader(std::shared_ptr<Dataset> dataset, std::unique_ptr<samplers::Sampler> sampler, DataLoaderOptions options);

  /// Starts an epoch.
  Iterator begin();
  Iterator end() { return {}; }
  const DataLoaderOptions& options() const { return options_; }
  Dataset& dataset() { return *dataset_; }

 private:
  std::optional<Example<>> next();

  std::shared_ptr<Dataset> dataset_;
  std::unique_ptr<samplers::Sampler> sampler_;
  DataLoaderOptions options_;
};

/// A loader over a data set with a sampler of type `Sampler` (default: random order).
template <class Sampler = samplers::RandomSampler, class D>
std::unique_ptr<DataLoader> make_data_loader(D dataset, DataLoaderOptions options = {}) {
  auto shared = std::make_shared<D>(std::move(dataset));
  auto sampler = std::make_unique<Sampler>(shared->size());
  return std::make_unique<DataLoader>(std::move(shared), std::move(sampler), options);
}
/// A loader with a sampler of the caller's.
template <class D, class Sampler>
requires std::is_base_of_v<samplers::Sampler, Sampler> std::unique_ptr<DataLoader> make_data_loader(
    D dataset, Sampler sampler, DataLoaderOptions options = {}) {
  return std::make_unique<DataLoader>(std::make_shared<D>(std::move(dataset)), std::make_unique<Sampler>(std::move(sampler)),
                                      options);
}

}  // namespace sinter::data
