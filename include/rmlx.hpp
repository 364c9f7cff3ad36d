// rmlx.hpp: rmlx for C++17 and later. Header-only, over rmlx.h, which is the manual: what a function here does is said
// there under the name of the C function that it calls, and everything about threads holds here too.
//
//     rmlx::Model model = rmlx::Model::load("models/gemma");
//     rmlx::Session session = rmlx::Session::create(model);
//
//     rmlx::Prompt prompt;
//     prompt.user("What is in this picture?", rmlx::Media::image(bytes));
//     for (const rmlx::Event &event : session.generate(prompt))
//         std::cout << event.text() << std::flush;
//
// Failures. By default a function that fails throws rmlx::Error. With RMLX_EXPECTED defined before the inclusion, each
// returns an rmlx::Expected<T> instead, which holds a T or an Error (and -fno-exceptions is fine).
// Files of one program may choose differently. Below, Result<T> is T or Expected<T>, by that choice.
//
// Objects. Handles move and do not copy; a handle that was moved from is empty, and may only be assigned to or
// destroyed. Model, Media and Cancel have share(), which makes another handle to the same object.

#ifndef RMLX_HPP
#define RMLX_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "rmlx.h"

namespace rmlx {

/// What was wrong, where, and what would be right. Copies share one immutable object.
class Error : public std::exception {
public:
    Error(rmlx_status status, std::shared_ptr<const rmlx_error> error) : status_(status), error_(std::move(error)) {}

    /// One of RMLX_ERROR_*.
    rmlx_status code() const noexcept { return status_; }

    /// The name of the code: "RMLX_ERROR_BUSY".
    const char *name() const noexcept { return rmlx_status_name(status_); }

    /// A sentence for people.
    const char *what() const noexcept override { return error_ ? rmlx_error_message(error_.get()) : name(); }

