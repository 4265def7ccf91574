//! One issuer: its metadata and its keys, fetched when a token needs them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Url, form_urlencoded};

use super::error::TokenError;
use super::signature;
use super::token::{AcceptedToken, Audience, Claims, IntrospectionSecret, accepted, claims_of, header_of};
use crate::protocol::media_type::JSON;
use crate::unix_time;
use crate::upstream::HttpClients;
use crate::upstream::error::chain;
use crate::upstream::http_client::{IdleTimeout, basic_authorization};

/// How long an answer of an issuer may take, and how large it may be, in bytes.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_BYTES: usize = 1 << 20;
/// Keys older than this are read again beside the next token, so that a withdrawn one ends.
const KEYS_AGE: Duration = Duration::from_secs(600);
/// The shortest time between two readings of keys: tokens with invented key ids must not become requests.
const KEYS_PAUSE: Duration = Duration::from_secs(10);
/// Questions that an issuer gets at one time about tokens that were active before, and about others: tokens that are made
/// up must neither flood it nor keep users out.
const QUESTIONS: usize = 16;
/// How long an opaque token is taken for active without asking again.
const ACTIVE_FOR: Duration = Duration::from_secs(30);

/// The issuers that were asked, by their address; outlives configurations.
#[derive(Debug)]
pub struct IssuerRegistry {
    clients: Arc<HttpClients>,
    issuers: Mutex<HashMap<String, Arc<Issuer>>>,
}

/// One authorization server.
#[derive(Debug)]
pub struct Issuer {
    /// Its identifier.
    pub address: String,
    clients: Arc<HttpClients>,
    published: ArcSwapOption<Published>,
    /// When it was last asked for its keys; locked while it is asked.
    asked: tokio::sync::Mutex<Option<Instant>>,
    questions: [Semaphore; 2],
}

/// The metadata and keys that an issuer publishes.
struct Published {
    keys: Vec<Jwk>,
    introspection: Option<Url>,
    authorization: Option<Url>,
    token: Option<Url>,
    read: Instant,
}

impl std::fmt::Debug for Published {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Published").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl IssuerRegistry {
    pub fn new(clients: Arc<HttpClients>) -> Self {
        Self { clients, issuers: Mutex::default() }
    }

    /// The issuer at `address`, with the keys that an earlier configuration read of it.
    pub fn issuer(&self, address: &str) -> Arc<Issuer> {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            signature::install();
            Arc::new(Issuer {
                address: address.to_owned(),
                clients: self.clients.clone(),
                published: ArcSwapOption::empty(),
                asked: tokio::sync::Mutex::default(),
                questions: [Semaphore::new(QUESTIONS), Semaphore::new(QUESTIONS)],
            })
        };
        issuers.entry(address.to_owned()).or_insert_with(make).clone()
    }
}

impl Issuer {
    /// Checks `token`, a JWT that names this issuer.
    ///
    /// # Errors
    ///
    /// [`TokenError::Unreachable`] when the issuer cannot be asked for its keys and never was; else what is wrong with
    /// the token.
    pub async fn verify(&self, token: &str, audience: &Audience) -> Result<AcceptedToken, TokenError> {
        let header = header_of(token)?;
        let mut published = self.published(|published| published.read.elapsed() < KEYS_AGE).await?;
        let mut known = published.keys_for(header.kid.as_deref());
        if known.is_empty() {
            // The issuer may have another key by now.
            let read = published.read;
            published = self.published(|published| published.read != read).await?;
            known = published.keys_for(header.kid.as_deref());
        }
        let mut wrong = TokenError::UnknownKey;
        for key in known {
            let Ok(key) = DecodingKey::from_jwk(key) else { continue };
            match claims_of(token, &header, &key, &self.address, audience) {
                // Without a `kid` each key has to be tried.
                Err(error @ (TokenError::Signature | TokenError::Algorithm(_))) => wrong = error,
                checked => return checked,
            }
        }
        Err(wrong)
    }

