#include "code_memory.h"
#include <cassert>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>
#include "../runtime/at_fork.h"
#include "../runtime/env.h"
#include "code_block.h"

namespace sinter::codegen {

namespace {

enum class Verdict : uint8_t { Unknown, Works, Refused };

/// All guarded by the mutex. Never destroyed: kernels may be freed by destructors of static objects.
struct Memory {
  CodeBlock* blocks = nullptr;  // oldest first
  size_t bytes_in_use = 0, block_count = 0;
  Verdict verdict = Verdict::Unknown;
  int error = 0;  // the system's last refusal
};
constinit Memory memory;
constinit std::mutex memory_mutex;

size_t limit() { return static_cast<size_t>(env().code_bytes); }

void drop(CodeBlock** link) {
  CodeBlock* block = *link;
  *link = block->next;
  delete block;
  --memory.block_count;
}

CodeBlock* add_block(NoCode& why) {
  if ((memory.block_count + 1) * kCodeBlockBytes > limit()) {
    why = NoCode::Full;
    return nullptr;
  }
  why = NoCode::Refused;
  CodeMapping mapping;
  memory.error = map_code(kCodeBlockBytes, mapping);
  if (memory.error) return nullptr;
  auto* block = new (std::nothrow) CodeBlock(mapping);
  if (!block) {
    unmap_code(mapping);
    memory.error = ENOMEM;
    return nullptr;
  }
  CodeBlock** end = &memory.blocks;
  while (*end) end = &(*end)->next;
  *end = block;
  ++memory.block_count;
  return block;
}

void* install_locked(const uint8_t* bytes, size_t n, NoCode& why) {
  why = NoCode::None;
  if (n > kMaxKernelBytes) {
    why = NoCode::TooLarge;
    return nullptr;
  }
  void* code = nullptr;
  for (CodeBlock* b = memory.blocks; b && !code; b = b->next) code = b->install(bytes, n);
  if (!code) {
    CodeBlock* block = add_block(why);
    if (!block) return nullptr;
    why = NoCode::None;
    code = block->install(bytes, n);
  }
  memory.bytes_in_use += granules_bytes(n);
  return code;
}

/// An empty block goes, unless it is the only empty one that can take code again.
void free_locked(void* code, size_t n) {
  CodeBlock** owner = nullptr;
  bool spare = false;
  for (CodeBlock** link = &memory.blocks; *link; link = &(*link)->next) {
    if ((*link)->contains(code)) owner = link;
    else spare = spare || (*link)->empty();
  }
  assert(owner && "free_code: not installed");
  (*owner)->free(code, n);
  memory.bytes_in_use -= granules_bytes(n);
  if ((*owner)->empty() && (spare || (*owner)->sealed())) drop(owner);
}

Verdict probe() {
  const uint8_t answer[] = {0xf3, 0x0f, 0x1e, 0xfa, 0xb8, 42, 0, 0, 0, 0xc3};  // endbr64; mov eax, 42; ret
  NoCode why;
  void* code = install_locked(answer, sizeof answer, why);
  if (!code) {
    const bool shortage = memory.error == ENOMEM || memory.error == EMFILE || memory.error == ENFILE || memory.error == EAGAIN ||
                          memory.error == ENOSPC;
    return shortage ? Verdict::Unknown : Verdict::Refused;
  }
  const bool works = reinterpret_cast<int (*)()>(code)() == 42;
  free_locked(code, sizeof answer);
  return works ? Verdict::Works : Verdict::Refused;
}

/// Parent and child share the memory of today's blocks, so from here on neither may write it.
void before_fork() {
  memory_mutex.lock();
  for (CodeBlock** link = &memory.blocks; *link;) {
    if ((*link)->empty()) {
      drop(link);
    } else {
      (*link)->seal();
      link = &(*link)->next;
    }
  }
}

void after_fork() { memory_mutex.unlock(); }

[[maybe_unused]] const bool watched = at_fork::watch(at_fork::Rank::code, before_fork, after_fork);

}  // namespace

void* install_code(const uint8_t* bytes, size_t n, NoCode& why) {
  const std::lock_guard lock(memory_mutex);
  return install_locked(bytes, n, why);
}

void free_code(void* code, size_t n) noexcept {
  const std::lock_guard lock(memory_mutex);
  free_locked(code, n);
}

bool code_memory_works(const char** why) {
  const std::lock_guard lock(memory_mutex);
  if (memory.verdict == Verdict::Unknown) memory.verdict = probe();
  const bool works = memory.verdict == Verdict::Works;
  if (!works && why) *why = strerrordesc_np(memory.error);
  return works;
}

CodeMemoryStats code_memory_stats() {
  const std::lock_guard lock(memory_mutex);
  size_t sealed = 0;
  for (const CodeBlock* b = memory.blocks; b; b = b->next) sealed += b->sealed();
  return {memory.bytes_in_use, memory.block_count * kCodeBlockBytes, limit(), memory.block_count, sealed};
}

}  // namespace sinter::codegen