    /// A JSON object for programs.
    std::string_view details_json() const noexcept { return rmlx_error_details_json(error_.get()); }

private:
    rmlx_status status_;
    std::shared_ptr<const rmlx_error> error_;
};

/// A value or an Error. Asking for the one that it does not hold ends the program, so look first.
template <typename T>
class [[nodiscard]] Expected {
public:
    Expected(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Expected(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return state_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    T &value() & noexcept { return *held(); }
    T &&value() && noexcept { return std::move(*held()); }
    T &operator*() & noexcept { return *held(); }
    T &&operator*() && noexcept { return std::move(*held()); }
    T *operator->() noexcept { return held(); }

    const Error &error() const noexcept {
        const Error *error = std::get_if<1>(&state_);
        if (error == nullptr)
            std::terminate();
        return *error;
    }

private:
    T *held() noexcept {
        T *value = std::get_if<0>(&state_);
        if (value == nullptr)
            std::terminate();
        return value;
    }

    std::variant<T, Error> state_;
};

/// Success or an Error.
template <>
class [[nodiscard]] Expected<void> {
public:
    Expected() = default;
    Expected(Error error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }

    const Error &error() const noexcept {
        if (!error_)
            std::terminate();
        return *error_;
    }

private:
    std::optional<Error> error_;
};

// What depends on the choice has names of its own in each, so that both may be in one program.
#ifdef RMLX_EXPECTED
inline namespace expecting {
template <typename T>
using Result = Expected<T>;
#define RMLX_FAIL(error_) return (error_)
#define RMLX_SUCCEED() return {}
#define RMLX_TRY(call_) \
    do { \
        if (auto tried_ = (call_); !tried_) \
            return tried_.error(); \
    } while (false)
#else
inline namespace throwing {
template <typename T>
using Result = T;
#define RMLX_FAIL(error_) throw(error_)
#define RMLX_SUCCEED() return
#define RMLX_TRY(call_) (call_)
#endif

namespace detail {

template <typename T, void (*Release)(T *)>
struct Releaser {
    void operator()(T *object) const noexcept { Release(object); }
};

template <typename T, void (*Release)(T *)>
using Handle = std::unique_ptr<T, Releaser<T, Release>>;

using Text = Handle<char, rmlx_string_release>;

/// What a call came to, and its error object if it failed.
class Call {
public:
    rmlx_error **error() noexcept { return &error_; }
    bool failed(rmlx_status status) noexcept { return (status_ = status) != RMLX_OK; }
    Error take() { return Error(status_, {std::exchange(error_, nullptr), rmlx_error_release}); }

private:
    rmlx_status status_ = RMLX_OK;
    rmlx_error *error_ = nullptr;
};

/// Makes the result of a call that has no output.
inline Result<void> finish(Call &call, rmlx_status status) {
    if (call.failed(status))
        RMLX_FAIL(call.take());
    RMLX_SUCCEED();
}

/// Calls `set(options, value, error)` if there is a value.
template <typename Options, typename Set, typename Value>
Result<void> set(Options *options, Set set, const std::optional<Value> &value) {
    Call call;
    return finish(call, value ? set(options, *value, call.error()) : RMLX_OK);
}

/// Reads all items through the array protocol: `read(out, capacity, out_count, error)`.
template <typename T, typename Read>
Result<std::vector<T>> array(Read read) {
    Call call;
    std::size_t count = 0;
    if (call.failed(read(nullptr, 0, &count, call.error())))
        RMLX_FAIL(call.take());
    std::vector<T> items(count);
    // Of no items there is nothing to fetch, and a vector without any may have no address.
    if (count > 0 && call.failed(read(items.data(), items.size(), &count, call.error())))
        RMLX_FAIL(call.take());
    return items;
}

} // namespace detail

/// Stops what watches it, such as a load, from any thread.
class Cancel {
public:
    Cancel() : handle_(rmlx_cancel_new()) {}
    void trigger() const noexcept { rmlx_cancel_trigger(handle_.get()); }
    Cancel share() const { return Cancel(rmlx_cancel_retain(handle_.get())); }
    rmlx_cancel *get() const noexcept { return handle_.get(); }

private:
    explicit Cancel(rmlx_cancel *owned) : handle_(owned) {}
    detail::Handle<rmlx_cancel, rmlx_cancel_release> handle_;
};

/// The processes that run a model together; rmlx_load_options_set_group. What is left open is the environment's.
struct Group {
    rmlx_group_backend backend = RMLX_GROUP_AUTO;
    std::optional<std::int32_t> rank;
    std::optional<std::int32_t> size;
    std::optional<std::string> address;
    /// rmlx_load_options_set_group_timeout.
    std::optional<std::uint64_t> timeout_milliseconds;
};

/// How a model is loaded; rmlx_load_options_set_*.
struct LoadOptions {
    std::optional<rmlx_device> device;
    std::optional<rmlx_weights> weights;
    /// What keys and values of sessions are kept as.
    std::optional<rmlx_cache_type> cache_type;
    std::optional<std::uint64_t> memory_limit;
    std::optional<bool> ignore_system_memory;
    std::optional<std::size_t> context_length;
    std::optional<std::uint64_t> media_cache;
    /// Jinja in the place of the snapshot's own template.
    std::optional<std::string> chat_template;
    /// Of which this process is a rank.
    std::optional<Group> group;
    /// Called with 0 to 1 on the thread that loads. What it throws ends the load and comes out of it.
    std::function<void(float)> progress;
    /// Ends the load when it is triggered.
    const Cancel *cancel = nullptr;
};

/// How much a file of an image or a sound may ask for while it is decoded; rmlx_media_options_set_*.
struct MediaOptions {
    std::optional<std::uint64_t> max_pixels;
    std::optional<std::uint64_t> max_bytes;
    std::optional<std::uint64_t> max_seconds;
    /// Ends the decoding when it is triggered.
    const Cancel *cancel = nullptr;
};

/// How a session is made; rmlx_session_options_set_*.
struct SessionOptions {
    std::optional<std::size_t> context_length;
    std::optional<std::size_t> prefill_chunk;
    std::optional<std::size_t> checkpoints;
    std::optional<std::size_t> keep_turns;
};

/// How repeated runs of tokens are penalized; rmlx_generation_options_set_dry.
struct Dry {
    float multiplier = 0.8f;
    float base = 1.75f;
    std::size_t allowed_length = 2;
    std::size_t last_n = 0;
    /// Texts in the place of the breakers by default; rmlx_generation_options_add_dry_breaker.
    std::vector<std::string> breakers;
};

/// When an answer goes round in a circle; rmlx_generation_options_set_loop_detection.
struct LoopDetection {
    std::size_t repeats = 4;
    std::size_t longest_run = 256;
    std::size_t least_tokens = 32;
};

/// How tokens are proposed; rmlx_generation_options_set_speculation.
struct Speculation {
    /// One of RMLX_SPECULATION_*.
    rmlx_speculation kind = RMLX_SPECULATION_PROMPT_LOOKUP;
    std::size_t most_tokens = 0;
};

/// How an answer is generated; rmlx_generation_options_set_*. What is not set comes from the snapshot.
struct GenerationOptions {
    std::optional<std::size_t> max_tokens;
    std::optional<float> temperature;
    std::optional<std::uint32_t> top_k;
    std::optional<float> top_p;
    std::optional<float> min_p;
    std::optional<float> repetition_penalty;
    std::optional<float> presence_penalty;
    std::optional<float> frequency_penalty;
    std::optional<Dry> dry;
    std::optional<std::size_t> no_repeat_ngram;
    std::optional<LoopDetection> loop_detection;
    /// Gets ids and their count, and the row of logits to change and its length, as a rmlx_logits_callback. What it
    /// throws ends the answer, and comes out of what has stepped it.
    std::function<void(const std::uint32_t *, std::size_t, float *, std::size_t)> logits_processor;
    std::optional<std::uint64_t> seed;
    std::optional<std::size_t> top_logprobs;
    std::optional<bool> thinking;
    std::optional<bool> ignore_eos;
    std::optional<bool> progress_events;
    std::vector<std::string> stop;
    std::vector<std::pair<std::uint32_t, float>> logit_bias;
    std::optional<std::size_t> thinking_budget;
    std::vector<std::uint32_t> stop_tokens;
    std::optional<bool> exact_history;
    /// One of RMLX_CONSTRAINT_* and its text; "" for none.
    rmlx_constraint_kind constraint_kind = RMLX_CONSTRAINT_JSON_SCHEMA;
    std::string constraint;
    /// One of RMLX_TOOL_CHOICE_*, and which tool for NAMED.
    rmlx_tool_choice tool_choice = RMLX_TOOL_CHOICE_AUTO;
    std::string tool_name;
    std::optional<Speculation> speculation;
};

namespace detail {

/// What a callback of the host's has thrown while C was between it and the caller. On the thread that steps.
class Thrown {
public:
#ifdef __cpp_exceptions
    void keep() noexcept { exception_ = std::current_exception(); }
#endif
    /// Throws it, once.
    void rethrow() {
        if (exception_)
            std::rethrow_exception(std::exchange(exception_, nullptr));
    }

private:
    std::exception_ptr exception_;
};

/// What the callback of a logits processor works with: a copy of the function, and where to leave what that throws.
struct Processor {
    decltype(GenerationOptions::logits_processor) process;
    std::shared_ptr<Thrown> thrown;

    static std::int32_t run(const std::uint32_t *ids, std::size_t id_count, float *logits, std::size_t logit_count,
                            void *user_data) {
        auto &processor = *static_cast<Processor *>(user_data);
#ifdef __cpp_exceptions
        // No exception may go through C.
        try {
            processor.process(ids, id_count, logits, logit_count);
        } catch (...) {
            processor.thrown->keep();
            return 1;
        }
#else
        processor.process(ids, id_count, logits, logit_count);
#endif
        return 0;
    }

    static void destroy(void *user_data) { delete static_cast<Processor *>(user_data); }
};

/// Those of the options that keep an answer from repeating, and the logits processor.
inline Result<void> set_processors(rmlx_generation_options *to, const GenerationOptions &options,
                                   const std::shared_ptr<Thrown> &thrown) {
    RMLX_TRY(set(to, rmlx_generation_options_set_no_repeat_ngram, options.no_repeat_ngram));
    Call call;
    if (options.dry) {
        const Dry &dry = *options.dry;
        if (call.failed(rmlx_generation_options_set_dry(to, dry.multiplier, dry.base, dry.allowed_length, dry.last_n,
                                                        call.error())))
            RMLX_FAIL(call.take());
        for (const std::string &text : dry.breakers)
            if (call.failed(rmlx_generation_options_add_dry_breaker(to, text.data(), text.size(), call.error())))
                RMLX_FAIL(call.take());
    }
    if (options.loop_detection) {
        const LoopDetection &loops = *options.loop_detection;
        if (call.failed(rmlx_generation_options_set_loop_detection(to, loops.repeats, loops.longest_run,
                                                                   loops.least_tokens, call.error())))
            RMLX_FAIL(call.take());
    }
    if (options.logits_processor) {
        auto processor = std::make_unique<Processor>(Processor{options.logits_processor, thrown});
        if (call.failed(rmlx_generation_options_set_logits_processor(to, Processor::run, processor.get(),
                                                                     Processor::destroy, call.error())))
            RMLX_FAIL(call.take());
        processor.release();
    }
    RMLX_SUCCEED();
}

inline Result<void> set_all(rmlx_generation_options *to, const GenerationOptions &options,
                            const std::shared_ptr<Thrown> &thrown = std::make_shared<Thrown>()) {
    RMLX_TRY(set(to, rmlx_generation_options_set_max_tokens, options.max_tokens));
    RMLX_TRY(set(to, rmlx_generation_options_set_temperature, options.temperature));
    RMLX_TRY(set(to, rmlx_generation_options_set_top_k, options.top_k));
    RMLX_TRY(set(to, rmlx_generation_options_set_top_p, options.top_p));
    RMLX_TRY(set(to, rmlx_generation_options_set_min_p, options.min_p));
    RMLX_TRY(set(to, rmlx_generation_options_set_repetition_penalty, options.repetition_penalty));
    RMLX_TRY(set(to, rmlx_generation_options_set_presence_penalty, options.presence_penalty));
    RMLX_TRY(set(to, rmlx_generation_options_set_frequency_penalty, options.frequency_penalty));
    RMLX_TRY(set_processors(to, options, thrown));
    RMLX_TRY(set(to, rmlx_generation_options_set_seed, options.seed));
    RMLX_TRY(set(to, rmlx_generation_options_set_top_logprobs, options.top_logprobs));
    RMLX_TRY(set(to, rmlx_generation_options_set_thinking, options.thinking));
    RMLX_TRY(set(to, rmlx_generation_options_set_thinking_budget, options.thinking_budget));
    RMLX_TRY(set(to, rmlx_generation_options_set_exact_history, options.exact_history));
    RMLX_TRY(set(to, rmlx_generation_options_set_ignore_eos, options.ignore_eos));
    RMLX_TRY(set(to, rmlx_generation_options_set_progress_events, options.progress_events));
    Call call;
    for (const std::string &stop : options.stop)
        if (call.failed(rmlx_generation_options_add_stop(to, stop.data(), stop.size(), call.error())))
            RMLX_FAIL(call.take());
    for (const auto &[token, bias] : options.logit_bias)
        if (call.failed(rmlx_generation_options_add_logit_bias(to, token, bias, call.error())))
            RMLX_FAIL(call.take());
    if (!options.constraint.empty() &&
        call.failed(rmlx_generation_options_set_constraint(to, options.constraint_kind, options.constraint.data(),
                                                           options.constraint.size(), call.error())))
        RMLX_FAIL(call.take());
    const char *tool = options.tool_name.empty() ? nullptr : options.tool_name.c_str();
    if (call.failed(rmlx_generation_options_set_tool_choice(to, options.tool_choice, tool, call.error())))
        RMLX_FAIL(call.take());
    if (options.speculation &&
        call.failed(rmlx_generation_options_set_speculation(to, options.speculation->kind,
                                                            options.speculation->most_tokens, call.error())))
        RMLX_FAIL(call.take());
    for (std::uint32_t token : options.stop_tokens)
        if (call.failed(rmlx_generation_options_add_stop_token(to, token, call.error())))
            RMLX_FAIL(call.take());
    RMLX_SUCCEED();
}

inline Result<void> set_all(rmlx_media_options *to, const MediaOptions &options) {
    RMLX_TRY(set(to, rmlx_media_options_set_max_pixels, options.max_pixels));
    RMLX_TRY(set(to, rmlx_media_options_set_max_bytes, options.max_bytes));
    RMLX_TRY(set(to, rmlx_media_options_set_max_seconds, options.max_seconds));
    if (options.cancel)
        RMLX_TRY(set(to, rmlx_media_options_set_cancel, std::optional<const rmlx_cancel *>(options.cancel->get())));
    RMLX_SUCCEED();
}

} // namespace detail


class Model;

/// A picture, a sound or a video.
class Media {
public:
    /// Decodes an image file in memory; rmlx_image_from_encoded.
    static Result<Media> image(const void *bytes, std::size_t size, const MediaOptions &options = {}) {
        return decode(options, [&](auto *bounds, auto out, auto error) {
            return rmlx_image_from_encoded(bytes, size, bounds, out, error);
        });
    }
    static Result<Media> image(std::string_view bytes, const MediaOptions &options = {}) {
        return image(bytes.data(), bytes.size(), options);
    }

    /// Decodes an image file; rmlx_image_from_file.
    static Result<Media> image_file(const std::string &path, const MediaOptions &options = {}) {
        return decode(options, [&](auto *bounds, auto out, auto error) {
            return rmlx_image_from_file(path.c_str(), bounds, out, error);
        });
    }

    /// Takes raw pixels, whose struct_size need not be set; rmlx_image_from_pixels.
    static Result<Media> image(rmlx_pixels pixels) {
        pixels.struct_size = sizeof pixels;
        return make([&](auto out, auto error) { return rmlx_image_from_pixels(&pixels, out, error); });
    }

    /// Decodes a sound file in memory; rmlx_audio_from_encoded.
    static Result<Media> audio(const void *bytes, std::size_t size, const MediaOptions &options = {}) {
        return decode(options, [&](auto *bounds, auto out, auto error) {
            return rmlx_audio_from_encoded(bytes, size, bounds, out, error);
        });
    }
    static Result<Media> audio(std::string_view bytes, const MediaOptions &options = {}) {
        return audio(bytes.data(), bytes.size(), options);
    }

    /// Decodes a sound file; rmlx_audio_from_file.
    static Result<Media> audio_file(const std::string &path, const MediaOptions &options = {}) {
        return decode(options, [&](auto *bounds, auto out, auto error) {
            return rmlx_audio_from_file(path.c_str(), bounds, out, error);
        });
    }

    /// Takes interleaved samples; rmlx_audio_from_pcm_f32.
    static Result<Media> audio(const float *samples, std::size_t frames, std::uint32_t channels, std::uint32_t rate) {
        return make([&](auto out, auto error) {
            return rmlx_audio_from_pcm_f32(samples, frames, channels, rate, out, error);
        });
    }

    /// Images and their times, in seconds and as many as the images; rmlx_video_from_frames.
    static Result<Media> video(const std::vector<Media> &frames, const std::vector<double> &timestamps) {
        if (frames.size() != timestamps.size())
            RMLX_FAIL(Error(RMLX_ERROR_INVALID_ARGUMENT, nullptr));
        std::vector<const rmlx_media *> raw;
        raw.reserve(frames.size());
        for (const Media &frame : frames)
            raw.push_back(frame.get());
        return make([&](auto out, auto error) {
            return rmlx_video_from_frames(raw.data(), timestamps.data(), raw.size(), out, error);
        });
    }

    /// The same sound, to be cut into clips or not; rmlx_audio_with_split.
    Result<Media> with_split(bool split) const {
        return make([&](auto out, auto error) { return rmlx_audio_with_split(get(), split, out, error); });
    }

    /// The same image in more or less detail; rmlx_image_with_soft_token_budget.
    Result<Media> with_soft_token_budget(std::uint32_t soft_tokens) const {
        return make([&](auto out, auto error) {
            return rmlx_image_with_soft_token_budget(get(), soft_tokens, out, error);
        });
    }

    /// The same image, with crops of it where it is long or without; rmlx_image_with_pan_and_scan.
    Result<Media> with_pan_and_scan(bool pan_and_scan) const {
        return make([&](auto out, auto error) {
            return rmlx_image_with_pan_and_scan(get(), pan_and_scan, out, error);
        });
    }

    /// The same image in another range of sizes; rmlx_image_with_pixel_range.
    Result<Media> with_pixel_range(std::uint32_t min_pixels, std::uint32_t max_pixels) const {
        return make([&](auto out, auto error) {
            return rmlx_image_with_pixel_range(get(), min_pixels, max_pixels, out, error);
        });
    }

    /// The same medium without what the model does not take of it; rmlx_media_prepare.
    Result<Media> prepare(const Model &model, const MediaOptions &options = {}) const;

    /// One of RMLX_MEDIA_*.
    rmlx_media_type kind() const noexcept { return rmlx_media_kind(get()); }
    std::uint32_t width() const noexcept { return rmlx_image_width(get()); }
    std::uint32_t height() const noexcept { return rmlx_image_height(get()); }
    double seconds() const noexcept { return rmlx_audio_seconds(get()); }
    /// Seconds of its file that were damaged or cut off.
    double lost_seconds() const noexcept { return rmlx_audio_lost_seconds(get()); }
    /// Of what it holds; rmlx_media_bytes.
    std::uint64_t bytes() const noexcept { return rmlx_media_bytes(get()); }

    Media share() const { return Media(rmlx_media_retain(get())); }
    rmlx_media *get() const noexcept { return handle_.get(); }

private:
    explicit Media(rmlx_media *owned) : handle_(owned) {}

    template <typename Call>
    static Result<Media> make(Call make) {
        detail::Call call;
        rmlx_media *media = nullptr;
        if (call.failed(make(&media, call.error())))
            RMLX_FAIL(call.take());
        return Media(media);
    }

    template <typename Call>
    static Result<Media> decode(const MediaOptions &options, Call decode) {
        detail::Handle<rmlx_media_options, rmlx_media_options_release> raw(rmlx_media_options_new());
        RMLX_TRY(detail::set_all(raw.get(), options));
        return make([&](auto out, auto error) { return decode(raw.get(), out, error); });
    }

    detail::Handle<rmlx_media, rmlx_media_release> handle_;
};

/// A conversation: messages of texts and media, in order. For one thread at a time.
class Prompt {
public:
    Prompt() : handle_(rmlx_prompt_new()) {}

    Result<void> begin_message(const std::string &role) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_begin_message(get(), role.c_str(), call.error()));
    }
    Result<void> add(std::string_view text) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_text(get(), text.data(), text.size(), call.error()));
    }
    Result<void> add(const Media &media) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_media(get(), media.get(), call.error()));
    }

    /// A second prompt that holds the same, answers as they were generated too; media are shared.
    Result<Prompt> copy() const {
        detail::Call call;
        rmlx_prompt *prompt = nullptr;
        if (call.failed(rmlx_prompt_copy(get(), &prompt, call.error())))
            RMLX_FAIL(call.take());
        return Prompt(prompt);
    }

    /// rmlx_prompt_from_json: a whole conversation in the shape of OpenAI's chat messages.
    static Result<Prompt> from_json(std::string_view json, const std::vector<Media> &media = {}) {
        detail::Call call;
        std::vector<const rmlx_media *> handles;
        for (const Media &medium : media)
            handles.push_back(medium.get());
        rmlx_prompt *prompt = nullptr;
        if (call.failed(rmlx_prompt_from_json(json.data(), json.size(), handles.data(), handles.size(), &prompt, call.error())))
            RMLX_FAIL(call.take());
        return Prompt(prompt);
    }

    /// To what the assistant thought before it said what is in its message, which was begun last.
    Result<void> add_reasoning(std::string_view text) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_reasoning(get(), text.data(), text.size(), call.error()));
    }
    /// A tool call of the assistant's message, which was begun last.
    Result<void> add_tool_call(const std::string &id, const std::string &name, std::string_view arguments_json) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_tool_call(get(), id.c_str(), name.c_str(), arguments_json.data(),
                                                              arguments_json.size(), call.error()));
    }
    /// A whole message with the text that a tool returned.
    Result<void> tool_result(const std::string &call_id, const std::string &name, std::string_view text) {
        RMLX_TRY(begin_tool_result(call_id, name));
        return add(text);
    }
    /// A whole message with the JSON value that a tool returned.
    Result<void> tool_result_json(const std::string &call_id, const std::string &name, std::string_view json) {
        RMLX_TRY(begin_tool_result(call_id, name));
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_json(get(), json.data(), json.size(), call.error()));
    }
    Result<void> begin_tool_result(const std::string &call_id, const std::string &name) {
        detail::Call call;
        return detail::finish(call,
                              rmlx_prompt_begin_tool_result(get(), call_id.c_str(), name.c_str(), call.error()));
    }
    /// Whether the model goes on with the text of the last message, which is the assistant's.
    Result<void> set_continue_final_message(bool on) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_set_continue_final_message(get(), on, call.error()));
    }

    /// A whole message: texts and media, in order.
    template <typename... Parts>
    Result<void> message(const std::string &role, const Parts &...parts) {
        RMLX_TRY(begin_message(role));
#ifdef RMLX_EXPECTED
        Expected<void> added;
        static_cast<void>((... && (added = add(parts)).has_value()));
        return added;
#else
        (add(parts), ...);
#endif
    }
    template <typename... Parts>
    Result<void> system(const Parts &...parts) {
        return message("system", parts...);
    }
    template <typename... Parts>
    Result<void> user(const Parts &...parts) {
        return message("user", parts...);
    }
    template <typename... Parts>
    Result<void> assistant(const Parts &...parts) {
        return message("assistant", parts...);
    }

    Result<void> set_tools_json(std::string_view json) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_set_tools_json(get(), json.data(), json.size(), call.error()));
    }
    Result<void> set_template_vars_json(std::string_view json) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_set_template_vars_json(get(), json.data(), json.size(), call.error()));
    }
    Result<void> set_tokens(const std::vector<std::uint32_t> &ids) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_set_tokens(get(), ids.data(), ids.size(), call.error()));
    }

    rmlx_prompt *get() const noexcept { return handle_.get(); }

