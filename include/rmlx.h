/*
 * rmlx: multimodal language models on the device
 *
 * Made by `cargo xtask header` from src/ffi; do not edit. A test fails when the two differ.
 *
 *
 * A WHOLE PROGRAM
 *
 * Load a snapshot folder, ask about a picture, and print the answer as it comes. Build it with the flags that
 * `pkg-config --cflags --libs rmlx` gives. examples/c/describe.c is the same with every error handled; here only the
 * load is checked, and what fails after it is harmless, since the functions refuse a NULL that they are then given.
 *
 *     rmlx_model *model = NULL;
 *     rmlx_session *session = NULL;
 *     rmlx_media *image = NULL;
 *     rmlx_error *error = NULL;
 *
 *     if (rmlx_model_load("models/gemma", NULL, &model, &error) != RMLX_OK) {
 *         fprintf(stderr, "%s\n", rmlx_error_message(error));
 *         rmlx_error_release(error);
 *         return 1;
 *     }
 *     rmlx_image_from_encoded(bytes, size, NULL, &image, NULL);
 *
 *     rmlx_prompt *prompt = rmlx_prompt_new();
 *     rmlx_prompt_begin_message(prompt, "user", NULL);
 *     rmlx_prompt_add_media(prompt, image, NULL);
 *     rmlx_prompt_add_text(prompt, question, strlen(question), NULL);
 *
 *     rmlx_session_new(model, NULL, &session, NULL);
 *     rmlx_session_submit(session, prompt, NULL, NULL);
 *     for (bool done = false; !done;) {
 *         rmlx_event *event = NULL;
 *         if (rmlx_session_step(session, &event, NULL) != RMLX_OK)
 *             break;
 *         fputs(rmlx_event_text(event, NULL), stdout);
 *         done = rmlx_event_kind(event) == RMLX_EVENT_FINISH;
 *         rmlx_event_release(event);
 *     }
 *
 *     rmlx_session_release(session);
 *     rmlx_prompt_release(prompt);
 *     rmlx_media_release(image);
 *     rmlx_model_release(model);
 *
 * To go on, add the answer and the next question to the prompt and submit it again:
 *
 *     rmlx_prompt_begin_message(prompt, "assistant", NULL);
 *     rmlx_prompt_add_text(prompt, answer, strlen(answer), NULL);
 *     rmlx_prompt_begin_message(prompt, "user", NULL);
 *     rmlx_prompt_add_text(prompt, next, strlen(next), NULL);
 *     rmlx_session_submit(session, prompt, NULL, NULL);
 *
 *
 * STATUS AND ERRORS
 *
 * Every function that can fail returns an rmlx_status, RMLX_OK (0) for success. Its last argument is an optional
 * rmlx_error **: on failure it gets an object with the code, a sentence for people and details for programs, for you to
 * release; on success it is not written. A failed call has no other effect: its outputs are not written, and objects
 * are as they were.
 *
 * Each function names its own errors, without their RMLX_ERROR_. Besides those, every function can return
 *  - INVALID_ARGUMENT for an argument that is NULL and may not be, or for text that is not UTF-8;
 *  - OUT_OF_MEMORY where memory ran out, or the files or threads that the process may have;
 *  - PANIC for a bug in rmlx, which is caught, logged and returned. A session that a bug went through returns POISONED
 *    from then on; rmlx_session_reset makes it usable again.
 * An argument may be NULL where its text says so; a `release` always takes NULL.
 *
 * The library never prints, never exits, and never aborts on bad input. Its messages go to rmlx_set_log_callback.
 *
 *
 * OBJECTS AND THEIR LIFETIMES
 *
 *                              who may use it at the same time     how it ends
 *     rmlx_model               any thread                          reference-counted: retain, release
 *     rmlx_media               any thread                          reference-counted: retain, release
 *     rmlx_cancel              any thread                          reference-counted: retain, release
 *     rmlx_session             any thread, one call at a time;     one owner: release
 *                              cancel at any time
 *     rmlx_event, rmlx_error   any thread (they do not change)     one owner: release
 *     rmlx_prompt              one thread at a time                one owner: release
 *     rmlx_..._options         one thread at a time                one owner: release
 *     char * that you got      any thread (it does not change)     one owner: rmlx_string_release
 *
 * What is made of something else keeps that alive, so the order of releases never matters: a model may be released
 * before its sessions, a medium before the prompts that hold it. What a function takes in (text, bytes, options) is
 * copied or referenced by it, and is yours to change or release when the function returns. A `const` pointer that a
 * function returns belongs to the object that it came from.
 *
 *
 * THREADS
 *
 * Any function may be called from any thread. All the work of models is done by one thread of the library's own, which
 * takes turns among the sessions that have something to do. rmlx_session_step and rmlx_model_load wait for it, so do
 * not call them from a thread that must not wait, such as that of a user interface. A second call on a session while
 * one is running returns BUSY at once; rmlx_session_cancel always works. A host that has no thread to spare for each
 * session waits for all of them in one place: rmlx_waker.
 *
 * A signal handler may call rmlx_session_cancel and rmlx_cancel_trigger, and nothing else.
 *
 * Callbacks have user data and a function that destroys it, and never run on the library's own thread of models. They
 * must return normally: no exception, no longjmp.
 *
 *
 * PROCESSES
 *
 * exit() and the end of main wait for the unit of work that is running (a token, a piece of a prompt, a medium, a group of
 * a load's tensors) and for nothing after it: answers and loads are dropped. After 5 seconds they go on regardless.
 *
 * A child that fork() makes after the first model was loaded has none of the library's threads: every function that can
 * fail returns UNSUPPORTED there, release functions only free memory, and its exit waits for nothing. fork() itself waits
 * for the unit of work that is running, for a second at most, as the child's exit ends its copy of MLX. Fork before that, or
 * start another program. A waker's descriptor in the child is its parent's.
 *
 *
 * VALUES
 *
 *  - Text is UTF-8. Text that goes in is a pointer and a length in bytes; names and paths end with a NUL instead. Text
 *    that comes out ends with a NUL.
 *  - Enumerations are int32_t with constants. A number that a function does not know is INVALID_ARGUMENT.
 *  - Structures that you allocate begin with `size_t struct_size`, which you set to their sizeof. They may grow in later
 *    versions; a program and a library of different versions agree through that field.
 *  - The array protocol: a function with `out`, `capacity` and `out_count` copies its items to `out`, which has room for
 *    `capacity` of them, and writes their number to `out_count`. With `out` NULL and `capacity` 0 it only writes the
 *    number. Too little room is INVALID_ARGUMENT; nothing is copied, but `out_count` says how much room it takes.
 */

#ifndef RMLX_H
#define RMLX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which rmlx this is, and what it can do ----------------------------------------------------------------- */

/**
 * The ABI that this header describes; compare it with rmlx_abi_version().
 *
 * The number grows when functions, constants or fields are added. Nothing is ever taken away and no
 * signature changes, so a program built with this header runs with every library whose
 * rmlx_abi_version() is at least this.
 */
#define RMLX_ABI_VERSION 1

/**
 * The version of the library that is running, for people: "0.1.0".
 *
 * Returns: a text that lives as long as the library.
 *
 * Since: 0.1
 */
const char *rmlx_version(void);

/**
 * The ABI of the library that is running; see RMLX_ABI_VERSION.
 *
 * Since: 0.1
 */
uint32_t rmlx_abi_version(void);

/**
 * Whether the library that is running, on this machine, has a feature:
 *
 * - "image", "audio": pictures and sounds can be decoded; "video": videos can be made of pictures
 *   (whether a model understands them is the model's matter: see rmlx_model_info_json)
 * - "gpu": MLX has a GPU here, so models are put there unless the load options say otherwise
 * - "metal": this GPU is Apple's, through Metal
 * - "suspend": rmlx_suspend and rmlx_resume pause all work
 * - "session_save": sessions can be saved and loaded
 * - "ring", "jaccl", "nccl", "mpi": the processes of a group can talk in this way (rmlx_load_options_set_group)
 *
 * Returns: false also for NULL and for a name that this version does not know.
 *
 * Since: 0.1
 */
bool rmlx_has_feature(const char *name);

/* Statuses and error objects ----------------------------------------------------------------------------- */

/**
 * What was wrong, where, and what would be right.
 *
 * Written by a failing call to its last argument, if that is not NULL; what was there before is
 * overwritten, so release it first. Immutable: any number of threads may read it.
 *
 * Lifetime: yours, until rmlx_error_release. The error of an event (rmlx_event_error) belongs to the
 * event.
 */
typedef struct rmlx_error rmlx_error;

/**
 * What a call came to: RMLX_OK or one of RMLX_ERROR_*.
 *
 * Later versions may add codes: treat one that you do not know as a failure like any other.
 */
typedef int32_t rmlx_status;

/** The call did what it says. */
#define RMLX_OK 0

/** An argument is NULL, out of range, of an unknown enum value, or not valid UTF-8. */
#define RMLX_ERROR_INVALID_ARGUMENT 1

/** A file or folder that was named does not exist. */
#define RMLX_ERROR_NOT_FOUND 2

/** The snapshot folder is incomplete, corrupt, contradicts itself, or may not be read. */
#define RMLX_ERROR_INVALID_SNAPSHOT 3

/**
 * Valid, but not something that this build can do: an unknown architecture, a model that cannot hear,
 * no GPU.
 */
#define RMLX_ERROR_UNSUPPORTED 4

/** Memory ran out, or the files or threads that the process may have; or a limit that the host set would be passed. */
#define RMLX_ERROR_OUT_OF_MEMORY 5

/** The prompt and its media need more positions than the context has. */
#define RMLX_ERROR_CONTEXT_FULL 6

/** The host cancelled the operation. */
#define RMLX_ERROR_CANCELLED 7

/** The library is suspended (rmlx_suspend), and the call would need work. After rmlx_resume it can be made again. */
#define RMLX_ERROR_SUSPENDED 8

/** Another operation is running on this session. */
#define RMLX_ERROR_BUSY 9

/** MLX reported a failure. */
#define RMLX_ERROR_BACKEND 10

/** An earlier bug went through this session: only rmlx_session_reset and rmlx_session_release are left. */
#define RMLX_ERROR_POISONED 11

/**
 * A bug in rmlx was caught before it could harm the host. Please report it with the error's message
 * and details.
 */
#define RMLX_ERROR_PANIC 12

/** Image or audio data cannot be decoded, or is not usable as such. */
#define RMLX_ERROR_INVALID_MEDIA 13

/** The conversation cannot be rendered: the chat template raised, looped, or has no place for a medium. */
#define RMLX_ERROR_INVALID_PROMPT 14

/** What a call waited for did not come in the time that it was given. Nothing is lost: it may come later. */
#define RMLX_ERROR_TIMEOUT 15

/**
 * What rmlx_session_load was given is no saved session, is damaged, or was saved from another snapshot or in
 * another way. The detail "fault" says which; see rmlx_session_load.
 */
#define RMLX_ERROR_INVALID_SAVE 16

/** A file cannot be read or written: no space, no permission, a fault of the disk. */
#define RMLX_ERROR_IO 17

/**
 * The name of a status: "RMLX_OK", "RMLX_ERROR_BUSY".
 *
 * Returns: a text that lives as long as the library; "RMLX_ERROR_UNKNOWN" for a number that is no
 * status.
 *
 * Since: 0.1
 */
const char *rmlx_status_name(rmlx_status status);

/**
 * The code of an error, the same as the status of the call that made it.
 *
 * Returns: RMLX_OK for NULL.
 *
 * Since: 0.1
 */
rmlx_status rmlx_error_code(const struct rmlx_error *error);

/**
 * What went wrong, as a sentence for people: UTF-8, NUL-terminated, without a full stop.
 *
 * Returns: a text that lives as long as the error; "" for NULL.
 *
 * Since: 0.1
 */
const char *rmlx_error_message(const struct rmlx_error *error);

/**
 * What went wrong, for programs: a JSON object, such as {"argument":"utf8","byte":17}. Which members
 * there are depends on the error and may grow; "{}" if there is nothing to add to code and message.
 *
 * Returns: a text that lives as long as the error; "{}" for NULL.
 *
 * Since: 0.1
 */
const char *rmlx_error_details_json(const struct rmlx_error *error);

/**
 * Releases an error. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_error_release(struct rmlx_error *error);

/* Texts that the library hands over to the host ---------------------------------------------------------- */

/**
 * Releases a text that a function returned through a `char **` argument. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_string_release(char *string);

/* Callbacks: what they have in common -------------------------------------------------------------------- */

/**
 * Called once with the user data of a callback that is no longer needed, to free it.
 *
 * It may run on any thread but the MLX thread, and must not call rmlx.
 */
typedef void (*rmlx_destroy_callback)(void *user_data);

/* The log callback --------------------------------------------------------------------------------------- */

/** How much a message of the log matters: one of RMLX_LOG_*. A smaller number matters more. */
typedef int32_t rmlx_log_level;

/**
 * Receives the messages of the log: UTF-8, NUL-terminated, without a newline, valid during the call
 * only.
 *
 * It runs on a thread of its own, one message at a time, and must not call rmlx.
 */
typedef void (*rmlx_log_callback)(rmlx_log_level level, const char *message, void *user_data);

/** Something failed that no call could return: a bug that was caught. */
#define RMLX_LOG_ERROR 1

/** Something went differently from what the host may expect. */
#define RMLX_LOG_WARNING 2

/** What happens, at the rate of loads. */
#define RMLX_LOG_INFO 3

/** What happens in detail. */
#define RMLX_LOG_DEBUG 4

/**
 * Sends the log of the whole process to a callback, or to nobody with a NULL `callback`, which is how
 * it begins.
 *
 * Only messages of `level` and those that matter more are sent. The callback that was set before has
 * had its last message, and its user data has been destroyed, when this returns. `destroy` may be
 * NULL. If the call fails, `destroy` is not called: `user_data` is still yours.
 *
 * Errors: INVALID_ARGUMENT (unknown level; the callback that was set before stays); OUT_OF_MEMORY (no
 * thread could be started; nobody gets messages now).
 *
 * Since: 0.1
 */
