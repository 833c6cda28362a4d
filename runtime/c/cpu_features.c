/* Does this CPU have what the object was compiled for? Asked before any kernel runs, so that the answer
 * is a sentence and not a SIGILL. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "internal.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HOST_ARCH "x86_64"

enum { EAX, EBX, ECX, EDX };
enum { NONE, YMM, ZMM, TMM };

typedef struct Feature {
  char name[20];
  uint32_t leaf;
  uint8_t subleaf, reg, bit, state;
} Feature;

static const Feature features[] = {
#define X86(name, leaf, subleaf, reg, bit, state) {name, leaf, subleaf, reg, bit, state},
#define ARM64(name, word, bit)
#include "cpu_features_list.h"
};

/* What the operating system saves on a task switch (XCR0), as a set of states. */
static uint32_t saved_states(void) {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 1u << NONE;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  uint32_t states = 1u << NONE;
  if ((low & 0x6) == 0x6) states |= 1u << YMM;
  if ((low & 0xE6) == 0xE6) states |= 1u << ZMM;
  if ((low & 0x60000) == 0x60000) states |= 1u << TMM;
  return states;
}

static bool has(const Feature* feature) {
  uint32_t regs[4];
  if (!__get_cpuid_count(feature->leaf, feature->subleaf, &regs[EAX], &regs[EBX], &regs[ECX], &regs[EDX])) return false;
  if (!(regs[feature->reg] >> feature->bit & 1) || !(saved_states() >> feature->state & 1)) return false;
  /* AMX state has to be asked for once a process (ARCH_REQ_XCOMP_PERM, XTILEDATA). */
  return feature->state != TMM || syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HOST_ARCH "aarch64"
#ifndef AT_HWCAP2
#define AT_HWCAP2 26
#endif

typedef struct Feature {
  char name[20];
  uint8_t word, bit;
} Feature;

static const Feature features[] = {
#define X86(name, leaf, subleaf, reg, bit, state)
#define ARM64(name, word, bit) {name, word, bit},
#include "cpu_features_list.h"
};

static bool has(const Feature* feature) {
  return getauxval(feature->word == 1 ? AT_HWCAP : AT_HWCAP2) >> feature->bit & 1;
}

#else
#error "the engine knows x86_64 and aarch64"
#endif

/* 1: there, 0: missing, -1: a name that this engine does not know. */
static int check(const char* name) {
  for (size_t i = 0; i < sizeof features / sizeof features[0]; ++i)
    if (strcmp(features[i].name, name) == 0) return has(&features[i]);
  return -1;
}

lre_status lre_cpu_check(const LreObject* object) {
  if (strcmp(object->arch, HOST_ARCH) != 0)
    return lre_fail(NULL, LRE_ERROR_CPU, "this object was compiled for %s, the engine in it for " HOST_ARCH,
                    object->arch);
  char missing[LRE_ERROR_BYTES / 2] = "";
  size_t length = 0;
  for (uint32_t i = 0; i < object->n_features; ++i) {
    const char* name = object->features[i];
    int found = check(name);
    if (found < 0) return lre_fail(NULL, LRE_ERROR_OBJECT, "the object needs an unknown CPU feature '%s'", name);
    if (found == 0 && length < sizeof missing)
      length += (size_t)snprintf(missing + length, sizeof missing - length, "%s%s", length > 0 ? ", " : "", name);
  }
  if (length == 0) return LRE_OK;
  return lre_fail(NULL, LRE_ERROR_CPU, "this CPU lacks %s, which the object was compiled for; compile it for this CPU "
                  "(leip compile --target \"llvm -mcpu=...\")", missing);
}
