// sandboxed POLICY PROGRAM [ARGUMENT...]: runs a test program where the system refuses something.
//   mdwe      nothing writable becomes executable (skipped, status 77, where the system cannot do that)
//   noexec    no shared executable mappings, no mprotect to executable
//   nomemfd   memfd_create is not permitted
#include <unistd.h>
#include <cstdio>
#include "sandbox.h"

int main(int argc, char** argv) {
  using namespace sinter::test;
  const std::string_view policy = argc > 2 ? argv[1] : "";
  if (policy == "mdwe") {
    if (!deny_write_execute()) return 77;
  } else if (policy == "noexec") {
    if (!refuse_executable_mappings(true)) return 77;
  } else if (policy == "nomemfd") {
    if (!refuse_memfd(EPERM)) return 77;
  } else {
    std::fprintf(stderr, "usage: sandboxed mdwe|noexec|nomemfd PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  execvp(argv[2], argv + 2);
  std::perror(argv[2]);
  return 2;
}
