//! Refreshes tokens: before they end, and when a server refuses one. One refresh serves all requests that wait for a
//! token.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use rmcp::transport::auth::{AuthError, WWWAuthenticateParams};
use tokio::sync::MutexGuard;

use crate::config::OAuthGrant;
use crate::upstream::error::CloseReason;
use crate::upstream::oauth::authorizer::{Authorizer, OAuthError, REFRESH_LIMIT, RefreshState};
use crate::upstream::oauth::dpop;
use crate::upstream::oauth::token_store::token::Token;

/// How soon after a failure a token that is still good is not renewed again.
const REST: Duration = Duration::from_secs(5);

/// Why another token is needed.
#[derive(Debug)]
pub(super) enum RefreshReason {
    /// It is about to end, or has ended.
    Due,
    /// The server refused it, or there is no token.
    Refused { challenge: Option<String> },
    /// It is good, and lacks these scopes.
    Narrow { challenge: String, scopes: Vec<String> },
}

impl Authorizer {
    /// The token for the next request; `None` before the first one. A request without a token finds out where to get one. It
    /// takes no lock, and waits only for a token that is about to expire.
    ///
    /// # Errors
    ///
    /// The token has expired and no other could be got.
    pub async fn authorization(self: &Arc<Self>) -> Result<Option<Arc<Token>>, CloseReason> {
        let Some(token) = &*self.store.token() else { return Ok(None) };
        if !token.is_due() {
            return Ok(Some(token.clone()));
        }
        self.renewed_before_expiry(token).await.map(Some)
    }

    /// A fresh token in place of `token`, which is due. While that one is still good it comes back at once, so that
    /// no call waits.
    async fn renewed_before_expiry(self: &Arc<Self>, token: &Arc<Token>) -> Result<Arc<Token>, CloseReason> {
        let used = Some(token.header.clone());
        if token.has_ended() {
            let renewed = self.renew(RefreshReason::Due, used).await.map_err(|error| self.reason(error))?;
            return renewed.ok_or_else(|| self.reason(OAuthError::SignIn));
        }
        if let Ok(turn) = self.renewing.clone().try_acquire_owned() {
            let this = self.clone();
            self.oauth.tasks.spawn(async move {
                // Given back however this ends.
                let _turn = turn;
                if let Err(error) = this.renew(RefreshReason::Due, used).await {
                    tracing::warn!(mcp_server = %this.server, "{}: its token could not be renewed yet: {error}", this.server);
                }
            });
        }
        Ok(token.clone())
    }

    /// The token to try again with after the server refused `used`; `None` when the refusal stands.
    ///
    /// # Errors
    ///
    /// A person has to sign in, or the authorization server gives no token.
    pub async fn refused(
        self: &Arc<Self>,
        status: StatusCode,
        challenges: Vec<String>,
        used: Option<&Token>,
    ) -> Result<Option<Arc<Token>>, CloseReason> {
        let url = self.address().await.map_err(|error| self.reason(error))?;
        let is_bearer = |text: &String| text.trim_start().to_ascii_lowercase().starts_with("bearer");
        let (bearer, mut rest): (Vec<_>, Vec<_>) = challenges.into_iter().partition(is_bearer);
        rest.retain(|text| dpop::is_challenge(text));
        let bound = used.map(|used| used.prover().is_some()).or(self.config.dpop).unwrap_or(false);
        let ours = if bound { [rest, bearer] } else { [bearer, rest] };
        let reason = match (status, ours.into_iter().flatten().next()) {
            (StatusCode::UNAUTHORIZED, challenge) => RefreshReason::Refused { challenge },
            // Some servers say so when they were shown no token at all.
            (StatusCode::FORBIDDEN, challenge) if used.is_none() => RefreshReason::Refused { challenge },
            (StatusCode::FORBIDDEN, Some(challenge)) => {
                let challenged = WWWAuthenticateParams::parse(&challenge, url);
                if !challenged.is_insufficient_scope() {
                    return Ok(None);
                }
                let scopes = challenged.scope.unwrap_or_default();
                let scopes = scopes.split_whitespace().map(str::to_owned).collect();
                RefreshReason::Narrow { challenge, scopes }
            }
            _ => return Ok(None),
        };
        let used = used.map(|used| used.header.clone());
        self.renew(reason, used).await.map_err(|error| self.reason(error))
    }

