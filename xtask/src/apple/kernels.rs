//! MLX's Metal kernels, compiled for one of Apple's platforms.
//!
//! MLX's own CMake rules compile them with the SDK of macOS alone (mlx#3915), so the plan has the compiler's every call, with
//! the files and flags of those rules. They are compiled twice: for the oldest system, and for the first that has the neural
//! accelerators in its Metal.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::Slice;
use crate::plan::{Run, Step};

/// The first system whose Metal has the neural accelerators. The compiler has to be told it as the oldest, too: for an older one
/// that of Xcode 26.5 makes kernels that compute wrong products (mlx#3586).
pub const NAX_SYSTEM: &str = "26.2";

const FOLDER: &str = "mlx/backend/metal/kernels";

/// One compilation of the kernels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// For the oldest system, whose Metal is 3.1.
    Base,
    /// Metal 4 with the kernels for the neural accelerators.
    Nax,
}

impl Level {
    pub const ALL: [Self; 2] = [Self::Base, Self::Nax];

    pub fn file(self) -> &'static str {
        match self {
            Self::Base => "mlx.metallib",
            Self::Nax => "mlx-nax.metallib",
        }
    }

    fn minimum(self, slice: Slice) -> String {
        let version = match self {
            Self::Base => slice.minimum(),
            Self::Nax => NAX_SYSTEM,
        };
        match slice {
            Slice::Mac => format!("-mmacosx-version-min={version}"),
            Slice::Device | Slice::Simulator => format!("-mios-version-min={version}"),
        }
    }
}

/// What MLX's CMakeLists.txt compiles when kernels are not compiled at run time; paths without `.metal`, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernels {
    pub flags: Vec<String>,
    pub always: Vec<String>,
    /// Only for Metal 3.2 and later.
    pub metal_3_2: Vec<String>,
    pub nax: Vec<String>,
}

impl Kernels {
    /// The lists of MLX 0.32.2, for a plan without its sources at hand.
    pub fn recorded() -> Self {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            flags: list(
                "-x metal -Wall -Wextra -fno-fast-math -Wno-c++17-extensions -Wno-c++20-extensions \
                 -Wmetal-addr-spaces",
            ),
            always: list(
                "arg_reduce conv dot layer_norm random rms_norm rope scaled_dot_product_attention arange binary \
                 binary_two copy fft reduce quantized fp_quantized scan softmax logsumexp searchsorted sort ternary \
                 unary steel/conv/kernels/steel_conv steel/conv/kernels/steel_conv_3d \
                 steel/conv/kernels/steel_conv_general steel/gemm/kernels/steel_gemm_fused \
                 steel/gemm/kernels/steel_gemm_gather steel/gemm/kernels/steel_gemm_masked \
                 steel/gemm/kernels/steel_gemm_splitk steel/gemm/kernels/steel_gemm_segmented gemv gemv_masked \
                 steel/attn/kernels/steel_attention",
            ),
            metal_3_2: list("fence"),
            nax: list(
                "steel/gemm/kernels/steel_gemm_fused_nax steel/gemm/kernels/steel_gemm_gather_nax \
                 steel/gemm/kernels/steel_gemm_splitk_nax steel/gemm/kernels/steel_gemm_segmented_nax quantized_nax \
                 fp_quantized_nax steel/attn/kernels/steel_attention_nax",
            ),
        }
    }

    /// The lists in MLX's sources.
    pub fn read(mlx: &Path) -> Result<Self> {
        let file = mlx.join(FOLDER).join("CMakeLists.txt");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let kernels = Self::parse(&text).with_context(|| file.display().to_string())?;
        for kernel in [&kernels.always, &kernels.metal_3_2, &kernels.nax].into_iter().flatten() {
            let source = mlx.join(FOLDER).join(kernel).with_extension("metal");
            ensure!(source.is_file(), "there is no {}", source.display());
        }
        Ok(kernels)
    }

    /// An error that names the difference, if MLX's sources list anything else.
    pub fn check(&self, mlx: &Path) -> Result<()> {
        let found = Self::read(mlx)?;
        ensure!(found == *self, "MLX's sources list other kernels\nthe plan: {self}\nfound:    {found}");
        Ok(())
    }

    /// Reads the calls of `build_kernel`, each under the conditions around it.
    fn parse(text: &str) -> Result<Self> {
        let lines: Vec<&str> = text.lines().map(|line| line.split('#').next().unwrap_or_default()).collect();
        let mut rest = lines.join(" ");
        let mut kernels = Self { flags: flags(&rest)?, always: vec![], metal_3_2: vec![], nax: vec![] };
        let mut conditions: Vec<String> = Vec::new();
        while let Some((name, arguments, after)) = next_call(&rest) {
            match name.as_str() {
                "if" => conditions.push(arguments),
                "else" | "elseif" => {
                    conditions.pop().context("an else without an if")?;
                    conditions.push("else".to_owned());
                }
                "endif" => drop(conditions.pop().context("an endif without an if")?),
                "build_kernel" => {
                    let kernel = arguments.split_whitespace().next().context("a kernel has no name")?;
                    kernels.list(&conditions)?.push(kernel.to_owned());
                }
                _ => {}
            }
            rest = after;
        }
        ensure!(!kernels.always.is_empty() && !kernels.nax.is_empty(), "no kernels are listed as expected");
        Ok(kernels)
    }

    fn list(&mut self, conditions: &[String]) -> Result<&mut Vec<String>> {
        let (mut metal_3_2, mut nax) = (false, false);
        for condition in conditions {
            if condition == "MLX_METAL_VERSION GREATER_EQUAL 320" {
                metal_3_2 = true;
            } else if condition.starts_with("MLX_METAL_VERSION GREATER_EQUAL 400 AND")
                && condition.contains("26.2")
            {
                nax = true;
            } else if condition != "NOT MLX_METAL_JIT" {
                bail!("a kernel stands under an unknown condition: {condition}");
            }
        }
        Ok(if nax {
            &mut self.nax
        } else if metal_3_2 {
            &mut self.metal_3_2
        } else {
            &mut self.always
        })
    }

    /// The kernels of a level, as paths under MLX's folder of them.
    fn of(&self, level: Level) -> Vec<&String> {
        match level {
            Level::Base => self.always.iter().collect(),
            Level::Nax => [&self.always, &self.metal_3_2, &self.nax].into_iter().flatten().collect(),
        }
    }

    /// Compiles a level, and leaves its library in the folder.
    pub fn compile(&self, slice: Slice, level: Level, mlx: &Path, work: &Path, folder: &Path) -> Vec<Step> {
        let minimum = level.minimum(slice);
        let objects = work.join(level.file().trim_end_matches(".metallib"));
        let metal = || Run::new("xcrun", &["-sdk", slice.sdk(), "metal"]);
        let mut steps = vec![Step::Folder(objects.clone())];
        let mut compiled: Vec<PathBuf> = Vec::new();
        for kernel in self.of(level) {
            let source = mlx.join(FOLDER).join(kernel).with_extension("metal");
            let name = kernel.rsplit('/').next().unwrap_or(kernel);
            let object = objects.join(format!("{name}.air"));
            let run = metal().args(self.flags.clone()).args([minimum.as_str(), "-c"]).path(&source);
            steps.push(Step::Run(run.args([format!("-I{}", mlx.display())]).args(["-o"]).path(&object)));
            compiled.push(object);
        }
        let link = metal().args([minimum]).args(compiled.iter().map(|object| object.display().to_string()));
        steps.push(Step::Run(link.args(["-o"]).path(&folder.join(level.file()))));
        steps
    }
}

