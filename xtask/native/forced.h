/* Included before everything else when mlx-c is compiled or bound on Linux.
 *
 * mlx-c declares float16_t and bfloat16_t for aarch64 only, and mlx-rs needs them on every target: this header
 * takes the place of mlx/c/half.h. It also stands in for <format> where the C++ library has none (gcc 12). */
#ifndef RMLX_MLXC_FORCED_H
#define RMLX_MLXC_FORCED_H

#define MLX_HALF_H
#define HAS_FLOAT16
#define HAS_BFLOAT16

#ifdef __cplusplus

#include <mlx/mlx.h>

using float16_t = mlx::core::float16_t;
using bfloat16_t = mlx::core::bfloat16_t;

#if __has_include(<format>)
#include <format>
#else
#include <sstream>
#include <string>
#include <string_view>

namespace rmlx_format {

inline void write(std::ostringstream& out, std::string_view text) {
  out << text;
}

template <typename First, typename... Rest>
void write(std::ostringstream& out, std::string_view text, const First& first, const Rest&... rest) {
  auto hole = text.find("{}");
  out << text.substr(0, hole);
  if (hole == std::string_view::npos) {
    return;
  }
  out << first;
  write(out, text.substr(hole + 2), rest...);
}

} // namespace rmlx_format

namespace std {

/* mlx-c uses plain {} only. */
template <typename... Arguments>
string format(string_view text, const Arguments&... arguments) {
  ostringstream out;
  rmlx_format::write(out, text, arguments...);
  return out.str();
}

} // namespace std
#endif

#else /* C, as bindgen reads it */

#include <stdint.h>

typedef struct {
  uint16_t bits;
} float16_t;
typedef uint16_t bfloat16_t;

#endif

#endif
