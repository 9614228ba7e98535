#include "code_mapping.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include "../runtime/mutants.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3: the file itself can never be run; mapping it executable is still allowed
#endif

namespace sinter::codegen {

namespace {

std::atomic<int64_t> fail_countdown{0};

bool must_fail() {
  if (fail_countdown.load(std::memory_order_relaxed) == 0 || --fail_countdown != 0) return false;
  errno = ENOMEM;
  return true;
}

/// An anonymous file. Kernels before 6.3 know no seal (EINVAL); some are set up to refuse files without one.
int create_file() {
  if (must_fail()) return -1;
  const int fd = memfd_create("sinter code", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  return fd < 0 && errno == EINVAL ? memfd_create("sinter code", MFD_CLOEXEC) : fd;
}

/// Takes the pages now: a lack of memory is an error here and would be a SIGBUS later.
bool reserve(int fd, size_t bytes) { return !must_fail() && fallocate(fd, 0, 0, static_cast<off_t>(bytes)) == 0; }

uint8_t* map_view(int fd, size_t bytes, int protection) {
  if (must_fail()) return nullptr;
  void* p = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  return p == MAP_FAILED ? nullptr : static_cast<uint8_t*>(p);
}

}  // namespace

int map_code(size_t bytes, CodeMapping& out) {
  const int fd = create_file();
  if (fd < 0) return errno;
  CodeMapping m{nullptr, nullptr, bytes};
  if (reserve(fd, bytes)) m.rw = map_view(fd, bytes, PROT_READ | PROT_WRITE);
  if (m.rw) m.rx = map_view(fd, bytes, PROT_READ | PROT_EXEC | (SINTER_MUTANT(code_is_writable) ? PROT_WRITE : 0));
  const int error = m.rx ? 0 : errno;
  close(fd);  // the views keep the memory
  if (error) unmap_code(m);
  else out = m;
  return error;
}

void seal_code(CodeMapping& mapping) {
  if (mapping.rw) munmap(mapping.rw, mapping.bytes);
  mapping.rw = nullptr;
}

void unmap_code(CodeMapping& mapping) {
  seal_code(mapping);
  if (mapping.rx) munmap(mapping.rx, mapping.bytes);
  mapping.rx = nullptr;
}

void fail_mapping_after(int64_t n) { fail_countdown.store(n); }

}  // namespace sinter::codegen
