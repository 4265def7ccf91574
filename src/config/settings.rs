//! The gateway's own settings, taken out of the layers, and what is checked across them.

use super::audit::{AuditConfig, AuditTarget};
use super::keys::{
    AccessSettings, AuditSettings, DocumentConfig, LimitsConfig, ListenConfig, LockSettings, LogConfig,
    PerKeyConfig, ReplicaConfig, ServerDefaults, SharedSettings, TlsSettings, ToolSettings,
};
use super::layers::Layers;
use super::problem::Problems;
use super::secret::SecretText;
use super::section::SettingGroup as _;
use super::shared::SharedConfig;
use super::tls::TlsConfig;

/// The settings of the layers, apart from servers and named keys.
#[derive(Debug)]
pub(super) struct Settings {
    pub listen: ListenConfig,
    pub access: AccessSettings,
    pub limits: LimitsConfig,
    pub servers: ServerDefaults,
    pub tools: ToolSettings,
    pub document: DocumentConfig,
    pub log: LogConfig,
    pub lock: LockSettings,
    pub audit: Option<AuditConfig>,
    pub shared: Option<SharedConfig>,
    pub replica: ReplicaConfig,
}

/// Takes all settings out of `layers`. Where one is wrong its default stands in, and the problem is noted.
pub(super) fn collect(layers: &Layers, problems: &mut Problems) -> Settings {
    Settings {
        listen: listen(layers, problems),
        access: AccessSettings::read(layers, problems),
        limits: LimitsConfig {
            per_key: PerKeyConfig::read(layers, problems),
            ..LimitsConfig::read(layers, problems)
        },
        servers: ServerDefaults::read(layers, problems),
        tools: ToolSettings::read(layers, problems),
        document: DocumentConfig::read(layers, problems),
        log: LogConfig::read(layers, problems),
        lock: lock(layers, problems),
        audit: audit(layers, problems),
        shared: shared(layers, problems),
        replica: ReplicaConfig::read(layers, problems),
    }
}

fn shared(layers: &Layers, problems: &mut Problems) -> Option<SharedConfig> {
    let SharedSettings { address, prefix } = SharedSettings::read(layers, problems);
    if address.is_none() && !layers.location("sharedPrefix").key_path.is_empty() {
        let message = "without `shared` there are no keys that could begin so";
        let fix = "add \"shared\": \"redis://host:6379\", or remove it";
        problems.slip(&layers.location("sharedPrefix"), message, fix);
    }
    Some(SharedConfig { address: address?, prefix })
}

fn listen(layers: &Layers, problems: &mut Problems) -> ListenConfig {
    let listen = ListenConfig { tls: tls(layers, problems), ..ListenConfig::read(layers, problems) };
    if listen.tls.is_some() && listen.unix_path().is_some() {
        problems.slip(
            &layers.location("tls.certificate"),
            "TLS is not spoken on a Unix socket; this has no effect",
            "leave `tls` out, or listen on an address",
        );
    }
    listen
}

fn tls(layers: &Layers, problems: &mut Problems) -> Option<TlsConfig> {
    let TlsSettings { certificate, key } = TlsSettings::read(layers, problems);
    let (there, missing) = match (certificate, key) {
        (Some(certificate), Some(key)) => return Some(TlsConfig { certificate, key }),
        (None, None) => return None,
        (Some(_), None) => ("tls.certificate", "tls.key"),
        (None, Some(_)) => ("tls.key", "tls.certificate"),
    };
    problems.error(
        &layers.location(there),
        format!("`{missing}` is missing beside this; TLS needs a certificate and its key"),
        "give both --ssl-certfile and --ssl-keyfile, or `tls.certificate` and `tls.key`, as PEM files",
    );
    None
}

fn lock(layers: &Layers, problems: &mut Problems) -> LockSettings {
    let LockSettings { file, drift } = LockSettings::read(layers, problems);
    let file = file.filter(|file| !file.as_os_str().is_empty());
    if file.is_none() && !layers.location("lock.drift").key_path.is_empty() {
        problems.slip(
            &layers.location("lock.drift"),
            "without `lock.file` there is nothing that a tool could drift from",
            "add `\"file\": \"tools.lock\"`, and write it with `mcpo lock`",
        );
    }
    LockSettings { file, drift }
}

fn audit(layers: &Layers, problems: &mut Problems) -> Option<AuditConfig> {
    let AuditSettings { to, file, digests, secret } = AuditSettings::read(layers, problems);
    match (to, &file) {
        (Some(AuditTarget::File), None) => problems.error(
            &layers.location("audit.to"),
            "`audit.file` is missing beside this",
            "name the file, such as \"file\": \"/var/log/mcpo/audit.jsonl\"",
        ),
        (Some(AuditTarget::Journal), Some(_)) => problems.slip(
            &layers.location("audit.file"),
            "the trail goes to the journal, so this file is not written",
            "remove it, or write \"to\": \"file\"",
        ),
        (None, None) if digests.is_some() || secret.is_some() => {
            let key = if digests.is_some() { "audit.arguments" } else { "audit.secret" };
            problems.slip(
                &layers.location(key),
                "there is no audit trail that this could be about",
                "add \"to\": \"journal\", or \"file\" with a path",
            );
        }
        _ => {}
    }
    let digest = digests == Some(true);
    if secret.is_some() && !digest {
        let message = "this key is for digests of arguments, which the trail does not hold";
        problems.slip(&layers.location("audit.secret"), message, "add \"arguments\": \"digest\"");
    }
    if secret.as_ref().and_then(SecretText::as_literal).is_some_and(|key| key.trim().is_empty()) {
        problems.error(&layers.location("audit.secret"), "the key is empty", "give one, or remove it");
    }
    let file = file.filter(|_| to != Some(AuditTarget::Journal));
    (to.is_some() || file.is_some()).then_some(AuditConfig { file, digest, secret })
}
