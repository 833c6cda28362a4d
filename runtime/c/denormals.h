/* Treating denormal floats as zero, for the calling thread. */
#ifndef LRE_DENORMALS_H_
#define LRE_DENORMALS_H_

#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef unsigned int LreFloatMode;
static inline LreFloatMode lre_flush_denormals(void) {
  LreFloatMode old = _mm_getcsr();
  _mm_setcsr(old | 0x8040u); /* FTZ, DAZ */
  return old;
}
static inline void lre_restore_denormals(LreFloatMode old) { _mm_setcsr(old); }
#elif defined(__aarch64__)
typedef uint64_t LreFloatMode;
static inline LreFloatMode lre_flush_denormals(void) {
  LreFloatMode old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" : : "r"(old | (UINT64_C(1) << 24))); /* FZ */
  return old;
}
static inline void lre_restore_denormals(LreFloatMode old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#endif

#endif /* LRE_DENORMALS_H_ */
