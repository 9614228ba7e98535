#include "env.h"
#include <fmt/format.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <vector>
#include "log.h"

namespace sinter {
namespace {

constexpr const char* kNames[] = {
#define ENV_INT(field, name, dflt, min, max, text) name,
#define ENV_STR(field, name, dflt, text) name,
#include "env.def"
#undef ENV_INT
#undef ENV_STR
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string parse_int(const char* name, int64_t min, int64_t max, int64_t& into) {
  const char* text = getenv(name);
  if (text == nullptr) return {};
  int64_t v = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, failure] = std::from_chars(text, end, v);
  if (failure != std::errc() || stop != end || v < min || v > max)
    return fmt::format("{}='{}' is not an integer from {} to {}; using {}\n", name, text, min, max, into);
  into = v;
  return {};
}

std::string unknown_names() {
  std::string warnings;
  for (char** e = environ; e != nullptr && *e != nullptr; ++e) {
    const std::string_view entry(*e);
    if (!entry.starts_with("SINTER_")) continue;
    const std::string_view name = entry.substr(0, entry.find('='));
    if (std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) continue;
#ifdef SINTER_MUTANTS
    if (name == "SINTER_MUTANT") continue;
#endif
    const auto* nearest = *std::min_element(std::begin(kNames), std::end(kNames), [&](const char* a, const char* b) {
      return edit_distance(name, a) < edit_distance(name, b);
    });
    warnings += fmt::format("{} is not a variable sinter knows; did you mean {}?\n", name, nearest);
  }
  return warnings;
}

}  // namespace

std::string read_env(Env& into) {
  into = Env();
  if (getauxval(AT_SECURE)) return {};
  std::string warnings;
#define ENV_INT(field, name, dflt, min, max, text) warnings += parse_int(name, min, max, into.field);
#define ENV_STR(field, name, dflt, text) \
  if (const char* v = getenv(name)) into.field = v;
#include "env.def"
#undef ENV_INT
#undef ENV_STR
  return warnings + unknown_names();
}

const Env& env() {
  static const Env* table = [] {
    auto* t = new Env();
    const std::string warnings = read_env(*t);
    for (size_t from = 0; from < warnings.size();) {
      const size_t end = warnings.find('\n', from);
      warn(warnings.substr(from, end - from));
      from = end + 1;
    }
    return t;
  }();
  return *table;
}

std::string env_table() {
  std::string out;
#define ENV_INT(field, name, dflt, min, max, text) out += fmt::format("{:36} {:12} {:12} {}\n", name, dflt, env().field, text);
#define ENV_STR(field, name, dflt, text) out += fmt::format("{:36} {:12} {:12} {}\n", name, "''", "'" + env().field + "'", text);
#include "env.def"
#undef ENV_INT
#undef ENV_STR
  return out;
}

}  // namespace sinter
