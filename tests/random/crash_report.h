// What a crash of a test program reports: the seed that was being run.
#pragma once
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>

namespace sinter::test {

inline char crash_text[256];

/// From now on a crash writes `text` before the process ends.
inline void on_crash_report(const std::string& text) {
  std::snprintf(crash_text, sizeof crash_text, "%s", text.c_str());
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT})
    std::signal(number, [](int signal) {
      std::signal(signal, SIG_DFL);
      [[maybe_unused]] const auto n = write(STDERR_FILENO, crash_text, std::strlen(crash_text));
      std::raise(signal);
    });
}

}  // namespace sinter::test