rmlx_status rmlx_set_log_callback(rmlx_log_level level,
                                  rmlx_log_callback callback,
                                  void *user_data,
                                  rmlx_destroy_callback destroy,
                                  rmlx_error **error);

/* Cancel objects, for operations that have no session yet ------------------------------------------------ */

/**
 * A flag that stops the operations that watch it, such as loading a model
 * (rmlx_load_options_set_cancel).
 *
 * Thread-safe. Once triggered it stays so: make a new one for the next operation.
 *
 * Lifetime: reference-counted. rmlx_cancel_new gives you one reference; what watches it has its own.
 */
typedef struct rmlx_cancel rmlx_cancel;

/**
 * Makes a cancel object that is not triggered.
 *
 * Returns: a reference for you; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_cancel *rmlx_cancel_new(void);

/**
 * Stops the operations that watch `cancel`: they return RMLX_ERROR_CANCELLED soon, a load before the next group of
 * tensors. From any thread and from a signal handler, at any time, as often as you like. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_cancel_trigger(const struct rmlx_cancel *cancel);

/**
 * Adds a reference.
 *
 * Returns: `cancel`; NULL for NULL.
 *
 * Since: 0.1
 */
struct rmlx_cancel *rmlx_cancel_retain(const struct rmlx_cancel *cancel);

/**
 * Gives a reference back. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_cancel_release(struct rmlx_cancel *cancel);

/* How a model is loaded ---------------------------------------------------------------------------------- */

/**
 * How a model is loaded. Everything has a default, so rmlx_model_load also takes NULL for it.
 *
 * Use it from one thread at a time. A load takes a copy of what it needs: changing or releasing the
 * options later has no effect on it.
 *
 * Lifetime: yours, until rmlx_load_options_release.
 */
typedef struct rmlx_load_options rmlx_load_options;

/** Where a model runs: one of RMLX_DEVICE_*. */
typedef int32_t rmlx_device;

/** Where weights are that stay as they are stored: one of RMLX_WEIGHTS_*. */
typedef int32_t rmlx_weights;

/** What keys and values of sessions are kept as: one of RMLX_CACHE_*. */
typedef int32_t rmlx_cache_type;

/**
 * Told how far a load is: `fraction` goes from 0 to 1 and never back.
 *
 * It runs on the thread that called rmlx_model_load, during that call. It may trigger a cancel object;
 * it must not call any other function of rmlx.
 */
typedef void (*rmlx_progress_callback)(float fraction, void *user_data);

/** The GPU where MLX has one, else the CPU. */
#define RMLX_DEVICE_AUTO 0

/** The CPU. */
#define RMLX_DEVICE_CPU 1

/** The GPU; loading answers UNSUPPORTED where there is none. */
#define RMLX_DEVICE_GPU 2

/** As RMLX_WEIGHTS_MAPPED on iOS, as RMLX_WEIGHTS_READ elsewhere. */
#define RMLX_WEIGHTS_AUTO 0

/** In memory of the process. */
#define RMLX_WEIGHTS_READ 1

/** In the pages of the weight files where MLX takes them from there, which is on Metal; read elsewhere. */
#define RMLX_WEIGHTS_MAPPED 2

/** As the activations are computed: 32-bit floats on the CPU, the snapshot's type on a GPU. */
#define RMLX_CACHE_AUTO 0

/** 32-bit floats. */
#define RMLX_CACHE_F32 1

/** 16-bit floats with 10 bits of fraction; an answer whose values pass 65,504 ends with an error. */
#define RMLX_CACHE_F16 2

/** The upper 16 bits of 32-bit floats, with 7 bits of fraction. */
#define RMLX_CACHE_BF16 3

/**
 * Makes load options that hold the defaults.
 *
 * Returns: an object for you to release; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_load_options *rmlx_load_options_new(void);

/**
 * Releases load options. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_load_options_release(struct rmlx_load_options *options);

/**
 * Chooses where the model runs. Default: RMLX_DEVICE_AUTO.
 *
 * Errors: INVALID_ARGUMENT (unknown device).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_device(struct rmlx_load_options *options,
                                         rmlx_device device,
                                         rmlx_error **error);

/**
 * Chooses where weights are that stay as they are stored. Default: RMLX_WEIGHTS_AUTO.
 *
 * Mapped weights are pages of the files that the system reads when they are first computed with, and may drop and read
 * again: a load is short, and they do not count as memory that the app holds. Packed matrices, and dense ones of the
 * activations' type, can be mapped where their place in the file is a multiple of their number's size; queries, keys
 * and values, and gate and up, are then multiplied one by one. rmlx_model_estimate tells how many bytes those are
 * ("mapped_weights"), and rmlx_model_info_json how many they were ("mapped_bytes").
 *
 * As long as a model has mapped weights, its files must not become shorter nor be written to: the process would end
 * with SIGBUS, or go on with other weights. Replacing or removing a file as a whole is harmless.
 *
 * Errors: INVALID_ARGUMENT (unknown value).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_weights(struct rmlx_load_options *options,
                                          rmlx_weights weights,
                                          rmlx_error **error);

/**
 * Chooses what keys and values of the model's sessions are kept as. Default: RMLX_CACHE_AUTO.
 *
 * 16 bits halve what a session takes on the CPU, and what each token there has to read of a long prompt. Logits then move
 * by what is rounded: by up to 0.007 standard deviations with RMLX_CACHE_F16 and 0.04 with RMLX_CACHE_BF16 in small random
 * models, and more where a router chooses other experts for it. On a GPU RMLX_CACHE_AUTO is what the snapshot is stored as,
 * 16 bits in nearly all cases. A saved session can be loaded with the type that it was saved with (else INVALID_SAVE).
 * rmlx_model_info_json says what it is ("cache_type").
 *
 * Errors: INVALID_ARGUMENT (unknown value).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_cache_type(struct rmlx_load_options *options,
                                             rmlx_cache_type cache_type,
                                             rmlx_error **error);

/**
 * Sets a callback that is told how far a load is; NULL for none, which is the default.
 *
 * `destroy` (or NULL) is called once with `user_data` when the callback has been replaced or the
 * options have been released, and no load uses it. If the call fails, `destroy` is not called:
 * `user_data` is still yours.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_progress(struct rmlx_load_options *options,
                                           rmlx_progress_callback callback,
                                           void *user_data,
                                           rmlx_destroy_callback destroy,
                                           rmlx_error **error);

/**
 * Sets the cancel object that a load watches; NULL for none, which is the default. The options take a
 * reference.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_cancel(struct rmlx_load_options *options,
                                         const rmlx_cancel *cancel,
                                         rmlx_error **error);

/**
 * Gives the model and one session of it at most `bytes`: as rmlx_model_estimate counts them, weights, cache
 * and what is computed with together. A load that needs more, with the context that was asked for or 256
 * positions, is refused with OUT_OF_MEMORY before any weight is read, and the error says by how much. Where
 * no context or prefill chunk is asked for, sessions get what fits; rmlx_session_new refuses one that does
 * not fit. Default: no limit of rmlx's own; on iOS what the system leaves to the app at the load.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_memory_limit(struct rmlx_load_options *options,
                                               uint64_t bytes,
                                               rmlx_error **error);

/**
 * Switches off the look at the memory that the system has. Otherwise a load, a prompt, or a medium that
 * needs more than the system says to have left is refused with OUT_OF_MEMORY: free memory, the limits of the
 * process and of its control group on Linux, what an app may take on iOS, all of the memory on macOS. What
 * would certainly fail is refused all the same. Default: false.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_ignore_system_memory(struct rmlx_load_options *options,
                                                       bool ignore,
                                                       rmlx_error **error);

/**
 * Limits the context of every session of the model to `positions` tokens, prompt, media and answer
 * together, if the model itself allows that many. Default: what the model allows; with a memory limit, and on
 * iOS, what fits.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_context_length(struct rmlx_load_options *options,
                                                 size_t positions,
                                                 rmlx_error **error);

/**
 * Sets how many bytes of encoded images and sounds the model keeps, for all of its sessions together: a
 * medium that is shown to it again, in another session or after a reset, is then not encoded again. The
 * least recently used go first, and rmlx_memory_trim gives up all of them. 0 keeps none. Default: 64 MiB.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_media_cache(struct rmlx_load_options *options,
                                              uint64_t bytes,
                                              rmlx_error **error);

/**
 * Takes a chat template in the place of the snapshot's own, or of several of them: conversations with tools and
 * without go through this one. It is Jinja with what transformers gives to templates.
 *
 * - `utf8`, `len`: the template, copied, and its bytes; of no bytes for the snapshot's own, which is the default
 *
 * Errors: INVALID_ARGUMENT (not UTF-8). A template that is no Jinja fails the load, with INVALID_ARGUMENT, a message
 * that names this option and the line, and the details "option" and "line".
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_chat_template(struct rmlx_load_options *options,
                                                const char *utf8,
                                                size_t len,
                                                rmlx_error **error);

/* How an image or a sound file is decoded ---------------------------------------------------------------- */

/**
 * How much a file of an image or a sound may ask for while it is decoded. Everything has a default, so the
 * calls that decode also take NULL for it.
 *
 * Use it from one thread at a time. A call that decodes reads it only until it returns.
 *
 * Lifetime: yours, until rmlx_media_options_release.
 */
typedef struct rmlx_media_options rmlx_media_options;

/**
 * Makes media options that hold the defaults.
 *
 * Returns: an object for you to release; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_media_options *rmlx_media_options_new(void);

/**
 * Releases media options. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_media_options_release(struct rmlx_media_options *options);

/**
 * Refuses images of more pixels. Default: 128 Mi; on iOS 64 Mi. More than 256 Mi are refused whatever is set.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_media_options_set_max_pixels(struct rmlx_media_options *options,
                                              uint64_t pixels,
                                              rmlx_error **error);

/**
 * Refuses files for which rmlx would hold more bytes at once while it decodes them: what the decoder works with,
 * what it makes, and the file itself where rmlx reads it. The bytes are counted from the file's headers, before they
 * are taken. Default: 256 MiB and 64 for each byte of the file, up to 1 GiB; on iOS 128 MiB and 64 for each byte, up
 * to 384 MiB.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_media_options_set_max_bytes(struct rmlx_media_options *options,
                                             uint64_t bytes,
                                             rmlx_error **error);

/**
 * Refuses sounds of more seconds. Default: 3600.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_media_options_set_max_seconds(struct rmlx_media_options *options,
                                               uint64_t seconds,
                                               rmlx_error **error);

/**
 * Sets the cancel object that a call with these options watches; NULL for none, which is the default. The options
 * take a reference. A JPEG or PNG ends within some rows, a picture of another format when it is decoded.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_media_options_set_cancel(struct rmlx_media_options *options,
                                          const rmlx_cancel *cancel,
                                          rmlx_error **error);

/* Images, sounds and videos ------------------------------------------------------------------------------ */

/**
 * An image, a sound or a video, decoded and ready to be part of a prompt.
 *
 * Thread-safe. It does not change. Two media of the same content are the same to a session, which
 * therefore does not evaluate a prompt's beginning again when an equal medium is made anew.
 *
 * Lifetime: reference-counted. Prompts hold a reference, so yours may go before theirs.
 */
typedef struct rmlx_media rmlx_media;

/** How raw pixels lie in memory: one of RMLX_PIXELS_*. */
typedef int32_t rmlx_pixel_format;

/**
 * Raw pixels, described: rows from top to bottom, pixels from left to right, sRGB.
 *
 * Set every field, for example with an initializer, so that the ones you do not name are 0.
 */
typedef struct rmlx_pixels {
    /** sizeof(rmlx_pixels) */
    size_t struct_size;
    /** The first byte of the first row. */
    const void *data;
    /** How many bytes may be read from `data`. */
    size_t size;
    /**
     * Bytes from the beginning of a row to that of the next; 0 if rows follow each other without a
     * gap.
     */
    size_t row_stride;
    /** Pixels in a row. */
    uint32_t width;
    /** Rows. */
    uint32_t height;
    /** One of RMLX_PIXELS_*. */
    rmlx_pixel_format format;
    /** 0. */
    uint32_t reserved;
} rmlx_pixels;

/** What a medium is: one of RMLX_MEDIA_*. */
typedef int32_t rmlx_media_type;

/** An image. */
#define RMLX_MEDIA_IMAGE 1

/** A sound. */
#define RMLX_MEDIA_AUDIO 2

/** A video: images and their times. */
#define RMLX_MEDIA_VIDEO 3

/** 3 bytes a pixel: red, green, blue. */
#define RMLX_PIXELS_RGB8 1

/** 4 bytes a pixel: red, green, blue, alpha. Alpha is not looked at. */
#define RMLX_PIXELS_RGBA8 2

/** 4 bytes a pixel: blue, green, red, alpha. Alpha is not looked at. */
#define RMLX_PIXELS_BGRA8 3

/** 1 byte a pixel: brightness. */
#define RMLX_PIXELS_GRAY8 4

