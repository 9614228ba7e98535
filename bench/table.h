// The benchmark's printed result: one table of ratios instead of one line per measurement.
#pragma once
#include <benchmark/benchmark.h>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bench {

/// Gathers each benchmark's median (its only run, without repetitions) and prints the table at the end.
class TableReporter : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

 private:
  void print_ladder() const;
  void print_single_figures() const;
  const double* find(const std::string& name) const;

  std::map<int64_t, std::string> order_;  // names by place of registration: interleaved runs report in random order
  std::map<std::string, double> nanoseconds_;
  std::vector<std::string> errors_;
};

}  // namespace bench
