// Calls of C++ functions on vector lanes. The caller names registers in a descriptor; one routine per kernel saves every
// register, lets call_lanes work on the saved copies, and restores them, so that a call clobbers nothing but rax.
#include <cstring>
#include "../../runtime/mutants.h"
#include "frame.h"

namespace sinter::codegen {

namespace {

struct CallDescriptor {
  void* fn;
  LaneKind kind;
  uint8_t count, dst, x, y, mask, mask_lane, vector_bytes;  // mask_lane 0: a k register
};

// Layout of the saved registers: general, k0..k7, vectors.
constexpr int kGeneralBytes = 64, kMaskBytes = 64;

struct Saved {
  uint8_t* base;
  int vector_bytes;
  template <class T>
  T get(int reg, int lane) const {
    T v;
    std::memcpy(&v, at(reg) + lane * static_cast<int>(sizeof(T)), sizeof(T));
    return v;
  }
  template <class T>
  void set(int reg, int lane, T v) {
    std::memcpy(at(reg) + lane * static_cast<int>(sizeof(T)), &v, sizeof(T));
  }
  uint64_t mask(int k) const {
    uint64_t v;
    std::memcpy(&v, base + kGeneralBytes + 8 * k, 8);
    return v;
  }
  uint8_t* at(int reg) const { return base + kGeneralBytes + kMaskBytes + reg * vector_bytes; }
};

template <class T>
void apply1(Saved s, const CallDescriptor& d) {
  const auto fn = reinterpret_cast<T (*)(T)>(d.fn);
  T results[16];
  for (int l = 0; l < d.count; ++l) results[l] = fn(s.get<T>(d.x, l));
  for (int l = 0; l < d.count; ++l) s.set<T>(d.dst, l, results[l]);
}

template <class T>
void apply2(Saved s, const CallDescriptor& d) {
  const auto fn = reinterpret_cast<T (*)(T, T)>(d.fn);
  T results[16];
  for (int l = 0; l < d.count; ++l) results[l] = fn(s.get<T>(d.x, l), s.get<T>(d.y, l));
  for (int l = 0; l < d.count; ++l) s.set<T>(d.dst, l, results[l]);
}

void apply_slow(Saved s, const CallDescriptor& d) {
  const auto fn = reinterpret_cast<float (*)(float)>(d.fn);
  for (int l = 0; l < d.count; ++l) {
    const bool set = d.mask_lane == 0 ? (s.mask(d.mask) >> l & 1) : s.get<uint32_t>(d.mask, l) != 0;
    if (set && !SINTER_MUTANT(slow_lanes_left_fast)) s.set<float>(d.dst, l, fn(s.get<float>(d.x, l)));
  }
}

void call_lanes(uint8_t* saved, const CallDescriptor* d) {
  const Saved s{saved, d->vector_bytes};
  switch (d->kind) {
    case LaneKind::Slow32:
      return apply_slow(s, *d);
    case LaneKind::Call32:
      return apply1<float>(s, *d);
    case LaneKind::Call32x2:
      return apply2<float>(s, *d);
    case LaneKind::Call64:
      return apply1<double>(s, *d);
    case LaneKind::Call64x2:
      return apply2<double>(s, *d);
    case LaneKind::CallI64x2:
      return apply2<int64_t>(s, *d);
  }
}

void emit_routine(KernelFrame& f) {
  x86::Assembler& a = f.a;
  const int width = f.avx512() ? 64 : 32;
  const int bytes = kGeneralBytes + kMaskBytes + 32 * width + 56;  // 56: the return address makes 64
  const x86::Gp general[] = {x86::rcx, x86::rdx, x86::rsi, x86::rdi, x86::r8, x86::r9, x86::r10, x86::r11};
  const auto vectors = [&](bool save) {
    for (uint32_t r = 0; r < 32; ++r) {
      if (!(f.used_vectors >> r & 1)) continue;
      const x86::Vec v = f.vec(static_cast<int>(r), width);
      const x86::Mem m = x86::ptr(x86::rsp, kGeneralBytes + kMaskBytes + static_cast<int>(r) * width);
      if (!save && r > 1 && SINTER_MUTANT(call_clobbers_vectors)) continue;
      save ? a.emit(x86::Inst::kIdVmovaps, m, v) : a.emit(x86::Inst::kIdVmovaps, v, m);
    }
    for (uint32_t k = 1; f.avx512() && k < 8; ++k) {
      const x86::Mem m = x86::ptr(x86::rsp, kGeneralBytes + 8 * static_cast<int>(k));
      save ? a.kmovq(m, x86::k(k)) : a.kmovq(x86::k(k), m);
    }
  };
  void (*helper)(uint8_t*, const CallDescriptor*) = call_lanes;
  const int32_t address = f.pool.table(&helper, 8);
  a.bind(f.thunk);
  a.sub(x86::rsp, bytes);
  for (int i = 0; i < 8; ++i) a.mov(x86::ptr(x86::rsp, 8 * i), general[i]);
  vectors(true);
  a.mov(x86::rdi, x86::rsp);
  a.mov(x86::rsi, kTemp);
  a.vzeroupper();
  a.call(f.pool_mem(address));
  vectors(false);
  for (int i = 0; i < 8 && !SINTER_MUTANT(call_clobbers_registers); ++i) a.mov(general[i], x86::ptr(x86::rsp, 8 * i));
  a.add(x86::rsp, bytes);
  a.ret();
}

}  // namespace

int32_t call_descriptor(KernelFrame& f, LaneKind kind, void* fn, int count, int dst, int x, int y, int mask, int mask_lane) {
  const auto u8 = [](int v) { return static_cast<uint8_t>(v); };
  const CallDescriptor d{fn, kind, u8(count), u8(dst), u8(x), u8(y), u8(mask), u8(mask_lane), u8(f.avx512() ? 64 : 32)};
  return f.pool.table(&d, sizeof d);
}

void emit_cold_code(KernelFrame& f) {
  for (const ColdCall& c : f.cold) {
    f.a.bind(c.entry);
    f.a.lea(kTemp, f.pool_mem(c.descriptor));
    f.a.call(f.thunk);
    f.a.jmp(c.back);
  }
  if (f.thunk_used) emit_routine(f);
}

}  // namespace sinter::codegen
