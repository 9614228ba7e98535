// Makes a training program that shows a difference smaller, and a text of it.
#pragma once
#include <functional>
#include "compare_ways.h"

namespace sinter::test {

/// Takes out layers, options and peculiarities while the check fails.
Plan reduce(Plan plan, const Config& config);
/// Whether the check finds a difference or crashes: it runs in a process of its own.
bool fails_in_child(const Plan& plan, const Config& config);
/// What the program does, line by line.
std::string listing(const Plan& plan);

}  // namespace sinter::test
