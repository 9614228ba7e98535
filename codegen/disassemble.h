// Machine code as text, for people.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace sinter::codegen {

/// One instruction per line, with offsets from `code + first`'s start; bytes that are none are listed as such.
std::string disassemble(const uint8_t* code, size_t bytes, size_t first = 0);

}  // namespace sinter::codegen