/**
 * Decodes an image file that is in memory: PNG, JPEG, WebP, GIF (its first frame), BMP or TIFF,
 * recognized by its bytes. The orientation that EXIF or XMP states is applied. `bytes` are not needed any
 * more when this returns.
 *
 * - `options`: how much it may ask for; NULL for the defaults
 * - `out`: gets a reference for you
 *
 * Errors: INVALID_MEDIA (no image, truncated, corrupt, a side of more than 65535 pixels, or beyond what
 * `options` allow); UNSUPPORTED (another format, HEIC or AVIF for example, or a kind of these that is not
 * read, such as arithmetic coding: the message names it and what to do); OUT_OF_MEMORY; CANCELLED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_from_encoded(const void *bytes,
                                    size_t len,
                                    const rmlx_media_options *options,
                                    struct rmlx_media **out,
                                    rmlx_error **error);

/**
 * Makes an image of raw pixels, which are copied.
 *
 * - `desc`: where the pixels are, how many and of which format
 * - `out`: gets a reference for you
 *
 * Errors: INVALID_ARGUMENT (unknown format, wrong struct_size, `size` too small for the rest);
 * INVALID_MEDIA (no pixel, or too many); OUT_OF_MEMORY.
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_from_pixels(const struct rmlx_pixels *desc,
                                   struct rmlx_media **out,
                                   rmlx_error **error);

/**
 * Makes the same image again, to be shown to the model in more or less detail than it would by itself.
 *
 * Which numbers a model can do is its own: Gemma 4 takes 70, 140, 280, 560 and 1120, Gemma 3 its 256 only,
 * Qwen3-VL any. Another one is an error (UNSUPPORTED, with what the model can do) of the call that places
 * the image in a prompt: a submit, or counting tokens. Without this, the model's own number holds.
 *
 * - `soft_tokens`: the most positions that it may take, at least 1
 * - `out`: gets a reference to the new image for you
 *
 * Errors: INVALID_ARGUMENT (0, or `image` is no image).
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_with_soft_token_budget(const struct rmlx_media *image,
                                              uint32_t soft_tokens,
                                              struct rmlx_media **out,
                                              rmlx_error **error);

/**
 * Makes the same image again, to be shown to the model whole, or whole and in crops where it is long: what
 * Gemma 3 calls pan and scan, and its snapshots mostly have off. Each crop takes as many positions as the
 * image.
 *
 * Asking for crops of a model without them is an error (UNSUPPORTED) of the call that places the image in
 * a prompt.
 *
 * - `pan_and_scan`: whether crops are shown too
 * - `out`: gets a reference to the new image for you
 *
 * Errors: INVALID_ARGUMENT (`image` is no image).
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_with_pan_and_scan(const struct rmlx_media *image,
                                         bool pan_and_scan,
                                         struct rmlx_media **out,
                                         rmlx_error **error);

/**
 * Makes the same image again, to be brought to another range of sizes than the model's own: what Qwen3-VL
 * calls min_pixels and max_pixels. Within the range, it keeps about its size.
 *
 * A range that the model cannot do is an error (UNSUPPORTED, with what it can do) of the call that places
 * the image in a prompt: most models know no such range.
 *
 * - `min_pixels`: the fewest pixels that it may be brought to
 * - `max_pixels`: the most, at least 1
 * - `out`: gets a reference to the new image for you
 *
 * Errors: INVALID_ARGUMENT (`max_pixels` is 0 or less than `min_pixels`, or `image` is no image).
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_with_pixel_range(const struct rmlx_media *image,
                                        uint32_t min_pixels,
                                        uint32_t max_pixels,
                                        struct rmlx_media **out,
                                        rmlx_error **error);

/**
 * Decodes a sound file that is in memory, recognized by its bytes, whatever tags stand before it: WAV (RF64,
 * BW64 and W64 too), AIFF, AU and CAF; FLAC; MP3; AAC-LC and ALAC in M4A; Ogg Vorbis and Opus; Matroska and
 * WebM with one of these. It becomes 16 kHz mono. `bytes` are not needed any more when this returns.
 *
 * A file that is cut short or damaged gives what is there, as players do: rmlx_audio_lost_seconds tells how
 * much is missing.
 *
 * - `options`: how much it may ask for; NULL for the defaults
 * - `out`: gets a reference for you
 *
 * Errors: INVALID_MEDIA (no sound, nothing in it that can be read, no samples, a sample that is NaN or
 * infinite, far more samples than its size explains, or beyond what `options` allow); UNSUPPORTED (another
 * format or codec, WMA, AMR or AC-3 for example: the message names it and what to do); OUT_OF_MEMORY;
 * CANCELLED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_audio_from_encoded(const void *bytes,
                                    size_t len,
                                    const rmlx_media_options *options,
                                    struct rmlx_media **out,
                                    rmlx_error **error);

/**
 * Makes a sound of PCM samples, which are copied, mixed down to mono and resampled to 16 kHz.
 *
 * - `samples`: `frames` times `channels` numbers, the channels of a frame side by side, full scale
 *   from -1 to 1
 * - `rate`: frames a second
 * - `out`: gets a reference for you
 *
 * Errors: INVALID_ARGUMENT (no channel); INVALID_MEDIA (no frame, a sample that is NaN or infinite, a
 * rate outside of 1000 to 768000, or more than an hour); OUT_OF_MEMORY.
 *
 * Since: 0.1
 */
rmlx_status rmlx_audio_from_pcm_f32(const float *samples,
                                    size_t frames,
                                    uint32_t channels,
                                    uint32_t rate,
                                    struct rmlx_media **out,
                                    rmlx_error **error);

/**
 * Makes the same sound again, to be cut into clips or not where a model takes only so many seconds at once
 * (Gemma 4 with an audio tower: 30). Without this, a longer sound is an error of the submit, which states
 * the limit and the length.
 *
 * Each clip takes a place of its own in the prompt, one right after the other. Nothing changes for a
 * sound that is short enough, or for a model without such a limit.
 *
 * - `split`: whether it may be cut
 * - `out`: gets a reference to the new sound for you
 *
 * Errors: INVALID_ARGUMENT (`audio` is no sound).
 *
 * Since: 0.1
 */
rmlx_status rmlx_audio_with_split(const struct rmlx_media *audio,
                                  bool split,
                                  struct rmlx_media **out,
                                  rmlx_error **error);

/**
 * Makes a video of images and their times. Decoding a video file, and choosing a few of its frames, is
 * yours to do: a frame or two a second, and some 30 in all, are what models are made for.
 *
 * The model is shown the frames, and when they were taken, as its family does it: Gemma 4 each frame after
 * its minutes and seconds, Qwen3-VL frames in pairs (of one size) after their seconds. The frames take
 * fewer positions than images by themselves: as many as the snapshot says of videos, or as many as
 * rmlx_image_with_soft_token_budget gave them.
 *
 * - `frames`: `count` images, which the video shares
 * - `timestamps_seconds`: `count` times from the beginning of the video, ascending
 * - `out`: gets a reference for you
 *
 * Errors: INVALID_ARGUMENT (one of `frames` is no image); INVALID_MEDIA (no frame, or a time that is
 * negative, not finite, or before that of the frame before).
 *
 * Since: 0.1
 */
rmlx_status rmlx_video_from_frames(const struct rmlx_media *const *frames,
                                   const double *timestamps_seconds,
                                   size_t count,
                                   struct rmlx_media **out,
                                   rmlx_error **error);

/**
 * Adds a reference.
 *
 * Returns: `media`; NULL for NULL.
 *
 * Since: 0.1
 */
struct rmlx_media *rmlx_media_retain(const struct rmlx_media *media);

/**
 * Gives a reference back. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_media_release(struct rmlx_media *media);

/**
 * What a medium is.
 *
 * Returns: one of RMLX_MEDIA_*; 0 for NULL.
 *
 * Since: 0.1
 */
rmlx_media_type rmlx_media_kind(const struct rmlx_media *media);

/**
 * How many bytes a medium holds: its pixels (3 bytes each) or samples (4 bytes), which media made of it
 * share; of an image or a video from rmlx_media_prepare, those that are left.
 *
 * Returns: 0 for NULL.
 *
 * Since: 0.1
 */
uint64_t rmlx_media_bytes(const struct rmlx_media *media);

/**
 * The width of an image in pixels, the right way up.
 *
 * Returns: 0 for NULL and for everything that is no image.
 *
 * Since: 0.1
 */
uint32_t rmlx_image_width(const struct rmlx_media *image);

/**
 * The height of an image in pixels, the right way up.
 *
 * Returns: 0 for NULL and for everything that is no image.
 *
 * Since: 0.1
 */
uint32_t rmlx_image_height(const struct rmlx_media *image);

/**
 * How long a sound is, in seconds.
 *
 * Returns: 0 for NULL and for everything that is no sound.
 *
 * Since: 0.1
 */
double rmlx_audio_seconds(const struct rmlx_media *audio);

/**
 * How much of its file's sound is missing, in seconds: damaged packets that were left out, and what a file
 * that was cut short states beyond its end, as far as the file tells. A file without any mention of its
 * length (an MP3 from a stream, say) may have lost more at its end.
 *
 * Returns: 0 for a whole file, for a sound of samples, for NULL and for everything that is no sound.
 *
 * Since: 0.1
 */
double rmlx_audio_lost_seconds(const struct rmlx_media *audio);

/* Images and sounds in files ----------------------------------------------------------------------------- */

/**
 * Decodes an image file. Formats and limits are those of rmlx_image_from_encoded.
 *
 * - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
 * - `options`: how much it may ask for; NULL for the defaults
 * - `out`: gets a reference for you
 *
 * Errors: NOT_FOUND; INVALID_MEDIA (it cannot be read or is no file, and as rmlx_image_from_encoded);
 * UNSUPPORTED; OUT_OF_MEMORY; CANCELLED. The message and the detail "path" name the file.
 *
 * Since: 0.1
 */
rmlx_status rmlx_image_from_file(const char *path_utf8,
                                 const rmlx_media_options *options,
                                 rmlx_media **out,
                                 rmlx_error **error);

/**
 * Decodes a sound file. Formats and limits are those of rmlx_audio_from_encoded.
 *
 * - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
 * - `options`: how much it may ask for; NULL for the defaults
 * - `out`: gets a reference for you
 *
 * Errors: NOT_FOUND; INVALID_MEDIA (it cannot be read or is no file, and as rmlx_audio_from_encoded);
 * UNSUPPORTED; OUT_OF_MEMORY; CANCELLED. The message and the detail "path" name the file.
 *
 * Since: 0.1
 */
rmlx_status rmlx_audio_from_file(const char *path_utf8,
                                 const rmlx_media_options *options,
                                 rmlx_media **out,
                                 rmlx_error **error);

/* Conversations ------------------------------------------------------------------------------------------ */

/**
 * A conversation: messages, each of a role and of parts that are texts and media, in order, and the
 * assistant's messages of thoughts and tool calls, too. It always holds the whole conversation: after
 * an answer, add it as a message of the role "assistant", add the next question, and submit the same
 * prompt again; what the session already holds is not evaluated again.
 *
 * The model's own chat template makes the prompt of it, and sees what transformers' templates see:
 * "role", "content", "reasoning_content", "tool_calls", "tool_call_id" and "name" of each message. A
 * message of whose text (other than blanks), tool result or tool call the template leaves no trace at
 * all is an error that names it when the prompt is submitted or counted; so is such a medium.
 *
 * Special tokens that a text happens to spell, such as "<|image|>", stay text. Media are parts, never
 * markers.
 *
 * Use it from one thread at a time. A submit takes a copy of what it needs: changing or releasing the
 * prompt later has no effect on it.
 *
 * Lifetime: yours, until rmlx_prompt_release.
 */
typedef struct rmlx_prompt rmlx_prompt;

