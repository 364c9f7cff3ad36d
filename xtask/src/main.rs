//! The project's chores: `cargo xtask <command>`.

mod paths;
mod process;
mod setup;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  setup [--backend cpu|cuda]    stage MLX for this machine, so that plain cargo commands work";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = dispatch(&arguments) {
        eprintln!("error: {error:#}");
        std::process::exit(1);
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else { bail!("no command given\n\n{USAGE}") };
    match command.as_str() {
        "setup" => setup::command(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        unknown => bail!("unknown command {unknown}\n\n{USAGE}"),
    }
}
