#include "size_term.h"
#include <fmt/format.h>
#include "../../runtime/mutants.h"

namespace sinter {

namespace {

using Values = std::array<int64_t, kProbes>;

bool all_equal(const Values& v) {
  for (int64_t x : v)
    if (x != v[0]) return false;
  return true;
}

/// Divides by symbols as often as all values allow.
void take_out(Values& v, const Probes& probes, std::array<int8_t, SizeTerm::kDegree>& outer) {
  int degree = 0;
  for (int s = 0; s < probes.count; ++s)
    while (degree < SizeTerm::kDegree) {
      bool divides = true;
      for (int j = 0; j < kProbes; ++j)
        divides = divides && v[static_cast<size_t>(j)] != 0 &&
                  v[static_cast<size_t>(j)] % probes.values[static_cast<size_t>(j)][static_cast<size_t>(s)] == 0;
      if (!divides) break;
      for (int j = 0; j < kProbes; ++j)
        v[static_cast<size_t>(j)] /= probes.values[static_cast<size_t>(j)][static_cast<size_t>(s)];
      outer[static_cast<size_t>(degree++)] = static_cast<int8_t>(s);
    }
}

/// constant + factor * inner = v, where inner has `monomial`'s values.
bool solve(const Values& v, const Values& monomial, SizeTerm& term) {
  const int64_t step = monomial[0] - monomial[1], difference = v[0] - v[1];
  if (step == 0 || difference % step != 0) return false;
  term.factor = difference / step;
  for (int j = 0; j < kProbes; ++j) {
    int64_t product, sum;
    if (__builtin_mul_overflow(term.factor, monomial[static_cast<size_t>(j)], &product) ||
        __builtin_sub_overflow(v[static_cast<size_t>(j)], product, &sum))
      return false;
    if (j == 0) term.constant = sum;
    if (sum != term.constant) return false;
  }
  return true;
}

/// Products of up to three symbols, the first of them from `first` on.
bool solve_over(const Values& v, const Probes& probes, Values monomial, int degree, int first, SizeTerm& term) {
  if (degree > 0 && solve(v, monomial, term)) return true;
  if (degree == 3) return false;
  for (int s = first; s < probes.count; ++s) {
    Values next = monomial;
    bool fits = true;
    for (int j = 0; j < kProbes; ++j)
      fits = fits && !__builtin_mul_overflow(monomial[static_cast<size_t>(j)],
                                             probes.values[static_cast<size_t>(j)][static_cast<size_t>(s)],
                                             &next[static_cast<size_t>(j)]);
    if (!fits) continue;
    term.inner[static_cast<size_t>(degree)] = static_cast<int8_t>(s);
    if (solve_over(v, probes, next, degree + 1, s, term)) return true;
    term.inner[static_cast<size_t>(degree)] = -1;
  }
  return false;
}

std::string product_text(const std::array<int8_t, SizeTerm::kDegree>& symbols) {
  std::string text;
  for (int8_t s : symbols)
    if (s >= 0) text += fmt::format("{}s{}", text.empty() ? "" : " * ", s);
  return text;
}

bool multiply(const std::array<int8_t, SizeTerm::kDegree>& list, const SymbolValues& symbols, int64_t& x) {
  for (int8_t s : list)
    if (s >= 0 && __builtin_mul_overflow(x, symbols[static_cast<size_t>(s)], &x)) return false;
  return true;
}

}  // namespace

bool SizeTerm::value(const SymbolValues& symbols, int64_t& result) const {
  int64_t x = factor;
  if (!multiply(inner, symbols, x) || __builtin_add_overflow(x, constant, &x) || !multiply(outer, symbols, x)) return false;
  if (x % divisor != 0) return false;
  result = x / divisor + (SINTER_MUTANT(size_term_off_by_one) ? 1 : 0);
  return true;
}

std::string SizeTerm::str() const {
  const std::string around = product_text(outer), within = product_text(inner);
  std::string text = within.empty() ? "" : factor == 1 ? within : fmt::format("{} * {}", within, factor);
  if (within.empty()) text = constant == 1 && !around.empty() ? "" : std::to_string(constant);
  else if (constant != 0) text += fmt::format(" {} {}", constant < 0 ? '-' : '+', constant < 0 ? -constant : constant);
  if (!around.empty()) {
    if (text.empty()) text = around;
    else text = around + " * " + (within.empty() ? text : "(" + text + ")");
  }
  return divisor == 1 ? text : fmt::format("{} / {}", text, divisor);
}

std::optional<SizeTerm> find_term(const std::array<int64_t, kProbes>& values, const Probes& probes) {
  if (all_equal(values)) return SizeTerm{.constant = values[0]};
  for (int d = -1; d < probes.count; ++d) {
    const int64_t divisor = d < 0 ? 1 : probes.divisors[static_cast<size_t>(d)];
    if (d >= 0 && divisor == 1) continue;
    SizeTerm term;
    term.divisor = divisor;
    Values v = values;
    bool fits = true;
    for (int64_t& x : v) fits = fits && !__builtin_mul_overflow(x, divisor, &x);
    if (!fits) continue;
    take_out(v, probes, term.outer);
    if (all_equal(v)) {
      term.constant = v[0];
      return term;
    }
    Values one;
    one.fill(1);
    if (solve_over(v, probes, one, 0, 0, term)) return term;
  }
  return std::nullopt;
}

}  // namespace sinter
