//! The keys of objects below the top: API keys, profiles, rates, and the parts of a server's entry.

use super::super::defaults;
use super::super::key::ValueShape::{
    Count, Either, Lenient, List, Map, Object, Rate, Seconds, Switch, Text, Word,
};
use super::super::key::{ConfigKey, Effect, FILLED, HTTP, NAMED, SECRET, TEXT, ValueShape, words};
use super::super::transport::GRANTS;

/// A text with references to secrets.
pub const SECRET_TEXT: ValueShape = Text(&[SECRET]);

/// The text of an API key.
pub const API_KEY_TEXT: ValueShape = Text(&[SECRET, FILLED]);

/// Globs over names.
pub const GLOBS: ValueShape = List(&TEXT);

/// A limit of calls in a time, in either form.
pub const RATE_SHAPE: ValueShape = Either(&[Rate, Object(RATE, &["calls", "per"])]);

const fn at_once(name: &'static str, shape: ValueShape, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, shape, Effect::AtOnce, doc)
}

/// The rights of an API key or a user, and their rates.
const RIGHTS: [ConfigKey; 8] = [
    at_once("servers", GLOBS, "Globs over the servers that it opens; without, all"),
    at_once(
        "tools",
        GLOBS,
        "Globs over `SERVER_TOOL`, both names in full, that it opens; without, all tools of the servers",
    ),
    at_once("profile", TEXT, "The profile that holds for every request"),
    at_once("readOnly", Switch, "Opens only tools that are read-only"),
    at_once("admin", Switch, "Sees URLs, stderr tails and full reasons, and may sign in to servers"),
    at_once("metrics", Switch, "Reads `/metrics`, which name every server and tool"),
    at_once("rate", RATE_SHAPE, "How often it may call: `60/min`, or `calls`, `per` and `burst`"),
    at_once("concurrency", Count, "Calls in flight at one time; a further one is refused"),
];

/// One of `apiKeys`.
pub const API_KEY: &[ConfigKey] = &with_rights::<2, 10>([
    at_once("key", API_KEY_TEXT, "The key that callers show, best as a reference such as `${file:/path}`"),
    at_once(
        "openWebUi",
        Object(OPEN_WEBUI, &["secret"]),
        "The users of the Open WebUI whose key it is, in place of the key's own rights",
    ),
]);

/// `openWebUi` of an API key.
pub const OPEN_WEBUI: &[ConfigKey] = &[
    at_once("secret", SECRET_TEXT, "What Open WebUI has as `FORWARD_USER_INFO_HEADER_JWT_SECRET`"),
    at_once("users", USERS, "What its users open, as the `users` of an issuer"),
];

const USERS: ValueShape = List(&Object(USER, &[]));

/// One of the `users` of an issuer.
pub const USER: &[ConfigKey] = &with_rights::<1, 9>([at_once(
    "claims",
    Map(&[NAMED], &Lenient(&TEXT)),
    "Claims that a user must have, by name; a list in the token must hold the value; without, every user matches",
)]);

/// The keys of an entry, with those of its rights.
const fn with_rights<const OWN: usize, const ALL: usize>(own: [ConfigKey; OWN]) -> [ConfigKey; ALL] {
    let mut all = [own[0]; ALL];
    let mut index = 0;
    while index < ALL {
        all[index] = if index < OWN { own[index] } else { RIGHTS[index - OWN] };
        index += 1;
    }
    all
}

/// `signIn`.
pub const SIGN_IN: &[ConfigKey] = &[
    at_once(
        "issuers",
        List(&Object(ISSUER, &["issuer"])),
        "Authorization servers whose access tokens open the gateway to their users",
    ),
    at_once(
        "apiKeys",
        Switch,
        "The gateway is an authorization server itself, where people type in an API key",
    ),
    at_once(
        "tokenLifetime",
        Seconds,
        "How long access tokens of the gateway last, at most a day; clients renew them",
    )
    .or(|| defaults::TOKEN_LIFETIME.as_secs().into()),
];

/// One of `issuers`.
pub const ISSUER: &[ConfigKey] = &[
    at_once("issuer", Text(&[HTTP]), "Its address, exactly as it stands in `iss` of its tokens"),
    at_once(
        "audience",
        Either(&[TEXT, List(&TEXT)]),
        "What stands in `aud` of tokens for this gateway; without, its own addresses under `publicUrl`",
    ),
    at_once("clientId", TEXT, "The gateway as its client, to ask about tokens that are no JWTs"),
    at_once("clientSecret", SECRET_TEXT, "Secret of that client"),
    at_once(
        "users",
        USERS,
        "What users open: the first entry whose claims a user has counts; without one the user is refused",
    ),
];

/// One of `profiles`.
pub const PROFILE: &[ConfigKey] = &[
    at_once("servers", GLOBS, "Globs over the servers that it shows; without, all"),
    at_once(
        "tools",
        GLOBS,
        "Globs over `SERVER_TOOL`, both names in full; without, all tools of the servers",
    ),
];

/// The long form of a rate.
pub const RATE: &[ConfigKey] = &[
    at_once("calls", Count, "How many calls"),
    at_once("per", Seconds, "In how many seconds"),
    at_once("burst", Count, "How many of them may be saved up and made at once; without, all"),
];

/// The texts of a tool that replace those of its server.
pub const OVERRIDE: &[ConfigKey] = &[
    at_once("name", Text(&[NAMED]), "Another name"),
    at_once("description", TEXT, "Another description"),
    at_once("title", TEXT, "Another title"),
];

