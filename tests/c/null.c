/* NULL for every pointer of every function: refused by name where it may not be, harmless where it may. */

#include "check.h"

#define REFUSED(name, call) CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`" name "` is NULL", call)

static void functions_without_a_status(void) {
    CHECK(!rmlx_has_feature(NULL));
    CHECK(rmlx_error_code(NULL) == RMLX_OK);
    CHECK(strcmp(rmlx_error_message(NULL), "") == 0);
    CHECK(strcmp(rmlx_error_details_json(NULL), "{}") == 0);
    rmlx_error_release(NULL);
    rmlx_string_release(NULL);
    rmlx_cancel_trigger(NULL);
    CHECK(rmlx_cancel_retain(NULL) == NULL);
    rmlx_cancel_release(NULL);
    rmlx_load_options_release(NULL);
    rmlx_media_options_release(NULL);
    CHECK(rmlx_media_retain(NULL) == NULL);
    rmlx_media_release(NULL);
    CHECK(rmlx_media_kind(NULL) == 0);
    CHECK(rmlx_image_width(NULL) == 0 && rmlx_image_height(NULL) == 0);
    CHECK(rmlx_audio_seconds(NULL) == 0);
    CHECK(rmlx_audio_lost_seconds(NULL) == 0);
    rmlx_prompt_release(NULL);
    rmlx_generation_options_release(NULL);
    CHECK(rmlx_model_retain(NULL) == NULL);
    rmlx_model_release(NULL);
    rmlx_session_options_release(NULL);
    rmlx_session_release(NULL);
    rmlx_session_cancel(NULL);
}

static void events(void) {
    size_t len = 7;
    CHECK(rmlx_event_kind(NULL) == 0);
    CHECK(strcmp(rmlx_event_text(NULL, &len), "") == 0 && len == 0);
    CHECK(strcmp(rmlx_event_text(NULL, NULL), "") == 0);
    CHECK(!rmlx_event_token(NULL, &(uint32_t){0}) && !rmlx_event_token(NULL, NULL));
    CHECK(!rmlx_event_logprob(NULL, &(float){0}) && !rmlx_event_logprob(NULL, NULL));
    CHECK(rmlx_event_top_logprob_count(NULL) == 0);
    CHECK(!rmlx_event_top_logprob(NULL, 0, NULL, NULL));
    CHECK(strcmp(rmlx_event_top_logprob_text(NULL, 0), "") == 0);
    CHECK(!rmlx_event_progress(NULL, NULL, NULL));
    CHECK(rmlx_event_finish_reason(NULL) == RMLX_FINISH_NONE);
    CHECK(rmlx_event_error(NULL) == NULL);
    CHECK(rmlx_event_tool_call_name(NULL) == NULL && rmlx_event_tool_call_id(NULL) == NULL);
    CHECK(rmlx_event_tool_call_arguments(NULL) == NULL);
    CHECK(rmlx_event_tool_call_delta(NULL, &(const char *){NULL}, NULL) == NULL);
    rmlx_event_release(NULL);
}

