// What the benchmark program is made of: each registers its benchmarks with Google Benchmark.
#pragma once

namespace bench {

/// <row>/eager and <row>/compiled.
void register_ladder();
/// Costs of the engine alone: replay, guards, frames, compilation.
void register_costs();
/// What the machine can do: multiply-adds a second, memory read and copied.
void register_peaks();
/// <row>/threads1 and <row>/threads2: kernels divided over threads, and calls from several user threads (time of a call of all
/// together).
void register_two_threads();
/// <row>/openblas, of the rows that are one product; nothing where the library is not installed.
void register_openblas();
/// <row>/libtorch; only with SINTER_BENCH_LIBTORCH.
void register_libtorch();

}  // namespace bench
