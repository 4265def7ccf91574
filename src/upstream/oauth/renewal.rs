//! Renewal of tokens: before they end, and when a server refuses one. However many requests wait for a token, one of
//! them gets it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode};
use rmcp::transport::auth::{AuthError, WWWAuthenticateParams};
use tokio::sync::MutexGuard;

use super::token::Token;
use super::{Authorizer, Desk, OAuthError, RENEWAL_LIMIT};
use crate::config::OAuthGrant;
use crate::upstream::error::EndReason;

/// How soon after a failure a token that is still good is not renewed again.
const REST: Duration = Duration::from_secs(5);

/// Why another token is wanted.
#[derive(Debug)]
pub(super) enum Occasion {
    /// It is about to end, or has ended.
    Due,
    /// The server refused it, or there is none.
    Refused { challenge: Option<String> },
    /// It is good, and lacks these scopes.
    Narrow { challenge: String, scopes: Vec<String> },
}

impl Authorizer {
    /// Another token than `token`, which is due: at once when that one is still good, so that no call waits.
    pub(super) async fn renewed_before_expiry(
        self: &Arc<Self>,
        token: &Arc<Token>,
    ) -> Result<Arc<Token>, EndReason> {
        let used = Some(token.header.clone());
        if token.has_ended() {
            let renewed = self.renew(Occasion::Due, used).await.map_err(|error| self.reason(error))?;
            return renewed.ok_or_else(|| self.reason(OAuthError::SignIn));
        }
        if let Ok(turn) = self.renewing.clone().try_acquire_owned() {
            let this = self.clone();
            self.oauth.tasks.spawn(async move {
                // Given back however this ends.
                let _turn = turn;
                if let Err(error) = this.renew(Occasion::Due, used).await {
                    tracing::warn!(mcp_server = %this.server, "{}: its token could not be renewed yet: {error}", this.server);
                }
            });
        }
        Ok(token.clone())
    }

