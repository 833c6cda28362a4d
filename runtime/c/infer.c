/* lre_infer: check, set pointers, run the steps. Allocates, looks up and parses nothing. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "denormals.h"
#include "internal.h"

/* --- the caller's tensors ------------------------------------------------------------------------ */

static const char* format_shape(int32_t rank, const int64_t* shape, char* text, size_t size) {
  size_t length = 0;
  for (int32_t i = 0; i < rank && length < size; ++i)
    length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i > 0 ? "," : "", shape[i]);
  return rank > 0 ? text : "";
}

static lre_status check_tensor(lre_engine* engine, const char* kind, const LreIo* io, uint64_t bytes,
                               const lre_tensor* tensor) {
  if (tensor->struct_size != sizeof *tensor)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%s '%s': struct_size is %u and should be %u: fill it with lre_%s()", kind,
                    io->name, tensor->struct_size, (unsigned)sizeof *tensor, kind);
  if (tensor->code != io->code || tensor->bits != io->bits)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%s '%s': type (code %u, %u bits) given, (code %u, %u bits) expected", kind,
                    io->name, tensor->code, tensor->bits, io->code, io->bits);
  if (tensor->rank != io->rank || memcmp(tensor->shape, io->shape, (size_t)io->rank * sizeof(int64_t)) != 0) {
    char given[100] = "?", expected[100] = "?";
    if (tensor->rank >= 0 && tensor->rank <= LRE_TENSOR_RANK)
      format_shape(tensor->rank, tensor->shape, given, sizeof given);
    format_shape(io->rank, io->shape, expected, sizeof expected);
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%s '%s': shape [%s] (rank %d) given, [%s] (rank %d) expected", kind,
                    io->name, tensor->rank > 0 ? given : "", tensor->rank, io->rank > 0 ? expected : "", io->rank);
  }
  if (tensor->bytes < bytes)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%s '%s': %" PRIu64 " bytes given, %" PRIu64 " needed", kind, io->name,
                    tensor->bytes, bytes);
  if (tensor->data == NULL && bytes > 0)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%s '%s': data is NULL", kind, io->name);
  return LRE_OK;
}

static bool overlap(const void* a, uint64_t a_bytes, const void* b, uint64_t b_bytes) {
  uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
  return a_bytes > 0 && b_bytes > 0 && x < y + b_bytes && y < x + a_bytes;
}

static lre_status check_overlap(lre_engine* engine, const lre_tensor* inputs, const lre_tensor* outputs) {
  const LrePlan* plan = engine->plan;
  const LreIoState* out_io = engine->io + plan->n_inputs;
  for (uint32_t o = 0; o < plan->n_outputs; ++o) {
    for (uint32_t i = 0; i < plan->n_inputs; ++i)
      if (overlap(outputs[o].data, out_io[o].bytes, inputs[i].data, engine->io[i].bytes))
        return lre_fail(engine, LRE_ERROR_ARGUMENT, "output '%s' overlaps input '%s'", plan->outputs[o].name,
                        plan->inputs[i].name);
    for (uint32_t i = 0; i < o; ++i)
      if (overlap(outputs[o].data, out_io[o].bytes, outputs[i].data, out_io[i].bytes))
        return lre_fail(engine, LRE_ERROR_ARGUMENT, "output '%s' overlaps output '%s'", plan->outputs[o].name,
                        plan->outputs[i].name);
  }
  return LRE_OK;
}

static lre_status check_arguments(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs,
                                  const lre_tensor* outputs, uint32_t n_outputs) {
  const LrePlan* plan = engine->plan;
  if (n_inputs != plan->n_inputs || n_outputs != plan->n_outputs)
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "%u inputs and %u outputs given, the model has %u and %u", n_inputs,
                    n_outputs, plan->n_inputs, plan->n_outputs);
  if ((inputs == NULL && n_inputs > 0) || (outputs == NULL && n_outputs > 0))
    return lre_fail(engine, LRE_ERROR_ARGUMENT, "the list of inputs or outputs is NULL");
  lre_status status = LRE_OK;
  for (uint32_t i = 0; i < n_inputs && status == LRE_OK; ++i)
    status = check_tensor(engine, "input", &plan->inputs[i], engine->io[i].bytes, &inputs[i]);
  for (uint32_t i = 0; i < n_outputs && status == LRE_OK; ++i)
    status = check_tensor(engine, "output", &plan->outputs[i], engine->io[n_inputs + i].bytes, &outputs[i]);
  return status == LRE_OK ? check_overlap(engine, inputs, outputs) : status;
}

/* --- pointers ------------------------------------------------------------------------------------ */

static bool needs_staging(const LreIo* io, const lre_tensor* tensor) {
  return ((uintptr_t)tensor->data & (io->alignment - 1)) != 0 || tensor->data == NULL;
}

static void patch(const LreIoState* io, char* data) {
  for (uint32_t i = 0; i < io->n_patches; ++i) io->patches[i].tensor->data = data + io->patches[i].offset;
}

