//! The authorizers of one server: one for all callers, or one for each user (`"per": "user"`).
//!
//! A user's own authorizer has the user's own tokens, in a file of their own, and its connections are the user's alone.
//! The shared connection, over which the list of tools is read, has the tokens of one of the users that are signed in;
//! without any the server waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{HttpConfig, OAuthConfig, OAuthGrant, ServerConfig, ServerName};
use crate::shares::Principal;
use crate::sync::lock;
use crate::upstream::changes::Changes;
use crate::upstream::oauth::authorizer::{Authorizer, OAuth};
use crate::upstream::oauth::dpop;
use crate::upstream::oauth::token_store::shared::ToldSignIn;
use crate::upstream::state_file::digest;

/// Users that may be signed in to one server.
pub const MOST_USERS: usize = 1000;

/// How the requests to one server get their tokens.
pub enum Authorizers {
    Shared(Arc<Authorizer>),
    PerUser(Box<UserAuthorizers>),
}

/// The authorizers of the users of one server.
pub struct UserAuthorizers {
    server: ServerName,
    http: HttpConfig,
    config: OAuthConfig,
    oauth: Arc<OAuth>,
    changes: Arc<Changes>,
    stop: CancellationToken,
    /// Of no user: finds out where users sign in, or is the gateway itself.
    nobody: Arc<Authorizer>,
    users: Mutex<HashMap<Arc<str>, Arc<Authorizer>>>,
    loaded: OnceCell<()>,
}

impl std::fmt::Debug for UserAuthorizers {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("UserAuthorizers").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Stands for a user or a key, and can be the name of a file.
pub fn user_of(principal: &Principal) -> Arc<str> {
    digest(format!("{:?} {:?}", principal.key_name(), principal.id())).into()
}

impl Authorizers {
    /// The authorizers of an entry that asks for tokens; their tasks end with `stop`.
    pub fn of(
        entry: &ServerConfig,
        oauth: &Arc<OAuth>,
        changes: Arc<Changes>,
        stop: CancellationToken,
    ) -> Option<Self> {
        let nobody = Authorizer::of(entry, oauth, changes.clone())?;
        let (http, config) = (nobody.http.clone(), nobody.http.oauth.clone()?);
        if !config.per_user {
            return Some(Self::Shared(nobody));
        }
        Some(Self::PerUser(Box::new(UserAuthorizers {
            server: entry.name.clone(),
            http,
            config,
            oauth: oauth.clone(),
            changes,
            stop,
            nobody,
            users: Mutex::default(),
            loaded: OnceCell::new(),
        })))
    }

    /// The authorizer of the shared connection.
    pub fn shared(&self) -> Arc<Authorizer> {
        match self {
            Self::Shared(authorizer) => authorizer.clone(),
            Self::PerUser(users) => users.lead(),
        }
    }

    /// The users of the server, where each has tokens of its own.
    pub fn per_user(&self) -> Option<&UserAuthorizers> {
        match self {
            Self::Shared(_) => None,
            Self::PerUser(users) => Some(users),
        }
    }
}

impl UserAuthorizers {
    /// Reads which users have signed in before, once.
    pub async fn load(&self) {
        let read = || async {
            let mut users = self.nobody.store.users_of_replicas().await;
            if let Some(file) = self.oauth.file_of(&self.server) {
                users.extend(file.users().await);
            }
            users.sort_unstable();
            users.dedup();
            for user in users.into_iter().take(MOST_USERS) {
                self.of(&user.into()).load().await;
            }
        };
        self.loaded.get_or_init(read).await;
    }

    /// The authorizer of `user`, of [`user_of`].
    pub fn of(&self, user: &Arc<str>) -> Arc<Authorizer> {
        let mut users = lock(&self.users);
        if let Some(known) = users.get(user) {
            return known.clone();
        }
        if users.len() >= MOST_USERS {
            // The ones in use and those with tokens stay.
            users.retain(|_, known| Arc::strong_count(known) > 1 || known.store.has_tokens());
        }
        let (http, config, changes) = (&self.http, self.config.clone(), self.changes.clone());
        let fresh = Authorizer::of_http(&self.server, http, config, Some(user.clone()), &self.oauth, changes);
        users.insert(user.clone(), fresh.clone());
        fresh
    }

