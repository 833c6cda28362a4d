/* The little of TVM's C ABI that a compiled kernel needs, declared by ourselves.
 *
 * Layout-compatible with apache-tvm 0.27 (tvm/runtime/c_backend_api.h, tvm/ffi/c_api.h) and DLPack 1.x,
 * so that neither headers nor libraries of TVM are needed to build an LRE object.
 */
#ifndef LRE_TVM_ABI_H_
#define LRE_TVM_ABI_H_

#include <stdint.h>

/* DLPack's DLDataTypeCode. */
enum { LRE_INT = 0, LRE_UINT = 1, LRE_FLOAT = 2, LRE_BFLOAT = 4, LRE_BOOL = 6 };

/* DLTensor. */
typedef struct DLTensor {
  void* data;
  int32_t device_type; /* 1 = kDLCPU */
  int32_t device_id;
  int32_t ndim;
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides; /* in elements */
  uint64_t byte_offset;
} DLTensor;

/* TVMFFIAny, 16 bytes. type_index 7 = DLTensor*, 0 = None. */
typedef struct TVMFFIAny {
  int32_t type_index;
  uint32_t zero_padding;
  union {
    int64_t v_int64;
    double v_float64;
    void* v_ptr;
  };
} TVMFFIAny;

enum { LRE_ANY_NONE = 0, LRE_ANY_DLTENSOR = 7 };

/* A kernel: `int __tvm_ffi_<symbol>(void* self, const TVMFFIAny* args, int32_t n, TVMFFIAny* ret)`. */
typedef int (*LreKernel)(void* self, const TVMFFIAny* args, int32_t n_args, TVMFFIAny* result);

/* What TVMBackendParallelLaunch hands to the body of a parallel loop. */
typedef struct TVMParallelGroupEnv {
  void* sync_handle;
  int32_t num_task;
} TVMParallelGroupEnv;

typedef int (*FTVMParallelLambda)(int task_id, TVMParallelGroupEnv* env, void* closure);

#endif /* LRE_TVM_ABI_H_ */
