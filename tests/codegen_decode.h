// What a generated kernel may be made of, checked by decoding all of it with Zydis.
#pragma once
#include <Zydis/Zydis.h>
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>
#include "codegen/kernel.h"
#include "runtime/cpu.h"

namespace sinter::codegen::reference {

struct Decoded {
  uint32_t at;
  ZydisDecodedInstruction inst;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  std::string name() const { return ZydisMnemonicGetString(inst.mnemonic); }
  uint32_t end() const { return at + inst.length; }
  bool touches_vectors() const {
    for (int i = 0; i < inst.operand_count; ++i) {
      const auto c = ZydisRegisterGetClass(operands[i].reg.value);
      if (operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
          (c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_ZMM))
        return true;
    }
    return false;
  }
};

/// General instructions of every kernel, and vector instructions by instruction set; nothing else is ever emitted.
inline const std::set<std::string>& general_instructions() {
  static const std::set<std::string> names = {"endbr64", "push", "pop", "mov", "movzx", "lea", "add", "sub", "and", "or", "xor",
                                              "neg", "inc", "imul", "test", "cmp", "jb", "jnz", "jmp", "call", "ret", "sfence",
                                              "prefetcht0", "prefetcht1", "nop", "vzeroupper",
                                              // of extents that are arguments
                                              "jbe", "jle", "jnb", "jnl", "jnle", "jz", "setz", "shl", "shr"};
  return names;
}
inline const std::set<std::string>& vector_instructions(Isa isa) {
  static const std::set<std::string> both = {
      "vaddpd",      "vaddps",      "vandpd",       "vandps",       "vbroadcastsd", "vbroadcastss", "vcmppd",
      "vcmpps",      "vcvtdq2ps",   "vcvtpd2ps",    "vcvtps2pd",    "vdivpd",       "vdivps",       "vextractf128",
      "vfmadd213ps", "vfmadd231ps", "vfnmadd213ps", "vfnmadd231ps", "vgatherdpd",   "vgatherdps",   "vmaxpd",
      "vmaxps",      "vminpd",      "vminps",       "vmovaps",      "vmovntps",     "vmovq",        "vmovsd",
      "vmovshdup",   "vmovss",      "vmovups",      "vmulpd",       "vmulps",       "vorps",        "vpabsb",
      "vpaddd",      "vpaddq",      "vpbroadcastq", "vpslld",       "vpsrad",       "vpsubd",       "vpsubq",
      "vsqrtpd",     "vsqrtps",     "vsubpd",       "vsubps",       "vunpckhpd",    "vxorpd",       "vxorps"};
  static const std::set<std::string> avx2 = {"vblendvpd",  "vblendvps",    "vcvtps2dq",  "vcvtsi2sd",  "vcvtsi2ss", "vcvttsd2si",
                                             "vcvttss2si", "vextracti128", "vmaskmovpd", "vmaskmovps", "vmovd",     "vpackssdw",
                                             "vpacksswb",  "vpbroadcastd", "vpcmpeqd",   "vpcmpeqq",   "vpcmpgtd",  "vpcmpgtq",
                                             "vpextrb",    "vpmovsxdq",    "vpmovzxbd",  "vpmovzxbq",  "vpmuludq",  "vpsllq",
                                             "vpsrlq",     "vptest",       "vroundpd",   "vroundps",   "vshufps"};
  static const std::set<std::string> avx512 = {
      "kandw",         "kmovd",    "kmovq",     "kmovw",       "knotw",       "kortestb",  "kortestw",   "korw",
      "kxnorw",        "kxorw",    "vblendmpd", "vblendmps",   "vcvtqq2pd",   "vcvtqq2ps", "vcvttpd2qq", "vcvttps2qq",
      "vextractf64x4", "vmovapd",  "vmovdqu8",  "vmovupd",     "vpcmpq",      "vpmaxsq",   "vpminsq",    "vpmovm2b",
      "vpmullq",       "vptestmb", "vptestmd",  "vrndscalepd", "vrndscaleps", "vscalefps"};
  static const auto join = [](std::set<std::string> a, const std::set<std::string>& b) {
    a.insert(b.begin(), b.end());
    return a;
  };
  static const std::set<std::string> for_avx2 = join(both, avx2), for_avx512 = join(both, avx512);
  return isa == Isa::Avx512 ? for_avx512 : for_avx2;
}

/// Instruction sets of a level, by Zydis' names: what the processor is asked for and nothing newer.
inline bool in_level(Isa isa, const ZydisDecodedInstruction& inst) {
  const std::string set = ZydisISASetGetString(inst.meta.isa_set);
  static const std::set<std::string> base = {"I86", "I186", "I386", "I486REAL",     "LONGMODE",    "PPRO",    "FAT_NOP",
                                             "CET", "SSE",  "SSE2", "SSE_PREFETCH", "PENTIUMREAL", "SSEMXCSR"};
  static const std::set<std::string> avx2 = {"AVX", "AVX2", "AVX2GATHER", "FMA"};
  if (base.count(set) || avx2.count(set)) return true;
  if (isa != Isa::Avx512) return false;
  for (const char* family : {"AVX512F_", "AVX512BW_", "AVX512DQ_"})
    if (set.rfind(family, 0) == 0) return true;
  return false;
}

/// One kernel, decoded. `complaint` is the first rule it breaks, or nothing.
class DecodedKernel {
 public:
  DecodedKernel(const uint8_t* code, size_t code_bytes, const std::vector<CodeRange>& ranges, size_t n_operands, size_t n_scalars,
                Isa isa)
      : code_(code), bytes_(code_bytes), ranges_(ranges), n_operands_(n_operands), n_scalars_(n_scalars), isa_(isa) {}
  explicit DecodedKernel(const Kernel& k, Isa isa)
      : DecodedKernel(k.code(), k.code_bytes, k.ranges, k.spec.operands.size(), k.spec.scalars.size(), isa) {}