    /// See [`Authorizer::refused`].
    pub(super) async fn renewed_after_refusal(
        self: &Arc<Self>,
        status: StatusCode,
        challenges: Vec<String>,
        used: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, EndReason> {
        let url = self.address().await.map_err(|error| self.reason(error))?;
        let bearer =
            challenges.into_iter().find(|text| text.trim_start().to_ascii_lowercase().starts_with("bearer"));
        let occasion = match (status, bearer) {
            (StatusCode::UNAUTHORIZED, challenge) => Occasion::Refused { challenge },
            // Some servers say so when they were shown no token at all.
            (StatusCode::FORBIDDEN, challenge) if used.is_none() => Occasion::Refused { challenge },
            (StatusCode::FORBIDDEN, Some(challenge)) => {
                let told = WWWAuthenticateParams::parse(&challenge, url);
                if !told.is_insufficient_scope() {
                    return Ok(None);
                }
                let scopes = told.scope.unwrap_or_default();
                let scopes = scopes.split_whitespace().map(str::to_owned).collect();
                Occasion::Narrow { challenge, scopes }
            }
            _ => return Ok(None),
        };
        let renewed = self.renew(occasion, used.cloned()).await.map_err(|error| self.reason(error))?;
        Ok(renewed.map(|token| token.header.clone()))
    }

    /// The reason of a server that refuses a token which was issued for this very request.
    pub fn refused_again(&self) -> EndReason {
        self.want_sign_in(Vec::new());
        match self.config.grant {
            OAuthGrant::AuthorizationCode => self.waits_for_sign_in(),
            OAuthGrant::ClientCredentials | OAuthGrant::JwtBearer => {
                let text = "the server refuses a token that its authorization server has just issued";
                EndReason::OAuth(text.into())
            }
        }
    }

    /// Gets another token than `used`; `None` when there is none to be had and `used` stays. Goes on to its end when
    /// the caller does not wait for it.
    pub(super) async fn renew(
        self: &Arc<Self>,
        occasion: Occasion,
        used: Option<HeaderValue>,
    ) -> Result<Option<Arc<Token>>, OAuthError> {
        let this = self.clone();
        let renewing = async move {
            let mut desk = this.desk.lock().await;
            // The old server of a reload may be at it, too.
            let _alone = this.vault.renewal().await;
            // Somebody else got one while this one waited.
            if let Some(token) = &*this.token()
                && used.as_ref() != Some(&token.header)
            {
                return Ok(Some(token.clone()));
            }
            let work = this.renew_at(&mut desk, occasion);
            let renewed = tokio::time::timeout(RENEWAL_LIMIT, work).await.unwrap_or_else(|_| {
                let seconds = RENEWAL_LIMIT.as_secs();
                Err(OAuthError::Protocol(format!("no token within {seconds} s")))
            });
            desk.failed = renewed.is_err().then(Instant::now);
            renewed
        };
        let ended = |error| OAuthError::Protocol(format!("the task that renews tokens failed: {error}"));
        self.oauth.tasks.spawn(renewing).await.map_err(ended)?
    }

    async fn renew_at(
        &self,
        desk: &mut MutexGuard<'_, Desk>,
        occasion: Occasion,
    ) -> Result<Option<Arc<Token>>, OAuthError> {
        let is_good = self.token().as_ref().is_some_and(|token| !token.has_ended());
        match (self.config.grant, occasion) {
            (_, Occasion::Due) if is_good && desk.failed.is_some_and(|failed| failed.elapsed() < REST) => {
                Ok(None)
            }
            (OAuthGrant::ClientCredentials | OAuthGrant::JwtBearer, occasion) => {
                self.ask_as_itself(desk, occasion).await.map(Some)
            }
            (OAuthGrant::AuthorizationCode, Occasion::Narrow { challenge, scopes }) => {
                desk.challenge = Some(challenge);
                self.want_sign_in(scopes);
                Ok(None)
            }
            (OAuthGrant::AuthorizationCode, Occasion::Due) => {
                if is_good && !self.vault.can_refresh() {
                    return Ok(None);
                }
                if desk.found.is_none() {
                    desk.found = Some(self.discover(None).await?);
                }
                self.refresh(desk).await.map(Some)
            }
            (OAuthGrant::AuthorizationCode, Occasion::Refused { challenge }) => {
                desk.challenge.clone_from(&challenge);
                if !self.vault.has_tokens() {
                    self.want_sign_in(Vec::new());
                    return Err(OAuthError::SignIn);
                }
                let found = self.discover(challenge.as_deref()).await?;
                let issuer = found.metadata.issuer.clone();
                desk.found = Some(found);
                if issuer != self.vault.issuer() {
                    let used = self.token().clone();
                    let why = "it trusts another authorization server now";
                    return self.lose_tokens(used.as_deref(), why, true).await.map(Some);
                }
                self.refresh(desk).await.map(Some)
            }
        }
    }

    /// Exchanges the refresh token. What cannot be exchanged any more is forgotten.
    async fn refresh(&self, desk: &mut Desk) -> Result<Arc<Token>, OAuthError> {
        let found = desk.found.as_mut().ok_or(OAuthError::SignIn)?;
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
            // rmcp tells this error of the authorization server by its text alone.
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

    /// Forgets the tokens that `used` is of, which are of no use any more, and the registration if `client` says so.
    /// Gives the token of somebody who has signed in meanwhile.
    async fn lose_tokens(
        &self,
        used: Option<&Token>,
        why: &str,
        client: bool,
    ) -> Result<Arc<Token>, OAuthError> {
        if !self.vault.forget(used, client).await {
            return self.token().clone().ok_or(OAuthError::SignIn);
        }
        tracing::warn!(mcp_server = %self.server, "{}: {why}, so that somebody has to sign in anew", self.server);
        self.want_sign_in(Vec::new());
        self.lost.notify_one();
        Err(OAuthError::SignIn)
    }

    /// A token without a person.
    async fn ask_as_itself(&self, desk: &mut Desk, occasion: Occasion) -> Result<Arc<Token>, OAuthError> {
        match occasion {
            Occasion::Due => {}
            // The server may trust another authorization server by now.
            Occasion::Refused { challenge } => {
                desk.found = None;
                desk.challenge = challenge;
            }
            Occasion::Narrow { challenge, scopes } => {
                if scopes.iter().all(|scope| desk.asked.contains(scope)) {
                    let text =
                        "the server wants scopes that its authorization server does not grant this client";
                    return Err(OAuthError::Protocol(text.into()));
                }
                desk.challenge = Some(challenge);
                desk.more.extend(scopes);
            }
        }
        let found = match desk.found.take() {
            Some(found) => found,
            None => self.discover(desk.challenge.as_deref()).await?,
        };
        let mut scopes = match self.config.scopes.is_empty() {
            true => found.manager.select_initial_scopes(&[]).await,
            false => self.config.scopes.clone(),
        };
        // There is nobody who could be offline.
        scopes.retain(|scope| scope != "offline_access");
        for scope in &desk.more {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        let token = self.own_token(&found, &scopes).await?;
        desk.asked = scopes;
        desk.found = Some(found);
        Ok(self.vault.use_token(token))
    }
}
