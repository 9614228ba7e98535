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

/// A square product. `kFlops`, `kReal`: see count_work.
template <int64_t kN, class Real = float>
struct Matmul {
  using kReal = Real;
  static constexpr double kFlops = 2.0 * kN * kN * kN;
  static constexpr auto kType = sizeof(Real) == 4 ? api::kFloat : api::kDouble;
  Tensor x = api::randn({kN, kN}, kType), y = api::randn({kN, kN}, kType);
  Tensor operator()(const Tensor& a, const Tensor& b) const { return api::mm(a, b); }
};

/// One row against a weight, as the first layer of a net with batch 1.
template <int64_t kIn, int64_t kOut>
struct Gemv {
  using kReal = float;
  static constexpr double kFlops = 2.0 * kIn * kOut;
  Tensor x = random_normal({1, kIn}), y;
  api::nn::Linear linear{api::nn::LinearOptions(kIn, kOut).bias(false)};
  Tensor operator()(const Tensor& a, const Tensor&) { return linear->forward(a); }
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
  template <class F>
  void each_linear(F f) const {
    for (const auto* l : {&first, &second, &third}) f(*l);
  }
  Tensor operator()(const Tensor& a, const Tensor&) {
    return third->forward(api::relu(second->forward(api::relu(first->forward(a)))));
  }
};

/// One layer of BERT-base, normalised after each sum; attention written with primitive operators. One sequence of kLength.
template <int64_t kLength>
struct BertLayer {
  static constexpr int64_t kWidth = 768, kHeads = 12, kInner = 3072, kHead = kWidth / kHeads;
  Tensor x = random_normal({1, kLength, kWidth}), y;
  api::nn::Linear q{kWidth, kWidth}, k{kWidth, kWidth}, v{kWidth, kWidth}, o{kWidth, kWidth}, f1{kWidth, kInner},
      f2{kInner, kWidth};
  api::nn::LayerNorm n1{api::nn::LayerNormOptions({kWidth})}, n2{api::nn::LayerNormOptions({kWidth})};
  template <class F>
  void each_linear(F f) const {
    for (const auto* l : {&q, &k, &v, &o, &f1, &f2}) f(*l);
  }
  Tensor heads(const Tensor& t) const { return t.view({1, kLength, kHeads, kHead}).transpose(1, 2); }
  Tensor operator()(const Tensor& a, const Tensor&) {
    const Tensor query = heads(q->forward(a)), key = heads(k->forward(a)), value = heads(v->forward(a));
    const Tensor scores = api::softmax(api::matmul(query, key.transpose(-2, -1)) * 0.125, -1);  // 1 / sqrt(kHead)
    const Tensor seen = api::matmul(scores, value).transpose(1, 2).reshape({1, kLength, kWidth});
    const Tensor b = n1->forward(a + o->forward(seen));
    return n2->forward(b + f2->forward(api::gelu(f1->forward(b))));
  }
};

/// A row over frozen weights. LibTorch, which has no such thing for eager code, runs them as they are.
template <class Row>
struct Frozen : Row {
#ifdef BENCH_FREEZES
  Frozen() {
    Row::each_linear([](const auto& linear) { api::freeze(linear); });
  }
#endif
};

/// The net of the seed: 10 inputs, 2 classes.
struct SeedNet {
  static constexpr int64_t kIn = 10, kClasses = 2;
  api::nn::Linear first{10, 5}, second{5, 2};
  std::vector<Tensor> parameters() const { return {first->weight, first->bias, second->weight, second->bias}; }
  Tensor forward(const Tensor& x) { return second->forward(api::relu(first->forward(x))); }
};

struct Net784 {
  static constexpr int64_t kIn = 784, kClasses = 10;
  api::nn::Linear first{784, 512}, second{512, 512}, third{512, 10};
  std::vector<Tensor> parameters() const {
    return {first->weight, first->bias, second->weight, second->bias, third->weight, third->bias};
  }
  Tensor forward(const Tensor& x) { return third->forward(api::relu(second->forward(api::relu(first->forward(x))))); }
};

