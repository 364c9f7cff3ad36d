/* Images and sounds: raw pixels of every format and stride, samples of every rate, and bytes that are neither. */

#include "check.h"

#include <math.h>

/* Decoded media equal raw ones of the same content: a session that holds one does not evaluate the other again. */
static uint64_t reused(rmlx_session *session, rmlx_media *media) {
    rmlx_prompt *prompt = text_prompt("");
    CHECK_OK(rmlx_prompt_add_media(prompt, media, &error));
    rmlx_generation_options *options = greedy(1);
    answer a;
    generate(session, prompt, options, &a);
    rmlx_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(rmlx_session_stats(session, &stats, &error));
    CHECK(stats.media_tokens > 0);
    rmlx_generation_options_release(options);
    rmlx_prompt_release(prompt);
    return stats.reused_tokens >= stats.media_tokens;
}

enum { WIDTH = 64, HEIGHT = 48, STRIDE = 4 * WIDTH + 12 };

/* The same picture in each format, in rows with a gap. */
static void paint(unsigned char *bytes, rmlx_pixel_format format, bool gray) {
    memset(bytes, 0xEE, STRIDE * HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            unsigned char red = (unsigned char)(x * 4), green = (unsigned char)(y * 5), blue = (unsigned char)(x ^ y);
            if (gray)
                green = blue = red;
            unsigned char *row = bytes + y * STRIDE;
            if (format == RMLX_PIXELS_GRAY8) {
                row[x] = red;
            } else if (format == RMLX_PIXELS_RGB8) {
                row[3 * x] = red, row[3 * x + 1] = green, row[3 * x + 2] = blue;
            } else {
                bool bgra = format == RMLX_PIXELS_BGRA8;
                row[4 * x] = bgra ? blue : red;
                row[4 * x + 1] = green;
                row[4 * x + 2] = bgra ? red : blue;
                row[4 * x + 3] = (unsigned char)(x + y);
            }
        }
}

static rmlx_pixels described(const unsigned char *bytes, rmlx_pixel_format format) {
    return (rmlx_pixels){
        .struct_size = sizeof(rmlx_pixels),
        .data = bytes,
        .size = STRIDE * HEIGHT,
        .row_stride = STRIDE,
        .width = WIDTH,
        .height = HEIGHT,
        .format = format,
    };
}

static void pixel_formats_mean_the_same_picture(rmlx_session *session) {
    unsigned char *bytes = malloc(STRIDE * HEIGHT);
    CHECK(bytes != NULL);
    for (int gray = 0; gray < 2; gray++)
        for (rmlx_pixel_format format = RMLX_PIXELS_RGB8; format <= RMLX_PIXELS_GRAY8; format++) {
            if (format == RMLX_PIXELS_GRAY8 && !gray)
                continue;
            paint(bytes, format, gray);
            rmlx_pixels desc = described(bytes, format);
            rmlx_media *image = NULL;
            CHECK_OK(rmlx_image_from_pixels(&desc, &image, &error));
            CHECK(rmlx_media_kind(image) == RMLX_MEDIA_IMAGE && rmlx_audio_seconds(image) == 0);
            CHECK(rmlx_image_width(image) == WIDTH && rmlx_image_height(image) == HEIGHT);
            CHECK(reused(session, image) == (format != RMLX_PIXELS_RGB8));
            rmlx_media_release(image);
        }
    free(bytes);
}

