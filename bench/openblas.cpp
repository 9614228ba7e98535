// OpenBLAS called directly for the rows that are one product: the peer below LibTorch. Found at run time; LibTorch uses the same
// file.
#include <benchmark/benchmark.h>
#include <dlfcn.h>
#include <cstdint>
#include <random>
#include <string>
#include <vector>
#include "suites.h"

namespace bench {
namespace {

// The C interface of BLAS (netlib's cblas.h), 32-bit sizes.
enum Order { kRowMajor = 101 };
enum Transpose { kNo = 111 };
template <class Real>
using Gemm = void (*)(Order, Transpose, Transpose, int m, int n, int k, Real alpha, const Real* a, int lda, const Real* b,
                      int ldb, Real beta, Real* c, int ldc);
using Sgemv = void (*)(Order, Transpose, int m, int n, float alpha, const float* a, int lda, const float* x, int incx, float beta,
                       float* y, int incy);

template <class F>
F find(const char* name) {
  static void* const library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  return library ? reinterpret_cast<F>(dlsym(library, name)) : nullptr;
}

template <class Real>
std::vector<Real> random_values(int64_t n) {
  std::mt19937 engine(static_cast<unsigned>(n));
  std::normal_distribution<Real> normal;
  std::vector<Real> values(static_cast<size_t>(n));
  for (Real& v : values) v = normal(engine);
  return values;
}

template <class Real>
void run_gemm(benchmark::State& state, Gemm<Real> gemm, int n) {
  const auto a = random_values<Real>(int64_t{n} * n), b = a;
  auto c = a;
  gemm(kRowMajor, kNo, kNo, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);  // warm: its buffers
  for (auto _ : state) {
    gemm(kRowMajor, kNo, kNo, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
    benchmark::ClobberMemory();
  }
}

void run_gemv(benchmark::State& state, Sgemv gemv, int in, int out) {
  const auto weight = random_values<float>(int64_t{in} * out), x = random_values<float>(in);
  auto y = random_values<float>(out);
  for (auto _ : state) {
    gemv(kRowMajor, kNo, out, in, 1, weight.data(), in, x.data(), 1, 0, y.data(), 1);
    benchmark::ClobberMemory();
  }
}

}  // namespace

void register_openblas() {
  const auto set_threads = find<void (*)(int)>("openblas_set_num_threads");
  const auto sgemm = find<Gemm<float>>("cblas_sgemm");
  const auto dgemm = find<Gemm<double>>("cblas_dgemm");
  const auto sgemv = find<Sgemv>("cblas_sgemv");
  if (!set_threads || !sgemm || !dgemm || !sgemv) return;
  set_threads(1);
  const auto unit = [](benchmark::internal::Benchmark* b) { b->Unit(benchmark::kMicrosecond); };
  for (const int n : {16, 32, 64, 128, 256, 512, 1024, 2048})
    unit(benchmark::RegisterBenchmark(("gemm_" + std::to_string(n) + "/openblas").c_str(), run_gemm<float>, sgemm, n));
  unit(benchmark::RegisterBenchmark("gemm_f64_512/openblas", run_gemm<double>, dgemm, 512));
  unit(benchmark::RegisterBenchmark("gemv_784x512/openblas", run_gemv, sgemv, 784, 512));
}

}  // namespace bench
