/*
 * Asks a model about pictures and sounds, and prints the answer while it is being made:
 *
 *     describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION
 *
 * The answer goes to stdout; at the end, a line of numbers goes to stderr. Build it with
 *
 *     cc describe.c $(pkg-config --cflags --libs rmlx) -o describe
 */

#include <rmlx.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Prints what failed, and gives the error back. Always false, for `return failed(...)`. */
static bool failed(const char *what, rmlx_error *error) {
    fprintf(stderr, "describe: %s: %s\n", what, rmlx_error_message(error));
    rmlx_error_release(error);
    return false;
}

/* Reads a whole file; the caller frees it. NULL if that is not possible. */
static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    char *bytes = NULL;
    size_t used = 0, room = 0;
    for (;;) {
        if (used == room) {
            room = room == 0 ? 65536 : room * 2;
            char *larger = realloc(bytes, room);
            if (larger == NULL)
                break;
            bytes = larger;
        }
        size_t got = fread(bytes + used, 1, room - used, file);
        if (got == 0)
            break;
        used += got;
    }
    bool complete = used < room && feof(file) && !ferror(file);
    fclose(file);
    if (!complete) {
        free(bytes);
        return NULL;
    }
    *size = used;
    return bytes;
}

/* Adds the picture (`kind` 'i') or sound ('a') in a file to the message that the prompt is at. */
static bool add_medium(rmlx_prompt *prompt, char kind, const char *path) {
    size_t size = 0;
    void *bytes = read_file(path, &size);
    if (bytes == NULL) {
        fprintf(stderr, "describe: cannot read %s\n", path);
        return false;
    }
    rmlx_media *media = NULL;
    rmlx_error *error = NULL;
    rmlx_status status = kind == 'i' ? rmlx_image_from_encoded(bytes, size, NULL, &media, &error)
                                     : rmlx_audio_from_encoded(bytes, size, NULL, &media, &error);
    free(bytes);
    if (status != RMLX_OK)
        return failed(path, error);
    status = rmlx_prompt_add_media(prompt, media, &error);
    rmlx_media_release(media); /* the prompt has its own reference */
    return status == RMLX_OK || failed(path, error);
}

/* Makes one message of the user out of the arguments after the snapshot: media first, then the question. */
static bool ask(rmlx_prompt *prompt, int count, char **arguments) {
    rmlx_error *error = NULL;
    if (rmlx_prompt_begin_message(prompt, "user", &error) != RMLX_OK)
        return failed("prompt", error);
    for (int i = 0; i + 1 < count; i += 2)
        if (!add_medium(prompt, arguments[i][1], arguments[i + 1]))
            return false;
    const char *question = arguments[count - 1];
    if (rmlx_prompt_add_text(prompt, question, strlen(question), &error) != RMLX_OK)
        return failed("question", error);
    return true;
}

/* Steps the answer out. */
static bool print_answer(rmlx_session *session) {
    rmlx_error *error = NULL;
    bool well = true;
    for (bool done = false; !done;) {
        rmlx_event *event = NULL;
        if (rmlx_session_step(session, &event, &error) != RMLX_OK)
            return failed("step", error);
        size_t len = 0;
        const char *text = rmlx_event_text(event, &len);
        const rmlx_event_type kind = rmlx_event_kind(event);
        /* The last event may bring what was held back. */
        if (kind == RMLX_EVENT_TEXT || kind == RMLX_EVENT_FINISH) {
            fwrite(text, 1, len, stdout);
            fflush(stdout);
        }
        if (kind == RMLX_EVENT_FINISH) {
            done = true;
            const rmlx_error *wrong = rmlx_event_error(event);
            if (wrong != NULL) {
                fprintf(stderr, "\ndescribe: %s\n", rmlx_error_message(wrong));
                well = false;
            }
        }
        rmlx_event_release(event);
    }
    putchar('\n');
    return well;
}

static void print_stats(rmlx_session *session) {
    rmlx_stats stats = {.struct_size = sizeof stats};
    if (rmlx_session_stats(session, &stats, NULL) != RMLX_OK)
        return;
    double decoded = stats.generated_tokens > 1 ? (double)(stats.generated_tokens - 1) : 0.0;
    fprintf(stderr, "%llu prompt tokens (%llu of media), first token after %.0f ms, %llu tokens at %.1f a second\n",
            (unsigned long long)stats.prompt_tokens, (unsigned long long)stats.media_tokens, stats.first_token_ms,
            (unsigned long long)stats.generated_tokens,
            stats.decode_ms > 0 ? decoded * 1000 / stats.decode_ms : 0.0);
}

/* Submits the prompt to a new session, and prints what comes of it. */
static bool answer(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = NULL;
    rmlx_error *error = NULL;
    if (rmlx_session_new(model, NULL, &session, &error) != RMLX_OK)
        return failed("session", error);

    rmlx_generation_options *options = rmlx_generation_options_new();
    rmlx_status status = rmlx_generation_options_set_max_tokens(options, 256, &error);
    if (status == RMLX_OK)
        status = rmlx_session_submit(session, prompt, options, &error);
    rmlx_generation_options_release(options);

    bool well = status == RMLX_OK ? print_answer(session) : failed("submit", error);
    if (well)
        print_stats(session);
    rmlx_session_release(session);
    return well;
}

/* Whether the arguments after the snapshot are pairs of -i or -a and a file, and a question. */
static bool usable(int count, char **arguments) {
    if (count < 1 || count % 2 == 0)
        return false;
    for (int i = 0; i + 1 < count; i += 2)
        if (strcmp(arguments[i], "-i") != 0 && strcmp(arguments[i], "-a") != 0)
            return false;
    return true;
}

int main(int argc, char **argv) {
    if (!usable(argc - 2, argv + 2)) {
        fprintf(stderr, "usage: describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION\n");
        return 2;
    }
    rmlx_prompt *prompt = rmlx_prompt_new();
    rmlx_model *model = NULL;
    rmlx_error *error = NULL;
    bool well = ask(prompt, argc - 2, argv + 2);
    if (well && rmlx_model_load(argv[1], NULL, &model, &error) != RMLX_OK)
        well = failed(argv[1], error);
    if (well)
        well = answer(model, prompt);
    rmlx_model_release(model);
    rmlx_prompt_release(prompt);
    return well ? EXIT_SUCCESS : EXIT_FAILURE;
}
