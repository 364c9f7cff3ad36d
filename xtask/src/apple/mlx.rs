//! MLX and mlx-c for one of Apple's platforms: static libraries, two metallibs, bindings, and what Cargo is told of them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::kernels::{Kernels, Level};
use super::slice::{STATIC_LIBRARIES, SYSTEM_LIBRARIES, Slice};
use crate::plan::{self, Run, Step};
use crate::setup::config;
use crate::{paths, setup};

/// Where MLX's sources are, and what they have in them.
pub struct Source {
    /// The folder of MLX's own CMakeLists.txt.
    pub mlx: PathBuf,
    /// The folder of mlx-c.
    mlxc: PathBuf,
    version: String,
    pub kernels: Kernels,
    /// Whether the folder is the user's, who has said so.
    given: bool,
}

impl Source {
    /// The version that mlx-sys pins, which the plan fetches, or the folder of it that the user names.
    pub fn find(given: Option<&Path>) -> Result<Self> {
        let sources = setup::sources()?;
        let fetched = paths::root().join("target/mlx").join(format!("source-{}", sources.mlx_version));
        let kernels = given.map(Kernels::read).transpose()?.unwrap_or_else(Kernels::recorded);
        Ok(Self {
            mlx: given.map_or(fetched, Path::to_owned),
            mlxc: sources.mlxc,
            version: sources.mlx_version,
            kernels,
            given: given.is_some(),
        })
    }

    /// Brings MLX's sources here, and checks that they are those of the plan.
    pub fn fetch(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.given {
            let tag = format!("v{}", self.version);
            let mut clone =
                Run::new("git", &["-c", "advice.detachedHead=false", "clone", "--quiet", "--depth", "1"])
                    .args(["--branch", &tag, "https://github.com/ml-explore/mlx.git"])
                    .path(&self.mlx);
            clone.unless = Some(self.mlx.join("CMakeLists.txt"));
            steps.push(Step::Run(clone));
        }
        steps.push(Step::Kernels { mlx: self.mlx.clone(), expected: self.kernels.clone() });
        steps
    }
}

/// The folder `target/mlx/<target>` of one platform.
pub struct Build<'a> {
    slice: Slice,
    source: &'a Source,
    root: PathBuf,
}

impl<'a> Build<'a> {
    pub fn new(slice: Slice, source: &'a Source) -> Self {
        Self { slice, source, root: folder(slice) }
    }

    pub fn libraries(&self) -> PathBuf {
        libraries(self.slice)
    }

    /// Everything from MLX's sources to what Cargo links.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Folder(self.libraries()), Step::Folder(self.bindings())];
        steps.push(Step::Run(self.configure()));
        steps.push(Step::Run(Run::new("cmake", &["--build"]).path(&self.root.join("build")).args([
            "--target",
            "mlxc",
            "--parallel",
        ])));
        steps.push(Step::Bind { headers: self.source.mlxc.clone(), folder: self.bindings() });
        if self.slice.has_metal() {
            for level in Level::ALL {
                let work = self.root.join("kernels");
                let kernels = &self.source.kernels;
                steps.extend(kernels.compile(self.slice, level, &self.source.mlx, &work, &self.libraries()));
            }
        }
        steps
    }

    fn bindings(&self) -> PathBuf {
        self.root.join("bindings")
    }

    fn configure(&self) -> Run {
        let define = |name: &str, value: &str| format!("-D{name}={value}");
        let path = |path: &Path| path.display().to_string();
        let mut run = Run::new("cmake", &["-S"]).path(&paths::root().join("xtask/apple"));
        run = run.args(["-B"]).path(&self.root.join("build"));
        if self.slice != Slice::Mac {
            run = run.args([define("CMAKE_SYSTEM_NAME", "iOS")]);
        }
        run.args([
            // MLX gives it to a script as a word that must be there.
            define("CMAKE_SYSTEM_PROCESSOR", "arm64"),
            define("CMAKE_OSX_SYSROOT", self.slice.sdk()),
            define("CMAKE_OSX_ARCHITECTURES", "arm64"),
            define("CMAKE_OSX_DEPLOYMENT_TARGET", self.slice.minimum()),
            define("CMAKE_BUILD_TYPE", "Release"),
            define("CMAKE_ARCHIVE_OUTPUT_DIRECTORY", &path(&self.libraries())),
            define("BUILD_SHARED_LIBS", "OFF"),
            define("MLX_SOURCE", &path(&self.source.mlx)),
            define("MLXC_SOURCE", &path(&self.source.mlxc)),
            define("MLX_BUILD_METAL", if self.slice.has_metal() { "ON" } else { "OFF" }),
            define("MLX_METAL_JIT", "OFF"),
            // The last place in which MLX looks for its kernels: none, as it is written into the library. rmlx names this
            // checkout's to MLX, unless the library is shipped.
            define("MLX_METAL_PATH", "/dev/null"),
            define("MLX_BUILD_CPU", "ON"),
            define("MLX_BUILD_GGUF", "OFF"),
            define("MLX_BUILD_TESTS", "OFF"),
            define("MLX_BUILD_EXAMPLES", "OFF"),
            define("MLX_BUILD_BENCHMARKS", "OFF"),
            define("MLX_USE_CCACHE", "OFF"),
        ])
    }

    /// The table that stands in for mlx-sys's build script, for this platform's target.
    fn table(&self) -> String {
        let mut link: Vec<String> = STATIC_LIBRARIES.iter().map(|name| format!("static={name}")).collect();
        link.extend(SYSTEM_LIBRARIES.iter().map(|name| format!("dylib={name}")));
        link.extend(self.slice.frameworks().iter().map(|name| format!("framework={name}")));
        let inputs = plan::print(&self.steps());
        config::table(self.slice.target(), &link, &self.libraries(), &self.bindings(), &inputs)
    }
}

fn folder(slice: Slice) -> PathBuf {
    paths::root().join("target/mlx").join(slice.target())
}

/// The folder of the libraries and metallibs of a platform.
pub fn libraries(slice: Slice) -> PathBuf {
    folder(slice).join("lib")
}

/// Builds MLX for the platforms, and tells Cargo.
pub fn steps(slices: &[Slice], source: &Source) -> Vec<Step> {
    let metal = slices.iter().filter(|slice| slice.has_metal());
    let mut steps: Vec<Step> = metal.map(|slice| Step::Sdk(*slice)).collect();
    steps.extend(source.fetch());
    let mut tables =
        vec![format!("# Made by `cargo xtask setup` or `cargo xtask xcframework`.\n{}", config::WHAT)];
    for slice in slices {
        let build = Build::new(*slice, source);
        steps.extend(build.steps());
        tables.push(build.table());
    }
    steps.push(Step::Write { file: paths::mlx_config(), text: tables.join("\n") });
    steps
}
