#include "table.h"
#include <algorithm>
#include <cstdio>

namespace bench {
namespace {

const char* const kSides[] = {"/eager", "/compiled", "/libtorch"};

/// The row's name when `name` is one side of it, else empty.
std::string row_of(const std::string& name) {
  for (const std::string side : kSides) {
    if (name.size() > side.size() && name.compare(name.size() - side.size(), side.size(), side) == 0)
      return name.substr(0, name.size() - side.size());
  }
  return {};
}

void print_microseconds(const double* nanoseconds) {
  if (nanoseconds) {
    std::printf(" %12.2f", *nanoseconds / 1e3);
  } else {
    std::printf(" %12s", "-");
  }
}

/// How many times faster `fast` is than `slow`.
void print_ratio(const double* slow, const double* fast) {
  if (slow && fast && *fast > 0) {
    std::printf(" %19.2fx", *slow / *fast);
  } else {
    std::printf(" %20s", "-");
  }
}

}  // namespace

bool TableReporter::ReportContext(const Context& context) {
  PrintBasicContext(&GetErrorStream(), context);
  return true;
}

void TableReporter::ReportRuns(const std::vector<Run>& runs) {
  for (const Run& run : runs) {
    const std::string& name = run.run_name.function_name;
    if (run.error_occurred) {
      errors_.push_back(name + ": " + run.error_message);
      continue;
    }
    const bool only_run = run.run_type == Run::RT_Iteration && run.repetitions <= 1;
    if (!only_run && run.aggregate_name != "median") continue;
    order_[run.family_index] = name;
    nanoseconds_[name] = run.GetAdjustedRealTime() * 1e9 / benchmark::GetTimeUnitMultiplier(run.time_unit);
  }
}

const double* TableReporter::find(const std::string& name) const {
  const auto it = nanoseconds_.find(name);
  return it == nanoseconds_.end() ? nullptr : &it->second;
}

void TableReporter::print_ladder() const {
  std::vector<std::string> rows;
  for (const auto& [place, name] : order_) {
    const std::string row = row_of(name);
    if (!row.empty() && std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
  }
  if (rows.empty()) return;
  std::printf("%-19s %12s %12s %12s %20s %20s %20s\n", "row", "eager us", "compiled us", "libtorch us", "compiled vs eager",
              "compiled vs libtorch", "eager vs libtorch");
  for (const std::string& row : rows) {
    const double *eager = find(row + kSides[0]), *compiled = find(row + kSides[1]), *libtorch = find(row + kSides[2]);
    // Another way to compile the same row has the same peer.
    if (libtorch == nullptr && row.ends_with("_b")) libtorch = find(row.substr(0, row.size() - 2) + kSides[2]);
    std::printf("%-19s", row.c_str());
    print_microseconds(eager);
    print_microseconds(compiled);
    print_microseconds(libtorch);
    print_ratio(eager, compiled);
    print_ratio(libtorch, compiled);
    print_ratio(libtorch, eager);
    std::printf("\n");
  }
}

void TableReporter::print_single_figures() const {
  for (const auto& [place, name] : order_) {
    if (!row_of(name).empty()) continue;
    const bool in_nanoseconds = name.find("_ns") != std::string::npos;
    const double value = nanoseconds_.at(name);
    std::printf("%-32s %12.2f %s\n", name.c_str(), in_nanoseconds ? value : value / 1e3, in_nanoseconds ? "ns" : "us");
  }
}

void TableReporter::Finalize() {
  print_ladder();
  std::printf("\n");
  print_single_figures();
  for (const std::string& error : errors_) std::printf("ERROR %s\n", error.c_str());
}

}  // namespace bench