impl fmt::Display for Kernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "[{}] and for Metal 3.2 [{}] and for NAX [{}] with {}",
            self.always.join(" "),
            self.metal_3_2.join(" "),
            self.nax.join(" "),
            self.flags.join(" ")
        )
    }
}

/// What every kernel is compiled with.
fn flags(text: &str) -> Result<Vec<String>> {
    let (_, rest) = text.split_once("set(METAL_FLAGS ").context("METAL_FLAGS is not set")?;
    let (flags, _) = rest.split_once(')').context("METAL_FLAGS has no end")?;
    Ok(flags.split_whitespace().map(str::to_owned).collect())
}

/// The next command of CMake's that starts with a letter: its name, its arguments with single spaces, what follows.
fn next_call(text: &str) -> Option<(String, String, String)> {
    let (before, rest) = text.split_once('(')?;
    let name =
        before.rsplit(|character: char| !character.is_ascii_alphanumeric() && character != '_').next()?;
    let mut depth = 1;
    let end = rest.find(|character: char| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        depth == 0
    })?;
    let arguments = rest[..end].split_whitespace().collect::<Vec<_>>().join(" ");
    Some((name.to_owned(), arguments, rest[end + 1..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
function(build_kernel_base TARGET)
  set(METAL_FLAGS
      -x
      metal
      -Wall)
  if(MLX_METAL_DEBUG)
    set(METAL_FLAGS ${METAL_FLAGS} -g)
  endif()
endfunction(build_kernel_base)
function(build_kernel KERNEL)
endfunction(build_kernel)
build_kernel(rope) # build_kernel(comment)
if(MLX_METAL_VERSION GREATER_EQUAL 320)
  build_kernel(fence)
endif()
if(NOT MLX_METAL_JIT)
  build_kernel(
    reduce
    atomic.h)
  if(MLX_METAL_VERSION GREATER_EQUAL 400
     AND MACOS_SDK_VERSION VERSION_GREATER_EQUAL 26.2)
    build_kernel(steel/attn_nax ${HEADERS})
  else()
    message(WARNING "none (${X}).")
  endif()
endif()
"#;

    #[test]
    fn kernels_are_read_from_the_rules_with_their_conditions() {
        let kernels = Kernels::parse(RULES).expect("kernels");
        assert_eq!(kernels.flags, ["-x", "metal", "-Wall"]);
        assert_eq!(kernels.always, ["rope", "reduce"]);
        assert_eq!(kernels.metal_3_2, ["fence"]);
        assert_eq!(kernels.nax, ["steel/attn_nax"]);
    }

    #[test]
    fn a_kernel_under_another_condition_is_an_error_that_names_it() {
        let rules = RULES.replace("NOT MLX_METAL_JIT", "SOMETHING_NEW");
        let error = Kernels::parse(&rules).expect_err("an unknown condition");
        assert!(error.to_string().contains("SOMETHING_NEW"), "{error}");
    }
}