/**
 * Makes an empty prompt.
 *
 * Returns: an object for you to release; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_prompt *rmlx_prompt_new(void);

/**
 * Releases a prompt. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_prompt_release(struct rmlx_prompt *prompt);

/**
 * Makes a second prompt that holds the same: messages, tools, variables and raw tokens, and answers as
 * they were generated (rmlx_prompt_add_answer). Media are shared, not copied. From then on each is
 * changed for itself, such as where a fork of a session goes on.
 *
 * - `out_prompt`: gets the prompt, for you to release
 *
 * Errors: INVALID_ARGUMENT (an argument is NULL).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_copy(const struct rmlx_prompt *prompt,
                             struct rmlx_prompt **out_prompt,
                             rmlx_error **error);

/**
 * Begins a message; the parts that are added from now on belong to it.
 *
 * - `role`: who says it, as the model's chat template names the roles: "system", "user", "assistant";
 *   for "tool" use rmlx_prompt_begin_tool_result. UTF-8 and NUL-terminated.
 *
 * Errors: INVALID_ARGUMENT (`role` is empty or not UTF-8).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_begin_message(struct rmlx_prompt *prompt, const char *role, rmlx_error **error);

/**
 * Adds a text to the message that was begun last.
 *
 * - `utf8`, `len`: the text, copied, and its bytes; it may hold NULs
 *
 * Errors: INVALID_ARGUMENT (not UTF-8: the message and the detail "byte" say where; no message was
 * begun).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_text(struct rmlx_prompt *prompt,
                                 const char *utf8,
                                 size_t len,
                                 rmlx_error **error);

/**
 * Adds a medium to the message that was begun last, after the parts that it has. The prompt takes a
 * reference.
 *
 * Errors: INVALID_ARGUMENT (no message was begun).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_media(struct rmlx_prompt *prompt, const rmlx_media *media, rmlx_error **error);

/**
 * Begins a message of the role "tool", with what a tool that the assistant called has returned: add it
 * by rmlx_prompt_add_text or rmlx_prompt_add_json, and media where the template takes them.
 *
 * - `call_id`: of the call (rmlx_event_tool_call_id, or what was given to rmlx_prompt_add_tool_call);
 *   NULL for none
 * - `name`: of the tool; NULL for none, but some templates need it (Gemma 4's)
 *
 * Both are UTF-8 and NUL-terminated.
 *
 * Errors: INVALID_ARGUMENT (one of them is not UTF-8).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_begin_tool_result(struct rmlx_prompt *prompt,
                                          const char *call_id,
                                          const char *name,
                                          rmlx_error **error);

/**
 * Adds a JSON value as what the tool returned, the one part of its message. A template that takes an
 * object gets it as one; any other gets the value's text, as Python's json.dumps writes it.
 *
 * - `json`, `len`: the value
 *
 * Errors: INVALID_ARGUMENT (not UTF-8, or not JSON; the last message is no tool's, or has a part).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_json(struct rmlx_prompt *prompt,
                                 const char *json,
                                 size_t len,
                                 rmlx_error **error);

/**
 * Adds to what the assistant thought before it said what is in its message, which was begun last.
 * Templates leave most thoughts out of the history; that is theirs to decide.
 *
 * - `utf8`, `len`: the text, copied, and its bytes
 *
 * Errors: INVALID_ARGUMENT (not UTF-8; the last message is not of the role "assistant").
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_reasoning(struct rmlx_prompt *prompt,
                                      const char *utf8,
                                      size_t len,
                                      rmlx_error **error);

/**
 * Adds a tool call to the assistant's message, which was begun last. What the tool returns comes in a
 * message of its own (rmlx_prompt_begin_tool_result).
 *
 * - `id`: by which the result names the call; NULL for none
 * - `name`: of the tool. Both are UTF-8 and NUL-terminated.
 * - `arguments_json`, `len`: a JSON object; of no bytes for no arguments
 *
 * Errors: INVALID_ARGUMENT (not UTF-8; `name` is empty; not a JSON object; the last message is not of
 * the role "assistant").
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_tool_call(struct rmlx_prompt *prompt,
                                      const char *id,
                                      const char *name,
                                      const char *arguments_json,
                                      size_t len,
                                      rmlx_error **error);

/**
 * Says that the last message is the assistant's and unfinished: the model goes on with its text, where
 * otherwise a new answer begins. The events bring what the model adds. Default: false.
 *
 * Errors: none of its own. That the last message is not the assistant's or does not end with a text
 * shows when the prompt is rendered.
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_set_continue_final_message(struct rmlx_prompt *prompt,
                                                   bool continue_final_message,
                                                   rmlx_error **error);

/**
 * Makes a prompt of a whole conversation in JSON, in the shape of OpenAI's chat messages:
 *
 * ```json
 * {"messages": [{"role": "user", "content": [{"type": "image", "media": 0},
 *                                            {"type": "text", "text": "What is it?"}]}],
 *  "tools": [], "template_vars": {}, "continue_final_message": false}
 * ```
 *
 * Of a message: "role"; "content", a text, null, or a list of parts (of a "tool" message also an
 * object); "reasoning_content"; "tool_calls", each {"id", "type": "function", "function": {"name",
 * "arguments"}}, the arguments an object or a text that holds one; "tool_call_id"; "name". Further
 * members are handed to the template as they are. A medium is {"type": "image", "media": n}, with
 * "audio" or "video" likewise: the n-th of `media`, counted from 0.
 *
 * - `utf8`, `len`: the JSON and its bytes
 * - `media`, `media_count`: the media that the messages name; each must be used. The prompt takes
 *   references.
 * - `out_prompt`: gets the prompt, for you to release
 *
 * Errors: INVALID_ARGUMENT (not UTF-8 or not JSON: the details "line" and "column" say where; a member
 * is wrong: the message and the details "message_index" and "key" say which, and what would be right;
 * a medium is not used).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_from_json(const char *utf8,
                                  size_t len,
                                  const rmlx_media *const *media,
                                  size_t media_count,
                                  struct rmlx_prompt **out_prompt,
                                  rmlx_error **error);

/**
 * Sets the tools that the chat template tells the model about.
 *
 * - `json`, `len`: a JSON array of objects, as the model's template expects them; of no bytes to have
 *   no tools, which is the default
 *
 * Errors: INVALID_ARGUMENT (not UTF-8, or not a JSON array of objects).
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_set_tools_json(struct rmlx_prompt *prompt,
                                       const char *json,
                                       size_t len,
                                       rmlx_error **error);

/**
 * Sets further variables of the chat template.
 *
 * - `json`, `len`: a JSON object, its members the variables; of no bytes to have none, which is the
 *   default
 *
 * Errors: INVALID_ARGUMENT (not UTF-8, or not a JSON object). That a template cannot take a variable
 * shows when it is rendered.
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_set_template_vars_json(struct rmlx_prompt *prompt,
                                               const char *json,
                                               size_t len,
                                               rmlx_error **error);

/**
 * Sets the prompt's token ids, for experts who do without the chat template: only these are evaluated,
 * and the messages may hold media only. Those replace, in order, the placeholder tokens among the ids.
 *
 * - `ids`, `count`: the tokens, copied; none to go back to the messages, which is the default
 *
 * Errors: none of its own. That an id is outside of the vocabulary shows when the prompt is submitted.
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_set_tokens(struct rmlx_prompt *prompt,
                                   const uint32_t *ids,
                                   size_t count,
                                   rmlx_error **error);

/* How an answer is generated ----------------------------------------------------------------------------- */

/**
 * How an answer is generated. What is not set comes from the snapshot's generation_config.json, and
 * where that is silent too from the default named here. rmlx_session_submit also takes NULL for it.
 *
 * Use it from one thread at a time. A submit takes a copy: changing or releasing the options later has
 * no effect on it.
 *
 * Lifetime: yours, until rmlx_generation_options_release.
 */
typedef struct rmlx_generation_options rmlx_generation_options;

/**
 * A host's own processor of logits: changes the row that the next token is drawn from.
 *
 * - `ids`, `id_count`: the tokens of the prompt and of the answer so far; those of media stand in their places
 * - `logits`, `logit_count`: the row of the next token as the model gave it, a number for each id of the vocabulary, to
 *   be changed in place. -INFINITY forbids a token; NaN and INFINITY, and nothing left to choose, end the answer with
 *   INVALID_ARGUMENT. Both arrays are the callback's until it returns.
 *
 * Returns: 0; any other number ends the answer with RMLX_FINISH_ERROR and an error of the code CANCELLED that names the
 * number.
 *
 * It runs inside of rmlx_session_step and its likes, on the thread that called, once for each token that is drawn: other
 * sessions go on meanwhile. It may call rmlx, also for other sessions; on its own session only rmlx_session_cancel and
 * rmlx_session_stats, the others answer BUSY. Sessions of different threads that were submitted with the same options
 * may be in it at the same time. It must return: no exception or longjmp may leave it.
 */
typedef int32_t (*rmlx_logits_callback)(const uint32_t *ids,
                                        size_t id_count,
                                        float *logits,
                                        size_t logit_count,
                                        void *user_data);

/** How tokens are proposed: one of RMLX_SPECULATION_*. */
typedef int32_t rmlx_speculation;

/** The language of a constraint: one of RMLX_CONSTRAINT_*. */
typedef int32_t rmlx_constraint_kind;

/** Which tools the model may call: one of RMLX_TOOL_CHOICE_*. */
typedef int32_t rmlx_tool_choice;

/** No tokens are proposed. */
#define RMLX_SPECULATION_NONE 0

/**
 * What followed the last time that the last few tokens stood in the prompt or in the answer. It helps where an answer
 * repeats what it was given: a text that is edited, quoted or summed up, code, JSON.
 */
#define RMLX_SPECULATION_PROMPT_LOOKUP 1

/**
 * A JSON schema (draft 2020-12; what it says of types, properties, items, enums, ranges, lengths, patterns,
 * formats, $ref inside of the text, anyOf, allOf, and oneOf where no value can be of two of its schemas).
 * The answer is JSON on one line, with ", " and ": ", and without \u escapes. Its numbers have 31 digits before the
 * point, 30 behind it and 2 of the exponent at most, so that a double holds them.
 */
#define RMLX_CONSTRAINT_JSON_SCHEMA 1

/** A regular expression that the whole answer matches: Rust's syntax, without look-around and back-references. */
#define RMLX_CONSTRAINT_REGEX 2

/**
 * A grammar in the variant of Lark that llguidance reads, from its rule `start` on. Control tokens are
 * written as they are spelled, `<|name|>`, or by their number, `<[107]>`.
 */
#define RMLX_CONSTRAINT_LARK 3

/** A JSON array of texts, one of which is the answer. */
#define RMLX_CONSTRAINT_CHOICE 4

/**
 * The model decides. Where its family marks calls, a call that it begins follows the schemas of the
 * prompt's tools; a schema that cannot be followed leaves it free, with a warning in the log.
 */
#define RMLX_TOOL_CHOICE_AUTO 0

/** No call: the token that opens one is never sampled. */
#define RMLX_TOOL_CHOICE_NONE 1

/** At least one call of any of the prompt's tools, and no text. */
#define RMLX_TOOL_CHOICE_REQUIRED 2

/** One call of the tool that is named, and no text. */
#define RMLX_TOOL_CHOICE_NAMED 3