struct UseSgd {
  using Optimizer = api::optim::SGD;
  static api::optim::SGDOptions options() { return api::optim::SGDOptions(0.01); }
};
struct UseAdam {
  using Optimizer = api::optim::Adam;
  static api::optim::AdamOptions options() { return api::optim::AdamOptions(1e-3); }
};

/// One whole training step: forward, cross entropy, backward, update, gradients to zero.
template <class Net, class Use, int64_t kBatch>
struct Train {
  Tensor x = random_normal({kBatch, Net::kIn}), y = api::randint(0, Net::kClasses, {kBatch}, api::kLong);
  Net net;
  typename Use::Optimizer optimizer{net.parameters(), Use::options()};

  /// The step around any way to call the net and to update its parameters.
  template <class Forward, class Step>
  Tensor step_with(Forward&& forward, Step&& update, const Tensor& a, const Tensor& target) {
    Tensor loss = api::nn::functional::cross_entropy(forward(a), target);
    update.zero_grad();
    loss.backward();
    update.step();
    return loss;
  }
  Tensor operator()(const Tensor& a, const Tensor& target) {
    return step_with([this](const Tensor& in) { return net.forward(in); }, optimizer, a, target);
  }
};
using TrainSeedSgd = Train<SeedNet, UseSgd, 10>;
using TrainMlp784Sgd = Train<Net784, UseSgd, 64>;
using TrainMlp784Adam = Train<Net784, UseAdam, 64>;

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
  visit.template operator()<Matmul<16>>("gemm_16", false);
  visit.template operator()<Matmul<32>>("gemm_32", false);
  visit.template operator()<Matmul<64>>("gemm_64", false);
  visit.template operator()<Matmul<128>>("gemm_128", false);
  visit.template operator()<Matmul<256>>("gemm_256", false);
  visit.template operator()<Matmul<512>>("gemm_512", false);
  visit.template operator()<Matmul<1024>>("gemm_1024", false);
  visit.template operator()<Matmul<2048>>("gemm_2048", false);
  visit.template operator()<Matmul<512, double>>("gemm_f64_512", false);
  visit.template operator()<Gemv<784, 512>>("gemv_784x512", false);
  visit.template operator()<SeedMlp<4>>("seedmlp_b4", false);
  visit.template operator()<Mlp784<1>>("mlp784_b1", false);
  visit.template operator()<Mlp784<64>>("mlp784_b64", false);
  visit.template operator()<Frozen<Mlp784<64>>>("mlp784_b64_frozen", false);
  visit.template operator()<BertLayer<16>>("bertlayer_s16", false);
  visit.template operator()<Frozen<BertLayer<16>>>("bertlayer_s16_frozen", false);
  visit.template operator()<BertLayer<128>>("bertlayer_s128", false);
  visit.template operator()<TrainSeedSgd>("train_seed_sgd", true);
  visit.template operator()<TrainMlp784Sgd>("train_mlp784_sgd", true);
  visit.template operator()<TrainMlp784Adam>("train_mlp784_adam", true);
}

/// The row's inputs and parameters: made at its first use and kept, since interleaved repetitions come back to it.
template <class Row>
Row& shared_row() {
  static Row row;
  return row;
}

/// Notes, for rows that are one product, what a call computes: floating-point operations, and bytes of an element.
template <class Row>
void count_work(benchmark::State& state) {
  if constexpr (requires { Row::kFlops; }) {
    state.counters["flops"] = Row::kFlops;
    state.counters["element"] = sizeof(typename Row::kReal);
  }
}

/// Times `f(row.x, row.y)`; the result is dropped in the loop, as a caller's next assignment would.
template <class Row, class F>
void time_calls(benchmark::State& state, Row& row, F& f) {
  for (int i = 0; i < 3; ++i) f(row.x, row.y);  // warm: first touch of memory, compilation
  for (auto _ : state) {
    Tensor out = f(row.x, row.y);
    benchmark::DoNotOptimize(out);
  }
  count_work<Row>(state);
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
