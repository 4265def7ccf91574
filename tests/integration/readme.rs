//! Every command of every `README.md` runs here in its order, as it stands there except for its ports; a command that
//! this test does not know fails it. Their configurations pass `mcpo check`, and their links lead to files.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{free_port, provisioned, until};

/// What is to be done with a command.
enum Role {
    /// Serves on the port that it names until it is ended; replaces the one before it.
    Server { port: &'static str },
    /// Ends with 0 and writes this.
    Writes(&'static str),
    /// Is what runs this test.
    RunsThis,
}

fn role(command: &str) -> Role {
    match command {
        "cargo run --release" => Role::Server { port: "8000" },
        "tests/run" => Role::RunsThis,
        _ if command.starts_with("mcpo --port 25530 ") => Role::Server { port: "25530" },
        _ if command.starts_with("mcpo check ") => Role::Writes("ok: 2 servers: time (stdio), github"),
        _ if command.contains("/gateway/list_servers") => Role::Writes(r#""name":"gateway""#),
        _ if command.contains("/time/get_current_time") => Role::Writes(r#""timezone": "UTC""#),
        _ if command.contains("/servers ") => Role::Writes("cannot be read"),
        _ if command.starts_with("mcpo tools ") => Role::Writes("get_current_time  timezone: string"),
        _ if command.starts_with("mcpo call ") => Role::Writes(r#""timezone": "UTC""#),
        _ if command.starts_with("mcpo plan ") => Role::Writes("no change: 2 servers"),
        "mcpo schema" => Role::Writes("json-schema.org/draft/2020-12/schema"),
        "mcpo completions bash" => Role::Writes("_mcpo()"),
        _ => panic!("a README has a command that no test runs: {command}"),
    }
}

/// The blocks of one language.
fn blocks<'a>(readme: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    let bodies = readme.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().trim());
    // The split borrows `opening`; the bodies do not.
    bodies.collect()
}

/// A server that ends with the value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A folder with the README's configuration, and `mcpo` and the servers in the path.
struct Desk {
    folder: TempDir,
    ports: [(&'static str, String); 2],
    path: String,
}

impl Desk {
    fn new(configuration: &str) -> Option<Self> {
        let python = provisioned::python()?;
        let folder = TempDir::with_prefix("mcpo-readme-").unwrap();
        std::fs::write(folder.path().join("config.json"), configuration).unwrap();
        let programs = Path::new(env!("CARGO_BIN_EXE_mcpo")).parent().unwrap();
        let system = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{system}", programs.display(), python.parent().unwrap().display());
        Some(Self { folder, ports: ["8000", "25530"].map(|port| (port, free_port().to_string())), path })
    }

    fn port(&self, named: &str) -> &str {
        &self.ports.iter().find(|(port, _)| *port == named).unwrap().1
    }

    fn shell(&self, command: &str) -> Command {
        let mut line = command.replace("cargo run --release", &format!("mcpo --port {}", self.port("8000")));
        for (named, actual) in &self.ports {
            line = line.replace(&format!(":{named}/"), &format!(":{actual}/"));
            line = line.replace(&format!("--port {named} "), &format!("--port {actual} "));
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {line}")]).current_dir(self.folder.path());
        shell.env("PATH", &self.path).env("XDG_STATE_HOME", self.folder.path().join("state"));
        shell
    }

    async fn serve(&self, command: &str, port: &str) -> Server {
        let server = Server(self.shell(command).spawn().unwrap());
        let address = SocketAddr::from(([127, 0, 0, 1], self.port(port).parse().unwrap()));
        until(Duration::from_secs(20), command, async || {
            tokio::net::TcpStream::connect(address).await.is_ok().then_some(())
        })
        .await;
        server
    }
}

/// A `README.md` and its text.
struct Readme {
    file: PathBuf,
    text: String,
}

impl Readme {
    /// Those of the product, the one at the top first.
    fn all() -> Vec<Self> {
        let mut files = vec![provisioned::root().join("README.md")];
        let mut folders = ["src", "nix", "tests"].map(|name| provisioned::root().join(name)).to_vec();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                let (path, kind) = (entry.path(), entry.file_type().unwrap());
                // `.work` holds what others wrote.
                if kind.is_dir() && entry.file_name() != ".work" {
                    folders.push(path);
                } else if entry.file_name() == "README.md" {
                    files.push(path);
                }
            }
        }
        let read = |file: PathBuf| Self { text: std::fs::read_to_string(&file).unwrap(), file };
        files.into_iter().map(read).collect()
    }

    /// The files of the product that it links.
    fn links(&self) -> Vec<PathBuf> {
        let targets = self.text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let own = targets.filter(|target| !target.starts_with("http"));
        own.map(|target| self.file.parent().unwrap().join(target.split('#').next().unwrap())).collect()
    }
}

#[tokio::test]
async fn every_command_of_a_readme_does_what_it_says() {
    let all = Readme::all();
    let Some(desk) = Desk::new(blocks(&all[0].text, "json")[0]) else { return };
    let mut running = None;
    for command in all.iter().flat_map(|readme| blocks(&readme.text, "sh")) {
        match role(command) {
            Role::RunsThis => {}
            Role::Server { port } => {
                drop(running.take());
                running = Some(desk.serve(command, port).await);
            }
            Role::Writes(expected) => {
                let Output { status, stdout, stderr } = desk.shell(command).output().unwrap();
                let written = String::from_utf8_lossy(&stdout);
                assert!(
                    status.success() && written.contains(expected),
                    "{command}: {status}\n{written}\n{}",
                    String::from_utf8_lossy(&stderr)
                );
            }
        }
    }
}

#[test]
fn every_link_of_a_readme_leads_to_a_file_and_the_first_is_short() {
    let all = Readme::all();
    assert!(all[0].text.len() <= 10_000, "{}", all[0].text.len());
    for readme in &all[1..] {
        assert!(all[0].links().contains(&readme.file), "README.md does not link {}", readme.file.display());
    }
    for (readme, link) in
        all.iter().flat_map(|readme| readme.links().into_iter().map(move |link| (readme, link)))
    {
        assert!(link.exists(), "{}: {}", readme.file.display(), link.display());
    }
}

#[test]
fn every_configuration_of_a_readme_passes_the_check() {
    let all = Readme::all();
    let configurations: Vec<_> = all.iter().flat_map(|readme| blocks(&readme.text, "json")).collect();
    assert_eq!(configurations.len(), 6);
    for configuration in configurations {
        let folder = TempDir::with_prefix("mcpo-readme-").unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, configuration).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_mcpo"));
        let Output { status, stderr, .. } = check.args(["check", "--config"]).arg(&file).output().unwrap();
        assert!(status.success(), "{configuration}\n{}", String::from_utf8_lossy(&stderr));
    }
}