    /// Asks the issuer whether `token` is active, as `client`; `was_active` says that it was before.
    pub async fn introspect(
        &self,
        (token, was_active): (&str, bool),
        client: &IntrospectionSecret,
        audience: &Audience,
    ) -> Result<AcceptedToken, TokenError> {
        let published = self.published(|_| true).await?;
        let Some(endpoint) = &published.introspection else {
            return Err(self.unreachable("its metadata names no `introspection_endpoint`"));
        };
        let waiting =
            tokio::time::timeout(ANSWER_LIMIT, self.questions[usize::from(was_active)].acquire()).await;
        let _question = waiting.map_err(|_| self.unreachable("it is asked about too many tokens"))?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("token", token)
            .append_pair("token_type_hint", "access_token")
            .finish();
        let mut claims: Claims =
            self.ask(endpoint, Some((client, form))).await.map_err(|reason| self.unreachable(&reason))?;
        if claims.get("active") != Some(&Value::Bool(true)) {
            return Err(TokenError::Inactive);
        }
        if claims.get("iss").is_some_and(|issuer| issuer.as_str() != Some(&self.address)) {
            return Err(TokenError::Unknown);
        }
        let again = SystemTime::now() + ACTIVE_FOR;
        if !claims.contains_key("exp") {
            claims.insert("exp".to_owned(), unix_time::seconds(again).into());
        }
        let token = accepted(claims, audience)?;
        match token.until <= SystemTime::now() {
            true => Err(TokenError::Expired),
            false => Ok(AcceptedToken { until: token.until.min(again), ..token }),
        }
    }

    /// Where a browser signs its user in.
    ///
    /// # Errors
    ///
    /// The issuer cannot be asked, or has no such page.
    pub async fn authorization_endpoint(&self) -> Result<Url, TokenError> {
        let published = self.published(|_| true).await?;
        let endpoint = published.authorization.clone();
        endpoint.ok_or_else(|| self.unreachable("its metadata names no `authorization_endpoint`"))
    }

    /// The access token for the code of a browser; `form` is the request of `client` but for its secret.
    ///
    /// # Errors
    ///
    /// The issuer cannot be asked, or does not take the code.
    pub async fn exchange(
        &self,
        client: &IntrospectionSecret,
        form: String,
    ) -> Result<SecretString, TokenError> {
        #[derive(Deserialize)]
        struct IssuedToken {
            access_token: String,
        }
        let published = self.published(|_| true).await?;
        let endpoint = published.token.as_ref();
        let endpoint = endpoint.ok_or_else(|| self.unreachable("its metadata names no `token_endpoint`"))?;
        let issued = self.ask::<IssuedToken>(endpoint, Some((client, form))).await;
        issued.map(|issued| issued.access_token.into()).map_err(|reason| self.unreachable(&reason))
    }

    /// The issuer's metadata and keys, read again unless `is_good` holds of the known ones.
    ///
    /// The known ones stay when the issuer is away, or was asked a moment ago.
    async fn published(&self, is_good: impl Fn(&Published) -> bool) -> Result<Arc<Published>, TokenError> {
        let good = || self.published.load_full().filter(|published| is_good(published));
        if let Some(published) = good() {
            return Ok(published);
        }
        let known = self.published.load_full();
        let mut asked = match (self.asked.try_lock(), known) {
            (Ok(asked), _) => asked,
            // Its keys are only old, and another token asks already.
            (Err(_), Some(known)) if known.read.elapsed() >= KEYS_AGE => return Ok(known),
            (Err(_), _) => self.asked.lock().await,
        };
        if let Some(published) = good() {
            return Ok(published);
        }
        let known = self.published.load_full();
        let was_just_asked = asked.is_some_and(|asked| asked.elapsed() < KEYS_PAUSE);
        match known {
            Some(known) if was_just_asked => return Ok(known),
            None if was_just_asked => return Err(self.unreachable("it did not answer a moment ago")),
            _ => {}
        }
        let is_first = known.is_none();
        *asked = Some(Instant::now());
        match (self.read().await, known) {
            (Ok(published), _) => {
                if is_first {
                    // Its keys may change a moment later.
                    *asked = None;
                }
                let published = Arc::new(published);
                self.published.store(Some(published.clone()));
                Ok(published)
            }
            (Err(reason), Some(known)) => {
                tracing::warn!(
                    "the issuer {} cannot be asked for its keys: {reason}; those that are known go on counting",
                    self.address
                );
                Ok(known)
            }
            (Err(reason), None) => {
                tracing::warn!("the issuer {} cannot be asked for its keys: {reason}", self.address);
                Err(self.unreachable(&reason))
            }
        }
    }

    async fn read(&self) -> Result<Published, String> {
        #[derive(Deserialize)]
        struct Metadata {
            issuer: String,
            jwks_uri: Option<String>,
            introspection_endpoint: Option<String>,
            authorization_endpoint: Option<String>,
            token_endpoint: Option<String>,
        }
        let mut reasons = Vec::new();
        for url in metadata_addresses(&self.address) {
            let metadata: Metadata = match self.ask(&url, None).await {
                Ok(metadata) => metadata,
                Err(reason) => {
                    reasons.push(format!("{url}: {reason}"));
                    continue;
                }
            };
            if metadata.issuer != self.address {
                reasons.push(format!("{url} is of the issuer `{}`; write that in `issuer`", metadata.issuer));
                continue;
            }
            let keys = match &metadata.jwks_uri {
                None => Vec::new(),
                Some(address) => self.keys(&self.own(address)?).await?,
            };
            let own = |address: Option<String>| address.map(|address| self.own(&address)).transpose();
            return Ok(Published {
                keys,
                introspection: own(metadata.introspection_endpoint)?,
                authorization: own(metadata.authorization_endpoint)?,
                token: own(metadata.token_endpoint)?,
                read: Instant::now(),
            });
        }
        Err(reasons.join("; "))
    }

