/* The plan: what the code generator knows about a model, as constant tables.
 *
 * The generator writes one C file (plan.c) that defines `const LreObject lre_object` and links it with
 * the kernels and the engine. Nothing is parsed at load; nothing is looked up in lre_infer.
 * Every array and string must outlive the object (static const). Tables are trusted: lre_create checks
 * only what is cheap (versions, kinds, index ranges, offsets inside the arena and the weights).
 *
 * A buffer is memory; an argument is a view on a buffer (byte offset, dtype, shape), so many arguments
 * may name one buffer with other shapes. See the end of the file for an example.
 */
#ifndef LRE_PLAN_H_
#define LRE_PLAN_H_

#include <stddef.h>
#include <stdint.h>

#include "tvm_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a table below changes; engine and plan.c are always compiled against one header. */
#define LRE_PLAN_VERSION 2u

#define LRE_MAX_RANK 8 /* of graph inputs and outputs; kernel arguments may have any rank */

/* Where a buffer lives. Version 1 knows the host only; others are refused by lre_create. */
enum { LRE_SPACE_HOST = 0, LRE_SPACE_DEVICE = 1 };

enum {
  LRE_BUFFER_ARENA = 0,   /* offset in the arena (64-byte aligned base, see LrePlan.arena_bytes) */
  LRE_BUFFER_WEIGHTS = 1, /* offset in the weights (base aligned to LreWeights.alignment); read only */
  LRE_BUFFER_INPUT = 2,   /* graph input `index`; offset must be 0; read only */
  LRE_BUFFER_OUTPUT = 3   /* graph output `index`; offset must be 0 */
};

typedef struct LreBuffer {
  uint8_t space;      /* LRE_SPACE_* */
  uint8_t kind;       /* LRE_BUFFER_* */
  uint16_t reserved;  /* 0 */
  uint32_t index;     /* of the graph input or output; else 0 */
  uint64_t offset;    /* bytes from the start of arena or weights; else 0 */
  uint64_t bytes;     /* size */
  uint32_t alignment; /* what kernels expect of the buffer's first byte, a power of two, <= 4096 */
  uint32_t reserved2; /* 0 */
} LreBuffer;

/* One tensor argument of a kernel. */
typedef struct LreArg {
  uint32_t buffer; /* index into LrePlan.buffers */
  uint8_t code;    /* LRE_INT, LRE_UINT, LRE_FLOAT, LRE_BFLOAT, LRE_BOOL */
  uint8_t bits;    /* 8 for bool */
  uint16_t lanes;  /* 1 */
  int32_t ndim;
  uint64_t offset;        /* bytes inside the buffer */
  const int64_t* shape;   /* ndim entries, physical shape */
  const int64_t* strides; /* ndim entries, in elements; NULL = row-major, compact */
} LreArg;

enum {
  LRE_STEP_CALL = 0,          /* fn(args[0 .. n_inputs + n_outputs)) */
  LRE_STEP_COPY = 1,          /* args[0] -> args[1], same number of bytes, both compact */
  LRE_STEP_DEVICE_LAUNCH = 2, /* reserved; refused by lre_create */
  LRE_STEP_SUBPLAN = 3        /* reserved; refused by lre_create */
};

enum {
  LRE_STEP_SERIAL = 1u, /* too small for threads: run the kernel's parallel loops in the calling thread */
  LRE_STEP_PARTIAL = 2u /* not the last step of its IR kernel (a split reduction): --verify skips it */
};

typedef struct LreStep {
  uint16_t kind;  /* LRE_STEP_CALL, ... */
  uint16_t flags; /* LRE_STEP_SERIAL | LRE_STEP_PARTIAL */
  uint16_t n_inputs;
  uint16_t n_outputs;     /* arguments: first inputs, then outputs */
  LreKernel fn;           /* CALL: the kernel; else NULL */
  const LreArg* args;     /* n_inputs + n_outputs entries */
  const char* name;       /* for people, unique in the plan: "conv2d_3" */
  const char* origin;     /* ONNX nodes it came from, "" if none */
  const char* template_;  /* name of the schedule template, "" for copies */
  uint64_t flops;         /* per run; 0 if meaningless */
  uint64_t bytes;         /* read + written per run */
} LreStep;

/* A graph input or output. */
typedef struct LreIo {
  const char* name;
  uint8_t code, bits;
  uint16_t reserved; /* 0 */
  int32_t rank;      /* <= LRE_MAX_RANK */
  const int64_t* shape; /* rank entries; of an output: its capacity */
  uint32_t alignment;   /* that kernels need; the engine copies user buffers that are less aligned */
  uint32_t buffer;      /* index into LrePlan.buffers: kind INPUT or OUTPUT with this entry's index */
} LreIo;