/**
 * Makes generation options in which nothing is set.
 *
 * Returns: an object for you to release; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_generation_options *rmlx_generation_options_new(void);

/**
 * Releases generation options. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_generation_options_release(struct rmlx_generation_options *options);

/**
 * Ends the answer after so many tokens, with RMLX_FINISH_MAX_TOKENS. Default: it may fill the context.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_max_tokens(struct rmlx_generation_options *options,
                                                   size_t max_tokens,
                                                   rmlx_error **error);

/**
 * Sets the sampler's temperature: 0 always takes the likeliest token (greedy), 1 samples by the
 * model's own probabilities. Anything below 0.0001 is greedy too.
 *
 * Errors: INVALID_ARGUMENT (not between 0 and 100).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_temperature(struct rmlx_generation_options *options,
                                                    float temperature,
                                                    rmlx_error **error);

/**
 * Samples among the `top_k` likeliest tokens only; 0 for all of them.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_top_k(struct rmlx_generation_options *options,
                                              uint32_t top_k,
                                              rmlx_error **error);

/**
 * Samples among the likeliest tokens whose probabilities together reach `top_p` only; 1 for all of
 * them.
 *
 * Errors: INVALID_ARGUMENT (not between 0 and 1).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_top_p(struct rmlx_generation_options *options,
                                              float top_p,
                                              rmlx_error **error);

/**
 * Drops tokens that are less likely than `min_p` times the likeliest one; 0 drops none.
 *
 * Errors: INVALID_ARGUMENT (not between 0 and 1).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_min_p(struct rmlx_generation_options *options,
                                              float min_p,
                                              rmlx_error **error);

/**
 * Makes tokens that prompt or answer already hold less likely: their logits are divided by `penalty`
 * if positive and multiplied by it if negative. 1 is off.
 *
 * Errors: INVALID_ARGUMENT (not between 0.001 and 1000).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_repetition_penalty(struct rmlx_generation_options *options,
                                                           float penalty,
                                                           rmlx_error **error);

/**
 * Subtracts `penalty` from the logit of each token that the answer already holds, once. 0 is off.
 *
 * Errors: INVALID_ARGUMENT (not between -100 and 100).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_presence_penalty(struct rmlx_generation_options *options,
                                                         float penalty,
                                                         rmlx_error **error);

/**
 * Subtracts `penalty` from the logit of each token that the answer already holds, as often as it holds
 * it. 0 is off.
 *
 * Errors: INVALID_ARGUMENT (not between -100 and 100).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_frequency_penalty(struct rmlx_generation_options *options,
                                                          float penalty,
                                                          rmlx_error **error);

/**
 * Penalizes tokens that would lengthen a repeated run of tokens (DRY, "don't repeat yourself"). Where the last n tokens
 * stand in the prompt or the answer before, n at least `allowed_length`, the token that followed there loses
 * `multiplier * base ^ (n - allowed_length)` of its logit; n counts up to 50, and the longest run counts. A multiplier
 * of 0 is off, which is the default; 0.8, 1.75, 2 and 0 are common.
 *
 * - `last_n`: how many of the last tokens are looked at; 0 for all
 *
 * Runs do not reach over breakers (rmlx_generation_options_add_dry_breaker).
 *
 * Errors: INVALID_ARGUMENT (`multiplier` not between 0 and 100, `base` not between 1 and 100, `allowed_length` 0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_dry(struct rmlx_generation_options *options,
                                            float multiplier,
                                            float base,
                                            size_t allowed_length,
                                            size_t last_n,
                                            rmlx_error **error);

/**
 * Adds a text that the repeated runs of rmlx_generation_options_set_dry do not reach over: the token that it ends with
 * behind a letter. Default: a line feed, a colon, a double quote and an asterisk; the first text that is added takes
 * their place.
 *
 * - `utf8`, `len`: the text, copied, and its bytes
 *
 * Errors: INVALID_ARGUMENT (empty, or not UTF-8).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_add_dry_breaker(struct rmlx_generation_options *options,
                                                    const char *utf8,
                                                    size_t len,
                                                    rmlx_error **error);

/**
 * Forbids every token that would make a run of `n` tokens come twice, in prompt and answer together. 0 is off, which is
 * the default. Where no token is left, also by a constraint, the answer ends with INVALID_ARGUMENT.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_no_repeat_ngram(struct rmlx_generation_options *options,
                                                        size_t n,
                                                        rmlx_error **error);

/**
 * Ends an answer that goes round in a circle, with RMLX_FINISH_LOOP: its last tokens are one run of at most
 * `longest_run` tokens, `repeats` times in a row, and are at least `least_tokens` tokens. Their texts have been handed
 * out by then. `repeats` 0 is off, which is the default, and the other two do not matter then.
 *
 * Errors: INVALID_ARGUMENT (`repeats` 1, `longest_run` not between 1 and 4096).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_loop_detection(struct rmlx_generation_options *options,
                                                       size_t repeats,
                                                       size_t longest_run,
                                                       size_t least_tokens,
                                                       rmlx_error **error);

/**
 * Sets a processor of the host's own, which sees each row of logits before all other processors; NULL for none, which
 * is the default. After it come, in this order: the penalties for repetition, presence and frequency, DRY, repeated
 * n-grams, the logit bias and the tokens that the snapshot suppresses, temperature, top-k, top-p, min-p. What a
 * constraint does not allow it cannot allow, and tokens that a constraint or the thinking budget forces come without it.
 *
 * The next token is computed only after the processor has seen the row, so an answer with a processor is slower, and
 * goes on only while its session is stepped. rmlx_session_step_timeout and rmlx_session_try_step run it too, and do not
 * cut it short: they give TIMEOUT where its row was all that there was to do. A waker also tells of such rows.
 * rmlx_session_logits gives the row as the model gave it.
 *
 * `destroy` (or NULL) is called once with `user_data` when the callback has been replaced or the options have been
 * released, and no answer uses it; not on a thread of rmlx. If the call fails, `destroy` is not called: `user_data` is
 * still yours.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_logits_processor(struct rmlx_generation_options *options,
                                                         rmlx_logits_callback callback,
                                                         void *user_data,
                                                         rmlx_destroy_callback destroy,
                                                         rmlx_error **error);

/**
 * Seeds the sampler: the same seed, prompt and options give the same answer on the same machine.
 * Default: a new seed each time.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_seed(struct rmlx_generation_options *options,
                                             uint64_t seed,
                                             rmlx_error **error);

/**
 * Adds a stop string: the answer ends before the first one that appears in it, with
 * RMLX_FINISH_STOP_STRING. No part of it is handed out.
 *
 * - `utf8`, `len`: the string, copied, and its bytes
 *
 * Errors: INVALID_ARGUMENT (empty, or not UTF-8).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_add_stop(struct rmlx_generation_options *options,
                                             const char *utf8,
                                             size_t len,
                                             rmlx_error **error);

/**
 * Ends the answer with a token, with RMLX_FINISH_STOP_TOKEN; its text is not handed out. May be called
 * several times.
 *
 * Errors: none of its own. That the token is outside of the vocabulary shows at submit.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_add_stop_token(struct rmlx_generation_options *options,
                                                   uint32_t token,
                                                   rmlx_error **error);

/**
 * Adds `bias` to the logit of a token at every step; -INFINITY forbids the token. Biases of the same
 * token add up.
 *
 * Errors: INVALID_ARGUMENT (NaN or INFINITY). That the token is outside of the vocabulary, and that all
 * tokens are forbidden, shows at submit.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_add_logit_bias(struct rmlx_generation_options *options,
                                                   uint32_t token,
                                                   float bias,
                                                   rmlx_error **error);

/**
 * Gives every token's event its log-probability, and the `count` likeliest tokens at its place with
 * theirs (rmlx_event_logprob, rmlx_event_top_logprob_count). 0 is off, which is the default.
 *
 * Errors: none of its own. That the vocabulary has fewer tokens shows at submit.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_top_logprobs(struct rmlx_generation_options *options,
                                                     size_t count,
                                                     rmlx_error **error);

/**
 * Asks the model to think before it answers, or not to, if its chat template knows `enable_thinking`.
 * Default: what the template does by itself.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_thinking(struct rmlx_generation_options *options,
                                                 bool thinking,
                                                 rmlx_error **error);

/**
 * Ends the model's thought after so many tokens, so that the answer begins. Default: no bound.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_thinking_budget(struct rmlx_generation_options *options,
                                                        size_t tokens,
                                                        rmlx_error **error);

/**
 * Keeps answers that rmlx_prompt_add_answer adds as they were generated, token by token, so that nothing
 * but what is new is evaluated in the next submit. Otherwise the history is what the chat template makes
 * of it, as in transformers: it may drop thoughts or spell a call anew, and from there on it is evaluated
 * again. Default: false.
 *
 * An answer is kept where both its own submit and the later one say so, with the same model and the same
 * wish to think, and the conversation up to it says the same as then. Where the template leaves no place
 * for it, the log says so (RMLX_LOG_INFO), and the template's own is taken.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_exact_history(struct rmlx_generation_options *options,
                                                      bool exact_history,
                                                      rmlx_error **error);

/**
 * Goes on after tokens that end the model's turn, for benchmarks. Default: false.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_ignore_eos(struct rmlx_generation_options *options,
                                                   bool ignore_eos,
                                                   rmlx_error **error);

/**
 * Proposes the next tokens before the model has said them, and evaluates several in one pass: those that it says
 * then need no pass of their own. Default: RMLX_SPECULATION_NONE.
 *
 * The answer is the same, also of a seed, with constraints, penalties and stop strings; only where two tokens are as
 * likely as each other to within rounding may another one come, as rows of one pass are not rounded as those
 * of several. Events come one by one, and a cancel or the end of an answer leaves held what was handed out.
 * How many tokens are proposed at once is what pays, measured on the answer; where nothing does, there are none, and none
 * while several sessions of a model answer at the same time: those share passes already.
 * rmlx_stats.drafted_tokens and accepted_tokens count.
 *
 * - `kind`: one of RMLX_SPECULATION_*
 * - `most_tokens`: tokens proposed at once, 8 at most; 0 is 8
 *
 * Errors: INVALID_ARGUMENT (an unknown kind, more than 8 tokens).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_speculation(struct rmlx_generation_options *options,
                                                    rmlx_speculation kind,
                                                    size_t most_tokens,
                                                    rmlx_error **error);

/**
 * Asks for RMLX_EVENT_PROGRESS events while the prompt is evaluated. Default: false.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_progress_events(struct rmlx_generation_options *options,
                                                        bool progress_events,
                                                        rmlx_error **error);

/**
 * Holds the answer to a grammar: only tokens that it allows are sampled, the model may end its turn only
 * where the answer is complete, and where nothing can follow the answer ends with
 * RMLX_FINISH_END_OF_TURN. What the model thinks before is free. Tokens that have to come are taken
 * without asking the model; they have no logits row and no log-probability. An answer that a limit cuts
 * ends with RMLX_FINISH_CONSTRAINT_CUT.
 *
 * - `kind`: one of RMLX_CONSTRAINT_*
 * - `utf8`, `len`: the schema, expression, grammar or list, copied, and its bytes; NULL and 0 take the
 *   constraint back
 *
 * Errors: INVALID_ARGUMENT (an unknown kind, not UTF-8, together with a call that is required). What is
 * wrong with the grammar itself shows at submit: INVALID_ARGUMENT, with where it is wrong: the details have
 * "line" and "column" in the text, or "pointer", a JSON pointer into the schema or list. A tokenizer that
 * does not say what its tokens write is UNSUPPORTED there.
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_constraint(struct rmlx_generation_options *options,
                                                   rmlx_constraint_kind kind,
                                                   const char *utf8,
                                                   size_t len,
                                                   rmlx_error **error);

/**
 * Says which tools the model may call. Default: RMLX_TOOL_CHOICE_AUTO.
 *
 * - `name`: the tool, NUL-terminated; NULL unless the choice is RMLX_TOOL_CHOICE_NAMED
 *
 * Errors: INVALID_ARGUMENT (an unknown choice, a name that is missing, empty or too much, a call that is
 * required together with a constraint). At submit, for a call that is required: INVALID_ARGUMENT (the
 * prompt declares no such tool), UNSUPPORTED (the family marks no calls, or a schema cannot be followed).
 *
 * Since: 0.1
 */
rmlx_status rmlx_generation_options_set_tool_choice(struct rmlx_generation_options *options,
                                                    rmlx_tool_choice choice,
                                                    const char *name,
                                                    rmlx_error **error);

/* Models ------------------------------------------------------------------------------------------------- */

/**
 * A loaded model: weights, tokenizer and chat template of one snapshot folder.
 *
 * Thread-safe. It does not change, and any number of sessions share its weights.
 *
 * Lifetime: reference-counted. Sessions hold a reference, so yours may go before theirs; the memory is
 * given back with the last one.
 */
typedef struct rmlx_model rmlx_model;

/**
 * Loads a snapshot: a folder as Hugging Face and mlx-community publish them, with config.json,
 * *.safetensors, tokenizer.json and a chat template. A tower that is not there is left out: the model does
 * not take its media, and the log says so. Blocks until all weights are in memory; while the library is
 * suspended (rmlx_suspend) that does not go on.
 *
 * - `dir`: path of the folder, UTF-8 and NUL-terminated
 * - `options`: or NULL for the defaults
 * - `out`: gets a reference for you
 *
 * Errors: NOT_FOUND (no such folder, or no config.json or tokenizer.json in it); INVALID_SNAPSHOT (a file
 * that may not be read, broken JSON, truncated or missing weights, a tensor of the wrong shape, a template
 * that cannot be compiled); UNSUPPORTED (architecture, a format or quantization of other programs, or no
 * GPU where one was asked for); OUT_OF_MEMORY; CANCELLED; BACKEND; INVALID_ARGUMENT.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_load(const char *dir,
                            const rmlx_load_options *options,
                            struct rmlx_model **out,
                            rmlx_error **error);

/**
 * Adds a reference.
 *
 * Returns: `model`; NULL for NULL.
 *
 * Since: 0.1
 */
struct rmlx_model *rmlx_model_retain(const struct rmlx_model *model);

/**
 * Gives a reference back. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_model_release(struct rmlx_model *model);

/**
 * Tells what a snapshot folder holds, without reading a weight: quick, and no memory is taken.
 *
 * - `dir`: path of the folder, UTF-8 and NUL-terminated
 * - `out_json`: gets a JSON object (architecture, modalities, quantization, bytes, tensors,
 *   parameters) for you to release with rmlx_string_release. "notes" are sentences about what of the
 *   folder is not used: towers without weights, files that belong to something else.
 *
 * Errors: NOT_FOUND, INVALID_SNAPSHOT, UNSUPPORTED, BACKEND as rmlx_model_load: what it refuses of the
 * files, of the configuration and of the tensors' names, types and shapes is refused here, in the same
 * words. The texts of the tokenizer and of the chat template are not looked at.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_inspect(const char *dir, char **out_json, rmlx_error **error);

/**
 * Tells how much memory a load and a session would take, from the configuration and the headers of the
 * weight files: quick, and no weight is read.
 *
 * - `dir`: path of the folder, UTF-8 and NUL-terminated
 * - `options`: those of the load; or NULL for the defaults
 * - `context_tokens`: positions that the session is to hold; 0 for as many as the options or the model allow
 * - `out_json`: gets a JSON object for you to release with rmlx_string_release. In bytes: "weights" as they
 *   are held, of which "text_weights", "vision_weights" and "audio_weights", and of all parts "mapped_weights",
 *   which stay in the pages of the files and are in no peak (rmlx_load_options_set_weights); "cache", of the session at
 *   "context_tokens"; "checkpoints", the most that it keeps of earlier positions
 *   (rmlx_session_options_set_checkpoints); "prefill", what pieces of "prefill_chunk" tokens are computed with; "media", for each
 *   kind of medium what one (1024 x 1024 pixels, 10 seconds) is encoded with; "load_peak"; "peak", the most
 *   of all that at a time; "available", what the system has now, or null. "fits": whether the peak is within
 *   that and the memory limit of the options. "device".
 *
 * Errors: as rmlx_model_inspect; UNSUPPORTED (no GPU where one was asked for); OUT_OF_MEMORY.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_estimate(const char *dir,
                                const rmlx_load_options *options,
                                size_t context_tokens,
                                char **out_json,
                                rmlx_error **error);

/**
 * Tells about a loaded model: what rmlx_model_inspect tells, and its device, the bytes of its weights
 * as loaded, its context length, and whether it has a chat template.
 *
 * - `out_json`: gets a JSON object for you to release with rmlx_string_release
 *
 * Errors: OUT_OF_MEMORY.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_info_json(const struct rmlx_model *model, char **out_json, rmlx_error **error);

/**
 * Turns a text into token ids. Nothing is added: no BOS, no template.
 *
 * - `utf8`, `len`: the text and its bytes
 * - `parse_special`: whether spellings of special tokens, such as "<bos>", become those tokens;
 *   otherwise they are text like any other
 * - `out`, `capacity`, `out_count`: the array protocol (see the top of this file)
 *
 * Errors: INVALID_ARGUMENT (not UTF-8; too little room); INVALID_PROMPT (the tokenizer fails on it).
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_tokenize(const struct rmlx_model *model,
                                const char *utf8,
                                size_t len,
                                bool parse_special,
                                uint32_t *out,
                                size_t capacity,
                                size_t *out_count,
                                rmlx_error **error);

/**
 * Turns token ids into text. Bytes that make no whole character become U+FFFD.
 *
 * - `ids`, `count`: the tokens
 * - `skip_special`: whether special tokens are left out; otherwise they are spelled out
 * - `out_utf8`: gets the text, NUL-terminated, for you to release with rmlx_string_release
 * - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
 *
 * Errors: INVALID_PROMPT (the tokenizer fails on them). An id that is no token adds nothing to the text.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_detokenize(const struct rmlx_model *model,
                                  const uint32_t *ids,
                                  size_t count,
                                  bool skip_special,
                                  char **out_utf8,
                                  size_t *out_len,
                                  rmlx_error **error);

/**
 * Shows the text that the model's own chat template makes of a conversation, up to where the answer
 * begins. Each medium is one placeholder in it, before it becomes its tokens.
 *
 * - `options`: those of the submit, for what they say to the template (thinking); or NULL
 * - `out_utf8`: gets the text, NUL-terminated, for you to release with rmlx_string_release
 * - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
 *
 * Errors: INVALID_PROMPT (the template refuses the conversation); OUT_OF_MEMORY.
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_render_prompt(const struct rmlx_model *model,
                                     const rmlx_prompt *prompt,
                                     const rmlx_generation_options *options,
                                     char **out_utf8,
                                     size_t *out_len,
                                     rmlx_error **error);

/**
 * Counts the positions that a conversation takes in the context, those of its media included.
 *
 * - `options`: those of the submit, for what they say to the template (thinking); or NULL
 *
 * Errors: INVALID_PROMPT (the template refuses it, or has no place for a medium); UNSUPPORTED (a
 * medium that this model does not understand).
 *
 * Since: 0.1
 */
rmlx_status rmlx_model_count_tokens(const struct rmlx_model *model,
                                    const rmlx_prompt *prompt,
                                    const rmlx_generation_options *options,
                                    size_t *out_count,
                                    rmlx_error **error);

