//! Any text as a configuration file: it is served or every problem is told, and a reload from and to it is planned.

#![no_main]

use std::cell::LazyCell;
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use mcpo::config::{self, Config, Plan, Purpose, Sources};
use tempfile::TempDir;

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| {
        let memory = PathBuf::from("/dev/shm");
        let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        made.expect("a folder for the file can be made")
    });
}

fuzz_target!(|text: &[u8]| {
    FOLDER.with(|folder| {
        let file = folder.path().join("config.json");
        std::fs::write(&file, text).expect("the file can be written");
        let of = |purpose| Sources { purpose, files: vec![file.clone()], ..Sources::default() };
        let served = config::load(&of(Purpose::Serve));
        let checked = config::load(&of(Purpose::Check));
        match served {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    assert!(!warning.to_string().is_empty());
                }
                let default = Config::default();
                let _told = Plan::between(&default, &loaded.config, &[]).to_string();
                let again = Plan::between(&loaded.config, &loaded.config, &[]);
                assert!(again.is_empty(), "a configuration differs from itself: {again}");
                let _taken_up = loaded.config.without_restart(&default);
            }
            Err(problems) => {
                assert!(!problems.is_empty(), "it is refused without a reason");
                assert!(checked.is_err(), "what cannot be served passes the check");
                for problem in &problems {
                    assert!(!problem.to_string().is_empty());
                }
            }
        }
    });
});
