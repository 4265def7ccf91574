//! Which sign-in to a server its caller may begin or end, and how the browser is led to it.

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::cookie::{callback_cookie, set_cookie};
use super::{SignIn, no_public_url};
use crate::catalog::Caller;
use crate::config::ServerName;
use crate::http::answer::redirect;
use crate::http::auth::BASIC;
use crate::http::{Access, Problem, json_answer};
use crate::protocol::media_type::{self, JSON};
use crate::upstream::oauth::users::{MOST_USERS, user_of};
use crate::upstream::oauth::{CALLBACK, OAuthError};
use crate::upstream::{Authorizer, Upstream};

/// A sign-in that its caller may begin.
pub(super) struct Starting {
    /// The gateway's own address.
    pub(super) own: String,
    pub(super) authorizer: Arc<Authorizer>,
    /// The one whom it is for, in words; `None` where it serves all callers.
    pub(super) user: Option<String>,
}

impl SignIn {
    /// The gateway's own address, and the sign-in to `server`, for a caller that may begin it.
    ///
    /// Where each user has tokens of its own, that is the user that the credentials of the browser prove. The address
    /// names no user, so a browser signs in for its own user alone.
    pub(super) async fn starting(&self, headers: &HeaderMap, server: &str) -> Result<Starting, Problem> {
        let caller =
            self.keys.admit(headers, Access::Open).await.map_err(|refusal| refusal.problem().clone())?;
        self.starting_for(&caller, server).await
    }

    pub(super) async fn starting_for(&self, caller: &Caller, server: &str) -> Result<Starting, Problem> {
        let found = self.authorizer(server);
        let own = || self.oauth.public("").ok_or_else(no_public_url);
        let users = found.as_ref().ok().and_then(|(upstream, _)| upstream.users());
        let Some(users) = users.filter(|_| !self.is_stranger(caller)) else {
            self.check(caller, users.is_none())?;
            return Ok(Starting { authorizer: found?.1, own: own()?, user: None });
        };
        let name = ServerName::new(server).ok().filter(|name| caller.scope.allows_server(name));
        name.ok_or_else(Problem::not_found)?;
        let user = user_of(&caller.principal);
        users.load().await;
        if !users.has_room(&user) {
            let sentence = format!("{MOST_USERS} users are signed in to this server, and no more may be");
            return Err(Problem::new(StatusCode::CONFLICT, "too_many_users", sentence));
        }
        let authorizer = users.informed(&user).await;
        Ok(Starting { own: own()?, authorizer, user: Some(caller.principal.to_string()) })
    }

    /// Leads the browser to the authorization server of `server`, or names its address as JSON.
    pub(super) async fn lead(
        &self,
        headers: &HeaderMap,
        server: &str,
        own: &str,
        authorizer: &Arc<Authorizer>,
    ) -> Result<Response, Problem> {
        let begun = authorizer.begin().await.map_err(|error| {
            tracing::warn!(mcp_server = %server, "a sign-in to {server} could not begin: {error}");
            cannot_begin(&error, authorizer.user().is_none())
        })?;
        let mut response = match media_type::is_accepted(headers, JSON) {
            true => json_answer(StatusCode::OK, json!({ "authorizationUrl": begun.url }).to_string().into()),
            // The form's `POST` becomes a `GET`.
            false => redirect(StatusCode::SEE_OTHER, &begun.url)?,
        };
        set_cookie(&mut response, callback_cookie(own, CALLBACK, &begun));
        Ok(response)
    }

    /// Ends the sign-in of one user.
    pub(super) async fn end(&self, server: &str, authorizer: &Authorizer) -> Result<(), Problem> {
        authorizer.sign_out().await.map_err(|error| {
            tracing::error!(mcp_server = %server, %error, "the tokens of a user who signs out of {server} cannot be removed");
            Problem::internal()
        })
    }

    /// Whether each user signs in to some server. Strangers must not learn which.
    pub(super) fn has_own_sign_ins(&self) -> bool {
        self.gateway.catalog_builder().upstreams().iter().any(|upstream| upstream.users().is_some())
    }

    /// Whether nothing is known of the caller where callers are told apart.
    fn is_stranger(&self, caller: &Caller) -> bool {
        caller.principal.is_anonymous() && !self.keys.is_open()
    }

    /// Refuses a caller without credentials, and where a sign-in `serves_all` one without the `admin` right.
    fn check(&self, caller: &Caller, serves_all: bool) -> Result<(), Problem> {
        if caller.admin && serves_all {
            return Ok(());
        }
        if !caller.principal.is_anonymous() {
            let sentence =
                "A sign-in serves all callers of the gateway, and is for keys with the `admin` right";
            return Err(Problem::new(StatusCode::FORBIDDEN, "needs_admin", sentence));
        }
        // A browser asks for a user's name and a password, which is the key.
        let sentence = match self.has_own_sign_ins() {
            true => "Give your API key; in a browser, as the password",
            false => "Give an API key with the `admin` right; in a browser, as the password",
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthenticated", sentence);
        Err(problem.with_header(header::WWW_AUTHENTICATE, BASIC))
    }

    /// The server and the sign-in to it.
    pub(super) fn authorizer(&self, server: &str) -> Result<(Arc<Upstream>, Arc<Authorizer>), Problem> {
        let upstreams = self.gateway.catalog_builder().upstreams();
        let upstream = upstreams.iter().find(|upstream| upstream.name().as_str() == server);
        let upstream = upstream.ok_or_else(Problem::not_found)?;
        match upstream.authorizer().filter(|authorizer| authorizer.is_for_people()) {
            Some(authorizer) => Ok((upstream.clone(), authorizer)),
            None => {
                let sentence = "This server needs no sign-in: its entry has no `oauth` with the grant authorization_code";
                Err(Problem::new(StatusCode::NOT_FOUND, "no_sign_in", sentence))
            }
        }
    }
}

/// The answer to a sign-in that cannot begin. It gives the reason where the caller `is_admin`.
fn cannot_begin(error: &OAuthError, is_admin: bool) -> Problem {
    let status = match error {
        OAuthError::NoPublicUrl => return no_public_url(),
        OAuthError::Secret(_) | OAuthError::Url(_) => StatusCode::CONFLICT,
        OAuthError::OtherIssuer { .. } | OAuthError::Protocol(_) | OAuthError::SignIn => {
            StatusCode::BAD_GATEWAY
        }
    };
    let sentence = match is_admin {
        true => format!("The sign-in cannot begin: {error}"),
        false => "The sign-in cannot begin; the log of the gateway says why".to_owned(),
    };
    Problem::new(status, "sign_in_failed", sentence)
}