static void pixel_descriptions_are_checked(void) {
    unsigned char *bytes = malloc(STRIDE * HEIGHT);
    CHECK(bytes != NULL);
    paint(bytes, RMLX_PIXELS_RGBA8, false);
    rmlx_media *none = NULL;
    rmlx_pixels d = described(bytes, RMLX_PIXELS_RGBA8);
    /* The last row needs no gap after it. */
    d.size = STRIDE * (HEIGHT - 1) + 4 * WIDTH;
    CHECK_OK(rmlx_image_from_pixels(&d, &none, &error));
    rmlx_media_release(none);
    none = NULL;
    d.size--;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "bytes", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, 5);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 5", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, 0);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "unknown value 0", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, RMLX_PIXELS_RGBA8);
    d.row_stride = 4 * WIDTH - 1;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "stride", rmlx_image_from_pixels(&d, &none, &error));
    d.row_stride = SIZE_MAX;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "stride", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, RMLX_PIXELS_RGBA8);
    d.width = 0;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "0 x 48", rmlx_image_from_pixels(&d, &none, &error));
    d.width = 100000;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "100000", rmlx_image_from_pixels(&d, &none, &error));
    d.width = d.height = UINT32_MAX;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "4294967295", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, RMLX_PIXELS_RGBA8);
    d.reserved = 1;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "reserved", rmlx_image_from_pixels(&d, &none, &error));
    d = described(bytes, RMLX_PIXELS_RGBA8);
    d.struct_size = sizeof d - 1;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "struct_size", rmlx_image_from_pixels(&d, &none, &error));
    CHECK(none == NULL);

    /* A host of a later version: what it does not use is 0, and what it uses is refused. */
    struct {
        rmlx_pixels now;
        uint64_t later;
    } newer = {described(bytes, RMLX_PIXELS_RGBA8), 0};
    newer.now.struct_size = sizeof newer;
    CHECK_OK(rmlx_image_from_pixels(&newer.now, &none, &error));
    rmlx_media_release(none);
    newer.later = 1;
    CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "desc", rmlx_image_from_pixels(&newer.now, &none, &error));
    free(bytes);
}

static void encoded_media_are_recognized(void) {
    rmlx_media *image = load_image("media/odd.png");
    CHECK(rmlx_media_kind(image) == RMLX_MEDIA_IMAGE && rmlx_image_width(image) > 0);
    rmlx_media *other = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "budget is 0", rmlx_image_with_soft_token_budget(image, 0, &other, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "5 to 4", rmlx_image_with_pixel_range(image, 5, 4, &other, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "0 to 0", rmlx_image_with_pixel_range(image, 0, 0, &other, &error));
    CHECK_OK(rmlx_image_with_soft_token_budget(image, 71, &other, &error));
    CHECK(rmlx_image_width(other) == rmlx_image_width(image) && rmlx_image_height(other) == rmlx_image_height(image));
    rmlx_media_release(other);
    CHECK_OK(rmlx_image_with_pan_and_scan(image, true, &other, &error));
    CHECK(rmlx_image_width(other) == rmlx_image_width(image));
    rmlx_media_release(other);
    CHECK_OK(rmlx_image_with_pixel_range(image, 0, 4096, &other, &error));
    CHECK(rmlx_image_height(other) == rmlx_image_height(image));
    rmlx_media_release(other);
    rmlx_media_release(image);
    rmlx_media *sound = load_audio("media/chord.wav");
    CHECK(rmlx_media_kind(sound) == RMLX_MEDIA_AUDIO && rmlx_image_width(sound) == 0 && rmlx_image_height(sound) == 0);
    CHECK(rmlx_audio_seconds(sound) > 0.1 && rmlx_audio_seconds(sound) < 10);
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no image", rmlx_image_with_soft_token_budget(sound, 70, &other, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no image", rmlx_image_with_pan_and_scan(sound, true, &other, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no image", rmlx_image_with_pixel_range(sound, 1, 2, &other, &error));
    CHECK_OK(rmlx_audio_with_split(sound, true, &other, &error));
    CHECK(rmlx_media_kind(other) == RMLX_MEDIA_AUDIO && rmlx_audio_seconds(other) == rmlx_audio_seconds(sound));
    rmlx_media_release(other);
    rmlx_media_release(sound);
}

static void frames_make_a_video(void) {
    rmlx_media *image = load_image("media/odd.png"), *sound = load_audio("media/chord.wav"), *video = NULL;
    const rmlx_media *frames[3] = {image, image, image};
    double seconds[3] = {0, 0.5, 61};
    CHECK_OK(rmlx_video_from_frames(frames, seconds, 3, &video, &error));
    CHECK(rmlx_media_kind(video) == RMLX_MEDIA_VIDEO && rmlx_image_width(video) == 0 && rmlx_image_height(video) == 0);
    CHECK(rmlx_audio_seconds(video) == 0);
    rmlx_media *none = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no image", rmlx_image_with_soft_token_budget(video, 70, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "no sound", rmlx_audio_with_split(video, true, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "no frames", rmlx_video_from_frames(frames, seconds, 0, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "no frames", rmlx_video_from_frames(NULL, NULL, 0, &none, &error));
    seconds[2] = 0.25;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "frame 2", rmlx_video_from_frames(frames, seconds, 3, &none, &error));
    seconds[2] = NAN;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "frame 2", rmlx_video_from_frames(frames, seconds, 3, &none, &error));
    seconds[0] = -1;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "frame 0", rmlx_video_from_frames(frames, seconds, 1, &none, &error));
    frames[1] = sound;
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "frames[1]", rmlx_video_from_frames(frames, seconds, 2, &none, &error));
    CHECK(none == NULL);
    /* A video keeps its frames. */
    rmlx_media_release(image);
    rmlx_media_release(sound);
    rmlx_media_release(video);
}

