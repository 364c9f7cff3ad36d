//! What is only for Apple's platforms, as far as it can be looked at here: its sources are type-checked against
//! declarations, in `xtask/checks/apple`, of the parts of Apple's frameworks that they use. That the declarations are like
//! the real ones is for a Mac to show.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Toolchain, package, scratch};
use crate::apple::Slice;
use crate::report::Report;
use crate::xcframework::Framework;
use crate::{paths, plan};

/// In the order in which they need each other.
const FRAMEWORKS: [&str; 8] =
    ["CoreGraphics", "ImageIO", "CoreVideo", "CoreImage", "AVFAudio", "UIKit", "AppKit", FOUNDATION_MODELS];
pub const FOUNDATION_MODELS: &str = "FoundationModels";
/// As its version that takes models of others. Its enumerations may grow, as they may of a library that evolves.
pub const FOUNDATION_MODELS_FLAGS: [&str; 3] = ["-enable-library-evolution", "-user-module-version", "2"];

pub fn run(report: &mut Report, toolchain: &Toolchain) {
    report.check("Swift sources for iOS, type-checked against stand-ins", || {
        type_check(toolchain, "UIKit", "AppKit")
    });
    report.check("Swift sources for macOS, type-checked against stand-ins", || {
        type_check(toolchain, "AppKit", "UIKit")
    });
    report.check("rmlx_apple.h, compiled against stand-ins", || {
        for language in ["-x c -std=c11", "-x c++ -std=c++17", "-x objective-c -std=c11"] {
            let flags = "-Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iinclude -isystem xtask/checks/apple/include";
            toolchain.run(&paths::root(), &[], &format!("clang {language} {flags} xtask/checks/apple/uses.c"))?;
        }
        Ok(())
    });
    report.check("Property lists of the app and the framework", || property_lists(toolchain));
    report.check("Swift example app, parsed", || {
        let line = "swiftc -frontend -parse $(find Examples -name '*.swift')";
        toolchain.run(&package(), &[], line)
    });
}

fn property_lists(toolchain: &Toolchain) -> Result<()> {
    let folder = scratch("apple")?;
    let mut files = vec![
        paths::root().join("xtask/apple/PrivacyInfo.xcprivacy"),
        package().join("Examples/PhotoChat/PhotoChat/PhotoChat.entitlements"),
        package().join("Examples/PhotoChat/PhotoChat.xcodeproj/project.pbxproj"),
    ];
    for slice in Slice::ALL {
        let file = folder.join(format!("{}.plist", slice.platform()));
        fs::write(&file, Framework::new(slice, &folder).info()?)?;
        files.push(file);
    }
    for file in files {
        // Its exit status is 0 for whatever it finds.
        let printed = toolchain.capture(&folder, &[], &format!("plutil -- '{}' 2>&1", file.display()))?;
        ensure!(printed.trim().ends_with(": OK"), "{printed}");
    }
    Ok(())
}

pub fn stand_ins() -> PathBuf {
    paths::root().join("xtask/checks/apple")
}

fn type_check(toolchain: &Toolchain, with: &str, without: &str) -> Result<()> {
    let folder = scratch("apple")?;
    let modules = folder.join(with);
    if modules.exists() {
        fs::remove_dir_all(&modules)?;
    }
    fs::create_dir_all(&modules)?;
    let stand_ins = stand_ins();
    // The C library is imported as an app does it: from a framework, with the header and module map of a release.
    plan::execute(&Framework::new(Slice::Device, &modules).interface())?;
    let mut line = String::from("set -e\n");
    for framework in FRAMEWORKS.iter().filter(|framework| **framework != without) {
        let source = stand_ins.join(framework).with_extension("swift");
        if source.is_file() {
            let flags = if *framework == FOUNDATION_MODELS {
                FOUNDATION_MODELS_FLAGS.join(" ")
            } else {
                String::new()
            };
            line += &format!(
                "swiftc -swift-version 6 -emit-module -parse-as-library {flags} -module-name {framework} -I '{0}' \
                 -emit-module-path '{0}/{framework}.swiftmodule' '{1}'\n",
                modules.display(),
                source.display()
            );
        }
    }
    for module in ["Rmlx", "RmlxFoundationModels"] {
        let sources = sources(module)?;
        let listed: Vec<_> = sources.iter().map(|source| format!("'{}'", source.display())).collect();
        line += &format!(
            "swiftc -swift-version 6 -emit-module -warnings-as-errors -parse-as-library -module-name {module} \
             -I '{0}' -F '{0}' -emit-module-path '{0}/{module}.swiftmodule' {1}\n",
            modules.display(),
            listed.join(" ")
        );
    }
    // What imports both this package and FoundationModels, as an app does.
    for name in ["BothModules", "ScopedImport", "Aliases"] {
        line += &format!(
            "swiftc -swift-version 6 -typecheck -warnings-as-errors -parse-as-library -I '{0}' -F '{0}' '{1}'\n",
            modules.display(),
            stand_ins.join(name).with_extension("swift").display()
        );
    }
    toolchain.run(&package(), &[], &line)
}

/// The Swift files of a module, of which there are some for Apple's platforms alone.
pub fn sources(module: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![package().join("Sources").join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.extension().is_none() && !path.ends_with("Resources") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "swift") {
                files.push(path);
            }
        }
    }
    files.sort();
    ensure!(!files.is_empty(), "{module} has no sources");
    Ok(files)
}
