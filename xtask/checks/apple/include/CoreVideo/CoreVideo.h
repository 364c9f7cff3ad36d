/* Stands in for CoreVideo where there is none: the declarations that rmlx_apple.h uses. */

#ifndef STAND_IN_COREVIDEO_H
#define STAND_IN_COREVIDEO_H

#include <stddef.h>
#include <stdint.h>

typedef struct __CVBuffer *CVPixelBufferRef;
typedef int32_t CVReturn;
typedef uint64_t CVPixelBufferLockFlags;
enum { kCVPixelFormatType_32BGRA = 0x42475241 };
enum { kCVPixelBufferLock_ReadOnly = 1 };
enum { kCVReturnSuccess = 0 };

#ifdef __cplusplus
extern "C" {
#endif
uint32_t CVPixelBufferGetPixelFormatType(CVPixelBufferRef buffer);
CVReturn CVPixelBufferLockBaseAddress(CVPixelBufferRef buffer, CVPixelBufferLockFlags flags);
CVReturn CVPixelBufferUnlockBaseAddress(CVPixelBufferRef buffer, CVPixelBufferLockFlags flags);
void *CVPixelBufferGetBaseAddress(CVPixelBufferRef buffer);
size_t CVPixelBufferGetBytesPerRow(CVPixelBufferRef buffer);
size_t CVPixelBufferGetWidth(CVPixelBufferRef buffer);
size_t CVPixelBufferGetHeight(CVPixelBufferRef buffer);
#ifdef __cplusplus
}
#endif

#endif
