//! The authorization server: sign-ins become codes, codes become tokens, and tokens are renewed until they are revoked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::client::{self, OAuthClient, RegistrationRequest};
use super::client_document::ClientDocuments;
use super::code::{AuthorizationCode, CODE_PREFIX, GOOD_FOR};
use super::error::GrantError;
use super::grant_table::Rotation;
use super::grants::{Begun, GrantStore};
use super::holder::{KeyIdentity, TokenHolder, check_resource, digest};
use super::key_guesses::KeyGuesses;
use super::page_session::{PAGE_FOR, PageSession};
use super::parameters::Parameters;
use super::request::{PENDING_FOR, PendingPage, SignInRequest};
use super::shared_grants::SharedGrants;
use super::token::{
    ACCESS_PREFIX, AcceptedAccess, AccessEnd, AccessToken, LEEWAY, REFRESH_PREFIX, RefreshToken, TokenAnswer,
};
use crate::json::hex;
use crate::seal::{SealError, SealSecrets, Sealer, random};
use crate::shared_store::SharedStore;
use crate::unix_time::now;

/// The authorization server; outlives configurations.
#[derive(Debug)]
pub struct SignInServer {
    documents: ClientDocuments,
    clients: Sealer,
    requests: Sealer,
    codes: Sealer,
    access: Sealer,
    refresh: Sealer,
    pages: Sealer,
    grants: GrantStore,
    /// How long an access token lasts, in seconds.
    lifetime: AtomicU64,
    /// Wrong API keys at the page.
    pub guesses: KeyGuesses,
}

impl SignInServer {
    /// Keeps its sign-ins in `state_dir`; without one they end with the process. Those of all replicas are in `store`.
    pub async fn open(
        secrets: &SealSecrets,
        documents: ClientDocuments,
        state_dir: Option<&Path>,
        store: Option<&Arc<SharedStore>>,
    ) -> Self {
        let shared = store.map(|store| SharedGrants::new(store, secrets));
        Self {
            documents,
            clients: secrets.sealer("oauth client"),
            requests: secrets.sealer("oauth request"),
            codes: secrets.sealer("oauth code"),
            access: secrets.sealer("oauth access token"),
            refresh: secrets.sealer("oauth refresh token"),
            pages: secrets.sealer("page cookie"),
            grants: GrantStore::open(state_dir, shared, now()).await,
            lifetime: AtomicU64::new(0),
            guesses: KeyGuesses::default(),
        }
    }

