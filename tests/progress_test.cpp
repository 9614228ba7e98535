// The samples' progress bar: on a terminal a line that is drawn over, within its width and not too often; elsewhere plain lines.
#include "samples/progress.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <termios.h>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using samples::Progress;

namespace {

/// A terminal of its own whose other side keeps what was written.
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : master_(posix_openpt(O_RDWR | O_NOCTTY)) {
    REQUIRE(master_ >= 0);
    REQUIRE(grantpt(master_) == 0);
    REQUIRE(unlockpt(master_) == 0);
    slave = open(ptsname(master_), O_RDWR | O_NOCTTY);
    REQUIRE(slave >= 0);
    termios modes;
    REQUIRE(tcgetattr(slave, &modes) == 0);
    modes.c_oflag &= ~static_cast<tcflag_t>(OPOST);  // as written
    REQUIRE(tcsetattr(slave, TCSANOW, &modes) == 0);
    resize(columns);
    reader_ = std::thread([this] {
      char part[4096];
      for (ssize_t n; (n = read(master_, part, sizeof part)) > 0;) text_.append(part, static_cast<size_t>(n));
    });
  }
  ~Terminal() {
    if (reader_.joinable()) (void)finish();
  }
  void resize(unsigned short columns) {
    const winsize size{24, columns, 0, 0};
    REQUIRE(ioctl(slave, TIOCSWINSZ, &size) == 0);
  }
  /// All that was written; the last one who has the terminal open must have closed it, or this does.
  std::string finish() {
    if (slave >= 0) ::close(slave);
    slave = -1;
    reader_.join();
    ::close(master_);
    return text_;
  }
  int slave = -1;

 private:
  int master_;
  std::string text_;
  std::thread reader_;
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

/// What a bar writes to a descriptor, which it closes.
void run_bar(int fd, const std::function<void(Progress&)>& use) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(fdopen(fd, "w"), fclose);
  REQUIRE(out);
  Progress bar("epoch 1/2", 1000, out.get());
  use(bar);
}

std::string on_terminal(Terminal& terminal, const std::function<void(Progress&)>& use) {
  run_bar(std::exchange(terminal.slave, -1), use);
  return terminal.finish();
}

}  // namespace

TEST_CASE("on a terminal one line is drawn over and ends with the figures") {
  Terminal terminal(80);
  const std::string text = on_terminal(terminal, [](Progress& bar) {
    bar.advance(250, 2.0);
    bar.advance(750, 0.4);
  });
  REQUIRE(std::count(text.begin(), text.end(), '\n') == 1);
  REQUIRE(text.back() == '\n');
  const auto drawn = split(text.substr(0, text.size() - 1), '\r');
  REQUIRE(drawn.size() == 3);
  CHECK(drawn[0].empty());
  CHECK_THAT(drawn[1], Catch::StartsWith("epoch 1/2  25% [#") && Catch::Contains("..]") && Catch::Contains(" loss 2.0000  "));
  CHECK_THAT(drawn[2],
             Catch::StartsWith("epoch 1/2 100% [#") && Catch::Contains("#] loss 0.8000  ") && Catch::Contains(" samples/s"));
}

TEST_CASE("what is drawn fits the terminal, also after it was resized, and covers what was there") {
  for (const unsigned short columns : {1, 12, 40, 60, 200}) {
    INFO("columns " << columns);
    Terminal terminal(columns);
    const std::string text = on_terminal(terminal, [&](Progress& bar) { bar.advance(1000, 1.0); });
    for (const auto& line : split(text.substr(0, text.size() - 1), '\r')) CHECK(line.size() < columns);
  }
  Terminal terminal(100);
  const int fd = dup(terminal.slave);
  const std::string text = on_terminal(terminal, [&](Progress& bar) {
    bar.advance(10, 1.0);
    const winsize size{24, 30, 0, 0};
    ioctl(fd, TIOCSWINSZ, &size);
    ::close(fd);
  });
  const auto drawn = split(text.substr(0, text.size() - 1), '\r');
  REQUIRE(drawn.size() == 3);
  CHECK(drawn[1].size() > 60);
  CHECK(drawn[2].size() == 29);
  // A shorter line covers the longer one before it.
  Terminal wide(60);
  const std::string shorter = on_terminal(wide, [](Progress& bar) {
    bar.advance(1, 123456.0);
    bar.advance(999, -123.5);
  });
  const auto both = split(shorter.substr(0, shorter.size() - 1), '\r');
  REQUIRE(both.size() == 3);
  CHECK(both[2].size() >= both[1].size());
}

