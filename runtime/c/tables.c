/* From the plan's constant tables to what infer needs: argument arrays with their pointers filled in,
 * and for each graph input and output the list of pointers to set. Checks the tables on the way. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

uint64_t lre_tensor_bytes(uint8_t bits, uint16_t lanes, int32_t rank, const int64_t* shape) {
  uint64_t elements = 1;
  for (int32_t i = 0; i < rank; ++i) elements *= (uint64_t)shape[i];
  return (elements * bits * lanes + 7) / 8;
}

static bool is_compact(const LreArg* arg) {
  int64_t expected = 1;
  for (int32_t i = arg->ndim - 1; arg->strides != NULL && i >= 0; --i) {
    if (arg->shape[i] != 1 && arg->strides[i] != expected) return false;
    expected *= arg->shape[i];
  }
  return true;
}

/* Bytes from the argument's first to behind its last element. */
static uint64_t extent(const LreArg* arg) {
  uint64_t bytes = lre_tensor_bytes(arg->bits, arg->lanes, arg->ndim, arg->shape);
  if (arg->strides == NULL || bytes == 0) return bytes;
  uint64_t last = 0;
  for (int32_t i = 0; i < arg->ndim; ++i) last += (uint64_t)((arg->shape[i] - 1) * arg->strides[i]);
  return ((last + 1) * arg->bits * arg->lanes + 7) / 8;
}

static lre_status bad(const char* what, uint32_t index) {
  return lre_fail(NULL, LRE_ERROR_OBJECT, "the object's plan is wrong: %s (%u)", what, index);
}

static lre_status check_buffers(const LrePlan* plan) {
  for (uint32_t i = 0; i < plan->n_buffers; ++i) {
    const LreBuffer* buffer = &plan->buffers[i];
    if (buffer->space != LRE_SPACE_HOST) return bad("a buffer on a device; this engine knows the host only", i);
    if (buffer->alignment == 0 || buffer->alignment > 4096 || (buffer->alignment & (buffer->alignment - 1)) != 0)
      return bad("a buffer's alignment", i);
    uint64_t end = buffer->offset + buffer->bytes;
    bool fits, io = buffer->kind >= LRE_BUFFER_INPUT;
    if (buffer->kind == LRE_BUFFER_ARENA) fits = end <= plan->arena_bytes;
    else if (buffer->kind == LRE_BUFFER_WEIGHTS) fits = end <= lre_object.weights.bytes;
    else if (buffer->kind == LRE_BUFFER_INPUT) fits = buffer->index < plan->n_inputs && buffer->offset == 0;
    else fits = buffer->kind == LRE_BUFFER_OUTPUT && buffer->index < plan->n_outputs && buffer->offset == 0;
    if (!fits) return bad("a buffer beyond its memory", i);
    if (!io && buffer->offset % buffer->alignment != 0) return bad("a buffer's offset is not aligned", i);
  }
  return LRE_OK;
}

static lre_status check_io(const LrePlan* plan, const LreIo* io, uint32_t count, int kind) {
  for (uint32_t i = 0; i < count; ++i) {
    if (io[i].rank < 0 || io[i].rank > LRE_MAX_RANK) return bad("the rank of an input or output", i);
    if (io[i].alignment == 0 || io[i].alignment > 4096 || (io[i].alignment & (io[i].alignment - 1)) != 0)
      return bad("the alignment of an input or output", i);
    if (io[i].buffer >= plan->n_buffers) return bad("the buffer of an input or output", i);
    const LreBuffer* buffer = &plan->buffers[io[i].buffer];
    if (buffer->kind != kind || buffer->index != i || buffer->alignment > io[i].alignment ||
        buffer->bytes != lre_tensor_bytes(io[i].bits, 1, io[i].rank, io[i].shape))
      return bad("the buffer of an input or output does not fit it", i);
  }
  return LRE_OK;
}

static lre_status check_steps(const LrePlan* plan) {
  for (uint32_t i = 0; i < plan->n_steps; ++i) {
    const LreStep* step = &plan->steps[i];
    uint32_t count = (uint32_t)step->n_inputs + step->n_outputs;
    bool copy = step->kind == LRE_STEP_COPY;
    if (!copy && step->kind != LRE_STEP_CALL) return bad("a step of a kind that this engine does not know", i);
    if (copy ? step->n_inputs != 1 || step->n_outputs != 1 : step->fn == NULL) return bad("a step", i);
    for (uint32_t k = 0; k < count; ++k) {
      const LreArg* arg = &step->args[k];
      if (arg->buffer >= plan->n_buffers || arg->ndim < 0) return bad("an argument of step", i);
      const LreBuffer* buffer = &plan->buffers[arg->buffer];
      if (arg->offset + extent(arg) > buffer->bytes) return bad("an argument beyond its buffer in step", i);
      if (k >= step->n_inputs && (buffer->kind == LRE_BUFFER_INPUT || buffer->kind == LRE_BUFFER_WEIGHTS))
        return bad("an input or weight is written by step", i);
      if (copy && !is_compact(arg)) return bad("a copy of a strided tensor, step", i);
    }
    if (copy && extent(&step->args[0]) != extent(&step->args[1])) return bad("a copy between other sizes, step", i);
  }
  return LRE_OK;
}

static char* place(const lre_engine* engine, const LreBuffer* buffer) {
  if (buffer->kind == LRE_BUFFER_ARENA) return engine->arena + buffer->offset;
  if (buffer->kind == LRE_BUFFER_WEIGHTS) return (char*)(uintptr_t)engine->weights + buffer->offset;
  return NULL; /* set by each inference */
}