private:
    explicit Prompt(rmlx_prompt *owned) : handle_(owned) {}

    detail::Handle<rmlx_prompt, rmlx_prompt_release> handle_;
};

/// One of the likeliest tokens at an event's place.
struct TopLogprob {
    std::uint32_t token;
    float logprob;
    std::string text;
};

/// A tool that the model calls.
struct ToolCall {
    std::string id;
    std::string name;
    /// A JSON object.
    std::string arguments;
};

/// What a model may call, and what does it.
struct Tool {
    std::string name;
    /// Tells the model what the tool is for.
    std::string description;
    /// A JSON schema of the arguments, which are an object.
    std::string parameters_json = R"({"type": "object", "properties": {}})";
    /// Gets the arguments, a JSON object that is not checked against the schema, and returns what the model is told.
    std::function<std::string(const std::string &arguments_json)> run;
};

/// A whole answer.
struct Response {
    /// What is said.
    std::string text;
    /// What was thought before it.
    std::string reasoning;
    /// What the model calls, and nobody has run yet.
    std::vector<ToolCall> tool_calls;
    /// One of RMLX_FINISH_*.
    rmlx_finish_reason reason = RMLX_FINISH_NONE;
};

namespace detail {

/// Most turns in a row in which a model may call tools.
constexpr std::size_t TOOL_ROUNDS = 8;

/// A text in JSON's quotes.
inline std::string quoted(std::string_view text) {
    std::string json = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            const char *const digits = "0123456789abcdef";
            json += "\\u00";
            json += digits[c >> 4];
            json += digits[c & 15];
        } else {
            json += c;
        }
    }
    return json + '"';
}