/* Two threads copy an image faster than one, and each has its part in its cache then. */
#define COPY_ALONE ((uint64_t)128 << 10)

typedef struct Copy {
  char* to;
  const char* from;
  uint64_t bytes;
} Copy;

static int copy_part(int task, TVMParallelGroupEnv* env, void* closure) {
  const Copy* copy = closure;
  uint64_t parts = (uint64_t)env->num_task, part = (copy->bytes / parts + LRE_LINE) & ~(uint64_t)(LRE_LINE - 1);
  uint64_t start = (uint64_t)task * part;
  if (start >= copy->bytes) return 0;
  memcpy(copy->to + start, copy->from + start, copy->bytes - start < part ? copy->bytes - start : part);
  return 0;
}

static void stage(lre_engine* engine, char* to, const char* from, uint64_t bytes) {
  Copy copy = {to, from, bytes};
  engine->serial = bytes < COPY_ALONE;
  lre_pool_launch(engine, copy_part, &copy, (int)engine->threads);
}

static void set_pointers(lre_engine* engine, const lre_tensor* inputs, const lre_tensor* outputs) {
  const LrePlan* plan = engine->plan;
  for (uint32_t i = 0; i < plan->n_inputs; ++i) {
    LreIoState* io = &engine->io[i];
    char* data = inputs[i].data;
    if (needs_staging(&plan->inputs[i], &inputs[i])) {
      data = io->staging;
      if (io->bytes > 0) stage(engine, data, inputs[i].data, io->bytes);
    }
    patch(io, data);
  }
  for (uint32_t i = 0; i < plan->n_outputs; ++i) {
    LreIoState* io = &engine->io[plan->n_inputs + i];
    patch(io, needs_staging(&plan->outputs[i], &outputs[i]) ? io->staging : outputs[i].data);
  }
}

static void finish_outputs(lre_engine* engine, lre_tensor* outputs) {
  const LrePlan* plan = engine->plan;
  for (uint32_t i = 0; i < plan->n_outputs; ++i) {
    const LreIo* io = &plan->outputs[i];
    const LreIoState* state = &engine->io[plan->n_inputs + i];
    if (state->bytes > 0 && needs_staging(io, &outputs[i])) memcpy(outputs[i].data, state->staging, state->bytes);
    memcpy(outputs[i].shape, io->shape, (size_t)io->rank * sizeof(int64_t)); /* static shapes: full capacity */
  }
}

/* --- steps --------------------------------------------------------------------------------------- */

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static lre_status report_fault(lre_engine* engine, const LreStep* step) {
  int fault = atomic_load(&engine->fault);
  int64_t value = atomic_load(&engine->fault_value);
  const char* origin = step->origin[0] != 0 ? step->origin : "no node";
  if (fault == LRE_FAULT_INDEX)
    return lre_fail(engine, LRE_ERROR_FAULT, "kernel %s (%s): index %" PRId64 " out of range", step->name, origin, value);
  if (fault == LRE_FAULT_DIVISION)
    return lre_fail(engine, LRE_ERROR_FAULT, "kernel %s (%s): integer division by zero", step->name, origin);
  return lre_fail(engine, LRE_ERROR_FAULT, "kernel %s (%s): illegal value %" PRId64 " in the data", step->name, origin,
                  value);
}

static lre_status report_error(lre_engine* engine, const LreStep* step, int code) {
  char text[LRE_ERROR_BYTES / 2] = "";
  if (atomic_load(&engine->kernel_error)) memcpy(text, engine->error, sizeof text - 1);
  return lre_fail(engine, LRE_ERROR_KERNEL, "kernel %s failed (%d)%s%s", step->name, code, text[0] != 0 ? ": " : "", text);
}

static lre_status observe(lre_engine* engine, uint32_t index) {
  const LreStep* step = &engine->plan->steps[index];
  const DLTensor* results = engine->steps[index].tensors + step->n_inputs;
  for (uint32_t i = 0; i < step->n_outputs; ++i) {
    lre_tensor* seen = &engine->observed[i];
    memset(seen, 0, sizeof *seen);
    seen->struct_size = sizeof *seen;
    seen->code = results[i].code;
    seen->bits = results[i].bits;
    seen->data = results[i].data;
    seen->bytes = lre_tensor_bytes(seen->bits, results[i].lanes, results[i].ndim, results[i].shape);
    seen->rank = results[i].ndim;
    if (seen->rank <= LRE_TENSOR_RANK) {
      memcpy(seen->shape, results[i].shape, (size_t)seen->rank * sizeof(int64_t));
    } else {
      seen->rank = 1;
      seen->shape[0] = 1;
      for (int32_t k = 0; k < results[i].ndim; ++k) seen->shape[0] *= results[i].shape[k];
    }
  }
  if (engine->observer(engine->observer_context, index, engine->observed, step->n_outputs) == 0) return LRE_OK;
  return lre_fail(engine, LRE_ERROR_KERNEL, "stopped by the observer after step %u (%s)", index, step->name);
}