static void fill_tensor(lre_engine* engine, const LreArg* arg, DLTensor* tensor, int64_t* strides) {
  int64_t compact = 1;
  for (int32_t i = arg->ndim - 1; i >= 0; --i) {
    strides[i] = arg->strides != NULL ? arg->strides[i] : compact;
    compact *= arg->shape[i];
  }
  char* data = place(engine, &engine->plan->buffers[arg->buffer]);
  *tensor = (DLTensor){.data = data != NULL ? data + arg->offset : NULL,
                       .device_type = 1,
                       .ndim = arg->ndim,
                       .code = arg->code,
                       .bits = arg->bits,
                       .lanes = arg->lanes,
                       .shape = (int64_t*)(uintptr_t)arg->shape,
                       .strides = strides};
}

/* Input i has number i, output i has n_inputs + i; -1: not a graph input or output. */
static int64_t io_number(const LrePlan* plan, const LreArg* arg) {
  const LreBuffer* buffer = &plan->buffers[arg->buffer];
  if (buffer->kind == LRE_BUFFER_INPUT) return buffer->index;
  if (buffer->kind == LRE_BUFFER_OUTPUT) return (int64_t)plan->n_inputs + buffer->index;
  return -1;
}

typedef struct Counts {
  size_t args, dims, patches, outputs;
} Counts;

static Counts count(lre_engine* engine) {
  const LrePlan* plan = engine->plan;
  Counts counts = {0, 0, 0, 0};
  for (uint32_t i = 0; i < plan->n_steps; ++i) {
    const LreStep* step = &plan->steps[i];
    if (step->n_outputs > counts.outputs) counts.outputs = step->n_outputs;
    for (int k = 0; k < step->n_inputs + step->n_outputs; ++k) {
      ++counts.args;
      counts.dims += (size_t)step->args[k].ndim;
      int64_t io = io_number(plan, &step->args[k]);
      if (io >= 0) ++counts.patches, ++engine->io[io].n_patches;
    }
  }
  return counts;
}

static bool make_staging(lre_engine* engine) {
  const LrePlan* plan = engine->plan;
  uint32_t n_io = plan->n_inputs + plan->n_outputs;
  for (uint32_t i = 0; i < n_io; ++i) {
    const LreIo* io = i < plan->n_inputs ? &plan->inputs[i] : &plan->outputs[i - plan->n_inputs];
    engine->io[i].bytes = lre_tensor_bytes(io->bits, 1, io->rank, io->shape);
    engine->staging_bytes += (engine->io[i].bytes + 4096 + 4095) & ~(uint64_t)4095;
  }
  if (engine->staging_bytes == 0) return true;
  engine->staging = lre_pages(engine->staging_bytes);
  if (engine->staging == NULL) return false;
  char* at = engine->staging;
  for (uint32_t i = 0; i < n_io; ++i) {
    engine->io[i].staging = at;
    at += (engine->io[i].bytes + 4096 + 4095) & ~(uint64_t)4095;
  }
  return true;
}

static void* table(size_t count, size_t size) { return calloc(count > 0 ? count : 1, size); }

lre_status lre_tables_create(lre_engine* engine) {
  const LrePlan* plan = engine->plan;
  lre_status status = check_buffers(plan);
  if (status == LRE_OK) status = check_io(plan, plan->inputs, plan->n_inputs, LRE_BUFFER_INPUT);
  if (status == LRE_OK) status = check_io(plan, plan->outputs, plan->n_outputs, LRE_BUFFER_OUTPUT);
  if (status == LRE_OK) status = check_steps(plan);
  if (status != LRE_OK) return status;

  engine->io = table(plan->n_inputs + plan->n_outputs, sizeof *engine->io);
  if (engine->io == NULL) return lre_fail(NULL, LRE_ERROR_MEMORY, "out of memory");
  Counts counts = count(engine);
  engine->tensors = table(counts.args, sizeof *engine->tensors);
  engine->args = table(counts.args, sizeof *engine->args);
  engine->strides = table(counts.dims, sizeof *engine->strides);
  engine->patches = table(counts.patches, sizeof *engine->patches);
  engine->steps = table(plan->n_steps, sizeof *engine->steps);
  engine->observed = table(counts.outputs, sizeof *engine->observed);
  if (!engine->tensors || !engine->args || !engine->strides || !engine->patches || !engine->steps ||
      !engine->observed || !make_staging(engine))
    return lre_fail(NULL, LRE_ERROR_MEMORY, "out of memory");

  LrePatch* patch = engine->patches;
  for (uint32_t i = 0; i < plan->n_inputs + plan->n_outputs; ++i) {
    engine->io[i].patches = patch;
    patch += engine->io[i].n_patches;
    engine->io[i].n_patches = 0;
  }
  DLTensor* tensor = engine->tensors;
  TVMFFIAny* any = engine->args;
  int64_t* strides = engine->strides;
  for (uint32_t i = 0; i < plan->n_steps; ++i) {
    const LreStep* step = &plan->steps[i];
    engine->steps[i] = (LreStepState){any, tensor};
    for (int k = 0; k < step->n_inputs + step->n_outputs; ++k, ++tensor, ++any) {
      const LreArg* arg = &step->args[k];
      fill_tensor(engine, arg, tensor, strides);
      strides += arg->ndim;
      any->type_index = LRE_ANY_DLTENSOR;
      any->v_ptr = tensor;
      int64_t number = io_number(plan, arg);
      if (number < 0) continue;
      LreIoState* io = &engine->io[number];
      io->patches[io->n_patches++] = (LrePatch){tensor, arg->offset};
    }
  }
  return LRE_OK;
}

void lre_tables_destroy(lre_engine* engine) {
  lre_pages_free(engine->staging, engine->staging_bytes);
  free(engine->io);
  free(engine->tensors);
  free(engine->args);
  free(engine->strides);
  free(engine->patches);
  free(engine->steps);
  free(engine->observed);
}