    /// The reason of a server that refuses a token which was issued for this very request.
    pub fn refused_again(&self) -> CloseReason {
        self.want_sign_in(Vec::new());
        match self.config.grant {
            OAuthGrant::AuthorizationCode => self.waits_for_sign_in(),
            OAuthGrant::ClientCredentials
            | OAuthGrant::JwtBearer
            | OAuthGrant::TokenExchange
            | OAuthGrant::IdJag => {
                let text = "the server refuses a token that its authorization server has just issued";
                CloseReason::OAuth(text.into())
            }
        }
    }

    /// Gets another token than `used`; `None` when `used` stays. Goes on to its end when the caller does not wait for
    /// it.
    pub(super) async fn renew(
        self: &Arc<Self>,
        reason: RefreshReason,
        used: Option<HeaderValue>,
    ) -> Result<Option<Arc<Token>>, OAuthError> {
        let this = self.clone();
        let renewing = async move {
            let mut state = this.refresh_state.lock().await;
            // The old server of a reload, or another replica, may be at it, too.
            this.store.settled().await;
            let sole = this.store.one_refresh().await;
            // Another task got one while this one waited.
            if let Some(token) = &*this.token()
                && used.as_ref() != Some(&token.header)
            {
                return Ok(Some(token.clone()));
            }
            if sole.is_elsewhere {
                let text = "another replica began to renew the token, and has not ended in time";
                return Err(OAuthError::Protocol(text.into()));
            }
            let work = this.renew_at(&mut state, reason);
            let renewed = tokio::time::timeout(REFRESH_LIMIT, work).await.unwrap_or_else(|_| {
                let seconds = REFRESH_LIMIT.as_secs();
                Err(OAuthError::Protocol(format!("no token within {seconds} s")))
            });
            state.failed = renewed.is_err().then(Instant::now);
            renewed
        };
        let ended = |error| OAuthError::Protocol(format!("the task that renews tokens failed: {error}"));
        self.oauth.tasks.spawn(renewing).await.map_err(ended)?
    }

    async fn renew_at(
        &self,
        state: &mut MutexGuard<'_, RefreshState>,
        reason: RefreshReason,
    ) -> Result<Option<Arc<Token>>, OAuthError> {
        let is_good = self.token().as_ref().is_some_and(|token| !token.has_ended());
        match (self.config.grant, reason) {
            (_, RefreshReason::Due)
                if is_good && state.failed.is_some_and(|failed| failed.elapsed() < REST) =>
            {
                Ok(None)
            }
            (
                OAuthGrant::ClientCredentials
                | OAuthGrant::JwtBearer
                | OAuthGrant::TokenExchange
                | OAuthGrant::IdJag,
                reason,
            ) => self.ask_as_itself(state, reason).await.map(Some),
            (OAuthGrant::AuthorizationCode, RefreshReason::Narrow { challenge, scopes }) => {
                state.challenge = Some(challenge);
                self.want_sign_in(scopes);
                Ok(None)
            }
            (OAuthGrant::AuthorizationCode, RefreshReason::Due) => {
                if is_good && !self.store.can_refresh() {
                    return Ok(None);
                }
                if state.found.is_none() {
                    state.found = Some(self.discover(None).await?);
                }
                self.refresh(state).await.map(Some)
            }
            (OAuthGrant::AuthorizationCode, RefreshReason::Refused { challenge }) => {
                state.challenge.clone_from(&challenge);
                if !self.store.has_tokens() {
                    self.want_sign_in(Vec::new());
                    return Err(OAuthError::SignIn);
                }
                let found = self.discover(challenge.as_deref()).await?;
                let issuer = found.metadata.issuer.clone();
                state.found = Some(found);
                if issuer != self.store.issuer() {
                    let used = self.token().clone();
                    let why = "it trusts another authorization server now";
                    return self.lose_tokens(used.as_deref(), why, true).await.map(Some);
                }
                self.refresh(state).await.map(Some)
            }
        }
    }

