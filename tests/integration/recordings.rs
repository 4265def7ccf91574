//! Every answer that the Python mcpo 0.0.20 was recorded to give is given here too, but for the deviations listed in
//! `tests/oracle/deviations.json`, each with its reason. An unlisted difference fails, and so does a line of the table
//! that changes nothing or fits no recording.

mod compare;
mod deviation;
mod document;
mod replay;

use deviation::Table;
use replay::{documents, replay};

macro_rules! recordings {
    ($($name:ident: $file:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            replay($file).await;
        })*

        const FILES: &[&str] = &[$($file),*];
    };
}

recordings! {
    answers_with_an_api_key_hold: "auth-apikey.json",
    answers_in_strict_mode_hold: "auth-strict.json",
    answers_of_the_time_server_and_of_the_routes_hold: "pairs-time.json",
    answers_of_the_everything_server_hold: "pairs-everything.json",
    renderings_of_content_hold: "pairs-quirk-content.json",
    answers_to_errors_hold: "pairs-quirk-errors.json",
    tool_names_hold: "quirk-names_ok.json",
    descriptions_hold: "quirk-nodesc.json",
    array_arguments_hold: "quirk-s_array.json",
    basic_arguments_hold: "quirk-s_basic.json",
    object_arguments_hold: "quirk-s_object.json",
}

#[tokio::test]
async fn recorded_documents_of_real_servers_hold() {
    documents("pairs-time.json").await;
}

#[test]
fn every_line_of_the_table_names_a_recording_and_gives_its_reason_and_source() {
    for line in Table::read().lines() {
        let known = FILES.contains(&line.file.as_str()) || line.file.starts_with("openapi-");
        assert!(known, "no recording {}", line.file);
        assert!(line.reason.len() > 10 && !line.source.is_empty(), "{} {}: say why", line.file, line.label);
    }
}

#[test]
fn every_recording_of_pairs_is_replayed() {
    let folder = crate::support::provisioned::root().join("tests/oracle/recordings");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let replayed = FILES.contains(&name.as_str()) || name.starts_with("openapi-");
        // The validation cases are replayed by the tests of `mcpo check`; the last one is a list of packages.
        let elsewhere = ["config-validation.json", "mcpo-0.0.20-requirements.txt"].contains(&name.as_str());
        assert!(replayed || elsewhere, "{name} is replayed by no test");
    }
}