/* Groups of processes that run a model together ---------------------------------------------------------- */

/** How the processes of a group talk to each other: one of RMLX_GROUP_*. */
typedef int32_t rmlx_group_backend;

/** What the environment describes, as `mlx.launch` leaves it. */
#define RMLX_GROUP_AUTO 0

/** MLX's ring: TCP, or Thunderbolt as a network. */
#define RMLX_GROUP_RING 1

/** MLX's jaccl: RDMA over Thunderbolt, between Macs. */
#define RMLX_GROUP_JACCL 2

/** NVIDIA's NCCL, between GPUs. */
#define RMLX_GROUP_NCCL 3

/** An MPI that is installed. */
#define RMLX_GROUP_MPI 4

/**
 * Makes the load one of several processes that run the model together, for models that one machine or one GPU cannot
 * hold. Each process (rank) loads its own part of every matrix and keeps its part of each session's cache: rank 0
 * calls rmlx_model_load and has the model, sessions and everything; the others call rmlx_group_serve with the same
 * options but for their rank. All of them need the whole snapshot folder, of which each reads its own part. Media are
 * encoded by rank 0.
 *
 * - `backend`: how they talk; RMLX_GROUP_AUTO takes what the environment describes
 * - `rank`: which one this process is, from 0 on; or -1 for MLX_RANK of the environment
 * - `size`: how many there are; or 0 for what `address` or the environment (MLX_WORLD_SIZE) says
 * - `address`: NUL-terminated, copied; or NULL for the environment's. For a ring the path of a JSON file with a list of
 *   addresses for each rank, `[["10.0.0.1:5000"], ["10.0.0.2:5000"]]` (MLX_HOSTFILE); for NCCL "host:port" of
 *   rank 0 (NCCL_HOST_IP, NCCL_PORT); for jaccl the path of MLX's file of devices (MLX_IBV_DEVICES), beside
 *   MLX_JACCL_COORDINATOR in the environment; not used with MPI
 *
 * With nothing but RMLX_GROUP_AUTO, -1, 0 and NULL, a program runs under `mlx.launch` as it is. MLX reads the environment
 * itself: what is said here and is not there already is put there while the group forms, so no other thread may change
 * or read the environment then.
 *
 * A process belongs to one group, for good, and the group runs one model at a time: after rank 0 has released it, all ranks
 * may load the next one. With NCCL each process must see one GPU (CUDA_VISIBLE_DEVICES).
 *
 * Sessions do everything that they do otherwise, but for rmlx_session_save and rmlx_session_load, which are UNSUPPORTED.
 * When a rank is lost, the answers in the making end with an error that names it, and so does every other call that
 * would need it; the process lives, and can load models of its own. MLX writes a line to stderr when a connection
 * is lost.
 *
 * Errors: INVALID_ARGUMENT (unknown back end, a negative size). What the group lacks is told by the load.
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_group(rmlx_load_options *options,
                                        rmlx_group_backend backend,
                                        int32_t rank,
                                        int32_t size,
                                        const char *address,
                                        rmlx_error **error);

/**
 * Sets how long the ranks of a group wait for each other: when the group forms, for a slower rank's load, and in each
 * operation of a pass. Then the load or the answer ends with TIMEOUT, on all ranks. Default: 60 seconds. A rank whose
 * process ends is noticed at once, with NCCL within a second.
 *
 * - `milliseconds`: at least 1
 *
 * Errors: INVALID_ARGUMENT (0, or options without rmlx_load_options_set_group).
 *
 * Since: 0.1
 */
rmlx_status rmlx_load_options_set_group_timeout(rmlx_load_options *options,
                                                uint64_t milliseconds,
                                                rmlx_error **error);

/**
 * Runs this process's part of a model for rank 0 of a group: joins, loads what the rank holds, and follows rank 0's steps.
 * Blocks until rank 0 releases the model, or fails to load it. A cancel object of the options ends it, and with it
 * the answers of rank 0.
 *
 * - `dir`: path of the snapshot folder, as for rmlx_model_load; the same snapshot as rank 0's
 * - `options`: with rmlx_load_options_set_group, and a rank from 1 on
 *
 * Errors: those of rmlx_model_load, of this rank or, with its name, of another one; INVALID_SNAPSHOT (rank 0 has
 * another snapshot), UNSUPPORTED (another version of rmlx or another device, or heads or widths that cannot be divided
 * among so many ranks), TIMEOUT (not all ranks came, or they did nothing), BACKEND (a rank is gone), CANCELLED, BUSY
 * (the process follows already); INVALID_ARGUMENT (no group, rank 0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_group_serve(const char *dir,
                             const rmlx_load_options *options,
                             rmlx_error **error);

/* Media without what a model does not take of them ------------------------------------------------------- */

/**
 * Makes the same medium again without what `model` does not take of it: of an image or a video, only the
 * sizes that the model's processor brings its pictures to are kept. A photo of 12 megapixels holds 36 MB,
 * and some 2 MB for Gemma then. The new one takes the place of `media` in prompts, which you may release:
 * answers are the same bit for bit, and to sessions both are the same medium, whichever they saw first.
 *
 * It goes with this model, and with every other that takes its pictures at the same sizes; another one
 * needs `media` itself, and answers INVALID_ARGUMENT for the new one. What would be larger than
 * `media`, and a sound, is handed back as it is. Runs on your thread, and takes what a submit would take for it.
 *
 * - `options`: of these, only the cancel object counts; or NULL
 * - `out`: gets a reference for you
 *
 * Errors: UNSUPPORTED (the model does not understand such media, or not in this detail); INVALID_ARGUMENT
 * (`media` was prepared for another model); INVALID_MEDIA (a picture that cannot be brought to any size of
 * the model's); OUT_OF_MEMORY; CANCELLED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_media_prepare(const rmlx_model *model,
                               const rmlx_media *media,
                               const rmlx_media_options *options,
                               rmlx_media **out,
                               rmlx_error **error);

/* How a session is made ---------------------------------------------------------------------------------- */

/**
 * How a session is made. Everything has a default, so rmlx_session_new also takes NULL for it.
 *
 * Use it from one thread at a time. A session takes a copy: changing or releasing the options later
 * has no effect on it.
 *
 * Lifetime: yours, until rmlx_session_options_release.
 */
typedef struct rmlx_session_options rmlx_session_options;

/**
 * Makes session options that hold the defaults.
 *
 * Returns: an object for you to release; NULL only if a bug in rmlx was caught.
 *
 * Since: 0.1
 */
struct rmlx_session_options *rmlx_session_options_new(void);

/**
 * Releases session options. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_session_options_release(struct rmlx_session_options *options);

/**
 * Limits the context to `positions` tokens, prompt, media and answer together, if the model itself
 * allows that many. Default: what the model allows.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_options_set_context_length(struct rmlx_session_options *options,
                                                    size_t positions,
                                                    rmlx_error **error);

/**
 * Evaluates a prompt in pieces of `tokens` tokens; an image whose tokens see each
 * other is never split. Smaller pieces need less memory and let a cancel through sooner, larger ones
 * are faster. Default: 512; fewer on iOS, and with a memory limit of the load, where more would not fit.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_options_set_prefill_chunk(struct rmlx_session_options *options,
                                                   size_t tokens,
                                                   rmlx_error **error);

/**
 * Keeps the states of at most `count` earlier positions. Where layers have a sliding window, as in Gemma, a session cannot
 * go back further than that window by itself: a conversation that differs from the last one before it would be evaluated
 * from its beginning. So the state is kept where the last turn begins, and at places before it, the further back the
 * fewer: an edit of an older turn then evaluates about as much as lies behind it. Each takes the memory of the windows
 * (rmlx_stats.checkpoint_bytes has all); rmlx_memory_trim gives up all but the last turn's. Default: 8; fewer on iOS,
 * and with a memory limit of the load, where more would not fit. 0 keeps none. Models without windows need and keep none.
 *
 * Errors: INVALID_ARGUMENT (NULL).
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_options_set_checkpoints(struct rmlx_session_options *options,
                                                 size_t count,
                                                 rmlx_error **error);

/**
 * Leaves out the oldest turns of a conversation that does not fit into the context, in place of CONTEXT_FULL. A turn is a
 * message of the user and all that follows it up to the next one, calls of tools and their results included. System
 * messages stay, and so do the last `turns` turns: where these do not fit either, it is CONTEXT_FULL as ever. Media of
 * turns that are left out go with them. What is evaluated is what the template makes of the shortened conversation; your
 * prompt is not changed, and rmlx_stats.dropped_messages says how many messages of it were left out.
 *
 * A conversation does not fit if it leaves less for the answer than rmlx_generation_options_set_max_tokens says, or than
 * a quarter of the context. Half of the context is made free at once if there are turns to leave out, so that the submits
 * that follow, which begin where this one did, find what they begin with evaluated. Answers before
 * that are not kept as they were generated (rmlx_generation_options_set_exact_history), but as the template has them.
 * Prompts of raw tokens are never shortened. Default: no turn is left out.
 *
 * Errors: INVALID_ARGUMENT (0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_options_set_keep_turns(struct rmlx_session_options *options,
                                                size_t turns,
                                                rmlx_error **error);

/* Events: what a session delivers ------------------------------------------------------------------------ */

/**
 * One step of an answer.
 *
 * Immutable: any number of threads may read it.
 *
 * Lifetime: yours, until rmlx_event_release, and independent of the session's. What its functions
 * return belongs to it.
 */
typedef struct rmlx_event rmlx_event;

/**
 * What an event is about: one of RMLX_EVENT_*.
 *
 * A host should pass over kinds that it does not know: later versions may add some, and deliver them only to a host that asked for them by an option.
 */
typedef int32_t rmlx_event_type;

/** Why an answer ended: one of RMLX_FINISH_*. Later versions may add reasons. */
typedef int32_t rmlx_finish_reason;

/** One token of the answer, with its text, which may be empty. */
#define RMLX_EVENT_TEXT 1

/** One token of what the model thinks before it answers, with its text, which may be empty. */
#define RMLX_EVENT_REASONING 2

/**
 * One token of what may be a call of a tool. Only where it ends it is known to be one: the event of its
 * last token has the whole call (rmlx_event_tool_call_name), and as its text the call as the model
 * spelled it; the events before have neither, but show the call as it comes
 * (rmlx_event_tool_call_delta). What turns out to be no call comes as TEXT, spelled as it was.
 */
#define RMLX_EVENT_TOOL_CALL 3

/** More of the prompt has been evaluated (rmlx_event_progress). */
#define RMLX_EVENT_PROGRESS 4

/** The answer has ended (rmlx_event_finish_reason): the one last event of a submit. */
#define RMLX_EVENT_FINISH 5

/** It has not: this is no FINISH event. */
#define RMLX_FINISH_NONE 0

/** The model ended its turn. */
#define RMLX_FINISH_END_OF_TURN 1

/** The most tokens that the options allow were generated. */
#define RMLX_FINISH_MAX_TOKENS 2

/** A stop string appeared. */
#define RMLX_FINISH_STOP_STRING 3

/** The host cancelled. */
#define RMLX_FINISH_CANCELLED 4

/** The context has no position left. */
#define RMLX_FINISH_CONTEXT_FULL 5

/** Something failed: see rmlx_event_error. */
#define RMLX_FINISH_ERROR 6

/** The model ended its turn, in which it called tools: run them, add their results, and submit again. */
#define RMLX_FINISH_TOOL_CALLS 7

/** A stop token appeared (rmlx_generation_options_add_stop_token). */
#define RMLX_FINISH_STOP_TOKEN 8

/**
 * The most tokens were generated, or the context was full, before the answer was complete by its
 * constraint or the call that was required: what there is of it is cut, and JSON does not parse.
 */
#define RMLX_FINISH_CONSTRAINT_CUT 9

/** It went round in a circle (rmlx_generation_options_set_loop_detection). */
#define RMLX_FINISH_LOOP 10

/** The prompt has been evaluated, and no answer was asked for (rmlx_session_prefill). */
#define RMLX_FINISH_PREFILLED 11

/**
 * What an event is about.
 *
 * Returns: one of RMLX_EVENT_*; 0 for NULL.
 *
 * Since: 0.1
 */
rmlx_event_type rmlx_event_kind(const struct rmlx_event *event);

/**
 * The text that an event adds to the answer: always whole UTF-8 characters. It may be empty, when a
 * character is not complete or a stop string may have begun; a later event then brings what was held
 * back. A FINISH event may bring the last of it.
 *
 * - `out_len`: gets its length in bytes; or NULL. The text also has a NUL after it.
 *
 * Returns: a text that lives as long as the event; "" for NULL and for events without a text.
 *
 * Since: 0.1
 */
const char *rmlx_event_text(const struct rmlx_event *event, size_t *out_len);

/**
 * The name of the tool of a call that is whole with this event, NUL-terminated. A U+0000 in it is
 * U+FFFD.
 *
 * Returns: a text that lives as long as the event; NULL for NULL, and for an event that completes no
 * call.
 *
 * Since: 0.1
 */
const char *rmlx_event_tool_call_name(const struct rmlx_event *event);

/**
 * By what the result names a call (rmlx_prompt_begin_tool_result), NUL-terminated: nine letters and
 * digits that rmlx makes up.
 *
 * Returns: as rmlx_event_tool_call_name.
 *
 * Since: 0.1
 */
const char *rmlx_event_tool_call_id(const struct rmlx_event *event);

/**
 * The arguments of a call: a JSON object, NUL-terminated. They are valid JSON; that they are what the
 * tool declares is not checked.
 *
 * Returns: as rmlx_event_tool_call_name.
 *
 * Since: 0.1
 */
const char *rmlx_event_tool_call_arguments(const struct rmlx_event *event);

