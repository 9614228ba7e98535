// A progress bar with loss and samples a second. On a terminal one line is drawn over, at most ten times a second; elsewhere (a
// file, a pipe) each bar gives one plain line at its end.
#pragma once
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

namespace samples {

/// For one epoch: `Progress bar("epoch 1/20", 512); for (...) bar.advance(64, loss);`
class Progress {
 public:
  Progress(std::string name, int64_t total, std::FILE* out = stdout)
      : name_(std::move(name)), total_(total), out_(out), terminal_(isatty(fileno(out)) == 1) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Ends the line, so that what comes next (an exception's text, say) has one of its own.
  ~Progress() {
    try {
      close();
    } catch (...) {}  // no memory for the text
  }

  /// `samples` more are done; the mean of the losses given so far is shown.
  void advance(int64_t samples, double loss) {
    done_ += samples;
    loss_sum_ += loss * static_cast<double>(samples);
    if (!terminal_ || Clock::now() < next_draw_) return;
    next_draw_ = Clock::now() + std::chrono::milliseconds(100);
    draw();
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    if (terminal_) draw();
    else fmt::print(out_, "{}  {}/{}  {}", name_, done_, total_, figures());
    fmt::print(out_, "\n");
    std::fflush(out_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string figures() const {
    const double seconds = std::max(1e-9, std::chrono::duration<double>(Clock::now() - start_).count());
    const auto samples = static_cast<double>(done_);
    return fmt::format("loss {:.4f}  {:.0f} samples/s", done_ > 0 ? loss_sum_ / samples : 0.0, samples / seconds);
  }

  /// The terminal may have been resized since the last time.
  size_t columns() const {
    winsize size{};
    return ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }

  void draw() {
    constexpr size_t kWidest = 40;
    const size_t space = columns() - 1;  // a full last column would wrap
    const double part = total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0) : 1.0;
    const std::string left = fmt::format("{} {:3.0f}% ", name_, part * 100), right = " " + figures();
    const size_t taken = left.size() + right.size() + 2;
    const size_t bar = taken < space ? std::min(space - taken, kWidest) : 0;
    const auto filled = static_cast<size_t>(part * static_cast<double>(bar));
    std::string line = left;
    if (bar > 0) line += '[' + std::string(filled, '#') + std::string(bar - filled, '.') + ']';
    line = (line + right).substr(0, space);
    const size_t length = line.size();
    if (length < drawn_) line.append(std::min(drawn_, space) - length, ' ');  // over what was there
    drawn_ = length;
    fmt::print(out_, "\r{}", line);
    std::fflush(out_);
  }

  const std::string name_;
  const int64_t total_;
  std::FILE* const out_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point next_draw_{};
  int64_t done_ = 0;
  double loss_sum_ = 0;
  size_t drawn_ = 0;
  bool closed_ = false;
};

}  // namespace samples
