//! The plan is what a Mac runs, so these are tests of that.

use std::path::Path;
use std::sync::OnceLock;

use super::*;

fn text() -> String {
    plan::print(&all())
}

fn all() -> Vec<Step> {
    static PLAN: OnceLock<Vec<Step>> = OnceLock::new();
    let plan = || steps(&Source::find(None).expect("sources of mlx-c"), "-").expect("a plan");
    PLAN.get_or_init(plan).clone()
}

fn runs() -> Vec<Run> {
    let runs = all().into_iter().filter_map(|step| match step {
        Step::Run(run) => Some(run),
        _ => None,
    });
    runs.collect()
}

/// The only run that has all of the words.
fn run(words: &[&str]) -> Run {
    let has =
        |run: &Run| words.iter().all(|word| run.program == *word || run.arguments.iter().any(|a| a == word));
    let mut found: Vec<Run> = runs().into_iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{words:?}: {found:#?}");
    found.remove(0)
}

fn position(run: &Run) -> usize {
    all().iter().position(|step| *step == Step::Run(run.clone())).expect("in the plan")
}

fn build_folder(slice: Slice) -> String {
    paths::root().join("target/mlx").join(slice.target()).join("build").display().to_string()
}

#[test]
fn the_plan_is_the_same_each_time_and_names_no_folder_of_this_machine() {
    let again = steps(&Source::find(None).expect("sources of mlx-c"), "-").expect("a plan");
    assert_eq!(text(), plan::print(&again));
    for (folder, _) in traces::folders().expect("folders") {
        assert!(!text().contains(&folder.display().to_string()), "{} is in the plan", folder.display());
    }
}

#[test]
fn every_slice_has_its_target_sdk_and_oldest_system() {
    let expected = [
        (Slice::Device, "iphoneos", "17.0", "IPHONEOS_DEPLOYMENT_TARGET", "arm64-apple-ios17.0", "ON"),
        (
            Slice::Simulator,
            "iphonesimulator",
            "17.0",
            "IPHONEOS_DEPLOYMENT_TARGET",
            "arm64-apple-ios17.0-simulator",
            "OFF",
        ),
        (Slice::Mac, "macosx", "14.0", "MACOSX_DEPLOYMENT_TARGET", "arm64-apple-macosx14.0", "ON"),
    ];
    for (slice, sdk, minimum, variable, clang, metal) in expected {
        let configure = run(&["cmake", "-B", &build_folder(slice)]);
        for argument in [
            format!("-DCMAKE_OSX_SYSROOT={sdk}"),
            format!("-DCMAKE_OSX_DEPLOYMENT_TARGET={minimum}"),
            "-DCMAKE_OSX_ARCHITECTURES=arm64".to_owned(),
            format!("-DMLX_BUILD_METAL={metal}"),
            "-DBUILD_SHARED_LIBS=OFF".to_owned(),
            "-DMLX_METAL_JIT=OFF".to_owned(),
        ] {
            assert!(configure.arguments.contains(&argument), "{slice:?} lacks {argument}");
        }
        let ios = configure.arguments.iter().any(|argument| argument == "-DCMAKE_SYSTEM_NAME=iOS");
        assert_eq!(ios, slice != Slice::Mac);
        let cargo = run(&["cargo", slice.target()]);
        assert_eq!(cargo.environment.get(variable).map(String::as_str), Some(minimum));
        let link = run(&["clang++", clang]);
        assert_eq!(link.arguments[..2], ["-sdk", sdk]);
        assert!(position(&configure) < position(&cargo) && position(&cargo) < position(&link));
    }
}

#[test]
fn kernels_are_compiled_twice_where_there_is_metal() {
    let metal = |sdk: &str, minimum: &str| -> Vec<Run> {
        let flag = minimum.to_owned();
        runs()
            .into_iter()
            .filter(|run| run.arguments.get(2).is_some_and(|tool| tool == "metal"))
            .filter(|run| run.arguments[1] == sdk && run.arguments.contains(&flag))
            .collect()
    };
    for (sdk, system, oldest) in [("iphoneos", "ios", "17.0"), ("macosx", "macosx", "14.0")] {
        let base = metal(sdk, &format!("-m{system}-version-min={oldest}"));
        let nax = metal(sdk, &format!("-m{system}-version-min=26.2"));
        // One call for each kernel, and one that makes the library of them.
        assert_eq!((base.len(), nax.len()), (35, 43), "{sdk}");
        assert!(
            base.last().is_some_and(|run| run.arguments.last().is_some_and(|o| o.ends_with("/mlx.metallib")))
        );
        assert!(
            nax.last()
                .is_some_and(|run| run.arguments.last().is_some_and(|o| o.ends_with("/mlx-nax.metallib")))
        );
        for (compilation, with_nax) in [(&base, false), (&nax, true)] {
            let text = format!("{compilation:?}");
            assert_eq!(text.contains("quantized_nax.metal"), with_nax);
            assert_eq!(text.contains("fence.metal"), with_nax);
            let (link, compiled) = compilation.split_last().expect("a link");
            for run in compiled {
                assert!(run.arguments.contains(&"-fno-fast-math".to_owned()));
                assert!(link.arguments.contains(run.arguments.last().expect("an object")), "{run}");
            }
        }
    }
    assert!(metal("iphonesimulator", "-c").is_empty());
}

#[test]
fn cargo_and_the_linker_get_every_library_that_mlx_needs() {
    let text = text();
    let metal = ["Accelerate", "Foundation", "Metal", "QuartzCore"].as_slice();
    for (slice, frameworks) in
        [(Slice::Device, metal), (Slice::Simulator, &["Accelerate", "Foundation"]), (Slice::Mac, metal)]
    {
        let words = frameworks.iter().map(|name| format!(", \"framework={name}\"")).collect::<String>();
        let line = format!(
            "[target.{}.mlx]\n    | rustc-link-lib = [\"static=mlxc\", \"static=mlx\", \"dylib=c++\", \"dylib=objc\"{words}]\n",
            slice.target()
        );
        assert!(text.contains(&line), "no {line}");
        let link = run(&["clang++", &slice.clang_target()]);
        let linked: Vec<&String> =
            link.arguments.windows(2).filter(|pair| pair[0] == "-framework").map(|pair| &pair[1]).collect();
        assert_eq!(linked, frameworks);
        assert!(["-lc++", "-lobjc"].iter().all(|library| link.arguments.iter().any(|word| word == library)));
    }
    assert!(!text.contains("clang_rt"), "the compiler's runtime is not named: std and the driver bring it");
}

#[test]
fn frameworks_are_found_by_rpath_signed_and_put_into_one_bundle_with_their_symbols() {
    let create = run(&["xcodebuild", "-create-xcframework"]);
    for slice in Slice::ALL {
        let framework = Framework::new(slice, &paths::root().join("target/xcframework").join(slice.target()));
        let name = match slice {
            Slice::Mac => "@rpath/CRmlx.framework/Versions/A/CRmlx",
            _ => "@rpath/CRmlx.framework/CRmlx",
        };
        let link = run(&["clang++", &slice.clang_target()]);
        for argument in [format!("-Wl,-install_name,{name}"), "-Wl,-current_version,0.1.0".to_owned()] {
            assert!(link.arguments.contains(&argument), "{slice:?} lacks {argument}");
        }
        let (binary, root) =
            (framework.binary().display().to_string(), framework.root().display().to_string());
        let order = [
            link,
            run(&["dsymutil", &binary]),
            run(&["strip", &binary]),
            run(&["lipo", &binary, "-verify_arch", "arm64"]),
            run(&["codesign", "--sign", &root]),
            run(&["codesign", "--verify", &root]),
            create.clone(),
        ];
        assert!(order.map(|run| position(&run)).is_sorted(), "{slice:?}");
        let symbols = framework.debug_symbols().display().to_string();
        assert!(create.arguments.windows(2).any(|pair| pair == ["-framework", &root]));
        assert!(create.arguments.windows(2).any(|pair| pair == ["-debug-symbols", &symbols]));
        let resources = root + if slice == Slice::Mac { "/Versions/A/Resources/" } else { "/" };
        let copied = |name: &str| {
            all()
                .iter()
                .any(|step| matches!(step, Step::Copy { to, .. } if *to == Path::new(&resources).join(name)))
        };
        assert!(copied("PrivacyInfo.xcprivacy"));
        assert_eq!(copied("mlx.metallib"), slice.has_metal());
        assert_eq!(copied("mlx-nax.metallib"), slice.has_metal());
    }
    assert!(position(&create) < position(&run(&["compute-checksum"])));
}

#[test]
fn folders_are_made_before_what_is_put_into_them() {
    let mut made: Vec<PathBuf> = Vec::new();
    for step in all() {
        match step {
            Step::Folder(folder) => made.extend(folder.ancestors().map(Path::to_owned)),
            Step::Write { file, .. } | Step::Copy { to: file, .. } | Step::Link { link: file, .. } => {
                let folder = file.parent().expect("a folder").to_owned();
                assert!(made.contains(&folder) || folder.is_dir(), "nothing makes {}", folder.display());
            }
            _ => {}
        }
    }
}

#[test]
fn no_folder_of_the_machine_gets_into_a_binary() {
    let text = text();
    assert!(text.contains("-DMLX_METAL_PATH=/dev/null") && !text.contains("MLX_METAL_PATH=$ROOT"));
    for slice in Slice::ALL {
        let build = run(&["cargo", slice.target()]);
        assert_eq!(build.environment.get(traces::SHIPPED).map(String::as_str), Some("1"));
        let flags = build.arguments.iter().find(|word| word.starts_with("build.rustflags=")).expect("flags");
        assert!(flags.contains(&format!("--remap-path-prefix={}=rmlx", paths::root().display())), "{flags}");
        let framework = Framework::new(slice, &paths::root().join("target/xcframework").join(slice.target()));
        let binary = framework.binary();
        let strip = run(&["strip", &binary.display().to_string()]);
        assert!(strip.arguments.contains(&"-S".to_owned()), "notes for debuggers name folders");
        let looked_at =
            all().iter().position(|step| *step == Step::Traces(binary.clone())).expect("in the plan");
        assert!(position(&strip) < looked_at);
    }
}

#[test]
fn the_sdk_is_looked_at_before_anything_is_built() {
    let first_run = all().iter().position(|step| matches!(step, Step::Run(_))).expect("runs");
    for slice in [Slice::Device, Slice::Mac] {
        let at = all().iter().position(|step| *step == Step::Sdk(slice)).expect("in the plan");
        assert!(at < first_run);
    }
}

#[test]
fn every_binary_exports_the_headers_functions_alone() {
    let declared = crate::symbols::declared().expect("the header");
    let exports: Vec<_> = all()
        .into_iter()
        .filter_map(|step| match step {
            Step::Write { file, text } if file.ends_with("exports.txt") => Some((file, text)),
            _ => None,
        })
        .collect();
    assert_eq!(exports.len(), Slice::ALL.len());
    for (file, text) in exports {
        let names: std::collections::BTreeSet<String> =
            text.lines().map(|line| line.strip_prefix('_').expect("C's prefix").to_owned()).collect();
        assert_eq!(names, declared);
        let list = format!("-Wl,-exported_symbols_list,{}", file.display());
        assert_eq!(runs().iter().filter(|run| run.arguments.contains(&list)).count(), 1, "{list}");
    }
}

#[test]
fn a_distribution_for_macs_is_linked_as_a_framework_is() {
    let (archive, binary) = (Path::new("/r/librmlx.a"), Path::new("/d/librmlx.dylib"));
    let steps = apple::link::distribution(archive, binary, Path::new("/d/exports.txt")).expect("steps");
    let text = plan::print(&steps);
    assert!(text.contains("-Wl,-exported_symbols_list,/d/exports.txt"), "{text}");
    assert!(
        text.contains("-Wl,-install_name,@rpath/librmlx.dylib")
            && text.contains("-target arm64-apple-macosx14.0")
    );
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
    assert!(at("exports the header's functions") > at("strip -S -x /d/librmlx.dylib"));
    assert!(at("codesign --force --sign - /d/librmlx.dylib") > at("names no folder"));
}

#[test]
fn an_identity_signs_the_bundle_too() {
    let signed =
        steps(&Source::find(None).expect("sources of mlx-c"), "Apple Distribution: X").expect("a plan");
    let text = plan::print(&signed);
    let of_frameworks =
        "codesign --force --timestamp --sign 'Apple Distribution: X' $ROOT/target/xcframework/";
    assert_eq!(text.matches(of_frameworks).count(), Slice::ALL.len(), "Apple certifies the time of each");
    assert!(!text.contains("--timestamp=none"));
    assert!(text.contains(
        "run codesign --force --timestamp --sign 'Apple Distribution: X' $ROOT/dist/CRmlx.xcframework"
    ));
    assert!(text.contains("run codesign --verify --strict $ROOT/dist/CRmlx.xcframework\n"));
}
