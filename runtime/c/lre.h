/* lre.h: the public C interface of an LRE object (modelLibrary.so).
 *
 *   lre_options options = LRE_OPTIONS_INIT;
 *   lre_engine* engine;
 *   if (lre_create(&options, &engine) != LRE_OK) { puts(lre_error(NULL)); exit(1); }
 *   lre_tensor in, out;
 *   lre_input(engine, 0, &in);   in.data = my_input;
 *   lre_output(engine, 0, &out); out.data = my_output;
 *   if (lre_infer(engine, &in, 1, &out, 1) != LRE_OK) puts(lre_error(engine));
 *   lre_destroy(engine);
 *
 * Threads: every function may be called from any thread. One engine runs one inference at a time (a
 * second caller gets LRE_ERROR_BUSY); several engines of one object run at the same time.
 * Memory: input data is only read. The caller owns inputs and outputs; the engine keeps no pointer to
 * them after a call. lre_infer allocates nothing.
 */
#ifndef LRE_H_
#define LRE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LRE_ABI_VERSION 1u
#define LRE_TENSOR_RANK 8

#ifndef LRE_API
#define LRE_API __attribute__((visibility("default")))
#endif

typedef enum lre_status {
  LRE_OK = 0,
  LRE_ERROR_ARGUMENT = 1, /* the caller's argument: NULL, size, dtype, shape, struct_size ... */
  LRE_ERROR_OBJECT = 2,   /* the file: stripped, truncated, other build, wrong checksum */
  LRE_ERROR_CPU = 3,      /* this CPU lacks a feature that the object was compiled for */
  LRE_ERROR_MEMORY = 4,   /* out of memory, no thread could be started */
  LRE_ERROR_BUSY = 5,     /* this engine is running an inference in another thread */
  LRE_ERROR_FAULT = 6,    /* the data: index out of range, integer division by zero; outputs are invalid */
  LRE_ERROR_KERNEL = 7    /* a kernel reported an error */
} lre_status;

/* DLPack's type codes. */
enum { LRE_TYPE_INT = 0, LRE_TYPE_UINT = 1, LRE_TYPE_FLOAT = 2, LRE_TYPE_BFLOAT = 4, LRE_TYPE_BOOL = 6 };

typedef struct lre_tensor {
  uint32_t struct_size; /* sizeof(lre_tensor) */
  uint8_t code;         /* LRE_TYPE_* */
  uint8_t bits;
  uint16_t reserved; /* 0 */
  int32_t rank;
  uint32_t alignment; /* told by lre_input/lre_output: less aligned data is copied by the engine */
  void* data;
  uint64_t bytes;   /* size of the buffer at `data`; of an output at least the tensor's size */
  const char* name; /* told by lre_input/lre_output; ignored by lre_infer */
  /* Dimensions. Of an output: as lre_output tells before, true shape after lre_infer. */
  int64_t shape[LRE_TENSOR_RANK];
} lre_tensor;

enum {
  LRE_CHECK_CRC = 1u,       /* compare the weights' checksum at lre_create */
  LRE_FLUSH_DENORMALS = 2u, /* treat denormal floats as zero while inferring (x86: FTZ + DAZ, ARM: FZ) */
  /* Leave the weights mapped from the file, so that processes share them and the system may drop them. Without
   * it, where there are transparent huge pages, a thread moves big weights to them soon after the start; models
   * that stream through them get 1-3 % faster. The first of several engines that are open decides. */
  LRE_MAP_WEIGHTS = 4u
};

/* Runs task(0, data) ... task(n - 1, data), on any threads, and returns when all are done. A return
 * value other than 0 of a task is an error that this function returns. */
typedef int (*lre_parallel)(void* context, int (*task)(int index, void* data), void* data, int n);