/* One set of shapes. Version 1 writes one plan per object. */
typedef struct LrePlan {
  uint64_t arena_bytes;     /* one arena per engine */
  uint64_t workspace_bytes; /* largest sum of TVMBackendAllocWorkspace at one time in one thread, each
                               rounded up to 64, plus 64 bytes per allocation; 0 if none */
  uint32_t n_inputs, n_outputs, n_buffers, n_steps;
  const LreIo* inputs;
  const LreIo* outputs;
  const LreBuffer* buffers;
  const LreStep* steps;
} LrePlan;

typedef struct LreWeights {
  uint64_t bytes;      /* 0 = the model has none */
  uint32_t alignment;  /* of the base: 64 .. 4096; the tail of the file is 65536-aligned anyway */
  uint32_t has_crc;    /* 1: crc is valid and LRE_CHECK_CRC may be asked for */
  uint32_t crc;        /* CRC-32 as zlib.crc32 of the `bytes` bytes */
  uint32_t reserved;   /* 0 */
  const void* pointer; /* NULL: in the tail of the file (runtime/tail.py writes it); else here, in memory */
  uint64_t dense_bytes; /* that every inference reads, all of them; behind them stand tables of which it reads a
                           few rows. `bytes` where there are none */
} LreWeights;

typedef struct LreObject {
  uint32_t plan_version;  /* LRE_PLAN_VERSION */
  uint32_t threads;       /* that the schedules were chosen for; default at load, >= 1 */
  const char* build_id;   /* hash of the content, 1 .. 64 characters, the same as in tail and schema */
  const char* model_id;   /* UUID */
  const char* schema;     /* JSON text, see docs/runtime.md */
  const char* arch;       /* "x86_64" or "aarch64" */
  uint32_t n_features;    /* CPU features needed, names from cpu_features_list.h */
  uint32_t n_plans;       /* >= 1 */
  const char* const* features;
  const LrePlan* const* plans;
  LreWeights weights;
} LreObject;

/* Defined by plan.c. */
extern const LreObject lre_object __attribute__((visibility("hidden")));

/* For kernels: note that a value of the data is out of range. `code` is one of the LRE_FAULT_* below.
 * The first one of an inference is kept and makes lre_infer return LRE_ERROR_FAULT. Returns 0, an index
 * that is always safe where a tensor has elements. */
int64_t lre_fault(int64_t code, int64_t value) __attribute__((visibility("hidden")));

enum { LRE_FAULT_INDEX = 1, LRE_FAULT_DIVISION = 2, LRE_FAULT_OTHER = 3 };

/* Example: y = relu(x) for f32[1,16]; one step, no weights.
 *
 *   #include "plan.h"
 *   int __tvm_ffi_relu(void*, const TVMFFIAny*, int32_t, TVMFFIAny*);
 *   static const int64_t shape0[] = {1, 16};
 *   static const LreIo inputs[] = {{"x", LRE_FLOAT, 32, 0, 2, shape0, 64, 0}};
 *   static const LreIo outputs[] = {{"y", LRE_FLOAT, 32, 0, 2, shape0, 64, 1}};
 *   static const LreBuffer buffers[] = {
 *       {LRE_SPACE_HOST, LRE_BUFFER_INPUT, 0, 0, 0, 64, 64, 0},
 *       {LRE_SPACE_HOST, LRE_BUFFER_OUTPUT, 0, 0, 0, 64, 64, 0}};
 *   static const LreArg args0[] = {{0, LRE_FLOAT, 32, 1, 2, 0, shape0, 0},
 *                                  {1, LRE_FLOAT, 32, 1, 2, 0, shape0, 0}};
 *   static const LreStep steps[] = {{LRE_STEP_CALL, LRE_STEP_SERIAL, 1, 1, __tvm_ffi_relu, args0,
 *                                    "relu", "Relu_0", "elementwise", 16, 128}};
 *   static const LrePlan plan0 = {0, 0, 1, 1, 2, 1, inputs, outputs, buffers, steps};
 *   static const LrePlan* const plans[] = {&plan0};
 *   static const char* const features[] = {"avx2", "fma"};
 *   const LreObject lre_object = {LRE_PLAN_VERSION, 2, "0123abcd", "model-id", "{...}", "x86_64", 2, 1,
 *                                 features, plans, {0, 64, 0, 0, 0, 0, 0}};
 */

#ifdef __cplusplus
}
#endif
#endif /* LRE_PLAN_H_ */
