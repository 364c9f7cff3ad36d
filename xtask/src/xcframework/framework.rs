//! A dynamic framework: flat for iOS, in versions for the Mac, as Apple's rules have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{NAME, Slice};
use crate::dist::{self, copy};
use crate::{cargo, paths, process};

const MODULE_MAP: &str = "\
framework module CRmlx {
  header \"rmlx.h\"
  export *
}
";

/// `#include <CRmlx/rmlx.h>` finds it through the framework, and through a search path at `Headers`, too.
const FORWARD: &str = "#include \"CRmlx/NAME\"\n";

pub struct Framework {
    slice: Slice,
    folder: PathBuf,
}

impl Framework {
    pub fn new(slice: Slice, folder: &Path) -> Self {
        Self { slice, folder: folder.to_owned() }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.join(NAME).with_extension("framework")
    }

    /// The folder of the binary; on the Mac, one of the versions that there may be.
    fn content(&self) -> PathBuf {
        match self.slice {
            Slice::Mac => self.root().join("Versions/A"),
            Slice::Device | Slice::Simulator => self.root(),
        }
    }

    pub fn binary(&self) -> PathBuf {
        self.content().join(NAME)
    }

    fn resources(&self) -> PathBuf {
        match self.slice {
            Slice::Mac => self.content().join("Resources"),
            Slice::Device | Slice::Simulator => self.root(),
        }
    }

    pub fn write(self, library: &Path, metallib: Option<&Path>) -> Result<Self> {
        self.interface()?;
        fs::create_dir_all(self.resources())?;
        copy(library, &self.binary())?;
        self.rename()?;
        fs::write(self.resources().join("Info.plist"), self.info()?)?;
        copy(
            &paths::root().join("xtask/apple/PrivacyInfo.xcprivacy"),
            &self.resources().join("PrivacyInfo.xcprivacy"),
        )?;
        if let Some(metallib) = metallib {
            // MLX looks beside its own binary, and in Resources there.
            copy(metallib, &self.resources().join("mlx.metallib"))?;
        }
        dist::licenses(&self.resources().join("Licenses"))?;
        if self.slice == Slice::Mac {
            self.links()?;
        }
        Ok(self)
    }

    /// How programs find it at run time: in the folder of an app's frameworks.
    fn rename(&self) -> Result<()> {
        let inside = match self.slice {
            Slice::Mac => format!("{NAME}.framework/Versions/A/{NAME}"),
            Slice::Device | Slice::Simulator => format!("{NAME}.framework/{NAME}"),
        };
        let mut rename = Command::new("install_name_tool");
        process::capture(rename.args(["-id", &format!("@rpath/{inside}")]).arg(self.binary()))?;
        process::capture(Command::new("strip").arg("-x").arg(self.binary()))?;
        // A changed binary has lost the signature that the linker gave it, and a processor of Apple's runs none without.
        let mut sign = Command::new("codesign");
        process::capture(sign.args(["--force", "--sign", "-"]).arg(self.binary())).map(drop)
    }

    /// What a compiler reads: the headers and the module map.
    pub fn interface(&self) -> Result<()> {
        let (headers, modules) = (self.content().join("Headers"), self.content().join("Modules"));
        for folder in [&headers.join(NAME), &modules] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(modules.join("module.modulemap"), MODULE_MAP)?;
        for name in ["rmlx.h", "rmlx.hpp", "rmlx_apple.h"] {
            copy(&paths::root().join("include").join(name), &headers.join(NAME).join(name))?;
            fs::write(headers.join(name), FORWARD.replace("NAME", name))?;
        }
        Ok(())
    }

    #[cfg(unix)]
    fn links(&self) -> Result<()> {
        use std::os::unix::fs::symlink;
        symlink("A", self.root().join("Versions/Current"))?;
        for name in [NAME, "Headers", "Modules", "Resources"] {
            symlink(format!("Versions/Current/{name}"), self.root().join(name))?;
        }
        Ok(())
    }

    /// What Info.plist says.
    pub fn info(&self) -> Result<String> {
        let metadata = cargo::metadata()?;
        let version =
            cargo::package(&metadata, "rmlx")?["version"].as_str().context("no version")?.to_owned();
        let minimum = match self.slice {
            Slice::Mac => "LSMinimumSystemVersion",
            Slice::Device | Slice::Simulator => "MinimumOSVersion",
        };
        let pairs = [
            ("CFBundleDevelopmentRegion", "en"),
            ("CFBundleExecutable", NAME),
            ("CFBundleIdentifier", "org.rmlx.CRmlx"),
            ("CFBundleInfoDictionaryVersion", "6.0"),
            ("CFBundleName", NAME),
            ("CFBundlePackageType", "FMWK"),
            ("CFBundleShortVersionString", &version),
            ("CFBundleVersion", &version),
            (minimum, self.slice.minimum()),
        ];
        let lines = pairs.map(|(key, value)| format!("\t<key>{key}</key>\n\t<string>{value}</string>\n"));
        Ok(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
             <plist version=\"1.0\">\n<dict>\n{}\
             \t<key>CFBundleSupportedPlatforms</key>\n\t<array>\n\t\t<string>{}</string>\n\t</array>\n\
             </dict>\n</plist>\n",
            lines.concat(),
            self.slice.platform()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything but the binary itself, which only a Mac can make.
    #[test]
    fn the_information_names_the_oldest_system() {
        let info = |slice| Framework::new(slice, Path::new("nowhere")).info().expect("an Info.plist");
        let minimum = "<key>MinimumOSVersion</key>\n\t<string>17.0</string>";
        assert!(info(Slice::Device).contains(minimum) && info(Slice::Simulator).contains(minimum));
        assert!(info(Slice::Mac).contains("<key>LSMinimumSystemVersion</key>\n\t<string>14.0</string>"));
        assert!(info(Slice::Device).contains("<string>iPhoneOS</string>"));
    }
}
