//! Which library of Metal kernels MLX loads.
//!
//! A package may bring two: `mlx.metallib`, for the oldest system that it runs on, and `mlx-nax.metallib`, for 26.2 and
//! later, with the same kernels and those for the neural accelerators of newer chips besides. MLX looks for the first one
//! beside the library's image by itself; the second one has to be named before MLX's first operation, and so has what the
//! set-up left for a library that is run where it was built. None can be given back afterwards.

use std::path::{Path, PathBuf};

use crate::nn::mlx;
use crate::{log, system};

const BASE: &str = "mlx.metallib";
const NAX: &str = "mlx-nax.metallib";
/// The first version whose Metal has what the kernels for neural accelerators need.
const SINCE: (u32, u32) = (26, 2);
/// Where the set-up left both, for what is run from its checkout.
const BUILT: Option<&str> = option_env!("RMLX_METAL_FOLDER");

/// Names the library to MLX. Call it before MLX's first operation.
pub fn choose() {
    let (Some(version), Some(folder)) = (system::version(), system::image_folder()) else { return };
    let Some(path) = library(&version, &folder, BUILT.map(Path::new), |path| path.is_file()) else { return };
    if let Err(error) = mlx::set_metallib(&path) {
        log::warning(&format!("{} cannot be used: {error}", path.display()));
    }
}

/// The library that MLX would not find by itself. The nearest folder that has one decides.
fn library(
    version: &str,
    folder: &Path,
    built: Option<&Path>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next()?, numbers.next().unwrap_or(0));
    let nearest = [folder.to_owned(), folder.join("Resources")]
        .into_iter()
        .find(|place| exists(&place.join(BASE)) || exists(&place.join(NAX)));
    let (place, is_found) = match nearest {
        Some(place) => (place, true),
        None => (built?.to_owned(), false),
    };
    let newer = Some(place.join(NAX)).filter(|path| version >= SINCE && exists(path));
    newer.or_else(|| (!is_found).then(|| place.join(BASE)).filter(|path| exists(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_for_neural_accelerators_are_for_systems_that_run_them() {
        let folder = Path::new("/app/Rmlx.framework");
        let chosen = |version| library(version, folder, None, |_| true);
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
        assert_eq!(library("26.2", folder, None, |path| path == resources), Some(resources.clone()));
        assert_eq!(library("26.2", folder, None, |_| false), None);
    }

    #[test]
    fn what_the_set_up_left_is_named_where_nothing_is_beside_the_image() {
        let (image, built) =
            (Path::new("/checkout/target/debug/deps"), Path::new("/checkout/target/mlx/lib"));
        let in_checkout = |version| library(version, image, Some(built), |path| path.starts_with(built));
        assert_eq!(in_checkout("26.2"), Some(built.join(NAX)));
        assert_eq!(in_checkout("14.0"), Some(built.join(BASE)));
        let everywhere = |version| library(version, image, Some(built), |path| path.ends_with(BASE));
        assert_eq!(everywhere("26.2"), None, "MLX finds the one beside its image by itself");
        assert_eq!(
            library("14.0", image, Some(built), |_| false),
            None,
            "a folder that has gone names nothing"
        );
    }
}