/// What chat templates take as tools.
inline std::string tools_json(const std::vector<Tool> &tools) {
    std::string json = "[";
    for (const Tool &tool : tools) {
        json += json.size() > 1 ? ", " : "";
        json += R"({"type": "function", "function": {"name": )" + quoted(tool.name) + R"(, "description": )" +
                quoted(tool.description) + R"(, "parameters": )" + tool.parameters_json + "}}";
    }
    return json + "]";
}

/// What the model is told of a call.
inline std::string run(const std::vector<Tool> &tools, const ToolCall &call) {
    for (const Tool &tool : tools)
        if (tool.name == call.name && tool.run)
            return tool.run(call.arguments);
    return "There is no tool of the name " + call.name + ".";
}

template <typename T, typename Parse, typename = void>
struct Parses : std::false_type {};
template <typename T, typename Parse>
struct Parses<T, Parse, std::enable_if_t<std::is_invocable_v<Parse &, const std::string &>>>
    : std::is_convertible<std::invoke_result_t<Parse &, const std::string &>, Result<T>> {};

} // namespace detail

/// One step of an answer. Texts live as long as the event.
class Event {
public:
    explicit Event(rmlx_event *owned) : handle_(owned, rmlx_event_release) {}
    Event(Event &&) noexcept = default;
    Event &operator=(Event &&) noexcept = default;

    /// One of RMLX_EVENT_*.
    rmlx_event_type kind() const noexcept { return rmlx_event_kind(get()); }

    std::string_view text() const noexcept {
        std::size_t size = 0;
        const char *text = rmlx_event_text(get(), &size);
        return {text, size};
    }
    std::optional<std::uint32_t> token() const noexcept {
        std::uint32_t token = 0;
        return rmlx_event_token(get(), &token) ? std::optional(token) : std::nullopt;
    }
    std::optional<float> logprob() const noexcept {
        float logprob = 0;
        return rmlx_event_logprob(get(), &logprob) ? std::optional(logprob) : std::nullopt;
    }
    std::vector<TopLogprob> top_logprobs() const {
        std::vector<TopLogprob> all(rmlx_event_top_logprob_count(get()));
        for (std::size_t index = 0; index < all.size(); index++) {
            rmlx_event_top_logprob(get(), index, &all[index].token, &all[index].logprob);
            all[index].text = rmlx_event_top_logprob_text(get(), index);
        }
        return all;
    }

