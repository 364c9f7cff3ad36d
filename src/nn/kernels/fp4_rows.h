#include <cuda_bf16.h>

// c += a b for a [16, 16] of bf16 in rows and b [16, 8] in columns; a lane holds the parts that PTX says.
__device__ __forceinline__ void multiply(float c[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0, unsigned b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// The products of two pairs of bf16.
__device__ __forceinline__ unsigned scaled(unsigned a, unsigned b) {
  unsigned r;
  asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  return r;
}

// Codes I and I + 4 of a word as a pair of bf16, times 2^-126: sign, exponent and fraction are moved to their places.
template <int I>
__device__ __forceinline__ unsigned pair(unsigned w) {
  unsigned sign = I == 0 ? w << 12 : I == 1 ? w << 8 : I == 2 ? w << 4 : w;
  unsigned rest = I == 0 ? w << 6 : I == 1 ? w << 2 : I == 2 ? w >> 2 : w >> 6;
  return (sign & 0x80008000u) | (rest & 0x01c001c0u);
}

// A scale times 2^118, twice. Codes, scales and their products have at most 6 significant bits, so all are exact.
template <bool E4M3>
__device__ __forceinline__ unsigned scale(unsigned code) {
  if (!E4M3) {
    unsigned exponent = code + 118;
    return (exponent << 7) | (exponent << 23);
  }
  float f = __uint_as_float(((code & 0x80u) << 24) | ((code & 0x7fu) << 20));
  f = f * 1.329227995784916e36f * 3.3230699894622897e35f;  // 2^120 and 2^118
  unsigned r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %1;" : "=r"(r) : "f"(f));
  return r;
}

// Elements `from` of the pairs a and b as a pair.
template <bool HIGH>
__device__ __forceinline__ unsigned zip(unsigned a, unsigned b) {
  return __byte_perm(a, b, HIGH ? 0x7632 : 0x5410);
}
