// What the benchmark program is made of: each registers its benchmarks with Google Benchmark.
#pragma once

namespace bench {

/// <row>/eager and <row>/compiled.
void register_ladder();
/// Costs of the engine alone: replay, guards, frames, compilation.
void register_costs();
/// <row>/libtorch; only with SINTER_BENCH_LIBTORCH.
void register_libtorch();

}  // namespace bench
