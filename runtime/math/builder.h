// The builder that math functions are written over: one definition, two instantiations.
//
// Every math function (runtime/math/*.h) and every pointwise operator (runtime/ops/pointwise.h) is a template over a
// builder B. With runtime/math/native_builder.h it is the eager kernel, with codegen/loop/emit_builder.h it is machine
// code; so compiled equals eager bit for bit by construction. A builder offers, on its value type B::V (whose element
// type is known to the builder; operands of one call have one element type unless said otherwise):
//
//   constants        k(ScalarType, double) / k(ScalarType::Long, int64) -> V;   bits32(uint32_t) -> V of I32
//   arithmetic       add sub mul div(float) neg(float: sign flip) abs(float: sign clear) sqrt
//                    fma(a, b, c) = a * b + c rounded once; fnma(a, b, c) = c - a * b rounded once   (float only)
//                    min_x86(a, b), max_x86(a, b): b if either is NaN or both are zero (minps/maxps operand order)
//                    round_even, trunc, floor (float)
//   compare          eq ne lt le gt ge -> V of element type Bool (a lane mask); ordered, except ne
//   masks            mask_and mask_or mask_xor mask_not, and select(mask, a, b) = mask ? a : b
//   I32 lanes        (internal integer lanes of a float32 value) as_i32(f32) as_f32(i32) to_i32(f32: round to nearest even)
//                    to_f32(i32) i32_add i32_sub i32_and i32_or i32_xor i32_shl(v, k) i32_shr(v, k: logical) i32_sar(v, k)
//                    i32_eq i32_gt -> mask
//   float bits       bit_and bit_or bit_xor bit_andnot(a, b) = ~a & b, on two values of one float type
//   conversion       cast(ScalarType to, V): bool, int64, float32, float64 among each other, C semantics with x86's
//                    results for what does not fit (float -> int64 truncates, out of range gives INT64_MIN); to bool: != 0
//   slow paths       slow_lanes(mask, V fast, V x, float (*fn)(float))   lanes in the mask become fn(x lane), others `fast`
//                    call1(V x, fn) / call2(V x, V y, fn): every lane through fn (float or double functions)
//
// float64 transcendental functions go through call1 with the C library's function: one definition, same bits, no table
// of our own to prove. float32 functions are polynomials here, inside the bounds tests/math_ulp.cpp checks.
#pragma once
#include "../dtype.h"
