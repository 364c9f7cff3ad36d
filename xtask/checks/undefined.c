/* Overflows a signed integer: UndefinedBehaviorSanitizer must stop it. */
#include <limits.h>

int main(int argc, char **argv) {
    int array[2] = {argc, INT_MAX};
    (void)argv;
    return array[0] + array[1] == 0;
}
