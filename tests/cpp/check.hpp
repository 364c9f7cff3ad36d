// What the C++ tests share: checks that end the program, and the files that they work with.
//
// A test is a program that returns 0 when all is well. It is run in the root of the workspace.

#ifndef RMLX_TESTS_CHECK_HPP
#define RMLX_TESTS_CHECK_HPP

#include <rmlx.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

// Ends the program with a message unless the condition holds.
#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1); \
        } \
    } while (false)

inline const char *const DEMO = "models/demo/bf16";

inline std::string read_file(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    CHECK(file && !bytes.empty());
    return bytes;
}

// Takes the likeliest token each time.
inline rmlx::GenerationOptions greedy(std::size_t max_tokens) {
    rmlx::GenerationOptions options;
    options.temperature = 0.0f;
    options.max_tokens = max_tokens;
    return options;
}

#ifndef RMLX_EXPECTED
inline rmlx::Prompt question(const char *text) {
    rmlx::Prompt prompt;
    prompt.user(text);
    return prompt;
}
#endif

#endif
