/* Sessions in files and in memory of the host. */

#include "check.h"

static uint64_t stat_reused(rmlx_session *session, uint64_t *encoded) {
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(session, &stats, &error));
    *encoded = stats.encoded_media;
    return stats.reused_tokens;
}

/* A conversation about a picture that goes on in a loaded session as in the one that was saved. */
static void a_conversation_goes_on(const rmlx_model *model, rmlx_session *session, rmlx_session *loaded,
                                   rmlx_prompt *prompt) {
    rmlx_generation_options *options = greedy(8);
    answer old, new;
    uint64_t encoded = 9;
    add_message(prompt, "assistant", "A shape.");
    add_message(prompt, "user", "Which one?");
    generate(session, prompt, options, &old);
    generate(loaded, prompt, options, &new);
    CHECK(old.count == 8 && memcmp(old.tokens, new.tokens, 8 * sizeof old.tokens[0]) == 0);
    CHECK(stat_reused(loaded, &encoded) > 10 && encoded == 0);
    rmlx_session *fresh = new_session(model);
    generate(fresh, prompt, options, &new);
    CHECK(memcmp(old.tokens, new.tokens, 8 * sizeof old.tokens[0]) == 0);
    rmlx_session_release(fresh);
    rmlx_generation_options_release(options);
}

int main(void) {
    CHECK(rmlx_has_feature("session_save"));
    rmlx_load_options *load = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_media_cache(load, 0, &error));
    char *folder = fixture("unified-bf16-mlx");
    rmlx_model *model = NULL;
    CHECK_OK(rmlx_model_load(folder, load, &model, &error));
    free(folder);
    rmlx_load_options_release(load);

    rmlx_session *session = new_session(model), *loaded = NULL;
    rmlx_prompt *prompt = text_prompt("What is this?");
    rmlx_media *image = load_image("media/square.png");
    CHECK_OK(rmlx_prompt_add_media(prompt, image, &error));
    rmlx_media_release(image);
    rmlx_generation_options *options = greedy(5);
    answer a;
    generate(session, prompt, options, &a);
    rmlx_generation_options_release(options);

    /* In memory: the size first, too little room, and all of it. */
    size_t size = 0, count = 0;
    CHECK_OK(rmlx_session_save_to_buffer(session, NULL, 0, &size, &error));
    CHECK(size > 1000);
    uint8_t *bytes = calloc(1, size);
    CHECK(bytes != NULL);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "has room for",
                rmlx_session_save_to_buffer(session, bytes, size - 1, &count, &error));
    CHECK(count == size && bytes[0] == 0);
    CHECK_OK(rmlx_session_save_to_buffer(session, bytes, size, &count, &error));
    CHECK(count == size && memcmp(bytes, "rmlxsess", 8) == 0);
    CHECK_OK(rmlx_session_load_from_buffer(model, NULL, bytes, size, &loaded, &error));
    rmlx_prompt *again = text_prompt("What is this?");
    image = load_image("media/square.png");
    CHECK_OK(rmlx_prompt_add_media(again, image, &error));
    rmlx_media_release(image);

    /* In a file, which holds the same. */
    const char *path = "rmlx-test-saving.tmp";
    CHECK_OK(rmlx_session_save(session, path, &error));
    FILE *file = fopen(path, "rb");
    uint8_t *read = malloc(size + 1);
    CHECK(file != NULL && read != NULL && fread(read, 1, size + 1, file) == size && memcmp(read, bytes, size) == 0);
    fclose(file);
    rmlx_session *from_file = NULL;
    CHECK_OK(rmlx_session_load(model, NULL, path, &from_file, &error));
    CHECK(remove(path) == 0);
    a_conversation_goes_on(model, session, loaded, prompt);
    a_conversation_goes_on(model, session, from_file, again);

    /* Damaged, and nothing of that kind: the session that was there before is not touched. */
    rmlx_session *none = NULL;
    bytes[size / 2] ^= 4;
    CHECK_FAILS(RMLX_ERROR_INVALID_SAVE, "checksum", rmlx_session_load_from_buffer(model, NULL, bytes, size, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_SAVE, "truncated", rmlx_session_load_from_buffer(model, NULL, bytes, size - 1, &none, &error));
    CHECK_FAILS(RMLX_ERROR_NOT_FOUND, path, rmlx_session_load(model, NULL, path, &none, &error));
    CHECK_FAILS(RMLX_ERROR_NOT_FOUND, "no/folder", rmlx_session_save(session, "no/folder/file", &error));
    CHECK(none == NULL);
    check_usable(session);

    free(read);
    free(bytes);
    rmlx_prompt_release(again);
    rmlx_prompt_release(prompt);
    rmlx_session_release(from_file);
    rmlx_session_release(loaded);
    rmlx_session_release(session);
    rmlx_model_release(model);
    return 0;
}
