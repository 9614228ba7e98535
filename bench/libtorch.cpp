// The ladder on LibTorch's C++ eager mode, one thread: the peer that sinter is measured against.
#include <torch/torch.h>
#define BENCH_API torch
#include "rows.h"
#include "suites.h"

namespace bench {
namespace {

template <class Row>
void run_row(benchmark::State& state, bool needs_grad) {
  with_grad_mode(needs_grad, [&] {
    Row& row = shared_row<Row>();
    time_calls(state, row, row);
  });
}

struct Register {
  template <class Row>
  void operator()(const char* name, bool needs_grad) const {
    benchmark::RegisterBenchmark((std::string(name) + "/libtorch").c_str(), run_row<Row>, needs_grad)
        ->Unit(benchmark::kMicrosecond);
  }
};

}  // namespace

void register_libtorch() {
  at::set_num_threads(1);
  at::set_num_interop_threads(1);
  torch::manual_seed(0);
  each_row(Register());
}

}  // namespace bench
