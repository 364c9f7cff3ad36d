// mlx-c's error.cpp, and a reference that hides mlx-rs's error handler.
//
// mlx-rs declares its handler #[no_mangle], so rustc exports it from every shared library. A linker gives a symbol the
// narrowest visibility that any object file asks for, and this one asks for hidden: only rmlx_* leave the library.

#include "mlx/c/error.cpp"

extern "C" __attribute__((weak, visibility("hidden"))) void default_mlx_error_handler(const char*, void*);

[[gnu::used]] static void (*const hidden_error_handler)(const char*, void*) = default_mlx_error_handler;
