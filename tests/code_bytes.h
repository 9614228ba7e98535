// Machine code for tests of code memory, and what the system says about this process.
#pragma once
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>
#include "codegen/code_memory.h"

namespace sinter::test {

/// A function of `n` >= 16 bytes that returns `answer`: endbr64, nops, mov eax, answer, ret.
inline std::vector<uint8_t> function_returning(uint32_t answer, size_t n) {
  std::vector<uint8_t> code(n, 0x90);
  const uint8_t entry[] = {0xf3, 0x0f, 0x1e, 0xfa};
  std::memcpy(code.data(), entry, sizeof entry);
  code[n - 6] = 0xb8;
  std::memcpy(&code[n - 5], &answer, 4);
  code[n - 1] = 0xc3;
  return code;
}

/// Installed code that knows what it has to be. Not freed by itself.
struct Installed {
  std::vector<uint8_t> bytes;
  uint32_t answer = 0;
  void* at = nullptr;
  codegen::NoCode why = codegen::NoCode::None;

  Installed(uint32_t answer_, size_t n) : bytes(function_returning(answer_, n)), answer(answer_) {
    at = codegen::install_code(bytes.data(), bytes.size(), why);
  }
  void free() {
    codegen::free_code(at, bytes.size());
    at = nullptr;
  }
  /// Bytes as installed, and running them gives the answer.
  bool works() const {
    return at && std::memcmp(at, bytes.data(), bytes.size()) == 0 && reinterpret_cast<uint32_t (*)()>(at)() == answer;
  }
};

/// Open descriptors of this process.
inline size_t open_descriptors() {
  size_t n = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

/// Lines of /proc/self/maps with all of these letters among their permissions and `name` in their name.
inline size_t mappings(const char* permissions = "", const char* name = "") {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  size_t n = 0;
  while (std::getline(maps, line)) {
    const size_t at = line.find(' ');
    bool all = line.find(name) != std::string::npos;
    for (const char* p = permissions; *p; ++p) all = all && line.substr(at + 1, 4).find(*p) != std::string::npos;
    n += all;
  }
  return n;
}

}  // namespace sinter::test
