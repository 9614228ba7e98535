// Printing as LibTorch prints: values in columns, a common scale where it helps, then type and sizes.
#include <algorithm>
#include <cmath>
#include <iomanip>
#include <ostream>
#include <sstream>
#include <vector>
#include "../runtime/out_of_memory.h"
#include "tensor.h"

namespace sinter {

namespace {

constexpr int kLineWidth = 80;

template <class T>
void collect_as(const Tensor& t, Loc loc, std::vector<double>& out) {
  const T* base = t.const_data_ptr<T>(loc);
  const IntArrayRef sizes = t.sizes(), strides = t.strides();
  const size_t rank = sizes.size();
  std::vector<int64_t> at(rank, 0);
  const int64_t n = t.numel();
  out.reserve(static_cast<size_t>(n));
  int64_t offset = 0;
  for (int64_t i = 0; i < n; ++i) {
    out.push_back(static_cast<double>(base[offset]));
    for (size_t d = rank; d-- > 0;) {
      offset += strides[d];
      if (++at[d] < sizes[d]) break;
      offset -= strides[d] * sizes[d];
      at[d] = 0;
    }
  }
}

/// All elements in row-major order.
std::vector<double> collect(const Tensor& t, Loc loc) {
  std::vector<double> values;
  switch (t.dtype()) {
    case kBool:
      collect_as<bool>(t, loc, values);
      break;
    case kLong:
      collect_as<int64_t>(t, loc, values);
      break;
    case kFloat:
      collect_as<float>(t, loc, values);
      break;
    default:
      collect_as<double>(t, loc, values);
      break;
  }
  return values;
}

const char* type_name(ScalarType t) {
  constexpr const char* names[] = {"CPUBoolType", "CPULongType", "CPUFloatType", "CPUDoubleType"};
  return names[static_cast<int>(t)];
}

struct Format {
  double scale = 1;
  int width = 0;
};

/// Digits before the point: 1 for [1, 10), 0 for [0.1, 1); 0 itself counts as 1.
double exponent_of(double v) { return v == 0 ? 1 : std::floor(std::log10(v)) + 1; }

/// Chooses width and scale for a block of values and sets the stream's notation. The rules are LibTorch's, also where
/// they are odd: after the first finite value only positive ones raise the maximum.
Format choose_format(std::ostream& out, const double* v, size_t n) {
  Format f;
  if (n == 0) return f;
  bool integers = true;
  double low = 1, high = 1;
  bool seen = false;
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(v[i])) continue;
    integers &= v[i] == std::ceil(v[i]);
    const double a = std::fabs(v[i]);
    low = seen ? std::min(low, a) : a;
    if (!seen || v[i] > high) high = a;
    seen = true;
  }
  if (seen) low = exponent_of(low), high = exponent_of(high);
  const auto scientific = [&](int width) { f.width = width, out << std::scientific << std::setprecision(4); };
  if (integers) {
    if (high > 9) scientific(11);
    else f.width = static_cast<int>(high) + 1, out << std::defaultfloat;
    return f;
  }
  if (high - low > 4) {
    scientific(std::fabs(high) > 99 || std::fabs(low) > 99 ? 12 : 11);
    return f;
  }
  if (high > 5 || high < 0) {
    f.width = 7;
    f.scale = std::pow(10, high - 1);
  } else {
    f.width = high == 0 ? 7 : static_cast<int>(high) + 6;
  }
  out << std::fixed << std::setprecision(4);
  return f;
}

void put_scale(std::ostream& out, double scale) {
  const auto flags = out.flags();
  out << std::defaultfloat << scale << " *\n";
  out.flags(flags);
}

void put_vector(std::ostream& out, const std::vector<double>& v) {
  const Format f = choose_format(out, v.data(), v.size());
  if (f.scale != 1) put_scale(out, f.scale);
  for (double x : v) out << std::setw(f.width) << x / f.scale << '\n';
}

void put_matrix(std::ostream& out, const double* v, int64_t rows, int64_t columns, int indent) {
  const Format f = choose_format(out, v, static_cast<size_t>(rows * columns));
  const std::string margin(static_cast<size_t>(indent), ' ');
  const int64_t per_line = std::max<int64_t>((kLineWidth - indent) / (f.width + 1), 1);
  out << margin;
  for (int64_t first = 0; first < columns; first += per_line) {
    const int64_t end = std::min(first + per_line, columns);
    if (per_line < columns) {
      if (first != 0) out << '\n';
      out << "Columns " << first + 1 << " to " << end << margin;
    }
    if (f.scale != 1) {
      put_scale(out, f.scale);
      out << margin;
    }
    for (int64_t r = 0; r < rows; ++r) {
      if (r > 0) out << margin << (f.scale != 1 ? " " : "");
      for (int64_t c = first; c < end; ++c)
        out << std::setw(f.width) << v[r * columns + c] / f.scale << (c + 1 < end ? ' ' : '\n');
    }
  }
}

/// Rank 3 and more: one matrix after another, the first dimension counting fastest.
void put_matrices(std::ostream& out, const std::vector<double>& v, IntArrayRef sizes) {
  const size_t leading = sizes.size() - 2;
  const int64_t rows = sizes[leading], columns = sizes[leading + 1];
  std::vector<int64_t> at(leading, 0);
  for (bool start = true;; start = false) {
    if (!start) {
      size_t d = 0;
      while (d < leading && ++at[d] == sizes[d]) at[d++] = 0;
      if (d == leading) return;
      out << '\n';
    }
    int64_t matrix = 0;
    out << '(';
    for (size_t d = 0; d < leading; ++d) {
      matrix = matrix * sizes[d] + at[d];
      out << at[d] + 1 << ',';
    }
    out << ".,.) = \n";
    put_matrix(out, v.data() + matrix * rows * columns, rows, columns, 1);
  }
}

void put(std::ostream& out, const Tensor& t, Loc loc) {
  if (!t.defined()) {
    out << "[ Tensor (undefined) ]";
    return;
  }
  const std::vector<double> values = collect(t, loc);
  const IntArrayRef sizes = t.sizes();
  if (sizes.empty()) out << std::defaultfloat << values[0] << '\n';
  else if (sizes.size() == 1) put_vector(out, values);
  else if (!values.empty() && sizes.size() == 2) put_matrix(out, values.data(), sizes[0], sizes[1], 0);
  else if (!values.empty()) put_matrices(out, values, sizes);
  out << "[ " << type_name(t.dtype()) << '{';
  for (size_t i = 0; i < sizes.size(); ++i) out << (i ? "," : "") << sizes[i];
  out << "} ]";
}

}  // namespace

std::string Tensor::str(Loc loc) const {
  return memory_gate([&] {
    std::ostringstream out;
    out.exceptions(std::ios::badbit);  // else half a text would be returned when memory runs out
    put(out, *this, loc);
    return out.str();
  });
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) {
  const std::string text = memory_gate([&] {
    std::ostringstream s;
    s.exceptions(std::ios::badbit);
    s.precision(out.precision());
    put(s, t, {});
    return s.str();
  });
  return out << text;
}

}  // namespace sinter
