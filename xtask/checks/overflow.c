/* Writes past a heap block: AddressSanitizer has to stop this program. */

#include <stdlib.h>

int main(void) {
    volatile char *block = malloc(8);
    if (block == NULL) {
        return 0;
    }
    block[8] = 1;
    free((void *)block);
    return 0;
}