/// A limit of memory as systemd reads it: `512M`, `1.5G`, `25%` of the machine's, or `infinity`.
pub const MEMORY: &str = r"^(?:[1-9][0-9]*(?:\.[0-9]+)?[KMGT]|[1-9][0-9]*|(?:[1-9][0-9]?|100)%|infinity)$";

/// The resources that the unit of a server may use.
pub const UNIT: &[ConfigKey] = &[
    reconnects(
        "network",
        Switch,
        "It may use the network; without, it may when its command is `npx` or `uvx`",
    ),
    reconnects(
        "cache",
        Switch,
        "It has a cache that lasts; without, it has when its command is `npx` or `uvx`",
    ),
    reconnects("state", Switch, "It has a directory that lasts, which is its home"),
    reconnects("memoryMax", Text(&[MEMORY]), "Memory of one instance, above which it is killed: `512M`, `1.5G`, `25%` of the machine's, or `infinity`")
        .or(|| defaults::MEMORY_MAX.into()),
    reconnects("tasksMax", Count, "Processes and threads of one instance").or(|| defaults::TASKS_MAX.into()),
];

/// Patterns over names of headers.
pub const HEADER_PATTERNS: ValueShape = List(&Text(&[r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"]));

/// `forwardHeaders`: patterns, or texts with claims of a user by the names of headers.
pub const FORWARDED: ValueShape = Either(&[
    HEADER_PATTERNS,
    Map(
        &[r"^[!#$%&'+.^_`|~0-9A-Za-z-]+$"],
        &Text(&[r"^(?:[^$]|\$(?!\{))*(?:\$\{user\.[^}]+\}(?:[^$]|\$(?!\{))*)+$"]),
    ),
]);

/// mcpo's form of `forwardHeaders`.
pub const FORWARDING: &[ConfigKey] = &[
    at_once("enabled", Switch, "Whether headers are forwarded"),
    at_once("whitelist", HEADER_PATTERNS, "Headers to forward"),
    at_once("blacklist", HEADER_PATTERNS, "Headers to keep back all the same"),
    at_once("debug_headers", Switch, "Has no effect: headers of callers are never logged"),
];

const fn reconnects(name: &'static str, shape: ValueShape, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, shape, Effect::ServerReplaced, doc)
}

const SUBJECT_TYPE: ValueShape = Text(&[r"^(?:access_token|id_token|refresh_token|jwt|urn:[\x21-\x7E]+)$"]);
const PER: ValueShape = Word(&["gateway", "user"]);
const GRANT_WORDS: [&str; 7] = words(&GRANTS);
const SCOPES: ValueShape = List(&Text(&[r"^[\x21\x23-\x5B\x5D-\x7E]+$"]));
const HTTPS: ValueShape = Text(&[r"^\s*[Hh][Tt][Tt][Pp][Ss]:"]);
const PKCE: ValueShape = Word(&["announced", "assume"]);

/// `identityProvider` of `oauth`.
pub const IDENTITY_PROVIDER: &[ConfigKey] = &[
    reconnects("issuer", Text(&[HTTP]), "Its address, as it names itself"),
    reconnects("clientId", TEXT, "The gateway as its client"),
    reconnects("clientSecret", SECRET_TEXT, "Secret of that client"),
    reconnects("privateKey", SECRET_TEXT, "Private key of that client (PKCS#8 PEM), in place of a secret"),
];

/// How the gateway signs in to a server.
pub const OAUTH: &[ConfigKey] = &[
    reconnects(
        "grant",
        Word(&GRANT_WORDS),
        "How a token is got: by a person, a client, a workload or an exchange",
    )
    .or(|| "authorization_code".into()),
    reconnects(
        "per",
        PER,
        "`user` where each user of the gateway signs in, and has a session of its own there",
    )
    .or(|| "gateway".into()),
    reconnects("clientId", TEXT, "A client that was registered by hand"),
    reconnects("clientSecret", SECRET_TEXT, "Secret of that client"),
    reconnects("privateKey", SECRET_TEXT, "Private key of that client (PKCS#8 PEM), in place of a secret"),
    reconnects(
        "assertion",
        SECRET_TEXT,
        "Token that is exchanged for one of the server, read anew each time",
    ),
    reconnects(
        "subjectType",
        SUBJECT_TYPE,
        "Type of the token that is exchanged, such as `id_token` [default: `access_token`]",
    ),
    reconnects("audience", TEXT, "Name of the server at the authorization server, for `token_exchange`"),
    reconnects(
        "identityProvider",
        Object(IDENTITY_PROVIDER, &["issuer", "clientId"]),
        "Where `id_jag` has the `assertion`, an ID token, exchanged for a grant at the authorization server",
    ),
    reconnects("scopes", SCOPES, "Scopes to ask for; without, those that the server names"),
    reconnects("clientMetadataUrl", HTTPS, "Address of the document that describes the gateway as a client"),
    reconnects("issuer", Text(&[HTTP]), "The only authorization server that may be used"),
    reconnects("pkce", PKCE, "`assume` where the authorization server has PKCE and does not announce it")
        .or(|| "announced".into()),
    reconnects(
        "dpop",
        Switch,
        "Whether tokens are bound to a key of the gateway (DPoP); without, as the server asks",
    ),
];
