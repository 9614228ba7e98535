// The ladder on sinter: eager and compiled, same workloads, same inputs.
#include <sinter/nn.h>
#include <sinter/optim.h>
#include <sinter/sinter.h>
#define BENCH_API sinter
#define BENCH_FREEZES
#include <string>
#include "cold.h"
#include "rows.h"
#include "runtime/kernels/kernel.h"
#include "suites.h"

namespace bench {
namespace {

/// A compiled object for the row; calls it as the user would.
template <class Row>
auto compile_row(Row& row) {
  return sinter::compile([&row](const Tensor& x, const Tensor& y) { return row(x, y); });
}

template <class Row>
void run_eager(benchmark::State& state, bool needs_grad) {
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    time_calls(state, row, row);
  });
}

/// Notes what the kernels of a call move and compute, for the roofline.
template <class F, class Row>
void count_kernels(benchmark::State& state, F& f, Row& row) {
  double flops = 0, bytes = 0;
  for (const auto& region : sinter::explain(f)(row.x, row.y).regions)
    for (const sinter::StepCost& cost : region.costs) flops += cost.flops, bytes += cost.bytes;
  state.counters["kernel_flops"] = flops;
  state.counters["kernel_bytes"] = bytes;
}

template <class Row>
void run_compiled(benchmark::State& state, bool needs_grad) {
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    auto f = compile_row(row);
    time_calls(state, row, f);
    count_kernels(state, f, row);
  });
}

/// A training row in an unchanged loop: the net and the optimizer are compiled, the loop, the loss and backward() are not.
template <class Row>
void run_compiled_parts(benchmark::State& state) {
  Row& row = shared_row<Row>();
  auto forward = sinter::compile([&row](const Tensor& x) { return row.net.forward(x); });
  auto update = sinter::compile(row.optimizer);
  auto step = [&](const Tensor& x, const Tensor& y) { return row.step_with(forward, update, x, y); };
  time_calls(state, row, step);
}

/// The matrix products of a training row's step and nothing else: the same kernels on the same shapes.
void run_products784(benchmark::State& state) {
  constexpr int64_t kBatch = 64;
  Net784 net;
  const sinter::NoGradGuard no_grad;
  const sinter::nn::Linear layers[] = {net.first, net.second, net.third};
  struct Product {
    sinter::Op op;
    Tensor a, b, bias, out;
  };
  std::vector<Product> products;
  for (const auto& layer : layers) {
    const int64_t out = layer->weight.size(0), in = layer->weight.size(1);
    const Tensor x = random_normal({kBatch, in}), g = random_normal({kBatch, out});
    products.push_back({sinter::Op::linear, x, layer->weight, layer->bias, sinter::empty({kBatch, out})});
    products.push_back({sinter::Op::mm, g.t(), x, Tensor(), sinter::empty({out, in})});
    if (in != Net784::kIn) products.push_back({sinter::Op::mm, g, layer->weight, Tensor(), sinter::empty({kBatch, in})});
  }
  const auto view = [](const Tensor& t) {
    return sinter::TensorView{t.data_ptr(), t.dtype(), t.impl()->sizes, t.impl()->strides};
  };
  for (auto _ : state)
    for (const Product& p : products) {
      sinter::TensorView in[] = {view(p.a), view(p.b), p.bias.defined() ? view(p.bias) : sinter::TensorView{}};
      sinter::KernelArgs args;
      args.op = p.op;
      args.in = {in, p.bias.defined() ? 3u : 2u};
      args.out = view(p.out);
      sinter::run_kernel(args);
    }
}

/// One call right after 4 MiB of other memory were written: what a program that does other work in between sees.
template <class Row>
void run_compiled_cold(benchmark::State& state, bool needs_grad) {
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    auto f = compile_row(row);
    for (int i = 0; i < 3; ++i) f(row.x, row.y);
    for (auto _ : state) state.SetIterationTime(cold_call_seconds([&] { return f(row.x, row.y); }));
  });
}

/// What compiling costs: the first call of a fresh object with empty caches, less a later call.
template <class Row>
void run_compile(benchmark::State& state, bool needs_grad) {
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    row(row.x, row.y);  // first touch of memory is not compilation
    for (auto _ : state) {
      sinter::reset();
      auto f = compile_row(row);
      const double first = call_seconds([&] { return f(row.x, row.y); });
      double later = first;
      for (int i = 0; i < 3; ++i) later = std::min(later, call_seconds([&] { return f(row.x, row.y); }));
      state.SetIterationTime(first - later);
    }
  });
}

struct Register {
  template <class Row>
  void operator()(const char* name, bool needs_grad) const {
    const std::string row = name;
    benchmark::RegisterBenchmark((row + "/eager").c_str(), run_eager<Row>, needs_grad)->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark((row + "/compiled").c_str(), run_compiled<Row>, needs_grad)->Unit(benchmark::kMicrosecond);
    if (row == "sincos_100" || row == "seedmlp_b4" || row == "train_seed_sgd") {
      benchmark::RegisterBenchmark((row + "/compiled_cold").c_str(), run_compiled_cold<Row>, needs_grad)
          ->UseManualTime()
          ->Iterations(1000)
          ->Unit(benchmark::kMicrosecond);
    }
  }
};

template <class Row>
void register_parts(const char* name) {
  const std::string row = std::string(name) + "_b";
  benchmark::RegisterBenchmark((row + "/eager").c_str(), run_eager<Row>, true)->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark((row + "/compiled").c_str(), run_compiled_parts<Row>)->Unit(benchmark::kMicrosecond);
}

template <class Row>
void register_compile(const char* name, bool needs_grad = false) {
  benchmark::RegisterBenchmark((std::string("compile_us/") + name).c_str(), run_compile<Row>, needs_grad)
      ->UseManualTime()
      ->Iterations(5)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

void register_ladder() {
  sinter::manual_seed(0);
  each_row(Register());
  register_parts<TrainSeedSgd>("train_seed_sgd");
  register_parts<TrainMlp784Sgd>("train_mlp784_sgd");
  register_parts<TrainMlp784Adam>("train_mlp784_adam");
  benchmark::RegisterBenchmark("products_of/train_mlp784", run_products784)->Unit(benchmark::kMicrosecond);
  // Compiling does not depend on the size, and a small call leaves less noise in the difference.
  register_compile<Sincos<10, 10>>("sincos_100");
  register_compile<BiasGelu<256, 256>>("biasgelu_256");
  register_compile<Softmax<256, 256>>("softmax_256");
  register_compile<LayerNorm<16, 4096>>("layernorm_16x4096");
  register_compile<SeedMlp<4>>("seedmlp_b4");
  register_compile<Mlp784<1>>("mlp784_b1");
  register_compile<BertLayer<16>>("bertlayer_s16");
  register_compile<TrainSeedSgd>("train_seed_sgd", true);
  register_compile<TrainMlp784Adam>("train_mlp784_adam", true);
}

}  // namespace bench
