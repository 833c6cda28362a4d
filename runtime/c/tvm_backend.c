/* The functions that TVM's kernels call. They find their engine through a thread-local. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

__thread LreThread lre_thread;

int TVMBackendParallelLaunch(FTVMParallelLambda fn, void* closure, int n_tasks);
int TVMBackendParallelBarrier(int task, TVMParallelGroupEnv* env);
void* TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int code, int bits);
int TVMBackendFreeWorkspace(int device_type, int device_id, void* block);
int TVMFFIEnvModRegisterSystemLibSymbol(const char* name, void* symbol);
void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message);
void TVMFFIErrorSetRaisedFromCStrParts(const char* kind, const char** parts, int32_t n_parts);

int TVMBackendParallelLaunch(FTVMParallelLambda fn, void* closure, int n_tasks) {
  return lre_pool_launch(lre_thread.engine, fn, closure, n_tasks);
}

int TVMBackendParallelBarrier(int task, TVMParallelGroupEnv* env) {
  (void)task;
  return lre_pool_barrier(env);
}

void* TVMBackendAllocWorkspace(int device_type, int device_id, uint64_t bytes, int code, int bits) {
  (void)device_type, (void)device_id, (void)code, (void)bits;
  void* block = lre_workspace_push(lre_thread.workspace, bytes);
  if (block == NULL) TVMFFIErrorSetRaisedFromCStr("MemoryError", "no memory for a workspace");
  return block;
}

int TVMBackendFreeWorkspace(int device_type, int device_id, void* block) {
  (void)device_type, (void)device_id;
  lre_workspace_pop(lre_thread.workspace, block);
  return 0;
}

/* Called by every kernel object's constructor; our plan links to the kernels directly. */
int TVMFFIEnvModRegisterSystemLibSymbol(const char* name, void* symbol) {
  (void)name, (void)symbol;
  return 0;
}

void TVMFFIErrorSetRaisedFromCStr(const char* kind, const char* message) {
  TVMFFIErrorSetRaisedFromCStrParts(kind, &message, 1);
}

void TVMFFIErrorSetRaisedFromCStrParts(const char* kind, const char** parts, int32_t n_parts) {
  lre_engine* engine = lre_thread.engine;
  /* Of several threads that fail at once, the first one's text is kept. */
  if (engine == NULL || atomic_exchange(&engine->kernel_error, 1) != 0) return;
  size_t length = (size_t)snprintf(engine->error, LRE_ERROR_BYTES, "%s: ", kind != NULL ? kind : "error");
  for (int32_t i = 0; i < n_parts && length < LRE_ERROR_BYTES; ++i) {
    if (parts[i] == NULL) continue;
    length += (size_t)snprintf(engine->error + length, LRE_ERROR_BYTES - length, "%s", parts[i]);
  }
}

int64_t lre_fault(int64_t code, int64_t value) {
  lre_engine* engine = lre_thread.engine;
  if (engine == NULL) return 0;
  int none = 0;
  int fault = code == LRE_FAULT_INDEX || code == LRE_FAULT_DIVISION ? (int)code : LRE_FAULT_OTHER;
  if (atomic_compare_exchange_strong(&engine->fault, &none, fault)) atomic_store(&engine->fault_value, value);
  return 0;
}
