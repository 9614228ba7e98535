// What is done to the elements of a matrix product before they are stored, while they are in registers: a pointwise expression.
#pragma once
#include <memory>
#include <string>
#include <vector>
#include "../../runtime/cpu.h"
#include "../loop/loop_spec.h"

namespace sinter::codegen {

/// How an operand of an epilogue lies: an element for each of the result, n elements for every row, or one element.
enum class EpilogueOperand : uint8_t { Whole, Row, Element };

/// The product and the result among them; the others have a register each.
inline constexpr size_t kMostEpilogueOperands = 8;

struct Epilogue {
  LoopSpec spec;        // pointwise over {rows, columns} of the result; strides {columns, 1}, {0, 1} or {0, 0}
  int32_t product = 0;  // operand that is the product: never loaded
  friend bool operator==(const Epilogue&, const Epilogue&) = default;

  EpilogueOperand kind(size_t operand) const;
  /// Some operand has an element for each of the result.
  bool has_whole() const;
  /// Computes a function of many instructions, which pays for whole vectors only.
  bool is_long() const;
  /// "relu", "add_gelu"
  std::string name() const;
};

/// The kernel `spec`, which reads the product of `rows` x `columns` as operand `product`, as an epilogue of that product. Null:
/// it is more than one pointwise result of the product's type and geometry, or its operands lie otherwise.
std::shared_ptr<const Epilogue> make_epilogue(const LoopSpec& spec, int32_t product, int64_t rows, int64_t columns);

/// Results in one register: `valid` elements along the vector from (row, column) of the tile on.
struct EpiloguePiece {
  int reg;
  int64_t row, column;
  int valid;
};

/// Position-independent code to be called by a tile; rdi points to its GemmTile. The pieces' registers receive the results; rdi
/// and callee-saved registers stay, all others change. What follows `code_bytes` are constants. To be placed at a multiple of 64
/// bytes.
struct EmittedEpilogue {
  std::vector<uint8_t> bytes;
  size_t code_bytes = 0;
  double element_flops = 0;
};

/// `along_rows`: vectors run down the rows of the result; then no operand may be Whole.
/// @throws Error when there is no such code: too few registers, types of another width.
EmittedEpilogue emit_epilogue(const Epilogue& epilogue, Isa isa, bool along_rows, const std::vector<EpiloguePiece>& pieces);

}  // namespace sinter::codegen
