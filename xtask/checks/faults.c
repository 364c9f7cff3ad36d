/*
 * The system's calls that read, write and start threads fail, one after the other, and rmlx answers with an error that
 * says so, or does what was asked; sessions go on, and nothing is left behind.
 *
 *     faults FOLDER      FOLDER is an empty one to write in
 *
 * The functions below stand in the place of the C library's for the whole process. Only calls on the files that are
 * watched count.
 */

#include "../../tests/c/check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

typedef enum { READ, OPEN, WRITE, SYNC, RENAME, THREAD } call;

/* What fails, and how: the call of that number. With none, calls are counted. */
static struct {
    call call;
    long number;
    int with; /* an errno; or 0: the call is interrupted, or does less than was asked, and has to be made again */
} fault;

#define FILES 1024
static atomic_bool watched[FILES];
static const char *watch;
static atomic_long calls;

static bool is_hit(call call) {
    return watch != NULL && call == fault.call && atomic_fetch_add(&calls, 1) + 1 == fault.number;
}

static bool is_watched(int file) {
    return file >= 0 && file < FILES && atomic_load(&watched[file]);
}

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    CHECK(function != NULL);
    return function;
}

static int opened(int file, const char *path) {
    if (file >= 0 && file < FILES)
        atomic_store(&watched[file], watch != NULL && strstr(path, watch) != NULL);
    return file;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (watch != NULL && strstr(path, watch) != NULL && is_hit(OPEN)) {
        errno = fault.with;
        return -1;
    }
    return opened(REAL(open64)(path, flags, mode), path);
}

/* Every other time it is interrupted, else it does a little of what was asked. */
static bool falls_short(ssize_t *result, size_t *size) {
    if (fault.with != 0) {
        errno = fault.with;
        *result = -1;
        return true;
    }
    static atomic_int times;
    if (atomic_fetch_add(&times, 1) % 2 == 0) {
        errno = EINTR;
        *result = -1;
        return true;
    }
    *size = *size > 3 ? 3 : *size;
    return false;
}

ssize_t read(int file, void *to, size_t size) {
    ssize_t result;
    if (is_watched(file) && is_hit(READ) && falls_short(&result, &size))
        return result;
    return REAL(read)(file, to, size);
}

ssize_t pread64(int file, void *to, size_t size, off64_t offset) {
    ssize_t result;
    if (is_watched(file) && is_hit(READ) && falls_short(&result, &size))
        return result;
    return REAL(pread64)(file, to, size, offset);
}

ssize_t write(int file, const void *from, size_t size) {
    ssize_t result;
    if (is_watched(file) && is_hit(WRITE) && falls_short(&result, &size))
        return result;
    return REAL(write)(file, from, size);
}

ssize_t pwrite64(int file, const void *from, size_t size, off64_t offset) {
    ssize_t result;
    if (is_watched(file) && is_hit(WRITE) && falls_short(&result, &size))
        return result;
    return REAL(pwrite64)(file, from, size, offset);
}

int fsync(int file) {
    if (is_watched(file) && is_hit(SYNC)) {
        errno = fault.with;
        return -1;
    }
    return REAL(fsync)(file);
}

int rename(const char *from, const char *to) {
    if (is_hit(RENAME)) {
        errno = fault.with;
        return -1;
    }
    return REAL(rename)(from, to);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    if (is_hit(THREAD))
        return fault.with;
    return REAL(pthread_create)(thread, attributes, start, argument);
}

/* What a trial works with. */
typedef struct {
    const char *path;
    const char *watch; /* what the paths of the files have in them on which calls fail */
    rmlx_model *model;
    rmlx_session *session;
    answer before; /* the session's answer to the question, before anything failed */
} state;

typedef rmlx_status (*operation)(state *, rmlx_error **);

static void ask(rmlx_session *session, answer *to) {
    rmlx_prompt *prompt = text_prompt("What is the capital of France?");
    rmlx_generation_options *options = greedy(3);
    generate(session, prompt, options, to);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
}

static void answers_as_before(rmlx_session *session, const state *state) {
    answer now;
    ask(session, &now);
    CHECK(now.count == state->before.count);
    CHECK(memcmp(now.tokens, state->before.tokens, now.count * sizeof now.tokens[0]) == 0);
}

static rmlx_status load(state *state, rmlx_error **error) {
    rmlx_model *model = NULL;
    rmlx_status status = rmlx_model_load(state->path, NULL, &model, error);
    const char *was = watch;
    watch = NULL;
    if (status == RMLX_OK) {
        rmlx_session *session = new_session(model);
        answers_as_before(session, state);
        rmlx_session_release(session);
    }
    watch = was;
    rmlx_model_release(model);
    return status;
}

static rmlx_status inspect(state *state, rmlx_error **error) {
    char *json = NULL;
    rmlx_status status = rmlx_model_inspect(state->path, &json, error);
    rmlx_string_release(json);
    return status;
}

static rmlx_status estimate(state *state, rmlx_error **error) {
    char *json = NULL;
    rmlx_status status = rmlx_model_estimate(state->path, NULL, 0, &json, error);
    rmlx_string_release(json);
    return status;
}

