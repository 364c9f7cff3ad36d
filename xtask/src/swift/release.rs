//! A release, carried out by the code that carries out real ones: of a checkout to throw away, to a repository and a web
//! server on loopback. A new package then depends on its tag, by the address that the documentation names.
//!
//! SwiftPM on Linux downloads an xcframework, and checks and unpacks it, as on a Mac; it cannot link one.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::root::Root;
use super::{Toolchain, scratch};
use crate::checksum::sha256;
use crate::release::trial::{self, VERSION, git};
use crate::release::{Host, Release, consumer};
use crate::report::Report;
use crate::{files, paths, process, python};

const CHECK: &str = "SwiftPM resolves a release, and refuses one whose binary is another";

pub fn run(report: &mut Report, toolchain: &Toolchain) {
    report.check(CHECK, || release(toolchain));
}

fn release(toolchain: &Toolchain) -> Result<()> {
    let folder = scratch("release")?;
    let served = folder.join("served");
    fs::create_dir_all(&served)?;
    let server = Server::start(toolchain, &folder, &served)?;
    let root = toolchain.root.trusting(&server.certificate);
    // The repository is a folder of the server's, which also has what is under its address.
    let host = served.join("rmlx");
    let repository = format!("https://127.0.0.1:{}/rmlx", server.port);
    trial::checkout(&folder.join("checkout"), &host, &repository)?;
    let release = Release {
        root: folder.join("checkout"),
        version: VERSION.to_owned(),
        binary: zipped(&folder, "CRmlx.xcframework.zip", "not code")?,
        assets: Vec::new(),
        remote: "origin".to_owned(),
        hosted: None,
        host: Host::Folder(host.clone()),
    };
    let plan = release.plan()?;
    let line = format!("swift package compute-checksum '{}'", release.binary.display());
    let theirs = toolchain.capture(&folder, &[], &line)?;
    ensure!(theirs.trim() == plan.checksum, "SwiftPM computes {theirs}, and not {}", plan.checksum);
    release.carry_out(&plan)?;
    // A web server without git's own protocol needs lists of what there is.
    git(&host, &["update-server-info"])?;

    let app = folder.join("app");
    consumer::write(&app, &repository, VERSION)?;
    let printed = resolve(&root, &app)?.map_err(anyhow::Error::msg)?;
    let unpacked = app.join("build/artifacts/rmlx/CRmlx/CRmlx.xcframework/Info.plist");
    ensure!(unpacked.is_file(), "SwiftPM has not unpacked the binary\n{printed}");
    let pins = fs::read_to_string(app.join("Package.resolved"))?;
    ensure!(pins.contains(&repository) && pins.contains(VERSION), "another version is pinned: {pins}");

    refuses_another_binary(&root, &app, &release, &plan.checksum)
}

/// Another file at the same address, as one that was uploaded anew would be; then none.
fn refuses_another_binary(root: &Root, app: &Path, release: &Release, expected: &str) -> Result<()> {
    let Host::Folder(host) = &release.host else { unreachable!("the host is a folder") };
    let there = host.join("releases/download").join(format!("v{VERSION}")).join("CRmlx.xcframework.zip");
    let other = zipped(&release.binary.with_file_name(""), "other.zip", "other code")?;
    files::copy(&other, &there)?;
    let found = sha256(&other)?;
    ensure!(found != expected, "the other binary is the same");
    let Err(printed) = resolve(root, app)? else { anyhow::bail!("a binary of another checksum was taken") };
    ensure!(
        printed
            .contains(&format!("({found}) does not match checksum specified by the manifest ({expected})")),
        "not an error about the checksum:\n{printed}"
    );
    fs::remove_file(&there)?;
    let Err(printed) = resolve(root, app)? else { anyhow::bail!("a binary that is not there was found") };
    ensure!(printed.contains("404"), "not an error about what is missing:\n{printed}");
    Ok(())
}

/// Resolves anew, with nothing that was fetched before. What was printed, of a success or of a failure.
fn resolve(root: &Root, app: &Path) -> Result<std::result::Result<String, String>> {
    // As on a Mac, where the package takes the binary.
    let variables = [("RMLX_PACKAGING", "xcframework".to_owned())];
    let line = "rm -rf build cache config security Package.resolved && swift package --scratch-path build \
                --cache-path cache --config-path config --security-path security resolve";
    let output = process::output(&mut root.command(app, &variables, line))?;
    let printed = process::text(&output);
    Ok(if output.status.success() { Ok(printed) } else { Err(printed) })
}

/// What SwiftPM takes for an xcframework: it looks at nothing of it but its list before it links.
fn zipped(folder: &Path, name: &str, code: &str) -> Result<PathBuf> {
    let bundle = folder.join("CRmlx.xcframework");
    trial::write(&bundle, "Info.plist", INFO)?;
    trial::write(&bundle, "macos-arm64/CRmlx.framework/CRmlx", code)?;
    let archive = folder.join(name);
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    let mut zip = Command::new(python::find()?);
    zip.args(["-m", "zipfile", "-c"]).arg(&archive).arg("CRmlx.xcframework").current_dir(folder);
    process::capture(&mut zip)?;
    Ok(archive)
}

const INFO: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>AvailableLibraries</key>
	<array>
		<dict>
			<key>LibraryIdentifier</key>
			<string>macos-arm64</string>
			<key>LibraryPath</key>
			<string>CRmlx.framework</string>
			<key>SupportedArchitectures</key>
			<array>
				<string>arm64</string>
			</array>
			<key>SupportedPlatform</key>
			<string>macos</string>
		</dict>
	</array>
	<key>CFBundlePackageType</key>
	<string>XFWK</string>
	<key>XCFrameworkFormatVersion</key>
	<string>1.0</string>
</dict>
</plist>
"#;

/// A web server on loopback, by TLS: SwiftPM takes a binary from no other address. It ends when this is dropped.
struct Server {
    process: Child,
    port: u16,
    certificate: PathBuf,
}

impl Server {
    fn start(toolchain: &Toolchain, folder: &Path, served: &Path) -> Result<Self> {
        let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
        let line = format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=rmlx-test \
             -addext subjectAltName=IP:127.0.0.1 -keyout '{}' -out '{}'",
            key.display(),
            certificate.display()
        );
        toolchain.run(folder, &[], &line)?;
        let mut command = Command::new(python::find()?);
        command.arg(paths::root().join("xtask/checks/https_server.py"));
        command.arg(served).arg(&certificate).arg(&key);
        let log = fs::File::create(folder.join("server.log"))?;
        let mut process =
            command.stdout(Stdio::piped()).stderr(log).spawn().context("cannot start Python")?;
        let printed = process.stdout.take().context("the server has no output")?;
        let mut server = Self { process, port: 0, certificate };
        let mut line = String::new();
        BufReader::new(printed).read_line(&mut line)?;
        server.port = line.trim().parse().with_context(|| format!("the server names no port: {line:?}"))?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nothing to be done about one that has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
