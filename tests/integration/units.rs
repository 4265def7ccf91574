//! `mcpo units`: the units for Debian are those that the NixOS module renders for the same servers, and what cannot run in a
//! unit is refused before anything is written.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::provisioned::root;

/// A configuration, and the directory of the units that come of it.
struct Desk(TempDir);

impl Desk {
    fn new(config: &Value) -> Self {
        let desk = Self(TempDir::with_prefix("mcpo-units-").unwrap());
        std::fs::create_dir_all(desk.0.path().join("credentials")).unwrap();
        std::fs::create_dir_all(desk.units()).unwrap();
        desk.configure(config);
        desk
    }

    fn configure(&self, config: &Value) {
        std::fs::write(self.0.path().join("config.json"), config.to_string()).unwrap();
    }

    fn units(&self) -> std::path::PathBuf {
        self.0.path().join("units")
    }

    fn run(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpo"));
        command
            .arg("units")
            .arg("--config")
            .arg(self.0.path().join("config.json"))
            .arg("--to")
            .arg(self.units());
        command.output().unwrap()
    }

    /// What a run that succeeds says.
    fn written(&self) -> String {
        let output = self.run();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a run that is refused says; it has written nothing.
    fn refused(&self) -> String {
        let output = self.run();
        assert_eq!(output.status.code(), Some(64));
        assert_eq!(std::fs::read_dir(self.units()).unwrap().count(), 0);
        String::from_utf8(output.stderr).unwrap()
    }

    fn unit(&self, name: &str) -> String {
        std::fs::read_to_string(self.units().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// The directives of a unit, without what differs between NixOS and Debian by its nature: paths of programs, the
/// environment that NixOS gives to each unit, and marks for its own switch.
fn directives(text: &str) -> BTreeSet<String> {
    const OF_NIXOS: [&str; 5] =
        ["Environment=\"LOCALE_ARCHIVE", "Environment=\"PATH=", "Environment=\"TZDIR", "X-", "#"];
    let own = env!("CARGO_BIN_EXE_mcpo");
    let text = text.replace(&Value::from(own).to_string(), own).replace(own, "/bin/mcpo");
    let lines =
        text.lines().filter(|line| !line.is_empty() && !OF_NIXOS.iter().any(|start| line.starts_with(start)));
    lines.map(plain).collect()
}

/// A line with programs by their names alone, and a credential by its name.
fn plain(line: &str) -> String {
    if let Some(loaded) = line.strip_prefix("LoadCredential=") {
        return format!("LoadCredential={}", loaded.split(':').next().unwrap());
    }
    if !line.starts_with("Exec") {
        return line.to_owned();
    }
    let words = line.split_inclusive([' ', '=', '"']);
    words.map(|word| if word.starts_with('/') { word.rsplit('/').next().unwrap() } else { word }).collect()
}

fn recorded(name: &str) -> String {
    let path = root().join("tests/appliance/units/ouranos/miranda").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The thirteen servers of the recorded configuration, as they are written on Debian.
fn miranda() -> Value {
    let mut config: Value = serde_json::from_str(&recorded("config.json")).unwrap();
    config["mcpServers"]["time"] =
        json!({ "command": "/bin/mcp-server-time", "args": ["--local-timezone=America/Toronto"] });
    config["mcpServers"]["upstash-context7"] =
        json!({ "command": "/bin/context7-mcp", "unit": { "network": true } });
    config
}

#[test]
fn the_units_are_those_of_nixos() {
    let desk = Desk::new(&miranda());
    desk.written();
    for unit in
        ["mcpo-server-time.socket", "mcpo-server-time@.service", "mcpo-server-upstash-context7@.service"]
    {
        let (ours, theirs) = (directives(&desk.unit(unit)), directives(&recorded(unit)));
        assert_eq!(ours, theirs, "{unit}");
    }
    let packaged = std::fs::read_to_string(root().join("nix/debian/units/mcpo.service")).unwrap();
    let drop_ins =
        ["mcpo.service.d/10-servers.conf", "mcpo.service.d/20-gateway.conf"].map(|name| desk.unit(name));
    let ours: BTreeSet<String> =
        [&packaged, &drop_ins[0], &drop_ins[1]].into_iter().flat_map(|text| directives(text)).collect();
    let theirs = directives(&recorded("mcpo.service"));
    // NixOS names all sockets in one line, and its state directory is /srv/mcpo alone. The package's unit serves any port.
    let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| -> Vec<String> {
        left.difference(right).cloned().collect()
    };
    let here_alone = [
        "After=mcpo-server-time.socket mcpo-server-upstash-context7.socket",
        "After=network.target mcpo.socket",
        "Documentation=man:mcpo(1) man:mcpo.json(5)",
        "Environment=MCPO_SERVER_SOCKETS=/run/mcpo-servers",
        "LogsDirectory=mcpo",
        "LogsDirectoryMode=0750",
        "StateDirectory=mcpo",
        "StateDirectoryMode=0750",
        "Wants=mcpo-server-time.socket mcpo-server-upstash-context7.socket",
        "Wants=mcpo.socket",
        "WorkingDirectory=/var/lib/mcpo",
    ];
    assert_eq!(only(&ours, &theirs), here_alone);
    assert_eq!(
        only(&theirs, &ours),
        [
            "After=network.target mcpo-0.0.0.0-25530.socket mcpo-server-time.socket mcpo-server-upstash-context7.socket",
            "SocketBindAllow=tcp:25530",
            "SocketBindDeny=any",
            "Wants=mcpo-0.0.0.0-25530.socket mcpo-server-time.socket mcpo-server-upstash-context7.socket",
        ]
    );
}

#[test]
fn a_second_run_changes_nothing_and_a_removed_server_takes_its_units_along() {
    let desk = Desk::new(&miranda());
    assert!(desk.written().contains("written: mcpo-server-time@.service\n"));
    assert_eq!(desk.written(), "unchanged\n");
    let mut config = miranda();
    config["mcpServers"].as_object_mut().unwrap().remove("time");
    desk.configure(&config);
    assert_eq!(
        desk.written(),
        "written: mcpo.service.d/10-servers.conf\nremoved: mcpo-server-time.socket\nremoved: mcpo-server-time@.service\n"
    );
    assert!(!desk.units().join("mcpo-server-time.socket").exists());
}

#[test]
fn secrets_arrive_as_credentials_and_systemd_expands_nothing_else() {
    let desk = Desk::new(&json!({ "host": "::1", "port": 443, "mcpServers": { "a b": {
        "command": "npx", "args": ["-y", "pkg@1", "--price=$5", "50%", "say \"hi\""],
        "env": { "TOKEN": "${credential:a-token}", "API_KEY": "${file:/run/a key}", "LEVEL": "100%" },
        "unit": { "memoryMax": "1G", "tasksMax": 300, "state": true },
    } } }));
    std::fs::write(desk.0.path().join("credentials/a-token.cred"), "").unwrap();
    desk.written();
    let unit = desk.unit("mcpo-server-a-b-c8687a08@.service");
    let folder = desk.0.path().display();
    for line in [
        r#" run-server --name "a b" --require-isolation --secret "TOKEN=TOKEN" --secret "API_KEY=API_KEY" -- "npx" "-y" "pkg@1" "--price=$$5" "50%%" "say \"hi\"""#,
        &format!("LoadCredentialEncrypted=TOKEN:{folder}/credentials/a-token.cred"),
        "SetCredential=TOKEN:\\n",
        "LoadCredential=API_KEY:/run/a key",
        "Environment=\"LEVEL=100%%\"",
        "MemoryMax=1G",
        "TasksMax=300",
        "StateDirectory=mcpo-server-a-b-c8687a08",
        // npx fetches what it runs.
        "CacheDirectory=mcpo-server-a-b-c8687a08",
        "RestrictAddressFamilies=AF_INET",
    ] {
        assert!(unit.lines().any(|found| found.ends_with(line)), "{line}\n{unit}");
    }
    assert_eq!(
        directives(&desk.unit("mcpo.socket.d/10-listen.conf")),
        directives("[Socket]\nListenStream=\nListenStream=[::1]:443")
    );
}

#[test]
fn the_unit_of_an_isolated_server_puts_in_the_caller_when_it_knows_it() {
    let desk = Desk::new(&json!({ "mcpServers": { "a": {
        "command": "x", "args": ["/a/${caller}", "$${caller}"], "cwd": "/w/${caller}", "isolation": "user",
        "env": { "STATE": "/s/${caller}/x", "TEXT": "$${caller}" },
    } } }));
    desk.written();
    let unit = desk.unit("mcpo-server-a@.service");
    for line in [
        r#" run-server --name "a" --require-isolation --isolated --directory "/w/$${caller}" --no-network -- "x" "/a/$${caller}" "$$$${caller}""#,
        r#"Environment="STATE=/s/${caller}/x""#,
        r#"Environment="TEXT=$${caller}""#,
        "WorkingDirectory=/tmp",
    ] {
        assert!(unit.lines().any(|found| found.ends_with(line)), "{line}\n{unit}");
    }
}

#[test]
fn what_cannot_run_in_a_unit_is_refused_with_its_fix() {
    for (server, says) in [
        (
            json!({ "env": { "GITHUB_TOKEN": "hunter2" } }),
            "write it into a file, and `${credential:NAME}` here",
        ),
        (json!({ "env": { "AUTH": "Bearer ${credential:x}" } }), "nothing beside it"),
        (json!({ "envFile": "/etc/x" }), "put its variables into `env`"),
        (json!({ "passEnv": ["LANG"] }), "write the values into `env`"),
        (json!({ "unit": { "memoryMax": "lots" } }), "systemd would set no limit"),
        (json!({ "unit": { "memory": "1G" } }), "`memory` is not a setting of a unit"),
    ] {
        let mut server = server;
        server["command"] = "x".into();
        let said = Desk::new(&json!({ "mcpServers": { "a": server } })).refused();
        assert!(said.contains(says) && !said.contains("hunter2"), "{said}");
    }
    let said = Desk::new(&json!({ "host": "example.org", "mcpServers": {} })).refused();
    assert!(said.contains("systemd resolves no names"), "{said}");
}

#[test]
fn a_file_of_somebody_else_is_left_alone() {
    let desk = Desk::new(&miranda());
    let own = desk.units().join("mcpo-server-time.socket");
    std::fs::write(&own, "[Socket]\n").unwrap();
    let output = desk.run();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("move it away"));
    assert_eq!(std::fs::read_to_string(own).unwrap(), "[Socket]\n");
}

#[test]
fn nothing_else_is_in_the_directory() {
    let desk = Desk::new(&json!({ "mcpServers": { "far": { "url": "http://h" } } }));
    desk.written();
    let names = |path: &Path| -> BTreeSet<String> {
        std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(&desk.units()), ["mcpo.service.d", "mcpo.socket.d"].map(str::to_owned).into());
}