static void options(void) {
    REFUSED("options", rmlx_load_options_set_device(NULL, RMLX_DEVICE_CPU, &error));
    REFUSED("options", rmlx_load_options_set_weights(NULL, RMLX_WEIGHTS_READ, &error));
    REFUSED("options", rmlx_load_options_set_cache_type(NULL, RMLX_CACHE_F16, &error));
    REFUSED("options", rmlx_load_options_set_progress(NULL, NULL, NULL, NULL, &error));
    REFUSED("options", rmlx_load_options_set_cancel(NULL, NULL, &error));
    REFUSED("options", rmlx_load_options_set_memory_limit(NULL, 1, &error));
    REFUSED("options", rmlx_load_options_set_ignore_system_memory(NULL, true, &error));
    REFUSED("options", rmlx_load_options_set_context_length(NULL, 1, &error));
    REFUSED("options", rmlx_load_options_set_media_cache(NULL, 1, &error));
    REFUSED("options", rmlx_load_options_set_chat_template(NULL, "a", 1, &error));
    REFUSED("options", rmlx_load_options_set_group(NULL, RMLX_GROUP_AUTO, -1, 0, NULL, &error));
    REFUSED("options", rmlx_load_options_set_group_timeout(NULL, 1, &error));
    REFUSED("dir", rmlx_group_serve(NULL, NULL, &error));
    REFUSED("options", rmlx_group_serve("x", NULL, &error));
    REFUSED("options", rmlx_session_options_set_context_length(NULL, 1, &error));
    REFUSED("options", rmlx_session_options_set_prefill_chunk(NULL, 1, &error));
    REFUSED("options", rmlx_session_options_set_checkpoints(NULL, 1, &error));
    REFUSED("options", rmlx_session_options_set_keep_turns(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_max_tokens(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_temperature(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_top_k(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_top_p(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_min_p(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_repetition_penalty(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_presence_penalty(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_frequency_penalty(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_dry(NULL, 1, 1, 1, 1, &error));
    REFUSED("options", rmlx_generation_options_add_dry_breaker(NULL, "a", 1, &error));
    REFUSED("options", rmlx_generation_options_set_no_repeat_ngram(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_loop_detection(NULL, 2, 1, 1, &error));
    REFUSED("options", rmlx_generation_options_set_speculation(NULL, RMLX_SPECULATION_NONE, 0, &error));
    REFUSED("options", rmlx_generation_options_set_logits_processor(NULL, NULL, NULL, NULL, &error));
    REFUSED("options", rmlx_generation_options_set_seed(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_add_stop(NULL, "a", 1, &error));
    REFUSED("options", rmlx_generation_options_add_stop_token(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_thinking_budget(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_add_logit_bias(NULL, 1, 1, &error));
    REFUSED("options", rmlx_generation_options_set_top_logprobs(NULL, 1, &error));
    REFUSED("options", rmlx_generation_options_set_thinking(NULL, true, &error));
    REFUSED("options", rmlx_generation_options_set_exact_history(NULL, true, &error));
    REFUSED("options", rmlx_generation_options_set_ignore_eos(NULL, true, &error));
    REFUSED("options", rmlx_generation_options_set_progress_events(NULL, true, &error));
    rmlx_generation_options *o = rmlx_generation_options_new();
    REFUSED("utf8", rmlx_generation_options_add_stop(o, NULL, 1, &error));
    REFUSED("utf8", rmlx_generation_options_add_dry_breaker(o, NULL, 1, &error));
    CHECK_OK(rmlx_generation_options_set_logits_processor(o, NULL, NULL, NULL, &error));
    rmlx_generation_options_release(o);
    REFUSED("options", rmlx_media_options_set_max_pixels(NULL, 1, &error));
    REFUSED("options", rmlx_media_options_set_max_bytes(NULL, 1, &error));
    REFUSED("options", rmlx_media_options_set_max_seconds(NULL, 1, &error));
    REFUSED("options", rmlx_media_options_set_cancel(NULL, NULL, &error));
    rmlx_load_options *l = rmlx_load_options_new();
    CHECK_OK(rmlx_load_options_set_progress(l, NULL, NULL, NULL, &error));
    CHECK_OK(rmlx_load_options_set_cancel(l, NULL, &error));
    REFUSED("utf8", rmlx_load_options_set_chat_template(l, NULL, 1, &error));
    CHECK_OK(rmlx_load_options_set_chat_template(l, NULL, 0, &error));
    CHECK_OK(rmlx_load_options_set_group(l, RMLX_GROUP_AUTO, -1, 0, NULL, &error));
    rmlx_load_options_release(l);
    CHECK_OK(rmlx_set_log_callback(RMLX_LOG_INFO, NULL, NULL, NULL, &error));
}

static void media(void) {
    rmlx_media *out = NULL;
    const float sample = 0;
    const unsigned char pixel[4] = {0};
    rmlx_pixels desc = {.struct_size = sizeof desc, .size = 4, .width = 1, .height = 1, .format = RMLX_PIXELS_RGBA8};
    REFUSED("bytes", rmlx_image_from_encoded(NULL, 1, NULL, &out, &error));
    REFUSED("out", rmlx_image_from_encoded(pixel, 4, NULL, NULL, &error));
    REFUSED("desc", rmlx_image_from_pixels(NULL, &out, &error));
    REFUSED("desc.data", rmlx_image_from_pixels(&desc, &out, &error));
    desc.data = pixel;
    REFUSED("out", rmlx_image_from_pixels(&desc, NULL, &error));
    REFUSED("image", rmlx_image_with_soft_token_budget(NULL, 70, &out, &error));
    REFUSED("image", rmlx_image_with_pan_and_scan(NULL, true, &out, &error));
    REFUSED("image", rmlx_image_with_pixel_range(NULL, 1, 2, &out, &error));
    REFUSED("bytes", rmlx_audio_from_encoded(NULL, 1, NULL, &out, &error));
    REFUSED("path_utf8", rmlx_image_from_file(NULL, NULL, &out, &error));
    REFUSED("path_utf8", rmlx_audio_from_file(NULL, NULL, &out, &error));
    REFUSED("out", rmlx_image_from_file("a.png", NULL, NULL, &error));
    REFUSED("out", rmlx_audio_from_file("a.wav", NULL, NULL, &error));
    REFUSED("out", rmlx_audio_from_encoded(pixel, 4, NULL, NULL, &error));
    REFUSED("samples", rmlx_audio_from_pcm_f32(NULL, 1, 1, 16000, &out, &error));
    REFUSED("out", rmlx_audio_from_pcm_f32(&sample, 1, 1, 16000, NULL, &error));
    REFUSED("audio", rmlx_audio_with_split(NULL, true, &out, &error));
    REFUSED("model", rmlx_media_prepare(NULL, NULL, NULL, &out, &error));
    CHECK(rmlx_media_bytes(NULL) == 0);
    const double second = 1;
    REFUSED("frames", rmlx_video_from_frames(NULL, &second, 1, &out, &error));
    CHECK(out == NULL);
    CHECK_OK(rmlx_image_from_pixels(&desc, &out, &error));
    REFUSED("out", rmlx_image_with_soft_token_budget(out, 70, NULL, &error));
    REFUSED("out", rmlx_image_with_pan_and_scan(out, true, NULL, &error));
    REFUSED("out", rmlx_image_with_pixel_range(out, 1, 2, NULL, &error));
    const rmlx_media *frames[2] = {out, NULL};
    const double seconds[2] = {0, 1};
    REFUSED("timestamps_seconds", rmlx_video_from_frames(frames, NULL, 1, &out, &error));
    REFUSED("out", rmlx_video_from_frames(frames, seconds, 1, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "frames[1]", rmlx_video_from_frames(frames, seconds, 2, &out, &error));
    rmlx_media_release(out);
    CHECK_OK(rmlx_audio_from_pcm_f32(&sample, 1, 1, 16000, &out, &error));
    REFUSED("out", rmlx_audio_with_split(out, true, NULL, &error));
    rmlx_media_release(out);
}

static void prompts(void) {
    REFUSED("prompt", rmlx_prompt_begin_message(NULL, "user", &error));
    REFUSED("prompt", rmlx_prompt_add_text(NULL, "a", 1, &error));
    REFUSED("prompt", rmlx_prompt_add_media(NULL, NULL, &error));
    REFUSED("prompt", rmlx_prompt_set_tools_json(NULL, "[]", 2, &error));
    REFUSED("prompt", rmlx_prompt_set_template_vars_json(NULL, "{}", 2, &error));
    REFUSED("prompt", rmlx_prompt_set_tokens(NULL, NULL, 0, &error));
    rmlx_prompt *p = text_prompt("a");
    REFUSED("role", rmlx_prompt_begin_message(p, NULL, &error));
    REFUSED("utf8", rmlx_prompt_add_text(p, NULL, 1, &error));
    REFUSED("media", rmlx_prompt_add_media(p, NULL, &error));
    REFUSED("prompt", rmlx_prompt_begin_tool_result(NULL, "a", "b", &error));
    REFUSED("prompt", rmlx_prompt_add_json(NULL, "{}", 2, &error));
    REFUSED("prompt", rmlx_prompt_add_reasoning(NULL, "a", 1, &error));
    REFUSED("prompt", rmlx_prompt_add_tool_call(NULL, NULL, "f", "{}", 2, &error));
    REFUSED("prompt", rmlx_prompt_add_answer(NULL, NULL, &error));
    REFUSED("session", rmlx_prompt_add_answer(p, NULL, &error));
    REFUSED("prompt", rmlx_prompt_set_continue_final_message(NULL, true, &error));
    const char *conversation = "{\"messages\": []}";
    rmlx_prompt *read = NULL;
    REFUSED("prompt", rmlx_prompt_copy(NULL, &read, &error));
    REFUSED("out_prompt", rmlx_prompt_copy(p, NULL, &error));
    REFUSED("utf8", rmlx_prompt_from_json(NULL, 1, NULL, 0, &read, &error));
    REFUSED("media", rmlx_prompt_from_json(conversation, strlen(conversation), NULL, 1, &read, &error));
    REFUSED("out_prompt", rmlx_prompt_from_json(conversation, strlen(conversation), NULL, 0, NULL, &error));
    CHECK(read == NULL);
    REFUSED("json", rmlx_prompt_set_tools_json(p, NULL, 1, &error));
    REFUSED("json", rmlx_prompt_set_template_vars_json(p, NULL, 1, &error));
    REFUSED("ids", rmlx_prompt_set_tokens(p, NULL, 1, &error));
    rmlx_prompt_release(p);
}

static void models(const rmlx_model *model, const rmlx_prompt *prompt) {
    char *text = NULL;
    size_t count = 0;
    REFUSED("dir", rmlx_model_load(NULL, NULL, &(rmlx_model *){NULL}, &error));
    REFUSED("out", rmlx_model_load("folder", NULL, NULL, &error));
    REFUSED("dir", rmlx_model_inspect(NULL, &text, &error));
    REFUSED("out_json", rmlx_model_inspect("folder", NULL, &error));
    REFUSED("dir", rmlx_model_estimate(NULL, NULL, 0, &text, &error));
    REFUSED("out_json", rmlx_model_estimate("folder", NULL, 0, NULL, &error));
    REFUSED("model", rmlx_model_info_json(NULL, &text, &error));
    REFUSED("out_json", rmlx_model_info_json(model, NULL, &error));
    REFUSED("model", rmlx_model_tokenize(NULL, "a", 1, false, NULL, 0, &count, &error));
    REFUSED("utf8", rmlx_model_tokenize(model, NULL, 1, false, NULL, 0, &count, &error));
    REFUSED("out_count", rmlx_model_tokenize(model, "a", 1, false, NULL, 0, NULL, &error));
    REFUSED("out", rmlx_model_tokenize(model, "a", 1, false, NULL, 8, &count, &error));
    REFUSED("model", rmlx_model_detokenize(NULL, NULL, 0, false, &text, NULL, &error));
    REFUSED("ids", rmlx_model_detokenize(model, NULL, 1, false, &text, NULL, &error));
    REFUSED("out_utf8", rmlx_model_detokenize(model, NULL, 0, false, NULL, NULL, &error));
    REFUSED("model", rmlx_model_render_prompt(NULL, prompt, NULL, &text, NULL, &error));
    REFUSED("prompt", rmlx_model_render_prompt(model, NULL, NULL, &text, NULL, &error));
    REFUSED("out_utf8", rmlx_model_render_prompt(model, prompt, NULL, NULL, NULL, &error));
    REFUSED("model", rmlx_model_count_tokens(NULL, prompt, NULL, &count, &error));
    REFUSED("prompt", rmlx_model_count_tokens(model, NULL, NULL, &count, &error));
    REFUSED("out_count", rmlx_model_count_tokens(model, prompt, NULL, NULL, &error));
    REFUSED("model", rmlx_respond_text(NULL, "a", 1, NULL, &text, NULL, &error));
    REFUSED("utf8", rmlx_respond_text(model, NULL, 1, NULL, &text, NULL, &error));
    REFUSED("out_utf8", rmlx_respond_text(model, "a", 1, NULL, NULL, NULL, &error));
    REFUSED("model", rmlx_probe(NULL, &text, &error));
    REFUSED("out_json", rmlx_probe(model, NULL, &error));
    CHECK(text == NULL);
}

static void sessions(const rmlx_model *model, const rmlx_prompt *prompt) {
    rmlx_session *session = NULL;
    size_t count = 0;
    rmlx_stats stats = {.struct_size = sizeof stats};
    REFUSED("model", rmlx_session_new(NULL, NULL, &session, &error));
    REFUSED("out", rmlx_session_new(model, NULL, NULL, &error));
    REFUSED("session", rmlx_session_reset(NULL, &error));
    REFUSED("session", rmlx_session_submit(NULL, prompt, NULL, &error));
    REFUSED("session", rmlx_session_prefill(NULL, prompt, NULL, &error));
    REFUSED("session", rmlx_session_fork(NULL, &session, &error));
    REFUSED("session", rmlx_session_truncate(NULL, 0, &count, &error));
    REFUSED("session", rmlx_session_step(NULL, &(rmlx_event *){NULL}, &error));
    REFUSED("session", rmlx_session_logits(NULL, NULL, 0, &count, &error));
    REFUSED("session", rmlx_session_prompt_tokens(NULL, NULL, 0, &count, &error));
    REFUSED("session", rmlx_session_stats(NULL, &stats, &error));
    REFUSED("session", rmlx_session_save(NULL, "file", &error));
    REFUSED("session", rmlx_session_save_to_buffer(NULL, NULL, 0, &count, &error));
    REFUSED("model", rmlx_session_load(NULL, NULL, "file", &session, &error));
    REFUSED("path_utf8", rmlx_session_load(model, NULL, NULL, &session, &error));
    REFUSED("out", rmlx_session_load(model, NULL, "file", NULL, &error));
    REFUSED("model", rmlx_session_load_from_buffer(NULL, NULL, "a", 1, &session, &error));
    REFUSED("bytes", rmlx_session_load_from_buffer(model, NULL, NULL, 1, &session, &error));
    REFUSED("out", rmlx_session_load_from_buffer(model, NULL, "a", 1, NULL, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_SAVE, "no saved session",
                rmlx_session_load_from_buffer(model, NULL, NULL, 0, &session, &error));
    CHECK(session == NULL);
    session = new_session(model);
    REFUSED("path_utf8", rmlx_session_save(session, NULL, &error));
    REFUSED("out_count", rmlx_session_save_to_buffer(session, NULL, 0, NULL, &error));
    REFUSED("out", rmlx_session_save_to_buffer(session, NULL, 8, &count, &error));
    REFUSED("prompt", rmlx_session_submit(session, NULL, NULL, &error));
    REFUSED("prompt", rmlx_session_prefill(session, NULL, NULL, &error));
    REFUSED("out_session", rmlx_session_fork(session, NULL, &error));
    REFUSED("out_kept", rmlx_session_truncate(session, 0, NULL, &error));
    REFUSED("out_event", rmlx_session_step(session, NULL, &error));
    REFUSED("out_count", rmlx_session_logits(session, NULL, 0, NULL, &error));
    REFUSED("out_count", rmlx_session_prompt_tokens(session, NULL, 0, NULL, &error));
    REFUSED("inout_stats", rmlx_session_stats(session, NULL, &error));
    REFUSED("inout_usage", rmlx_memory_stats(NULL, &error));
    check_usable(session);
    rmlx_session_release(session);
}

int main(void) {
    functions_without_a_status();
    events();
    options();
    media();
    prompts();
    rmlx_model *model = load_model();
    rmlx_prompt *prompt = text_prompt("Hello");
    models(model, prompt);
    sessions(model, prompt);
    rmlx_prompt_release(prompt);
    rmlx_model_release(model);
    return 0;
}
