//! Has the linker put the functions that a running gateway uses side by side, so that the others are not resident.
//!
//! The kernel brings in 64 KB of a program around each page that is touched. With used functions among unused ones that is
//! nearly the whole program: 6 MB more than with `used.txt`, which names them. A name that no function bears, as after a
//! change of the code, is passed over. `tests/bench/used` writes the file anew.

use std::error::Error;
use std::path::Path;
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
    println!("cargo::rustc-link-arg-bin=mcpo=-T");
    println!("cargo::rustc-link-arg-bin=mcpo={}", script.display());
    Ok(())
}