static rmlx_status image(state *state, rmlx_error **error) {
    rmlx_media *media = NULL;
    rmlx_status status = rmlx_image_from_file(state->path, NULL, &media, error);
    rmlx_media_release(media);
    return status;
}

static rmlx_status audio(state *state, rmlx_error **error) {
    rmlx_media *media = NULL;
    rmlx_status status = rmlx_audio_from_file(state->path, NULL, &media, error);
    rmlx_media_release(media);
    return status;
}

static rmlx_status save(state *state, rmlx_error **error) {
    return rmlx_session_save(state->session, state->path, error);
}

static rmlx_status load_saved(state *state, rmlx_error **error) {
    rmlx_session *session = NULL;
    rmlx_status status = rmlx_session_load(state->model, NULL, state->path, &session, error);
    const char *was = watch;
    watch = NULL;
    if (status == RMLX_OK)
        answers_as_before(session, state);
    watch = was;
    rmlx_session_release(session);
    return status;
}

static long run(operation operation, state *state, call call, long number, int with, rmlx_status *status,
                rmlx_error **error) {
    fault.call = call, fault.number = number, fault.with = with;
    atomic_store(&calls, 0);
    watch = state->watch;
    *status = operation(state, error);
    watch = NULL;
    return atomic_load(&calls);
}

/* Lets each of the calls fail in turn, or as many as `most` of them, spread over all. */
static void each(const char *name, operation operation, state *state, call call, int with, long most) {
    rmlx_status status;
    rmlx_error *error = NULL;
    long count = run(operation, state, call, 0, with, &status, &error);
    if (status != RMLX_OK)
        fprintf(stderr, "%s: %s\n", name, rmlx_error_message(error));
    CHECK(status == RMLX_OK && error == NULL);
    /* Threads are started once and stay. */
    CHECK(count > 0 || call == THREAD);
    long step = count > most ? (count + most - 1) / most : 1, failed = 0;
    for (long number = 1; number <= count; number += step) {
        run(operation, state, call, number, with, &status, &error);
        const char *message = rmlx_error_message(error);
        bool says = call == THREAD ? status == RMLX_ERROR_OUT_OF_MEMORY : strstr(message, strerror(with)) != NULL;
        bool ok = with == 0 ? status == RMLX_OK : status != RMLX_OK && says;
        if (!ok || (error != NULL) != (status != RMLX_OK) || status == RMLX_ERROR_PANIC)
            fprintf(stderr, "%s: call %ld of %ld gives %s (%s)\n", name, number, count, rmlx_status_name(status), message);
        CHECK(ok && (error != NULL) == (status != RMLX_OK) && status != RMLX_ERROR_PANIC);
        rmlx_error_release(error);
        error = NULL;
        failed++;
    }
    answers_as_before(state->session, state);
    printf("%s: %ld of %ld calls\n", name, failed, count);
}

static long files_in(const char *folder) {
    DIR *open = opendir(folder);
    CHECK(open != NULL);
    long count = 0;
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(open);
    return count;
}

static void reading(const char *name, operation operation, state *state, const char *path) {
    char title[64];
    state->path = state->watch = path;
    const struct { const char *what; call call; int with; } faults[] = {
        {"an error of the disk", READ, EIO}, {"interrupted and short reads", READ, 0}, {"no more files", OPEN, EMFILE}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        snprintf(title, sizeof title, "%s, %s", name, faults[i].what);
        each(title, operation, state, faults[i].call, faults[i].with, 400);
    }
}

static void saving(state *state, const char *folder, const char *path) {
    state->path = path;
    state->watch = folder; /* where the file is that takes its place */
    CHECK_OK(rmlx_session_save(state->session, path, &error));
    CHECK(files_in(folder) == 1);
    each("saving, a full disk", save, state, WRITE, ENOSPC, 40);
    CHECK(files_in(folder) == 1);
    each("saving, interrupted and short writes", save, state, WRITE, 0, 40);
    each("saving, a disk that does not keep it", save, state, SYNC, EIO, 1);
    each("saving, a name that cannot be taken", save, state, RENAME, EACCES, 1);
    CHECK(files_in(folder) == 1);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    char *snapshot = fixture("unified-bf16-mlx"), *square = fixture("media/square.png"), *tone = fixture("media/chirp.wav");
    char saved[4096];
    snprintf(saved, sizeof saved, "%s/session", argv[1]);
    state state = {.model = load_model()};
    state.session = new_session(state.model);
    ask(state.session, &state.before);

    reading("load", load, &state, snapshot);
    reading("inspect", inspect, &state, snapshot);
    reading("estimate", estimate, &state, snapshot);
    reading("image", image, &state, square);
    reading("audio", audio, &state, tone);
    state.path = state.watch = snapshot;
    each("load, no more threads", load, &state, THREAD, EAGAIN, 40);
    saving(&state, argv[1], saved);
    reading("load a session", load_saved, &state, saved);

    rmlx_session_release(state.session);
    rmlx_model_release(state.model);
    free(snapshot), free(square), free(tone);
    return 0;
}