/* Every beginning of a file, and every byte of its head turned over: an error or a medium, never a crash. */
static void corrupt_bytes_are_refused(void) {
    rmlx_media *none = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_image_from_encoded("", 0, NULL, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_encoded("", 0, NULL, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_image_from_encoded("no picture", 10, NULL, &none, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_encoded("no sound", 8, NULL, &none, &error));
    size_t size = 0;
    unsigned char *bytes = read_fixture("media/flat.png", &size);
    for (size_t len = 0; len < size; len++) {
        if (rmlx_image_from_encoded(bytes, len, NULL, &none, NULL) == RMLX_OK)
            rmlx_media_release(none);
        bytes[len] ^= 0xFF;
        if (rmlx_image_from_encoded(bytes, size, NULL, &none, NULL) == RMLX_OK)
            rmlx_media_release(none);
        bytes[len] ^= 0xFF;
    }
    free(bytes);
    bytes = read_fixture("media/gap.wav", &size);
    for (size_t len = 0; len < 64; len++) {
        if (rmlx_audio_from_encoded(bytes, len, NULL, &none, NULL) == RMLX_OK) {
            CHECK(len > 44 && rmlx_audio_lost_seconds(none) > 0.5);
            rmlx_media_release(none);
        }
        bytes[len] ^= 0xFF;
        if (rmlx_audio_from_encoded(bytes, size, NULL, &none, NULL) == RMLX_OK)
            rmlx_media_release(none);
        bytes[len] ^= 0xFF;
    }
    free(bytes);
}

static void sounds_that_are_cut_off_say_what_is_missing(void) {
    size_t size = 0;
    unsigned char *bytes = read_fixture("media/gap.wav", &size);
    rmlx_media *whole = NULL, *half = NULL;
    CHECK_OK(rmlx_audio_from_encoded(bytes, size, NULL, &whole, &error));
    CHECK(rmlx_audio_lost_seconds(whole) == 0);
    CHECK_OK(rmlx_audio_from_encoded(bytes, size / 2, NULL, &half, &error));
    const double there = rmlx_audio_seconds(half), lost = rmlx_audio_lost_seconds(half);
    CHECK(lost > 0.25 && fabs(there + lost - rmlx_audio_seconds(whole)) < 0.001);
    rmlx_media_release(whole);
    rmlx_media_release(half);
    free(bytes);
    half = NULL;
    CHECK_FAILS(RMLX_ERROR_UNSUPPORTED, "AMR", rmlx_audio_from_encoded("#!AMR\n sound", 12, NULL, &half, &error));
    CHECK(half == NULL);
}

static void files_are_named(void) {
    char *picture = fixture("media/square.png"), *sound = fixture("media/gap.wav");
    rmlx_media *media = NULL;
    CHECK_OK(rmlx_image_from_file(picture, NULL, &media, &error));
    CHECK(rmlx_image_width(media) > 0);
    rmlx_media_release(media);
    CHECK_OK(rmlx_audio_from_file(sound, NULL, &media, &error));
    CHECK(rmlx_audio_seconds(media) > 0);
    rmlx_media_release(media);
    media = NULL;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, picture, rmlx_audio_from_file(picture, NULL, &media, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, sound, rmlx_image_from_file(sound, NULL, &media, &error));
    CHECK_FAILS(RMLX_ERROR_NOT_FOUND, "no such file", rmlx_image_from_file("no such file", NULL, &media, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "not a file", rmlx_image_from_file("/dev/zero", NULL, &media, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "UTF-8", rmlx_image_from_file("\xff", NULL, &media, &error));
    CHECK(media == NULL);
    free(picture);
    free(sound);
}

static void options_bound_what_is_decoded(void) {
    char *picture = fixture("media/square.png"), *sound = fixture("media/gap.wav");
    rmlx_media *media = NULL;
    rmlx_cancel *cancel = rmlx_cancel_new();
    rmlx_media_options *options = rmlx_media_options_new();
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "pixels", rmlx_media_options_set_max_pixels(options, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "bytes", rmlx_media_options_set_max_bytes(options, 0, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "seconds", rmlx_media_options_set_max_seconds(options, 0, &error));
    CHECK_OK(rmlx_image_from_file(picture, options, &media, &error));
    const uint64_t pixels = (uint64_t)rmlx_image_width(media) * rmlx_image_height(media);
    rmlx_media_release(media);
    media = NULL;
    CHECK_OK(rmlx_media_options_set_max_pixels(options, pixels - 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "pixels", rmlx_image_from_file(picture, options, &media, &error));
    CHECK_OK(rmlx_media_options_set_max_pixels(options, pixels, &error));
    CHECK_OK(rmlx_media_options_set_max_bytes(options, 3 * pixels - 1, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "limit", rmlx_image_from_file(picture, options, &media, &error));
    CHECK(media == NULL);
    CHECK_OK(rmlx_media_options_set_max_bytes(options, UINT64_MAX, &error));
    CHECK_OK(rmlx_image_from_file(picture, options, &media, &error));
    rmlx_media_release(media);
    CHECK_OK(rmlx_audio_from_file(sound, options, &media, &error));
    const double seconds = rmlx_audio_seconds(media);
    rmlx_media_release(media);
    media = NULL;
    CHECK_OK(rmlx_media_options_set_max_seconds(options, (uint64_t)seconds + 1, &error));
    CHECK_OK(rmlx_audio_from_file(sound, options, &media, &error));
    rmlx_media_release(media);
    media = NULL;
    CHECK_OK(rmlx_media_options_set_cancel(options, cancel, &error));
    rmlx_cancel_trigger(cancel);
    rmlx_cancel_release(cancel);
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "", rmlx_image_from_file(picture, options, &media, &error));
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "", rmlx_audio_from_file(sound, options, &media, &error));
    CHECK_FAILS(RMLX_ERROR_CANCELLED, "", rmlx_audio_from_encoded(sound, 1, options, &media, &error));
    CHECK_OK(rmlx_media_options_set_cancel(options, NULL, &error));
    CHECK_OK(rmlx_image_from_file(picture, options, &media, &error));
    rmlx_media_release(media);
    rmlx_media_options_release(options);
    free(picture);
    free(sound);
}

static void prepared_media_are_smaller(void) {
    enum { SIDE = 1200 };
    unsigned char *pixels = calloc(SIDE, SIDE);
    rmlx_pixels desc = {.struct_size = sizeof desc,
                        .data = pixels,
                        .size = SIDE * SIDE,
                        .width = SIDE,
                        .height = SIDE,
                        .format = RMLX_PIXELS_GRAY8};
    rmlx_media *whole = NULL, *small = NULL;
    CHECK_OK(rmlx_image_from_pixels(&desc, &whole, &error));
    free(pixels);
    CHECK(rmlx_media_bytes(whole) == 3 * SIDE * SIDE);
    rmlx_model *model = load_model();
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`media`", rmlx_media_prepare(model, NULL, NULL, &small, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "`out`", rmlx_media_prepare(model, whole, NULL, NULL, &error));
    rmlx_media_options *options = rmlx_media_options_new();
    CHECK_OK(rmlx_media_prepare(model, whole, options, &small, &error));
    rmlx_media_options_release(options);
    rmlx_media_release(whole);
    CHECK(rmlx_media_bytes(small) < 3 * SIDE * SIDE && rmlx_image_width(small) == SIDE);
    rmlx_prompt *prompt = rmlx_prompt_new();
    CHECK_OK(rmlx_prompt_begin_message(prompt, "user", &error));
    CHECK_OK(rmlx_prompt_add_media(prompt, small, &error));
    size_t tokens = 0;
    CHECK_OK(rmlx_model_count_tokens(model, prompt, NULL, &tokens, &error));
    CHECK(tokens > 0);
    rmlx_prompt_release(prompt);
    rmlx_media_release(small);
    rmlx_model_release(model);
}

static void samples_of_every_rate(void) {
    enum { FRAMES = 4410 };
    float *samples = malloc(FRAMES * 2 * sizeof *samples);
    CHECK(samples != NULL);
    for (int i = 0; i < FRAMES * 2; i++)
        samples[i] = (float)sin(i * 0.05) * 0.5f;
    rmlx_media *sound = NULL;
    CHECK_OK(rmlx_audio_from_pcm_f32(samples, FRAMES, 2, 44100, &sound, &error));
    CHECK(fabs(rmlx_audio_seconds(sound) - 0.1) < 0.001);
    rmlx_media_release(sound);
    CHECK_OK(rmlx_audio_from_pcm_f32(samples, FRAMES, 1, 16000, &sound, &error));
    CHECK(fabs(rmlx_audio_seconds(sound) - FRAMES / 16000.0) < 1e-9);
    rmlx_media_release(sound);
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_pcm_f32(samples, 0, 1, 16000, &sound, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "0 channels", rmlx_audio_from_pcm_f32(samples, 1, 0, 16000, &sound, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_pcm_f32(samples, 1, 1, 0, &sound, &error));
    CHECK_FAILS(RMLX_ERROR_INVALID_ARGUMENT, "address space",
                rmlx_audio_from_pcm_f32(samples, SIZE_MAX, 2, 16000, &sound, &error));
    samples[100] = NAN;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_pcm_f32(samples, FRAMES, 1, 16000, &sound, &error));
    samples[100] = -INFINITY;
    CHECK_FAILS(RMLX_ERROR_INVALID_MEDIA, "", rmlx_audio_from_pcm_f32(samples, FRAMES, 2, 44100, &sound, &error));
    free(samples);
}

int main(void) {
    pixel_descriptions_are_checked();
    encoded_media_are_recognized();
    frames_make_a_video();
    corrupt_bytes_are_refused();
    sounds_that_are_cut_off_say_what_is_missing();
    files_are_named();
    options_bound_what_is_decoded();
    prepared_media_are_smaller();
    samples_of_every_rate();
    rmlx_model *model = load_model();
    rmlx_session *session = new_session(model);
    pixel_formats_mean_the_same_picture(session);
    rmlx_session_release(session);
    rmlx_model_release(model);
    return 0;
}