  std::string complaint() {
    if (std::string wrong = decode(); !wrong.empty()) return wrong;
    find_routine();
    for (size_t i = 0; i < all_.size(); ++i) {
      const Decoded& d = all_[i];
      for (const std::string& wrong : {kind(d), control(i), memory(d), masking(d)})
        if (!wrong.empty()) return text(d) + ": " + wrong;
    }
    return "";
  }
  const std::vector<Decoded>& instructions() const { return all_; }

 private:
  std::string decode() {
    ZydisDecoder decoder;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    uint32_t at = 0;
    for (const CodeRange& range : ranges_) {
      if (range.begin != at) return "ranges leave a gap";
      while (at < range.end) {
        Decoded d{};
        d.at = at;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code_ + at, range.end - at, &d.inst, d.operands)))
          return "undecodable";
        index_[at] = all_.size();
        all_.push_back(d);
        at = d.end();
      }
      if (at != range.end) return "an instruction crosses ranges";
    }
    code_end_ = at;
    return all_.empty() ? "no code" : "";
  }

  /// The routine that calls C++ functions lies behind all other code; direct calls lead nowhere else.
  void find_routine() {
    for (const Decoded& d : all_)
      if (d.inst.mnemonic == ZYDIS_MNEMONIC_CALL && d.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
        routine_ = std::min(routine_, target(d));
    for (const Decoded& d : all_)
      if (d.inst.mnemonic == ZYDIS_MNEMONIC_SUB && d.operands[0].reg.value == ZYDIS_REGISTER_RSP)
        (d.at < routine_ ? frame_ : routine_frame_) = static_cast<int64_t>(d.operands[1].imm.value.u);
  }
  static uint32_t target(const Decoded& d) { return static_cast<uint32_t>(d.end() + d.operands[0].imm.value.s); }

  std::string kind(const Decoded& d) const {
    if (!general_instructions().count(d.name()) && !vector_instructions(isa_).count(d.name())) return "not on the list";
    if (!in_level(isa_, d.inst)) return std::string("needs ") + ZydisISASetGetString(d.inst.meta.isa_set);
    if (isa_ == Isa::Avx2 && d.inst.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) return "EVEX";
    if (d.inst.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && d.touches_vectors()) return "legacy SSE";
    if (d.inst.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && d.inst.avx.rounding.mode != ZYDIS_ROUNDING_MODE_INVALID)
      return "embedded rounding";
    for (int i = 0; i < d.inst.operand_count; ++i) {
      const auto r = d.operands[i].reg.value;
      if (isa_ == Isa::Avx2 && d.operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
          (ZydisRegisterGetClass(r) == ZYDIS_REGCLASS_ZMM || ZydisRegisterGetClass(r) == ZYDIS_REGCLASS_MASK))
        return "AVX-512 register";
    }
    return "";
  }

  std::string control(size_t i) const {
    const Decoded& d = all_[i];
    if ((d.inst.mnemonic == ZYDIS_MNEMONIC_ENDBR64) != (i == 0)) return "endbr64 belongs at the entry";
    const bool branch = d.inst.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;
    if (branch && d.inst.mnemonic != ZYDIS_MNEMONIC_RET) {
      if (d.operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
        if (!index_.count(target(d))) return "leads into an instruction";
        if ((d.inst.mnemonic == ZYDIS_MNEMONIC_CALL) != (target(d) == routine_)) return "calls are for the routine only";
        if ((d.at < routine_) != (target(d) < routine_) && d.inst.mnemonic != ZYDIS_MNEMONIC_CALL)
          return "jumps into the routine";
      } else if (d.inst.mnemonic != ZYDIS_MNEMONIC_CALL || d.at < routine_ ||
                 all_[i - 1].inst.mnemonic != ZYDIS_MNEMONIC_VZEROUPPER) {
        return "indirect branch";
      }
    }
    if (d.inst.mnemonic == ZYDIS_MNEMONIC_RET && d.at < routine_) {
      if (d.inst.operand_count_visible != 0) return "pops arguments";
      if (i == 1) return "";  // nothing to do: endbr64, ret
      size_t k = i;
      while (k > 0 && all_[k].inst.mnemonic != ZYDIS_MNEMONIC_VZEROUPPER) {
        if (all_[k].touches_vectors()) return "vectors between vzeroupper and here";
        if (all_[--k].inst.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE) return "no vzeroupper before";
      }
      if (k == 0) return "no vzeroupper before";
    }
    return "";
  }

  /// The data pool, the frame, and operands through their registers.
  std::string memory(const Decoded& d) const {
    const bool prologue = d.at < first_body();
    for (int i = 0; i < d.inst.operand_count_visible; ++i) {
      const ZydisDecodedOperand& o = d.operands[i];
      if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || d.inst.mnemonic == ZYDIS_MNEMONIC_NOP) continue;
      const ZydisRegister base = o.mem.base, index = o.mem.index;
      const bool address_only = o.mem.type == ZYDIS_MEMOP_TYPE_AGEN;
      const int64_t size = address_only ? 1 : o.size / 8, at = o.mem.disp.value;
      if (o.mem.segment != ZYDIS_REGISTER_DS && o.mem.segment != ZYDIS_REGISTER_SS) return "segment";
      if (d.inst.address_width != 64) return "address width";
      if (index != ZYDIS_REGISTER_NONE && index != ZYDIS_REGISTER_RCX && ZydisRegisterGetClass(index) == ZYDIS_REGCLASS_GPR64)
        return "index register";
      switch (base) {
        case ZYDIS_REGISTER_RIP: {
          const int64_t from = d.end() + at;
          if (from < (code_end_ + 63) / 64 * 64 || from + size > static_cast<int64_t>(bytes_)) return "outside the data pool";
          break;
        }
        case ZYDIS_REGISTER_RSP:
          if (index != ZYDIS_REGISTER_NONE || at < 0 || at + size > (d.at < routine_ ? frame_ : routine_frame_))
            return "outside the frame";
          break;
        case ZYDIS_REGISTER_RBP:
          if (!address_only) return "memory off rbp";
          break;
        case ZYDIS_REGISTER_RDI:  // the array of operands
          if (!prologue || index != ZYDIS_REGISTER_NONE || at < 0 || at + 8 > static_cast<int64_t>(8 * n_operands_))
            return "memory off rdi";
          break;
        case ZYDIS_REGISTER_RSI:  // the array of scalars, then an operand
          if (prologue && (at < 0 || at + size > static_cast<int64_t>(8 * n_scalars_))) return "outside the scalars";
          break;
        case ZYDIS_REGISTER_RCX:  // the element index
          if (!address_only) return "memory off rcx";
          break;
        case ZYDIS_REGISTER_RAX:
        case ZYDIS_REGISTER_RDX:
        case ZYDIS_REGISTER_RBX:
        case ZYDIS_REGISTER_R8:
        case ZYDIS_REGISTER_R9:
        case ZYDIS_REGISTER_R10:
        case ZYDIS_REGISTER_R11:
        case ZYDIS_REGISTER_R12:
        case ZYDIS_REGISTER_R13:
        case ZYDIS_REGISTER_R14:
        case ZYDIS_REGISTER_R15:
          break;
        default:
          return "unknown base";
      }
    }
    return "";
  }
  /// End of the first range: the prologue.
  uint32_t first_body() const { return ranges_[0].end; }

  /// Off an operand's pointer only moves and gathers may be masked: some masked broadcasts read what the mask leaves out.
  std::string masking(const Decoded& d) const {
    if (d.inst.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX || d.inst.avx.mask.reg == ZYDIS_REGISTER_K0 ||
        d.inst.avx.mask.reg == ZYDIS_REGISTER_NONE)
      return "";
    static const std::set<std::string> fine = {"vmovups", "vmovupd", "vmovdqu8", "vgatherdps", "vgatherdpd"};
    for (int i = 0; i < d.inst.operand_count_visible; ++i) {
      const ZydisDecodedOperand& o = d.operands[i];
      if (o.type != ZYDIS_OPERAND_TYPE_MEMORY || o.mem.base == ZYDIS_REGISTER_RIP || o.mem.base == ZYDIS_REGISTER_RSP) continue;
      if (!fine.count(d.name())) return "masked access to an operand";
    }
    return "";
  }

  std::string text(const Decoded& d) const {
    ZydisFormatter formatter;
    ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
    char buffer[160] = "";
    ZydisFormatterFormatInstruction(&formatter, &d.inst, d.operands, d.inst.operand_count_visible, buffer, sizeof buffer, d.at,
                                    nullptr);
    return std::to_string(d.at) + " " + buffer;
  }

  const uint8_t* code_;
  size_t bytes_;
  const std::vector<CodeRange>& ranges_;
  size_t n_operands_, n_scalars_;
  Isa isa_;
  std::vector<Decoded> all_;
  std::map<uint32_t, size_t> index_;
  uint32_t code_end_ = 0, routine_ = ~0u;
  int64_t frame_ = 0, routine_frame_ = 0;
};

}  // namespace sinter::codegen::reference
