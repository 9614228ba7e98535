// What hardened systems refuse, switched on for this process and its children for good (seccomp, MDWE).
#pragma once
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <cerrno>
#include <cstddef>
#include <string_view>
#include <vector>

namespace sinter::test {

inline bool install_filter(std::vector<sock_filter> filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

inline sock_filter load_word(size_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
inline sock_filter when(uint32_t test, uint32_t value, uint8_t yes, uint8_t no) {
  return BPF_JUMP(BPF_JMP | test | BPF_K, value, yes, no);
}
inline sock_filter answer(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }

/// membarrier fails.
inline bool refuse_membarrier() {
  return install_filter({
      load_word(offsetof(seccomp_data, nr)),
      when(BPF_JEQ, __NR_membarrier, 0, 1),
      answer(SECCOMP_RET_ERRNO | EPERM),
      answer(SECCOMP_RET_ALLOW),
  });
}

/// No thread can be started.
inline bool refuse_threads() {
  return install_filter({
      load_word(offsetof(seccomp_data, nr)),
      when(BPF_JEQ, __NR_clone3, 3, 0),  // "not known": clone is tried then
      when(BPF_JEQ, __NR_clone, 0, 1),
      answer(SECCOMP_RET_ERRNO | EAGAIN),
      answer(SECCOMP_RET_ALLOW),
      answer(SECCOMP_RET_ERRNO | ENOSYS),
  });
}

/// mprotect with PROT_EXEC fails, and mmap with it: all of them, or only shared ones (programs can still be started).
inline bool refuse_executable_mappings(bool only_shared) {
  return install_filter({
      load_word(offsetof(seccomp_data, nr)),
      when(BPF_JEQ, __NR_mmap, 1, 0),
      when(BPF_JEQ, __NR_mprotect, 2, 5),
      load_word(offsetof(seccomp_data, args[3])),
      when(BPF_JSET, MAP_SHARED, 0, static_cast<uint8_t>(only_shared ? 3 : 0)),
      load_word(offsetof(seccomp_data, args[2])),
      when(BPF_JSET, PROT_EXEC, 0, 1),
      answer(SECCOMP_RET_ERRNO | EACCES),
      answer(SECCOMP_RET_ALLOW),
  });
}

/// memfd_create fails with `error` when (flags & mask) == flags_value.
inline bool refuse_memfd(uint32_t error, uint32_t mask = 0, uint32_t flags_value = 0) {
  return install_filter({
      load_word(offsetof(seccomp_data, nr)),
      when(BPF_JEQ, __NR_memfd_create, 0, 4),
      load_word(offsetof(seccomp_data, args[1])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
      when(BPF_JEQ, flags_value, 0, 1),
      answer(SECCOMP_RET_ERRNO | error),
      answer(SECCOMP_RET_ALLOW),
  });
}

/// Memory-deny-write-execute (Linux 6.3): nothing writable may become executable. False where the system has no such thing.
inline bool deny_write_execute() {
  constexpr int kSetMdwe = 65, kRefuseExecGain = 1;
  return prctl(kSetMdwe, kRefuseExecGain, 0, 0, 0) == 0;
}

}  // namespace sinter::test
