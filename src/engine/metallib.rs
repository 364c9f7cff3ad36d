//! Which library of Metal kernels MLX loads.
//!
//! A package may bring two: `mlx.metallib`, for the oldest system that it runs on, and `mlx-nax.metallib`, for 26.2 and
//! later, with the same kernels and those for the neural accelerators of newer chips besides. MLX looks for the first one
//! beside the library's image by itself; the second one has to be named before MLX's first operation, and neither can be
//! given back afterwards.

use std::path::{Path, PathBuf};

use crate::nn::mlx;
use crate::{log, system};

const NAX: &str = "mlx-nax.metallib";
/// The first version whose Metal has what these kernels need.
const SINCE: (u32, u32) = (26, 2);

/// Names the library to MLX. Call it before MLX's first operation.
pub fn choose() {
    let (Some(version), Some(folder)) = (system::version(), system::image_folder()) else { return };
    let Some(path) = newer(&version, &folder, |path| path.is_file()) else { return };
    if let Err(error) = mlx::set_metallib(&path) {
        log::warning(&format!("{} cannot be used: {error}", path.display()));
    }
}

/// The library with the kernels for neural accelerators, where the system runs it and the package has it.
fn newer(version: &str, folder: &Path, exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next()?, numbers.next().unwrap_or(0));
    let candidates = [folder.join(NAX), folder.join("Resources").join(NAX)];
    candidates.into_iter().find(|path| version >= SINCE && exists(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_for_neural_accelerators_are_for_systems_that_run_them() {
        let folder = Path::new("/app/Rmlx.framework");
        let chosen = |version| newer(version, folder, |_| true);
        for old in ["17.4", "26.1", "26", "26.1.9", "", "x"] {
            assert_eq!(chosen(old), None, "{old}");
        }
        for new in ["26.2", "26.10", "27", "27.0.1"] {
            assert_eq!(chosen(new), Some(folder.join(NAX)), "{new}");
        }
    }

    #[test]
    fn they_are_beside_the_image_or_among_its_resources_or_nowhere() {
        let folder = Path::new("/app/Rmlx.framework/Versions/A");
        let resources = folder.join("Resources").join(NAX);
        assert_eq!(newer("26.2", folder, |path| path == resources), Some(resources.clone()));
        assert_eq!(newer("26.2", folder, |_| false), None);
    }
}
