// The header is C++ too: it compiles without a warning, its functions have C linkage, and handles fit smart pointers.

#include <rmlx.h>

#include <memory>
#include <string>

namespace {

template <typename T, void (*Release)(T *)>
struct Deleter {
    void operator()(T *object) const { Release(object); }
};

using Prompt = std::unique_ptr<rmlx_prompt, Deleter<rmlx_prompt, rmlx_prompt_release>>;
using Error = std::unique_ptr<rmlx_error, Deleter<rmlx_error, rmlx_error_release>>;

} // namespace

int main() {
    if (rmlx_abi_version() != RMLX_ABI_VERSION)
        return 1;
    Prompt prompt(rmlx_prompt_new());
    const std::string text = "Grüße aus C++";
    if (rmlx_prompt_begin_message(prompt.get(), "user", nullptr) != RMLX_OK ||
        rmlx_prompt_add_text(prompt.get(), text.data(), text.size(), nullptr) != RMLX_OK)
        return 1;
    rmlx_model *model = nullptr;
    rmlx_error *raw = nullptr;
    rmlx_status status = rmlx_model_load("there is no such folder", nullptr, &model, &raw);
    Error error(raw);
    if (status != RMLX_ERROR_NOT_FOUND || rmlx_error_code(error.get()) != status || model != nullptr)
        return 1;
    rmlx_memory_usage usage{};
    usage.struct_size = sizeof usage;
    return rmlx_memory_stats(&usage, nullptr) == RMLX_OK ? 0 : 1;
}