    /// What this event adds to a call that is being made: its arguments are a piece of JSON. It counts for nothing until
    /// the call is whole; see rmlx_event_tool_call_delta.
    std::optional<ToolCall> tool_call_delta() const {
        const char *id = nullptr, *name = nullptr;
        const char *added = rmlx_event_tool_call_delta(get(), &id, &name);
        return added == nullptr ? std::nullopt : std::optional(ToolCall{id, name, added});
    }

    /// The call that is whole with this event.
    std::optional<ToolCall> tool_call() const {
        const char *name = rmlx_event_tool_call_name(get());
        if (name == nullptr)
            return std::nullopt;
        return ToolCall{rmlx_event_tool_call_id(get()), name, rmlx_event_tool_call_arguments(get())};
    }

    /// Tokens of the prompt that are evaluated, and all of them; of a PROGRESS event.
    std::optional<std::pair<std::size_t, std::size_t>> progress() const noexcept {
        std::size_t done = 0, total = 0;
        return rmlx_event_progress(get(), &done, &total) ? std::optional(std::pair(done, total)) : std::nullopt;
    }

    bool is_finish() const noexcept { return kind() == RMLX_EVENT_FINISH; }

    /// One of RMLX_FINISH_*.
    rmlx_finish_reason finish_reason() const noexcept { return rmlx_event_finish_reason(get()); }

    /// What failed, of a FINISH event of RMLX_FINISH_ERROR. It may outlive the event.
    std::optional<Error> error() const {
        const rmlx_error *error = rmlx_event_error(get());
        if (error == nullptr)
            return std::nullopt;
        return Error(rmlx_error_code(error), std::shared_ptr<const rmlx_error>(handle_, error));
    }

    rmlx_event *get() const noexcept { return handle_.get(); }

private:
    // Shared with the errors that belong to it.
    std::shared_ptr<rmlx_event> handle_;
};

/// A loaded model, which any number of sessions and threads share.
class Model {
public:
    /// rmlx_model_load. Blocks until all weights are in memory.
    static Result<Model> load(const std::string &folder, const LoadOptions &options = {});

    /// rmlx_model_inspect: a JSON object about a snapshot folder, without reading a weight.
    static Result<std::string> inspect(const std::string &folder) {
        return json([&](auto out, auto error) { return rmlx_model_inspect(folder.c_str(), out, error); });
    }
    /// rmlx_model_estimate: a JSON object about the memory that a load and a session of `context_tokens` (0 for all
    /// that the options or the model allow) would take, without reading a weight.
    static Result<std::string> estimate(const std::string &folder, const LoadOptions &options = {},
                                        std::size_t context_tokens = 0);
    Result<std::string> info_json() const {
        return json([&](auto out, auto error) { return rmlx_model_info_json(get(), out, error); });
    }
    /// rmlx_probe: asks a question that every model knows, and judges the answer.
    Result<std::string> probe_json() const {
        return json([&](auto out, auto error) { return rmlx_probe(get(), out, error); });
    }

    Result<std::vector<std::uint32_t>> tokenize(std::string_view text, bool parse_special = false) const {
        return detail::array<std::uint32_t>([&](auto out, auto capacity, auto count, auto error) {
            return rmlx_model_tokenize(get(), text.data(), text.size(), parse_special, out, capacity, count, error);
        });
    }
    Result<std::string> detokenize(const std::vector<std::uint32_t> &ids, bool skip_special = false) const {
        return sized_text([&](auto out, auto size, auto error) {
            return rmlx_model_detokenize(get(), ids.data(), ids.size(), skip_special, out, size, error);
        });
    }
    Result<std::string> render(const Prompt &prompt, const GenerationOptions &options = {}) const {
        detail::Handle<rmlx_generation_options, rmlx_generation_options_release> raw(rmlx_generation_options_new());
        RMLX_TRY(detail::set_all(raw.get(), options));
        return sized_text([&](auto out, auto size, auto error) {
            return rmlx_model_render_prompt(get(), prompt.get(), raw.get(), out, size, error);
        });
    }
    Result<std::size_t> count_tokens(const Prompt &prompt, const GenerationOptions &options = {}) const {
        detail::Handle<rmlx_generation_options, rmlx_generation_options_release> raw(rmlx_generation_options_new());
        RMLX_TRY(detail::set_all(raw.get(), options));
        detail::Call call;
        std::size_t count = 0;
        if (call.failed(rmlx_model_count_tokens(get(), prompt.get(), raw.get(), &count, call.error())))
            RMLX_FAIL(call.take());
        return count;
    }

    Model share() const { return Model(rmlx_model_retain(get())); }
    rmlx_model *get() const noexcept { return handle_.get(); }

private:
    explicit Model(rmlx_model *owned) : handle_(owned) {}

    template <typename Make>
    static Result<std::string> sized_text(Make make) {
        detail::Call call;
        char *text = nullptr;
        std::size_t size = 0;
        if (call.failed(make(&text, &size, call.error())))
            RMLX_FAIL(call.take());
        return std::string(detail::Text(text).get(), size);
    }
    template <typename Make>
    static Result<std::string> json(Make make) {
        return sized_text([&](char **out, std::size_t *size, rmlx_error **error) {
            rmlx_status status = make(out, error);
            if (status == RMLX_OK)
                *size = std::char_traits<char>::length(*out);
            return status;
        });
    }

    detail::Handle<rmlx_model, rmlx_model_release> handle_;
};

/// An answer in the making: a range of events, to be gone through once. Leaving the loop, or destroying this, stops the
/// model. Its session must outlive it.
class Answer {
public:
    Answer(Answer &&other) noexcept
        : session_(std::exchange(other.session_, nullptr)), thrown_(std::move(other.thrown_)) {}
    Answer &operator=(Answer &&) = delete;

    ~Answer() {
        if (session_ == nullptr)
            return;
        rmlx_session_cancel(session_);
        while (session_ != nullptr && step_or_stop()) {
        }
    }

    struct End {};
    class Iterator {
    public:
        using value_type = Event;
        using reference = const Event &;
        using pointer = const Event *;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;

        reference operator*() const noexcept { return *answer_->event_; }
        pointer operator->() const noexcept { return &*answer_->event_; }
        Iterator &operator++() {
            answer_->advance();
            return *this;
        }
        void operator++(int) { answer_->advance(); }
        friend bool operator!=(const Iterator &at, End) noexcept { return !at.over(); }
        friend bool operator==(const Iterator &at, End) noexcept { return at.over(); }

    private:
        friend class Answer;
        explicit Iterator(Answer *answer) : answer_(answer) {}
        bool over() const noexcept { return !answer_->event_; }
        Answer *answer_;
    };

    /// Waits for the first event.
    Iterator begin() {
        advance();
        return Iterator(this);
    }
    End end() const noexcept { return {}; }

    /// rmlx_session_step_timeout: the next event, in place of a loop over the range; none if none has come in time, or if
    /// the answer is over.
    Result<std::optional<Event>> step_for(std::chrono::milliseconds most) {
        auto milliseconds = most.count() > 0 ? static_cast<std::uint64_t>(most.count()) : 0;
        return take([=](rmlx_session *session, rmlx_event **event, rmlx_error **error) {
            return rmlx_session_step_timeout(session, milliseconds, event, error);
        });
    }
    /// rmlx_session_try_step: the same without a wait.
    Result<std::optional<Event>> try_step() { return take(rmlx_session_try_step); }
    /// Whether the FINISH event has been taken.
    bool is_over() const noexcept { return session_ == nullptr; }

#ifdef RMLX_EXPECTED
    /// What ended the range before its FINISH event, if something did. (Without RMLX_EXPECTED it is thrown.)
    const std::optional<Error> &error() const noexcept { return error_; }
#endif

private:
    friend class Session;
    Answer(rmlx_session *session, std::shared_ptr<detail::Thrown> thrown)
        : session_(session), thrown_(std::move(thrown)) {}

