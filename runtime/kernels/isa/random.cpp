// Philox 4x32-10 on vectors, and float32 values made of its words.
#include "functions.h"
#include "lanes.h"
#include "random_kernels.h"

namespace sinter::SINTER_LEVEL::lanes {
namespace {

typedef Vec<uint64_t> Wide;  // one 32-bit word per 64-bit lane

[[gnu::always_inline]] inline Wide widening_mul(Wide a, Wide b) {
#if defined(SINTER_LEVEL_v4)
  return (Wide)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(SINTER_LEVEL_v3)
  return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
  return (Wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#endif
}

constexpr int kCounters = 2 * kWidth<uint64_t>;  // at once: two chains

void philox_block(uint64_t seed, uint64_t counter, uint32_t* out) {
  const Wide low = splat<uint64_t>(0xffffffffu), m0 = splat<uint64_t>(0xD2511F53), m1 = splat<uint64_t>(0xCD9E8D57);
  Wide c0[2], c1[2], c2[2], c3[2];
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    Wide n;
    for (int l = 0; l < kWidth<uint64_t>; ++l) n[l] = counter + static_cast<uint64_t>(h * kWidth<uint64_t> + l);
    c0[h] = n & low;
    c1[h] = n >> 32;
    c2[h] = c3[h] = Wide{};
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Wide key0 = splat<uint64_t>(k0), key1 = splat<uint64_t>(k1);
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      const Wide p0 = widening_mul(c0[h], m0), p1 = widening_mul(c2[h], m1);
      c0[h] = (p1 >> 32) ^ c1[h] ^ key0;
      c2[h] = (p0 >> 32) ^ c3[h] ^ key1;
      c1[h] = p1 & low;
      c3[h] = p0 & low;
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    uint64_t first[kWidth<uint64_t>], second[kWidth<uint64_t>];
    store_vec(first, c0[h] | (c1[h] << 32));
    store_vec(second, c2[h] | (c3[h] << 32));
    for (int l = 0; l < kWidth<uint64_t>; ++l, out += 4) {
      __builtin_memcpy(out, &first[l], 8);
      __builtin_memcpy(out + 2, &second[l], 8);
    }
  }
}

void words(uint64_t seed, uint64_t counter, int64_t count, uint32_t* out) {
  int64_t i = 0;
  for (; i + kCounters <= count; i += kCounters) philox_block(seed, counter + static_cast<uint64_t>(i), out + 4 * i);
  if (i == count) return;
  uint32_t last[4 * kCounters];
  philox_block(seed, counter + static_cast<uint64_t>(i), last);
  __builtin_memcpy(out + 4 * i, last, static_cast<uint64_t>(count - i) * 16);
}

/// (w >> 8) / 2^24: exact.
[[gnu::always_inline]] inline Vec<float> unit(Vec<uint32_t> w) {
  return __builtin_convertvector((Vec<int32_t>)(w >> 8), Vec<float>) * splat<float>(0x1p-24f);
}

void uniform(const uint32_t* words, int64_t n, float* out) {
  constexpr int kW = kWidth<float>;
  int64_t i = 0;
  for (; i + kW <= n; i += kW) store_vec(out + i, unit(load_vec(words + i)));
  if (i < n) store_part(out + i, unit(load_part(words + i, static_cast<int>(n - i))), static_cast<int>(n - i));
}

/// Elements 2j and 2j + 1 from words 2j and 2j + 1, see runtime/random.h.
void normal(const uint32_t* words, int64_t n, float* out) {
  constexpr int kW = kWidth<float>;
  Native b;
  for (int64_t i = 0; i < n; i += 2 * kW) {
    const int64_t left = n - i < 2 * kW ? n - i : 2 * kW;
    uint32_t u[kW], v[kW];
    for (int j = 0; j < kW; ++j) {
      u[j] = 2 * j < left ? words[i + 2 * j] : 0;
      v[j] = 2 * j < left ? words[i + 2 * j + 1] : 0;
    }
    const Vec<float> one = splat<float>(1);
    const Vec<float> x = one - unit(load_vec(u)), angle = unit(load_vec(v)) * splat<float>(0x1.921fb6p2f);
    const Vec<float> r = b.sqrt(log_lanes(x) * splat<float>(-2));
    float c[kW], s[kW];
    store_vec(c, r * Ops<ScalarType::Float>::cos(b, 0, angle));
    store_vec(s, r * Ops<ScalarType::Float>::sin(b, 0, angle));
    for (int j = 0; 2 * j < left; ++j) {
      out[i + 2 * j] = c[j];
      out[i + 2 * j + 1] = s[j];
    }
  }
}

}  // namespace
}  // namespace sinter::SINTER_LEVEL::lanes

namespace sinter::SINTER_LEVEL {

extern constexpr RandomKernels kRandom = {lanes::words, lanes::uniform, lanes::normal};

}  // namespace sinter::SINTER_LEVEL
