/* Objects released in every order: children keep their parents alive, and nothing is used after its end (which
 * AddressSanitizer would see) or left behind (which LeakSanitizer would). */

#include "check.h"

enum { MODEL, SESSION, PROMPT, IMAGE, OPTIONS, EVENT, KINDS };

typedef struct {
    rmlx_model *model;
    rmlx_session *session;
    rmlx_prompt *prompt;
    rmlx_media *image;
    rmlx_generation_options *options;
    rmlx_event *event;
} objects;

static void release(objects *o, int kind) {
    switch (kind) {
    case MODEL:
        rmlx_model_release(o->model);
        break;
    case SESSION:
        rmlx_session_release(o->session);
        break;
    case PROMPT:
        rmlx_prompt_release(o->prompt);
        break;
    case IMAGE:
        rmlx_media_release(o->image);
        break;
    case OPTIONS:
        rmlx_generation_options_release(o->options);
        break;
    case EVENT:
        CHECK(rmlx_event_kind(o->event) == RMLX_EVENT_TEXT && rmlx_event_text(o->event, NULL) != NULL);
        rmlx_event_release(o->event);
        break;
    default:
        CHECK(false);
    }
}

/* Everything at once, in the middle of an answer. */
static objects make(const rmlx_model *model, rmlx_media *image) {
    objects o = {.model = rmlx_model_retain(model), .image = rmlx_media_retain(image)};
    o.session = new_session(model);
    o.prompt = text_prompt("What is this?");
    CHECK_OK(rmlx_prompt_add_media(o.prompt, image, &error));
    o.options = greedy(4);
    CHECK_OK(rmlx_session_submit(o.session, o.prompt, o.options, &error));
    CHECK_OK(rmlx_session_step(o.session, &o.event, &error));
    return o;
}

/* Runs through the orders of releases, by Heap's algorithm. All 720 would take long under a sanitizer, so it tries one in
 * 23, and checks that each object is then the first in some order and the last in another. */
static void every_order(const rmlx_model *model, rmlx_media *image) {
    int order[KINDS], counters[KINDS] = {0};
    bool first[KINDS] = {false}, last[KINDS] = {false};
    for (int i = 0; i < KINDS; i++)
        order[i] = i;
    for (int i = 0, runs = 0; i < KINDS;) {
        if (i == 0) {
            if (runs++ % 23 == 0) {
                objects o = make(model, image);
                first[order[0]] = last[order[KINDS - 1]] = true;
                for (int k = 0; k < KINDS; k++)
                    release(&o, order[k]);
            }
            i = 1;
        }
        if (counters[i] < i) {
            int other = i % 2 == 0 ? 0 : counters[i];
            int swapped = order[other];
            order[other] = order[i];
            order[i] = swapped;
            counters[i]++;
            i = 0;
        } else {
            counters[i++] = 0;
        }
    }
    for (int k = 0; k < KINDS; k++)
        CHECK(first[k] && last[k]);
}

/* The last reference to a model may be a session's. */
static void a_session_holds_its_model(void) {
    rmlx_model *model = load_model();
    rmlx_session *session = new_session(model);
    rmlx_model_release(model);
    check_usable(session);
    rmlx_session_release(session);
}

/* What a submit took is its own. */
static void a_submit_takes_copies(const rmlx_model *model) {
    rmlx_session *session = new_session(model);
    rmlx_media *sound = load_audio("media/gap.wav");
    rmlx_prompt *prompt = text_prompt("What do you hear?");
    CHECK_OK(rmlx_prompt_add_media(prompt, sound, &error));
    rmlx_media_release(sound);
    rmlx_generation_options *options = greedy(5);
    CHECK_OK(rmlx_session_submit(session, prompt, options, &error));
    CHECK_OK(rmlx_generation_options_set_max_tokens(options, 1, &error));
    CHECK_OK(rmlx_prompt_begin_message(prompt, "assistant", &error));
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    answer a;
    step_to_finish(session, &a);
    CHECK(a.count == 5 && a.reason == RMLX_FINISH_MAX_TOKENS);
    rmlx_session_release(session);
}

static void references_are_counted(const rmlx_model *model, rmlx_media *image) {
    for (int i = 0; i < 100; i++) {
        CHECK(rmlx_model_retain(model) == model);
        CHECK(rmlx_media_retain(image) == image);
    }
    for (int i = 0; i < 100; i++) {
        rmlx_model_release((rmlx_model *)model);
        rmlx_media_release(image);
    }
    CHECK(rmlx_media_kind(image) == RMLX_MEDIA_IMAGE);
    rmlx_cancel *cancel = rmlx_cancel_new();
    CHECK(cancel != NULL && rmlx_cancel_retain(cancel) == cancel);
    rmlx_cancel_release(cancel);
    rmlx_load_options *options = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_cancel(options, cancel, &error));
    rmlx_cancel_trigger(cancel);
    rmlx_cancel_release(cancel);
    char *path = fixture("unified-bf16-mlx");
    rmlx_model *none = NULL;
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "cancel", rmlx_model_load(path, options, &none, &error));
    CHECK(none == NULL);
    free(path);
    rmlx_load_options_release(options);
}

/* Memory that models and sessions took is given back. */
static void memory_is_given_back(void) {
    rmlx_memory_usage before = {.struct_size = sizeof before}, after = before;
    CHECK_OK(rmlx_memory_trim(&error));
    CHECK_OK(rmlx_memory_stats(&before, &error));
    rmlx_model *model = load_model();
    rmlx_session *session = new_session(model);
    check_usable(session);
    CHECK_OK(rmlx_memory_stats(&after, &error));
    CHECK(after.active > before.active + 1000000);
    rmlx_session_release(session);
    rmlx_model_release(model);
    CHECK_OK(rmlx_memory_trim(&error));
    CHECK_OK(rmlx_memory_stats(&after, &error));
    CHECK(after.active <= before.active && after.cache <= before.cache + 65536);
    CHECK_OK(rmlx_memory_set_limits(UINT64_MAX, 64 << 20, &error));
    CHECK_OK(rmlx_memory_set_limits(after.limit, UINT64_MAX, &error));
    CHECK_OK(rmlx_memory_set_wired_limit(0, &error));
}

int main(void) {
    memory_is_given_back();
    rmlx_model *model = load_model();
    rmlx_media *image = load_image("media/tall.png");
    references_are_counted(model, image);
    a_session_holds_its_model();
    a_submit_takes_copies(model);
    every_order(model, image);
    rmlx_media_release(image);
    rmlx_model_release(model);
    return 0;
}
