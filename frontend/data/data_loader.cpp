#include "data_loader.h"

namespace sinter::data {

DataLoader::DataLoader(std::shared_ptr<Dataset> dataset, std::unique_ptr<samplers::Sampler> sampler, DataLoaderOptions options)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), options_(options) {
  if (options_.batch_size() == 0) raise<ValueError>("DataLoader: batch_size must be at least 1");
}

std::optional<Example<>> DataLoader::next() {
  const auto indices = sampler_->next(options_.batch_size());
  if (!indices || (options_.drop_last() && indices->size() < options_.batch_size())) return std::nullopt;
  return dataset_->get_batch(*indices);
}

DataLoader::Iterator DataLoader::begin() {
  sampler_->reset(dataset_->size());
  return Iterator(this);
}

DataLoader::Iterator& DataLoader::Iterator::operator++() {
  auto batch = loader_->next();
  if (batch) {
    batch_ = std::move(*batch);
  } else {
    batch_ = {};
    loader_ = nullptr;
  }
  return *this;
}

}  // namespace sinter::data
