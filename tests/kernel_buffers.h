// Operands for kernel tests: owned bytes in a chosen layout, read back element by element in logical order.
#pragma once
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>
#include "runtime/cpu.h"
#include "runtime/kernels/kernel.h"

namespace sinter::test {

enum class Layout { Dense, Reversed, Stepped, Expanded };  // Reversed: column-major; Stepped: every second element
inline constexpr Layout kLayouts[] = {Layout::Dense, Layout::Reversed, Layout::Stepped, Layout::Expanded};

struct Buffer {
  ScalarType dtype = ScalarType::Undefined;
  SizeVec sizes, strides;
  std::vector<unsigned char> bytes;

  Buffer() = default;
  Buffer(ScalarType t, IntArrayRef shape, Layout layout = Layout::Dense) : dtype(t), sizes(shape) {
    strides = contiguous_strides(shape);
    if (layout == Layout::Reversed) {
      int64_t step = 1;
      for (size_t i = 0; i < sizes.size(); ++i) {
        strides[i] = step;
        step *= std::max<int64_t>(sizes[i], 1);
      }
    }
    if (layout == Layout::Stepped)
      for (auto& s : strides) s *= 2;
    if (layout == Layout::Expanded && !sizes.empty()) strides[0] = 0;
    int64_t span = 1;
    for (size_t i = 0; i < sizes.size(); ++i) span += std::max<int64_t>(sizes[i] - 1, 0) * strides[i];
    bytes.resize(static_cast<size_t>(span) * element_size(t) + 1);  // one canary byte behind
    bytes.back() = 0xA5;
  }
  int64_t numel() const { return numel_of(sizes); }
  bool intact() const { return bytes.back() == 0xA5; }
  TensorView view() const { return {const_cast<unsigned char*>(bytes.data()), dtype, sizes, strides}; }
  /// Offset in elements of logical element i.
  int64_t at(int64_t i) const {
    int64_t offset = 0;
    for (size_t d = sizes.size(); d-- > 0;) {
      offset += i % sizes[d] * strides[d];
      i /= sizes[d];
    }
    return offset;
  }
  template <class T>
  T get(int64_t i) const {
    T v;
    std::memcpy(&v, bytes.data() + at(i) * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return v;
  }
  template <class T>
  void put(int64_t i, T v) {
    std::memcpy(bytes.data() + at(i) * static_cast<int64_t>(sizeof(T)), &v, sizeof(T));
  }
  double value(int64_t i) const {
    switch (dtype) {
      case ScalarType::Float:
        return get<float>(i);
      case ScalarType::Double:
        return get<double>(i);
      case ScalarType::Long:
        return static_cast<double>(get<int64_t>(i));
      default:
        return get<uint8_t>(i);
    }
  }
  void set(int64_t i, double v) {
    switch (dtype) {
      case ScalarType::Float:
        return put(i, static_cast<float>(v));
      case ScalarType::Double:
        return put(i, v);
      case ScalarType::Long:
        return put(i, static_cast<int64_t>(v));
      default:
        return put(i, static_cast<uint8_t>(v != 0));
    }
  }
  template <class T>
  std::vector<T> values() const {
    std::vector<T> v(static_cast<size_t>(numel()));
    for (int64_t i = 0; i < numel(); ++i) v[static_cast<size_t>(i)] = get<T>(i);
    return v;
  }
};

/// Normal numbers (floating), small integers, or coin flips.
inline Buffer random_buffer(std::mt19937& rng, ScalarType t, IntArrayRef shape, Layout layout = Layout::Dense) {
  Buffer b(t, shape, layout);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < b.numel(); ++i) {
    const double v = normal(rng);
    b.set(i, t == ScalarType::Long ? std::floor(v * 5) : t == ScalarType::Bool ? v > 0.8 : v);
  }
  return b;
}

inline Buffer filled(ScalarType t, IntArrayRef shape, const std::vector<double>& values) {
  Buffer b(t, shape);
  for (int64_t i = 0; i < b.numel(); ++i) b.set(i, values.at(static_cast<size_t>(i)));
  return b;
}

/// One call of an operator on buffers.
struct Call {
  Op op;
  std::vector<TensorView> in;
  uint64_t attr = 0;
  SizeVec ints;
  std::vector<Scalar> scalars;
  uint8_t flags = 0;

  KernelArgs args(const TensorView& out) const {
    KernelArgs a;
    a.op = op;
    a.flags = flags;
    a.n_scalars = static_cast<uint8_t>(scalars.size());
    a.out = out;
    a.in = in;
    a.attr = attr;
    a.ints = ints;
    a.scalars = scalars.data();
    return a;
  }
  void run(Buffer& out) const { run_kernel(args(out.view())); }
  void check() const { check_values(args({})); }
};

/// The ISA levels of this machine, lowest first; restores the cap at the end of its life.
struct EachIsa {
  std::vector<Isa> levels{Isa::None};
  EachIsa() {
    if (detected_isa() >= Isa::Avx2) levels.push_back(Isa::Avx2);
    if (detected_isa() >= Isa::Avx512) levels.push_back(Isa::Avx512);
  }
  ~EachIsa() { set_isa_cap(detected_isa()); }
  auto begin() const { return levels.begin(); }
  auto end() const { return levels.end(); }
};

inline bool same_bits(const Buffer& a, const Buffer& b) {
  const size_t size = element_size(a.dtype);
  for (int64_t i = 0; i < a.numel(); ++i)
    if (std::memcmp(a.bytes.data() + static_cast<size_t>(a.at(i)) * size, b.bytes.data() + static_cast<size_t>(b.at(i)) * size,
                    size) != 0)
      return false;
  return a.numel() == b.numel();
}

}  // namespace sinter::test