typedef struct lre_options {
  uint32_t struct_size; /* sizeof(lre_options) */
  uint32_t flags;       /* LRE_CHECK_CRC | LRE_FLUSH_DENORMALS | LRE_MAP_WEIGHTS */
  int32_t threads;      /* 0 = min(stored, CPUs that this process may use) */
  uint32_t plan;        /* index of the set of shapes, 0 */
  int32_t fd;           /* open descriptor of the object's file, for its weights; <= 0: none. Not closed. */
  uint32_t reserved;    /* 0 */
  const char* path;     /* or its path; NULL: as the dynamic linker knows it */
  const void* weights;  /* or the weights in memory (at least 64-byte aligned; outlive the engine) */
  uint64_t weights_bytes;
  lre_parallel parallel; /* the host application's thread pool; NULL: the engine's own */
  void* parallel_context;
} lre_options;

#define LRE_OPTIONS_INIT {sizeof(lre_options), 0, 0, 0, -1, 0, NULL, NULL, 0, NULL, NULL}

typedef struct lre_engine lre_engine;

/* Facts of the object, without an engine. Strings live as long as the object is loaded. */
LRE_API uint32_t lre_abi_version(void);
LRE_API const char* lre_build_id(void);
LRE_API const char* lre_model_id(void);
LRE_API const char* lre_schema(void); /* JSON */

/* Checks CPU and weights, reserves memory, starts threads. On error *engine is NULL and lre_error(NULL)
 * tells why (in the calling thread). options may be NULL. */
LRE_API lre_status lre_create(const lre_options* options, lre_engine** engine);
LRE_API void lre_destroy(lre_engine* engine); /* NULL is allowed */

/* Text of the engine's last error; of the last failed lre_create in this thread if engine is NULL. */
LRE_API const char* lre_error(const lre_engine* engine);

typedef struct lre_engine_info {
  uint32_t struct_size; /* sizeof(lre_engine_info), set by the caller */
  uint32_t threads, n_inputs, n_outputs, n_steps;
  uint32_t reserved;
  uint64_t arena_bytes, workspace_bytes /* all threads */, weights_bytes;
} lre_engine_info;

LRE_API lre_status lre_info(lre_engine* engine, lre_engine_info* info);

/* Fills *tensor for input or output `index`, data = NULL. */
LRE_API lre_status lre_input(lre_engine* engine, uint32_t index, lre_tensor* tensor);
LRE_API lre_status lre_output(lre_engine* engine, uint32_t index, lre_tensor* tensor);

/* Tensors are in the object's order, all of them. dtype, rank, shape and bytes are checked. Outputs may
 * not overlap each other or inputs. After an error the engine can be used again. */
LRE_API lre_status lre_infer(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs,
                             lre_tensor* outputs, uint32_t n_outputs);

/* The same, and writes each step's time in nanoseconds to ns[0 .. n_steps). */
LRE_API lre_status lre_profile(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs,
                               lre_tensor* outputs, uint32_t n_outputs, uint64_t* ns, uint32_t n_steps);

/* Called after each step of lre_infer with what the step wrote, in its physical layout (shape and rank
 * as the kernel sees them; valid during the call only; names are NULL; a rank beyond LRE_TENSOR_RANK is
 * told as one dimension). A return value other than 0 stops the inference with LRE_ERROR_KERNEL. */
typedef int (*lre_observer)(void* context, uint32_t step, const lre_tensor* outputs, uint32_t n_outputs);

/* NULL removes it. Costs nothing when there is none. */
LRE_API lre_status lre_observe(lre_engine* engine, lre_observer observer, void* context);

typedef struct lre_step_info {
  uint32_t struct_size; /* sizeof(lre_step_info), set by the caller */
  uint32_t kind;        /* 0 call, 1 copy */
  uint32_t flags;       /* LRE_STEP_* of plan.h */
  uint32_t n_outputs;
  const char *name, *origin, *template_name;
  uint64_t flops, bytes;
} lre_step_info;

LRE_API lre_status lre_step(lre_engine* engine, uint32_t index, lre_step_info* info);

#ifdef __cplusplus
}
#endif
#endif /* LRE_H_ */