    /// Exchanges the refresh token. A refused refresh token is forgotten.
    async fn refresh(&self, state: &mut RefreshState) -> Result<Arc<Token>, OAuthError> {
        let found = state.found.as_mut().ok_or(OAuthError::SignIn)?;
        let used = self.token().clone();
        let refreshed = match self.kept_client().await {
            Ok(client) => {
                found.manager.configure_client(client)?;
                found.manager.refresh_token().await
            }
            Err(OAuthError::SignIn) => Err(AuthError::AuthorizationRequired),
            Err(error) => return Err(error),
        };
        let client_is_unknown = match refreshed {
            Ok(_) => {
                tracing::debug!(mcp_server = %self.server, "{}: its token was renewed", self.server);
                return self.token().clone().ok_or(OAuthError::SignIn);
            }
            Err(AuthError::TokenRefreshRejected(_) | AuthError::AuthorizationRequired) => false,
            // rmcp marks this error only by its text.
            Err(AuthError::TokenRefreshFailed(text)) if text.contains("invalid_client") => true,
            Err(error) => return Err(error.into()),
        };
        let why = if client_is_unknown {
            "the authorization server knows this client no longer"
        } else {
            "the authorization server takes its refresh token no longer"
        };
        self.lose_tokens(used.as_deref(), why, client_is_unknown).await
    }

    /// Forgets the tokens of `used`, and the registration if `client` says so. Returns the token of a sign-in that
    /// happened meanwhile.
    async fn lose_tokens(
        &self,
        used: Option<&Token>,
        why: &str,
        client: bool,
    ) -> Result<Arc<Token>, OAuthError> {
        if !self.store.forget(used, client).await {
            return self.token().clone().ok_or(OAuthError::SignIn);
        }
        let whose = if self.user.is_some() { " of one user" } else { "" };
        tracing::warn!(mcp_server = %self.server, "{}: {why}; a new sign-in{whose} is needed", self.server);
        self.want_sign_in(Vec::new());
        self.lost.notify_one();
        Err(OAuthError::SignIn)
    }

    /// A token without a person.
    async fn ask_as_itself(
        &self,
        state: &mut RefreshState,
        reason: RefreshReason,
    ) -> Result<Arc<Token>, OAuthError> {
        match reason {
            RefreshReason::Due => {}
            // The server may trust another authorization server by now.
            RefreshReason::Refused { challenge } => {
                state.found = None;
                state.challenge = challenge;
            }
            RefreshReason::Narrow { challenge, scopes } => {
                if scopes.iter().all(|scope| state.asked.contains(scope)) {
                    let text =
                        "the server wants scopes that its authorization server does not grant this client";
                    return Err(OAuthError::Protocol(text.into()));
                }
                state.challenge = Some(challenge);
                state.more.extend(scopes);
            }
        }
        let found = match state.found.take() {
            Some(found) => found,
            None => self.discover(state.challenge.as_deref()).await?,
        };
        let mut scopes = match self.config.scopes.is_empty() {
            true => found.manager.select_initial_scopes(&[]).await,
            false => self.config.scopes.clone(),
        };
        // Without a person there is no offline access.
        scopes.retain(|scope| scope != "offline_access");
        for scope in &state.more {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let token = self.own_token(&found, &scopes).await?;
        state.asked = scopes;
        state.found = Some(found);
        Ok(self.store.use_token(token))
    }
}