    template <typename Step>
    Result<std::optional<Event>> take(Step step) {
        std::optional<Event> taken;
        if (session_ == nullptr)
            return taken;
        detail::Call call;
        rmlx_event *event = nullptr;
        rmlx_status status = step(session_, &event, call.error());
        if (call.failed(status)) {
            Error error = call.take();
            if (status == RMLX_ERROR_TIMEOUT)
                return taken;
            session_ = nullptr;
            RMLX_FAIL(error);
        }
        taken.emplace(event);
        if (taken->is_finish())
            session_ = nullptr;
        rethrow(*taken);
        return taken;
    }

    /// The next event to `event_`; false if there is none, with the reason in `error_` unless the answer is over.
    bool step_or_stop() {
        event_.reset();
        if (session_ == nullptr)
            return false;
        detail::Call call;
        rmlx_event *event = nullptr;
        if (call.failed(rmlx_session_step(session_, &event, call.error()))) {
            session_ = nullptr;
            error_ = call.take();
            return false;
        }
        event_.emplace(event);
        if (event_->is_finish())
            session_ = nullptr;
        return true;
    }
    /// In the place of the FINISH event that says that the processor has ended the answer.
    void rethrow(const Event &event) {
        if (event.finish_reason() == RMLX_FINISH_ERROR)
            thrown_->rethrow();
    }
    void advance() {
        bool stepped = step_or_stop();
        if (stepped)
            rethrow(*event_);
#ifndef RMLX_EXPECTED
        if (!stepped && error_)
            throw *error_;
#else
        static_cast<void>(stepped);
#endif
    }

    rmlx_session *session_;
    std::shared_ptr<detail::Thrown> thrown_;
    std::optional<Event> event_;
    std::optional<Error> error_;
};

/// Tells of any number of sessions when they have something to step: a descriptor for an event loop. Any thread.
///
///     poll(...) until waker.fd() is readable
///     for (std::uint64_t tag : waker.take())
///         answers[tag].try_step();
class Waker {
public:
    static Result<Waker> create() {
        detail::Call call;
        rmlx_waker *waker = nullptr;
        if (call.failed(rmlx_waker_new(&waker, call.error())))
            RMLX_FAIL(call.take());
        return Waker(waker);
    }

    /// rmlx_waker_fd: readable while `take` has tags to give; not to be read from, written to or closed.
    std::int32_t fd() const noexcept { return rmlx_waker_fd(get()); }

    /// rmlx_waker_take: the tags of sessions that have something, each once and at most so many. Never waits.
    Result<std::vector<std::uint64_t>> take(std::size_t most = 64) const {
        detail::Call call;
        std::vector<std::uint64_t> tags(most > 0 ? most : 1);
        std::size_t count = 0;
        if (call.failed(rmlx_waker_take(get(), tags.data(), tags.size(), &count, call.error())))
            RMLX_FAIL(call.take());
        tags.resize(count);
        return tags;
    }

    Waker share() const { return Waker(rmlx_waker_retain(get())); }
    rmlx_waker *get() const noexcept { return handle_.get(); }

private:
    explicit Waker(rmlx_waker *owned) : handle_(owned) {}
    detail::Handle<rmlx_waker, rmlx_waker_release> handle_;
};

/// One conversation. Any thread, one call at a time; cancel at any time.
class Session {
public:
    static Result<Session> create(const Model &model, const SessionOptions &options = {}) {
        return make(options, [&](const rmlx_session_options *raw, rmlx_session **out, rmlx_error **error) {
            return rmlx_session_new(model.get(), raw, out, error);
        });
    }

    /// rmlx_session_load: a session that holds what was saved.
    static Result<Session> load(const Model &model, const std::string &path, const SessionOptions &options = {}) {
        return make(options, [&](const rmlx_session_options *raw, rmlx_session **out, rmlx_error **error) {
            return rmlx_session_load(model.get(), raw, path.c_str(), out, error);
        });
    }

    /// rmlx_session_load_from_buffer: the same of bytes.
    static Result<Session> load(const Model &model, const std::vector<std::uint8_t> &bytes,
                                const SessionOptions &options = {}) {
        return make(options, [&](const rmlx_session_options *raw, rmlx_session **out, rmlx_error **error) {
            return rmlx_session_load_from_buffer(model.get(), raw, bytes.data(), bytes.size(), out, error);
        });
    }

    /// rmlx_session_save: writes what the session holds to a file, which appears whole or not at all.
    Result<void> save(const std::string &path) {
        detail::Call call;
        return detail::finish(call, rmlx_session_save(get(), path.c_str(), call.error()));
    }

    /// rmlx_session_save_to_buffer: what `save` writes.
    Result<std::vector<std::uint8_t>> save_to_buffer() {
        return detail::array<std::uint8_t>([&](auto out, auto capacity, auto count, auto error) {
            return rmlx_session_save_to_buffer(get(), out, capacity, count, error);
        });
    }

    /// rmlx_session_submit: begins to answer the conversation.
    Result<Answer> generate(const Prompt &prompt, const GenerationOptions &options = {}) {
        return begin(rmlx_session_submit, prompt, options);
    }

    /// Waits for the whole answer. What fails on the way is an error of this.
    Result<Response> respond(const Prompt &prompt, const GenerationOptions &options = {});

    /// What `parse` makes of the text of the answer. That it is JSON is for the prompt, or a constraint, to see to.
    template <typename T, typename Parse, typename = std::enable_if_t<detail::Parses<T, Parse>::value>>
    Result<T> respond_as(const Prompt &prompt, Parse parse, const GenerationOptions &options = {});

    /// A T made of the text of the answer.
    template <typename T, typename = std::enable_if_t<std::is_constructible_v<T, std::string>>>
    Result<T> respond_as(const Prompt &prompt, const GenerationOptions &options = {}) {
        return respond_as<T>(prompt, [](const std::string &text) { return T(text); }, options);
    }

    /// Answers with tools, which become the prompt's: runs what the model calls, tells it what came of that, and goes on
    /// until it calls nothing. All of it goes into the prompt, the last answer too. After `rounds` turns of calls in a
    /// row the answer is the next one, whatever it calls: then its `tool_calls` have not been run, and have no results
    /// in the prompt. What a tool throws comes out of this.
    Result<Response> respond_with_tools(Prompt &prompt, const std::vector<Tool> &tools,
                                        const GenerationOptions &options = {},
                                        std::size_t rounds = detail::TOOL_ROUNDS);

    /// rmlx_prompt_add_answer: the last answer as the assistant's message, with its thoughts and calls.
    Result<void> add_answer_to(Prompt &prompt) {
        detail::Call call;
        return detail::finish(call, rmlx_prompt_add_answer(prompt.get(), get(), call.error()));
    }

    /// rmlx_session_prefill: evaluates the conversation without an answer. The range has the same events as one, and no token.
    Result<Answer> prefill(const Prompt &prompt, const GenerationOptions &options = {}) {
        return begin(rmlx_session_prefill, prompt, options);
    }