    async fn keys(&self, url: &Url) -> Result<Vec<Jwk>, String> {
        #[derive(Deserialize)]
        struct KeySet {
            keys: Vec<Value>,
        }
        let set: KeySet = self.ask(url, None).await.map_err(|reason| format!("{url}: {reason}"))?;
        let is_for_signatures = |key: &Jwk| {
            key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        };
        // A key of a kind that is not known must not hide the others.
        let keys = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        Ok(keys.filter(is_for_signatures).collect())
    }

    /// An address in the issuer's metadata; it is as safe on the way as the issuer itself.
    fn own(&self, address: &str) -> Result<Url, String> {
        let url = Url::parse(address).map_err(|_| format!("`{address}` in its metadata is no address"))?;
        match url.scheme() == "https" || self.address.starts_with("http:") && url.scheme() == "http" {
            true => Ok(url),
            false => Err(format!("`{address}` in its metadata is not https")),
        }
    }

    /// One answer of the issuer as JSON; redirects are not followed.
    async fn ask<T: DeserializeOwned>(
        &self,
        url: &Url,
        question: Option<(&IntrospectionSecret, String)>,
    ) -> Result<T, String> {
        let uri = Uri::try_from(url.as_str()).map_err(|error| error.to_string())?;
        let client =
            self.clients.client(&uri, IdleTimeout::default()).await.map_err(|error| chain(&error))?;
        let mut request = Request::builder().uri(uri).header(header::ACCEPT, JSON);
        let mut body = Bytes::new();
        if let Some((client, form)) = question {
            // RFC 6749 section 2.3.1: both parts are encoded as in a form before they are joined.
            let part = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let (id, secret) = (part(&client.id), part(client.secret.expose_secret()));
            let value = basic_authorization(id.as_bytes(), secret.as_bytes());
            request = request.method(Method::POST).header(header::AUTHORIZATION, value);
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            body = form.into();
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let exchange = async {
            let response = client.request(request).await.map_err(|error| chain(&error))?;
            if !response.status().is_success() {
                return Err(format!("it answered {}", response.status()));
            }
            let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| error.to_string())?.to_bytes();
            serde_json::from_slice(&body)
                .map_err(|error| format!("its answer is not what was asked for: {error}"))
        };
        let late = |_| Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs()));
        tokio::time::timeout(ANSWER_LIMIT, exchange).await.unwrap_or_else(late)
    }

    fn unreachable(&self, reason: &str) -> TokenError {
        TokenError::Unreachable { issuer: self.address.clone(), reason: reason.to_owned() }
    }
}

impl Published {
    /// The keys that may have signed a token with this `kid`.
    fn keys_for(&self, kid: Option<&str>) -> Vec<&Jwk> {
        let is_it = |key: &&Jwk| kid.is_none() || key.common.key_id.as_deref() == kid;
        self.keys.iter().filter(is_it).collect()
    }
}

/// Where an issuer may publish its metadata: as RFC 8414 and as OpenID Connect Discovery say.
fn metadata_addresses(issuer: &str) -> Vec<Url> {
    let Ok(url) = Url::parse(issuer) else { return Vec::new() };
    let path = url.path().trim_end_matches('/').to_owned();
    let paths = [
        format!("/.well-known/oauth-authorization-server{path}"),
        format!("/.well-known/openid-configuration{path}"),
        format!("{path}/.well-known/openid-configuration"),
    ];
    let mut addresses: Vec<Url> = Vec::new();
    for path in paths {
        let mut address = url.clone();
        address.set_path(&path);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_both_specifications_have_it() {
        let addresses = |issuer| metadata_addresses(issuer).iter().map(Url::to_string).collect::<Vec<_>>();
        let root = [
            "https://a.test/.well-known/oauth-authorization-server",
            "https://a.test/.well-known/openid-configuration",
        ];
        assert_eq!(addresses("https://a.test"), root);
        assert_eq!(addresses("https://a.test/"), root);
        assert_eq!(
            addresses("https://a.test/realms/home"),
            [
                "https://a.test/.well-known/oauth-authorization-server/realms/home",
                "https://a.test/.well-known/openid-configuration/realms/home",
                "https://a.test/realms/home/.well-known/openid-configuration",
            ]
        );
    }
}
