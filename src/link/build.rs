//! Has the linker put the functions that a running gateway uses side by side, so that the others are not resident.
//!
//! The kernel brings in 64 KB of a program around each page that is touched. With used functions among unused ones that is
//! nearly the whole program: 5 MB more than with `used.txt`, which names them. A name that no function bears, as after a
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
    match link(&arguments) {
        Ok(()) => arguments.iter().for_each(|argument| println!("cargo::rustc-link-arg-bin=mcpo={argument}")),
        // gold and mold refuse the script.
        Err(reason) => println!(
            "cargo::warning=functions are not put in order, which takes 5 MB more memory (GNU ld and lld can): {reason}"
        ),
    }
    Ok(())
}

/// Links an empty program with these arguments, as this build links; the error is the linker's word on the script.
fn link(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let (folder, target) = (env::var("OUT_DIR")?, env::var("TARGET")?);
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let source = Path::new(&folder).join("empty.rs");
    fs::write(&source, "fn main() {}")?;
    let mut compiler = Command::new(env::var("RUSTC")?);
    compiler.args(["--crate-name=empty", "--cap-lints=allow"]);
    compiler.args([format!("--target={target}"), format!("--out-dir={folder}")]);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    compiler.arg(source).args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        compiler.arg(format!("-Clinker={linker}"));
    }
    compiler.args(arguments.iter().map(|argument| format!("-Clink-arg={argument}")));
    let output = compiler.output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let of_the_script = words.lines().rfind(|line| line.contains("used.ld"));
    Err(of_the_script.or(words.lines().next()).unwrap_or("the compiler said nothing").trim().into())
}