/**
 * What a token adds to the arguments of a call that is being made, to be shown as it comes.
 *
 * The first event that has it begins the call: the tool's name is known. All of one call together are its
 * arguments, which come whole with its end (rmlx_event_tool_call_arguments). Until then the call is a
 * draft, and nothing to act upon: what turns out to be no call is followed by an event of another kind
 * with its spelling, and then its draft is to be forgotten.
 *
 * - `out_id`, `out_name`: get the call's id and name as the whole call will have them, texts that live as
 *   long as the event; or NULL
 *
 * Returns: a piece of JSON, NUL-terminated and often "", that lives as long as the event; NULL for NULL,
 * and for an event of no call or of one whose name is not known yet.
 *
 * Since: 0.1
 */
const char *rmlx_event_tool_call_delta(const struct rmlx_event *event,
                                       const char **out_id,
                                       const char **out_name);

/**
 * The token of a TEXT, REASONING or TOOL_CALL event.
 *
 * - `out_token`: gets its id, if there is one; or NULL
 *
 * Returns: whether the event has a token; false for NULL.
 *
 * Since: 0.1
 */
bool rmlx_event_token(const struct rmlx_event *event, uint32_t *out_token);

/**
 * The natural logarithm of the probability of an event's token, before any option had its effect.
 *
 * - `out_logprob`: gets it, if there is one; or NULL
 *
 * Returns: whether there is one: rmlx_generation_options_set_top_logprobs asks for it. False for NULL.
 *
 * Since: 0.1
 */
bool rmlx_event_logprob(const struct rmlx_event *event, float *out_logprob);

/**
 * How many of the likeliest tokens at its place an event lists, the likeliest first.
 *
 * Returns: 0 for NULL.
 *
 * Since: 0.1
 */
size_t rmlx_event_top_logprob_count(const struct rmlx_event *event);

/**
 * One of the likeliest tokens at an event's place.
 *
 * - `index`: 0 for the likeliest
 * - `out_token`, `out_logprob`: get its id and the natural logarithm of its probability; or NULL
 *
 * Returns: whether there are so many; false for NULL.
 *
 * Since: 0.1
 */
bool rmlx_event_top_logprob(const struct rmlx_event *event,
                            size_t index,
                            uint32_t *out_token,
                            float *out_logprob);

/**
 * The text of one of the likeliest tokens at an event's place, NUL-terminated; bytes that make no
 * whole character are U+FFFD in it.
 *
 * - `index`: 0 for the likeliest
 *
 * Returns: a text that lives as long as the event; "" for NULL and if there are not so many.
 *
 * Since: 0.1
 */
const char *rmlx_event_top_logprob_text(const struct rmlx_event *event, size_t index);

/**
 * How far the evaluation of the prompt is.
 *
 * - `out_done`, `out_total`: get its tokens that are evaluated and all of its tokens; or NULL
 *
 * Returns: whether this is a PROGRESS event; false for NULL.
 *
 * Since: 0.1
 */
bool rmlx_event_progress(const struct rmlx_event *event, size_t *out_done, size_t *out_total);

/**
 * Why the answer ended.
 *
 * Returns: one of RMLX_FINISH_*; RMLX_FINISH_NONE if this is no FINISH event, and for NULL.
 *
 * Since: 0.1
 */
rmlx_finish_reason rmlx_event_finish_reason(const struct rmlx_event *event);

/**
 * What failed, for a FINISH event of RMLX_FINISH_ERROR.
 *
 * Returns: an error that belongs to the event (do not release it); NULL for any other event and for
 * NULL.
 *
 * Since: 0.1
 */
const rmlx_error *rmlx_event_error(const struct rmlx_event *event);

/**
 * Releases an event. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_event_release(struct rmlx_event *event);

/* Sessions ----------------------------------------------------------------------------------------------- */

/**
 * One conversation with a model: it holds what was evaluated so far, and at most one answer in the
 * making.
 *
 * Any thread may call any function, one at a time: while one runs, another one returns RMLX_ERROR_BUSY
 * at once. Only rmlx_session_cancel works at any time. Release it when no function runs on it any
 * more.
 *
 * Lifetime: yours, until rmlx_session_release. It holds a reference to its model.
 */
typedef struct rmlx_session rmlx_session;

/**
 * Makes a session.
 *
 * - `options`: or NULL for the defaults
 * - `out`: gets the session, for you to release
 *
 * Errors: OUT_OF_MEMORY (its context does not fit into the memory limit of the load); BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_new(const rmlx_model *model,
                             const rmlx_session_options *options,
                             struct rmlx_session **out,
                             rmlx_error **error);

/**
 * Releases a session; an answer in the making is stopped. NULL is fine. No other function may be
 * running on it.
 *
 * Since: 0.1
 */
void rmlx_session_release(struct rmlx_session *session);

/**
 * Forgets everything that the session holds. An answer in the making is dropped: it delivers no
 * further event. This also makes a poisoned session usable again.
 *
 * Errors: BUSY; BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_reset(struct rmlx_session *session, rmlx_error **error);

/**
 * Begins to answer a conversation.
 *
 * The whole conversation is passed each time; its longest beginning that the session already holds,
 * media included, is not evaluated again (rmlx_stats tells how long it was). This call renders,
 * tokenizes and checks it on the calling thread and returns; then rmlx_session_step delivers the
 * events, the last of which is the one FINISH.
 *
 * - `options`: or NULL for what the snapshot's generation_config.json says
 *
 * Errors: BUSY (the FINISH of the submit before has not been stepped); INVALID_PROMPT (the template
 * refuses the conversation, or a medium has no place); UNSUPPORTED (a medium that this model does not
 * understand); INVALID_MEDIA (one that its encoder cannot take); CONTEXT_FULL; OUT_OF_MEMORY (the system
 * has too little for this prompt); INVALID_ARGUMENT (an option out of range); CANCELLED; SUSPENDED;
 * BACKEND; POISONED. After an error the session is as it was before, and no event
 * follows.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_submit(struct rmlx_session *session,
                                const rmlx_prompt *prompt,
                                const rmlx_generation_options *options,
                                rmlx_error **error);

/**
 * Evaluates a conversation without answering it, so that an answer to it, or to one that begins like it, comes sooner:
 * what every conversation of an app begins with, or what the user has written so far.
 *
 * It goes on like rmlx_session_submit, with the same events to step: PROGRESS events if the options ask for them, and one
 * FINISH of RMLX_FINISH_PREFILLED, or of RMLX_FINISH_CANCELLED or RMLX_FINISH_ERROR. No token comes. Of the options only
 * those matter that say what the prompt is and what the events are. The template writes the opener of the answer as ever:
 * what the next conversation has in its place is evaluated again.
 *
 * - `options`: or NULL, as for the submit that is to follow
 *
 * Errors: those of rmlx_session_submit.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_prefill(struct rmlx_session *session,
                                 const rmlx_prompt *prompt,
                                 const rmlx_generation_options *options,
                                 rmlx_error **error);

/**
 * Makes a second session that has been through the same as this one: it holds the same positions, and has the same
 * options, last prompt, answer (rmlx_prompt_add_answer), logits and stats. From then on the two go their own ways, also at
 * the same time. It has no waker. A seed is of a submit, so both draw alike where both are submitted the same with it.
 *
 * Forking copies nothing and waits for nothing: the memory of what is held is shared. A session that goes on copies what
 * it writes to, once: then it takes about rmlx_stats.cache_bytes of its own.
 *
 * - `out_session`: gets the session, for you to release, in any order
 *
 * Errors: BUSY (the FINISH of the last submit has not been stepped); POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_fork(struct rmlx_session *session,
                              struct rmlx_session **out_session,
                              rmlx_error **error);

/**
 * Forgets what the session holds from position `positions` on (rmlx_session_prompt_tokens has the prompt's, and the
 * answer's follow). A submit does so by itself where its conversation differs; this is for a host that wants it sooner.
 *
 * Fewer positions may stay than were asked for: an image or a sound is never cut in two; and a model with a sliding
 * window cannot go back further than about the window, but to the nearest position whose state was kept
 * (rmlx_session_options_set_checkpoints), or to the beginning. What the next submit has between there and `positions` is
 * evaluated again. The last prompt and its answer are remembered nevertheless.
 *
 * - `positions`: at or behind the end of what is held, nothing is forgotten
 * - `out_kept`: gets how many positions are still held
 *
 * Errors: BUSY (the FINISH of the last submit has not been stepped); POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_truncate(struct rmlx_session *session,
                                  size_t positions,
                                  size_t *out_kept,
                                  rmlx_error **error);

/**
 * Blocks until the next event of the answer. While you hold it, the next one is already being
 * computed. While the library is suspended (rmlx_suspend), none is.
 *
 * An answer that ends early, by a cancel or by an error of the model, is no error of this call: its
 * FINISH event says so. Nothing follows the FINISH event: step again only after another submit.
 *
 * - `out_event`: gets the event, for you to release
 *
 * Errors: INVALID_ARGUMENT (there is nothing to step: no submit since the last FINISH event); BUSY;
 * POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_step(struct rmlx_session *session, rmlx_event **out_event, rmlx_error **error);

/**
 * Waits for the next event of the answer like rmlx_session_step, but not for longer than it is told.
 *
 * - `timeout_ms`: 0 does not wait
 * - `out_event`: gets the event, for you to release
 *
 * Errors: TIMEOUT (no event has come yet: the answer goes on, and nothing is lost); those of rmlx_session_step.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_step_timeout(struct rmlx_session *session,
                                      uint64_t timeout_ms,
                                      rmlx_event **out_event,
                                      rmlx_error **error);

/**
 * The next event of the answer if it is there already; never waits. rmlx_waker tells when it is worth a try.
 *
 * - `out_event`: gets the event, for you to release
 *
 * Errors: TIMEOUT (no event is there yet); those of rmlx_session_step.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_try_step(struct rmlx_session *session, rmlx_event **out_event, rmlx_error **error);

/**
 * Ends the answer in the making, wherever it is. Step on: after at most the event that was ready already comes
 * a FINISH of RMLX_FINISH_CANCELLED. From any thread, at any time, as often as you like; without an answer in the
 * making it does nothing. One that comes while rmlx_session_submit runs ends the answer that it starts. NULL is
 * fine.
 *
 * It may be called from a signal handler: it takes no lock and no memory, and leaves errno alone.
 *
 * The FINISH comes when the unit of work that is running has ended, whosever it is: a token, a piece of a prompt
 * (rmlx_session_options_set_prefill_chunk says how long they are), a medium, or a group of a load's tensors (64 MiB, or
 * one that is larger). On a slow CPU a piece of a prompt of a large model may take seconds.
 *
 * Since: 0.1
 */
void rmlx_session_cancel(struct rmlx_session *session);

/**
 * Adds the answer of the last submit to a conversation, as it came: a message of the role "assistant"
 * with its text, its thoughts and its tool calls. Where the answer continued the last message
 * (rmlx_prompt_set_continue_final_message), it is added to that, which is finished then. What the next
 * prompt has of it is the chat template's matter.
 *
 * - `prompt`: the one that was submitted, or one that says the same
 *
 * Errors: INVALID_ARGUMENT (nothing was submitted since the session was made or reset, or the last conversation was only
 * evaluated, by rmlx_session_prefill); BUSY (the
 * answer's FINISH event has not been stepped); POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_prompt_add_answer(rmlx_prompt *prompt,
                                   struct rmlx_session *session,
                                   rmlx_error **error);

/**
 * Copies the logits that the token of the last event was sampled from, as the model gave them: one
 * number for each id of the vocabulary, before any option had its effect.
 *
 * - `out`, `capacity`, `out_count`: the array protocol (see the top of this file)
 *
 * Errors: INVALID_ARGUMENT (no token since the last submit; too little room); BUSY; SUSPENDED; POISONED;
 * BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_logits(struct rmlx_session *session,
                                float *out,
                                size_t capacity,
                                size_t *out_count,
                                rmlx_error **error);

/**
 * Copies the token ids of the last prompt as they were evaluated, with those of its media in their
 * places.
 *
 * - `out`, `capacity`, `out_count`: the array protocol (see the top of this file); before the first
 *   submit, and after a reset, there are 0
 *
 * Errors: INVALID_ARGUMENT (too little room); BUSY; POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_prompt_tokens(struct rmlx_session *session,
                                       uint32_t *out,
                                       size_t capacity,
                                       size_t *out_count,
                                       rmlx_error **error);

/* Sessions in files and in the host's memory ------------------------------------------------------------- */

