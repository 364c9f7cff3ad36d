/* Calls what rmlx_apple.h has, so that a compiler looks at all of it. */

#include <rmlx_apple.h>

int main(void) {
    rmlx_media *media = NULL;
    return rmlx_image_from_cgimage(NULL, &media, NULL) == RMLX_OK ||
           rmlx_image_from_cvpixelbuffer(NULL, &media, NULL) == RMLX_OK;
}
