// The benchmark's printed result: one table of ratios instead of one line per measurement.
#pragma once
#include <benchmark/benchmark.h>
#include <cstdint>
#include <map>
#include <string>
#include <vector>
#include "roofline.h"

namespace bench {

/// Gathers each benchmark's median (its only run, without repetitions) and prints the table at the end.
class TableReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;
  /// Every compiled row that computes something, for the roofline.
  std::vector<RooflinePoint> points() const;

 private:
  void print_ladder() const;
  /// Rows that are one product: GFLOP/s of each side, and of the peak of the instruction set in use.
  void print_products() const;
  /// What a second thread gives.
  void print_two_threads() const;
  void print_single_figures() const;
  const double* find(const std::string& name) const;
  /// The counter of a benchmark; 0 without one.
  double counter(const std::string& name, const char* which) const;
  /// Thousand millions of what `which` counts a second; 0 when not measured.
  double giga(const std::string& name, const char* which) const;

  std::map<int64_t, std::string> order_;  // names by place of registration: interleaved runs report in random order
  std::map<std::string, double> nanoseconds_;
  std::map<std::string, benchmark::UserCounters> counters_;
  std::vector<std::string> errors_;
};

}  // namespace bench
