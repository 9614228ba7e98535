#include "machine_rates.h"
#include <immintrin.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>

namespace sinter::machine {

namespace {

constexpr int kFmasPerRound = 96;

// Twelve sums, as one FMA takes four or five cycles and two may start in each; eight times over, so that the loop's own two
// instructions do not show. All are zero: how long an FMA takes does not depend on its operands.
#define TWELVE_FMAS(kind, reg)                                                                                  \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "0\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg \
  "1\n"                                                                                                         \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "2\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg \
  "3\n"                                                                                                         \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "4\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg \
  "5\n"                                                                                                         \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "6\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg \
  "7\n"                                                                                                         \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "8\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg \
  "9\n"                                                                                                         \
  "vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "10\n vfmadd231" kind " %%" reg "12, %%" reg "13, %%" reg "11\n"
#define FMA_LOOP(kind, reg)                                                                                                 \
  asm volatile(                                                                                                             \
      "vpxor %%xmm0, %%xmm0, %%xmm0\n vpxor %%xmm1, %%xmm1, %%xmm1\n vpxor %%xmm2, %%xmm2, %%xmm2\n"                        \
      "vpxor %%xmm3, %%xmm3, %%xmm3\n vpxor %%xmm4, %%xmm4, %%xmm4\n vpxor %%xmm5, %%xmm5, %%xmm5\n"                        \
      "vpxor %%xmm6, %%xmm6, %%xmm6\n vpxor %%xmm7, %%xmm7, %%xmm7\n vpxor %%xmm8, %%xmm8, %%xmm8\n"                        \
      "vpxor %%xmm9, %%xmm9, %%xmm9\n vpxor %%xmm10, %%xmm10, %%xmm10\n vpxor %%xmm11, %%xmm11, %%xmm11\n"                  \
      "vpxor %%xmm12, %%xmm12, %%xmm12\n vpxor %%xmm13, %%xmm13, %%xmm13\n"                                                 \
      ".p2align 5\n 1:\n .rept 8\n" TWELVE_FMAS(kind, reg) ".endr\n dec %0\n jnz 1b\n vzeroupper\n"                         \
      : "+r"(rounds)                                                                                                        \
      :                                                                                                                     \
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", \
        "cc")

}  // namespace

double run_fma(Isa isa, ScalarType dtype, int64_t rounds) {
  const bool wide = isa == Isa::Avx512, single = dtype == ScalarType::Float;
  const double lanes = (wide ? 64.0 : 32.0) / static_cast<double>(element_size(dtype));
  const double flops = 2.0 * lanes * kFmasPerRound * static_cast<double>(rounds);
  if (rounds <= 0) return 0;
  if (wide && single) FMA_LOOP("ps", "zmm");
  else if (wide) FMA_LOOP("pd", "zmm");
  else if (single) FMA_LOOP("ps", "ymm");
  else FMA_LOOP("pd", "ymm");
  return flops;
}

#undef FMA_LOOP
#undef TWELVE_FMAS

__attribute__((target("avx2"))) void read_memory(const void* from, int64_t bytes) {
  const auto* p = static_cast<const __m256i*>(from);
  __m256i sums[8] = {};
  for (const auto* end = p + bytes / 32; p < end; p += 8)
#pragma GCC unroll 8  // else the sums live in memory
    for (int k = 0; k < 8; ++k) sums[k] = _mm256_xor_si256(sums[k], _mm256_loadu_si256(p + k));
  for (const __m256i& sum : sums) asm volatile("" : : "x"(sum));  // as if it were used
}

__attribute__((target("avx2"))) void copy_streaming(void* to, const void* from, int64_t bytes) {
  const auto* p = static_cast<const __m256i*>(from);
  auto* q = static_cast<__m256i*>(to);
  for (const auto* end = p + bytes / 32; p < end; p += 4, q += 4) {
    const __m256i a = _mm256_loadu_si256(p), b = _mm256_loadu_si256(p + 1), c = _mm256_loadu_si256(p + 2),
                  d = _mm256_loadu_si256(p + 3);
    _mm256_stream_si256(q, a);
    _mm256_stream_si256(q + 1, b);
    _mm256_stream_si256(q + 2, c);
    _mm256_stream_si256(q + 3, d);
  }
  _mm_sfence();
}

namespace {

constexpr int64_t kBeyondCaches = int64_t{64} << 20;
constexpr double kEverything = std::numeric_limits<double>::infinity();

/// The best of a few times of `f`, each at least `seconds` long.
template <class F>
double best_seconds(double seconds, F&& f) {
  using Clock = std::chrono::steady_clock;
  double best = kEverything;
  for (int sample = 0; sample < 5; ++sample) {
    int calls = 0;
    const auto start = Clock::now();
    std::chrono::duration<double> took{};
    do {
      f();
      ++calls;
      took = Clock::now() - start;
    } while (took.count() < seconds);
    best = std::min(best, took.count() / calls);
  }
  return best;
}

/// Pages of this process, huge ones where the system has them; null without memory.
struct Pages {
  explicit Pages(int64_t n) : bytes(static_cast<size_t>(n)) {
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    data = static_cast<char*>(p);
    madvise(data, bytes, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes; i += 4096) data[i] = 1;
  }
  Pages(const Pages&) = delete;
  ~Pages() {
    if (data != nullptr) munmap(data, bytes);
  }
  size_t bytes;
  char* data = nullptr;
};

double cache_bytes(int name, double otherwise) {
  const long n = sysconf(name);
  return n > 0 ? static_cast<double>(n) : otherwise;
}

Rates measure(Isa isa) {
  Rates rates;
  constexpr int kRounds = 500;
  for (const ScalarType dtype : {ScalarType::Float, ScalarType::Double}) {
    double flops = 0;
    const double seconds = best_seconds(2e-4, [&] { flops = run_fma(isa, dtype, kRounds); });
    (dtype == ScalarType::Float ? rates.flops_f32 : rates.flops_f64) = flops / seconds;
  }
  rates.levels[0].capacity = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  rates.levels[1].capacity = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20);
  rates.levels[2].capacity = static_cast<double>(last_level_cache_bytes());
  rates.levels[3].capacity = kEverything;
  const Pages pages(2 * kBeyondCaches);
  if (pages.data == nullptr) return rates;
  double smaller = 0;  // capacity of the level before
  for (Rates::Level& level : rates.levels) {
    // Well inside of the level, and well beyond the one before.
    const double inside = smaller > 0 ? std::sqrt(smaller * level.capacity) : level.capacity / 2;
    const auto bytes = static_cast<int64_t>(std::min(inside, static_cast<double>(kBeyondCaches))) / 256 * 256;
    level.rate = static_cast<double>(bytes) / best_seconds(2e-4, [&] { read_memory(pages.data, bytes); });
    smaller = level.capacity;
  }
  const double copying = best_seconds(2e-4, [&] { copy_streaming(pages.data + kBeyondCaches, pages.data, kBeyondCaches); });
  rates.levels[3].rate = std::max(rates.levels[3].rate, 2.0 * kBeyondCaches / copying);
  return rates;
}

}  // namespace

double Rates::bytes_per_second(double bytes) const {
  for (const Level& level : levels)
    if (bytes <= level.capacity) return level.rate;
  return 0;
}

const Rates& measured_rates(Isa isa) {
  static constinit std::mutex mutex;
  static constinit Rates known[3];
  static constinit bool is_known[3] = {true, false, false};  // nothing is measured without vectors
  const auto level = static_cast<size_t>(std::min(isa, detected_isa()));
  const std::lock_guard lock(mutex);
  if (!is_known[level]) known[level] = measure(static_cast<Isa>(level)), is_known[level] = true;
  return known[level];
}

}  // namespace sinter::machine
