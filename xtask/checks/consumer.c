/* A program outside this tree, as a user of a distribution builds it. */

#include <rmlx.h>
#include <stdio.h>

int main(void) {
    rmlx_model *model = NULL;
    rmlx_error *error = NULL;
    rmlx_status status = rmlx_model_load("there is no such folder", NULL, &model, &error);
    if (status == RMLX_OK || model != NULL || error == NULL) {
        fprintf(stderr, "a folder that does not exist was loaded\n");
        return 1;
    }
    printf("rmlx %s: %s\n", rmlx_version(), rmlx_error_message(error));
    rmlx_error_release(error);
    return 0;
}
