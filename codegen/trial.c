/* Runs single kernels for the search: the engine's own pool and workspaces, without a plan.
 *
 * Linked with the engine's objects and the kernels of a batch into one shared object (trial.py), which a
 * process of its own loads (trial_worker.py). A kernel is called as infer.c calls it.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

static const LrePlan plan; /* no buffers, no steps */
static const LrePlan* const plans[] = {&plan};
static const char* const features[] = {0};
const LreObject lre_object = {LRE_PLAN_VERSION, 1, "trial", "", "", "", 0, 1, features, plans, {0}};

static lre_engine engine;

LRE_API int trial_begin(uint32_t threads, uint64_t workspace_bytes);
LRE_API void trial_end(void);
LRE_API const char* trial_error(void);
LRE_API uint64_t trial_probe(void);
LRE_API int trial_run(LreKernel kernel, const TVMFFIAny* args, int32_t n_args, uint32_t copies, uint32_t first,
                      uint32_t calls, int serial, uint64_t* ns);

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Starts the threads. 0, or -1: no memory. */
int trial_begin(uint32_t threads, uint64_t workspace_bytes) {
  void* memory;
  size_t bytes = threads * sizeof(LreWorkspace);
  engine = (lre_engine){.plan = &plan, .threads = threads};
  if (posix_memalign(&memory, LRE_LINE, bytes) != 0) return -1;
  engine.workspaces = memset(memory, 0, bytes);
  for (uint32_t i = 0; i < threads; ++i)
    if (!lre_workspace_create(&engine.workspaces[i], workspace_bytes)) return -1;
  lre_object_enter();
  lre_object_lock();
  engine.pool_held = threads > 1 && lre_pool_retain(threads);
  lre_object_unlock();
  return threads == 1 || engine.pool_held ? 0 : -1;
}

void trial_end(void) {
  lre_object_lock();
  if (engine.pool_held) lre_pool_release();
  lre_object_unlock();
  for (uint32_t i = 0; i < engine.threads; ++i) lre_workspace_destroy(&engine.workspaces[i]);
  free(engine.workspaces);
}

/* Text of the last error. */
const char* trial_error(void) { return engine.error; }

/* --- how fast the machine is just now ------------------------------------------------------------ */

#define PROBE_STEPS 20000 /* some 40 us where nobody else is on the cores */
#define CHAINS 16         /* enough to keep the multipliers busy */

static int multiply(int task, TVMParallelGroupEnv* env, void* closure) {
  typedef float Vector __attribute__((vector_size(16)));
  (void)env;
  Vector sums[CHAINS];
  for (int k = 0; k < CHAINS; ++k) sums[k] = (Vector){1, 1, 1, (float)(k + task)};
  for (int i = 0; i < PROBE_STEPS; ++i) {
#pragma GCC unroll 16
    for (int k = 0; k < CHAINS; ++k) sums[k] = sums[k] * 0.5f;
  }
  for (int k = 1; k < CHAINS; ++k) sums[0] += sums[k];
  ((volatile float*)closure)[(size_t)task * LRE_LINE] = sums[0][3];
  return 0;
}

/* Nanoseconds of the same arithmetic every time, on all threads: longer if another virtual machine or process
 * has a part of a core, which nothing else tells. */
uint64_t trial_probe(void) {
  static float results[LRE_MAX_THREADS * LRE_LINE];
  if (engine.pool_held && !lre_pool_begin(engine.threads)) return UINT64_MAX;
  engine.serial = false;
  uint64_t best = UINT64_MAX;
  for (int i = 0; i < 2; ++i) { /* once to wake the threads */
    uint64_t start = now_ns();
    lre_pool_launch(&engine, multiply, results, (int)engine.threads);
    uint64_t time = now_ns() - start;
    if (time < best) best = time;
  }
  if (engine.pool_held) lre_pool_end(engine.threads);
  return best;
}

/* --- kernels ------------------------------------------------------------------------------------- */

static int check(int error) {
  if (error != 0) {
    if (!atomic_load(&engine.kernel_error)) snprintf(engine.error, LRE_ERROR_BYTES, "it returned %d", error);
    return -1;
  }
  if (atomic_load_explicit(&engine.fault, memory_order_relaxed) == 0) return 0;
  snprintf(engine.error, LRE_ERROR_BYTES, "a value of the data is out of range");
  return -1;
}

/* Calls a kernel `calls` times, with the arguments of one copy after the other, from `first` on: those of copy
 * c are args[c * n_args ...]. ns[i] is the time of call i. 0, or -1: see trial_error. */
int trial_run(LreKernel kernel, const TVMFFIAny* args, int32_t n_args, uint32_t copies, uint32_t first, uint32_t calls,
              int serial, uint64_t* ns) {
  if (engine.pool_held && !lre_pool_begin(engine.threads)) return check(-1);
  LreThread before = lre_thread;
  lre_thread = (LreThread){&engine, &engine.workspaces[0], false};
  for (uint32_t i = 0; i < engine.threads; ++i) lre_workspace_reset(&engine.workspaces[i]);
  atomic_store(&engine.fault, 0);
  atomic_store(&engine.kernel_error, 0);
  engine.serial = serial != 0;
  int error = 0;
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < calls && error == 0; ++i) {
    TVMFFIAny result = {.type_index = LRE_ANY_NONE};
    error = kernel(NULL, args + (size_t)((first + i) % copies) * (size_t)n_args, n_args, &result);
    uint64_t end = now_ns();
    ns[i] = end - start;
    start = end;
  }
  error = check(error);
  lre_thread = before;
  if (engine.pool_held) lre_pool_end(engine.threads);
  return error;
}
