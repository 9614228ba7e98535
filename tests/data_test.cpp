// Data sets, samplers, the loader.
#include <sinter/data.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include "engine/creation.h"

using namespace sinter;
using namespace sinter::data;
using samplers::RandomSampler;
using samplers::SequentialSampler;

namespace {

std::vector<int64_t> values_of(const Tensor& t) {
  const Tensor c = t.contiguous();
  return {c.const_data_ptr<int64_t>(), c.const_data_ptr<int64_t>() + c.numel()};
}

TensorDataset ten() { return {arange(20).view({10, 2}), arange(100, 110)}; }

}  // namespace

TEST_CASE("sequential batches are views in order, the last one may be short") {
  TensorDataset set = ten();
  auto loader = make_data_loader<SequentialSampler>(set, 4);
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::vector<int64_t> sizes, targets;
    for (auto& batch : *loader) {
      sizes.push_back(batch.data.size(0));
      CHECK(batch.data.is_alias_of(set.data));
      CHECK(batch.data.size(1) == 2);
      for (int64_t v : values_of(batch.target)) targets.push_back(v);
      CHECK(values_of(batch.data)[0] == 2 * (values_of(batch.target)[0] - 100));
    }
    CHECK(sizes == std::vector<int64_t>{4, 4, 2});
    CHECK(targets == values_of(arange(100, 110)));
  }
}

TEST_CASE("drop_last leaves out the short batch") {
  auto loader = make_data_loader<SequentialSampler>(ten(), DataLoaderOptions(4).drop_last(true));
  int64_t n = 0;
  for (auto& batch : *loader) n += batch.data.size(0);
  CHECK(n == 8);
  auto exact = make_data_loader<SequentialSampler>(ten(), DataLoaderOptions(5).drop_last(true));
  CHECK(std::distance(exact->begin(), exact->end()) == 2);
}

TEST_CASE("random order: each example once, data and target together, repeatable by seed") {
  auto loader = make_data_loader(ten(), 3);
  const auto epoch = [&] {
    std::vector<int64_t> targets;
    for (auto& batch : *loader) {
      const auto t = values_of(batch.target), d = values_of(batch.data);
      for (size_t i = 0; i < t.size(); ++i) CHECK(d[2 * i] == 2 * (t[i] - 100));
      targets.insert(targets.end(), t.begin(), t.end());
    }
    return targets;
  };
  manual_seed(7);
  const auto first = epoch(), second = epoch();
  CHECK(first != second);
  auto sorted = first;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == values_of(arange(100, 110)));
  manual_seed(7);
  CHECK(epoch() == first);
}

TEST_CASE("every position is reached about equally often") {
  manual_seed(1);
  RandomSampler sampler(5);
  int counts[5][5] = {};
  for (int round = 0; round < 5000; ++round) {
    sampler.reset();
    const auto order = sampler.next(5);
    REQUIRE(order);
    for (int i = 0; i < 5; ++i) ++counts[i][(*order)[i]];
  }
  // 1000 expected, deviation 28
  for (const auto& row : counts)
    for (int n : row) CHECK(std::abs(n - 1000) < 150);
}

namespace {

/// A data set of the user's: the number and its square.
class Squares : public Dataset {
 public:
  Example<> get(size_t index) override {
    const auto i = static_cast<int64_t>(index);
    return {full({2}, i), scalar_tensor(i * i, kLong)};
  }
  size_t size() const override { return 5; }
};

}  // namespace

TEST_CASE("a user's data set is stacked") {
  auto loader = make_data_loader(Squares(), SequentialSampler(5), 2);
  std::vector<int64_t> targets;
  for (auto& batch : *loader) {
    CHECK(batch.data.dim() == 2);
    for (int64_t v : values_of(batch.target)) targets.push_back(v);
  }
  CHECK(targets == std::vector<int64_t>{0, 1, 4, 9, 16});
}

TEST_CASE("empty sets and wrong arguments") {
  auto loader = make_data_loader<SequentialSampler>(TensorDataset(zeros({0, 2}), zeros({0})), 4);
  CHECK(loader->begin() == loader->end());
  CHECK_THROWS_AS(TensorDataset(zeros({3, 2}), zeros({2})), ShapeError);
  CHECK_THROWS_AS(TensorDataset(zeros({}), zeros({})), ShapeError);
  CHECK_THROWS_AS(make_data_loader(ten(), 0), ValueError);
}
