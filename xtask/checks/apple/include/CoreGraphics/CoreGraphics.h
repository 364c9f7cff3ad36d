/* Stands in for CoreGraphics where there is none: the declarations that rmlx_apple.h uses. */

#ifndef STAND_IN_COREGRAPHICS_H
#define STAND_IN_COREGRAPHICS_H

#include <stddef.h>
#include <stdint.h>

typedef double CGFloat;
typedef struct CGRect {
    struct {
        CGFloat x, y;
    } origin;
    struct {
        CGFloat width, height;
    } size;
} CGRect;
typedef const struct __CFString *CFStringRef;
typedef struct CGImage *CGImageRef;
typedef struct CGColorSpace *CGColorSpaceRef;
typedef struct CGContext *CGContextRef;
typedef uint32_t CGImageAlphaInfo;
enum { kCGImageAlphaNoneSkipLast = 5, kCGBitmapByteOrder32Big = 4 << 12 };

#ifdef __cplusplus
extern "C" {
#endif
extern const CFStringRef kCGColorSpaceSRGB;
size_t CGImageGetWidth(CGImageRef image);
size_t CGImageGetHeight(CGImageRef image);
CGColorSpaceRef CGColorSpaceCreateWithName(CFStringRef name);
void CGColorSpaceRelease(CGColorSpaceRef space);
CGContextRef CGBitmapContextCreate(void *data, size_t width, size_t height, size_t bitsPerComponent, size_t bytesPerRow,
                                   CGColorSpaceRef space, uint32_t bitmapInfo);
void CGContextRelease(CGContextRef context);
void CGContextDrawImage(CGContextRef context, CGRect rect, CGImageRef image);
CGRect CGRectMake(CGFloat x, CGFloat y, CGFloat width, CGFloat height);
#ifdef __cplusplus
}
#endif

#endif
