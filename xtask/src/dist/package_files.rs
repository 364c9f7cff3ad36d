//! What pkg-config and CMake read. Both name every path relative to themselves: the folder may be moved.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::{cargo, library};

pub fn write(dist: &Path) -> Result<()> {
    let version = cargo::version()?;
    let pkgconfig = dist.join("lib/pkgconfig");
    let cmake = dist.join("lib/cmake/rmlx");
    fs::create_dir_all(&pkgconfig)?;
    fs::create_dir_all(&cmake)?;
    fs::write(pkgconfig.join("rmlx.pc"), pkgconfig_file(&version))?;
    fs::write(cmake.join("rmlxConfig.cmake"), cmake_config(library::soname()?.as_deref()))?;
    fs::write(cmake.join("rmlxConfigVersion.cmake"), cmake_version(&version))?;
    Ok(())
}

/// Without a search path for run time: SwiftPM refuses such a flag, with a warning at each build.
pub fn pkgconfig_file(version: &str) -> String {
    format!(
        "prefix=${{pcfiledir}}/../..\n\
         includedir=${{prefix}}/include\n\
         libdir=${{prefix}}/lib\n\
         \n\
         Name: rmlx\n\
         Description: Multimodal language models on the device, over Apple MLX\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -lrmlx\n"
    )
}

fn cmake_config(soname: Option<&str>) -> String {
    let soname = soname.map(|name| format!("    IMPORTED_SONAME \"{name}\"\n")).unwrap_or_default();
    format!(
        "get_filename_component(_rmlx_prefix \"${{CMAKE_CURRENT_LIST_DIR}}/../../..\" ABSOLUTE)\n\
         if(NOT TARGET rmlx::rmlx)\n  \
           add_library(rmlx::rmlx SHARED IMPORTED)\n  \
           set_target_properties(rmlx::rmlx PROPERTIES\n    \
             IMPORTED_LOCATION \"${{_rmlx_prefix}}/lib/{file}\"\n\
           {soname}    \
             INTERFACE_INCLUDE_DIRECTORIES \"${{_rmlx_prefix}}/include\")\n\
         endif()\n\
         unset(_rmlx_prefix)\n",
        file = library::file_name("rmlx")
    )
}

/// Before 1.0 every minor version may break.
fn cmake_version(version: &str) -> String {
    format!(
        "set(PACKAGE_VERSION \"{version}\")\n\
         if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)\n  \
           set(PACKAGE_VERSION_EXACT TRUE)\n\
         endif()\n\
         string(REGEX MATCH \"^[0-9]+\\\\.[0-9]+\" _rmlx_series \"${{PACKAGE_VERSION}}\")\n\
         if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR PACKAGE_FIND_VERSION VERSION_LESS _rmlx_series)\n  \
           set(PACKAGE_VERSION_COMPATIBLE FALSE)\n\
         else()\n  \
           set(PACKAGE_VERSION_COMPATIBLE TRUE)\n\
         endif()\n\
         unset(_rmlx_series)\n"
    )
}
