//! The secrets of OAuth as credentials of systemd, named as the NixOS module names them, with its stand-in for a file
//! that is missing.

use serde_json::json;

use crate::support::Gateway;
use crate::support::authorization::Authorization;

#[tokio::test]
async fn a_secret_of_oauth_is_a_credential_and_a_missing_one_is_told_as_that() {
    let Some(authorization) = Authorization::start(&[], &[]).await else { return };
    let credentials = tempfile::tempdir().unwrap();
    std::fs::write(credentials.path().join("oauth-clientSecret-robot"), "robot-secret\n").unwrap();
    // What the unit sets in the place of a missing file.
    std::fs::write(credentials.path().join("oauth-clientSecret-late"), "\n").unwrap();
    let entry = |server: &str| {
        authorization.entry(&json!({
            "grant": "client_credentials",
            "clientId": "robot",
            "clientSecret": format!("${{credential:oauth-clientSecret-{server}}}"),
            "scopes": ["read"],
        }))
    };
    let gateway = Gateway::serving(json!({ "robot": entry("robot"), "late": entry("late") }))
        .environment("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())
        .start()
        .await;
    gateway.listed(&["robot"]).await;
    let answer = gateway.post("/robot/who", &json!({})).await.ok();
    assert_eq!(answer["client"], "robot", "{answer}");
    let late = gateway.in_state("late", "unavailable").await;
    let reason = late["reason"].as_str().unwrap();
    assert!(reason.contains("oauth-clientSecret-late") && reason.contains("its file is missing"), "{reason}");
    assert!(!gateway.log().contains("robot-secret"));
}
