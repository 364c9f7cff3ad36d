//! A dynamic framework: flat for iOS, in versions for the Mac, as Apple's rules have it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{NAME, NO_ONE};
use crate::apple::{self, Level, Slice, link};
use crate::plan::{Run, Step};
use crate::{cargo, paths};

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

    /// Puts the framework together around the archive that Cargo has built.
    pub fn steps(&self, archive: &Path, signer: &str) -> Result<Vec<Step>> {
        let mut steps = self.interface();
        let resources = self.resources();
        steps.push(Step::Folder(resources.clone()));
        steps.extend(self.link(archive)?);
        steps.push(Step::Write { file: resources.join("Info.plist"), text: self.info()? });
        let privacy = "PrivacyInfo.xcprivacy";
        let from = paths::root().join("xtask/apple").join(privacy);
        steps.push(Step::Copy { from, to: resources.join(privacy) });
        if self.slice.has_metal() {
            for name in Level::ALL.map(Level::file) {
                // MLX looks beside its own binary, and in Resources there.
                let from = apple::libraries(self.slice).join(name);
                steps.push(Step::Copy { from, to: resources.join(name) });
            }
        }
        let target = self.slice.target().to_owned();
        steps.push(Step::Licenses { folder: resources.join("Licenses"), target });
        if self.slice == Slice::Mac {
            let name_to = |link: PathBuf, target: &str| Step::Link { link, target: target.to_owned() };
            steps.push(name_to(self.root().join("Versions/Current"), "A"));
            for name in [NAME, "Headers", "Modules", "Resources"] {
                steps.push(name_to(self.root().join(name), &format!("Versions/Current/{name}")));
            }
        }
        // The signature covers the resources too, so it comes last.
        let sign = Run::new("codesign", &["--force", timestamp(signer), "--sign", signer]);
        steps.push(Step::Run(sign.path(&self.root())));
        steps.push(Step::Run(Run::new("codesign", &["--verify", "--strict"]).path(&self.root())));
        Ok(steps)
    }

    /// The binary and its debugging symbols.
    fn link(&self, archive: &Path) -> Result<Vec<Step>> {
        let (binary, exports) = (self.binary(), self.folder.join("exports.txt"));
        let mut steps = link::library(self.slice, archive, &binary, &self.install_name(), &exports)?;
        let symbols = Run::new("xcrun", &["dsymutil"]).path(&binary).args(["-o"]).path(&self.debug_symbols());
        steps.push(Step::Run(symbols));
        steps.extend(link::finish(&binary));
        Ok(steps)
    }

    /// How programs find it at run time: in the folder of an app's frameworks.
    fn install_name(&self) -> String {
        match self.slice {
            Slice::Mac => format!("@rpath/{NAME}.framework/Versions/A/{NAME}"),
            Slice::Device | Slice::Simulator => format!("@rpath/{NAME}.framework/{NAME}"),
        }
    }

    pub fn debug_symbols(&self) -> PathBuf {
        self.folder.join(NAME).with_extension("framework.dSYM")
    }

    /// What a compiler reads: the headers and the module map.
    pub fn interface(&self) -> Vec<Step> {
        let (headers, modules) = (self.content().join("Headers"), self.content().join("Modules"));
        let mut steps = vec![Step::Folder(headers.join(NAME)), Step::Folder(modules.clone())];
        steps.push(Step::Write { file: modules.join("module.modulemap"), text: MODULE_MAP.to_owned() });
        for name in ["rmlx.h", "rmlx.hpp", "rmlx_apple.h"] {
            let from = paths::root().join("include").join(name);
            steps.push(Step::Copy { from, to: headers.join(NAME).join(name) });
            steps.push(Step::Write { file: headers.join(name), text: FORWARD.replace("NAME", name) });
        }
        steps
    }

    /// What Info.plist says.
    pub fn info(&self) -> Result<String> {
        let version = cargo::version()?;
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

/// Apple's servers certify when an author signed; a signature by no one has no time.
fn timestamp(signer: &str) -> &'static str {
    if signer == NO_ONE { "--timestamp=none" } else { "--timestamp" }
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
