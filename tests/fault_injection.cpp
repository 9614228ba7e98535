#include "fault_injection.h"
#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

namespace sinter::test {
namespace {

struct Faults {
  bool on;
  FaultScope::Mode mode;
  int64_t k, count;
  bool fired;
};
constinit thread_local Faults faults{};
std::atomic<int64_t> live{0}, bytes{0}, peak{0};

/// A place for a debugger's breakpoint.
[[gnu::noinline]] void fault_fires() {
  faults.fired = true;
  errno = ENOMEM;
}

bool must_fail() {
  if (!faults.on) [[likely]]
    return false;
  ++faults.count;
  if (faults.k == 0 || (faults.mode == FaultScope::kOne ? faults.count != faults.k : faults.count < faults.k)) return false;
  fault_fires();
  return true;
}

void* counted(void* p) {
  if (p == nullptr) return p;
  live.fetch_add(1, std::memory_order_relaxed);
  const auto size = static_cast<int64_t>(malloc_usable_size(p));
  const int64_t now = bytes.fetch_add(size, std::memory_order_relaxed) + size;
  for (int64_t most = peak.load(std::memory_order_relaxed); now > most && !peak.compare_exchange_weak(most, now);) {}
  return p;
}
void uncount(void* p) {
  if (p == nullptr) return;
  live.fetch_sub(1, std::memory_order_relaxed);
  bytes.fetch_sub(static_cast<int64_t>(malloc_usable_size(p)), std::memory_order_relaxed);
}

}  // namespace

FaultScope::FaultScope(int64_t k, Mode mode) { faults = {true, mode, k, 0, false}; }
FaultScope::~FaultScope() { faults.on = false; }
int64_t FaultScope::allocations() const { return faults.count; }
bool FaultScope::fired() const { return faults.fired; }

FaultPause::FaultPause() : before_(faults.on) { faults.on = false; }
FaultPause::~FaultPause() { faults.on = before_; }

int64_t live_blocks() { return live.load(std::memory_order_relaxed); }
int64_t live_bytes() { return bytes.load(std::memory_order_relaxed); }
int64_t peak_bytes() { return peak.load(std::memory_order_relaxed); }
void reset_peak_bytes() { peak.store(bytes.load()); }

}  // namespace sinter::test

using sinter::test::counted;
using sinter::test::must_fail;
using sinter::test::uncount;

extern "C" {
void* __real_malloc(size_t n);
void* __real_calloc(size_t n, size_t size);
void* __real_realloc(void* p, size_t n);
void* __real_aligned_alloc(size_t align, size_t n);
int __real_posix_memalign(void** p, size_t align, size_t n);
void __real_free(void* p);

void* __wrap_malloc(size_t n) { return must_fail() ? nullptr : counted(__real_malloc(n)); }
void* __wrap_calloc(size_t n, size_t size) { return must_fail() ? nullptr : counted(__real_calloc(n, size)); }
void* __wrap_aligned_alloc(size_t align, size_t n) { return must_fail() ? nullptr : counted(__real_aligned_alloc(align, n)); }
int __wrap_posix_memalign(void** p, size_t align, size_t n) {
  if (must_fail()) return ENOMEM;
  const int error = __real_posix_memalign(p, align, n);
  if (error == 0) counted(*p);
  return error;
}
void* __wrap_realloc(void* p, size_t n) {
  if (must_fail()) return nullptr;
  uncount(p);
  void* const moved = __real_realloc(p, n);
  if (moved == nullptr && n != 0) counted(p);  // it stays
  return counted(moved);
}
void __wrap_free(void* p) {
  uncount(p);
  __real_free(p);
}

void* __real_mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset);
int __real_memfd_create(const char* name, unsigned flags);
int __real_fallocate(int fd, int mode, off_t offset, off_t n);

void* __wrap_mmap(void* at, size_t n, int protection, int flags, int fd, off_t offset) {
  return must_fail() ? MAP_FAILED : __real_mmap(at, n, protection, flags, fd, offset);
}
int __wrap_memfd_create(const char* name, unsigned flags) { return must_fail() ? -1 : __real_memfd_create(name, flags); }
int __wrap_fallocate(int fd, int mode, off_t offset, off_t n) { return must_fail() ? -1 : __real_fallocate(fd, mode, offset, n); }
}

namespace {
void* checked(void* p) {
  if (p == nullptr) throw std::bad_alloc();
  return p;
}
void* aligned(size_t n, std::align_val_t align) {
  const auto a = static_cast<size_t>(align);
  return __wrap_aligned_alloc(a, (n + a - 1) / a * a);
}
}  // namespace

// The program's own operator new serves the shared libraries as well.
void* operator new(size_t n) { return checked(__wrap_malloc(n)); }
void* operator new[](size_t n) { return checked(__wrap_malloc(n)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return __wrap_malloc(n); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return __wrap_malloc(n); }
void* operator new(size_t n, std::align_val_t a) { return checked(aligned(n, a)); }
void* operator new[](size_t n, std::align_val_t a) { return checked(aligned(n, a)); }
void operator delete(void* p) noexcept { __wrap_free(p); }
void operator delete[](void* p) noexcept { __wrap_free(p); }
void operator delete(void* p, size_t) noexcept { __wrap_free(p); }
void operator delete[](void* p, size_t) noexcept { __wrap_free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { __wrap_free(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { __wrap_free(p); }
void operator delete(void* p, std::align_val_t) noexcept { __wrap_free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { __wrap_free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { __wrap_free(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { __wrap_free(p); }
