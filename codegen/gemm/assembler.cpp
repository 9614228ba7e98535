#include "assembler.h"

namespace sinter::codegen {

using namespace Xbyak;

int32_t displacement(int64_t bytes) {
  if (bytes != static_cast<int32_t>(bytes)) throw Error(ERR_OFFSET_IS_TOO_BIG);
  return static_cast<int32_t>(bytes);
}

void VectorAssembler::zero(const Ymm& v) { vxorps(low(v), low(v), low(v)); }

void VectorAssembler::load(const Ymm& to, const Address& from) { f64_ ? vmovupd(to, from) : vmovups(to, from); }

void VectorAssembler::store(const Address& to, const Ymm& from) { f64_ ? vmovupd(to, from) : vmovups(to, from); }

void VectorAssembler::broadcast(const Ymm& to, const Address& from) { f64_ ? vbroadcastsd(to, from) : vbroadcastss(to, from); }

void VectorAssembler::fma(const Ymm& acc, const Ymm& a, const Operand& b) {
  f64_ ? vfmadd231pd(acc, a, b) : vfmadd231ps(acc, a, b);
}

void VectorAssembler::add_vec(const Ymm& to, const Operand& b) { f64_ ? vaddpd(to, to, b) : vaddps(to, to, b); }

void VectorAssembler::set_tail(int count, const Ymm& mask) {
  if (avx512_) {
    mov(eax, (1u << count) - 1);
    kmovw(k7, eax);
    return;
  }
  vmovups(mask, ptr[rip + tail_tables_[count]]);
}

void VectorAssembler::load_tail(const Ymm& to, const Address& from, const Ymm& mask) {
  if (avx512_) f64_ ? vmovupd(to | k7 | T_z, from) : vmovups(to | k7 | T_z, from);
  else f64_ ? vmaskmovpd(to, mask, from) : vmaskmovps(to, mask, from);
}

void VectorAssembler::store_tail(const Address& to, const Ymm& from, const Ymm& mask) {
  if (avx512_) f64_ ? vmovupd(to | k7, from) : vmovups(to | k7, from);
  else f64_ ? vmaskmovpd(to, mask, from) : vmaskmovps(to, mask, from);
}

void VectorAssembler::store_piece(const Address& to, const Ymm& from, int piece, int count, const Xmm& temp) {
  const int n = count * element_bytes();
  if (n == 16) {
    if (piece == 0) vmovups(to, low(from));
    else if (avx512_) vextractf32x4(to, Zmm(from.getIdx()), static_cast<uint8_t>(piece));
    else vextractf128(to, from, 1);
    return;
  }
  Xmm x = low(from);
  if (piece != 0) {
    x = temp;
    if (avx512_) vextractf32x4(x, Zmm(from.getIdx()), static_cast<uint8_t>(piece));
    else vextractf128(x, from, 1);
  }
  if (n == 4) {
    vmovss(to, x);
    return;
  }
  vmovlps(to, x);
  if (n == 12) vextractps(dword[to.getRegExp() + 8], x, 2);
}

void VectorAssembler::call_epilogue(const Epilogue* epilogue, bool along_rows, const std::vector<EpiloguePiece>& pieces) {
  if (!epilogue) return;
  epilogue_ = emit_epilogue(*epilogue, avx512_ ? Isa::Avx512 : Isa::Avx2, along_rows, pieces);
  call(epilogue_label_);
}

EmittedTile VectorAssembler::finish() {
  EmittedTile tile;
  tile.code_bytes = getSize();
  tile.element_flops = epilogue_.element_flops;
  if (!epilogue_.bytes.empty()) {
    while (getSize() % 64 != 0) nop();
    L(epilogue_label_);
    tile.code_bytes = getSize() + epilogue_.code_bytes;
    db(epilogue_.bytes.data(), epilogue_.bytes.size());
  }
  for (auto& [count, table] : tail_tables_) {
    while (getSize() % 32 != 0) db(0xcc);
    L(table);
    for (int i = 0; i < 32; ++i) db(i / element_bytes() < count ? 0xff : 0);
  }
  tile.bytes.assign(getCode(), getCode() + getSize());
  return tile;
}

void VectorAssembler::leave() {
  vzeroupper();
  ret();
}

}  // namespace sinter::codegen