    /// rmlx_session_fork: a second session that has been through the same. Nothing is copied before one of the two goes on.
    Result<Session> fork() {
        detail::Call call;
        rmlx_session *session = nullptr;
        if (call.failed(rmlx_session_fork(get(), &session, call.error())))
            RMLX_FAIL(call.take());
        return Session(session);
    }

    /// rmlx_session_truncate: forgets what is held from position `positions` on; how many positions are still held.
    Result<std::size_t> truncate(std::size_t positions) {
        detail::Call call;
        std::size_t kept = 0;
        if (call.failed(rmlx_session_truncate(get(), positions, &kept, call.error())))
            RMLX_FAIL(call.take());
        return kept;
    }

    /// rmlx_session_set_waker: lets the waker tell of this session, by the tag, until the session goes or another call of
    /// this.
    Result<void> set_waker(const Waker &waker, std::uint64_t tag) {
        detail::Call call;
        return detail::finish(call, rmlx_session_set_waker(get(), waker.get(), tag, call.error()));
    }
    /// No waker tells of this session any more.
    Result<void> clear_waker() {
        detail::Call call;
        return detail::finish(call, rmlx_session_set_waker(get(), nullptr, 0, call.error()));
    }

    void cancel() noexcept { rmlx_session_cancel(get()); }
    Result<void> reset() {
        detail::Call call;
        return detail::finish(call, rmlx_session_reset(get(), call.error()));
    }
    Result<rmlx_stats> stats() const {
        detail::Call call;
        rmlx_stats stats{};
        stats.struct_size = sizeof stats;
        if (call.failed(rmlx_session_stats(get(), &stats, call.error())))
            RMLX_FAIL(call.take());
        return stats;
    }
    Result<std::vector<float>> logits() {
        return detail::array<float>([&](auto out, auto capacity, auto count, auto error) {
            return rmlx_session_logits(get(), out, capacity, count, error);
        });
    }
    Result<std::vector<std::uint32_t>> prompt_tokens() {
        return detail::array<std::uint32_t>([&](auto out, auto capacity, auto count, auto error) {
            return rmlx_session_prompt_tokens(get(), out, capacity, count, error);
        });
    }

    rmlx_session *get() const noexcept { return handle_.get(); }

private:
    explicit Session(rmlx_session *owned) : handle_(owned) {}

    template <typename New>
    static Result<Session> make(const SessionOptions &options, New new_session) {
        detail::Handle<rmlx_session_options, rmlx_session_options_release> raw(rmlx_session_options_new());
        RMLX_TRY(detail::set(raw.get(), rmlx_session_options_set_context_length, options.context_length));
        RMLX_TRY(detail::set(raw.get(), rmlx_session_options_set_prefill_chunk, options.prefill_chunk));
        RMLX_TRY(detail::set(raw.get(), rmlx_session_options_set_checkpoints, options.checkpoints));
        RMLX_TRY(detail::set(raw.get(), rmlx_session_options_set_keep_turns, options.keep_turns));
        detail::Call call;
        rmlx_session *session = nullptr;
        if (call.failed(new_session(raw.get(), &session, call.error())))
            RMLX_FAIL(call.take());
        return Session(session);
    }

    template <typename Submit>
    Result<Answer> begin(Submit submit, const Prompt &prompt, const GenerationOptions &options) {
        detail::Handle<rmlx_generation_options, rmlx_generation_options_release> raw(rmlx_generation_options_new());
        auto thrown = std::make_shared<detail::Thrown>();
        RMLX_TRY(detail::set_all(raw.get(), options, thrown));
        detail::Call call;
        if (call.failed(submit(get(), prompt.get(), raw.get(), call.error())))
            RMLX_FAIL(call.take());
        return Answer(get(), std::move(thrown));
    }

    detail::Handle<rmlx_session, rmlx_session_release> handle_;
};

namespace detail {

/// What the callback of a load works with.
struct Progress {
    const LoadOptions &options;
    const Cancel &cancel;
    Thrown thrown = {};
    bool failed = false;

    static void report(float fraction, void *user_data) {
        auto &progress = *static_cast<Progress *>(user_data);
#ifdef __cpp_exceptions
        // No exception may go through C: it ends the load, and is thrown again when that has returned.
        try {
            if (!progress.failed)
                progress.options.progress(fraction);
        } catch (...) {
            progress.failed = true;
            progress.thrown.keep();
            progress.cancel.trigger();
        }
#else
        progress.options.progress(fraction);
#endif
    }
};

} // namespace detail

namespace detail {

/// What the callback of the log works with.
struct Log {
    using Function = std::function<void(rmlx_log_level, const char *)>;

    static void write(rmlx_log_level level, const char *message, void *user_data) {
#ifdef __cpp_exceptions
        // No exception may go through C, and nobody waits for it.
        try {
            (*static_cast<Function *>(user_data))(level, message);
        } catch (...) {
        }
#else
        (*static_cast<Function *>(user_data))(level, message);
#endif
    }

    static void destroy(void *user_data) { delete static_cast<Function *>(user_data); }
};

} // namespace detail

inline Result<Media> Media::prepare(const Model &model, const MediaOptions &options) const {
    return decode(options, [&](auto *bounds, auto out, auto error) {
        return rmlx_media_prepare(model.get(), get(), bounds, out, error);
    });
}

namespace detail {

/// Sets what a plan and a load have in common.
inline Result<void> set_all(rmlx_load_options *raw, const LoadOptions &options) {
    RMLX_TRY(set(raw, rmlx_load_options_set_device, options.device));
    RMLX_TRY(set(raw, rmlx_load_options_set_weights, options.weights));
    RMLX_TRY(set(raw, rmlx_load_options_set_cache_type, options.cache_type));
    RMLX_TRY(set(raw, rmlx_load_options_set_memory_limit, options.memory_limit));
    RMLX_TRY(set(raw, rmlx_load_options_set_ignore_system_memory, options.ignore_system_memory));
    RMLX_TRY(set(raw, rmlx_load_options_set_context_length, options.context_length));
    RMLX_TRY(set(raw, rmlx_load_options_set_media_cache, options.media_cache));
    if (options.chat_template) {
        Call call;
        const std::string &text = *options.chat_template;
        RMLX_TRY(
            finish(call, rmlx_load_options_set_chat_template(raw, text.data(), text.size(), call.error())));
    }
    if (options.group) {
        Call call;
        const Group &group = *options.group;
        const char *address = group.address ? group.address->c_str() : nullptr;
        RMLX_TRY(finish(call, rmlx_load_options_set_group(raw, group.backend, group.rank.value_or(-1),
                                                          group.size.value_or(0), address, call.error())));
        RMLX_TRY(set(raw, rmlx_load_options_set_group_timeout, group.timeout_milliseconds));
    }
    RMLX_SUCCEED();
}

/// Calls what loads, with the progress and the cancel object of the options.
template <typename Load> Result<void> loading(const LoadOptions &options, Load load) {
    Handle<rmlx_load_options, rmlx_load_options_release> raw(rmlx_load_options_new());
    RMLX_TRY(set_all(raw.get(), options));
    Cancel cancel = options.cancel != nullptr ? options.cancel->share() : Cancel();
    RMLX_TRY(set(raw.get(), rmlx_load_options_set_cancel, std::optional<const rmlx_cancel *>(cancel.get())));
    Progress progress{options, cancel};
    Call call;
    if (options.progress) {
        rmlx_status status = rmlx_load_options_set_progress(raw.get(), Progress::report, &progress, nullptr,
                                                            call.error());
        if (call.failed(status))
            RMLX_FAIL(call.take());
    }
    bool failed = call.failed(load(raw.get(), call.error()));
    std::optional<Error> error = failed ? std::optional(call.take()) : std::nullopt;
    progress.thrown.rethrow();
    if (error)
        RMLX_FAIL(*error);
    RMLX_SUCCEED();
}

} // namespace detail

