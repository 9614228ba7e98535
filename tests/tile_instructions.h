// What tiles of matrix products may be made of.
#pragma once
#include <catch2/catch.hpp>
#include "codegen/gemm/tile_spec.h"
#include "codegen_decode.h"

namespace sinter::codegen::reference {

/// Emits the tile twice: the same bytes, and each instruction on the lists and of its level. `also_check` sees every instruction
/// and its offset.
template <class F>
void check_tile_instructions(const TileSpec& spec, F&& also_check) {
  static const std::set<std::string> also = {
      "jnl",         "shr",       "dec",       "jz",          "jle",          "vextractf32x4", "vextractps",   "vmovlps",
      "vmovupd",     "vpermilpd", "vunpcklps", "vunpckhps",   "vunpcklpd",    "vunpckhpd",     "vaddsd",       "vaddss",
      "vfmadd231pd", "int3",      "vinsertps", "vinsertf128", "vinsertf32x4", "vinsertf64x4",  "vextractf64x4"};
  const EmittedTile tile = emit_tile(spec);
  REQUIRE(tile.bytes == emit_tile(spec).bytes);
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  for (size_t at = 0; at < tile.code_bytes;) {
    Decoded d{};
    REQUIRE(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, tile.bytes.data() + at, tile.code_bytes - at, &d.inst, d.operands)));
    INFO(isa_name(spec.isa) << " " << d.name());
    REQUIRE((general_instructions().count(d.name()) || vector_instructions(spec.isa).count(d.name()) || also.count(d.name())));
    REQUIRE(in_level(spec.isa, d.inst));
    also_check(d, at);
    at += d.inst.length;
  }
}

}  // namespace sinter::codegen::reference
