use tempfile::TempDir;

use super::trial::{self, VERSION, checkout, git};
use super::*;

const REPOSITORY: &str = "https://example.org/rmlx";
/// SHA-256 of the three letters "abc", as FIPS 180-2 has it.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A committed checkout, and a release of what stands in for a zip.
struct Trial {
    folder: TempDir,
    release: Release,
}

fn prepared() -> Trial {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    checkout(&folder.join("checkout"), &folder.join("remote"), REPOSITORY).expect("a checkout");
    trial::write(folder, "CRmlx.xcframework.zip", "abc").expect("a file");
    let release = Release {
        root: folder.join("checkout"),
        version: VERSION.to_owned(),
        binary: folder.join("CRmlx.xcframework.zip"),
        assets: Vec::new(),
        remote: "origin".to_owned(),
        hosted: None,
        host: Host::Folder(folder.join("served")),
    };
    Trial { folder: temporary, release }
}

impl Trial {
    fn refusal(&self) -> String {
        format!("{:#}", self.release.plan().err().expect("a refusal"))
    }

    fn commit(&self) {
        git(&self.release.root, &["commit", "--quiet", "--no-gpg-sign", "-am", "A change"])
            .expect("a commit");
    }
}

#[test]
fn the_tag_has_the_address_and_the_checksum_and_the_branch_has_not() {
    let trial = prepared();
    let plan = trial.release.plan().expect("a plan");
    assert_eq!(plan.url, "https://example.org/rmlx/releases/download/v0.1.0/CRmlx.xcframework.zip");
    assert_eq!(plan.checksum, ABC);
    assert_eq!(plan.notes, "### New\n\n- Everything.\n");
    let root = &trial.release.root;
    assert_eq!(git(root, &["tag"]).expect("tags"), "", "a plan changes nothing");

    let head = git(root, &["rev-parse", "HEAD"]).expect("a commit");
    trial.release.carry_out(&plan).expect("a release");
    assert_eq!(git(root, &["rev-parse", "HEAD"]).expect("a commit"), head);
    assert_eq!(git(root, &["status", "--porcelain"]).expect("a state"), "");
    let remote = trial.folder.path().join("remote");
    assert_eq!(git(&remote, &["rev-parse", "v0.1.0^"]).expect("the tag's parent"), head);
    for manifest in manifest::FILES {
        let text = git(&remote, &["show", &format!("v0.1.0:{manifest}")]).expect("a manifest");
        assert!(text.contains(&plan.url) && text.contains(ABC), "{manifest}: {text}");
    }
    let changed = git(&remote, &["diff", "--name-only", "main", "v0.1.0"]).expect("a difference");
    let [readme, guide] = manifest::GUIDES;
    assert_eq!(changed.lines().collect::<Vec<_>>(), ["Package.swift", readme, "swift/Package.swift", guide]);
    for guide in manifest::GUIDES {
        let text = git(&remote, &["show", &format!("v0.1.0:{guide}")]).expect("a guide");
        assert!(text.contains(REPOSITORY) && !text.contains("OWNER"), "{guide} names another repository");
    }
    let message = git(&remote, &["tag", "--list", "--format=%(contents)", "v0.1.0"]).expect("a message");
    assert!(message.contains("### New"), "{message}");
    let placed = trial.folder.path().join("served/releases/download/v0.1.0/CRmlx.xcframework.zip");
    assert_eq!(std::fs::read(placed).expect("the file"), b"abc");
    assert!(trial.refusal().contains("there is a tag v0.1.0 already"));
}

#[test]
fn what_must_not_be_released_is_refused() {
    let mut trial = prepared();
    trial::write(&trial.release.root, "stray", "").expect("a file");
    assert!(trial.refusal().contains("?? stray"));
    std::fs::remove_file(trial.release.root.join("stray")).expect("no file");

    trial.release.version = "0.2.0".to_owned();
    assert!(trial.refusal().contains("the version in Cargo.toml is 0.1.0, and 0.2.0 is to be released"));
    trial.release.version = VERSION.to_owned();

    git(&trial.folder.path().join("remote"), &["tag", "v0.1.0", "main"]).expect("a tag");
    assert!(trial.refusal().contains("origin has a tag v0.1.0 already"));
    git(&trial.folder.path().join("remote"), &["tag", "-d", "v0.1.0"]).expect("no tag");

    let zip = std::mem::replace(&mut trial.release.binary, trial.folder.path().join("missing.zip"));
    assert!(trial.refusal().contains("there is no file"));
    trial.release.binary = zip;

    trial::write(&trial.release.root, "CHANGELOG.md", "# Changelog\n\n## 0.1.0\n\n## 0.0.9\n\n- Old.\n")
        .expect("a file");
    trial.commit();
    assert!(trial.refusal().contains("CHANGELOG.md says nothing under \"## 0.1.0\""));
    trial::write(&trial.release.root, "CHANGELOG.md", "# Changelog\n\n## 0.1.01\n\n- Other.\n")
        .expect("a file");
    trial.commit();
    assert!(trial.refusal().contains("CHANGELOG.md has no heading \"## 0.1.0\""));
}

#[test]
fn an_address_that_swiftpm_does_not_take_is_refused() {
    let trial = prepared();
    let file = trial.release.root.join("Cargo.toml");
    let text = std::fs::read_to_string(&file).expect("a manifest");
    std::fs::write(&file, text.replace("https://", "http://")).expect("a manifest");
    trial.commit();
    assert!(trial.refusal().contains("SwiftPM takes binaries from https:// addresses only"));
    std::fs::write(&file, text.replace("repository =", "homepage =")).expect("a manifest");
    trial.commit();
    assert!(trial.refusal().contains("no one says where the repository is"));
}

#[test]
fn without_a_line_in_cargo_toml_the_address_is_the_remotes() {
    let mut trial = prepared();
    let root = trial.release.root.clone();
    let file = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&file).expect("a manifest");
    std::fs::write(&file, text.replace("repository =", "homepage =")).expect("a manifest");
    trial.commit();
    trial.release.hosted = Some("someone/rmlx".to_owned());
    let url = |trial: &Trial| trial.release.plan().expect("a plan").url;
    let file = "releases/download/v0.1.0/CRmlx.xcframework.zip";
    assert_eq!(url(&trial), format!("https://github.com/someone/rmlx/{file}"), "origin is a folder");

    git(&root, &["remote", "add", "web", "git@example.org:others/rmlx.git"]).expect("a remote");
    let package = checks::package(&root, "web", Some("someone/rmlx")).expect("a package");
    assert_eq!(package.repository, "https://example.org/others/rmlx");
}

#[test]
fn on_github_the_tag_is_pushed_before_the_release_is_made() {
    let mut trial = prepared();
    trial.release.host = Host::GitHub;
    let plan = trial.release.plan().expect("a plan");
    let commands: Vec<_> = plan.commands.iter().map(|command| command.join(" ")).collect();
    assert_eq!(commands[0], "git push --quiet origin refs/tags/v0.1.0");
    assert!(
        commands[1].starts_with("gh release create v0.1.0 --verify-tag --repo https://example.org/rmlx ")
    );
    assert!(commands[1].ends_with("/CRmlx.xcframework.zip") && !commands[1].contains("--draft"));
    assert!(plan.to_string().contains(ABC));
}
