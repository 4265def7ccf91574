//! Has the linker put the functions that a running gateway uses side by side, so that the others are not resident.
//!
//! The kernel brings in 64 KB of a program around each page that is touched. With used functions among unused ones that is
//! nearly the whole program: 6 MB more than with `used.txt`, which names them. A name that no function bears, as after a
//! change of the code, is passed over. `tests/bench/used` writes the file anew.

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

const NAMES: &str = "src/link/used.txt";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={NAMES}");
    if env::var("PROFILE")? != "release" || env::var("CARGO_CFG_TARGET_OS")? != "linux" {
        return Ok(());
    }
    // The compiler puts each function into a section of its own, and one that it takes for seldom used into `unlikely`.
    let names = fs::read_to_string(NAMES)?;
    let sections: String =
        names.lines().map(|name| format!(".text.{name} .text.unlikely.{name}\n")).collect();
    let script = Path::new(&env::var("OUT_DIR")?).join("used.ld");
    fs::write(&script, format!("SECTIONS {{ .text.used : {{ *(\n{sections}) }} }}\nINSERT BEFORE .text;\n"))?;
    let arguments = ["-T".to_owned(), script.display().to_string()];
    if links(&arguments)? {
        arguments.iter().for_each(|argument| println!("cargo::rustc-link-arg-bin=mcpo={argument}"));
    } else {
        // As gold and mold.
        println!(
            "cargo::warning=This linker does not order functions: mcpo will take 5 MB more memory. GNU ld and lld do."
        );
    }
    Ok(())
}

/// Tells whether the linker of this build accepts these arguments: an empty program is linked with them.
fn links(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let folder = env::var("OUT_DIR")?;
    let source = Path::new(&folder).join("empty.rs");
    fs::write(&source, "fn main() {}")?;
    let mut compiler = Command::new(env::var("RUSTC")?);
    compiler
        .args(["--crate-name", "empty", "--target", &env::var("TARGET")?, "--out-dir", &folder])
        .arg(source);
    compiler.args(env::var("CARGO_ENCODED_RUSTFLAGS")?.split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    compiler.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    Ok(compiler.output()?.status.success())
}
