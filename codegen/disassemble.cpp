#include "disassemble.h"
#include <Zydis/Zydis.h>
#include <fmt/format.h>
#include "kernel.h"

namespace sinter::codegen {

std::string disassemble(const uint8_t* code, size_t bytes, size_t first) {
  ZydisDecoder decoder;
  ZydisFormatter formatter;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  std::string text;
  for (size_t at = first; at < bytes;) {
    ZydisDecodedInstruction inst;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code + at, bytes - at, &inst, operands))) {
      text += fmt::format("  {:5x}  (cannot decode {:#04x})\n", at, code[at]);
      ++at;
      continue;
    }
    char line[160];
    ZydisFormatterFormatInstruction(&formatter, &inst, operands, inst.operand_count_visible, line, sizeof line, at, nullptr);
    text += fmt::format("  {:5x}  {}\n", at, line);
    at += inst.length;
  }
  return text;
}

std::string disassemble(const Kernel& kernel, const std::vector<std::string>& node_notes) {
  std::string text = fmt::format("; {}: {} bytes\n", kernel.name, kernel.code_bytes);
  for (const CodeRange& range : kernel.ranges) {
    if (range.begin == range.end) continue;
    if (range.node == -2) text += "; entry and exit\n";
    else if (range.node == -1) text += "; loops\n";
    else if (static_cast<size_t>(range.node) < node_notes.size() && !node_notes[static_cast<size_t>(range.node)].empty())
      text += fmt::format("; {}\n", node_notes[static_cast<size_t>(range.node)]);
    else text += fmt::format("; %{}\n", range.node);
    text += disassemble(kernel.code(), range.end, range.begin);
  }
  return text;
}

}  // namespace sinter::codegen
