// Asks a model about pictures and sounds, and prints the answer while it is being made:
//
//     describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION
//
// The answer goes to stdout; at the end, a line of numbers goes to stderr. Build it with
//
//     c++ -std=c++17 describe.cpp $(pkg-config --cflags --libs rmlx) -o describe

#include <rmlx.hpp>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file)
        throw std::runtime_error("cannot read " + path);
    return bytes;
}

// Whether the arguments after the snapshot are pairs of -i or -a and a file, and a question.
bool usable(const std::vector<std::string> &arguments) {
    if (arguments.size() < 2 || arguments.size() % 2 != 0)
        return false;
    for (std::size_t i = 1; i + 1 < arguments.size(); i += 2)
        if (arguments[i] != "-i" && arguments[i] != "-a")
            return false;
    return true;
}

// One message of the user: media first, then the question.
rmlx::Prompt ask(const std::vector<std::string> &arguments) {
    rmlx::Prompt prompt;
    prompt.begin_message("user");
    for (std::size_t i = 1; i + 1 < arguments.size(); i += 2) {
        const std::string bytes = read_file(arguments[i + 1]);
        prompt.add(arguments[i] == "-i" ? rmlx::Media::image(bytes) : rmlx::Media::audio(bytes));
    }
    prompt.add(arguments.back());
    return prompt;
}

void print_stats(const rmlx::Session &session) {
    const rmlx_stats stats = session.stats();
    const double decoded = stats.generated_tokens > 1 ? static_cast<double>(stats.generated_tokens - 1) : 0.0;
    std::cerr << stats.prompt_tokens << " prompt tokens (" << stats.media_tokens << " of media), first token after "
              << stats.first_token_ms << " ms, " << stats.generated_tokens << " tokens at "
              << (stats.decode_ms > 0 ? decoded * 1000 / stats.decode_ms : 0.0) << " a second\n";
}

void answer(const std::vector<std::string> &arguments) {
    const rmlx::Prompt prompt = ask(arguments);
    const rmlx::Model model = rmlx::Model::load(arguments.front());
    rmlx::Session session = rmlx::Session::create(model);
    rmlx::GenerationOptions options;
    options.max_tokens = 256;
    for (const rmlx::Event &event : session.generate(prompt, options)) {
        // The last event may bring what was held back.
        if (event.kind() == RMLX_EVENT_TEXT || event.is_finish())
            std::cout << event.text() << std::flush;
        if (auto error = event.error())
            throw *error;
    }
    std::cout << '\n';
    print_stats(session);
}

} // namespace

int main(int argc, char **argv) {
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    if (!usable(arguments)) {
        std::cerr << "usage: describe SNAPSHOT [-i IMAGE]... [-a SOUND]... QUESTION\n";
        return 2;
    }
    try {
        answer(arguments);
        return 0;
    } catch (const std::exception &failure) {
        std::cerr << "describe: " << failure.what() << '\n';
        return 1;
    }
}
