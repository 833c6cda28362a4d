/* The public functions of lre.h besides inference: an engine's life, and what it tells about itself. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static __thread char create_error[LRE_ERROR_BYTES];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(pid_t) owner; /* the process that made the pool's threads; -1 while a child cleans up */

/* --- shared state -------------------------------------------------------------------------------- */

void lre_object_enter(void) {
  pid_t self = getpid();
  pid_t before = atomic_load_explicit(&owner, memory_order_acquire);
  if (before == self) return;
  if (before == -1 || !atomic_compare_exchange_strong(&owner, &before, -1)) {
    while (atomic_load_explicit(&owner, memory_order_acquire) != self) sched_yield();
    return;
  }
  if (before != 0) { /* after fork: only this thread came along, and it may have been inside the lock */
    pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;
    memcpy(&lock, &fresh, sizeof lock);
    lre_pool_forget();
    lre_huge_forget();
  }
  atomic_store_explicit(&owner, self, memory_order_release);
}

void lre_object_lock(void) { pthread_mutex_lock(&lock); }

void lre_object_unlock(void) { pthread_mutex_unlock(&lock); }

lre_status lre_fail(lre_engine* engine, lre_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(engine != NULL ? engine->error : create_error, LRE_ERROR_BYTES, format, arguments);
  va_end(arguments);
  return status;
}

/* --- facts --------------------------------------------------------------------------------------- */

LRE_API uint32_t lre_abi_version(void) { return LRE_ABI_VERSION; }
LRE_API const char* lre_build_id(void) { return lre_object.build_id; }
LRE_API const char* lre_model_id(void) { return lre_object.model_id; }
LRE_API const char* lre_schema(void) { return lre_object.schema; }
LRE_API const char* lre_error(const lre_engine* engine) { return engine != NULL ? engine->error : create_error; }

/* --- life ---------------------------------------------------------------------------------------- */

static lre_status check_options(const lre_options* options) {
  if (options->struct_size != sizeof *options)
    return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_options.struct_size is %u and should be %u: start from LRE_OPTIONS_INIT",
                    options->struct_size, (unsigned)sizeof *options);
  if (options->flags & ~(uint32_t)(LRE_CHECK_CRC | LRE_FLUSH_DENORMALS | LRE_MAP_WEIGHTS))
    return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_options.flags has unknown bits: 0x%x", options->flags);
  if (options->threads < 0 || options->threads > LRE_MAX_THREADS)
    return lre_fail(NULL, LRE_ERROR_ARGUMENT, "threads must be 1 .. %d (or 0 for the default), not %d", LRE_MAX_THREADS,
                    options->threads);
  if (options->plan >= lre_object.n_plans)
    return lre_fail(NULL, LRE_ERROR_ARGUMENT, "plan %u asked for, the object has %u", options->plan, lre_object.n_plans);
  return LRE_OK;
}

static uint32_t choose_threads(const lre_options* options) {
  if (options->threads > 0) return (uint32_t)options->threads;
  uint32_t stored = lre_object.threads > 0 ? lre_object.threads : 1;
  uint32_t cpus = lre_cpu_count();
  uint32_t threads = stored < cpus ? stored : cpus;
  return threads < LRE_MAX_THREADS ? threads : LRE_MAX_THREADS;
}

static bool make_workspaces(lre_engine* engine) {
  void* memory;
  size_t bytes = engine->threads * sizeof(LreWorkspace);
  if (posix_memalign(&memory, LRE_LINE, bytes) != 0) return false;
  engine->workspaces = memset(memory, 0, bytes);
  bool made = true;
  for (uint32_t i = 0; i < engine->threads; ++i)
    made = lre_workspace_create(&engine->workspaces[i], engine->plan->workspace_bytes) && made;
  return made;
}

/* An engine whose kernels are all too small for threads needs no pool. */
static bool uses_threads(const lre_engine* engine) {
  if (engine->threads == 1 || engine->parallel != NULL) return false;
  for (uint32_t i = 0; i < engine->plan->n_steps; ++i) {
    const LreStep* step = &engine->plan->steps[i];
    if (step->kind == LRE_STEP_CALL && (step->flags & LRE_STEP_SERIAL) == 0) return true;
  }
  return false;
}

static lre_status fill_engine(lre_engine* engine, const lre_options* options) {
  lre_status status = lre_weights_open(options, &engine->weights, &engine->weights_shared);
  if (status != LRE_OK) return status;
  engine->arena = lre_pages(engine->plan->arena_bytes);
  if ((engine->arena == NULL && engine->plan->arena_bytes > 0) || !make_workspaces(engine))
    return lre_fail(NULL, LRE_ERROR_MEMORY, "cannot reserve %llu bytes of working memory and %llu for each of %u threads",
                    (unsigned long long)engine->plan->arena_bytes, (unsigned long long)engine->plan->workspace_bytes,
                    engine->threads);
  status = lre_tables_create(engine);
  if (status != LRE_OK) return status;
  if (uses_threads(engine)) {
    engine->pool_held = lre_pool_retain(engine->threads);
    if (!engine->pool_held) return lre_fail(NULL, LRE_ERROR_MEMORY, "cannot start %u threads", engine->threads - 1);
  }
  return LRE_OK;
}

