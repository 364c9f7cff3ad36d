/*
 * What the C tests share: checks that end the program, files, and the fixtures' tiny model.
 *
 * A test is a program that returns 0 when all is well. Fixtures are in the folder that RMLX_FIXTURES names, else in
 * tests/fixtures.
 */

#ifndef RMLX_TESTS_CHECK_H
#define RMLX_TESTS_CHECK_H

#include <rmlx.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with a message unless the condition holds. */
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* Runs a call, which names its error argument `error`, and checks that it succeeds and writes no error. */
#define CHECK_OK(call) \
    do { \
        rmlx_error *error = NULL; \
        rmlx_status status_of_call = (call); \
        check_status(__FILE__, __LINE__, #call, status_of_call, RMLX_OK, error, NULL); \
    } while (0)

/* Runs a call, which names its error argument `error`, and checks that it fails in this way: with an error object of
 * the same code whose message has `part` in it. */
#define CHECK_FAILS(expected, part, call) \
    do { \
        rmlx_error *error = NULL; \
        rmlx_status status_of_call = (call); \
        check_status(__FILE__, __LINE__, #call, status_of_call, (expected), error, (part)); \
    } while (0)

static inline void check_status(const char *file, int line, const char *call, rmlx_status status, rmlx_status expected,
                                rmlx_error *error, const char *part) {
    const char *message = rmlx_error_message(error);
    bool as_expected = status == expected && (error != NULL) == (expected != RMLX_OK) && rmlx_error_code(error) == expected;
    if (!as_expected || (part != NULL && strstr(message, part) == NULL)) {
        fprintf(stderr, "%s:%d: %s\n  gives %s (%s), expected %s with \"%s\"\n", file, line, call,
                rmlx_status_name(status), message, rmlx_status_name(expected), part == NULL ? "" : part);
        exit(1);
    }
    rmlx_error_release(error);
}

/* The path of a fixture; the caller frees it. */
static inline char *fixture(const char *name) {
    const char *folder = getenv("RMLX_FIXTURES");
    folder = folder == NULL ? "tests/fixtures" : folder;
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    CHECK(path != NULL);
    snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* The bytes of a fixture; the caller frees them. */
static inline unsigned char *read_fixture(const char *name, size_t *size) {
    char *path = fixture(name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fprintf(stderr, "cannot open %s\n", path);
    CHECK(file != NULL);
    free(path);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    long end = ftell(file);
    CHECK(end > 0 && fseek(file, 0, SEEK_SET) == 0);
    unsigned char *bytes = malloc((size_t)end);
    CHECK(bytes != NULL && fread(bytes, 1, (size_t)end, file) == (size_t)end);
    fclose(file);
    *size = (size_t)end;
    return bytes;
}

static inline rmlx_model *load_model(void) {
    char *path = fixture("unified-bf16-mlx");
    rmlx_model *model = NULL;
    CHECK_OK(rmlx_model_load(path, NULL, &model, &error));
    CHECK(model != NULL);
    free(path);
    return model;
}

static inline rmlx_session *new_session(const rmlx_model *model) {
    rmlx_session *session = NULL;
    CHECK_OK(rmlx_session_new(model, NULL, &session, &error));
    CHECK(session != NULL);
    return session;
}

static inline rmlx_media *load_image(const char *name) {
    size_t size = 0;
    unsigned char *bytes = read_fixture(name, &size);
    rmlx_media *media = NULL;
    CHECK_OK(rmlx_image_from_encoded(bytes, size, NULL, &media, &error));
    free(bytes);
    return media;
}

static inline rmlx_media *load_audio(const char *name) {
    size_t size = 0;
    unsigned char *bytes = read_fixture(name, &size);
    rmlx_media *media = NULL;
    CHECK_OK(rmlx_audio_from_encoded(bytes, size, NULL, &media, &error));
    free(bytes);
    return media;
}

static inline void add_message(rmlx_prompt *prompt, const char *role, const char *text) {
    CHECK_OK(rmlx_prompt_begin_message(prompt, role, &error));
    CHECK_OK(rmlx_prompt_add_text(prompt, text, strlen(text), &error));
}

/* A conversation of one message of the user. */
static inline rmlx_prompt *text_prompt(const char *text) {
    rmlx_prompt *prompt = rmlx_prompt_new();
    CHECK(prompt != NULL);
    add_message(prompt, "user", text);
    return prompt;
}

/* Greedy, so many tokens, whatever the model says. */
static inline rmlx_generation_options *greedy(size_t max_tokens) {
    rmlx_generation_options *options = rmlx_generation_options_new();
    CHECK(options != NULL);
    CHECK_OK(rmlx_generation_options_set_temperature(options, 0, &error));
    CHECK_OK(rmlx_generation_options_set_max_tokens(options, max_tokens, &error));
    CHECK_OK(rmlx_generation_options_set_ignore_eos(options, true, &error));
    return options;
}

/* What an answer came to. */
typedef struct {
    uint32_t tokens[512];
    size_t count;
    char text[8192];
    size_t text_len;
    size_t progress_events;
    rmlx_finish_reason reason;
} answer;

/* Steps up to the FINISH event, checking what holds for every event. */
static inline void step_to_finish(rmlx_session *session, answer *to) {
    memset(to, 0, sizeof *to);
    for (;;) {
        rmlx_event *event = NULL;
        CHECK_OK(rmlx_session_step(session, &event, &error));
        CHECK(event != NULL);
        rmlx_event_type kind = rmlx_event_kind(event);
        size_t len = 0;
        const char *text = rmlx_event_text(event, &len);
        CHECK(text != NULL && text[len] == '\0' && to->text_len + len < sizeof to->text);
        memcpy(to->text + to->text_len, text, len);
        to->text_len += len;
        uint32_t token = 0;
        bool has_token = rmlx_event_token(event, &token);
        CHECK(has_token == (kind != RMLX_EVENT_PROGRESS && kind != RMLX_EVENT_FINISH));
        if (has_token) {
            CHECK(to->count < sizeof to->tokens / sizeof to->tokens[0]);
            to->tokens[to->count++] = token;
        }
        size_t done = 0, total = 0;
        bool has_progress = rmlx_event_progress(event, &done, &total);
        CHECK(has_progress == (kind == RMLX_EVENT_PROGRESS) && done <= total);
        to->progress_events += has_progress;
        to->reason = rmlx_event_finish_reason(event);
        CHECK((to->reason != RMLX_FINISH_NONE) == (kind == RMLX_EVENT_FINISH));
        CHECK((rmlx_event_error(event) != NULL) == (to->reason == RMLX_FINISH_ERROR));
        rmlx_event_release(event);
        if (kind == RMLX_EVENT_FINISH)
            break;
    }
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "nothing to step", rmlx_session_step(session, &(rmlx_event *){NULL}, &error));
}

/* Submits and steps up to the FINISH event. */
static inline void generate(rmlx_session *session, const rmlx_prompt *prompt, const rmlx_generation_options *options,
                            answer *to) {
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    step_to_finish(session, to);
}

/* Submits and steps a few tokens, to see that a session works. */
static inline void check_usable(rmlx_session *session) {
    rmlx_prompt *prompt = text_prompt("Are you there?");
    rmlx_generation_options *options = greedy(3);
    answer a;
    generate(session, prompt, options, &a);
    CHECK(a.reason == RMLX_FINISH_MAX_TOKENS && a.count == 3);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

#endif
