/* What the engine's files share. Nothing here is visible outside the object (lre.map). */
#ifndef LRE_INTERNAL_H_
#define LRE_INTERNAL_H_

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lre.h"
#include "plan.h"

/* glibc 2.34 gave its thread functions new version names; with the old ones the object also runs on
 * older systems. */
#if defined(__GLIBC__) && !defined(LRE_NO_SYMVER)
#if defined(__x86_64__)
__asm__(".symver pthread_create,pthread_create@GLIBC_2.2.5");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.2.5");
#elif defined(__aarch64__)
__asm__(".symver pthread_create,pthread_create@GLIBC_2.17");
__asm__(".symver pthread_join,pthread_join@GLIBC_2.17");
#endif
#endif

#define LRE_LINE 64          /* bytes of a cache line, and the alignment of every block we hand out */
#define LRE_MAX_THREADS 256  /* of one engine */
#define LRE_ERROR_BYTES 512
#define LRE_PRINTF(text, args) __attribute__((format(printf, text, args)))

/* --- workspace.c: per-thread stack memory for kernels ------------------------------------------- */

/* A stack of blocks. Blocks that do not fit come from the heap once; the next inference finds a stack
 * that is large enough. */
typedef struct LreWorkspace {
  _Alignas(LRE_LINE) char* base;
  size_t capacity;
  size_t top;        /* offset of the topmost block's header, or LRE_NO_BLOCK */
  size_t used;
  size_t heap_bytes; /* now in heap blocks */
  size_t peak;       /* largest used + heap_bytes since the last reset */
  void* heap;        /* list of heap blocks */
} LreWorkspace;

bool lre_workspace_create(LreWorkspace* workspace, size_t bytes);
void lre_workspace_destroy(LreWorkspace* workspace);
/* Drops what a failed kernel left behind and grows to the size that was needed so far. */
void lre_workspace_reset(LreWorkspace* workspace);
void* lre_workspace_push(LreWorkspace* workspace, uint64_t bytes);
void lre_workspace_pop(LreWorkspace* workspace, void* block);

/* --- pages.c: memory from the kernel -------------------------------------------------------------- */

#define LRE_HUGE_PAGE ((size_t)2 << 20)

/* Reserves zeroed pages that cost no memory until they are touched; a big block stands on huge pages
 * where there are such. NULL when there is none. */
void* lre_pages(size_t bytes);
void lre_pages_free(void* pages, size_t bytes);
bool lre_huge_pages(void); /* whether lre_pages gets huge ones, as far as the system's settings go */

/* --- engine.c, infer.c --------------------------------------------------------------------------- */

typedef struct LreStepState {
  TVMFFIAny* args;
  DLTensor* tensors;
} LreStepState;

/* A kernel argument that points into a graph input or output. */
typedef struct LrePatch {
  DLTensor* tensor;
  uint64_t offset;
} LrePatch;

/* A graph input or output: where its pointer goes, and a place for data that is not aligned enough. */
typedef struct LreIoState {
  LrePatch* patches;
  uint32_t n_patches;
  uint64_t bytes;
  char* staging;
} LreIoState;

struct lre_engine {
  const LrePlan* plan;
  uint32_t threads;
  uint32_t flags;
  lre_parallel parallel;
  void* parallel_context;
  atomic_int busy;
  _Atomic(pid_t) pid; /* a child of fork clears `busy` that another thread of its parent held */

  char* arena;
  char* staging;
  size_t staging_bytes;
  const char* weights;
  bool weights_shared; /* mapped once for all engines of the object */
  bool pool_held;
  LreWorkspace* workspaces; /* [threads] */

  DLTensor* tensors;
  TVMFFIAny* args;
  int64_t* strides;
  LreStepState* steps;
  LreIoState* io; /* inputs, then outputs */
  LrePatch* patches;

  lre_observer observer;
  void* observer_context;
  lre_tensor* observed;

  bool serial; /* the running step asked for no threads */
  atomic_int fault; /* LRE_FAULT_* of this inference, 0 = none */
  _Atomic int64_t fault_value;
  atomic_int kernel_error; /* a kernel left a text in `error` */
  char error[LRE_ERROR_BYTES];
};

/* The engine that the calling thread works for; set in workers too. */
typedef struct LreThread {
  lre_engine* engine;
  LreWorkspace* workspace;
  bool in_parallel;
} LreThread;

extern __thread LreThread lre_thread;

lre_status lre_fail(lre_engine* engine, lre_status status, const char* format, ...) LRE_PRINTF(3, 4);
lre_status lre_tables_create(lre_engine* engine);
void lre_tables_destroy(lre_engine* engine);
uint64_t lre_tensor_bytes(uint8_t bits, uint16_t lanes, int32_t rank, const int64_t* shape);

/* Per-object state: a lock and a count of engines. Call before touching anything shared; notices that
 * this process is a child of the one that made the threads. */
void lre_object_enter(void);
void lre_object_lock(void);
void lre_object_unlock(void);

/* --- pool.c --------------------------------------------------------------------------------------- */

bool lre_pool_retain(uint32_t threads); /* under the lock; grows the pool */
void lre_pool_release(void);            /* under the lock; the last one ends the threads */
void lre_pool_forget(void);             /* in a child of fork: the threads are gone */
bool lre_pool_begin(uint32_t threads);  /* an inference starts: wake (after fork, start) the workers */
void lre_pool_end(uint32_t threads);
int lre_pool_launch(lre_engine* engine, FTVMParallelLambda fn, void* closure, int n_tasks);
int lre_pool_barrier(TVMParallelGroupEnv* env);
bool lre_thread_start(pthread_t* thread, void* (*run)(void*), void* argument); /* with all signals blocked */

/* --- weights.c, crc32.c ---------------------------------------------------------------------------- */

/* Finds the weights for an engine; *shared tells that lre_weights_close must be called. Under the lock. */
lre_status lre_weights_open(const lre_options* options, const char** weights, bool* shared);
void lre_weights_close(void);
uint32_t lre_crc32(const void* data, size_t bytes);

/* --- huge_weights.c ------------------------------------------------------------------------------- */

/* Begins to move a mapping of `bytes` of the file from `offset` on to huge pages, where there are such and it
 * pays. Under the lock, like lre_huge_end, which stops it: before the mapping goes. */
void lre_huge_begin(int fd, char* data, uint64_t bytes, uint64_t offset);
void lre_huge_end(void);
void lre_huge_forget(void); /* in a child of fork: the thread is gone */

/* --- cpu_features.c, limits.c, denormals.h --------------------------------------------------------- */

lre_status lre_cpu_check(const LreObject* object);
uint32_t lre_cpu_count(void); /* CPUs that this process may use: affinity and cgroup quota */
uint64_t lre_memory_available(void); /* bytes that this process may still use, about: free ones and cgroup limits */
bool lre_read_text(const char* path, char* text, size_t size); /* the beginning of a small file */

#endif /* LRE_INTERNAL_H_ */