/* Under the lock. */
static void free_engine(lre_engine* engine) {
  if (engine->pool_held) lre_pool_release();
  if (engine->weights_shared) lre_weights_close();
  lre_tables_destroy(engine);
  for (uint32_t i = 0; engine->workspaces != NULL && i < engine->threads; ++i)
    lre_workspace_destroy(&engine->workspaces[i]);
  free(engine->workspaces);
  lre_pages_free(engine->arena, engine->plan->arena_bytes);
  free(engine);
}

LRE_API lre_status lre_create(const lre_options* options, lre_engine** result) {
  static const lre_options defaults = LRE_OPTIONS_INIT;
  if (result == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_create: the place for the engine is NULL");
  *result = NULL;
  if (options == NULL) options = &defaults;
  if (lre_object.plan_version != LRE_PLAN_VERSION)
    return lre_fail(NULL, LRE_ERROR_OBJECT, "the object's tables have version %u, its engine knows %u",
                    lre_object.plan_version, LRE_PLAN_VERSION);
  lre_status status = check_options(options);
  if (status == LRE_OK) status = lre_cpu_check(&lre_object);
  if (status != LRE_OK) return status;

  void* memory; /* workspaces inside are line-aligned; the engine itself need not be, but costs nothing */
  if (posix_memalign(&memory, LRE_LINE, sizeof(lre_engine)) != 0)
    return lre_fail(NULL, LRE_ERROR_MEMORY, "out of memory");
  lre_engine* engine = memset(memory, 0, sizeof(lre_engine));
  engine->plan = lre_object.plans[options->plan];
  engine->threads = choose_threads(options);
  engine->flags = options->flags;
  engine->parallel = options->parallel;
  engine->parallel_context = options->parallel_context;
  atomic_store(&engine->pid, getpid());

  lre_object_enter();
  lre_object_lock();
  status = fill_engine(engine, options);
  if (status != LRE_OK) free_engine(engine);
  lre_object_unlock();
  if (status == LRE_OK) *result = engine;
  return status;
}

LRE_API void lre_destroy(lre_engine* engine) {
  if (engine == NULL) return;
  lre_object_enter();
  lre_object_lock();
  free_engine(engine);
  lre_object_unlock();
}

/* --- description --------------------------------------------------------------------------------- */

LRE_API lre_status lre_info(lre_engine* engine, lre_engine_info* info) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_info: the engine is NULL");
  if (info == NULL || info->struct_size != sizeof *info)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "lre_info: struct_size must be set to sizeof(lre_engine_info)");
  const LrePlan* plan = engine->plan;
  *info = (lre_engine_info){
      .struct_size = sizeof *info,
      .threads = engine->threads,
      .n_inputs = plan->n_inputs,
      .n_outputs = plan->n_outputs,
      .n_steps = plan->n_steps,
      .arena_bytes = plan->arena_bytes,
      .workspace_bytes = plan->workspace_bytes * engine->threads,
      .weights_bytes = lre_object.weights.bytes,
  };
  return LRE_OK;
}

static void describe(const LreIo* io, lre_tensor* tensor) {
  memset(tensor, 0, sizeof *tensor);
  tensor->struct_size = sizeof *tensor;
  tensor->code = io->code;
  tensor->bits = io->bits;
  tensor->rank = io->rank;
  tensor->alignment = io->alignment;
  tensor->bytes = lre_tensor_bytes(io->bits, 1, io->rank, io->shape);
  tensor->name = io->name;
  memcpy(tensor->shape, io->shape, (size_t)io->rank * sizeof(int64_t));
}

static lre_status describe_one(lre_engine* engine, const LreIo* io, uint32_t count, uint32_t index,
                               lre_tensor* tensor) {
  if (tensor == NULL || index >= count)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "no place for the tensor, or index %u of %u", index, count);
  describe(&io[index], tensor);
  return LRE_OK;
}

LRE_API lre_status lre_input(lre_engine* engine, uint32_t index, lre_tensor* tensor) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_input: the engine is NULL");
  return describe_one(engine, engine->plan->inputs, engine->plan->n_inputs, index, tensor);
}

LRE_API lre_status lre_output(lre_engine* engine, uint32_t index, lre_tensor* tensor) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_output: the engine is NULL");
  return describe_one(engine, engine->plan->outputs, engine->plan->n_outputs, index, tensor);
}

LRE_API lre_status lre_step(lre_engine* engine, uint32_t index, lre_step_info* info) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_step: the engine is NULL");
  if (info == NULL || info->struct_size != sizeof *info)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "lre_step: struct_size must be set to sizeof(lre_step_info)");
  if (index >= engine->plan->n_steps)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "lre_step: step %u of %u", index, engine->plan->n_steps);
  const LreStep* step = &engine->plan->steps[index];
  *info = (lre_step_info){sizeof *info, step->kind, step->flags, step->n_outputs, step->name,
                          step->origin, step->template_, step->flops, step->bytes};
  return LRE_OK;
}

LRE_API lre_status lre_observe(lre_engine* engine, lre_observer observer, void* context) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_observe: the engine is NULL");
  engine->observer = observer;
  engine->observer_context = context;
  return LRE_OK;
}
