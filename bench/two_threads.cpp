// What a second core gives: kernels divided over two threads, and two user threads that call at once, each against one.
//
// The process is pinned to one core; these rows may use all of them while they run, and need two that nobody else uses.
#include <sched.h>
#include <sinter/nn.h>
#include <sinter/optim.h>
#include <sinter/sinter.h>
#define BENCH_API sinter
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>
#include "rows.h"
#include "suites.h"

namespace bench {
namespace {

/// All cores and a number of threads, for a scope. Workers are started with the cores of the main thread.
class Cores {
 public:
  explicit Cores(int threads) : threads_(sinter::get_num_threads()) {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof(all));
    sched_setaffinity(0, sizeof(all), &all);
    sinter::set_num_threads(threads);
  }
  ~Cores() {
    sinter::set_num_threads(threads_);
    sched_setaffinity(0, sizeof(before_), &before_);
  }

 private:
  int threads_;
  cpu_set_t before_;
};

template <class Row>
void divided(benchmark::State& state, bool needs_grad, int threads) {
  const Cores cores(threads);
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    auto f = sinter::compile([&row](const Tensor& x, const Tensor& y) { return row(x, y); });
    time_calls(state, row, f);
  });
}

/// Calls that hit, from so many user threads; the time is that of all calls together.
template <class Row>
void callers(benchmark::State& state, int users) {
  const Cores cores(1);
  for (auto _ : state) {
    constexpr int kCalls = 20'000;
    std::vector<Row> rows(static_cast<size_t>(users));
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    std::atomic<bool> go{false};
    const auto call = [&](Row& row) {
      sinter::NoGradGuard no_grad;
      auto f = sinter::compile([&row](const Tensor& x, const Tensor& y) { return row(x, y); });
      for (int i = 0; i < 100; ++i) (void)f(row.x, row.y);
      ++ready;
      while (!go) std::this_thread::yield();
      for (int i = 0; i < kCalls; ++i) (void)f(row.x, row.y);
    };
    for (Row& row : rows) threads.emplace_back(call, std::ref(row));
    while (ready < users) std::this_thread::yield();
    const auto start = std::chrono::steady_clock::now();
    go = true;
    for (std::thread& t : threads) t.join();
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / (kCalls * users));
  }
}

template <class Row>
void register_divided(const std::string& name, bool needs_grad) {
  for (const int threads : {1, 2})
    benchmark::RegisterBenchmark((name + "/threads" + std::to_string(threads)).c_str(), divided<Row>, needs_grad, threads)
        ->UseRealTime();
}

template <class Row>
void register_callers(const std::string& name) {
  for (const int users : {1, 2})
    benchmark::RegisterBenchmark((name + "_callers/threads" + std::to_string(users)).c_str(), callers<Row>, users)
        ->UseManualTime()
        ->Iterations(3);
}

}  // namespace

void register_two_threads() {
  register_divided<Sincos<4000, 4000>>("sincos_16m", false);
  register_divided<BiasGelu<256, 256>>("biasgelu_256", false);
  register_divided<Softmax<256, 256>>("softmax_256", false);
  register_divided<Softmax<4096, 4096>>("softmax_4k", false);
  register_divided<LayerNorm<4096, 4096>>("layernorm_4k", false);
  register_divided<Mlp784<64>>("mlp784_b64", false);
  register_divided<BertLayer<128>>("bertlayer_s128", false);
  register_divided<TrainMlp784Adam>("train_mlp784_adam", true);
  register_callers<Sincos<10, 10>>("sincos_100");
  register_callers<SeedMlp<4>>("seedmlp_b4");
}

}  // namespace bench