    /// The authorizer of `user` for a sign-in, which has learned of the server what those of others have.
    ///
    /// The server's refusal may say where to sign in, and that tokens are to be bound to a key.
    pub async fn informed(&self, user: &Arc<str>) -> Arc<Authorizer> {
        let (authorizer, lead) = (self.of(user), self.lead());
        authorizer.load().await;
        let told = self.nobody.refresh_state.lock().await.challenge.clone();
        let told = told.or_else(|| lead.store.is_bound().then(|| dpop::SCHEME.to_owned()));
        let mut state = authorizer.refresh_state.lock().await;
        state.challenge = state.challenge.take().or(told);
        drop(state);
        authorizer
    }

    /// Has `token`, the newest of `user` at the gateway, exchanged from now on.
    pub fn exchange(&self, user: &Arc<str>, token: &Arc<SecretString>) {
        if self.exchanges_tokens() {
            self.of(user).subject.store(Some(token.clone()));
        }
    }

    /// Whether the callers' own tokens are exchanged.
    pub fn exchanges_tokens(&self) -> bool {
        self.config.grant == OAuthGrant::TokenExchange
    }

    /// Whether `user` may sign in: it did before, or there are not too many.
    pub fn has_room(&self, user: &Arc<str>) -> bool {
        let is_signed_in = |known: &&Arc<Authorizer>| known.store.has_tokens();
        self.is_signed_in(user) || lock(&self.users).values().filter(is_signed_in).count() < MOST_USERS
    }

    /// Whether there are tokens of `user`.
    pub fn is_signed_in(&self, user: &Arc<str>) -> bool {
        lock(&self.users).get(user).is_some_and(|known| known.has_tokens())
    }

    /// Where `user` signs in; `None` when that is done, or not needed.
    pub fn sign_in_link(&self, user: &Arc<str>) -> Option<String> {
        let is_missing = self.nobody.is_for_people() && !self.is_signed_in(user);
        is_missing.then(|| self.nobody.link()).flatten()
    }

    /// The authorizer for the list of tools: that of a user that is signed in, if there is one.
    fn lead(&self) -> Arc<Authorizer> {
        if !self.nobody.is_for_people() {
            return self.nobody.clone();
        }
        let users = lock(&self.users);
        let lead =
            users.values().filter(|known| known.store.has_tokens()).min_by_key(|known| known.user.clone());
        lead.unwrap_or(&self.nobody).clone()
    }

    /// Keeps the tokens of all users fresh, also without calls. Calls `signed_in` when one has signed in at another
    /// replica. Does not end.
    pub async fn stay_signed_in(&self, signed_in: impl Fn()) {
        let mut changes = self.changes.subscribe();
        let mut told = self.nobody.store.told();
        if told.is_some() && self.synchronize(ToldSignIn::Any).await {
            signed_in();
        }
        let mut kept: HashMap<Arc<str>, AbortOnDropHandle<()>> = HashMap::new();
        loop {
            let renewable: HashMap<_, _> = {
                let users = lock(&self.users);
                let renewable = users.iter().filter(|(_, known)| known.store.can_refresh());
                renewable.map(|(user, known)| (user.clone(), known.clone())).collect()
            };
            kept.retain(|user, _| renewable.contains_key(user));
            for (user, authorizer) in renewable {
                kept.entry(user).or_insert_with(|| {
                    let stop = self.stop.clone();
                    let refreshing = async move {
                        stop.run_until_cancelled(authorizer.refresh_ahead(|| {})).await;
                    };
                    AbortOnDropHandle::new(tokio::spawn(refreshing))
                });
            }
            let next = async {
                match &mut told {
                    Some(told) => told.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    std::future::pending::<()>().await;
                },
                told = next => if self.synchronize(told).await {
                    signed_in();
                },
            }
        }
    }

    /// Has the same tokens as the other replicas. Says whether one of those is of another sign-in than before.
    async fn synchronize(&self, told: ToldSignIn) -> bool {
        self.load().await;
        let authorizers = match told {
            ToldSignIn::OfAll => return false,
            ToldSignIn::OfUser(user) => vec![self.of(&user)],
            ToldSignIn::Any => {
                let users = self.nobody.store.users_of_replicas().await;
                users.into_iter().take(MOST_USERS).for_each(|user| drop(self.of(&user.into())));
                lock(&self.users).values().cloned().collect()
            }
        };
        let mut is_new = false;
        for authorizer in authorizers {
            authorizer.load().await;
            is_new |= authorizer.synchronize().await;
        }
        is_new
    }
}
