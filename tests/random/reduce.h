// Makes a program that shows a difference smaller, and a C++ program of it that a person can paste.
#pragma once
#include <functional>
#include "check.h"

namespace sinter::test {

/// Drops statements, calls, inputs and peculiarities while `fails` says that the program still does.
Program reduce(Program p, const std::function<bool(const Program&)>& fails);
/// Whether the check finds a difference or crashes: it runs in a process of its own.
bool fails_in_child(const Program& p, const Config& config);
/// Complete C++ that runs the program eager and compiled and prints both.
std::string reproducer(const Program& p, const Config& config);

}  // namespace sinter::test
