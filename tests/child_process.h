// Parts of tests in processes of their own: hidden test cases in a new one, functions in a fork.
#pragma once
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>

namespace sinter::test {

/// Runs the test cases with this tag of this program in a new process, with `environment` ("A=1 B=2") set. Its exit status.
inline int run_child(const std::string& tag, const std::string& environment = "") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  return std::system(("env " + environment + " " + self + " '" + tag + "' > /dev/null 2>&1").c_str());
}

/// Forks; the child runs `body` (which says whether all was well) and ends at once, or `by_exit` through exit(), with static
/// destructors. A child that hangs is ended by SIGALRM.
template <class F>
pid_t fork_child(F body, bool by_exit = false) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  alarm(120);
  int result = 2;
  try {
    result = body() ? 0 : 1;
  } catch (const std::exception& e) { std::fprintf(stderr, "in the child: %s\n", e.what()); }
  if (by_exit) std::exit(result);
  _exit(result);
}

/// Waits for a child: "" when all was well, else "exit status 1", "signal 11".
inline std::string end_of_child(pid_t pid) {
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) return "no child";
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? "" : "exit status " + std::to_string(WEXITSTATUS(status));
}
inline bool child_ended_well(pid_t pid) { return end_of_child(pid).empty(); }

/// Runs `body` in a child and waits for it.
template <class F>
std::string in_child(F body, bool by_exit = false) {
  return end_of_child(fork_child(body, by_exit));
}
/// Whether `passes` is false, crashes, or takes longer than 20 s, in a child that says nothing about it.
template <class F>
bool fails_in_child(F passes) {
  const std::string end = in_child([&] {
    const rlimit none{0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (!std::freopen("/dev/null", "w", stderr)) return false;
    alarm(20);
    return passes();
  });
  return !end.empty();
}
inline std::string by_signal(int number) { return "signal " + std::to_string(number); }

/// Lets parent and child take turns: each side waits for a byte of the other's.
class Turns {
 public:
  Turns() { (void)!pipe(to_child_), (void)!pipe(to_parent_); }
  ~Turns() {
    for (int fd : {to_child_[0], to_child_[1], to_parent_[0], to_parent_[1]}) close(fd);
  }
  Turns(const Turns&) = delete;
  void wake_child() { put(to_child_[1]); }
  void wake_parent() { put(to_parent_[1]); }
  bool wait_in_child() { return get(to_child_[0]); }
  bool wait_in_parent() { return get(to_parent_[0]); }

 private:
  static void put(int fd) { (void)!write(fd, "x", 1); }
  static bool get(int fd) {
    char c;
    return read(fd, &c, 1) == 1;
  }
  int to_child_[2], to_parent_[2];
};

}  // namespace sinter::test
