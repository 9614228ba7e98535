// Caching allocator for tensor bytes: 64-byte aligned, size classes, thread-local fast path.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sinter {

/// Returns at least `nbytes` (never null, also for 0), 64-byte aligned, uninitialised. Throws OutOfMemoryError.
void* allocate_bytes(size_t nbytes);
/// `nbytes` as given to allocate_bytes. Any thread.
void free_bytes(void* p, size_t nbytes) noexcept;
/// Returns cached blocks to the system.
void release_cached_memory();

/// Bytes allocated by this thread since it started (a frame's byte budget compares two readings).
int64_t thread_allocated_bytes();
/// Tests: the n-th allocation from now (1 = next) fails with OutOfMemoryError; 0 switches it off.
void fail_allocation_after(int64_t n);

}  // namespace sinter
