// The roofline of a run as an SVG file: every row's rate over its intensity, below what the machine can do.
#pragma once
#include <string>
#include <vector>

namespace bench {

struct RooflinePoint {
  std::string name;
  double flops, bytes, seconds;  // of one call
};

/// Writes the drawing for the instruction set in use, with the rates of machine::measured_rates. False when the file cannot be
/// written, or nothing was measured.
bool write_roofline(const std::string& path, const std::vector<RooflinePoint>& points);

}  // namespace bench