inline Result<std::string> Model::estimate(const std::string &folder, const LoadOptions &options,
                                           std::size_t context_tokens) {
    detail::Handle<rmlx_load_options, rmlx_load_options_release> raw(rmlx_load_options_new());
    RMLX_TRY(detail::set_all(raw.get(), options));
    return json([&](auto out, auto error) {
        return rmlx_model_estimate(folder.c_str(), raw.get(), context_tokens, out, error);
    });
}

inline Result<Model> Model::load(const std::string &folder, const LoadOptions &options) {
    rmlx_model *model = nullptr;
    auto load = [&](auto *raw, auto error) { return rmlx_model_load(folder.c_str(), raw, &model, error); };
    RMLX_TRY(detail::loading(options, load));
    return Model(model);
}

/// rmlx_group_serve: runs this process's part of a snapshot for rank 0 of `options.group`, until that lets the model go.
inline Result<void> serve(const std::string &folder, const LoadOptions &options) {
    return detail::loading(options, [&](auto *raw, auto error) { return rmlx_group_serve(folder.c_str(), raw, error); });
}

inline Result<Response> Session::respond(const Prompt &prompt, const GenerationOptions &options) {
    Result<Answer> begun = generate(prompt, options);
#ifdef RMLX_EXPECTED
    if (!begun)
        return begun.error();
    Answer &answer = *begun;
#else
    Answer &answer = begun;
#endif
    Response response;
    for (const Event &event : answer) {
        if (event.kind() == RMLX_EVENT_TEXT || event.is_finish())
            response.text += event.text();
        if (event.kind() == RMLX_EVENT_REASONING)
            response.reasoning += event.text();
        if (std::optional<ToolCall> call = event.tool_call())
            response.tool_calls.push_back(std::move(*call));
        if (std::optional<Error> error = event.error())
            RMLX_FAIL(*error);
        response.reason = event.finish_reason();
    }
#ifdef RMLX_EXPECTED
    if (answer.error())
        return *answer.error();
#endif
    return response;
}

template <typename T, typename Parse, typename>
Result<T> Session::respond_as(const Prompt &prompt, Parse parse, const GenerationOptions &options) {
    Result<Response> response = respond(prompt, options);
#ifdef RMLX_EXPECTED
    if (!response)
        return response.error();
    return parse(std::as_const(response->text));
#else
    return parse(std::as_const(response.text));
#endif
}

inline Result<Response> Session::respond_with_tools(Prompt &prompt, const std::vector<Tool> &tools,
                                                    const GenerationOptions &options, std::size_t rounds) {
    RMLX_TRY(prompt.set_tools_json(detail::tools_json(tools)));
    for (std::size_t round = 0;; round++) {
        Result<Response> answer = respond(prompt, options);
#ifdef RMLX_EXPECTED
        if (!answer)
            return answer;
        const Response &response = *answer;
#else
        const Response &response = answer;
#endif
        RMLX_TRY(add_answer_to(prompt));
        if (response.reason != RMLX_FINISH_TOOL_CALLS || round == rounds)
            return answer;
        for (const ToolCall &call : response.tool_calls)
            RMLX_TRY(prompt.tool_result(call.id, call.name, detail::run(tools, call)));
    }
}

/// rmlx_respond_text: answers one text, in a session of its own: only what is said comes back. What a logits processor throws
/// comes out of this.
inline Result<std::string> respond_text(const Model &model, std::string_view text,
                                        const GenerationOptions &options = {}) {
    detail::Handle<rmlx_generation_options, rmlx_generation_options_release> raw(rmlx_generation_options_new());
    auto thrown = std::make_shared<detail::Thrown>();
    RMLX_TRY(detail::set_all(raw.get(), options, thrown));
    detail::Call call;
    char *answer = nullptr;
    std::size_t size = 0;
    bool failed = call.failed(
        rmlx_respond_text(model.get(), text.data(), text.size(), raw.get(), &answer, &size, call.error()));
    detail::Text owned(answer);
    std::optional<Error> error = failed ? std::optional(call.take()) : std::nullopt;
    thrown->rethrow();
    if (error)
        RMLX_FAIL(*error);
    return std::string(owned.get(), size);
}

/// rmlx_version: of the library that is running, for people.
inline std::string_view version() noexcept { return rmlx_version(); }

/// rmlx_abi_version: at least RMLX_ABI_VERSION, unless the library is older than this header.
inline std::uint32_t abi_version() noexcept { return rmlx_abi_version(); }

/// rmlx_has_feature: whether the library, on this machine, has a feature.
inline bool has_feature(const std::string &name) noexcept { return rmlx_has_feature(name.c_str()); }

/// rmlx_set_log_callback: sends the log of the whole process to a function, or to nobody with nullptr. It runs on a thread of
/// the log's own, one message at a time, and must not call rmlx; nobody hears of what it throws.
inline Result<void> set_log(rmlx_log_level level, std::function<void(rmlx_log_level, const char *)> log) {
    detail::Call call;
    if (!log)
        return detail::finish(call, rmlx_set_log_callback(level, nullptr, nullptr, nullptr, call.error()));
    auto owned = std::make_unique<decltype(log)>(std::move(log));
    RMLX_TRY(detail::finish(
        call, rmlx_set_log_callback(level, detail::Log::write, owned.get(), detail::Log::destroy, call.error())));
    owned.release();
    RMLX_SUCCEED();
}

/// rmlx_memory_stats: bytes that MLX manages for the whole process.
inline Result<rmlx_memory_usage> memory_usage() {
    detail::Call call;
    rmlx_memory_usage usage{};
    usage.struct_size = sizeof usage;
    if (call.failed(rmlx_memory_stats(&usage, call.error())))
        RMLX_FAIL(call.take());
    return usage;
}

/// rmlx_memory_set_limits; a limit that is not given stays as it is.
inline Result<void> set_memory_limits(std::optional<std::uint64_t> memory, std::optional<std::uint64_t> cache) {
    detail::Call call;
    rmlx_status status =
        rmlx_memory_set_limits(memory.value_or(UINT64_MAX), cache.value_or(UINT64_MAX), call.error());
    return detail::finish(call, status);
}

/// rmlx_memory_set_wired_limit; without a number, rmlx's own.
inline Result<void> set_wired_limit(std::optional<std::uint64_t> bytes) {
    detail::Call call;
    return detail::finish(call, rmlx_memory_set_wired_limit(bytes.value_or(UINT64_MAX), call.error()));
}

/// rmlx_memory_trim: gives memory that is kept to be used again back to the system.
inline Result<void> trim_memory() {
    detail::Call call;
    return detail::finish(call, rmlx_memory_trim(call.error()));
}

/// rmlx_suspend: returns when no work is in flight and none will begin, or fails with RMLX_ERROR_TIMEOUT.
inline Result<void> suspend(std::chrono::milliseconds deadline) {
    detail::Call call;
    auto milliseconds = deadline.count() > 0 ? static_cast<std::uint64_t>(deadline.count()) : 0;
    return detail::finish(call, rmlx_suspend(milliseconds, nullptr, call.error()));
}

/// rmlx_resume: ends any number of rmlx::suspend.
inline Result<void> resume() {
    detail::Call call;
    return detail::finish(call, rmlx_resume(call.error()));
}

#undef RMLX_FAIL
#undef RMLX_SUCCEED
#undef RMLX_TRY

} // inline namespace

} // namespace rmlx

#endif // RMLX_HPP
