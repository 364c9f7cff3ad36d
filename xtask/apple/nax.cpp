// Whether MLX asks for its kernels for the neural accelerators.
//
// MLX decides by system and GPU alone, once, and throws when the metallib in use has no such kernels. rmlx ships two
// metallibs and says which by mlx_metal_set_metallib_path: the kernels are asked for only where they are.

#include <string>
#include <string_view>

#include "mlx/backend/metal/metal.h"

namespace mlx::core::metal {

// device.cpp's own is_nax_available, which CMakeLists.txt renames there.
bool hardware_has_nax();

bool is_nax_available() {
  constexpr std::string_view name = "mlx-nax.metallib";
  const std::string& path = get_metallib_path();
  bool present = path.size() >= name.size() &&
      path.compare(path.size() - name.size(), name.size(), name) == 0;
  return present && hardware_has_nax();
}

} // namespace mlx::core::metal
