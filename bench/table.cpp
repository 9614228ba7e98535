#include "table.h"
#include <algorithm>
#include <cstdio>
#include "runtime/cpu.h"

namespace bench {
namespace {

const char* const kSides[] = {"/eager", "/compiled", "/libtorch", "/openblas", "/read"};
const std::string kOneThread = "/threads1", kTwoThreads = "/threads2";

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

/// The names of the rows, in order of registration.
std::vector<std::string> rows_of(const std::map<int64_t, std::string>& order) {
  std::vector<std::string> rows;
  for (const auto& [place, name] : order) {
    const std::string row = row_of(name);
    if (!row.empty() && std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
  }
  return rows;
}

/// `value` with its unit, or a dash for 0.
void print_figure(double value, const char* unit) {
  if (value > 0) {
    std::printf(" %11.1f%s", value, unit);
  } else {
    std::printf(" %11s%*s", "-", static_cast<int>(std::string(unit).size()), "");
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
    counters_[name] = run.counters;
    nanoseconds_[name] = run.GetAdjustedRealTime() * 1e9 / benchmark::GetTimeUnitMultiplier(run.time_unit);
  }
}

const double* TableReporter::find(const std::string& name) const {
  const auto it = nanoseconds_.find(name);
  return it == nanoseconds_.end() ? nullptr : &it->second;
}

double TableReporter::counter(const std::string& name, const char* which) const {
  const auto of_name = counters_.find(name);
  if (of_name == counters_.end()) return 0;
  const auto it = of_name->second.find(which);
  return it == of_name->second.end() ? 0 : it->second.value;
}

double TableReporter::giga(const std::string& name, const char* which) const {
  const double* time = find(name);
  return time ? counter(name, which) / *time : 0;
}

void TableReporter::print_ladder() const {
  const std::vector<std::string> rows = rows_of(order_);
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

void TableReporter::print_products() const {
  bool any = false;
  for (const std::string& row : rows_of(order_)) {
    const double flops = std::max(counter(row + "/eager", "flops"), counter(row + "/compiled", "flops"));
    if (flops == 0) continue;
    if (!any) {
      std::printf("\n%-19s %11s %11s %11s %11s %12s %12s %12s %12s\n", "GFLOP/s", "eager", "compiled", "libtorch", "openblas",
                  "% of peak", "vs openblas", "vs libtorch", "vs a read");
      any = true;
    }
    const auto rate = [&](const char* side) {
      const double* time = find(row + side);
      return time ? flops / *time : 0;
    };
    const double element = std::max(counter(row + "/eager", "element"), counter(row + "/compiled", "element"));
    const double best = std::max(rate("/compiled"), find(row + "/compiled") ? 0 : rate("/eager"));
    const double peak =
        giga(std::string("peak_fma/") + sinter::isa_name(sinter::isa()) + (element == 8 ? "_f64" : "_f32"), "flops");
    const double *read = find(row + "/read"), *compiled = find(row + "/compiled");
    std::printf("%-19s", row.c_str());
    for (const char* side : {"/eager", "/compiled", "/libtorch", "/openblas"}) print_figure(rate(side), "");
    print_figure(peak > 0 ? 100 * best / peak : 0, "%");
    print_figure(rate("/openblas") > 0 ? 100 * best / rate("/openblas") : 0, "%");
    print_figure(rate("/libtorch") > 0 ? 100 * best / rate("/libtorch") : 0, "%");
    if (read && compiled) std::printf(" %11.2fx", *compiled / *read);
    std::printf("\n");
  }
}

void TableReporter::print_two_threads() const {
  bool any = false;
  for (const auto& [place, name] : order_) {
    if (!name.ends_with(kOneThread)) continue;
    if (!any) std::printf("\n%-26s %12s %12s %20s\n", "row", "1 thread us", "2 threads us", "2 threads vs 1");
    any = true;
    const std::string row = name.substr(0, name.size() - kOneThread.size());
    std::printf("%-26s", row.c_str());
    print_microseconds(find(name));
    print_microseconds(find(row + kTwoThreads));
    print_ratio(find(name), find(row + kTwoThreads));
    std::printf("\n");
  }
}

void TableReporter::print_single_figures() const {
  for (const auto& [place, name] : order_) {
    if (!row_of(name).empty() || name.ends_with(kOneThread) || name.ends_with(kTwoThreads)) continue;
    if (counter(name, "flops") > 0) std::printf("%-32s %12.2f GFLOP/s\n", name.c_str(), giga(name, "flops"));
    if (counter(name, "bytes") > 0) std::printf("%-32s %12.2f GB/s\n", name.c_str(), giga(name, "bytes"));
    if (counter(name, "flops") + counter(name, "bytes") > 0) continue;
    const bool in_nanoseconds = name.find("_ns") != std::string::npos;
    const double value = nanoseconds_.at(name);
    std::printf("%-32s %12.2f %s\n", name.c_str(), in_nanoseconds ? value : value / 1e3, in_nanoseconds ? "ns" : "us");
  }
}

std::vector<RooflinePoint> TableReporter::points() const {
  std::vector<RooflinePoint> all;
  for (const std::string& row : rows_of(order_)) {
    const std::string name = row + "/compiled";
    const double flops = counter(name, "kernel_flops"), bytes = counter(name, "kernel_bytes");
    if (flops > 0 && bytes > 0) all.push_back({row, flops, bytes, *find(name) / 1e9});
  }
  return all;
}

void TableReporter::Finalize() {
  print_ladder();
  print_products();
  print_two_threads();
  std::printf("\n");
  print_single_figures();
  for (const std::string& error : errors_) std::printf("ERROR %s\n", error.c_str());
}

}  // namespace bench