/**
 * Writes what the session holds to a file, for rmlx_session_load: the tokens, what was evaluated of them, and which
 * images and sounds are among them, but not their pixels and samples. docs/saved-sessions.md has the format.
 *
 * The file appears whole or not at all: after an error, what was there before still is. The session stays as it is.
 * Blocks until the bytes are on the disk; other sessions go on meanwhile.
 *
 * The file says what was said in the conversation to whoever can read it. It gets the permissions of the file that it
 * replaces, or those of any new file.
 *
 * - `path_utf8`: where to; NUL-terminated
 *
 * Errors: BUSY (the FINISH of the last submit has not been stepped); NOT_FOUND (no such folder); IO; SUSPENDED (only
 * where the rows are in the memory of a CUDA device, since it would have to copy them); POISONED; BACKEND; OUT_OF_MEMORY;
 * INVALID_ARGUMENT.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_save(rmlx_session *session,
                              const char *path_utf8,
                              rmlx_error **error);

/**
 * Writes to memory what rmlx_session_save writes to a file.
 *
 * - `out`, `capacity`, `out_count`: the array protocol (see the top of this file), in bytes. As long as the session is
 *   not used, their number stays the same.
 *
 * Errors: INVALID_ARGUMENT (too little room); BUSY, SUSPENDED, POISONED and BACKEND as rmlx_session_save.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_save_to_buffer(rmlx_session *session,
                                        uint8_t *out,
                                        size_t capacity,
                                        size_t *out_count,
                                        rmlx_error **error);

/**
 * Makes a session of a file that rmlx_session_save wrote, for the same model: a later submit evaluates only what comes
 * after the beginning that it shares with what was saved, and encodes no image or sound that is in there.
 *
 * What was told of the last submit (rmlx_stats but held_tokens and cache_bytes, rmlx_session_logits,
 * rmlx_session_prompt_tokens, rmlx_prompt_add_answer) is not saved. Seeds and penalties begin anew with each submit
 * anyway. The options of the session are those that are given here. It works while the library is suspended.
 *
 * - `options`: or NULL for the defaults
 * - `path_utf8`: where it is; NUL-terminated. Only a regular file is read.
 * - `out`: gets the session, for you to release
 *
 * Errors: NOT_FOUND; IO; INVALID_SAVE, whose detail "fault" is one of "format" (it is no saved session), "version" (of
 * another version of the format), "snapshot", "template" (saved from another snapshot, or with another chat template),
 * "dtype" (on a device where the model computes with other numbers), "layers", or "damaged" (truncated or changed);
 * CONTEXT_FULL (it holds more than the context of the options); OUT_OF_MEMORY; BACKEND. Where it cannot be loaded, a new
 * session and the whole conversation do the same, with more work.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_load(const rmlx_model *model,
                              const rmlx_session_options *options,
                              const char *path_utf8,
                              rmlx_session **out,
                              rmlx_error **error);

/**
 * Makes a session of bytes that rmlx_session_save_to_buffer or rmlx_session_save wrote; otherwise like
 * rmlx_session_load. They are copied.
 *
 * - `bytes`, `len`: what was written, all of it
 *
 * Errors: those of rmlx_session_load but NOT_FOUND and IO.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_load_from_buffer(const rmlx_model *model,
                                          const rmlx_session_options *options,
                                          const void *bytes,
                                          size_t len,
                                          rmlx_session **out,
                                          rmlx_error **error);

/* A whole answer in one call ----------------------------------------------------------------------------- */

/**
 * Answers one text, in a session of its own: the simplest use. It blocks until the answer is whole.
 *
 * Only what is said comes back, neither thoughts nor tool calls. For an answer as it is made, media, a longer
 * conversation, or to stop: rmlx_session_submit.
 *
 * - `utf8`, `len`: what the user says, and its bytes
 * - `options`: or NULL for what the snapshot's generation_config.json says
 * - `out_utf8`: gets the answer, NUL-terminated, for you to release with rmlx_string_release
 * - `out_len`: gets its length in bytes without the NUL; or NULL. The text itself may hold a NUL.
 *
 * Errors: INVALID_ARGUMENT (not UTF-8, or an option out of range); INVALID_PROMPT; CONTEXT_FULL;
 * SUSPENDED; CANCELLED; OUT_OF_MEMORY; BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_respond_text(const rmlx_model *model,
                              const char *utf8,
                              size_t len,
                              const rmlx_generation_options *options,
                              char **out_utf8,
                              size_t *out_len,
                              rmlx_error **error);

/* Waiting for many sessions in one place ----------------------------------------------------------------- */

/**
 * A file descriptor that is readable while sessions have something to step, for an event loop: poll, epoll, kqueue,
 * libuv, or a DispatchSource in Swift. One thread can so go through any number of answers: it polls until
 * rmlx_waker_fd is readable, takes the tags of the sessions that have something (rmlx_waker_take), and calls
 * rmlx_session_try_step on each of them, once. examples/c/event_loop.c is such a program.
 *
 * Thread-safe.
 *
 * Lifetime: reference-counted. rmlx_waker_new gives you one reference; a session that uses it has its own.
 */
typedef struct rmlx_waker rmlx_waker;

/**
 * Makes a waker.
 *
 * - `out`: gets a reference for you
 *
 * Errors: OUT_OF_MEMORY (the process has no file descriptor left; it takes two).
 *
 * Since: 0.1
 */
rmlx_status rmlx_waker_new(struct rmlx_waker **out, rmlx_error **error);

/**
 * The file descriptor, which is readable exactly while rmlx_waker_take has tags to give. Wait for it as you like, but do
 * not read from it, write to it or close it.
 *
 * Returns: a descriptor that lives as long as the waker; -1 for NULL.
 *
 * Since: 0.1
 */
int32_t rmlx_waker_fd(const struct rmlx_waker *waker);

/**
 * Takes the tags of sessions that have something to step. Each of them is given once; one that still has an event after
 * you have stepped one is given again. Never waits.
 *
 * - `out_tags`, `capacity`: room for the tags
 * - `out_count`: gets how many were written. Those that there was no room for come with the next call
 *
 * Errors: INVALID_ARGUMENT (`capacity` is 0).
 *
 * Since: 0.1
 */
rmlx_status rmlx_waker_take(const struct rmlx_waker *waker,
                            uint64_t *out_tags,
                            size_t capacity,
                            size_t *out_count,
                            rmlx_error **error);

/**
 * Lets a waker tell when a session has something to step, at once if it has. It holds from one answer to the next, until
 * another call of this or the session's release; after that the tag is not given any more.
 *
 * - `waker`: or NULL, to be told by none
 * - `tag`: what rmlx_waker_take gives for this session: a number or a pointer of yours
 *
 * Errors: BUSY; POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_set_waker(rmlx_session *session,
                                   const struct rmlx_waker *waker,
                                   uint64_t tag,
                                   rmlx_error **error);

/**
 * Adds a reference.
 *
 * Returns: `waker`; NULL for NULL.
 *
 * Since: 0.1
 */
struct rmlx_waker *rmlx_waker_retain(const struct rmlx_waker *waker);

/**
 * Gives a reference back. NULL is fine.
 *
 * Since: 0.1
 */
void rmlx_waker_release(struct rmlx_waker *waker);

/* Numbers of a session ----------------------------------------------------------------------------------- */

/**
 * Numbers of a session's last submit; they grow while it runs. Times are milliseconds of wall clock.
 *
 * Set struct_size before the call.
 */
typedef struct rmlx_stats {
    /** sizeof(rmlx_stats) */
    size_t struct_size;
    /** Positions of the prompt, those of its media included. */
    uint64_t prompt_tokens;
    /** How many of them the session already held, and did not evaluate again. */
    uint64_t reused_tokens;
    /** Tokens of the answer so far. */
    uint64_t generated_tokens;
    /** Positions of the prompt's images and sounds. */
    uint64_t media_tokens;
    /** Positions that the session holds now. */
    uint64_t held_tokens;
    /** Bytes that it takes to hold them. */
    uint64_t cache_bytes;
    /** Rendering, tokenizing and placing, on the thread that submitted. */
    double prepare_ms;
    /** Image and sound encoders. */
    double encode_ms;
    /** Evaluation of the prompt, up to the first token. */
    double prefill_ms;
    /** From submit to the first token. */
    double first_token_ms;
    /** From the first to the last token. */
    double decode_ms;
    /**
     * How many images, sounds and frames of the prompt were encoded. The others were held by the
     * session, or kept by the model (see rmlx_load_options_set_media_cache).
     */
    uint64_t encoded_media;
    /**
     * Bytes of the states of earlier positions that are kept to come back to
     * (rmlx_session_options_set_checkpoints), when the last submit had ended. Forks share them.
     */
    uint64_t checkpoint_bytes;
    /**
     * Messages of the conversation that were left out so that it fits
     * (rmlx_session_options_set_keep_turns): the oldest of those that are not the system's.
     */
    uint64_t dropped_messages;
    /** Tokens that were proposed and evaluated (rmlx_generation_options_set_speculation). */
    uint64_t drafted_tokens;
    /** Tokens of the answer that had been proposed, and took no pass of their own. */
    uint64_t accepted_tokens;
} rmlx_stats;

/**
 * Fills in the numbers of a session's last submit. This never waits for a running answer.
 *
 * - `inout_stats`: its struct_size set; the other fields are written
 *
 * Errors: INVALID_ARGUMENT (wrong struct_size); POISONED.
 *
 * Since: 0.1
 */
rmlx_status rmlx_session_stats(rmlx_session *session, struct rmlx_stats *inout_stats, rmlx_error **error);

/* Memory of the whole process that MLX manages ----------------------------------------------------------- */

/**
 * Bytes that MLX manages for all models and sessions of the process.
 *
 * Set struct_size before the call.
 */
typedef struct rmlx_memory_usage {
    /** sizeof(rmlx_memory_usage) */
    size_t struct_size;
    /** In use: weights, what sessions hold, and what is being computed. */
    uint64_t active;
    /** Not in use, kept to be used again. */
    uint64_t cache;
    /** The most that was ever in use. */
    uint64_t peak;
    /** Above this, MLX gives its cache back and waits for running work before it takes more. */
    uint64_t limit;
    /**
     * Of what is in use: encoded images and sounds that models keep, so that they need not encode them
     * again.
     */
    uint64_t media;
} rmlx_memory_usage;

/**
 * Fills in how much memory is used.
 *
 * - `inout_usage`: its struct_size set; the other fields are written
 *
 * Errors: INVALID_ARGUMENT (wrong struct_size); SUSPENDED (before the first model only); BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_memory_stats(struct rmlx_memory_usage *inout_usage, rmlx_error **error);

/**
 * Sets how much memory MLX may use and keep, for all models and sessions of the process.
 *
 * - `memory_bytes`: above this, it gives its cache back and waits for running work before it takes
 *   more; UINT64_MAX leaves the limit as it is. Default: MLX's own, from the memory of the GPU or of
 *   the machine
 * - `cache_bytes`: what it keeps to be used again; UINT64_MAX leaves the limit as it is. Default: 32 MiB
 *   on iOS, where an app is ended that takes too much; on macOS an eighth of what the GPU should use at
 *   most; elsewhere MLX's own
 *
 * Errors: SUSPENDED (before the first model only); BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_memory_set_limits(uint64_t memory_bytes, uint64_t cache_bytes, rmlx_error **error);

/**
 * Sets how much of the GPU's memory stays wired, so that the system does not page out the weights in a
 * pause. Only Metal has such a limit; elsewhere this has no effect.
 *
 * - `bytes`: UINT64_MAX for the default, which on macOS is the weights of all models and an eighth more,
 *   as far as the GPU should use, and on iOS nothing
 *
 * Errors: SUSPENDED (before the first model only); BACKEND (more than the GPU should use).
 *
 * Since: 0.1
 */
rmlx_status rmlx_memory_set_wired_limit(uint64_t bytes, rmlx_error **error);

/**
 * Gives the memory that MLX keeps to be used again back to the system, the encoded images and sounds that
 * models keep, and what sessions keep of the positions before their last turn
 * (rmlx_session_options_set_checkpoints), for example when the system warns that memory is short.
 *
 * Errors: SUSPENDED (before the first model only); BACKEND.
 *
 * Since: 0.1
 */
rmlx_status rmlx_memory_trim(rmlx_error **error);

/* Pausing all work of the process ------------------------------------------------------------------------ */

/**
 * Pauses all work of models, for systems that end a program which works where it may not: iOS does so with an app that
 * uses the GPU in the background. Returns when no work is in flight (on a GPU, its last command has finished) and none
 * will begin before rmlx_resume.
 *
 * Meanwhile
 *  - answers in the making stay as they are, between two tokens, two pieces of a prompt, or two media. rmlx_session_step
 *    gives the events that are there already and then waits for rmlx_resume; rmlx_session_step_timeout and
 *    rmlx_session_try_step answer TIMEOUT;
 *  - rmlx_session_submit, rmlx_session_logits and rmlx_probe answer SUSPENDED and change nothing;
 *  - rmlx_model_load waits, between two groups of tensors if it has begun;
 *  - everything else works as ever: it needs no work. Sessions can be made, reset and released, answers be cancelled (their
 *    FINISH comes) and memory be given back, except that a host which has loaded no model yet gets SUSPENDED from the
 *    functions for memory.
 *
 * It is not counted: calls of it are alike to one, and one rmlx_resume ends them all. From any thread, at any time, before
 * the first model is loaded too; not from a signal handler.
 *
 * - `deadline_ms`: how long to wait for the work that runs: a token, a piece of a prompt, a medium, or a group of tensors
 *   (64 MiB, or one that is larger); 0 does not wait
 * - `out_running`: or NULL; gets the number of units of work that still run: 0, and with TIMEOUT 1
 *
 * Errors: TIMEOUT (the work did not end in time; the pause holds nevertheless, from when it has ended, and the call can be
 * made again to wait for that); CANCELLED (rmlx_resume was called meanwhile).
 *
 * Since: 0.1
 */
rmlx_status rmlx_suspend(uint64_t deadline_ms,
                         uint32_t *out_running,
                         rmlx_error **error);

/**
 * Ends what rmlx_suspend began: answers and loads go on, with the tokens that would have come without the pause. Where
 * nothing is suspended it does nothing.
 *
 * Errors: none of its own.
 *
 * Since: 0.1
 */
rmlx_status rmlx_resume(rmlx_error **error);

/* The smoke probe ---------------------------------------------------------------------------------------- */

/**
 * Asks the model "What is the capital of France?" and judges the answer: a quick look whether a
 * snapshot works at all, on this machine. It makes a session of its own, and takes as long as a short
 * answer.
 *
 * - `out_json`: gets a JSON object for you to release with rmlx_string_release. "verdict" is "Ok",
 *   "BrokenNan" (logits that are no numbers), "BrokenLoop" (the same token over and over) or
 *   "Inconclusive"; "text" and "tokens" are the answer; "image_changes_logits" says whether a model
 *   that sees does see. "backend" is what is known of MLX on the model's device: whether all is
 *   "correct", and for each operation and storage in "checks" how far it was from plain arithmetic
 *   ("worst", in units of the root mean square) or its "failure".
 *
 * Errors: those of rmlx_session_submit; BACKEND; OUT_OF_MEMORY. A broken model is no error.
 *
 * Since: 0.1
 */
rmlx_status rmlx_probe(const rmlx_model *model, char **out_json, rmlx_error **error);

#ifdef __cplusplus
}
#endif


#endif  /* RMLX_H */
