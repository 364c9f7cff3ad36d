//! A small Debian 13 system with Swift in it, made once and kept in the user's cache: Debian 12 has no Swift, and the
//! toolchain needs a newer C library than it has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{paths, process};

/// What the root is made of. A root of another recipe is made anew.
const PACKAGES: &str = "swiftlang,libc6-dev,libstdc++-14-dev,libgnustep-base-dev,git,unzip";
const RECIPE: &str = "1: trixie, slimmed";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Parts of the toolchain that nothing here uses: debugger, language server, static libraries, manuals.
const NEEDLESS: [&str; 12] = [
    "etc/apt/sources.list",
    "usr/libexec/swift/bin/clangd",
    "usr/libexec/swift/bin/lldb",
    "usr/libexec/swift/bin/lldb-dap",
    "usr/libexec/swift/bin/lldb-server",
    "usr/libexec/swift/bin/sourcekit-lsp",
    "usr/libexec/swift/lib/libsourcekitdInProc.so",
    "usr/libexec/swift/lib/swift_static",
    "usr/share/doc",
    "usr/share/locale",
    "usr/share/man",
    "var/lib/apt/lists",
];

/// Mounts vanish with the process. Arguments: the root, the certificates to trust in place of the root's own or nothing, the
/// folders to show at their own paths, then `--` and the command.
const ENTER: &str = r#"
set -e
root=$1; shift
certificates=$1; shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
if [ -n "$certificates" ]; then
    mount --bind "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
fi
while [ "$1" != -- ]; do
    mkdir -p "$root$1"
    mount --rbind "$1" "$root$1"
    shift
done
shift
exec chroot "$root" "$@"
"#;

#[derive(Clone)]
pub struct Root {
    folder: PathBuf,
    shown: Vec<PathBuf>,
    certificates: PathBuf,
}

impl Root {
    /// The root, which is made if it is not there. With `install`, what making it takes is installed with apt-get.
    pub fn ensure(install: bool) -> Result<Self> {
        let folder = cache()?.join("rmlx/swift-root");
        let stamp = folder.join("rmlx-recipe");
        let recipe = format!("{RECIPE}\n{PACKAGES}\n");
        ensure!(is_superuser()?, "entering the Debian system that has Swift takes root: run this as root");
        if !fs::read_to_string(&stamp).is_ok_and(|found| found == recipe) {
            make(&folder, install)?;
            fs::write(&stamp, recipe)?;
        }
        Ok(Self { folder, shown: vec![paths::root()], certificates: PathBuf::new() })
    }

    /// Shows a folder outside of the checkout, at its own path.
    pub fn show(&mut self, folder: &Path) {
        if !self.shown.iter().any(|shown| folder.starts_with(shown)) {
            self.shown.push(folder.to_owned());
        }
    }

    /// The same root, in which programs trust these certificates and no others.
    pub fn trusting(&self, certificates: &Path) -> Self {
        Self { certificates: certificates.to_owned(), ..self.clone() }
    }

    /// A command of a shell inside the root, in a folder that is shown there, with nothing of this environment.
    pub fn command(&self, folder: &Path, variables: &[(&str, String)], line: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"]);
        command
            .args(["sh", "-c", ENTER, "sh"])
            .arg(&self.folder)
            .arg(&self.certificates)
            .args(&self.shown)
            .arg("--");
        command.args(["env", "-i", "HOME=/root", "LANG=C.UTF-8"]);
        command.arg("PATH=/usr/libexec/swift/bin:/usr/bin:/bin");
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.args(["sh", "-c", "cd \"$1\" && eval \"$2\"", "sh"]).arg(folder).arg(line);
        command
    }
}

/// Debian's packages into a folder beside the final one, which it then becomes.
fn make(folder: &Path, install: bool) -> Result<()> {
    if !process::exists("mmdebstrap") {
        install_mmdebstrap(install)?;
    }
    ensure!(process::exists("unshare"), "unshare is missing: install util-linux");
    ensure!(Path::new(KEYRING).is_file(), "{KEYRING} is missing: install debian-archive-keyring");
    let mirror = mirror()?;
    let parent = folder.parent().context("the cache has no folder")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let unfinished = parent.join(format!("swift-root.{}", std::process::id()));
    println!("making a Debian 13 system with Swift from {mirror} in {}", folder.display());
    let mut bootstrap = Command::new("mmdebstrap");
    bootstrap.args(["--quiet", "--mode=root", "--variant=apt", "--components=main"]);
    bootstrap.arg(format!("--include={PACKAGES}")).arg("trixie").arg(&unfinished);
    let made = process::capture(bootstrap.arg(format!("deb [signed-by={KEYRING}] {mirror} trixie main")));
    if let Err(error) = made {
        // What was unpacked is of no use; the reason for the failure matters more than a failure to clear it.
        drop(fs::remove_dir_all(&unfinished));
        return Err(error);
    }
    for part in NEEDLESS {
        let path = unfinished.join(part);
        match path.is_dir() {
            true => fs::remove_dir_all(&path)?,
            false if path.exists() => fs::remove_file(&path)?,
            false => {}
        }
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::rename(&unfinished, folder).with_context(|| format!("cannot make {}", folder.display()))
}

fn install_mmdebstrap(allowed: bool) -> Result<()> {
    if !allowed || !process::exists("apt-get") {
        bail!(
            "mmdebstrap is missing: install it (apt-get install mmdebstrap), or pass --install to have it installed"
        );
    }
    process::capture(Command::new("apt-get").arg("update"))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--no-install-recommends", "mmdebstrap"]);
    process::capture(install.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

/// The mirror that this machine itself uses.
fn mirror() -> Result<String> {
    let files = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];
    let texts = files.iter().filter_map(|file| fs::read_to_string(file).ok());
    texts.filter_map(|text| address(&text)).next().context(
        "apt's configuration names no mirror of Debian (looked in /etc/apt): is this a Debian system?",
    )
}

/// The first address in one of apt's two notations.
fn address(sources: &str) -> Option<String> {
    sources.lines().map(str::trim).find_map(|line| {
        let words = line.strip_prefix("URIs:").or_else(|| line.strip_prefix("deb "))?;
        words.split_whitespace().find(|word| word.contains("://")).map(str::to_owned)
    })
}

fn is_superuser() -> Result<bool> {
    Ok(process::capture(Command::new("id").arg("-u"))?.trim() == "0")
}

fn cache() -> Result<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let usual = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    named.or_else(usual).context("neither XDG_CACHE_HOME nor HOME is set")
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn reads_both_notations_of_apt() {
        let new =
            "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        let old = "# deb http://old.example/debian x main\ndeb [arch=amd64] http://mirror.example/debian bookworm main\n";
        assert_eq!(address(new).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(address(old).as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(address("Types: deb\n"), None);
    }
}
