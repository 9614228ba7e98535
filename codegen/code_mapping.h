// One stretch of memory at two addresses: written through one, executed through the other, never both at one address.
#pragma once
#include <cstddef>
#include <cstdint>

namespace sinter::codegen {

struct CodeMapping {
  uint8_t* rx = nullptr;  // readable and executable
  uint8_t* rw = nullptr;  // readable and writable; null once sealed
  size_t bytes = 0;
};

/// Maps `bytes` (a multiple of the page size), all of them backed by memory. 0, or the system's errno and nothing mapped.
int map_code(size_t bytes, CodeMapping& out);
/// Gives up the writable view for good.
void seal_code(CodeMapping& mapping);
void unmap_code(CodeMapping& mapping);

/// Tests: the n-th system call of map_code from now (1 = next) fails with ENOMEM; 0 switches it off. A block takes four:
/// memfd_create, fallocate, and mmap twice.
void fail_mapping_after(int64_t n);

}  // namespace sinter::codegen
