// The ladder's workloads, written once against the names that sinter and LibTorch share.
//
// Include after the library's headers with BENCH_API defined as its namespace (sinter or torch). Everything is in an unnamed
// namespace, so the two libraries' files may be linked into one program. A row has two inputs (the second may be unused), made
// with random values, and `operator()`, which computes one result from them.
#pragma once
#include <benchmark/benchmark.h>
#include <cstdint>
#include <utility>
#include <vector>

namespace {
namespace api = BENCH_API;
using api::Tensor;

inline Tensor random_normal(std::vector<int64_t> sizes) { return api::randn(sizes); }

template <int64_t kRows, int64_t kCols>
struct Sincos {
  Tensor x = random_normal({kRows, kCols}), y = random_normal({kRows, kCols});
  Tensor operator()(const Tensor& a, const Tensor& b) const { return api::sin(a) + api::cos(b); }
};

template <int64_t kRows, int64_t kCols>
struct BiasGelu {
  Tensor x = random_normal({kRows, kCols}), y = random_normal({kCols});
  Tensor operator()(const Tensor& a, const Tensor& bias) const { return api::gelu(a + bias) * 2; }
};

template <int64_t kRows, int64_t kCols>
struct Softmax {
  Tensor x = random_normal({kRows, kCols}), y;
  Tensor operator()(const Tensor& a, const Tensor&) const { return api::softmax(a, -1); }
};

template <int64_t kRows, int64_t kCols>
struct LayerNorm {
  Tensor x = random_normal({kRows, kCols}), y;
  api::nn::LayerNorm norm{api::nn::LayerNormOptions({kCols})};
  Tensor operator()(const Tensor& a, const Tensor&) { return norm->forward(a); }
};

template <int64_t kBatch>
struct SeedMlp {
  Tensor x = random_normal({kBatch, 10}), y;
  api::nn::Linear first{10, 5}, second{5, 2};
  Tensor operator()(const Tensor& a, const Tensor&) { return second->forward(api::relu(first->forward(a))); }
};

template <int64_t kBatch>
struct Mlp784 {
  Tensor x = random_normal({kBatch, 784}), y;
  api::nn::Linear first{784, 512}, second{512, 512}, third{512, 10};
  Tensor operator()(const Tensor& a, const Tensor&) {
    return third->forward(api::relu(second->forward(api::relu(first->forward(a)))));
  }
};

/// One whole training step: forward, cross entropy, backward, SGD update, gradients to zero.
struct TrainSeedSgd {
  Tensor x = random_normal({10, 10}), y = api::randint(0, 2, {10}, api::kLong);
  api::nn::Linear first{10, 5}, second{5, 2};
  api::optim::SGD optimizer{parameters(), api::optim::SGDOptions(0.01)};

  std::vector<Tensor> parameters() const { return {first->weight, first->bias, second->weight, second->bias}; }
  Tensor operator()(const Tensor& a, const Tensor& target) {
    Tensor out = second->forward(api::relu(first->forward(a)));
    Tensor loss = api::nn::functional::cross_entropy(out, target);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    return loss;
  }
};

/// Calls `visit.template operator()<Row>(name, needs_grad)` for every row of the ladder.
template <class Visit>
void each_row(Visit visit) {
  visit.template operator()<Sincos<10, 10>>("sincos_100", false);
  visit.template operator()<Sincos<1000, 1000>>("sincos_1m", false);
  visit.template operator()<Sincos<4000, 4000>>("sincos_16m", false);
  visit.template operator()<BiasGelu<256, 256>>("biasgelu_256", false);
  visit.template operator()<BiasGelu<4096, 4096>>("biasgelu_4k", false);
  visit.template operator()<Softmax<256, 256>>("softmax_256", false);
  visit.template operator()<Softmax<4096, 4096>>("softmax_4k", false);
  visit.template operator()<LayerNorm<4096, 4096>>("layernorm_4k", false);
  visit.template operator()<SeedMlp<4>>("seedmlp_b4", false);
  visit.template operator()<Mlp784<1>>("mlp784_b1", false);
  visit.template operator()<Mlp784<64>>("mlp784_b64", false);
  visit.template operator()<TrainSeedSgd>("train_seed_sgd", true);
}

/// The row's inputs and parameters: made at its first use and kept, since interleaved repetitions come back to it.
template <class Row>
Row& shared_row() {
  static Row row;
  return row;
}

/// Times `f(row.x, row.y)`; the result is dropped in the loop, as a caller's next assignment would.
template <class Row, class F>
void time_calls(benchmark::State& state, Row& row, F& f) {
  for (int i = 0; i < 3; ++i) f(row.x, row.y);  // warm: first touch of memory, compilation
  for (auto _ : state) {
    Tensor out = f(row.x, row.y);
    benchmark::DoNotOptimize(out);
  }
}

/// Runs `body` with gradients recorded only if the row trains.
template <class Body>
void with_grad_mode(bool needs_grad, Body body) {
  if (needs_grad) {
    body();
  } else {
    api::NoGradGuard no_grad;
    body();
  }
}

}  // namespace