TEST_CASE("no more than ten updates a second, however often it is called") {
  Terminal terminal(80);
  const auto start = std::chrono::steady_clock::now();
  int64_t calls = 0;
  const std::string text = on_terminal(terminal, [&](Progress& bar) {
    while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(450)) bar.advance(1, 1.0), ++calls;
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto updates = static_cast<double>(std::count(text.begin(), text.end(), '\r'));
  CHECK(updates >= 2);
  CHECK(updates <= 10 * seconds + 2);  // the first and the last one
}

TEST_CASE("in a pipe: one plain line") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  run_bar(ends[1], [](Progress& bar) {
    for (int i = 0; i < 1000; ++i) bar.advance(1, 0.25);
    bar.close();
    bar.close();
  });
  char text[4096] = {};
  const ssize_t n = read(ends[0], text, sizeof text - 1);
  ::close(ends[0]);
  REQUIRE(n > 0);
  CHECK_THAT(std::string(text), Catch::StartsWith("epoch 1/2  1000/1000  loss 0.2500  ") && Catch::EndsWith(" samples/s\n"));
  CHECK(std::count(text, text + n, '\n') == 1);
  CHECK(std::string(text).find('\r') == std::string::npos);
}

TEST_CASE("a bar that an exception ends leaves the line") {
  Terminal terminal(80);
  const std::string text = on_terminal(terminal, [](Progress& bar) { bar.advance(10, 1.0); });
  CHECK(text.back() == '\n');
}

#ifdef SINTER_TRAIN_SAMPLE
namespace {
/// Runs the sample with its output going to `fd`.
int run_sample(int fd) {
  const pid_t child = fork();
  if (child == 0) {
    dup2(fd, STDOUT_FILENO);
    execl(SINTER_TRAIN_SAMPLE, SINTER_TRAIN_SAMPLE, nullptr);
    _exit(127);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return status;
}
}  // namespace

TEST_CASE("the training sample: plain lines in a file, drawn ones on a terminal, 20 epochs for each form") {
  Terminal terminal(100);
  REQUIRE(run_sample(terminal.slave) == 0);
  const std::string drawn = terminal.finish();
  CHECK(std::count(drawn.begin(), drawn.end(), '\r') >= 40);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(tmpfile(), fclose);
  REQUIRE(file);
  REQUIRE(run_sample(fileno(file.get())) == 0);
  std::string plain(100'000, '\0');
  rewind(file.get());
  plain.resize(fread(plain.data(), 1, plain.size(), file.get()));
  CHECK(plain.find('\r') == std::string::npos);
  for (const auto& text : {drawn, plain}) {
    std::vector<std::string> epochs;
    for (const auto& line : split(text, '\n'))
      if (line.find("epoch ") != std::string::npos) epochs.push_back(line);
    REQUIRE(epochs.size() == 40);
    CHECK_THAT(epochs.front(), Catch::Contains("epoch  1/20"));
    CHECK_THAT(epochs.back(), Catch::Contains("epoch 20/20") && Catch::Contains("loss ") && Catch::Contains(" samples/s"));
    CHECK_THAT(text, Catch::Contains("parameters of (a) and (b) equal"));
  }
}
#endif
