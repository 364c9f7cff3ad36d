/*
 * rmlx for Apple's platforms: media from the system's own image types. Inline functions over rmlx.h, for C, C++ and
 * Objective-C. Link with CoreGraphics and CoreVideo.
 *
 * Ownership, threads and errors are those of rmlx.h: `out` gets a reference for you on success, and is not written
 * otherwise; what goes in is copied.
 */

#ifndef RMLX_APPLE_H
#define RMLX_APPLE_H

#include <CoreGraphics/CoreGraphics.h>
#include <CoreVideo/CoreVideo.h>
#include <stdlib.h>
#include <string.h>

#include "rmlx.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes an image of a CGImage, which is drawn in sRGB; transparent parts are shown on white. The image is taken as it is
 * stored: turn one whose orientation is not up before.
 *
 * Errors: INVALID_ARGUMENT (`image` is NULL); INVALID_MEDIA (no pixel, or too many); OUT_OF_MEMORY.
 */
static inline rmlx_status rmlx_image_from_cgimage(CGImageRef image, rmlx_media **out, rmlx_error **error) {
    rmlx_pixels pixels;
    memset(&pixels, 0, sizeof pixels);
    pixels.struct_size = sizeof pixels;
    pixels.format = RMLX_PIXELS_RGBA8;
    /* Whatever cannot be drawn goes to rmlx as it is, which then says what is wrong with it. */
    unsigned char *bytes = NULL;
    if (image != NULL) {
        const size_t width = CGImageGetWidth(image), height = CGImageGetHeight(image);
        if (width > 0 && height > 0 && width <= 65535 && height <= 65535) {
            pixels.width = (uint32_t)width;
            pixels.height = (uint32_t)height;
            pixels.size = 4 * width * height;
            bytes = (unsigned char *)malloc(pixels.size);
        }
    }
    if (bytes != NULL) {
        memset(bytes, 255, pixels.size);
        CGColorSpaceRef space = CGColorSpaceCreateWithName(kCGColorSpaceSRGB);
        CGContextRef context =
            CGBitmapContextCreate(bytes, pixels.width, pixels.height, 8, 4 * (size_t)pixels.width, space,
                                  (uint32_t)kCGImageAlphaNoneSkipLast | (uint32_t)kCGBitmapByteOrder32Big);
        if (context != NULL) {
            CGContextDrawImage(context, CGRectMake(0, 0, pixels.width, pixels.height), image);
            pixels.data = bytes;
        }
        CGContextRelease(context);
        CGColorSpaceRelease(space);
    }
    rmlx_status status = rmlx_image_from_pixels(&pixels, out, error);
    free(bytes);
    return status;
}

/*
 * Makes an image of a frame in the format kCVPixelFormatType_32BGRA, which a camera or a video delivers if it is asked to.
 *
 * Errors: INVALID_ARGUMENT (`buffer` is NULL, of another format, or cannot be locked); INVALID_MEDIA (no pixel, or too
 * many); OUT_OF_MEMORY.
 */
static inline rmlx_status rmlx_image_from_cvpixelbuffer(CVPixelBufferRef buffer, rmlx_media **out, rmlx_error **error) {
    rmlx_pixels pixels;
    memset(&pixels, 0, sizeof pixels);
    pixels.struct_size = sizeof pixels;
    /* 0 is no format, and rmlx says so. */
    if (buffer != NULL && CVPixelBufferGetPixelFormatType(buffer) == kCVPixelFormatType_32BGRA)
        pixels.format = RMLX_PIXELS_BGRA8;
    const bool locked = pixels.format != 0 &&
                        CVPixelBufferLockBaseAddress(buffer, kCVPixelBufferLock_ReadOnly) == kCVReturnSuccess;
    if (locked) {
        pixels.data = CVPixelBufferGetBaseAddress(buffer);
        pixels.row_stride = CVPixelBufferGetBytesPerRow(buffer);
        pixels.width = (uint32_t)CVPixelBufferGetWidth(buffer);
        pixels.height = (uint32_t)CVPixelBufferGetHeight(buffer);
        pixels.size = pixels.row_stride * pixels.height;
    }
    rmlx_status status = rmlx_image_from_pixels(&pixels, out, error);
    if (locked)
        CVPixelBufferUnlockBaseAddress(buffer, kCVPixelBufferLock_ReadOnly);
    return status;
}

#ifdef __cplusplus
}
#endif

#endif /* RMLX_APPLE_H */