    /// Access tokens last this long from now on.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.lifetime.store(lifetime.as_secs().max(1), Ordering::Relaxed);
    }

    fn lifetime(&self) -> u64 {
        self.lifetime.load(Ordering::Relaxed)
    }

    /// Takes up what other replicas do, for as long as their store is open.
    pub async fn follow_replicas(&self) {
        self.grants.follow().await;
    }

    /// Whether no sign-in can end or be renewed now, because the store of the replicas is away.
    pub fn waits_for_store(&self) -> bool {
        self.grants.waits_for_store()
    }

    /// Changes with each sign-in that ends early: what was known of tokens is to be asked again.
    pub fn revocations(&self) -> u64 {
        self.grants.revocations()
    }

    /// Registers a client; the answer is that of RFC 7591 section 3.2.1.
    ///
    /// # Errors
    ///
    /// What of it is not fit.
    pub fn register(&self, request: RegistrationRequest) -> Result<Value, GrantError> {
        client::register(&self.clients, request)
    }

    /// Whether clients are told that they may be described by a document.
    pub fn announces_documents(&self) -> bool {
        self.documents.are_announced()
    }

    /// The client with this id, which it got here, or which is the address of its document.
    pub async fn client(&self, id: &str) -> Option<OAuthClient> {
        match ClientDocuments::is_address(id) {
            true => self.documents.client(id).await,
            false => client::registered(&self.clients, id),
        }
    }

    /// The token of the form for `request`, and the secret for a cookie of the browser that gets it.
    pub fn pend(&self, request: SignInRequest) -> Result<(String, String), SealError> {
        let pending = PendingPage { request, secret: new_id()?, until: now() + PENDING_FOR };
        Ok((self.requests.seal_json("", &pending)?, pending.secret))
    }

    /// The request of a form; `None` when it took too long, or when the form is not one of this gateway.
    pub fn pending(&self, form: &str) -> Option<PendingPage> {
        let pending: PendingPage = self.requests.open_json("", form)?;
        (now() < pending.until).then_some(pending)
    }

    /// The code for `request`, which a person has answered with `key`.
    pub fn code(&self, request: &SignInRequest, key: KeyIdentity) -> Result<String, SealError> {
        self.documents.note_sign_in(&request.client_id);
        let code = AuthorizationCode {
            holder: TokenHolder {
                grant: new_id()?,
                client: digest(&request.client_id),
                key,
                resource: request.resource.clone(),
                scope: request.scope.clone(),
            },
            client_name: request.client_name.clone(),
            redirect_uri: request.redirect_uri.clone(),
            challenge: request.challenge.clone(),
            until: now() + GOOD_FOR,
        };
        self.codes.seal_json(CODE_PREFIX, &code)
    }

    /// Tokens for a code; `is_key` tells whether an API key is configured as it was.
    ///
    /// A code that comes twice ends what the first one got: one of the two was stolen (RFC 6749 section 4.1.2).
    async fn redeem(
        &self,
        form: &Parameters,
        client: &str,
        is_key: impl Fn(&KeyIdentity) -> bool,
    ) -> Result<TokenAnswer, GrantError> {
        let code = form.get("code").ok_or(GrantError::InvalidRequest("`code` is missing"))?;
        let code: AuthorizationCode = self
            .codes
            .open_json(CODE_PREFIX, code)
            .filter(|code: &AuthorizationCode| now() < code.until)
            .ok_or(GrantError::InvalidGrant(
                "the code is not one of this server, or more than a minute old",
            ))?;
        if code.holder.client != client {
            return Err(GrantError::InvalidGrant("the code was made for another client"));
        }
        if form.get("redirect_uri").is_some_and(|uri| uri != code.redirect_uri) {
            return Err(GrantError::InvalidGrant("`redirect_uri` is not that of the sign-in"));
        }
        let verifier =
            form.get("code_verifier").ok_or(GrantError::InvalidRequest("`code_verifier` is missing"))?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        if !bool::from(challenge.as_bytes().ct_eq(code.challenge.as_bytes())) {
            return Err(GrantError::InvalidGrant(
                "`code_verifier` does not belong to the challenge of the sign-in",
            ));
        }
        check_resource(form, &code.holder)?;
        if !is_key(&code.holder.key) {
            return Err(GrantError::InvalidGrant("the API key of the sign-in is gone"));
        }
        let TokenHolder { grant, key, .. } = &code.holder;
        match self.grants.begin(grant, &key.name, &code.client_name, now()).await? {
            Begun::New => {}
            Begun::Twice => {
                tracing::warn!(
                    "a code of the client `{}` for the API key `{}` came twice; its sign-in has ended, since one of the two may \
                     have been stolen",
                    code.client_name,
                    key.name
                );
                self.end(grant).await;
                return Err(GrantError::InvalidGrant("the code was used before; the sign-in has ended"));
            }
        }
        tracing::info!(
            api_key_name = key.name,
            "the client `{}` is signed in with the API key `{}`",
            code.client_name,
            key.name
        );
        self.tokens(code.holder, 0)
    }

    /// Answers a request for tokens. `is_key` tells whether an API key is configured as it was.
    ///
    /// # Errors
    ///
    /// Why the client gets no tokens.
    pub async fn token(
        &self,
        form: &Parameters,
        is_key: impl Fn(&KeyIdentity) -> bool,
    ) -> Result<TokenAnswer, GrantError> {
        let client = form.get("client_id").ok_or(GrantError::InvalidRequest("`client_id` is missing"))?;
        let client = digest(client);
        match form.get("grant_type") {
            Some("authorization_code") => self.redeem(form, &client, is_key).await,
            Some("refresh_token") => self.renew(form, &client, is_key).await,
            Some(_) => Err(GrantError::UnsupportedGrantType),
            None => Err(GrantError::InvalidRequest("`grant_type` is missing")),
        }
    }

    async fn renew(
        &self,
        form: &Parameters,
        client: &str,
        is_key: impl Fn(&KeyIdentity) -> bool,
    ) -> Result<TokenAnswer, GrantError> {
        let token =
            form.get("refresh_token").ok_or(GrantError::InvalidRequest("`refresh_token` is missing"))?;
        let token: RefreshToken = self
            .refresh
            .open_json(REFRESH_PREFIX, token)
            .ok_or(GrantError::InvalidGrant("the refresh token is not one of this server"))?;
        let RefreshToken { holder, generation } = token;
        if holder.client != client {
            return Err(GrantError::InvalidGrant("the refresh token was made for another client"));
        }
        check_resource(form, &holder)?;
        if !is_key(&holder.key) {
            // It does not end: another replica may have the configuration with that key already.
            return Err(GrantError::InvalidGrant("the API key of the sign-in is gone, or has another value"));
        }
        match self.grants.rotate(&holder, generation, now()).await? {
            Rotation::Current(generation) => self.tokens(holder, generation),
            Rotation::Gone => Err(GrantError::InvalidGrant("the sign-in has ended")),
            Rotation::Reused => {
                tracing::warn!(
                    api_key_name = holder.key.name,
                    "a refresh token for the API key `{}` came again after it was exchanged; its sign-in has ended, since the \
                     token may have been stolen",
                    holder.key.name
                );
                self.end(&holder.grant).await;
                Err(GrantError::InvalidGrant("the refresh token was used before; the sign-in has ended"))
            }
        }
    }

    /// New tokens of the sign-in.
    fn tokens(&self, holder: TokenHolder, generation: u64) -> Result<TokenAnswer, GrantError> {
        let (expires_in, scope) = (self.lifetime(), holder.scope.clone());
        let access = AccessToken { holder: holder.clone(), until: now() + expires_in + LEEWAY };
        Ok(TokenAnswer {
            access_token: self.access.seal_json(ACCESS_PREFIX, &access)?,
            token_type: "Bearer",
            expires_in,
            refresh_token: self.refresh.seal_json(REFRESH_PREFIX, &RefreshToken { holder, generation })?,
            scope,
        })
    }

    /// The cookie of a browser in which `key` was typed in; it opens the pages and what they show.
    pub fn page_cookie(&self, key: KeyIdentity) -> Result<String, SealError> {
        self.pages.seal_json("", &PageSession { key, until: now() + PAGE_FOR })
    }

    /// The API key behind the cookie of a page.
    pub fn key_of_page(&self, cookie: &str) -> Option<KeyIdentity> {
        let session: PageSession = self.pages.open_json("", cookie)?;
        (now() < session.until).then_some(session.key)
    }

    /// Ends the sign-in of a token, at the wish of its bearer (RFC 7009). Any other text is ignored.
    pub async fn revoke(&self, token: &str) {
        let refresh = self.refresh.open_json(REFRESH_PREFIX, token).map(|token: RefreshToken| token.holder);
        let access = || self.access.open_json(ACCESS_PREFIX, token).map(|token: AccessToken| token.holder);
        if let Some(holder) = refresh.or_else(access) {
            tracing::info!(
                api_key_name = holder.key.name,
                "a client has signed out from the API key `{}`",
                holder.key.name
            );
            self.end(&holder.grant).await;
        }
    }

    /// Ends a sign-in with all of its tokens.
    async fn end(&self, grant: &str) {
        self.grants.revoke(grant, now()).await;
    }

    /// What the access token `token` stands for. `None` for any other text.
    pub fn accept(&self, token: &str) -> Option<Result<AcceptedAccess, AccessEnd>> {
        let AccessToken { holder, until } = self.access.open_json(ACCESS_PREFIX, token)?;
        if until <= now() {
            return Some(Err(AccessEnd::Expired));
        }
        let Some(ended) = self.grants.end_of(&holder.grant) else { return Some(Err(AccessEnd::Revoked)) };
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(until);
        Some(Ok(AcceptedAccess { key: holder.key, until, ended }))
    }
}

/// A text that cannot be guessed.
fn new_id() -> Result<String, SealError> {
    Ok(hex(&random::<16>()?))
}
