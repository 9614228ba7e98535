#include "log.h"
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <atomic>
#include <mutex>
#include <set>
#include "at_fork.h"
#include "env.h"

namespace sinter {
namespace {

constexpr struct {
  const char* name;
  LogTopic topic;
} kTopics[] = {{"graph", LogTopic::Graph},   {"guards", LogTopic::Guards},   {"recompiles", LogTopic::Recompiles},
               {"breaks", LogTopic::Breaks}, {"program", LogTopic::Program}, {"asm", LogTopic::Asm}};

std::atomic<void (*)(std::string_view)> g_sink{nullptr};

/// Keys of the warnings that are given once.
struct Said {
  std::mutex mutex;
  std::set<std::string, std::less<>> keys;
};
Said& said() {
  static auto* s = new Said();  // never destroyed: threads may warn while the process ends
  return *s;
}
/// Taken around each write to stderr, so that spdlog's own lock is free whenever this one is.
std::mutex writing;
[[maybe_unused]] const bool watched = at_fork::watch(
    at_fork::Rank::log,
    [] {
      (void)log_enabled(LogTopic::Graph);  // so that nobody is in the middle of reading the environment
      said().mutex.lock();
      writing.lock();
    },
    [] {
      writing.unlock();
      said().mutex.unlock();
    });

void to_stderr(std::string_view line, bool warning) {
  const std::lock_guard lock(writing);
  static auto* logger = [] {
    auto* l = new std::shared_ptr<spdlog::logger>(
        std::make_shared<spdlog::logger>("sinter", std::make_shared<spdlog::sinks::stderr_color_sink_mt>()));
    (*l)->set_pattern("[sinter] %v");
    return l;
  }();
  (*logger)->log(warning ? spdlog::level::warn : spdlog::level::info, fmt::string_view(line.data(), line.size()));
}

void emit(std::string_view line, bool warning) {
  if (auto* sink = g_sink.load()) sink(line);
  else to_stderr(line, warning);
}

unsigned parse_topics(std::string_view topics, bool& ok) {
  unsigned mask = 0;
  while (!topics.empty()) {
    const size_t comma = topics.find(',');
    const std::string_view one = topics.substr(0, comma);
    topics = comma == std::string_view::npos ? std::string_view() : topics.substr(comma + 1);
    if (one.empty()) continue;
    bool known = one == "all";
    if (known) mask = ~0u;
    for (const auto& t : kTopics)
      if (one == t.name) mask |= static_cast<unsigned>(t.topic), known = true;
    if (!known) {
      ok = false;
      warn(fmt::format("SINTER_LOGS: unknown topic '{}'; topics are graph, guards, recompiles, breaks, program, asm, all", one));
    }
  }
  return mask;
}

std::atomic<unsigned>& mask() {
  static std::atomic<unsigned> m{[] {
    bool ok = true;
    return parse_topics(env().logs, ok);
  }()};
  return m;
}

}  // namespace

bool log_enabled(LogTopic topic) { return mask().load(std::memory_order_relaxed) & static_cast<unsigned>(topic); }

bool set_logs(std::string_view topics) {
  bool ok = true;
  mask().store(parse_topics(topics, ok));
  return ok;
}

void log_line(LogTopic topic, std::string_view text) {
  const char* name = "";
  for (const auto& t : kTopics)
    if (t.topic == topic) name = t.name;
  emit(fmt::format("[{}] {}", name, text), false);
}

void warn(std::string_view text, std::string_view once_key) {
  if (!once_key.empty()) {
    Said& s = said();
    const std::lock_guard lock(s.mutex);
    if (!s.keys.emplace(once_key).second) return;
  }
  emit(fmt::format("warning: {}", text), true);
}

void set_log_sink(void (*sink)(std::string_view)) { g_sink.store(sink); }

}  // namespace sinter
