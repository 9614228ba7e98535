// Logging by topic: SINTER_LOGS chooses, nothing is formatted for a topic that is off.
#pragma once
#include <fmt/format.h>
#include <string>
#include <string_view>

namespace sinter {

enum class LogTopic : unsigned { Graph = 1, Guards = 2, Recompiles = 4, Breaks = 8, Program = 16, Asm = 32 };

bool log_enabled(LogTopic topic);
/// Replaces the choice of SINTER_LOGS (same syntax); returns false and warns on an unknown topic.
bool set_logs(std::string_view topics);
/// Writes one entry ("[topic] text") through the sink (stderr by spdlog unless a test replaced it).
void log_line(LogTopic topic, std::string_view text);
/// A warning, always shown. `once_key` non-empty: at most once per process.
void warn(std::string_view text, std::string_view once_key = {});
/// Redirects entries and warnings (tests, explain); null restores stderr.
void set_log_sink(void (*sink)(std::string_view line));

template <class... Args>
void log(LogTopic topic, fmt::format_string<Args...> text, Args&&... args) {
  if (log_enabled(topic)) log_line(topic, fmt::format(text, std::forward<Args>(args)...));
}

}  // namespace sinter