static lre_status run_step(lre_engine* engine, uint32_t index) {
  const LreStep* step = &engine->plan->steps[index];
  const LreStepState* state = &engine->steps[index];
  if (step->kind == LRE_STEP_COPY) {
    const LreArg* arg = step->args;
    memmove(state->tensors[1].data, state->tensors[0].data,
            lre_tensor_bytes(arg->bits, arg->lanes, arg->ndim, arg->shape));
    return LRE_OK;
  }
  engine->serial = (step->flags & LRE_STEP_SERIAL) != 0;
  TVMFFIAny result = {.type_index = LRE_ANY_NONE};
  int error = step->fn(NULL, state->args, step->n_inputs + step->n_outputs, &result);
  if (error != 0) return report_error(engine, step, error);
  if (atomic_load_explicit(&engine->fault, memory_order_relaxed) != 0) return report_fault(engine, step);
  return LRE_OK;
}

static lre_status run_steps(lre_engine* engine, uint64_t* ns) {
  uint32_t n_steps = engine->plan->n_steps;
  lre_status status = LRE_OK;
  uint64_t before = ns != NULL ? now_ns() : 0;
  for (uint32_t i = 0; i < n_steps && status == LRE_OK; ++i) {
    status = run_step(engine, i);
    if (ns != NULL) {
      uint64_t after = now_ns();
      ns[i] = after - before;
      before = after;
    }
    if (engine->observer != NULL && status == LRE_OK) status = observe(engine, i);
  }
  return status;
}

/* --- inference ----------------------------------------------------------------------------------- */

static lre_status run(lre_engine* engine, const lre_tensor* inputs, lre_tensor* outputs, uint64_t* ns) {
  if (engine->pool_held && !lre_pool_begin(engine->threads))
    return lre_fail(engine, LRE_ERROR_MEMORY, "cannot start %u threads", engine->threads - 1);
  LreThread before = lre_thread; /* an observer may use another engine */
  lre_thread = (LreThread){engine, &engine->workspaces[0], false};
  for (uint32_t i = 0; i < engine->threads; ++i) lre_workspace_reset(&engine->workspaces[i]);
  atomic_store_explicit(&engine->fault, 0, memory_order_relaxed);
  atomic_store_explicit(&engine->kernel_error, 0, memory_order_relaxed);
  set_pointers(engine, inputs, outputs);

  bool flush = (engine->flags & LRE_FLUSH_DENORMALS) != 0;
  LreFloatMode mode = 0;
  if (flush) mode = lre_flush_denormals();
  lre_status status = run_steps(engine, ns);
  if (flush) lre_restore_denormals(mode);

  if (status == LRE_OK) finish_outputs(engine, outputs);
  lre_thread = before;
  if (engine->pool_held) lre_pool_end(engine->threads);
  return status;
}

static lre_status infer(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs, lre_tensor* outputs,
                        uint32_t n_outputs, uint64_t* ns, uint32_t n_steps) {
  pid_t self = getpid(), made = atomic_load_explicit(&engine->pid, memory_order_relaxed);
  lre_object_enter();
  if (self != made && atomic_compare_exchange_strong(&engine->pid, &made, self)) atomic_store(&engine->busy, 0);
  /* The text is left alone here: it belongs to the inference that is running. */
  if (atomic_exchange_explicit(&engine->busy, 1, memory_order_acquire)) return LRE_ERROR_BUSY;
  lre_status status = check_arguments(engine, inputs, n_inputs, outputs, n_outputs);
  if (status == LRE_OK && ns != NULL && n_steps != engine->plan->n_steps)
    status = lre_fail(engine, LRE_ERROR_ARGUMENT, "lre_profile: room for %u times given, the plan has %u steps", n_steps,
                      engine->plan->n_steps);
  if (status == LRE_OK) status = run(engine, inputs, outputs, ns);
  atomic_store_explicit(&engine->busy, 0, memory_order_release);
  return status;
}

LRE_API lre_status lre_infer(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs, lre_tensor* outputs,
                             uint32_t n_outputs) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_infer: the engine is NULL");
  return infer(engine, inputs, n_inputs, outputs, n_outputs, NULL, 0);
}

LRE_API lre_status lre_profile(lre_engine* engine, const lre_tensor* inputs, uint32_t n_inputs, lre_tensor* outputs,
                               uint32_t n_outputs, uint64_t* ns, uint32_t n_steps) {
  if (engine == NULL) return lre_fail(NULL, LRE_ERROR_ARGUMENT, "lre_profile: the engine is NULL");
  if (ns == NULL) return lre_fail(engine, LRE_ERROR_ARGUMENT, "lre_profile: the place for the times is NULL");
  return infer(engine, inputs, n_inputs, outputs, n_outputs, ns, n_steps);
}
